/* SPDX-License-Identifier: MIT */
/* A thread for each conversation, as what is asked may take its time: a disk that hangs, programs that the kernel verifies. */
#define _GNU_SOURCE
#include "user/access/opener_server.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "user/access/opener_here.h"
#include "user/access/opener_message.h"
#include "user/access/output_place.h"
#include "user/kernel/kernel_programs.h"

#define STACK_BYTES (512u << 10) /* of a conversation: messages are 24 KiB, and libbpf needs the rest */
#define LINGER_S 5               /* for what hangs in the kernel, once the other side has gone */

/* All conversations. */
typedef struct Server {
    const OpenerConfig *config;
    pthread_mutex_t lock; /* guards all else */
    pthread_cond_t ended;
    uint32_t conversations;
} Server;

typedef struct Conversation {
    Server *server;
    int fd;
    OpenerRequest request;
    OpenerReply reply;
    int descriptors[OPENER_DESCRIPTORS_MAX]; /* of the reply */
    bool keeps;                              /* these stay ours */
    KernelUprobe uprobes[ADA_KERNEL_UPROBES];
    uint32_t uprobe_count;
    KernelPrograms *programs; /* NULL: none */
    HookProcess hook;         /* pid 0: none */
} Conversation;

/* ---- texts ---------------------------------------------------------------------------------------- */

/* The string after `text`, or the first (NULL); NULL: there are no more. */
static const char *next_text(const OpenerRequest *request, const char *text)
{
    const char *next = text ? text + strlen(text) + 1 : request->text;

    return next < request->text + request->text_bytes ? next : NULL; /* the last one ends within */
}

static void put_text(Conversation *self, const char *text)
{
    size_t size = strlen(text);

    if (size > sizeof(self->reply.text) - 1)
        size = sizeof(self->reply.text) - 1;
    memcpy(self->reply.text, text, size);
    self->reply.text[size] = '\0';
    self->reply.text_bytes = (uint32_t)size + 1;
}

/* ---- answers -------------------------------------------------------------------------------------- */

/* A descriptor or -errno. */
static int give(Conversation *self, int fd)
{
    if (fd < 0)
        return fd;
    self->descriptors[self->reply.descriptors++] = fd;
    return 0;
}

static int give_place(Conversation *self)
{
    const char *path = next_text(&self->request, NULL);
    bool made = false;
    int fd = path ? opener_here_place(path, self->request.flag != 0, &made) : -EPROTO;

    self->reply.yes = made;
    return give(self, fd);
}

static int give_path(Conversation *self)
{
    char path[PATH_MAX];

    opener_here_program(self->request.pid, path, sizeof(path));
    put_text(self, path);
    return 0;
}

static int make_parents(const Conversation *self)
{
    const char *path = next_text(&self->request, NULL);

    return path && *path ? opener_here_make_parents(path) : -EPROTO;
}

static int share(const Conversation *self)
{
    const char *path = next_text(&self->request, NULL);

    return path ? opener_here_share(path, self->request.user) : -EPROTO;
}

/* ---- the kernel ----------------------------------------------------------------------------------- */

static int note_uprobe(Conversation *self)
{
    const char *binary = next_text(&self->request, NULL);
    const char *symbol = binary ? next_text(&self->request, binary) : NULL;
    KernelUprobe uprobe = {.returns = self->request.flag != 0};

    if (!symbol || self->programs || self->uprobe_count == ADA_KERNEL_UPROBES)
        return -EPROTO;
    uprobe.binary = strdup(binary);
    uprobe.symbol = strdup(symbol);
    if (uprobe.binary && uprobe.symbol) {
        self->uprobes[self->uprobe_count++] = uprobe;
        return 0;
    }
    free((char *)uprobe.binary);
    free((char *)uprobe.symbol);
    return -ENOMEM;
}

static void give_handles(Conversation *self)
{
    OpenerHandles *handles = &self->reply.handles;
    KernelHandles all;

    kernel_programs_handles(self->programs, &all);
    *handles = (OpenerHandles){.follows = all.follows, .tells_segments = all.tells_segments};
    for (uint32_t i = 0; i < KERNEL_HANDLES; i++) {
        handles->there[i] = all.fds[i] >= 0;
        if (handles->there[i])
            (void)give(self, all.fds[i]);
    }
    self->keeps = true;
}

