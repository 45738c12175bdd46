/* SPDX-License-Identifier: MIT */
/* dashboard.html, as it is in the source. */
#ifndef ADA_EXPORT_DASHBOARD_H
#define ADA_EXPORT_DASHBOARD_H

extern const char ada_dashboard_begin[], ada_dashboard_end[];

#endif
