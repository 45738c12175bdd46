/* SPDX-License-Identifier: MIT */
/*
 * Events with payloads, and marks between them: prog_detail COUNT [MARK]...
 *
 * Records COUNT events "detail.record" whose one field "number" counts 0, 1, 2 ..., and a mark "detail.mark" before
 * each number MARK (ascending).
 */
#include <adatrace/adatrace.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    int mark = 2;

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
