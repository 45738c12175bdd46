/* SPDX-License-Identifier: MIT */
/* Where a session's files go, by the keys of its section: to its directory, or into memory until they are wanted. */
#ifndef ADA_SERVICE_SESSION_OUTPUT_H
#define ADA_SERVICE_SESSION_OUTPUT_H

#include "user/collector/flight_recorder.h"
#include "user/service/service_config.h"

typedef struct SessionOutput {
    int fd; /* of the first file; the recorder's */
    SessionFiles files;
    TraceDirectory *directory;
    FlightRecorder *flight; /* NULL: files go to the disk as they come */
    const ServiceSession *session;
    int open_error; /* last error of beginning a file, 0: none */
    /* From any thread: a file could not be made or completed. `topic` is for service_log(). */
    void (*on_error)(void *context, const char *topic, const char *text);
    void *context;
} SessionOutput;

/* Opens the directory, which is made if it is not there, and the first file in it. 0, -errno. */
int session_output_init(SessionOutput *output, const ServiceSession *session,
                        void (*on_error)(void *context, const char *topic, const char *text), void *context);

/* Wants what a flight recorder has; for others nothing happens. The recorder should then begin its next file. Any thread. */
void session_output_snapshot(SessionOutput *output);

/* Waits until all files that are wanted are on the disk. */
void session_output_fini(SessionOutput *output);

#endif
