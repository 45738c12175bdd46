/* SPDX-License-Identifier: MIT */
/*
 * The collector's side of a lane: what is there to take, in order, each record once.
 *
 *     while (lane_reader_next(reader, &chunk) == 1) {
 *         copy chunk.data[0 .. chunk.bytes) away;
 *         lane_reader_consume(reader, &chunk, records, bytes);
 *     }
 *     ... once the copy is safely in the file ...
 *     lane_reader_return_rings(reader);
 *
 * all of it between lane_reader_begin() and lane_reader_end(), which hold drain_owner: as long as they
 * do, the producer takes no ring back, so a chunk's memory keeps its meaning while it is copied. (It
 * may still be scribbled over by a hostile process: check the copy, never the original.)
 *
 * Everything that decides where to read is private: geometry, queue indices, what was consumed. What
 * is fetched from shared memory is fetched once and checked; an impossible value is -EPROTO, and the
 * caller should have nothing more to do with that process.
 *
 * One thread uses a reader. Nothing blocks, nothing allocates.
 */
#ifndef ADA_LANE_LANE_READER_H
#define ADA_LANE_LANE_READER_H

#include "user/lane/lane.h"

typedef struct LaneReader {
    Lane *lane; /* shared */
    const char *rings;
    uint32_t kind;
    uint32_t ring_count;
    uint32_t ring_bytes;
    uint32_t partial_ring;   /* the ring of which `partial` was consumed in place */
    uint64_t partial_base;   /* its first record's number, which tells it from a later use of the same ring */
    uint64_t partial;        /* position up to which it was consumed; 0 = none */
    uint64_t next_record;    /* number of the next record to take over */
    uint64_t consumed;       /* records taken over */
    uint64_t first_record;   /* where this reader began: 0, or what another collector's account went up to */
    uint64_t watch_position; /* what `published` of ring watch_ring was when nothing more was there to take */
    uint32_t watch_ring;
    uint32_t reserved;
    uint64_t mark_until; /* what we last stored into Lane.collector_mark_until */
    SpscConsumer submit;
    SpscProducer free;
    uint32_t to_return[ADA_RINGS_MAX]; /* rings taken out of the submit queue and not given back yet */
    uint32_t to_return_count;
    uint32_t inherited_count; /* rings that a collector which died had taken and not given back */
    uint32_t inherited_next;
    bool begun;                        /* the drain was held once */
    bool impossible;                   /* what the lane says about them */
    uint32_t inherited[ADA_RINGS_MAX]; /* oldest first */
    uint64_t taken;                    /* what Lane.taken holds */
} LaneReader;

typedef struct LaneChunk {
    const char *data;
    uint32_t bytes;
    uint32_t records;
    uint64_t first_record;
    uint64_t sequence; /* of the ring: see Lane.mark_until */
    uint32_t ring;
    bool submitted; /* the ring came from the submit queue: with its last record consumed it is done */
    bool inherited; /* another collector had taken it out of the queue: it must be consumed or passed, whatever is wanted */
    uint64_t start; /* position of data within the ring */
    uint64_t base_record;
} LaneChunk;

/*
 * Binds a reader to a lane of a slot that is ACTIVE or DRAINING. `rings` is where ring 0 is mapped
 * here; counts and sizes come from the segment's checked geometry, not from the lane.
 *
 * It goes on where the account of the collector before it ends (Lane.settled_records), if there was one. Such a
 * collector must be gone, and nobody else may come: the caller has the segment's only claim. It may have been killed at
 * any instruction:
 *   - with rings in its hands: Lane.taken says which it took, the free queue's tail how many it gave back, in the same
 *     order
 *   - holding drain_owner: it is freed here. Taking a ring is noted before it is done, so the ring that was noted last may still
 *     be in the queue, and is not taken then
 *   - between the write and the note that what was written is settled: then it comes once more, unless the note was made good before
 *     (thread_drain_recover())
 */
void lane_reader_init(LaneReader *reader, Lane *lane, const char *rings, uint32_t kind, uint32_t ring_count,
                      uint32_t ring_bytes);

/*
 * Whether lane_reader_next() might find something: two loads, for visits that mostly find nothing. False
 * negatives last until the next visit; none once the producer is gone.
 */
bool lane_reader_pending(const LaneReader *reader);

/*
 * Whether a lane in which there was nothing to take may have something by now: one load, of a line that
 * nobody writes while its thread is quiet. Ring swaps that leave that line alone give a hint (dirty_slots).
 */
