/* SPDX-License-Identifier: MIT */
#include "user/report/call_tree.h"

#include <errno.h>
#include <stdlib.h>

#include "user/base/array.h"
#include "user/report/key_map.h"

#define PLACE_INNER 0x80000000u /* an outer span of the same node counts the time */
#define PLACE_NODE 0x7fffffffu

struct CallTree {
    CallTreeConfig config;
    CallNode *nodes; /* 0 is nobody: its children are the lines' beginnings */
    size_t count;
    size_t capacity;
    KeyMap map; /* by parent and name */
    uint64_t overflowed;
};

/* What tells a node from its siblings: of a line's beginning, where its thread or process is in memory. */
static uint64_t id_of(const CallNode *node)
{
    if (node->parent != CALL_TREE_NONE)
        return node->id;
    return node->thread ? (uintptr_t)node->thread : (uintptr_t)node->process;
}

/* Adds a node to its parent's children. 0 or -ENOMEM. */
static int add_node(CallTree *tree, const CallNode *node, uint32_t *number_out)
{
    if (array_reserve_one(&tree->nodes, &tree->capacity, tree->count, sizeof(*tree->nodes)) ||
        key_map_set(&tree->map, id_of(node), node->parent, node->flags, (uint32_t)tree->count))
        return -ENOMEM;
    *number_out = (uint32_t)tree->count;
    tree->nodes[tree->count] = *node;
    tree->nodes[tree->count].depth = node->parent ? tree->nodes[node->parent].depth + 1 : 0;
    tree->nodes[tree->count].next = tree->nodes[node->parent].first_child;
    tree->nodes[node->parent].first_child = *number_out;
    tree->count++;
    return 0;
}

/* The node as described, which is added if there is room. CALL_TREE_NONE: there is none. 0 or -ENOMEM. */
static int get_node(CallTree *tree, const CallNode *node, uint32_t *number_out)
{
    *number_out = key_map_find(&tree->map, id_of(node), node->parent, node->flags);
    if (*number_out != CALL_TREE_NONE || tree->count > CALL_TREE_NODES_MAX)
        return 0;
    return add_node(tree, node, number_out);
}

int call_tree_create(const CallTreeConfig *config, CallTree **tree_out)
{
    CallTree *tree = calloc(1, sizeof(*tree));

    if (!tree)
        return -ENOMEM;
    tree->config = *config;
    if (array_reserve_one(&tree->nodes, &tree->capacity, 0, sizeof(*tree->nodes))) {
        call_tree_destroy(tree);
        return -ENOMEM;
    }
    tree->nodes[0] = (CallNode){0};
    tree->count = 1;
    *tree_out = tree;
    return 0;
}

void call_tree_destroy(CallTree *tree)
{
    if (!tree)
        return;
    free(tree->nodes);
    key_map_fini(&tree->map);
    free(tree);
}

/* The beginning of the span's line. */
static int line_of(CallTree *tree, const Span *span, uint32_t *number_out)
{
    const CallNode node = {.reader = span->reader,
                           .process = span->process,
                           .thread = tree->config.by_thread ? span->thread : NULL};

    return get_node(tree, &node, number_out);
}

int call_tree_open(CallTree *tree, const Span *span, CallPlace parent, CallPlace *place_out)
{
    CallNode node = {.reader = span->reader,
                     .process = span->process,
                     .thread = tree->config.by_thread ? span->thread : NULL,
                     .id = span->id,
                     .flags = span->flags & SPAN_FUNCTION,
                     .parent = parent & PLACE_NODE};
    const CallNode *outer;
    uint32_t number;
    int err = 0;

    if (node.parent == CALL_TREE_NONE)
        err = line_of(tree, span, &node.parent);
    if (err)
        return err;
    outer = &tree->nodes[node.parent];
    if (tree->config.fold_recursion && outer->depth > 0 && outer->id == node.id && outer->flags == node.flags) {
        *place_out = node.parent | PLACE_INNER;
        return 0;
    }
    err = node.parent ? get_node(tree, &node, &number) : 0;
    if (err)
        return err;
    if (node.parent == CALL_TREE_NONE || number == CALL_TREE_NONE) { /* no room: the caller's */
        tree->overflowed++;
        *place_out = node.parent | PLACE_INNER;
        return 0;
    }
    *place_out = number;
    return 0;
}

