/* SPDX-License-Identifier: MIT */
/* Two threads that wake each other by pipes: plain_pingpong ROUNDS */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static int there[2], back[2];
static unsigned long rounds;

static void *answer(void *unused)
{
    char byte;

    for (unsigned long i = 0; i < rounds; i++) {
        if (read(there[0], &byte, 1) != 1 || write(back[1], &byte, 1) != 1)
            abort();
    }
    return unused;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    char byte = 'x';

    rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    if (pipe(there) != 0 || pipe(back) != 0 || pthread_create(&thread, NULL, answer, NULL) != 0)
        return 1;
    for (unsigned long i = 0; i < rounds; i++) {
        if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
            return 1;
    }
    pthread_join(thread, NULL);
    return 0;
}
