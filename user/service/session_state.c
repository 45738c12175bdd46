/* SPDX-License-Identifier: MIT */
#include "user/service/session_state.h"

const char *session_state_name(enum session_state state)
{
    static const char *const names[] = {
        [SESSION_STATE_STARTING] = "starting", [SESSION_STATE_RUNNING] = "running",
        [SESSION_STATE_STOPPING] = "stopping", [SESSION_STATE_STOPPED] = "stopped",
        [SESSION_STATE_FAILED] = "failed",
    };
    _Static_assert(sizeof(names) / sizeof(names[0]) == SESSION_STATES, "a name for each");

    return names[state];
}
