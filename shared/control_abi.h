/* SPDX-License-Identifier: MIT */
/*
 * What the service's control socket and those who use it have in common; docs/control-protocol.md explains it. Data only.
 *
 * A Unix SOCK_SEQPACKET socket. A request is one packet, a JSON object; so is its answer, unless that is longer than a packet:
 * then the packet says "answer_bytes", and a sealed file in memory with the answer comes with it (SCM_RIGHTS).
 */
#ifndef ADA_SHARED_CONTROL_ABI_H
#define ADA_SHARED_CONTROL_ABI_H

#define ADA_CONTROL_VERSION 1u
#define ADA_CONTROL_SOCKET "/run/adatrace/control.sock"
#define ADA_ENV_CONTROL "ADATRACE_CONTROL" /* the socket's path, for commands */
#define ADA_CONTROL_PACKET_MAX 65536u      /* bytes of a request, and of an answer in a packet */
#define ADA_CONTROL_ANSWER_MAX (64u << 20) /* bytes of an answer in a file */

/* Values of error.code. */
#define ADA_CONTROL_BAD_JSON "bad-json"       /* not one JSON object, or more than a request may have */
#define ADA_CONTROL_TOO_LARGE "too-large"     /* a packet longer than ADA_CONTROL_PACKET_MAX */
#define ADA_CONTROL_BAD_VERSION "bad-version" /* "version" is missing, or not one that is spoken here */
#define ADA_CONTROL_UNKNOWN_COMMAND "unknown-command"
#define ADA_CONTROL_BAD_REQUEST \
    "bad-request" /* a field is missing, of a wrong type, unknown, or twice there */
#define ADA_CONTROL_NOT_PERMITTED "not-permitted" /* what is asked for is not this user's */
#define ADA_CONTROL_BUSY "busy"                   /* too many connections, or requests */
#define ADA_CONTROL_NOT_FOUND "not-found"         /* no such session or process */
#define ADA_CONTROL_WRONG_STATE "wrong-state"     /* a session that has ended cannot rotate, and the like */
#define ADA_CONTROL_FAILED "failed"               /* it was tried, and failed */

#endif
