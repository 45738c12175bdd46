/* SPDX-License-Identifier: MIT */
/*
 * Events with payloads, and marks between them: prog_detail COUNT [MARK]...
 *
 * Records COUNT events "detail.record" whose one field "number" counts 0, 1, 2 ..., and a mark "detail.mark" before
 * each number MARK (ascending). With COUNT "wait" it records ten of them, waits for a line of its standard input, and
 * records ten more.
 */
#include <adatrace/adatrace.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int wait_between(void)
{
    char line[16];

    for (unsigned long i = 0; i < 20; i++) {
        if (i == 10 && (puts("ready"), fflush(stdout), !fgets(line, sizeof(line), stdin)))
            return 1;
        ADA_EVENT("detail.record", (u64, number, i));
    }
    return 0;
}

int main(int argc, char **argv)
{
    unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    int mark = 2;

    if (argc > 1 && strcmp(argv[1], "wait") == 0)
        return wait_between();
    if (count == 0)
        return 2;
    for (unsigned long i = 0; i < count; i++) {
        if (mark < argc && strtoul(argv[mark], NULL, 10) == i) {
            ada_mark("detail.mark");
            mark++;
        }
        ADA_EVENT("detail.record", (u64, number, i));
    }
    return 0;
}
