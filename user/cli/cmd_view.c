/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/cli/cli.h"
#include "user/cli/report_progress.h"
#include "user/cli/trace.h"
#include "user/cli/trace_select.h"
#include "user/view/view_page.h"

#define OUTPUT_BUFFER ((size_t)1 << 20)
#define OUTPUT_MODE 0640 /* as of traces: both tell what a program did */
#define NAME_SUFFIX ".html"
#define TEMPORARY_SUFFIX ".XXXXXX"

typedef struct View {
    TraceSelect select;
    const AdatSet *set;
    const char *path;
    const char *output; /* NULL: named after the trace */
    char *name;         /* of the output */
    char *temporary;    /* what it is called until it is complete; NULL: it has its name from the start */
    bool force;
} View;

static void print_help(void)
{
    printf("usage: adatrace view [OPTION]... FILE|DIR\n"
           "Writes one HTML page with a timeline of threads: spans, system calls, what the scheduler did, waits and for whom, losses,\n"
           "and a flame graph. It has everything within it: any browser shows it, without a network.\n"
           "\n"
           "  -o, --output FILE the page (default: ./NAME.html, of the trace's name)\n"
           "      --force       replace it if it exists\n" TRACE_SELECT_HELP(
               TRACE_SELECT_TO_HELP) "  -h, --help        show this\n");
}

/* ---- options --------------------------------------------------------------------------------- */

