/* SPDX-License-Identifier: MIT */
/* dashboard.html, as it is in the source, and what a browser may do with it. */
#ifndef ADA_EXPORT_DASHBOARD_H
#define ADA_EXPORT_DASHBOARD_H

extern const char ada_dashboard_begin[], ada_dashboard_end[];

/* A Content-Security-Policy: it runs its own script, has its own style, and talks to nobody but us. */
extern const char ada_dashboard_policy[];

#endif
