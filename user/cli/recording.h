/* SPDX-License-Identifier: MIT */
/* One recording as a command runs it: the file, what is said meanwhile, errors, the summary. */
#ifndef ADA_CLI_RECORDING_H
#define ADA_CLI_RECORDING_H

#include "user/cli/record_options.h"
#include "user/cli/summary.h"

/* The descriptor of a new file at options->output, or -1 after saying why not. */
int recording_create_output(const RecordOptions *options);

/*
 * Records to the end. The caller has filled in what is to be recorded, and `strings`; `output` is taken over. CLI_OK and *recorder_out, for
 * recorder_destroy(); else the exit status, with the error said and the file removed, which holds nothing.
 */
int recording_run(const RecordOptions *options, RecorderConfig *config, int output, Recorder **recorder_out);

/* Removes a file in which nothing will be recorded, and closes it. */
void recording_drop_output(const RecordOptions *options, int output);

/* Prints the summary, for people or as JSON. */
void recording_print(const RecordOptions *options, const RecordSummary *summary);

#endif
