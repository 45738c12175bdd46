/* SPDX-License-Identifier: MIT */
/* The tree of calls, and folded stacks of it, over real files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adat_check.h"
#include "test_support.h"
#include "user/report/call_tree.h"
#include "user/report/folded.h"

/* A thread's functions "abc": entered in lower case, left in upper case, one every 10 ns. */
static void put_calls(AdatWriter *writer, uint32_t thread, const char *calls)
{
    AdaIndexEvent events[64];
    uint32_t count = 0, depth = 0;

    for (; calls[count]; count++) {
        bool enters = calls[count] >= 'a';

        depth -= !enters;
        events[count] = (AdaIndexEvent){
            .timestamp = SAMPLE_MONOTONIC + 10 * (uint64_t)(count + 1),
            .id = SAMPLE_MODULE_BASE + (uint64_t)(calls[count] | 0x20),
            .word = ADA_WORD(enters ? ADA_KIND_FUNCTION_ENTRY : ADA_KIND_FUNCTION_EXIT, 0, depth),
        };
        depth += enters;
    }
    sample_put_index(writer, 1, thread, 0, events, count, NULL);
}

static AdatSet *open_set(int fd)
{
    AdatSet *set = NULL;

    CU_ASSERT_EQUAL_FATAL(adat_set_open(sample_path(fd), &set), 0);
    return set;
}

static void expect_folded_within(int fd, const AdatCursorConfig *config, const char *expected)
{
    AdatSet *set = open_set(fd);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    CU_ASSERT_EQUAL(folded_write(set, NULL, config, out), 0);
    fclose(out);
    CU_ASSERT_STRING_EQUAL(text, expected);
    if (strcmp(text, expected) != 0)
        printf("got:\n%s", text);
    free(text);
    adat_set_close(set);
    close(fd);
}

static void expect_folded(int fd, const char *expected)
{
    expect_folded_within(fd, NULL, expected);
}

static void folded__calls_of_two_threads__then_a_line_for_each_place(void)
{
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);

    sample_put_module(writer, 1, SAMPLE_MODULE_BASE, 0x1000, "/usr/bin/app");
    sample_put_thread(writer, 2, 1, 77, "two;\n");
    put_calls(writer, 1, "abBbBcCA");
    put_calls(writer, 2, "bB");
    end_unclosed(writer);
    expect_folded(fd, "app-4242;two:?-77;app+0x62 10\n"
                      "app-4242;main-4242;app+0x61 40\n"
                      "app-4242;main-4242;app+0x61;app+0x63 10\n"
                      "app-4242;main-4242;app+0x61;app+0x62 20\n");
}

static void folded__unwound_and_cut__then_only_known_time(void)
{
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);

    sample_put_module(writer, 1, SAMPLE_MODULE_BASE, 0x1000, "/usr/bin/app");
    put_calls(writer, 1, "abcBd");
    end_unclosed(writer);
    /* c was left at some time before b ended: its 10 ns are nobody's */
    expect_folded(fd, "app-4242;main-4242;app+0x61 20\n"
                      "app-4242;main-4242;app+0x61;app+0x62 10\n");
}

static void folded__part_of_the_time__then_what_lies_in_it(void)
{
    const AdatCursorConfig part = {.from_ns = 45, .to_ns = 85};
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);

    sample_put_module(writer, 1, SAMPLE_MODULE_BASE, 0x1000, "/usr/bin/app");
    put_calls(writer, 1, "abBcbBCdDA"); /* a 10-100, b 20-30, c 40-70, b 50-60, d 80-90: they are cut at 80 */
    end_unclosed(writer);
    expect_folded_within(fd, &part,
                         "app-4242;main-4242;app+0x61 10\n"
                         "app-4242;main-4242;app+0x61;app+0x63 15\n"
                         "app-4242;main-4242;app+0x61;app+0x63;app+0x62 10\n");
}

static void folded__recursion_without_end__then_bounded_lines(void)
{
    enum { DEPTH = 5000 };
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);
    AdaIndexEvent *events = calloc(DEPTH, sizeof(*events));
    AdatSet *set;
    char *text = NULL, *last;
    size_t size = 0, lines = 0;
    FILE *out;

    for (uint32_t i = 0; i < DEPTH; i++)
        events[i] =
            (AdaIndexEvent){.timestamp = SAMPLE_MONOTONIC + i + 1, .id = 9, .word = ADA_KIND_FUNCTION_ENTRY};
    sample_put_index(writer, 1, 1, 0, events, DEPTH, NULL);
    end_unclosed(writer);
    set = open_set(fd);
    out = open_memstream(&text, &size);
    CU_ASSERT_EQUAL(folded_write(set, NULL, NULL, out), 0);
    fclose(out);
    for (const char *at = text; (at = strchr(at, '\n')); at++)
        lines++;
    CU_ASSERT_EQUAL(lines, FOLDED_DEPTH_MAX);
    last = strrchr(text, ' ');
    CU_ASSERT_EQUAL(strtol(last, NULL, 10), DEPTH - FOLDED_DEPTH_MAX);
    free(text);
    free(events);
    adat_set_close(set);
    close(fd);
}

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

