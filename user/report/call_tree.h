/* SPDX-License-Identifier: MIT */
/*
 * Who calls whom, and how long: spans with the same name and the same callers are one node. The callers' line begins with a process or a thread.
 *
 *   node = call_tree_open(tree, span, node of its parent)      when a span begins
 *   call_tree_close(tree, node, span)                          when it has ended
 *
 * The nodes are in the Span's tags: call_tree_open() is told the parent's and returns the one to be kept. A span of which
 * the duration is not known (unwound, unsure) is counted, and its time is nobody's.
 *
 * Memory: at most CALL_TREE_NODES_MAX nodes. Spans that would need more belong to their parent's node, and are counted
 * as overflowed. One thread uses a tree.
 */
#ifndef ADA_REPORT_CALL_TREE_H
#define ADA_REPORT_CALL_TREE_H

#include "user/report/span_builder.h"

#define CALL_TREE_NODES_MAX (1u << 20)
#define CALL_TREE_NONE 0u

/* By number from 1 on; parents have lower numbers than their children. */
typedef struct CallNode {
    const AdatReader *reader;
    const AdatProcessInfo *process;
    const AdatThreadInfo *thread; /* of a tree by threads; else NULL */
    uint64_t id;                  /* a span's */
    uint32_t parent;              /* CALL_TREE_NONE: it is a process or a thread */
    uint32_t first_child;         /* CALL_TREE_NONE: it has none */
    uint32_t next;                /* of its parent's children */
    uint32_t depth;               /* 0: a process or a thread */
    uint32_t flags;               /* SPAN_FUNCTION */
    uint64_t count;
    uint64_t incomplete; /* of them with one of SPAN_INCOMPLETE */
    uint64_t total_ns;   /* of a process or thread, of its outermost spans */
    uint64_t self_ns;
} CallNode;

typedef struct CallTreeConfig {
    bool by_thread;      /* a line begins with a thread, else with a process */
    bool fold_recursion; /* a span directly within one of its name counts for that one's node */
} CallTreeConfig;

typedef struct CallTree CallTree;

/* -ENOMEM. */
int call_tree_create(const CallTreeConfig *config, CallTree **tree_out);

/* NULL is allowed. */
void call_tree_destroy(CallTree *tree);

/* What call_tree_open() returns: a node, and whether its time is counted by an outer span of the same node. */
typedef uint32_t CallPlace;

/* `parent`: what was returned for the span's parent, 0 if it has none. 0 or -ENOMEM. */
int call_tree_open(CallTree *tree, const Span *span, CallPlace parent, CallPlace *place_out);
/* Of a span that is past nothing is added. */
void call_tree_close(CallTree *tree, const Span *span, CallPlace place);

/* NULL beyond the last. */
const CallNode *call_tree_node(const CallTree *tree, uint32_t number);

/* The children of each node and the lines' beginnings by total time, the longest first. Those that have no spans, nor anything beneath them, are gone. */
void call_tree_sort(CallTree *tree);

/* The beginning of the first line; its `next` leads to the others. CALL_TREE_NONE: there are no spans. */
uint32_t call_tree_first(const CallTree *tree);

/* The next node in the order of the tree: what is beneath it, if `beneath`, then what comes after it. CALL_TREE_NONE: it was the last. */
uint32_t call_tree_next(const CallTree *tree, uint32_t number, bool beneath);

uint64_t call_tree_overflowed(const CallTree *tree);

#endif
