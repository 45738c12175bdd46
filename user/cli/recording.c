/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/cli/recording.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/cli/cli.h"
#include "user/cli/embed_symbols.h"

/* ---- the file --------------------------------------------------------------------------------- */

static void tell_not_created(const RecordOptions *options, int error)
{
    if (error == -EEXIST)
        cli_error(options->command,
                  "cannot create '%s': it exists already; remove it, or choose another name with -o",
                  options->output);
    else
        cli_error(options->command, "cannot create '%s': %s; choose another place with -o", options->output,
                  strerror(-error));
}

static int create_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);

    return fd < 0 ? -errno : fd;
}

static int open_next(void *context)
{
    RecordingOutput *output = context;
    int fd = trace_directory_open_next(output->directory);

    if (fd < 0 && fd != output->open_error)
        cli_error(
            output->options->command,
            "cannot begin another file in '%s': %s; the recording goes on in the present one, and it is tried again",
            output->options->output, strerror(-fd));
    output->open_error = fd < 0 ? fd : 0;
    return fd;
}

static void finished(void *context, int fd, bool complete)
{
    const RecordingOutput *output = context;

    trace_directory_finished(output->directory, fd, complete);
}

static int create_directory(const RecordOptions *options, RecordingOutput *output)
{
    const TraceDirectoryConfig config = {.path = options->output, .keep_bytes = options->keep_bytes};
    int fd, error = trace_directory_create(&config, &output->directory);

    if (error)
        return error;
    output->files = (SessionFiles){
        .bytes = options->rotate_bytes,
        .duration_ns = options->rotate_ns,
        .open_next = open_next,
        .finished = finished,
        .context = output,
    };
    fd = trace_directory_open_next(output->directory);
    if (fd < 0) {
        trace_directory_drop(output->directory);
        output->directory = NULL;
    }
    return fd;
}

bool recording_create_output(const RecordOptions *options, RecordingOutput *output)
{
    *output = (RecordingOutput){.options = options};
    output->fd =
        record_options_rotate(options) ? create_directory(options, output) : create_file(options->output);
    if (output->fd < 0)
        tell_not_created(options, output->fd);
    return output->fd >= 0;
}

/* What was made, when nothing is in it. */
static void remove_output(const RecordOptions *options, RecordingOutput *output)
{
    if (output->directory)
        trace_directory_drop(output->directory);
    else
        (void)unlink(options->output);
    output->directory = NULL;
}

void recording_drop_output(const RecordOptions *options, RecordingOutput *output)
{
    close(output->fd);
    remove_output(options, output);
}

bool recording_finish_output(const RecordOptions *options, RecordingOutput *output, bool complete)
{
    int error = trace_directory_destroy(output->directory);

    output->directory = NULL;
    if (error)
        cli_error(
            options->command,
            "a file in '%s' is not completed, or an old one not removed: %s; see which are called .partial there",
            options->output, strerror(-error));
    else if (complete && options->embed_symbols)
        embed_symbols(options->command, options->output, record_options_rotate(options));
    return error == 0;
}

/* ---- what is said meanwhile ------------------------------------------------------------------- */

/* What the recorder's calls are about. */
typedef struct Telling {
    const RecordOptions *options;
    const MetricsAddress *address; /* where metrics are served */
    void (*on_attached)(void *context);
    void *context; /* of on_attached */
} Telling;

/* For those who look after metrics: others are not to be disturbed by their recorder. */
static void on_anomaly(void *context, enum metrics_anomaly anomaly)
{
    const Telling *telling = context;

    if (telling->options->metrics_file || telling->options->metrics_served)
        cli_error(telling->options->command, "%s: %s", metrics_anomaly_name(anomaly),
                  metrics_anomaly_text(anomaly));
}

static void on_kernel_missing(void *context, const MarkRule *rule, const char *reason)
{
    const Telling *telling = context;

    if (rule)
        cli_error(telling->options->command,
                  "--mark '%s' needs kernel assistance, which is not to be had: %s", rule->text, reason);
    else
        cli_error(telling->options->command, "--%s needs kernel assistance, which is not to be had: %s",
                  telling->options->sched             ? "sched"
                  : telling->options->traces_syscalls ? "syscalls"
                                                      : "uprobe",
                  reason);
}

static void on_metrics_served(void *context)
{
    const Telling *telling = context;
    char address[METRICS_ADDRESS_TEXT];

    metrics_address_format(telling->address, address);
    cli_error(telling->options->command, "metrics are at http://%s/%s", address,
              metrics_address_is_loopback(telling->address) ? "" : ", for whoever reaches that address");
}

static void on_metrics_state(void *context, int error)
{
    const Telling *telling = context;

    if (error)
        cli_error(telling->options->command,
                  "writing metrics to '%s' failed: %s; the recording goes on, and it is tried again",
                  telling->options->metrics_file, strerror(-error));
    else
        cli_error(telling->options->command, "writing metrics to '%s' works again",
                  telling->options->metrics_file);
}