static int load_programs(Conversation *self)
{
    const OpenerKernel *wanted = &self->request.kernel;
    KernelAssistConfig config = {
        .lifecycle_ring_bytes = wanted->lifecycle_ring_bytes,
        .sched_ring_bytes = wanted->sched_ring_bytes,
        .follow = (wanted->flags & OPENER_KERNEL_FOLLOW) != 0,
        .sched_records = (wanted->flags & OPENER_KERNEL_SCHED_RECORDS) != 0,
        .off_cpu_ns = wanted->off_cpu_ns,
        .runqueue_ns = wanted->runqueue_ns,
        .syscalls = wanted->flags & OPENER_KERNEL_SYSCALLS ? wanted->syscalls : NULL,
        .uprobes = self->uprobes,
        .uprobe_count = self->uprobe_count,
        .all_execs = (wanted->flags & OPENER_KERNEL_ALL_EXECS) != 0,
        .segments = (wanted->flags & OPENER_KERNEL_SEGMENTS) != 0,
        .all_segments = (wanted->flags & OPENER_KERNEL_ALL_SEGMENTS) != 0,
    };
    char reason[KERNEL_REASON_SIZE] = "";
    int error = self->programs ? -EPROTO : kernel_programs_create(&config, &self->programs, reason);

    if (error)
        put_text(self, reason);
    else
        give_handles(self);
    return error;
}

static int follow(Conversation *self)
{
    return self->programs ? kernel_programs_follow(self->programs, self->request.flag != 0) : -EPROTO;
}

/* ---- hooks ---------------------------------------------------------------------------------------- */

static int start_hook(Conversation *self, int input)
{
    const OpenerConfig *config = self->server->config;
    HookCommand command = {.input = input};
    HookUser user;
    int error;

    command.program = next_text(&self->request, NULL);
    command.user = command.program ? next_text(&self->request, command.program) : NULL;
    command.session = command.user ? next_text(&self->request, command.user) : NULL;
    command.file = command.session ? next_text(&self->request, command.session) : NULL;
    if (!command.file || input < 0 || self->hook.pid != 0)
        return -EPROTO;
    if (!config->may_run_as(config->context, command.user))
        return -EPERM;
    error = hook_user_find(command.user, &user);
    if (!error)
        error = opener_here_hook(&command, &user, &self->hook);
    if (error)
        return error;
    self->reply.pid = self->hook.pid;
    (void)give(self, self->hook.pidfd);
    (void)give(self, self->hook.output);
    (void)give(self, self->hook.report);
    return 0;
}

static int kill_hook(const Conversation *self)
{
    if (self->hook.pid == 0)
        return -EPROTO;
    opener_here_kill_hook(&self->hook);
    return 0;
}

/* It is nobody's child any more then. */
static int wait_for_hook(Conversation *self)
{
    siginfo_t end = {0};
    int error;

    if (self->hook.pid == 0)
        return -EPROTO;
    error = opener_here_wait_for_hook(&self->hook, self->request.flag != 0, &end);
    if (!error && end.si_pid != 0)
        self->hook.pid = 0;
    self->reply.end = end;
    return error;
}

/* ---- conversations -------------------------------------------------------------------------------- */

