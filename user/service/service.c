/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/service/service.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "user/access/opener.h"
#include "user/collector/segment_claim.h"
#include "user/service/confine.h"
#include "user/service/service_internal.h"
#include "user/service/service_manager.h"

/* epoll data */
enum { WATCH_SIGNALS, WATCH_SESSIONS, WATCH_ANNOUNCEMENTS, WATCH_CONTROL, WATCH_OPENER };

uint64_t service_now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static const ServiceConfig *config_of(const Service *service)
{
    return service_config(service);
}

static int watch(const Service *service, int fd, uint32_t data)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = data};

    return epoll_ctl(service->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* ---- configuration ---------------------------------------------------------------------------- */

/* NULL: what is wrong was logged. */
static ServiceConfig *load_config(Service *service)
{
    ConfigMistakes mistakes = {0};
    ServiceConfig *config = NULL;
    int error = service_config_load(service->options->config_path, &config, &mistakes);

    for (size_t i = 0; i < mistakes.lines.count; i++)
        service_log(&service->log, LOG_ERROR, NULL, "%s", mistakes.lines.items[i]);
    if (error && error != -EINVAL)
        service_log(&service->log, LOG_ERROR, NULL, "cannot load '%s': %s", service->options->config_path,
                    strerror(-error));
    config_mistakes_fini(&mistakes);
    return config;
}

/* Keys that a service that runs cannot follow. */
static bool needs_restart(const ServiceConfig *old, const ServiceConfig *new)
{
    return strcmp(old->control_socket, new->control_socket) != 0 ||
           strcmp(old->announce_socket, new->announce_socket) != 0;
}

int service_reload(Service *service)
{
    const ServiceConfig *old = config_of(service);
    ServiceConfig *config;
    char state[80];
    int error = 0;

    (void)snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%llu",
                   (unsigned long long)(service_now_ns() / 1000));
    service_manager_notify(state);
    config = load_config(service);
    if (!config) {
        error = -EINVAL;
        service_log(&service->log, LOG_ERROR, NULL,
                    "the configuration is not changed, as there are mistakes in it");
    } else {
        if (needs_restart(old, config))
            service_log(&service->log, LOG_WARN, NULL,
                        "other sockets take effect when the service is started again");
        if (old->metrics_interval != config->metrics_interval)
            service_log(&service->log, LOG_WARN, NULL,
                        "another metrics_interval is for sessions that are new or changed; for the others it "
                        "takes effect when the service is started again");
        error = session_table_apply(&service->sessions, config);
        if (error)
            service_log(&service->log, LOG_ERROR, NULL, "the configuration is not changed: out of memory");
        else
            service_log(&service->log, LOG_TELL, NULL, "the configuration was read again");
        service_metrics_configure(&service->metrics, config_of(service));
        service->sessions_due = 0;
    }
    service_manager_notify("READY=1");
    return error;
}

/* ---- ends ------------------------------------------------------------------------------------- */

static void begin_to_stop(Service *service)
{
    if (service->stopping) {
        service->killed = true;
        return;
    }
    service->stopping = true;
    service->stop_by = service_now_ns() + SERVICE_STOP_NS;
    service->sessions_due = 0;
    service_manager_notify("STOPPING=1");
    service_log(&service->log, LOG_TELL, NULL, "ending");
    session_table_stop_all(&service->sessions);
}

/* Without it nothing more can be attached to: what is there is brought to an end, and whoever started us starts us again. */
static void lose_opener(Service *service)
{
    (void)epoll_ctl(service->epoll, EPOLL_CTL_DEL, opener_end_fd(), NULL);
    service->failed = true;
    service_log(&service->log, LOG_ERROR, NULL,
                "the process that opens things for it has ended, was it killed?");
    if (!service->stopping) /* a second time would mean: at once */
        begin_to_stop(service);
}

static void take_signals(Service *service)
{
    struct signalfd_siginfo info;

    while (read(service->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGHUP && !service->stopping)
            (void)service_reload(service);
        else if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
            begin_to_stop(service);
        else if (info.ssi_signo == SIGUSR2)
            session_table_snapshot_all(&service->sessions);
    }
}

/* ---- announcements ---------------------------------------------------------------------------- */

