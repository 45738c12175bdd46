/* SPDX-License-Identifier: MIT */
/*
 * Which memory is near: so that on a machine with several NUMA nodes the drain visits the threads of its own
 * node first, and those of the others node by node. On one node nothing is asked and nothing is changed.
 */
#ifndef ADA_DRAIN_DRAIN_TOPOLOGY_H
#define ADA_DRAIN_DRAIN_TOPOLOGY_H

#include <stddef.h>
#include <stdint.h>

#include "user/drain/thread_drain_state.h"

#define DRAIN_NODES_MAX 64u

/* Where the machine's answers come from; a test has its own. */
typedef struct DrainTopology {
    uint32_t nodes; /* 1..DRAIN_NODES_MAX */
    /* The node of a page that is present, or 0 if that cannot be told. */
    uint32_t (*node_of_memory)(void *context, const void *address);
    /* The node of the CPU that the caller runs on. */
    uint32_t (*current_node)(void *context);
    void *context;
} DrainTopology;

/* The machine's own, read from below `sysfs` ("/sys"). Not readable: one node. */
void drain_topology_detect(DrainTopology *topology, const char *sysfs);

/* Notes where the thread's rings are. */
void drain_topology_place(const DrainTopology *topology, ThreadDrainState *state);

/*
 * Groups threads by node, keeping their order within each: the drain's own node first, then the next ones
 * upwards. `scratch` has room for as many.
 */
void drain_topology_order(const DrainTopology *topology, ThreadDrainState **threads, size_t count,
                          ThreadDrainState **scratch);

#endif
