/* SPDX-License-Identifier: MIT */
/*
 * A quiet lane is watched: RingControl.watch. The collector sets the flag on the ring that its producer fills, looks once more some
 * time later, and then leaves the thread alone; when all are quiet, it sleeps. The producer's next event finds the flag
 * (lane_settle()): it clears it, sets the slot's dirty bit, and rings the doorbell.
 *
 * What holds when both sides have come to rest: the collector has noticed every record that was published, although it sleeps
 * without a time limit here, and never looks at quiet threads in turns.
 *
 * Time. The producer stores a position and then reads the flag, the collector stores the flag and then reads the position,
 * and there is no fence between: each may miss the other. What they rely on is that a store is seen sooner than in
 * the 0.5 ms that two looks at a ring in place are apart at least (in_place_ns). So there is an instant between
 * setting the flag and the last look before which all stores were made that are seen after it: time_passes().
 * Nothing else depends on time: how long a thread must have been without events before it is watched is left open.
 *
 * The flag has two writers, so a store of one side may come before stores of the other that it has not seen: store_watch().
 *
 * Each -DMUTATE_ takes something away:
 *     MUTATE_NO_LOOK_AGAIN     the collector leaves the thread alone as soon as the flag is set
 *     MUTATE_NO_TIME           it looks again, but at once
 *     MUTATE_WATCH_FIRST       the producer reads the flag before it publishes
 *     MUTATE_CLEAR_LATE        it clears the flag after it has given its hint
 *     MUTATE_NO_CLEAR_NOTED    a hint of a thread that is watched, but not quiet yet, changes nothing
 *     MUTATE_NO_HINT           the producer does not set its dirty bit
 *     MUTATE_HINT_RELEASE      it does so relaxed
 *     MUTATE_HINT_ACQUIRE      the collector takes it relaxed
 *     MUTATE_NO_DOORBELL       the producer does not ring
 *     MUTATE_DOORBELL_STORE    it rings by a load and a store
 *     MUTATE_DOORBELL_LOAD     the collector reads the doorbell by a load
 *     MUTATE_SLEEPING_LATE     the collector says that it sleeps after it has read the doorbell
 *     MUTATE_NO_LOOK           the collector does not look at the hints between the doorbell and its sleep
 */
#ifndef EVENTS
#define EVENTS 3
#endif

#define PUBLISHED 0
#define WATCH 1
#define DIRTY 2
#define DOORBELL 3
#define COLLECTOR_SLEEPING 4
#define DOORBELL_LOCK 5 /* the kernel's */
#define ATOMICS 6
#define PLAINS 0

#include "memory.inc"
#include "futex.inc"

#ifdef MUTATE_HINT_RELEASE
#define HINT_RELEASE RELAXED
#else
#define HINT_RELEASE RELEASE
#endif
#ifdef MUTATE_HINT_ACQUIRE
#define HINT_ACQUIRE RELAXED
#else
#define HINT_ACQUIRE ACQUIRE
#endif

byte published; /* records; the producer's */
byte noticed;   /* of them; the collector's */
bool done;      /* the producer has published all it wanted */

/* Exchange of acquire or release alone, or relaxed. First in its step. */
inline exchange(t, l, x, order, out)
{
    d_step {
        if
        :: atomics[l].author != t ->
            pass(l, atomics[l].unread);
            if
            :: order == ACQUIRE -> learn(t, atomics[l].grants[0])
            :: else
            fi
        :: else
        fi;
        out = NEWEST(l);
        append(t, l, x, order)
    }
}

/* Relaxed. What the other side stored and we do not know of comes before it, or after. */
inline store_watch(t, x)
{
    if
    :: atomic_store(t, WATCH, x, RELAXED)
    :: atomics[WATCH].author != t && atomics[WATCH].unread > 0 ->
        d_step {
            atomics[WATCH].value[0] = x;
            atomics[WATCH].grants[0] = 0
        }
    fi
}

/* All that was stored before is what is read after. It grants nothing. */
inline time_passes()
{
    d_step {
        for (l_ : 0 .. ATOMICS - 1) {
            pass(l_, atomics[l_].unread)
        }
    }
}

/* ---- lane_producer.c -------------------------------------------------------------------------- */

inline clear_watch()
{
    atomic {
        store_watch(PRODUCER, 0)
    }
}

