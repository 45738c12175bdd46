/* SPDX-License-Identifier: MIT */
/*
 * What is said between a process and its opener, which are of one program: plain structures over SEQPACKET sockets. The opener
 * trusts nothing in a request.
 */
#ifndef ADA_ACCESS_OPENER_MESSAGE_H
#define ADA_ACCESS_OPENER_MESSAGE_H

#include <limits.h>
#include <signal.h>

#include "user/access/process_identity.h"
#include "user/access/process_segments.h"
#include "user/kernel/kernel_assist.h"

enum opener_operation {
    OPENER_IDENTITY, /* pid -> identity */
    OPENER_PROGRAM,  /* pid -> text: path */
    OPENER_FIND,     /* pid, flag: by tasks -> places */
    OPENER_OPEN,     /* pid, place -> descriptor */
    OPENER_TAKE,     /* descriptor: of the process; pid, place.number -> descriptor */
    OPENER_ANY,      /* pid -> yes */
    OPENER_HAS,      /* pid, place -> yes */
    OPENER_PARENTS,  /* text: path */
    OPENER_PLACE,    /* flag: adopt, text: path -> descriptor, yes: made */
    OPENER_SHARE,    /* user, text: path */
    /* of a conversation of their own: what they begin ends with it */
    OPENER_UPROBE, /* flag: returns, text: binary, symbol; before OPENER_KERNEL */
    OPENER_KERNEL, /* kernel -> descriptors, handles; text: the reason, on failure */
    OPENER_FOLLOW, /* flag: follow */
    OPENER_HOOK, /* descriptor: input; text: program, user, session, file -> descriptors: process, output, report; pid */
    OPENER_HOOK_KILL, /* its group */
    OPENER_HOOK_WAIT, /* flag: until it has ended -> end */
    OPENER_OPERATIONS,
};

#define OPENER_TEXT_MAX (4u * PATH_MAX)
#define OPENER_DESCRIPTORS_MAX ((unsigned)KERNEL_HANDLES)
_Static_assert(KERNEL_HANDLES >= 3, "room for a hook's");

/* KernelAssistConfig without its pointers. */
typedef struct OpenerKernel {
    uint64_t lifecycle_ring_bytes;
    uint64_t sched_ring_bytes;
    uint64_t off_cpu_ns;
    uint64_t runqueue_ns;
    uint64_t syscalls[ADA_KERNEL_SYSCALLS / 64];
    uint32_t flags; /* OPENER_KERNEL_* */
} OpenerKernel;

#define OPENER_KERNEL_FOLLOW 0x1u
#define OPENER_KERNEL_SCHED_RECORDS 0x2u
#define OPENER_KERNEL_SYSCALLS 0x4u
#define OPENER_KERNEL_ALL_EXECS 0x8u
#define OPENER_KERNEL_SEGMENTS 0x10u
#define OPENER_KERNEL_ALL_SEGMENTS 0x20u

typedef struct OpenerRequest {
    uint32_t operation;
    int32_t pid;
    uint32_t user;
    uint32_t flag; /* 0 or 1 */
    union {
        SegmentPlace place;
        OpenerKernel kernel;
    };
    uint32_t text_bytes;        /* strings, each with its NUL */
    char text[OPENER_TEXT_MAX]; /* of which so many are sent */
} OpenerRequest;

/* KernelHandles; those that there are, are the message's descriptors, in this order. */
typedef struct OpenerHandles {
    bool there[KERNEL_HANDLES];
    bool follows;
    bool tells_segments;
} OpenerHandles;

typedef struct OpenerReply {
    int32_t result; /* 0 or -errno */
    int32_t pid;
    uint32_t descriptors;
    uint32_t yes; /* 0 or 1 */
    union {
        ProcessIdentity identity;
        SegmentPlaces places;
        OpenerHandles handles;
        siginfo_t end; /* of waitid(2) */
    };
    uint32_t text_bytes; /* one string with its NUL, or 0 */
    char text[PATH_MAX];
} OpenerReply;

_Static_assert(KERNEL_REASON_SIZE <= PATH_MAX, "a reason is a reply's text");

/* One message with up to OPENER_DESCRIPTORS_MAX descriptors. */
int opener_send_request(int fd, const OpenerRequest *request, int descriptor);
int opener_send_reply(int fd, const OpenerReply *reply, const int *descriptors);

/*
 * Waits for one. 0; -EPIPE: the other side has gone; -EPROTO: it is not what it should be, and descriptors that came with it are
 * closed; -EMFILE: there was no room for these; errors of recvmsg(2). Of a request *descriptor_out is the one that came with it, or -1;
 * of a reply `descriptors` has as many as it says.
 */
int opener_receive_request(int fd, OpenerRequest *request, int *descriptor_out);
int opener_receive_reply(int fd, OpenerReply *reply, int descriptors[OPENER_DESCRIPTORS_MAX]);

/* A conversation that begins: one end of it. 0, or -errno. */
int opener_send_end(int fd, int end);
int opener_receive_end(int fd, int *end_out);

#endif