static int obey(Conversation *self, int input)
{
    const OpenerRequest *request = &self->request;

    switch ((enum opener_operation)request->operation) {
    case OPENER_IDENTITY:
        return opener_here_identity(request->pid, &self->reply.identity);
    case OPENER_PROGRAM:
        return give_path(self);
    case OPENER_FIND:
        return opener_here_find(request->pid, request->flag != 0, &self->reply.places);
    case OPENER_OPEN:
        return give(self, opener_here_open(request->pid, &request->place));
    case OPENER_TAKE:
        return give(self, opener_here_take(input, request->pid, request->place.number));
    case OPENER_ANY:
        self->reply.yes = opener_here_any(request->pid);
        return 0;
    case OPENER_HAS:
        self->reply.yes = opener_here_has(request->pid, &request->place);
        return 0;
    case OPENER_PARENTS:
        return make_parents(self);
    case OPENER_PLACE:
        return give_place(self);
    case OPENER_SHARE:
        return share(self);
    case OPENER_UPROBE:
        return note_uprobe(self);
    case OPENER_KERNEL:
        return load_programs(self);
    case OPENER_FOLLOW:
        return follow(self);
    case OPENER_HOOK:
        return start_hook(self, input);
    case OPENER_HOOK_KILL:
        return kill_hook(self);
    case OPENER_HOOK_WAIT:
        return wait_for_hook(self);
    case OPENER_OPERATIONS:
        break;
    }
    return -EPROTO;
}

/* False: the other side has gone. */
static bool answer(Conversation *self, int input)
{
    int error;

    memset(&self->reply, 0, offsetof(OpenerReply, text));
    self->keeps = false;
    self->reply.result = obey(self, input);
    error = opener_send_reply(self->fd, &self->reply, self->descriptors);
    for (uint32_t i = 0; i < self->reply.descriptors && !self->keeps; i++)
        close(self->descriptors[i]);
    return !error;
}

static void converse(Conversation *self)
{
    int input;

    while (opener_receive_request(self->fd, &self->request, &input) == 0) {
        bool goes_on = answer(self, input);

        if (input >= 0)
            close(input);
        if (!goes_on)
            break;
    }
    kernel_programs_destroy(self->programs);
    for (uint32_t i = 0; i < self->uprobe_count; i++) {
        free((char *)self->uprobes[i].binary);
        free((char *)self->uprobes[i].symbol);
    }
    if (self->hook.pid != 0) {
        opener_here_kill_hook(&self->hook);
        (void)opener_here_wait_for_hook(&self->hook, true, &(siginfo_t){0});
    }
    close(self->fd);
    free(self);
}

static void *conversation_main(void *argument)
{
    Conversation *self = argument;
    Server *server = self->server;

    converse(self);
    pthread_mutex_lock(&server->lock);
    server->conversations--;
    pthread_cond_signal(&server->ended);
    pthread_mutex_unlock(&server->lock);
    return NULL;
}

/* Counts it in. False: there are too many. */
static bool take_place(Server *server)
{
    bool room;

    pthread_mutex_lock(&server->lock);
    room = server->conversations < OPENER_CONVERSATIONS_MAX;
    server->conversations += room;
    pthread_mutex_unlock(&server->lock);
    return room;
}

/* Takes the descriptor over. A conversation that cannot be is closed, which the other side sees. */
static void begin(Server *server, const pthread_attr_t *attributes, int fd)
{
    Conversation *self = NULL;
    pthread_t thread;

    if (!take_place(server)) {
        close(fd);
        return;
    }
    self = calloc(1, sizeof(*self));
    if (self) {
        self->server = server;
        self->fd = fd;
        if (pthread_create(&thread, attributes, conversation_main, self) == 0)
            return;
    }
    free(self);
    close(fd);
    pthread_mutex_lock(&server->lock);
    server->conversations--;
    pthread_mutex_unlock(&server->lock);
}

void opener_serve(int channel, const OpenerConfig *config)
{
    static Server server = {.lock = PTHREAD_MUTEX_INITIALIZER}; /* threads that hang may outlive this */
    struct timespec until;
    pthread_attr_t attributes;
    int fd, error;

    server.config = config;
    if (pthread_cond_init(&server.ended, NULL) != 0 || pthread_attr_init(&attributes) != 0)
        return;
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
    while ((error = opener_receive_end(channel, &fd)) == 0 || error == -EMFILE) {
        if (!error)
            begin(&server, &attributes, fd);
    }
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LINGER_S;
    pthread_mutex_lock(&server.lock);
    while (server.conversations > 0 && pthread_cond_timedwait(&server.ended, &server.lock, &until) == 0)
        ;
    pthread_mutex_unlock(&server.lock);
    (void)pthread_attr_destroy(&attributes);
}
