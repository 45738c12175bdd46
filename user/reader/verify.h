/* SPDX-License-Identifier: MIT */
/*
 * Inside of adat_verify(), for the files of this folder. The blocks are looked at in the file's order, once:
 * those of lanes in verify_lanes.c, ledgers in verify_ledger.c, all others and the file as a whole in
 * adat_verify.c.
 */
#ifndef ADA_READER_VERIFY_H
#define ADA_READER_VERIFY_H

#include "user/reader/adat_verify.h"
#include "user/reader/reader.h"

/* What the blocks of one lane have said so far. */
typedef struct LaneCheck {
    uint64_t next_record; /* the next block must not start before it */
    uint64_t holes;       /* records that are missing between blocks */
    uint64_t records;
    uint64_t last_time;
    uint64_t dropped_full; /* as of the last block: never less later */
    uint64_t dropped_nested;
    uint64_t dropped_io;
    uint64_t recycled;
    bool in_ledger;
    bool begun; /* a block was seen */
} LaneCheck;

typedef struct Check {
    const AdatReader *reader;
    AdatVerdict *verdict;
    uint64_t offset;          /* of the block in hand */
    LaneCheck *lanes;         /* LANES for each of the reader's threads */
    bool *unregistered;       /* LANES for each of its processes: in a ledger */
    AdatTrailerEntry *blocks; /* since the last part of the index: what the next one should say */
    size_t block_count;
    size_t block_capacity;
    uint64_t last_part;     /* offset of the last part of the index; 0 = none yet */
    bool final_ledger;      /* was seen */
    uint64_t known_id;      /* the event id looked up last was found, */
    uint32_t known_process; /* in this process */
} Check;

/* Notes a problem of the block in hand. */
void verify_problem(Check *check, const char *format, ...) __attribute__((format(printf, 2, 3)));

const char *verify_lane_name(uint32_t lane);
LaneCheck *verify_lane(const Check *check, const ThreadEntry *thread, uint32_t lane);

/* verify_lanes.c: a block of events. */
void verify_lane_block(Check *check, const Block *block);

/* verify_ledger.c: a ledger; and, once all blocks were seen, what no ledger had. */
void verify_ledger(Check *check, const Block *block);
void verify_ledgers_end(Check *check);

#endif
