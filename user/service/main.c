/* SPDX-License-Identifier: MIT */
/* adatraced: the service. It checks and prints its configuration; it runs no sessions yet. */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "user/service/service_config.h"

#define EXIT_OK 0
#define EXIT_FAILED 1
#define EXIT_USAGE 2 /* the command line is wrong; nothing was done */

static const char usage[] =
    "usage: adatraced --check-config [FILE] | --print-config [FILE]\n"
    "The service of adatrace. It runs no sessions yet: so far it checks and prints its configuration.\n"
    "\n"
    "      --check-config   say what is wrong in FILE (default: " SERVICE_CONFIG_PATH ")\n"
    "                       and in conf.d/*.conf beside it\n"
    "      --print-config   print the configuration of these files, with all defaults, as one file\n"
    "  -h, --help           print this\n"
    "  -V, --version        print the version\n"
    "\n"
    "The exit status is 0; 1 if something is wrong in a file, with one line for each mistake on standard\n"
    "error; 2 for wrong usage.\n";

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

int main(int argc, char **argv)
{
    const char *option = argc > 1 ? argv[1] : "";
    bool print = strcmp(option, "--print-config") == 0;

    if (argc < 2) {
        fputs("adatraced: running sessions is not built yet; 'adatraced --check-config' checks a configuration\n",
              stderr);
        return EXIT_FAILED;
    }
    if (print || strcmp(option, "--check-config") == 0) {
        if (argc > 3)
            return usage_error("more than one file given:", argv[3]);
        return show_config(argc == 3 ? argv[2] : SERVICE_CONFIG_PATH, print);
    }
    if (argc > 2)
        return usage_error("unexpected argument", argv[2]);
    if (strcmp(option, "--help") == 0 || strcmp(option, "-h") == 0) {
        fputs(usage, stdout);
        return end_output();
    }
    if (strcmp(option, "--version") == 0 || strcmp(option, "-V") == 0) {
        printf("adatraced %s\n", ADA_VERSION);
        return end_output();
    }
    return usage_error(option[0] == '-' ? "unknown option" : "unexpected argument", option);
}
