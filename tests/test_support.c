/* SPDX-License-Identifier: MIT */
#include "test_support.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <CUnit/TestRun.h>

#define FAILURES_SHOWN 10 /* of one test: an assertion in a loop can fail a million times */

/* CUnit's handlers take no context. */
static struct {
    unsigned passed;
    unsigned failed;
    unsigned skipped;
    unsigned asserts_before;
    char skip_reason[256];
} run;

void test_skip(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(run.skip_reason, sizeof(run.skip_reason), format, args);
    va_end(args);
}

static void on_test_start(CU_pTest test, CU_pSuite suite)
{
    (void)test;
    (void)suite;
    run.asserts_before = CU_get_number_of_asserts();
    run.skip_reason[0] = '\0';
}

static void on_test_complete(CU_pTest test, CU_pSuite suite, CU_pFailureRecord failures)
{
    bool asserted = CU_get_number_of_asserts() != run.asserts_before;
    unsigned shown = 0;

    (void)suite;
    if (failures) {
        run.failed++;
        printf("FAIL %s\n", test->pName);
    } else if (run.skip_reason[0]) {
        run.skipped++;
        printf("SKIP %s: %s\n", test->pName, run.skip_reason);
    } else if (!asserted) {
        run.failed++;
        printf("FAIL %s: makes no assertion\n", test->pName);
    } else {
        run.passed++;
        printf("pass %s\n", test->pName);
    }
    for (CU_pFailureRecord failure = failures; failure; failure = failure->pNext) {
        if (shown++ == FAILURES_SHOWN) {
            printf("  and more\n");
            break;
        }
        printf("  %s:%u: %s\n", failure->strFileName, failure->uiLineNumber, failure->strCondition);
    }
    fflush(stdout);
}

static bool is_selected(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strstr(name, argv[i]))
            return true;
    return argc < 2;
}

int test_run(const char *module, const TestCase *tests, size_t count, int argc, char **argv)
{
    CU_pSuite suite;
    CU_ErrorCode error = CU_initialize_registry();

    if (error != CUE_SUCCESS)
        goto out;
    suite = CU_add_suite(module, NULL, NULL);
    if (!suite) {
        error = CU_get_error();
        goto cleanup;
    }
    for (size_t i = 0; i < count; i++) {
        if (is_selected(tests[i].name, argc, argv) && !CU_add_test(suite, tests[i].name, tests[i].run)) {
            error = CU_get_error();
            goto cleanup;
        }
    }
    CU_set_test_start_handler(on_test_start);
    CU_set_test_complete_handler(on_test_complete);
    error = CU_run_all_tests();

cleanup:
    CU_cleanup_registry();
out:
    if (error != CUE_SUCCESS) {
        fprintf(stderr, "%s: CUnit: error %d\n", module, (int)error);
        run.failed++;
    }
    if (run.skipped)
        printf("%s: %u skipped\n", module, run.skipped);
    printf("%s: %u passed, %u failed\n", module, run.passed, run.failed);
    return run.failed || !(run.passed + run.skipped);
}
