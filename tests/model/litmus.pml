/* SPDX-License-Identifier: MIT */
/*
 * Whether memory.inc is C11: litmus tests, each with an outcome that C11 forbids, or allows (then it must be found).
 *
 *     -DMESSAGE        x = 1, flag = 1 (release); flag read as 1 (acquire): x is 1         forbidden otherwise
 *     -DMESSAGE_STORE  the same, flag stored relaxed                                       x may be 0
 *     -DMESSAGE_LOAD   the same, flag loaded relaxed                                       x may be 0
 *     -DCOHERENCE      x = 1, x = 2, relaxed; two relaxed loads                            forbidden: 2, then 1
 *     -DREORDER        x = 1, flag = 1, relaxed; flag read first                           x may be 0 behind flag 1
 *     -DBUFFER         x = 1 (release), y read (acquire); y = 1, x read                    both may be 0
 *     -DBUFFER_RMW     the same, a read-modify-write of one word between store and load    forbidden: both 0
 *     -DLATE_LOAD      x read (plain), flag = 1 relaxed; flag read as 1 (acquire), x = 1   a race: the read may see the 1
 */
#define X 0
#define FLAG 1 /* y in the buffer tests */
#define WORD 2
#define ATOMICS 3
#ifdef LATE_LOAD
#define PLAINS 1
#define WRITTEN_BY(l) COLLECTOR
#else
#define PLAINS 0
#endif

#include "memory.inc"

byte first = 9; /* what was read; 9 = nothing yet */
byte second = 9;

active proctype producer()
{
#if defined(MESSAGE) || defined(MESSAGE_STORE) || defined(MESSAGE_LOAD) || defined(REORDER)
    atomic {
        atomic_store(PRODUCER, X, 1, RELAXED);
#if defined(MESSAGE_STORE) || defined(REORDER)
        atomic_store(PRODUCER, FLAG, 1, RELAXED)
#else
        atomic_store(PRODUCER, FLAG, 1, RELEASE)
#endif
    }
#elif defined(COHERENCE)
    atomic {
        atomic_store(PRODUCER, X, 1, RELAXED);
        atomic_store(PRODUCER, X, 2, RELAXED)
    }
#elif defined(LATE_LOAD)
    atomic {
        plain_load(PRODUCER, 0, first);
        atomic_store(PRODUCER, FLAG, 1, RELAXED)
    }
#else
    byte old;

    atomic {
        atomic_store(PRODUCER, X, 1, RELEASE)
    }
#ifdef BUFFER_RMW
    atomic {
        atomic_exchange(PRODUCER, WORD, 1, 0, old)
    }
#endif
    atomic {
        atomic_load(PRODUCER, FLAG, ACQUIRE, first)
    }
#endif
}

active proctype collector()
{
#if defined(MESSAGE) || defined(MESSAGE_STORE) || defined(MESSAGE_LOAD) || defined(REORDER)
    atomic {
#if defined(MESSAGE_LOAD) || defined(REORDER)
        atomic_load(COLLECTOR, FLAG, RELAXED, first)
#else
        atomic_load(COLLECTOR, FLAG, ACQUIRE, first)
#endif
    }
    atomic {
        atomic_load(COLLECTOR, X, RELAXED, second)
    }
    assert(!(first == 1 && second == 0))
#elif defined(COHERENCE)
    atomic {
        atomic_load(COLLECTOR, X, RELAXED, first)
    }
    atomic {
        atomic_load(COLLECTOR, X, RELAXED, second)
    }
    assert(first <= second)
#elif defined(LATE_LOAD)
    atomic {
        atomic_load(COLLECTOR, FLAG, ACQUIRE, second);
        if
        :: second == 1 -> plain_store(COLLECTOR, 0, 1)
        :: else
        fi
    }
#else
    byte old;

    atomic {
        atomic_store(COLLECTOR, FLAG, 1, RELEASE)
    }
#ifdef BUFFER_RMW
    atomic {
        atomic_exchange(COLLECTOR, WORD, 0, 0, old)
    }
#endif
    atomic {
        atomic_load(COLLECTOR, X, ACQUIRE, second)
    }
    (first != 9); /* the other side has read, too */
    assert(!(first == 0 && second == 0))
#endif
}
