/* SPDX-License-Identifier: MIT */
#ifndef ADA_SERVICE_SESSION_STATE_H
#define ADA_SERVICE_SESSION_STATE_H

enum session_state {
    SESSION_STATE_STARTING,
    SESSION_STATE_RUNNING,
    SESSION_STATE_STOPPING,
    SESSION_STATE_STOPPED, /* it was told to, or nobody is left whom it could record */
    SESSION_STATE_FAILED,
    SESSION_STATES,
};

/* "starting" ... */
const char *session_state_name(enum session_state state);

#endif
