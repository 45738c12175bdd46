/* SPDX-License-Identifier: MIT */
/*
 * For the plain_* programs: each prints everything it can observe of the calls it makes (results, errno,
 * descriptor numbers, order of handlers), and nothing that differs from run to run. test_preload.sh
 * compares the output with and without the library. They know nothing of adatrace.
 */
#ifndef PLAIN_SUPPORT_H
#define PLAIN_SUPPORT_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* What errno must still be after a call that succeeds. */
#define PLAIN_ERRNO 4242

/* Makes a call with errno preset; prints its result and what errno is afterwards. */
#define REPORT(call)                                                        \
    do {                                                                    \
        long report_result;                                                 \
        int report_errno;                                                   \
                                                                            \
        errno = PLAIN_ERRNO;                                                \
        report_result = (long)(call);                                       \
        report_errno = errno;                                               \
        printf("%s = %ld, errno %d\n", #call, report_result, report_errno); \
    } while (0)

/* The same for calls that return a pointer: whether there is one. */
#define REPORT_POINTER(call) REPORT((call) != NULL)

/* What must work for the rest to make sense. */
#define REQUIRE(condition)      \
    do {                        \
        if (!(condition)) {     \
            perror(#condition); \
            exit(99);           \
        }                       \
    } while (0)

#endif
