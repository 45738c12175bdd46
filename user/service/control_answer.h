/* SPDX-License-Identifier: MIT */
/*
 * How an answer gets to a client: as one packet, or, if it is longer than a packet may be, as a sealed file in memory. All is
 * handed to the kernel at once or not at all, so that nothing has to be kept for a client that does not read.
 */
#ifndef ADA_SERVICE_CONTROL_ANSWER_H
#define ADA_SERVICE_CONTROL_ANSWER_H

#include "user/service/control_request.h"

/*
 * Sends a result, the text of one JSON object; NULL: {}. 0; -EAGAIN: the client does not read: it has a dozen answers, or a file, in
 * front of it; -EPIPE, -ECONNRESET: it has gone. If the answer is too long, or there is no memory for its file, the client is told
 * that instead.
 */
int control_answer_send(int connection, uint64_t id, const char *result, size_t size);

/* Sends an error. The same; -ENOMEM. */
int control_answer_refuse(int connection, bool has_id, uint64_t id, const ControlRefusal *refusal);

#endif
