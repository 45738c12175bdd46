/* SPDX-License-Identifier: MIT */
/*
 * How a process tells a collector about its segment: environment and one message. And how somebody asks the collector to
 * mark a moment, or how it fares. Data only.
 *
 * ADATRACE_ANNOUNCE  path of a Unix SOCK_SEQPACKET socket. The library connects, sends one
 *                    AnnounceMessage with the segment's descriptor attached (SCM_RIGHTS), and closes.
 *                    It never waits for an answer. Who the sender is, the kernel says (SO_PEERCRED).
 * ADATRACE_SEGMENT   "FD:INODE": a segment made before the program started. The first process that
 *                    claims it (owner_pid) uses it; others make their own.
 * ADATRACE_OPTIONS   "policy=N,detail=N,threads=N,ring=N,clock=N,block_ns=N" for segments that
 *                    the process makes itself; numbers as in event_abi.h, `ring` in bytes.
 */
#ifndef ADA_SHARED_ANNOUNCE_ABI_H
#define ADA_SHARED_ANNOUNCE_ABI_H

#include "event_abi.h"

#define ADA_ENV_ANNOUNCE "ADATRACE_ANNOUNCE"
#define ADA_ENV_SEGMENT "ADATRACE_SEGMENT"
#define ADA_ENV_OPTIONS "ADATRACE_OPTIONS"
#define ADA_ENV_PRELOAD "ADATRACE_PRELOAD" /* groups of libadatrace-preload: "io,lock,thread,memory" */

#define ADA_ANNOUNCE_MAGIC 0x434e4e41u /* "ANNC" */
#define ADA_ANNOUNCE_VERSION 1u

#define ADA_ANNOUNCE_OWN 1u /* a new segment: its descriptor is attached */
#define ADA_ANNOUNCE_CLAIMED \
    2u /* the segment named in ADATRACE_SEGMENT was claimed: descriptor attached too */

#define ADA_ANNOUNCE_MARK 3u /* from `adatrace mark`: keep the payloads of process `pid` around this moment */
#define ADA_ANNOUNCE_MARKED 4u  /* the collector's answer to it; `pid` 0: that process is not recorded here */
#define ADA_ANNOUNCE_METRICS 5u /* from `adatrace status` and `top`: how does the recording go? `pid` 0 */
#define ADA_ANNOUNCE_REPORT \
    6u /* the answer: a descriptor of a file with JSON is attached, if there is anything to tell */

typedef struct AnnounceMessage {
    uint32_t magic;
    uint32_t version;
    uint32_t type;
    uint32_t pid; /* in the sender's pid namespace; informative, but for MARK */
} AnnounceMessage;
ADA_ABI_ASSERT(sizeof(AnnounceMessage) == 16, "");

#endif
