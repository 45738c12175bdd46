/* SPDX-License-Identifier: MIT */
/* adatrace list: the sessions of the service. */
#include <getopt.h>

#include "user/cli/cli.h"
#include "user/cli/control_client.h"
#include "user/cli/service_view.h"

static const char usage[] = "usage: adatrace list [--json]\n"
                            "Lists the sessions of the service, adatraced: a line each.\n"
                            "\n"
                            "      --json         one JSON object\n"
                            "      --socket PATH  where the service listens (default: $ADATRACE_CONTROL, or\n"
                            "                     " ADA_CONTROL_SOCKET ")\n"
                            "  -h, --help         print this\n";

static int list(const char *path, bool json)
{
    ControlAnswer answer = {0};
    ControlQuestion question;
    int error = control_question_begin(&question, "list");
    int status = CLI_OK;

    if (!error)
        error = control_ask(path, &question, &answer);
    if (error) {
        control_explain("list", path, error, &answer);
        status = CLI_FAILURE;
    } else if (!json) {
        service_view_list(cJSON_GetObjectItemCaseSensitive(answer.result, "sessions"));
    } else if (!service_view_json(answer.result)) {
        cli_error("list", "out of memory");
        status = CLI_FAILURE;
    }
    control_answer_fini(&answer);
    return status;
}

int cmd_list(int argc, char **argv)
{
    enum { OPTION_JSON = 256, OPTION_SOCKET };
    static const struct option names[] = {{"json", no_argument, NULL, OPTION_JSON},
                                          {"socket", required_argument, NULL, OPTION_SOCKET},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    const char *socket = NULL;
    bool json = false;
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, ":h", names, NULL)) != -1) {
        switch (option) {
        case OPTION_JSON:
            json = true;
            break;
        case OPTION_SOCKET:
            socket = optarg;
            break;
        case 'h':
            fputs(usage, stdout);
            return cli_end_output("list", CLI_OK);
        default:
            return cli_option_error("list", option, argv);
        }
    }
    if (optind < argc)
        return cli_usage_error("list", "unexpected '%s'", argv[optind]);
    cli_begin_output();
    return cli_end_output("list", list(control_socket_path(socket), json));
}