/* CLI_OK; CLI_USAGE with the error said; -1 when help was shown. */
static int parse_options(View *view, int argc, char **argv)
{
    static const struct option options[] = {
        TRACE_SELECT_OPTIONS,
        TRACE_SELECT_TO,
        {"output", required_argument, NULL, 'o'},
        {"force", no_argument, NULL, 'F'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int option, status = CLI_OK;

    opterr = 0;
    while (status == CLI_OK && (option = getopt_long(argc, argv, ":o:h", options, NULL)) != -1) {
        switch (option) {
        case 'o':
            view->output = optarg;
            if (!*view->output)
                status = cli_usage_error("view", "--output needs the name of a file");
            break;
        case 'F':
            view->force = true;
            break;
        case 'h':
            print_help();
            return -1;
        default:
            if (!trace_select_takes(option))
                return cli_option_error("view", option, argv);
            status = trace_select_take(&view->select, "view", option, optarg);
        }
    }
    return status == CLI_OK ? trace_select_check(&view->select, "view") : status;
}

/* ---- output ---------------------------------------------------------------------------------- */

/* NULL: out of memory. */
static char *join(const char *text, size_t size, const char *suffix)
{
    char *joined = malloc(size + strlen(suffix) + 1);

    if (joined) {
        memcpy(joined, text, size);
        memcpy(joined + size, suffix, strlen(suffix) + 1);
    }
    return joined;
}

/* "traces/app.adat" and "traces/app.adat.gz" are "app.html", "traces/" is "traces.html". NULL: out of memory. */
static char *name_after(const char *path)
{
    static const char *const suffixes[] = {".gz", ".partial", ".adat"};
    size_t end = strlen(path), begin, length;

    while (end > 1 && path[end - 1] == '/')
        end--;
    for (begin = end; begin > 0 && path[begin - 1] != '/';)
        begin--;
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        length = strlen(suffixes[i]);
        if (end - begin > length && memcmp(path + end - length, suffixes[i], length) == 0)
            end -= length;
    }
    if (end == begin || path[begin] == '.')
        return strdup("trace" NAME_SUFFIX);
    return join(path + begin, end - begin, NAME_SUFFIX);
}

/* A page that is to be replaced stays as it is until the new one is complete. */
static int create_output(View *view)
{
    int fd;

    if (!view->force) {
        fd = open(view->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, OUTPUT_MODE);
        return fd < 0 ? -errno : fd;
    }
    view->temporary = join(view->name, strlen(view->name), TEMPORARY_SUFFIX);
    if (!view->temporary)
        return -ENOMEM;
    fd = mkostemp(view->temporary, O_CLOEXEC);
    if (fd < 0) {
        fd = -errno;
        free(view->temporary);
        view->temporary = NULL;
        return fd;
    }
    (void)fchmod(fd, OUTPUT_MODE); /* else it is its owner's alone */
    return fd;
}

static int tell_not_created(const View *view, int error)
{
    if (error == -EEXIST)
        cli_error(
            "view",
            "cannot create '%s': it exists already; replace it with --force, or choose another name with -o",
            view->name);
    else
        cli_error("view", "cannot create '%s': %s; choose another place with -o", view->name, strerror(-error));
    return CLI_FAILURE;
}

static int tell_failed(const View *view, int error)
{
    if (error == -EIO)
        cli_error("view", "cannot write '%s': %s", view->name, strerror(errno));
    else if (error == -EOVERFLOW)
        cli_error("view",
                  "'%s' is longer than the 52 days that a page can show: take a part of it, with --from and --to",
                  view->path);
    else if (error == -ENOMEM)
        cli_error("view", "out of memory; take a part of '%s', with --from and --to", view->path);
    else
        trace_report_unreadable("view", view->path, error);
    return CLI_FAILURE;
    return CLI_FAILURE;
}

/* What there was no room for in the page, and it says so itself as well. */
static void tell_limits(const View *view, const ViewPageSummary *summary)
{
    if (summary->resolution_ns > 0)
        cli_error("view",
                  "note: '%s' shows %" PRIu64 " things as %zu: what is within %" PRIu64
                  " ns may be one; --from and --to show a part exactly",
                  view->name, summary->items, summary->items_kept, summary->resolution_ns);
    if (summary->left_out + summary->too_deep > 0)
        cli_error("view", "warning: %" PRIu64 " things are left out of '%s' for want of room",
                  summary->left_out + summary->too_deep, view->name);
    if (summary->texts_left_out > 0)
        cli_error("view", "warning: fields of %" PRIu64 " events are left out of '%s' for want of room",
                  summary->texts_left_out, view->name);
    if (summary->counts.vanished > 0)
        cli_error("view",
                  "warning: %" PRIu64 " events of '%s' are left out, as their files were removed meanwhile",
                  summary->counts.vanished, view->path);
}

/* ---- command --------------------------------------------------------------------------------- */

static int write_page(const View *view, const ViewPageConfig *config, int fd, ViewPageSummary *summary)
{
    FILE *out = fdopen(fd, "w");
    int error;

    if (!out) {
        close(fd);
        return -ENOMEM;
    }
    setvbuf(out, NULL, _IOFBF, OUTPUT_BUFFER);
    error = view_page_write(view->set, config, out, summary);
    if (fclose(out) != 0 && !error)
        error = -EIO;
    if (!error && view->temporary && rename(view->temporary, view->name) != 0)
        error = -EIO;
    if (error) {
        int saved = errno;

        (void)unlink(view->temporary ? view->temporary : view->name);
        errno = saved;
    }
    return error;
}

/* CLI_OK, or CLI_FAILURE with the error said. */
static int make_page(View *view)
{
    const AdatCursorConfig cursor = trace_select_cursor(&view->select);
    ReportProgress progress;
    const ViewPageConfig config = {.collect = {.select = cursor.select,
                                               .context = cursor.context,
                                               .from_ns = cursor.from_ns,
                                               .to_ns = cursor.to_ns,
                                               .symbols = view->select.symbols,
                                               .progress = report_progress_show,
                                               .progress_context = &progress},
                                   .title = view->path,
                                   .version = ADA_VERSION};
    ViewPageSummary summary;
    int error, fd;

    view->name = view->output ? strdup(view->output) : name_after(view->path);
    if (!view->name)
        return tell_failed(view, -ENOMEM);
    fd = create_output(view);
    if (fd < 0)
        return tell_not_created(view, fd);
    report_progress_begin(&progress, "view", adat_set_events(view->set).in_file);
    error = write_page(view, &config, fd, &summary);
    report_progress_end(&progress);
    if (error)
        return tell_failed(view, error);
    tell_limits(view, &summary);
    printf("%s\n", view->name);
    return CLI_OK;
}

static int view_trace(View *view)
{
    AdatSet *set = NULL;
    int status = trace_open("view", view->path, &set), damage;

    if (status != CLI_OK)
        return status;
    view->set = set;
    status = trace_select_begin(&view->select, "view", view->path, set);
    if (status == CLI_OK)
        status = make_page(view);
    if (status == CLI_OK) {
        damage = trace_report_damage("view", view->path, set);
        status = cli_end_output("view", damage);
        trace_select_report_unnamed("view", view->select.symbols);
    }
    adat_set_close(set);
    return status;
}

int cmd_view(int argc, char **argv)
{
    View view = {0};
    int status = CLI_FAILURE;

    if (trace_select_init(&view.select, argc)) {
        cli_error("view", "out of memory");
    } else {
        status = parse_options(&view, argc, argv);
        if (status == -1) {
            status = cli_end_output("view", CLI_OK);
        } else if (status == CLI_OK) {
            status = cli_take_file("view", argc, argv, &view.path);
            if (status == CLI_OK)
                status = view_trace(&view);
        }
    }
    trace_select_fini(&view.select);
    free(view.name);
    free(view.temporary);
    return status;
}