static inline bool lane_reader_stirred(const LaneReader *reader)
{
    /* Relaxed: a hint, as above. */
    return ada_load_relaxed(&reader->lane->rings[reader->watch_ring].published) != reader->watch_position;
}

/*
 * Asks the producer of a lane in which there was nothing to take to give a hint with its next record (lane_settle()). What it
 * publishes before it sees that is found by who looks once more when stores have had the time to be seen (tests/model/watch.pml).
 */
static inline void lane_reader_watch(const LaneReader *reader)
{
    ada_store_relaxed(&reader->lane->rings[reader->watch_ring].watch, 1u);
}

/* Whether rings of a collector that died wait to be dealt with. */
static inline bool lane_reader_inherits(const LaneReader *reader)
{
    return reader->inherited_next < reader->inherited_count || reader->impossible;
}

/* Whether a ring waits in the submit queue: one load. */
static inline bool lane_reader_submitted(const LaneReader *reader)
{
    /* Relaxed: a hint, as above. */
    return ada_load_relaxed(&reader->lane->submit_queue.tail) != reader->submit.head;
}

/* How many rings wait in the submit queue, at most ring_count: one load, and a hint. */
static inline uint32_t lane_reader_backlog(const LaneReader *reader)
{
    uint64_t rings = ada_load_relaxed(&reader->lane->submit_queue.tail) - reader->submit.head;

    return rings < reader->ring_count ? (uint32_t)rings : reader->ring_count;
}

/*
 * Takes drain_owner. With `producer_gone` it is taken from a producer that died holding it.
 * 1: go on; 0: the producer has it, come again; -EPROTO: impossible queue state.
 */
int lane_reader_begin(LaneReader *reader, bool producer_gone);
void lane_reader_end(LaneReader *reader);

/* 1: *chunk_out holds the next records (possibly none of a submitted ring); 0: nothing now; -EPROTO. */
int lane_reader_next(LaneReader *reader, LaneChunk *chunk_out);

/* Notes that the first `records` records, `bytes` bytes, of the chunk were taken over. */
void lane_reader_consume(LaneReader *reader, const LaneChunk *chunk, uint32_t records, uint32_t bytes);

/* Passes over a ring that was inherited and holds nothing that is wanted. Its records count as lost, by their numbers. */
void lane_reader_pass(LaneReader *reader, const LaneChunk *chunk);

/*
 * Passes over what the producer has taken back by now, if the drain is free (`producer_gone`: in any case). Such records count as lost, by their numbers.
 */
void lane_reader_skip_taken_back(LaneReader *reader, bool producer_gone);

/*
 * Marks a detail lane for the collector: what its rings hold now, the rest of the ring that is being filled, and
 * one ring more are to be kept. Any time.
 */
void lane_reader_mark(LaneReader *reader);

/* How far somebody who only looks has come, in a lane whose rings may be taken back unseen. Zeroed: at its start. */
typedef struct LanePeek {
    uint64_t next_record;
    uint64_t base; /* of the ring that was looked at last */
    uint32_t ring;
    uint32_t reserved;
    uint64_t position; /* within it */
} LanePeek;

/* As lane_reader_next(), but what is found stays where it is. The drain is held. 1; 0: nothing new; -EPROTO. */
int lane_reader_peek(LaneReader *reader, const LanePeek *peek, LaneChunk *chunk_out);

/* Notes that `records` records, `bytes` bytes, of the chunk were looked at. */
void lane_peek_advance(LanePeek *peek, const LaneChunk *chunk, uint32_t records, uint32_t bytes);

/*
 * Where the next records stand in the ring that is read in place, and how many bytes there are. Only for who wants them in its
 * caches: what the ring's control says is not checked, and nothing there may be read.
 */
static inline const char *lane_reader_whereabouts(const LaneReader *reader, uint32_t *bytes_out)
{
    const RingControl *ring = &reader->lane->rings[reader->partial_ring];
    uint32_t from = ADA_POSITION_BYTES(reader->partial);

    *bytes_out = ADA_POSITION_BYTES(ada_load_relaxed(&ring->published)) - from;
    return reader->rings + (size_t)reader->partial_ring * reader->ring_bytes + from;
}

/* Gives consumed rings back to the producer and wakes it if it waits, for a ring or for ada_flush(). Needs no drain_owner. */
void lane_reader_return_rings(LaneReader *reader);

#endif
