/* SPDX-License-Identifier: MIT */
#include "user/drain/thread_drain_state.h"

#define TO(phase) (1u << THREAD_DRAIN_##phase)

static const struct {
    const char *name;
    uint32_t next; /* TO() of the phases that may follow */
} phases[] = {
    [THREAD_DRAIN_REGISTERED] = {"registered", TO(PENDING) | TO(DEREGISTERING)},
    [THREAD_DRAIN_ACTIVE] = {"active", TO(PENDING) | TO(IDLE) | TO(DEREGISTERING)},
    [THREAD_DRAIN_PENDING] = {"pending", TO(DRAINING) | TO(DEREGISTERING)},
    [THREAD_DRAIN_DRAINING] = {"draining", TO(ACTIVE) | TO(PENDING)},
    [THREAD_DRAIN_IDLE] = {"idle", TO(ACTIVE) | TO(PENDING) | TO(DEREGISTERING)},
    [THREAD_DRAIN_DEREGISTERING] = {"deregistering", TO(FINAL)},
    [THREAD_DRAIN_FINAL] = {"final drain", TO(DRAINED)},
    [THREAD_DRAIN_DRAINED] = {"drained", 0},
};
_Static_assert(sizeof(phases) / sizeof(phases[0]) == THREAD_DRAIN_PHASES, "every phase has its steps");

bool thread_drain_move(ThreadDrainState *state, enum thread_drain_phase to)
{
    if (to >= THREAD_DRAIN_PHASES || !(phases[state->phase].next & 1u << to))
        return false;
    state->phase = to;
    return true;
}

const char *thread_drain_phase_name(enum thread_drain_phase phase)
{
    return phase < THREAD_DRAIN_PHASES ? phases[phase].name : "invalid";
}

void thread_drain_waited(ThreadDrainState *state)
{
    state->stats.wait++;
    state->stats.wait_total++;
    if (state->stats.wait > state->stats.wait_max)
        state->stats.wait_max = state->stats.wait;
}

void thread_drain_visited(ThreadDrainState *state)
{
    state->stats.visits++;
    state->stats.wait = 0;
}
