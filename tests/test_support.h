/* SPDX-License-Identifier: MIT */
/*
 * A thin layer over CUnit, so that a test program is a list of tests and one line of main:
 *
 *     static void ring__full__then_refused(void)
 *     {
 *         CU_ASSERT_EQUAL(ring_push(&ring, 1), -ENOBUFS);
 *     }
 *
 *     static const TestCase tests[] = {
 *         TEST(ring__full__then_refused),
 *     };
 *     TEST_MAIN("ring", tests)
 *
 * Prints a line per test, each failed assertion with its place, and at last
 * `ring: N passed, N failed`; exits with 0 when nothing failed. Arguments select the tests whose names
 * contain one of them. A test that makes no assertion has failed: it proves nothing.
 */
#ifndef ADA_TESTS_TEST_SUPPORT_H
#define ADA_TESTS_TEST_SUPPORT_H

#include <stddef.h>

#include <CUnit/CUnit.h>

typedef struct TestCase {
    const char *name;
    void (*run)(void);
} TestCase;

/* clang-format off */
#define TEST(function) {#function, function}
/* clang-format on */

#define TEST_MAIN(module, tests)                                                        \
    int main(int argc, char **argv)                                                     \
    {                                                                                   \
        return test_run(module, tests, sizeof(tests) / sizeof((tests)[0]), argc, argv); \
    }

/* Runs the tests in order. 0; 1 when one failed or none was selected. */
int test_run(const char *module, const TestCase *tests, size_t count, int argc, char **argv);

/* Leaves the calling test, which is then reported as skipped for the reason given, and not as passed. */
#define TEST_SKIP(...)          \
    do {                        \
        test_skip(__VA_ARGS__); \
        return;                 \
    } while (0)

void test_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
