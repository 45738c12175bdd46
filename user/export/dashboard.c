/* SPDX-License-Identifier: MIT */
#include "user/export/dashboard.h"

#ifndef ADA_DASHBOARD
#define ADA_DASHBOARD "user/export/dashboard.html"
#endif

__asm__(".pushsection .rodata\n"
        ".hidden ada_dashboard_begin\n"
        ".hidden ada_dashboard_end\n"
        ".globl ada_dashboard_begin\n"
        ".globl ada_dashboard_end\n"
        "ada_dashboard_begin:\n"
        ".incbin \"" ADA_DASHBOARD "\"\n"
        "ada_dashboard_end:\n"
        ".byte 0\n"
        ".popsection\n");
