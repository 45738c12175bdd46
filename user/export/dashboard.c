/* SPDX-License-Identifier: MIT */
#include "user/export/dashboard.h"

#include "user/base/embed.h"

/* For tools that know nothing of the build. */
#ifndef ADA_DASHBOARD
#define ADA_DASHBOARD "user/export/dashboard.html"
#define ADA_DASHBOARD_SCRIPT_HASH ""
#define ADA_DASHBOARD_STYLE_HASH ""
#endif

const char ada_dashboard_policy[] =
    "default-src 'none'; script-src '" ADA_DASHBOARD_SCRIPT_HASH "'; style-src '" ADA_DASHBOARD_STYLE_HASH "'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

EMBED_FILE(ada_dashboard, ADA_DASHBOARD);
