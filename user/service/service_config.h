/* SPDX-License-Identifier: MIT */
/*
 * The configuration of the service: adatraced.conf, and conf.d/NAME.conf beside it in the byte order of their names.
 *
 *     [service]
 *     log_directory = /srv/traces
 *
 *     [session shop]
 *     attach = unit=shop.service
 *     mark = span=request>10ms
 *
 * Each file is read as config_file.h says. A later file may set keys of [service] anew; a session is defined in one place.
 * Each key is a member below, under the same name but for units, with its default and what it may be; in sizes K, M and G are
 * powers of 1024, times have the units ns, us, ms, s, m, h, d (none: seconds). docs/man/adatraced.conf.5 explains them.
 *
 * A configuration never changes once it is loaded; any thread may read it.
 */
#ifndef ADA_SERVICE_SERVICE_CONFIG_H
#define ADA_SERVICE_SERVICE_CONFIG_H

#include "user/collector/recorder.h"
#include "user/service/config_mistakes.h"
#include "user/service/session_attach.h"

#define SERVICE_CONFIG_PATH "/etc/adatrace/adatraced.conf"
#define SERVICE_CONFIG_FILES_MAX 256u /* in conf.d */
#define SERVICE_SESSIONS_MAX 64u
#define SERVICE_SESSION_NAME_MAX 64u /* characters: A-Z a-z 0-9 _ . -, the first not a dot */
#define SERVICE_SOCKET_PATH_MAX 107u /* sun_path of unix(7), without its NUL */

/* [session NAME]. Of keys that repeat there are 64 lines at most, of attach 256. */
typedef struct ServiceSession {
    char *name;
    bool enabled;         /* yes: runs as soon as the service does; no: when it is told to */
    SessionAttach attach; /* session_attach.h; repeats, at least one */
    uint32_t index;   /* "always" (0), which is all there is: events without payloads are always recorded */
    uint32_t detail;  /* ADA_DETAIL_*; "marked" (default), "always", "off" */
    MarkRules marks;  /* mark; repeats */
    bool mark_wakers; /* no; yes needs a mark offcpu>TIME */
    bool sched;       /* no */
    bool traces_syscalls; /* those in `syscalls`; "off" (default): none, "all", or names and patterns with commas */
    SyscallSet syscalls;
    char *syscalls_text;                      /* as given */
    KernelUprobe uprobes[ADA_KERNEL_UPROBES]; /* uprobe; repeats. `binary` is allocated, `symbol` is a part of it */
    uint32_t uprobe_count;
    uint32_t scheduler;   /* enum drain_scheduler_kind; "adaptive" */
    WeightRules weights;  /* weight; repeats. Needs the scheduler "weighted" */
    uint32_t policy;      /* ADA_POLICY_*; "discard" (default), "block", "overwrite" */
    uint64_t threads;     /* 256; 1 to 4096 */
    uint64_t ring_size;   /* bytes; 64K; multiples of 4K from 4K to 64M */
    char *output;         /* directory; the session's name. What is not absolute is below log_directory */
    uint64_t rotate_size; /* bytes of a file; 256M; 1M to 1024G */
    uint64_t rotate_time; /* ns of a file; 1h; 1s to 365d, or off: 0 */
    uint64_t max_total; /* bytes of the session; 10G; 2M to 1048576G and at least 2 rotate_size, or off: 0 */
    uint64_t max_age;   /* ns of a file; 7d; 1m to 3650d and at least rotate_time, or off: 0 */
    uint64_t min_free;  /* bytes on the disk; 1G; 1M to 1048576G, or off: 0 */
    bool compress;      /* no */
    char *hook;         /* program that is run for each finished file; NULL: off (default) */
    uint64_t hook_timeout;  /* ns; 1m; 1s to 1h */
    bool flight_recorder;   /* no */
    uint64_t pre_roll;      /* ns; 10s; 0s to 1h */
    uint64_t post_roll;     /* ns; 5s; 0s to 1h */
    uint64_t flight_memory; /* bytes; 256M; 1M to 64G */
} ServiceSession;

/* [service] */
typedef struct ServiceConfig {
    char *control_socket;     /* /run/adatrace/control.sock; 107 characters at most */
    char *control_group;      /* adatrace: its members may control all sessions */
    uint64_t control_clients; /* at a time; 64; 1 to 1024 */
    char *announce_socket;    /* /run/adatrace/announce.sock; 107 characters at most */
    uint64_t announce_rate;   /* announcements per second; 1000; 1 to 1000000 */
    char *log_directory;      /* /var/log/adatrace */
    char *state_directory;    /* /var/lib/adatrace */
    bool metrics_served;      /* at metrics_address. metrics_listen: off (default), or [ADDRESS:]PORT */
    MetricsAddress metrics_address;
    uint64_t metrics_interval; /* ns; 1s; 100ms to 60s */
    char *run_user;            /* of hooks; nobody; not root */
    ServiceSession *sessions;  /* in the order of the files */
    size_t session_count;
    size_t session_capacity;
} ServiceConfig;

/*
 * Loads the file and those in conf.d. 0, and *config_out is the caller's to destroy; -EINVAL: there are mistakes, all of
 * which were added; -ENOMEM.
 */
int service_config_load(const char *path, ServiceConfig **config_out, ConfigMistakes *mistakes);

/* The same of a text; `name` is for mistakes. */
int service_config_parse(const char *name, const char *text, size_t size, ServiceConfig **config_out,
                         ConfigMistakes *mistakes);

/* NULL is allowed. */
void service_config_destroy(ServiceConfig *config);

/* Whether it records what the kernel sees of its processes, so that they need not use libadatrace. */
bool service_session_sees_kernel(const ServiceSession *session);

/* Whether both say the same, key by key. False also without the memory to look. */
bool service_session_equals(const ServiceSession *left, const ServiceSession *right);

/* Writes all keys, defaults as well, as a file that is read as this configuration. Write errors stay in the stream. */
void service_config_print(const ServiceConfig *config, FILE *out);

#endif
