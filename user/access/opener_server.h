/* SPDX-License-Identifier: MIT */
#ifndef ADA_ACCESS_OPENER_SERVER_H
#define ADA_ACCESS_OPENER_SERVER_H

#include "user/access/opener.h"

#define OPENER_CONVERSATIONS_MAX 1024u /* 64 sessions, their threads, BPF programs and hooks */

/* The opener's life: until nobody has the other end of the channel, and all that was begun is ended. */
void opener_serve(int channel, const OpenerConfig *config);

#endif
