/* SPDX-License-Identifier: MIT */
/*
 * A program whose children live shortly: prog_children COUNT LIFE_US EVENTS [spawn]
 *
 * Once somebody records it, it makes COUNT children by fork(), one after the other; each records EVENTS instants "child.event" with its pid as
 * argument, lives on for LIFE_US, and ends. With `spawn` they also become another program (this one), which waits that long, whoever records, before
 * and after it records. Then it says "done" and waits for the end of stdin.
 */
#include <adatrace/adatrace.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void live(unsigned long life, unsigned long events)
{
    for (unsigned long i = 0; i < events; i++)
        ADA_INSTANT("child.event", getpid());
    usleep((useconds_t)life);
}

int main(int argc, char **argv)
{
    unsigned long count, life, events;
    int spawns = argc > 4 && strcmp(argv[4], "spawn") == 0;

    if (argc < 4)
        return 2;
    count = strtoul(argv[1], NULL, 10);
    life = strtoul(argv[2], NULL, 10);
    events = strtoul(argv[3], NULL, 10);
    if (count == 0) { /* what was spawned */
        usleep((useconds_t)life);
        live(life, events);
        return 0;
    }
    while (!ada_enabled())
        usleep(1000);
    for (unsigned long i = 0; i < count; i++) {
        pid_t pid = fork();

        if (pid == 0 && spawns) {
            execl(argv[0], argv[0], "0", argv[2], argv[3], (char *)NULL);
            _exit(127);
        }
        if (pid == 0) {
            live(life, events);
            _exit(0);
        }
        if (pid < 0 || waitpid(pid, NULL, 0) != pid)
            return 1;
    }
    printf("done\n");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    return 0;
}
