/* SPDX-License-Identifier: MIT */
/*
 * Who sleeps is woken: the policy `block`, where the producer sleeps on `waiting` until a ring comes back, and the doorbell, on
 * which the collector sleeps while there is nothing to do. Rings are only counted here; what is in them is lane.pml's.
 *
 * Both sides sleep without a time limit here, although in the code they never do: what holds here does not need the
 * collector's next look around (a tick) or the producer's patience (block_timeout_ns).
 *
 * What holds when both sides have come to rest: the producer has written everything; and the collector has taken every
 * ring, or sleeps over few of them, as announce_ring() means it to.
 *
 * Each -DMUTATE_ takes something away:
 *     MUTATE_WAITING_STORE         the producer says that it waits by a store, not by a read-modify-write
 *     MUTATE_WAITING_COLLECTOR     the collector takes that flag by a load and a store
 *     MUTATE_WAKE_BEFORE_RETURN    the collector takes the flag before it gives the rings back
 *     MUTATE_DOORBELL_STORE        the producer rings by a load and a store
 *     MUTATE_DOORBELL_LOAD         the collector reads the doorbell by a load
 *     MUTATE_SLEEPING_LATE         the collector says that it sleeps after it has read the doorbell
 *     MUTATE_NO_LOOK               the collector does not look at the hints (here: at the queue) between the doorbell and its
 *                                  sleep
 *
 * Not needed, as the model goes through without it:
 *     MUTATE_WAITING_CLEAR_STORE   the producer takes its flag back by a store. That may hide the collector's last step
 *                                  from the producer's next wait, which it begins although a ring is there. But it has rung
 *                                  for a ring of its own since, so the collector comes by once more.
 */
#ifndef RINGS
#define RINGS 3
#endif
#ifndef SWAPS
#define SWAPS 5 /* rings that the producer fills */
#endif

#define SUBMIT_TAIL 0
#define FREE_TAIL 1
#define WAITING 2
#define DOORBELL 3
#define COLLECTOR_SLEEPING 4
#define WAITING_LOCK 5 /* the kernel's */
#define DOORBELL_LOCK 6
#define ATOMICS 7
#define PLAINS 0

#include "memory.inc"
#include "futex.inc"

/* Each side's own end of the queues; the assertions look at them, too. */
byte submit_tail;          /* the producer's */
byte free_head;
byte submit_head;          /* the collector's */
byte free_tail = RINGS - 1;
bool done;                 /* the producer has filled all it wanted */

/* ---- lane_producer.c -------------------------------------------------------------------------- */

/* try_ring() */
inline try_ring()
{
    atomic {
        atomic_load(PRODUCER, FREE_TAIL, ACQUIRE, seen);
        if
        :: seen != free_head ->
            free_head++;
            found = true
        :: else
        fi;
        seen = 0
    }
}

/* wait_for_ring() */
inline wait_for_ring()
{
    do
    :: true ->
        atomic {
#ifdef MUTATE_WAITING_STORE
            atomic_store(PRODUCER, WAITING, 1, RELEASE)
#else
            atomic_exchange(PRODUCER, WAITING, 1, 0, seen);
            seen = 0
#endif
        }
        try_ring();
        if
        :: found -> break
        :: else
        fi;
        futex_wait(PRODUCER, WAITING, WAITING_LOCK, 1);
        try_ring();
        if
        :: found -> break
        :: else
        fi
    od;
    atomic {
#ifdef MUTATE_WAITING_CLEAR_STORE
        atomic_store(PRODUCER, WAITING, 0, RELAXED)
#else
        atomic_exchange(PRODUCER, WAITING, 0, 0, seen);
        seen = 0
#endif
    }
}

/* announce_ring(), for a collector that naps: one that sleeps is woken in any case */
inline announce_ring()
{
#ifdef MUTATE_DOORBELL_STORE
    atomic {
        atomic_load(PRODUCER, DOORBELL, ACQUIRE, seen);
        atomic_store(PRODUCER, DOORBELL, seen + 1, RELEASE);
        seen = 0
    }
#else
    atomic {
        atomic_exchange(PRODUCER, DOORBELL, 1, 1, seen);
        seen = 0
    }
#endif
    atomic {
        atomic_load(PRODUCER, COLLECTOR_SLEEPING, RELAXED, seen);
        needed = seen;
        seen = 0
    }
    if
    :: needed ->
        atomic {
            atomic_load(PRODUCER, FREE_TAIL, ACQUIRE, seen); /* spsc_queue_length() */
            needed = seen - free_head < RINGS / 2;
            seen = 0
        }
        if
        :: needed -> futex_wake(PRODUCER, DOORBELL_LOCK)
        :: else
        fi;
        needed = false
    :: else
    fi
}

