/* SPDX-License-Identifier: MIT */
/* Where a session's files go: its directory, by the keys of its section. */
#ifndef ADA_SERVICE_SESSION_OUTPUT_H
#define ADA_SERVICE_SESSION_OUTPUT_H

#include "user/collector/trace_directory.h"
#include "user/service/service_config.h"

typedef struct SessionOutput {
    int fd; /* of the first file; the recorder's */
    SessionFiles files;
    TraceDirectory *directory;
    const ServiceSession *session;
    int open_error; /* last error of beginning a file, 0: none */
    /* From any thread: a file could not be made or completed. `topic` is for service_log(). */
    void (*on_error)(void *context, const char *topic, const char *text);
    void *context;
} SessionOutput;

/* Opens the directory, which is made if it is not there, and the first file in it. 0, -errno. */
int session_output_init(SessionOutput *output, const ServiceSession *session,
                        void (*on_error)(void *context, const char *topic, const char *text), void *context);

/* Waits until all files are on the disk. */
void session_output_fini(SessionOutput *output);

#endif
