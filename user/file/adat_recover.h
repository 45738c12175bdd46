/* SPDX-License-Identifier: MIT */
/*
 * What the files of a collector that was killed say of how far it was: the witness of what it did not come to note in shared
 * memory.
 *
 * A collector writes, and notes in the segment what it wrote; if it is killed between the two, the one after it would record the
 * same once more. So it looks into the files first. Of each lane the last block or ledger entry tells up to which record, and up to
 * which losses, the account in the file goes. A thread is known again by what its segment says of it and the file repeats
 * (AdatThreadKey).
 *
 *     recovery = adat_recovery_create()
 *     adat_recover_scan(fd, recovery, &valid_bytes)     each file, in the order in which they were begun
 *     adat_recovery_find(recovery, &key, lane)
 *
 * Files are not trusted: what they say is bounded by whoever uses it (thread_drain_recover()). Memory is proportional to the number of
 * threads in them. One thread uses a recovery at a time, but many may find in it.
 */
#ifndef ADA_FILE_ADAT_RECOVER_H
#define ADA_FILE_ADAT_RECOVER_H

#include <stdbool.h>
#include <stddef.h>

#include "user/file/adat_format.h"

typedef struct AdatRecovery AdatRecovery;

/* One occupation of one slot, whatever recording it is in. With tid 0, and all that follows 0: the process's events without a slot. */
typedef struct AdatThreadKey {
    uint64_t started_at; /* AdatProcess.started_at */
    uint32_t pid;        /* the same */
    uint32_t tid;        /* AdatThread.tid, and so on */
    uint64_t registered_at;
    uint32_t slot;
    uint32_t generation;
} AdatThreadKey;
ADA_ABI_ASSERT(sizeof(AdatThreadKey) == 32, "without padding: it is hashed");

/* How far a lane is in the files. */
typedef struct AdatLaneProgress {
    uint64_t next_record;  /* records below this are there, or accounted for; of tid 0: events that are */
    AdatLaneLosses losses; /* the thread's counters, as far as they are accounted for */
} AdatLaneProgress;

/* NULL: no memory. */
AdatRecovery *adat_recovery_create(void);

/* NULL is allowed. */
void adat_recovery_destroy(AdatRecovery *recovery);

/*
 * Adds what a file says; of a thread that another one also has, this one counts. `fd` is open for reading, anywhere. *valid_bytes_out is how
 * long the longest prefix of whole blocks is: what follows is what was being written, and should be cut off before the file is read as
 * a complete one. It is 0 if the file ends within its own header.
 * -EINVAL: not a trace; -EBADMSG: its header is damaged; -EPROTONOSUPPORT: it is of another format; -ENOMEM; errors of pread(2) and fstat(2).
 * On failure the recovery is as before.
 */
int adat_recover_scan(int fd, AdatRecovery *recovery, uint64_t *valid_bytes_out);

/* Whether the file has its end: its writer completed it, and had noted all of it by then. False also if it cannot be read. */
bool adat_file_is_closed(int fd);

/* How far a lane (ADA_LANE_*; of tid 0: ADA_LANE_INDEX) is in the files, or NULL: they do not have it. Valid until the next scan. */
const AdatLaneProgress *adat_recovery_find(const AdatRecovery *recovery, const AdatThreadKey *key,
                                           uint32_t lane);

/* Threads that it has. */
size_t adat_recovery_count(const AdatRecovery *recovery);

#endif