static void on_write_state(void *context, int error)
{
    const Telling *telling = context;
    const char *path = telling->options->output;

    if (error)
        cli_error(telling->options->command,
                  "writing '%s' failed: %s; events are lost, and counted, until it works again", path,
                  strerror(-error));
    else
        cli_error(telling->options->command, "writing '%s' works again", path);
}

static void on_attached(void *context)
{
    const Telling *telling = context;

    if (telling->on_attached)
        telling->on_attached(telling->context);
}

/* ---- the recording ---------------------------------------------------------------------------- */

/* Exit status for a command that could not be recorded; removes the file, which holds nothing. */
static int report_failure(const RecordOptions *options, const RecorderConfig *config, RecordingOutput *output,
                          enum recorder_stage stage, int error)
{
    const char *reason = strerror(-error);

    remove_output(options, output);
    switch (stage) {
    case RECORDER_STAGE_PROGRAM:
        cli_error(options->command, "cannot run '%s': %s", config->argv[0], reason);
        return error == -ENOENT ? 127 : 126;
    case RECORDER_STAGE_KERNEL:
        break; /* said */
    case RECORDER_STAGE_METRICS_FILE:
        cli_error(options->command, "cannot start the thread that writes metrics to '%s': %s",
                  options->metrics_file, reason);
        break;
    case RECORDER_STAGE_METRICS_SERVER: {
        char address[METRICS_ADDRESS_TEXT];

        metrics_address_format(&options->metrics_address, address);
        cli_error(options->command, "cannot serve metrics at %s: %s", address,
                  error == -ENOSYS ? "this adatrace was built without libmicrohttpd" : reason);
        return CLI_FAILURE;
    }
    case RECORDER_STAGE_FILE:
        cli_error(options->command, "cannot write '%s': %s; choose another place with -o", options->output,
                  reason);
        break;
    case RECORDER_STAGE_SEGMENT:
        cli_error(options->command,
                  "cannot make the shared memory for %u threads with rings of %u bytes: %s; try less with --threads or "
                  "--ring-size",
                  config->segment.threads, config->segment.ring_bytes, reason);
        break;
    case RECORDER_STAGE_SOCKET:
        cli_error(
            options->command,
            "cannot make the socket for traced processes in '%s': %s; set TMPDIR to a directory that can be written",
            getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", reason);
        break;
    case RECORDER_STAGE_TARGET:
        cli_error(options->command, "cannot take the processes over: %s", reason);
        break;
    default:
        cli_error(options->command, "cannot start recording: %s", reason);
        break;
    }
    return CLI_FAILURE;
}

int recording_run(const RecordOptions *options, RecorderConfig *config, RecordingOutput *output,
                  Recorder **recorder_out)
{
    MetricsAddress address = options->metrics_address;
    Telling telling = {
        .options = options, .address = &address, .on_attached = config->on_attached, .context = config->context};
    enum recorder_stage stage;
    int error;

    config->output = output->fd;
    config->files = output->directory ? &output->files : NULL;
    config->scheduler = options->scheduler;
    config->no_bpf = options->no_bpf;
    config->sched = options->sched;
    config->syscalls = options->traces_syscalls ? &options->syscalls : NULL;
    config->uprobes = options->uprobes;
    config->uprobe_count = options->uprobe_count;
    config->mark_wakers = options->mark_wakers;
    config->metrics_interval_ns = options->metrics_interval_ns;
    config->metrics_file = options->metrics_file;
    config->metrics_address = options->metrics_served ? &address : NULL;
    config->rules = &options->rules;
    config->weights = options->weights.count > 0 ? &options->weights : NULL;
    config->on_write_state = on_write_state;
    config->on_anomaly = on_anomaly;
    config->on_metrics_state = on_metrics_state;
    config->on_metrics_served = on_metrics_served;
    config->on_kernel_missing = on_kernel_missing;
    config->on_attached = on_attached;
    config->context = &telling;
    error = recorder_create(config, recorder_out, &stage);
    if (!error)
        recorder_follow(*recorder_out);
    config->context = NULL;
    config->metrics_address = NULL;
    return error ? report_failure(options, config, output, stage, error) : CLI_OK;
}

/* ---- the summary ------------------------------------------------------------------------------ */

/* At one go: stderr has no buffer, and the summary of 100,000 threads would be millions of writes. */
static void print_json(const RecordSummary *summary)
{
    char *text = NULL;
    size_t size = 0;
    FILE *buffer = open_memstream(&text, &size);

    if (buffer) {
        summary_print_json(summary, buffer);
        if (fclose(buffer) == 0) {
            (void)fwrite(text, 1, size, stderr);
            free(text);
            return;
        }
        free(text);
    }
    summary_print_json(summary, stderr); /* no memory for it */
}

void recording_print(const RecordOptions *options, const RecordSummary *summary)
{
    if (options->json)
        print_json(summary);
    else
        summary_print(summary, stderr);
}