proctype producer()
{
    byte seen, now;
    bool found, needed;

    do
    :: submit_tail < SWAPS -> /* lane_swap_active_ring() */
        try_ring();
        if
        :: !found -> wait_for_ring()
        :: else
        fi;
        found = false;
        atomic {
            submit_tail++;
            atomic_store(PRODUCER, SUBMIT_TAIL, submit_tail, RELEASE)
        }
        announce_ring()
    :: else -> break
    od;
    done = true
}

/* ---- lane_reader.c, thread_drain.c, session_drain.c ----------------------------------------------- */

/* wake_producer() */
inline wake_producer()
{
    atomic {
#ifdef MUTATE_WAITING_COLLECTOR
        atomic_load(COLLECTOR, WAITING, ACQUIRE, seen)
    }
    atomic {
        if
        :: seen == 1 -> atomic_store(COLLECTOR, WAITING, 0, RELEASE)
        :: else
        fi
#else
        atomic_exchange(COLLECTOR, WAITING, 0, 0, seen)
#endif
    }
    if
    :: seen == 1 -> futex_wake(COLLECTOR, WAITING_LOCK)
    :: else
    fi;
    seen = 0
}

/* lane_reader_return_rings(), after a write; also of fewer rings than there are, for the batch may be full at any time. */
inline return_rings()
{
#ifdef MUTATE_WAKE_BEFORE_RETURN
    wake_producer();
#endif
    do
    :: taken > 0 ->
        atomic {
            taken--;
            free_tail++;
            atomic_store(COLLECTOR, FREE_TAIL, free_tail, RELEASE)
        }
    :: else -> break
    od;
#ifndef MUTATE_WAKE_BEFORE_RETURN
    wake_producer()
#endif
}

/* drain_thread_lanes(). `idle` afterwards: there was nothing, or nothing is left. */
inline visit()
{
    atomic {
        atomic_load(COLLECTOR, SUBMIT_TAIL, RELAXED, seen); /* lane_reader_submitted() */
        idle = seen == submit_head;
        seen = 0
    }
    if
    :: idle ->
        atomic {
            atomic_load(COLLECTOR, WAITING, RELAXED, seen)
        }
        if
        :: seen == 1 -> wake_producer()
        :: else
        fi
    :: else ->
        atomic {
            atomic_load(COLLECTOR, SUBMIT_TAIL, ACQUIRE, seen);
            select(taken : 0 .. seen - submit_head);
            submit_head = submit_head + taken;
            idle = submit_head == seen;
            seen = 0
        }
        if
        :: taken > 0 -> return_rings()
        :: else
        fi
    fi
}

/* sleep_for(), with traced_process_prepare_sleep(), something_waits() and traced_process_awake() */
inline sleep()
{
#ifndef MUTATE_SLEEPING_LATE
    atomic {
        atomic_store(COLLECTOR, COLLECTOR_SLEEPING, 1, RELAXED)
    }
#endif
    atomic {
#ifdef MUTATE_DOORBELL_LOAD
        atomic_load(COLLECTOR, DOORBELL, ACQUIRE, bell)
#else
        atomic_exchange(COLLECTOR, DOORBELL, 0, 1, bell)
#endif
    }
#ifdef MUTATE_SLEEPING_LATE
    atomic {
        atomic_store(COLLECTOR, COLLECTOR_SLEEPING, 1, RELAXED)
    }
#endif
#ifndef MUTATE_NO_LOOK
    atomic {
        atomic_load(COLLECTOR, SUBMIT_TAIL, RELAXED, seen);
        idle = seen == submit_head;
        seen = 0
    }
#endif
    if
    :: idle -> futex_wait(COLLECTOR, DOORBELL, DOORBELL_LOCK, bell)
    :: else
    fi;
    bell = 0;
    atomic {
        atomic_store(COLLECTOR, COLLECTOR_SLEEPING, 0, RELAXED)
    }
}

/* drain_main() */
proctype collector()
{
    byte seen, now, taken, bell;
    bool idle;

    do
    :: true ->
        visit();
        if
        :: idle -> sleep()
        :: true /* it lingers */
        fi;
        idle = false
    od
}

active proctype at_rest()
{
    timeout ->
        assert(done);
        assert(submit_head == submit_tail || free_tail - free_head >= RINGS / 2)
}

init
{
    atomic {
        atomics[FREE_TAIL].value[0] = RINGS - 1;
        run producer();
        run collector()
    }
}
