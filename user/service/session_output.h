/* SPDX-License-Identifier: MIT */
/*
 * Where a session's files go, by the keys of its section: to its directory, or into memory until they are wanted. What a service that
 * was killed left in the directory is put in order first, and what is in it is known then, so that nothing is recorded twice.
 */
#ifndef ADA_SERVICE_SESSION_OUTPUT_H
#define ADA_SERVICE_SESSION_OUTPUT_H

#include "user/collector/flight_recorder.h"
#include "user/file/adat_recover.h"
#include "user/service/hook_runner.h"
#include "user/service/service_config.h"

#define SESSION_HOOK_GRACE_NS 1000000000ull /* at the end, for hooks of files that were just completed */

/* From any thread. */
typedef struct SessionOutputCalls {
    /* Something with files or hooks failed. `topic` is for service_log(). */
    void (*on_error)(void *context, const char *topic, const char *text);
    /* A file is complete, and on the disk. */
    void (*on_complete)(void *context, const char *path);
    void *context;
} SessionOutputCalls;

typedef struct SessionOutput {
    int fd; /* of the first file; the recorder's */
    SessionFiles files;
    AdatRecovery *recovered; /* what files of earlier runs have */
    TraceDirectory *directory;
    FlightRecorder *flight; /* NULL: files go to the disk as they come */
    HookRunner *hook;       /* NULL: there is none */
    const ServiceSession *session;
    int open_error; /* last error of beginning a file, 0: none */
    SessionOutputCalls calls;
} SessionOutput;

/*
 * Opens the directory, which is made if it is not there, and the first file in it. `run_user` is for hooks; the user `reader`, if
 * there is one, may read the files. 0, -errno: nothing is left
 * open, and *what_out says what failed on what, as in "cannot WHAT: ...".
 */
int session_output_init(SessionOutput *output, const ServiceSession *session, const char *run_user,
                        const uid_t *reader, const SessionOutputCalls *calls, const char **what_out);

/* Wants what a flight recorder has; for others nothing happens. The recorder should then begin its next file. Any thread. */
void session_output_snapshot(SessionOutput *output);

/* Waits until all files that are wanted are on the disk. */
void session_output_fini(SessionOutput *output);

#endif
