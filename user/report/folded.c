/* SPDX-License-Identifier: MIT */
#include "user/report/folded.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/number.h"
#include "user/base/utf8.h"
#include "user/report/call_tree.h"
#include "user/report/span_name.h"

/* ---- tree ------------------------------------------------------------------------------------- */

static int open_span(Span *span, void *context)
{
    CallPlace place = 0;
    int err = call_tree_open(context, span, (CallPlace)span->parent_tag, &place);

    span->tag = place;
    return err;
}

static int close_span(const Span *span, void *context)
{
    call_tree_close(context, span, (CallPlace)span->tag);
    return 0;
}

static int build_tree(const AdatSet *set, const AdatCursorConfig *config, CallTree *tree)
{
    AdatCursorConfig all = config ? *config : (AdatCursorConfig){.from_ns = INT64_MIN, .to_ns = INT64_MAX};
    const SpanBuilderConfig spans = {
        .opened = open_span, .closed = close_span, .context = tree, .from_ns = all.from_ns, .to_ns = all.to_ns};
    SpanBuilder *builder = NULL;
    AdatCursor *cursor = NULL;
    AdatEvent event;
    int got = span_builder_create(&spans, &builder);

    all.from_ns = INT64_MIN; /* what began earlier may reach into the time that is looked at */
    if (got == 0)
        got = adat_cursor_create_set(set, &all, &cursor);
    while (got == 0 && (got = adat_cursor_next(cursor, &event)) > 0)
        got = span_builder_add(builder, &event);
    if (got == 0)
        got = span_builder_finish(builder);
    adat_cursor_destroy(cursor);
    span_builder_destroy(builder);
    return got;
}

/* ---- lines ------------------------------------------------------------------------------------ */

#define PART_MAX (ADAT_NAME_MAX + NUMBER_CHARS_MAX)

/* The line to a node, part by part: `ends` has the length up to each depth. */
typedef struct Line {
    char *text;
    size_t ends[FOLDED_DEPTH_MAX + 2];
} Line;

static void put_part(Line *line, uint32_t depth, const char *name, size_t length)
{
    size_t at = depth > 0 ? line->ends[depth - 1] : 0, i = 0;

    if (at > 0)
        line->text[at++] = ';';
    while (i < length) {
        unsigned char c = (unsigned char)name[i];
        size_t size = c < 0x20 || c == 0x7f ? 0 : utf8_length((const uint8_t *)name + i, length - i);

        if (size == 0)
            line->text[at++] = '?';
        else if (c == ';')
            line->text[at++] = ':';
        else
            for (size_t k = 0; k < size; k++)
                line->text[at++] = name[i + k];
        i += size > 0 ? size : 1;
    }
    line->ends[depth] = at;
}

static void put_numbered(Line *line, uint32_t depth, const char *name, uint32_t number)
{
    char part[PART_MAX];
    int length = snprintf(part, sizeof(part), "%.*s-%" PRIu32, (int)ADAT_NAME_MAX, name, number);

    put_part(line, depth, part, (size_t)length);
}

/* A thread stands behind its process: depths in lines are one more than in the tree. */
static int name_node(Line *line, const CallNode *node, AdatSymbols *symbols)
{
    char name[ADAT_NAME_MAX];
    int length;

    if (node->depth == 0) {
        put_numbered(line, 0, process_name(node->process), node->process->process.pid);
        put_numbered(line, 1, *node->thread->thread.name ? node->thread->thread.name : "?",
                     node->thread->thread.tid);
        return 0;
    }
    length =
        span_name(node->reader, node->process->process.process, node->id, node->flags, symbols, name, NULL);
    if (length < 0)
        return length;
    put_part(line, node->depth + 1, name, (size_t)length);
    return 0;
}

static void write_line(const Line *line, uint32_t depth, uint64_t ns, FILE *out)
{
    char number[NUMBER_CHARS_MAX + 2] = " ";
    size_t length = 1 + number_format_u64(number + 1, ns);

    if (ns == 0)
        return;
    number[length++] = '\n';
    fwrite_unlocked(line->text, 1, line->ends[depth], out);
    fwrite_unlocked(number, 1, length, out);
}

/* What was spent in all that is below a node, which is the last one in its line, and in itself. */
static uint64_t time_beneath(const CallTree *tree, uint32_t number)
{
    uint32_t end = call_tree_next(tree, number, false);
    uint64_t sum = 0;

    for (uint32_t i = number; i != end; i = call_tree_next(tree, i, true))
        sum += call_tree_node(tree, i)->self_ns;
    return sum;
}

static int write_lines(const CallTree *tree, AdatSymbols *symbols, FILE *out)
{
    Line *line = malloc(sizeof(*line));
    uint32_t number = call_tree_first(tree);
    int err = 0;

    if (line)
        line->text = malloc((size_t)(FOLDED_DEPTH_MAX + 2) * (PART_MAX + 1));
    if (!line || !line->text) {
        free(line);
        return -ENOMEM;
    }
    while (number != CALL_TREE_NONE) {
        const CallNode *node = call_tree_node(tree, number);
        bool deepest = node->depth >= FOLDED_DEPTH_MAX;

        err = name_node(line, node, symbols);
        if (err || ferror(out))
            break;
        write_line(line, node->depth + 1, deepest ? time_beneath(tree, number) : node->self_ns, out);
        number = call_tree_next(tree, number, !deepest);
    }
    free(line->text);
    free(line);
    return err;
}

int folded_write(const AdatSet *set, AdatSymbols *symbols, const AdatCursorConfig *config, FILE *out)
{
    const CallTreeConfig lines = {.by_thread = true};
    CallTree *tree = NULL;
    int err = call_tree_create(&lines, &tree);

    if (!err)
        err = build_tree(set, config, tree);
    if (!err)
        err = write_lines(tree, symbols, out);
    call_tree_destroy(tree);
    return err;
}
