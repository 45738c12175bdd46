/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/drain/drain_topology.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static uint32_t machine_node_of_memory(void *context, const void *address)
{
    void *page = (void *)((uintptr_t)address & ~(uintptr_t)(ADA_PAGE - 1));
    int node = -1;

    (void)context;
    /* move_pages(2) without nodes to move to only tells where pages are. */
    if (syscall(SYS_move_pages, 0, 1ul, &page, NULL, &node, 0) != 0 || node < 0)
        return 0;
    return (uint32_t)node;
}

static uint32_t machine_current_node(void *context)
{
    unsigned cpu = 0, node = 0;

    (void)context;
    return getcpu(&cpu, &node) == 0 ? node : 0;
}

/* The highest number in a list such as "0-1,4": the nodes of a machine are numbered from 0. */
static uint32_t highest_in(const char *list)
{
    uint32_t highest = 0;

    while (*list >= '0' && *list <= '9') {
        char *end;

        highest = (uint32_t)strtoul(list, &end, 10);
        list = *end == '-' || *end == ',' ? end + 1 : end;
    }
    return highest;
}

void drain_topology_detect(DrainTopology *topology, const char *sysfs)
{
    char path[128];
    char list[256] = "";
    ssize_t size = -1;
    int fd;

    (void)snprintf(path, sizeof(path), "%s/devices/system/node/online", sysfs);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        size = read(fd, list, sizeof(list) - 1);
        close(fd);
    }
    *topology = (DrainTopology){
        .nodes = size > 0 ? highest_in(list) + 1 : 1,
        .node_of_memory = machine_node_of_memory,
        .current_node = machine_current_node,
    };
    if (topology->nodes > DRAIN_NODES_MAX)
        topology->nodes = DRAIN_NODES_MAX;
}

void drain_topology_place(const DrainTopology *topology, ThreadDrainState *state)
{
    state->node = 0;
    if (topology->nodes > 1)
        state->node = topology->node_of_memory(topology->context, state->index.reader.rings) % topology->nodes;
}

void drain_topology_order(const DrainTopology *topology, ThreadDrainState **threads, size_t count,
                          ThreadDrainState **scratch)
{
    uint32_t own;
    size_t placed = 0;

    if (topology->nodes <= 1 || count < 2)
        return;
    own = topology->current_node(topology->context) % topology->nodes;
    for (uint32_t i = 0; i < topology->nodes; i++) {
        uint32_t node = (own + i) % topology->nodes;

        for (size_t t = 0; t < count; t++) {
            if (threads[t]->node == node)
                scratch[placed++] = threads[t];
        }
    }
    memcpy(threads, scratch, placed * sizeof(*threads));
}