void call_tree_close(CallTree *tree, const Span *span, CallPlace place)
{
    CallNode *node = &tree->nodes[place & PLACE_NODE], *line;

    if ((place & PLACE_NODE) == CALL_TREE_NONE || span->flags & SPAN_PAST)
        return;
    if (node->depth > 0) {
        node->count++;
        node->incomplete += (span->flags & SPAN_INCOMPLETE) != 0;
    }
    if (!span_has_time(span))
        return;
    node->self_ns += span->self_ns;
    if (place & PLACE_INNER)
        return;
    node->total_ns += span_duration(span);
    line = &tree->nodes[node->parent];
    if (node->depth == 1 && span->depth == 0)
        line->total_ns += span_duration(span);
}

const CallNode *call_tree_node(const CallTree *tree, uint32_t number)
{
    return number > 0 && number < tree->count ? &tree->nodes[number] : NULL;
}

uint32_t call_tree_first(const CallTree *tree)
{
    return tree->nodes[0].first_child;
}

uint32_t call_tree_next(const CallTree *tree, uint32_t number, bool beneath)
{
    const CallNode *node = call_tree_node(tree, number);

    if (beneath && node->first_child != CALL_TREE_NONE)
        return node->first_child;
    while (node && node->next == CALL_TREE_NONE)
        node = call_tree_node(tree, node->parent);
    return node ? node->next : CALL_TREE_NONE;
}

uint64_t call_tree_overflowed(const CallTree *tree)
{
    return tree->overflowed;
}

/* ---- order ------------------------------------------------------------------------------------ */

static bool comes_before(const CallTree *tree, uint32_t a, uint32_t b)
{
    const CallNode *left = &tree->nodes[a], *right = &tree->nodes[b];

    return left->total_ns > right->total_ns || (left->total_ns == right->total_ns && a < b);
}

static uint32_t merge(CallTree *tree, uint32_t a, uint32_t b)
{
    uint32_t first = CALL_TREE_NONE, *end = &first;

    while (a && b) {
        uint32_t *taken = comes_before(tree, a, b) ? &a : &b;

        *end = *taken;
        end = &tree->nodes[*taken].next;
        *taken = *end;
    }
    *end = a ? a : b;
    return first;
}

/* A list by merging, without recursion: sorted lists of 1, 2, 4 ... nodes wait until there are two of a size. */
static uint32_t sort_list(CallTree *tree, uint32_t list)
{
    uint32_t waiting[32] = {0}, sorted = CALL_TREE_NONE;

    while (list) {
        uint32_t one = list;
        size_t size = 0;

        list = tree->nodes[one].next;
        tree->nodes[one].next = CALL_TREE_NONE;
        for (; waiting[size]; size++) {
            one = merge(tree, waiting[size], one);
            waiting[size] = CALL_TREE_NONE;
        }
        waiting[size] = one;
    }
    for (size_t size = 0; size < 32; size++)
        sorted = merge(tree, waiting[size], sorted);
    return sorted;
}

/* Leaves out what nothing was added to, nor beneath it. Children come after their parents. */
static void prune(CallTree *tree)
{
    for (size_t i = 0; i < tree->count; i++)
        tree->nodes[i].first_child = CALL_TREE_NONE;
    for (size_t i = tree->count; i-- > 1;) {
        CallNode *node = &tree->nodes[i], *parent = &tree->nodes[node->parent];

        if (node->count == 0 && node->first_child == CALL_TREE_NONE)
            continue;
        node->next = parent->first_child;
        parent->first_child = (uint32_t)i;
    }
}

void call_tree_sort(CallTree *tree)
{
    prune(tree);
    for (size_t i = 0; i < tree->count; i++)
        tree->nodes[i].first_child = sort_list(tree, tree->nodes[i].first_child);
}