static void drop_announcement(const Announcement *announcement)
{
    if (announcement->segment >= 0)
        segment_release(announcement->segment);
    if (announcement->pidfd >= 0)
        close(announcement->pidfd);
}

/* A segment that was made for a command belongs to the recorder that made it. */
static void route_announcement(Service *service, const Announcement *announcement)
{
    ProcessIdentity identity;
    SessionRun *run = NULL;

    if (announcement->type == ADA_ANNOUNCE_OWN && process_identity_read(announcement->pid, &identity) == 0)
        run = session_table_match(&service->sessions, &identity);
    if (run)
        session_run_announce(run, announcement);
    else
        drop_announcement(announcement);
}

/* Questions are answered at the control socket. */
static void decline(Announcement *announcement)
{
    if (announcement->type == ADA_ANNOUNCE_MARK)
        announce_server_answer(announcement, false);
    else
        announce_server_report(announcement, -1);
}

static void refill_tokens(Service *service, uint64_t now)
{
    double rate = (double)config_of(service)->announce_rate;

    service->announce_tokens += rate * (double)(now - service->announce_refilled) / (double)NS_PER_S;
    service->announce_refilled = now;
    if (service->announce_tokens > rate)
        service->announce_tokens = rate; /* a second's worth at once */
}

/* Those that come too fast wait in the socket's backlog, and who finds that full goes without. */
static void pause_announcements(Service *service, bool pause)
{
    struct epoll_event event = {.events = pause ? 0 : EPOLLIN, .data.u32 = WATCH_ANNOUNCEMENTS};

    if (service->announce_paused == pause)
        return;
    service->announce_paused = pause;
    (void)epoll_ctl(service->epoll, EPOLL_CTL_MOD, service->announce.epoll, &event);
    if (pause)
        service_log(&service->log, LOG_WARN, "announcements",
                    "processes announce themselves faster than announce_rate = %llu; they have to wait",
                    (unsigned long long)config_of(service)->announce_rate);
}

static void take_announcements(Service *service)
{
    Announcement announcement;

    refill_tokens(service, service_now_ns());
    while (service->announce_tokens >= 1 && announce_server_next(&service->announce, &announcement) == 1) {
        service->announce_tokens -= 1;
        if (announcement.answer_to >= 0)
            decline(&announcement);
        else
            route_announcement(service, &announcement);
    }
    pause_announcements(service, service->announce_tokens < 1);
}

/* ---- the loop --------------------------------------------------------------------------------- */

/* What systemctl status shows. */
static void tell_status(Service *service)
{
    ServiceStatus status;
    char text[64];

    service_fill_service(service, &status);
    if (service->ready && status.sessions == service->told_sessions &&
        status.sessions_running == service->told_running)
        return;
    service->told_sessions = status.sessions;
    service->told_running = status.sessions_running;
    (void)snprintf(text, sizeof(text), "STATUS=%u of %u sessions run", status.sessions_running,
                   status.sessions);
    service_manager_notify(text);
}

static void note_ready(Service *service)
{
    if (service->ready || session_table_is_starting(&service->sessions))
        return;
    service->ready = true;
    stored_segments_fini(&service->sessions.stored); /* of sessions that are no longer there */
    service_manager_notify("READY=1");
    service_log(&service->log, LOG_TELL, NULL, "ready");
}

static void do_what_is_due(Service *service)
{
    uint64_t now = service_now_ns();

    if (now >= service->sessions_due) {
        uint64_t answers_due = service_answer_waiting(service, now);

        service->sessions_due = session_table_check(&service->sessions, now);
        if (answers_due < service->sessions_due)
            service->sessions_due = answers_due;
    }
    service_metrics_update(&service->metrics, &service->sessions);
    tell_status(service);
    note_ready(service);
    if (service->watchdog_ns > 0 && now >= service->watchdog_due) {
        service_manager_notify("WATCHDOG=1");
        service->watchdog_due = now + service->watchdog_ns / 2; /* as systemd advises */
    }
    if (service->announce_paused)
        take_announcements(service);
}

/* In ms, for epoll_wait(2). */
static int time_to_wait(const Service *service)
{
    uint64_t now = service_now_ns(), due = service->sessions_due;

    if (service->watchdog_ns > 0 && service->watchdog_due < due)
        due = service->watchdog_due;
    if (service->stopping && service->stop_by < due)
        due = service->stop_by;
    if (service->announce_paused && now + 10 * NS_PER_MS < due)
        due = now + 10 * NS_PER_MS;
    if (due == UINT64_MAX)
        return -1;
    return due <= now ? 0 : (int)((due - now) / NS_PER_MS + 1);
}

