/* SPDX-License-Identifier: MIT */
/* What spans, processes and threads are called in reports. Texts come from the trace: they are escaped where they are printed. */
#ifndef ADA_REPORT_SPAN_NAME_H
#define ADA_REPORT_SPAN_NAME_H

#include "user/report/span_builder.h"
#include "user/reader/symbols.h"

/*
 * Writes the name of a span, NUL-terminated, at most ADAT_NAME_MAX bytes; returns its length. `flags` has SPAN_FUNCTION or not. `symbols` NULL:
 * functions are called by module and offset. `module_out`, if it is not NULL: a function's module, or NULL. -ENOMEM.
 */
int span_name(const AdatReader *reader, uint32_t process, uint64_t id, uint32_t flags, AdatSymbols *symbols,
              char name[ADAT_NAME_MAX], const AdaModule **module_out);

/* The last part of the path of a process's program, or of its command; "?" if it is not known. Lives as long as the reader. */
const char *process_name(const AdatProcessInfo *process);

/* Whether it is a process as the kernel saw it, beside what the program told: see user/collector/kernel_view.h. */
bool process_is_kernel_view(const AdatProcessInfo *process);

#endif
