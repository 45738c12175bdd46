/* SPDX-License-Identifier: MIT */
/*
 * For tools/lint alone. The clang analyzer does not know that errno is positive after a failure, so it
 * follows `return -errno` into the caller's success path. Here errno is one of two errors: one that callers
 * retry after, and one that they do not. (A symbol known to be positive would be more general, but the
 * analyzer forgets what it knows about a symbol when the sign changes.)
 */
#ifndef ADA_TOOLS_ANALYZER_ERRNO_H
#define ADA_TOOLS_ANALYZER_ERRNO_H

#include <errno.h>

extern int ada_analyzer_any(void);

static inline int *ada_analyzer_errno(void)
{
    static int value;

    value = ada_analyzer_any() ? EINTR : EIO;
    return &value;
}

#undef errno
#define errno (*ada_analyzer_errno())

#endif
