/* SPDX-License-Identifier: MIT */
/*
 * Asking the service, adatraced, at its control socket (docs/control-protocol.md).
 *
 *     ControlQuestion question;
 *     error = control_question_begin(&question, "stop");
 *     if (!error) {
 *         json_string(&question.json, "session", name);
 *         error = control_ask(path, &question, &answer);     // ends the question, whatever comes
 *     }
 *     if (error)
 *         control_explain("stop", path, error, &answer);
 *     control_answer_fini(&answer);
 */
#ifndef ADA_CLI_CONTROL_CLIENT_H
#define ADA_CLI_CONTROL_CLIENT_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/control_abi.h"
#include "user/base/json.h"

typedef struct ControlQuestion {
    JsonWriter json; /* within the object: for more fields */
    FILE *out;
    char *text;
    size_t size;
} ControlQuestion;

/* Starts as {0}. Texts belong to `root`. */
typedef struct ControlAnswer {
    const cJSON *result; /* an object; NULL: it was an error */
    const char *code;    /* ADA_CONTROL_*, of an error; else NULL */
    const char *message;
    cJSON *root;
} ControlAnswer;

/* Where the service listens: `given` (--socket), if that is not NULL, else $ADATRACE_CONTROL, else the default. */
const char *control_socket_path(const char *given);

/* Whether somebody said where: then it is a mistake if no service is there. */
bool control_socket_is_chosen(const char *given);

/* -ENOMEM. */
int control_question_begin(ControlQuestion *question, const char *command);

/*
 * Asks, and waits a minute for the answer, for a session may take long to stop. 0, and answer_out->result; -EREMOTEIO, and its code and
 * message: the service refuses; -ENOENT, -ECONNREFUSED: no service runs; -EACCES: the socket is not for this user; -ECONNRESET, -EPIPE: it
 * hung up; -ETIMEDOUT; -EPROTO: the answer is not understood; -EMSGSIZE: the question is too long; -ENAMETOOLONG; -ENOMEM. On failure
 * as well *answer_out is for control_answer_fini().
 */
int control_ask(const char *path, ControlQuestion *question, ControlAnswer *answer_out);
void control_answer_fini(ControlAnswer *answer);

/* Whether an error means that no service runs. */
bool control_no_service(int error);

/* Whether the service refused with that code, one of ADA_CONTROL_*. */
bool control_refused(int error, const ControlAnswer *answer, const char *code);

/* Says for a command why control_ask() failed. */
void control_explain(const char *command, const char *path, int error, const ControlAnswer *answer);

#endif
