/* SPDX-License-Identifier: MIT */
#include "user/client/preload/preload.h"

/*
 * Frame from which this thread went into the client library, 0 outside. Deeper frames lie at lower
 * addresses, so a call from below it is the library's own. A call from above it shows that a signal
 * handler left the library by longjmp() and never came back: what is remembered is stale, and a mere flag
 * would silence the thread for good. (A handler on an alternate stack may pass for that; then its
 * calls are recorded, which does no harm.)
 */
static __thread uintptr_t library_frame __attribute__((tls_model("initial-exec")));

bool preload_enter_frame(uintptr_t frame)
{
    if (library_frame != 0 && frame < library_frame)
        return false;
    library_frame = frame;
    ada_signal_fence();
    return true;
}

void preload_leave(void)
{
    ada_signal_fence();
    library_frame = 0;
}

void preload_record(ada_event *event, uint32_t kind, uint64_t argument)
{
    if (!preload_enter())
        return;
    (void)ada_emit(event, kind, argument);
    preload_leave();
}

void preload_record_fields(ada_event *event, uint64_t argument, const ada_value *values, uint32_t count)
{
    if (!preload_enter())
        return;
    (void)ada_emit_fields(event, argument, values, count);
    preload_leave();
}
