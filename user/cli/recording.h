/* SPDX-License-Identifier: MIT */
/* One recording as a command runs it: the file, what is said meanwhile, errors, the summary. */
#ifndef ADA_CLI_RECORDING_H
#define ADA_CLI_RECORDING_H

#include "user/cli/record_options.h"
#include "user/cli/summary.h"
#include "user/collector/trace_directory.h"

/* Where a recording goes: a file, or the first of several in a directory. */
typedef struct RecordingOutput {
    int fd;                    /* the file's */
    TraceDirectory *directory; /* NULL: it is the only one */
    SessionFiles files;        /* how it goes on from there; refers to this object */
    const RecordOptions *options;
    int open_error; /* why the next file could not be begun, if that was said */
} RecordingOutput;

/* Makes options->output. False: it cannot be, and that was said. */
bool recording_create_output(const RecordOptions *options, RecordingOutput *output);

/*
 * Records to the end. The caller has filled in what is to be recorded, and `strings`; *output is taken over. CLI_OK and *recorder_out, for
 * recorder_destroy(); else the exit status, with the error said and the file removed, which holds nothing.
 */
int recording_run(const RecordOptions *options, RecorderConfig *config, RecordingOutput *output,
                  Recorder **recorder_out);

/*
 * Once recorder_result() was asked, and the recorder is destroyed: the files are on the disk. `complete`: so the recorder says; then they also get the
 * names of functions, if that is wanted. False: one is not, and that was said.
 */
bool recording_finish_output(const RecordOptions *options, RecordingOutput *output, bool complete);

/* Removes an output in which nothing will be recorded, and closes it. */
void recording_drop_output(const RecordOptions *options, RecordingOutput *output);

/* Prints the summary, for people or as JSON. */
void recording_print(const RecordOptions *options, const RecordSummary *summary);

#endif
