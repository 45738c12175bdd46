/* SPDX-License-Identifier: MIT */
/* adatraced: the service's command line. */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "user/service/service.h"
#include "user/service/service_config.h"

#define EXIT_OK 0
#define EXIT_FAILED 1
#define EXIT_USAGE 2 /* the command line is wrong; nothing was done */

static const char usage[] =
    "usage: adatraced [-c FILE] [-v]\n"
    "       adatraced --check-config [FILE] | --print-config [FILE]\n"
    "The service of adatrace: records what its configuration says, until it is ended by SIGTERM.\n"
    "\n"
    "  -c, --config FILE    the configuration (default: " SERVICE_CONFIG_PATH "),\n"
    "                       with conf.d/*.conf beside it\n"
    "  -v, --verbose        say more\n"
    "      --check-config   say what is wrong in FILE, and in conf.d/*.conf beside it\n"
    "      --print-config   print the configuration of these files, with all defaults, as one file\n"
    "  -h, --help           print this\n"
    "  -V, --version        print the version\n"
    "\n"
    "It stays in the foreground, and tells what happens on standard error. The exit status is 0; 1 if it\n"
    "could not run, or something is wrong in a file, with one line for each mistake on standard error; 2\n"
    "for wrong usage.\n";

static int usage_error(const char *what, const char *argument)
{
    fprintf(stderr, "adatraced: %s '%s'; try 'adatraced --help'\n", what, argument);
    return EXIT_USAGE;
}

static int end_output(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return EXIT_OK;
    fprintf(stderr, "adatraced: cannot write the output: %s; check where stdout goes\n", strerror(errno));
    return EXIT_FAILED;
}

static void print_mistakes(const ConfigMistakes *mistakes)
{
    for (size_t i = 0; i < mistakes->lines.count; i++)
        fprintf(stderr, "%s\n", mistakes->lines.items[i]);
    if (mistakes->total > mistakes->lines.count)
        fprintf(stderr, "adatraced: there are %zu more mistakes\n", mistakes->total - mistakes->lines.count);
}

static int show_config(const char *path, bool print)
{
    ConfigMistakes mistakes = {0};
    ServiceConfig *config = NULL;
    int error = service_config_load(path, &config, &mistakes);
    int status = EXIT_FAILED;

    if (error == -EINVAL) {
        print_mistakes(&mistakes);
    } else if (error) {
        fprintf(stderr, "adatraced: cannot load '%s': %s\n", path, strerror(-error));
    } else {
        if (print)
            service_config_print(config, stdout);
        else
            printf("%s: ok: %zu session%s\n", path, config->session_count,
                   config->session_count == 1 ? "" : "s");
        status = end_output();
    }
    service_config_destroy(config);
    config_mistakes_fini(&mistakes);
    return status;
}

enum { OPTION_CHECK = 256, OPTION_PRINT };

/* The file that may follow the option as a word of its own. */
static int show_config_of(int argc, char **argv, bool print)
{
    if (optind + 1 < argc)
        return usage_error("more than one file given:", argv[optind + 1]);
    return show_config(optind < argc ? argv[optind] : SERVICE_CONFIG_PATH, print);
}

static int print_version(void)
{
    printf("adatraced %s\n", ADA_VERSION);
    return end_output();
}

static int print_usage(void)
{
    fputs(usage, stdout);
    return end_output();
}

int main(int argc, char **argv)
{
    static const struct option names[] = {
        {"config", required_argument, NULL, 'c'},
        {"verbose", no_argument, NULL, 'v'},
        {"check-config", no_argument, NULL, OPTION_CHECK},
        {"print-config", no_argument, NULL, OPTION_PRINT},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {0},
    };
    ServiceOptions options = {.config_path = SERVICE_CONFIG_PATH};
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, "+:c:vhV", names, NULL)) != -1) {
        switch (option) {
        case 'c':
            options.config_path = optarg;
            break;
        case 'v':
            options.verbose = true;
            break;
        case OPTION_CHECK:
        case OPTION_PRINT:
            return show_config_of(argc, argv, option == OPTION_PRINT);
        case 'h':
            return print_usage();
        case 'V':
            return print_version();
        case ':':
            return usage_error("a value is missing for", argv[optind - 1]);
        default:
            return usage_error("unknown option", argv[optind - 1]);
        }
    }
    if (optind < argc)
        return usage_error("unexpected argument", argv[optind]);
    return service_run(&options);
}
