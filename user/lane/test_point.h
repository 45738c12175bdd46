/* SPDX-License-Identifier: MIT */
/*
 * Named steps of a protocol at which tests can stop, kill or reorder.
 *
 * In builds with ADA_TEST_POINTS each step calls the hook, if one is set; everywhere else a test
 * point compiles to nothing. The hook runs on the thread that reached the step.
 */
#ifndef ADA_LANE_TEST_POINT_H
#define ADA_LANE_TEST_POINT_H

#ifdef ADA_TEST_POINTS

typedef void (*AdaTestPointHook)(const char *name);

/* Also of the client library that is made for tests. */
extern __attribute__((visibility("default"))) AdaTestPointHook ada_test_point_hook;

#define ADA_TEST_POINT(name)           \
    do {                               \
        if (ada_test_point_hook)       \
            ada_test_point_hook(name); \
    } while (0)

#else

#define ADA_TEST_POINT(name) ((void)0)

#endif

#endif