static void obey(Service *service, uint32_t data)
{
    uint64_t changes;

    switch (data) {
    case WATCH_SIGNALS:
        take_signals(service);
        break;
    case WATCH_SESSIONS:
        (void)!read(service->state, &changes, sizeof(changes));
        service->sessions_due = 0;
        break;
    case WATCH_ANNOUNCEMENTS:
        take_announcements(service);
        break;
    case WATCH_CONTROL:
        control_server_serve(service->control);
        service_metrics_set_clients(&service->metrics, control_server_clients(service->control));
        break;
    case WATCH_OPENER:
        lose_opener(service);
        break;
    }
}

static bool is_over(const Service *service)
{
    return service->killed || (service->stopping && (!session_table_has_runs(&service->sessions) ||
                                                     service_now_ns() >= service->stop_by));
}

static void follow(Service *service)
{
    struct epoll_event events[16];

    do_what_is_due(service);
    while (!is_over(service)) {
        int count =
            epoll_wait(service->epoll, events, sizeof(events) / sizeof(events[0]), time_to_wait(service));

        for (int i = 0; i < count; i++)
            obey(service, events[i].data.u32);
        do_what_is_due(service);
    }
}

/* ---- setting up ------------------------------------------------------------------------------- */

static int watch_signals(Service *service)
{
    sigset_t mask;

    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGHUP);
    sigaddset(&mask, SIGUSR2);
    if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
        return -errno;
    service->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    return service->signals < 0 ? -errno : watch(service, service->signals, WATCH_SIGNALS);
}

static int set_up_loop(Service *service)
{
    int error;

    service->epoll = epoll_create1(EPOLL_CLOEXEC);
    service->state = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (service->epoll < 0 || service->state < 0)
        return -errno;
    error = watch(service, service->state, WATCH_SESSIONS);
    return error ? error : watch_signals(service);
}

/* The socket that systemd made under that name, or -1. */
static int take_listener(ManagerDescriptor *descriptors, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (descriptors[i].fd >= 0 && strcmp(descriptors[i].name, name) == 0) {
            int listener = descriptors[i].fd;

            descriptors[i].fd = -1;
            return listener;
        }
    }
    return -1;
}

static void tell_not_open(Service *service, const char *path, int error)
{
    service_log(&service->log, LOG_ERROR, NULL, "cannot listen at '%s': %s%s", path, strerror(-error),
                error == -EADDRINUSE ? "; another adatraced runs there" : "");
}

/* Takes `given` over; -1: there is none. */
static int open_announce_socket(Service *service, int given)
{
    const char *path = config_of(service)->announce_socket;
    SocketListener *listener = &service->announce_listener;
    int error = given >= 0 ? socket_listener_take(given, listener) : socket_listener_open(path, listener);

    if (error && given >= 0)
        close(given);
    if (!error)
        error = announce_server_open(&service->announce, path, listener->fd);
    if (!error) {
        listener->fd = -1; /* the server's now; the path stays ours */
        error = watch(service, service->announce.epoll, WATCH_ANNOUNCEMENTS);
    }
    if (error)
        tell_not_open(service, path, error);
    service->announce_refilled = service_now_ns();
    service->announce_tokens = (double)config_of(service)->announce_rate;
    return error;
}

/* The same. */
static int open_control_socket(Service *service, int listener)
{
    ControlServerConfig config = {
        .path = config_of(service)->control_socket,
        .listener = listener,
        .group = control_group_find(config_of(service)->control_group),
        .clients = (uint32_t)config_of(service)->control_clients,
        .handle = service_obey,
        .context = service,
    };
    int error = control_server_create(&config, &service->control);

    if (error && listener >= 0)
        close(listener);
    if (!error)
        error = watch(service, control_server_descriptor(service->control), WATCH_CONTROL);
    if (error)
        tell_not_open(service, config.path, error);
    return error;
}