static CallTree *tree_of(const AdatReader *reader, bool fold)
{
    const CallTreeConfig config = {.fold_recursion = fold};
    CallTree *tree = NULL;
    SpanBuilder *builder;
    AdatCursor *cursor;
    AdatEvent event;

    CU_ASSERT_EQUAL_FATAL(call_tree_create(&config, &tree), 0);
    CU_ASSERT_EQUAL_FATAL(
        span_builder_create(&(SpanBuilderConfig){open_span, close_span, tree, INT64_MIN, INT64_MAX}, &builder),
        0);
    CU_ASSERT_EQUAL_FATAL(adat_cursor_create(reader, NULL, &cursor), 0);
    while (adat_cursor_next(cursor, &event) > 0)
        CU_ASSERT_EQUAL(span_builder_add(builder, &event), 0);
    CU_ASSERT_EQUAL(span_builder_finish(builder), 0);
    adat_cursor_destroy(cursor);
    span_builder_destroy(builder);
    call_tree_sort(tree);
    return tree;
}

static void tree__threads_of_a_process__then_merged_and_the_longest_first(void)
{
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);
    const CallNode *process, *a, *b;
    AdatReader *reader;
    CallTree *tree;

    sample_put_thread(writer, 2, 1, 77, "two");
    put_calls(writer, 1, "abBcCcCcCA");
    put_calls(writer, 2, "abBbBA");
    end_unclosed(writer);
    reader = open_trace(fd);
    tree = tree_of(reader, true);
    process = call_tree_node(tree, call_tree_first(tree));
    CU_ASSERT_EQUAL(process->total_ns, 90 + 50);
    a = call_tree_node(tree, process->first_child);
    CU_ASSERT_EQUAL(a->count, 2);
    CU_ASSERT_EQUAL(a->total_ns, 140);
    CU_ASSERT_EQUAL(a->self_ns, 140 - 60);
    b = call_tree_node(tree, a->first_child);
    CU_ASSERT_EQUAL(b->count, 3);
    CU_ASSERT_EQUAL(b->total_ns, 30);
    CU_ASSERT_EQUAL(call_tree_node(tree, b->next)->count, 3);
    CU_ASSERT_EQUAL(call_tree_node(tree, b->next)->next, CALL_TREE_NONE);
    call_tree_destroy(tree);
    adat_reader_close(reader);
    close(fd);
}

static void tree__recursion_folded__then_one_node_whose_time_is_the_outermost(void)
{
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);
    const CallNode *a;
    AdatReader *reader;
    CallTree *tree;

    put_calls(writer, 1, "aaabBAAA");
    end_unclosed(writer);
    reader = open_trace(fd);
    tree = tree_of(reader, true);
    a = call_tree_node(tree, call_tree_node(tree, call_tree_first(tree))->first_child);
    CU_ASSERT_EQUAL(a->count, 3);
    CU_ASSERT_EQUAL(a->total_ns, 70);
    CU_ASSERT_EQUAL(a->self_ns, 60);
    call_tree_destroy(tree);
    tree = tree_of(reader, false);
    a = call_tree_node(tree, call_tree_node(tree, call_tree_first(tree))->first_child);
    CU_ASSERT_EQUAL(a->count, 1);
    CU_ASSERT_EQUAL(call_tree_node(tree, a->first_child)->count, 1);
    call_tree_destroy(tree);
    adat_reader_close(reader);
    close(fd);
}

static void tree__more_places_than_nodes__then_the_callers_and_counted(void)
{
    enum { PLACES = CALL_TREE_NODES_MAX + 100 };
    CallTree *tree = NULL;
    AdatProcessInfo process = {0};
    Span span = {.process = &process, .end_ns = 5, .self_ns = 5};
    CallPlace outer, place = 0;

    CU_ASSERT_EQUAL_FATAL(call_tree_create(&(CallTreeConfig){0}, &tree), 0);
    CU_ASSERT_EQUAL(call_tree_open(tree, &span, 0, &outer), 0);
    for (uint32_t i = 1; i < PLACES; i++) {
        span.id = i;
        span.depth = 1;
        if (call_tree_open(tree, &span, outer, &place) != 0)
            CU_FAIL("open");
        call_tree_close(tree, &span, place);
    }
    CU_ASSERT(call_tree_overflowed(tree) > 0);
    CU_ASSERT_EQUAL(call_tree_node(tree, outer)->self_ns, 5 * call_tree_overflowed(tree));
    call_tree_sort(tree);
    call_tree_destroy(tree);
}

static const TestCase tests[] = {
    TEST(folded__calls_of_two_threads__then_a_line_for_each_place),
    TEST(folded__unwound_and_cut__then_only_known_time),
    TEST(folded__part_of_the_time__then_what_lies_in_it),
    TEST(folded__recursion_without_end__then_bounded_lines),
    TEST(tree__threads_of_a_process__then_merged_and_the_longest_first),
    TEST(tree__recursion_folded__then_one_node_whose_time_is_the_outermost),
    TEST(tree__more_places_than_nodes__then_the_callers_and_counted),
};
TEST_MAIN("folded", tests)
