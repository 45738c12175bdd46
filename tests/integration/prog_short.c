/* SPDX-License-Identifier: MIT */
/* Records one event and is gone at once: prog_short exit|kill|abort */
#include <adatrace/adatrace.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "exit";

    ADA_INSTANT("short.only", 42);
    if (strcmp(how, "kill") == 0)
        (void)kill(getpid(), SIGKILL);
    if (strcmp(how, "abort") == 0)
        abort();
    _exit(7);
}
