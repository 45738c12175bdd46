/* SPDX-License-Identifier: MIT */
#include "user/lane/test_point.h"

#ifdef ADA_TEST_POINTS
AdaTestPointHook ada_test_point_hook;
#else
typedef int AdaTestPointNothing; /* ISO C forbids an empty translation unit */
#endif