/* lane_settle() */
inline settle()
{
#ifndef MUTATE_CLEAR_LATE
    clear_watch();
#endif
#ifndef MUTATE_NO_HINT
    atomic {
        exchange(PRODUCER, DIRTY, 1, HINT_RELEASE, seen); /* give_hint() */
        seen = 0
    }
#endif
#ifdef MUTATE_CLEAR_LATE
    clear_watch();
#endif
#ifndef MUTATE_NO_DOORBELL
    atomic {
#ifdef MUTATE_DOORBELL_STORE
        atomic_load(PRODUCER, DOORBELL, ACQUIRE, seen);
        atomic_store(PRODUCER, DOORBELL, seen + 1, RELEASE);
#else
        atomic_exchange(PRODUCER, DOORBELL, 1, 1, seen); /* ring_doorbell() */
#endif
        seen = 0
    }
    atomic {
        atomic_load(PRODUCER, COLLECTOR_SLEEPING, RELAXED, seen)
    }
    if
    :: seen == 1 -> futex_wake(PRODUCER, DOORBELL_LOCK)
    :: else
    fi;
    seen = 0
#endif
}

inline read_watch()
{
    atomic {
        atomic_load(PRODUCER, WATCH, RELAXED, seen);
        watched = seen == 1;
        seen = 0
    }
}

proctype producer()
{
    byte seen;
    bool watched;

    do
    :: published < EVENTS -> /* lane_try_write_index() */
#ifdef MUTATE_WATCH_FIRST
        read_watch();
#endif
        atomic {
            published++;
            atomic_store(PRODUCER, PUBLISHED, published, RELEASE)
        }
#ifndef MUTATE_WATCH_FIRST
        read_watch();
#endif
        if
        :: watched -> settle()
        :: else
        fi;
        watched = false
    :: else -> break
    od;
    done = true
}

/* ---- drain_iterator.c, session_drain.c ---------------------------------------------------------- */

/* thread_registry_take_hints(), drain_iterator_hint() */
inline take_hints()
{
    atomic {
        atomic_load(COLLECTOR, DIRTY, RELAXED, seen)
    }
    if
    :: seen == 1 ->
        atomic {
            exchange(COLLECTOR, DIRTY, 0, HINT_ACQUIRE, seen);
#ifdef MUTATE_NO_CLEAR_NOTED
            watched = watched && hot;
#else
            watched = false;
#endif
            hot = true
        }
    :: else
    fi;
    seen = 0
}

/* ask_active(), visit_all() */
inline ask()
{
    atomic {
        atomic_load(COLLECTOR, PUBLISHED, RELAXED, seen); /* lane_reader_pending() */
        idle = seen == noticed;
        seen = 0
    }
    if
    :: !idle ->
        atomic {
            atomic_load(COLLECTOR, PUBLISHED, ACQUIRE, seen); /* lane_reader_next() */
            noticed = seen;
            watched = false;
            seen = 0
        }
    :: idle && !watched -> /* ask_to_rest() */
        atomic {
            store_watch(COLLECTOR, 1)
        }
        watched = true;
#ifdef MUTATE_NO_LOOK_AGAIN
        hot = false
#endif
#ifndef MUTATE_NO_TIME
        time_passes()
#endif
    :: idle && watched -> hot = false
    :: idle /* it was not quiet for long enough */
    fi;
    idle = false
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
#ifdef MUTATE_NO_LOOK
    idle = true;
#else
    atomic {
        atomic_load(COLLECTOR, DIRTY, RELAXED, seen);
        idle = seen == 0;
        seen = 0
    }
#endif
    if
    :: idle -> futex_wait(COLLECTOR, DOORBELL, DOORBELL_LOCK, bell)
    :: else
    fi;
    bell = 0;
    idle = false;
    atomic {
        atomic_store(COLLECTOR, COLLECTOR_SLEEPING, 0, RELAXED)
    }
}

/* drain_main() */
proctype collector()
{
    byte seen, now, bell;
    bool hot = true, watched, idle;

    do
    :: true ->
        take_hints();
        if
        :: hot -> ask()
        :: else -> sleep()
        fi
    od
}

active proctype at_rest()
{
    timeout ->
        assert(done);
        assert(noticed == published)
}

init
{
    atomic {
        run producer();
        run collector()
    }
}
