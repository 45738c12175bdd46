/* SPDX-License-Identifier: MIT */
/*
 * user/lane/spsc_queue.h by itself, in a queue so small that it is mostly full: for the barriers that a lane does not
 * need, because its queues are never full (see lane.pml). Each value is taken once, in order; no place is written while
 * it may be read.
 *
 * -DMUTATE_TAIL_RELEASE, MUTATE_TAIL_ACQUIRE, MUTATE_HEAD_RELEASE, MUTATE_HEAD_ACQUIRE take one barrier away each.
 */
#define CAPACITY 2
#define VALUES 6

#define TAIL 0
#define HEAD 1
#define ATOMICS 2

#define PLACE(i) ((i) % CAPACITY)
#define PLAINS CAPACITY
#define WRITTEN_BY(l) PRODUCER

#include "memory.inc"

#ifdef MUTATE_TAIL_RELEASE
#define TAIL_RELEASE RELAXED
#else
#define TAIL_RELEASE RELEASE
#endif
#ifdef MUTATE_TAIL_ACQUIRE
#define TAIL_ACQUIRE RELAXED
#else
#define TAIL_ACQUIRE ACQUIRE
#endif
#ifdef MUTATE_HEAD_RELEASE
#define HEAD_RELEASE RELAXED
#else
#define HEAD_RELEASE RELEASE
#endif
#ifdef MUTATE_HEAD_ACQUIRE
#define HEAD_ACQUIRE RELAXED
#else
#define HEAD_ACQUIRE ACQUIRE
#endif

/* spsc_queue_push(), until all are in. */
active proctype producer()
{
    byte tail, cached_head;

    do
    :: tail < VALUES ->
        atomic {
            if
            :: tail - cached_head >= CAPACITY -> atomic_load(PRODUCER, HEAD, HEAD_ACQUIRE, cached_head)
            :: else
            fi;
            if
            :: tail - cached_head < CAPACITY ->
                plain_store(PRODUCER, PLACE(tail), tail);
                tail++;
                atomic_store(PRODUCER, TAIL, tail, TAIL_RELEASE)
            :: else /* full */
            fi
        }
    :: else -> break
    od
}

/* spsc_queue_peek() and spsc_queue_pop(), until all are out. */
active proctype collector()
{
    byte head, cached_tail, content;

    do
    :: head < VALUES ->
        atomic {
            if
            :: head == cached_tail -> atomic_load(COLLECTOR, TAIL, TAIL_ACQUIRE, cached_tail)
            :: else
            fi;
            assert(cached_tail >= head && cached_tail - head <= CAPACITY);
            if
            :: head != cached_tail ->
                plain_load(COLLECTOR, PLACE(head), content);
                assert(content == head);
                content = 0;
                head++;
                atomic_store(COLLECTOR, HEAD, head, HEAD_RELEASE)
            :: else /* empty */
            fi
        }
    :: else -> break
    od
}
