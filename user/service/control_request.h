/* SPDX-License-Identifier: MIT */
/*
 * A request on the control socket, read and checked: docs/control-protocol.md.
 *
 *     {"version":1,"id":7,"command":"attach","pids":[12],"options":{"sched":"yes","mark":["offcpu>10ms"]}}
 *
 * What is not understood to the last field is refused: a request is never done by halves. Texts are UTF-8 without control
 * characters. Whether a session, a process or an option exists is for who handles the request.
 */
#ifndef ADA_SERVICE_CONTROL_REQUEST_H
#define ADA_SERVICE_CONTROL_REQUEST_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "shared/control_abi.h"

#define CONTROL_PIDS_MAX 1024u             /* of one request */
#define CONTROL_OPTIONS_MAX 512u           /* values of all keys together */
#define CONTROL_ID_MAX 9007199254740991ull /* 2^53 - 1: what every JSON library keeps exactly */

enum control_command {
    CONTROL_LIST,
    CONTROL_STATUS,
    CONTROL_START,
    CONTROL_STOP,
    CONTROL_ATTACH,
    CONTROL_DETACH,
    CONTROL_MARK,
    CONTROL_SNAPSHOT,
    CONTROL_ROTATE,
    CONTROL_RELOAD,
    CONTROL_VERSION,
    CONTROL_COMMANDS,
};

/* A line of a session's section in adatraced.conf(5). */
typedef struct ControlOption {
    const char *key;
    const char *value;
} ControlOption;

typedef struct ControlRequest {
    bool has_id; /* also of many that are refused, so that the answer can name it */
    uint64_t id;
    enum control_command command;
    const char *session; /* a valid name; NULL: not given */
    pid_t pid;           /* 0: not given */
    const char *name;    /* CONTROL_ATTACH: how the session is to be called; NULL: as the service likes */
    pid_t *pids;         /* CONTROL_ATTACH: each once, in the order given */
    size_t pid_count;
    ControlOption *options; /* the same; a key with several values is here as often, in their order */
    size_t option_count;
    void *root; /* what the texts are in */
} ControlRequest;

/* Why a request is refused: one of ADA_CONTROL_*, and one line for the user. */
typedef struct ControlRefusal {
    const char *code;
    char text[512];
} ControlRefusal;

/*
 * Reads a packet, which needs no NUL at its end. 0; -EINVAL, and *refusal_out; -ENOMEM. Whatever it returns, *request_out is for
 * control_request_fini().
 */
int control_request_parse(const char *text, size_t size, ControlRequest *request_out,
                          ControlRefusal *refusal_out);
void control_request_fini(ControlRequest *request);

/* "list" ... */
const char *control_command_name(enum control_command command);

/* Whether a session may be called so: as SERVICE_SESSION_NAME_MAX of service_config.h says. */
bool control_session_name_is_valid(const char *name);

/* Sets a refusal's code and text; control characters become '?'. Returns -EINVAL. */
int control_refuse(ControlRefusal *refusal, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void control_refuse_v(ControlRefusal *refusal, const char *code, const char *format, va_list args);

#endif
