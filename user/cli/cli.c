/* SPDX-License-Identifier: MIT */
#include "user/cli/cli.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* errno of the first write to stdout that failed; 0 = none has. */
static int output_error;

static void put_name(const char *command)
{
    fprintf(stderr, "adatrace%s%s", command ? " " : "", command ? command : "");
}

void cli_error(const char *command, const char *format, ...)
{
    va_list args;

    fflush(stdout);
    put_name(command);
    fputs(": ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

int cli_usage_error(const char *command, const char *format, ...)
{
    va_list args;

    put_name(command);
    fputs(": ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputs("; try '", stderr);
    put_name(command);
    fputs(" --help'\n", stderr);
    return CLI_USAGE;
}

int cli_option_error(const char *command, int result, char **argv)
{
    const char *given = argv[optind - 1];

    /* getopt_long() names a short option in optopt; of a long one only argv has the name. */
    if (result == ':' && strncmp(given, "--", 2) != 0)
        return cli_usage_error(command, "option '-%c' needs a value", optopt);
    if (result == ':')
        return cli_usage_error(command, "option '%s' needs a value", given);
    if (optopt && strncmp(given, "--", 2) != 0)
        return cli_usage_error(command, "unknown option '-%c'", optopt);
    if (optopt)
        return cli_usage_error(command, "option '%s' takes no value", given);
    return cli_usage_error(command, "unknown option '%s'", given);
}

int cli_take_file(const char *command, int argc, char **argv, const char **path_out)
{
    if (optind >= argc)
        return cli_usage_error(command, "no file given");
    if (optind + 1 < argc)
        return cli_usage_error(command, "more than one file given: '%s'", argv[optind + 1]);
    *path_out = argv[optind];
    return CLI_OK;
}

bool cli_use_color(FILE *stream)
{
    const char *no_color = getenv("NO_COLOR");

    return !(no_color && *no_color) && isatty(fileno(stream));
}

void cli_begin_output(void)
{
    signal(SIGPIPE, SIG_IGN);
}

bool cli_output_failed(void)
{
    if (output_error == 0 && ferror(stdout))
        output_error = errno ? errno : EIO;
    return output_error != 0;
}

int cli_flush_output(OutBuffer *out)
{
    int error = out_flush(out);

    if (error && output_error == 0)
        output_error = -error;
    return error;
}

int cli_end_output(const char *command, int status)
{
    if (fflush(stdout) != 0 && output_error == 0)
        output_error = errno;
    if (!cli_output_failed())
        return status;
    if (output_error == EPIPE)
        return CLI_OK;
    cli_error(command, "cannot write the output: %s; check where stdout goes", strerror(output_error));
    return CLI_FAILURE;
}