static int open_sockets(Service *service)
{
    size_t count;
    ManagerDescriptor *descriptors = service_manager_take_descriptors(&count);
    int error;

    error = open_announce_socket(service, take_listener(descriptors, count, "announce"));
    if (!error)
        error = open_control_socket(service, take_listener(descriptors, count, "control"));
    for (size_t i = 0; i < count; i++) {
        if (descriptors[i].fd >= 0 && !stored_segments_take(&service->sessions.stored, &descriptors[i]))
            close(descriptors[i].fd);
    }
    free(descriptors);
    return error;
}

/* ---- rights ----------------------------------------------------------------------------------- */

/* In the opener: by the configuration's files as they are now, or as they were the last time that there were no mistakes in them. */
static bool may_run_as(void *context, const char *user)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static ServiceConfig *known;
    const ServiceOptions *options = context;
    ConfigMistakes mistakes = {0};
    ServiceConfig *config = NULL;
    bool may;

    pthread_mutex_lock(&lock); /* inih has a variable of its own */
    (void)service_config_load(options->config_path, &config, &mistakes);
    config_mistakes_fini(&mistakes);
    if (config) {
        service_config_destroy(known);
        known = config;
    }
    may = known && strcmp(known->run_user, user) == 0;
    pthread_mutex_unlock(&lock);
    return may;
}

/* While there is one thread, and nothing of other processes was read. 0, or what is wrong was logged. */
static int start_opener(Service *service)
{
    const OpenerConfig config = {.may_run_as = may_run_as, .context = (void *)(uintptr_t)service->options};
    int error = opener_start(&config);

    if (!error)
        error = watch(service, opener_end_fd(), WATCH_OPENER);
    if (error)
        service_log(&service->log, LOG_ERROR, NULL, "cannot start the process that opens things for it: %s",
                    strerror(-error));
    return error;
}

/* The same. The sockets are open by now, so that they may be where only root may make them. */
static int give_up_rights(Service *service)
{
    int error = confine_thread();

    if (error)
        service_log(&service->log, LOG_ERROR, NULL, "cannot give up the rights of root: %s", strerror(-error));
    else if (!confine_filters())
        service_log(&service->log, LOG_WARN, NULL,
                    "built without libseccomp: it has no rights, but may call all of the kernel");
    return error;
}

static int set_up(Service *service)
{
    ServiceConfig *config;
    int error = set_up_loop(service);

    if (error) {
        service_log(&service->log, LOG_ERROR, NULL, "cannot start: %s", strerror(-error));
        return error;
    }
    session_table_init(&service->sessions, &service->log, service->state);
    error = start_opener(service);
    if (error)
        return error;
    config = load_config(service);
    if (!config)
        return -EINVAL;
    error = session_table_apply(&service->sessions, config);
    if (error) {
        service_log(&service->log, LOG_ERROR, NULL, "cannot start: %s", strerror(-error));
        return error;
    }
    service->watchdog_ns = service_manager_watchdog_ns();
    error = open_sockets(service);
    if (!error)
        error = give_up_rights(service);
    if (!error)
        service_metrics_configure(&service->metrics, config_of(service));
    return error;
}

static void tear_down(Service *service)
{
    service_metrics_fini(&service->metrics);
    control_server_destroy(service->control);
    free(service->waiting);
    session_table_fini(&service->sessions);
    announce_server_fini(&service->announce);
    socket_listener_fini(&service->announce_listener);
    if (service->signals >= 0)
        close(service->signals);
    if (service->state >= 0)
        close(service->state);
    if (service->epoll >= 0)
        close(service->epoll);
    service_log_fini(&service->log);
}

int service_run(const ServiceOptions *options)
{
    Service service = {
        .options = options, .epoll = -1, .signals = -1, .state = -1, .started_at = service_now_ns()};
    int status = 1;

    service_log_init(&service.log, STDERR_FILENO, options->verbose);
    announce_server_clear(&service.announce);
    socket_listener_clear(&service.announce_listener);
    service_metrics_init(&service.metrics, &service.log);
    if (set_up(&service) == 0) {
        follow(&service);
        if (session_table_has_runs(&service.sessions)) {
            service_log(
                &service.log, LOG_ERROR, NULL,
                "sessions did not end in time: their last files stay partial, and go on with the next start");
            _exit(status); /* their threads hang, in a disk as a rule: waiting for them would be for nothing */
        }
        status = service.failed ? 1 : 0;
    }
    tear_down(&service);
    opener_stop();
    return status;
}
