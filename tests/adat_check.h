/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the reader share: traces with something wrong in them, and what the reader makes
 * of them. Failures are CUnit's.
 */
#ifndef ADA_TESTS_ADAT_CHECK_H
#define ADA_TESTS_ADAT_CHECK_H

#include "adat_sample.h"
#include "user/reader/adat_reader.h"

/* Opens a trace that must be readable. The fd stays the caller's. */
AdatReader *open_trace(int fd);

/* All bytes of a file, to be freed by the caller. */
uint8_t *file_content(int fd, size_t *size_out);

/* Makes the file hold these bytes and no more. */
void set_content(int fd, const uint8_t *bytes, size_t size);

/* Sets the checksum of a changed block right. */
void seal_block(uint8_t *block);

/* The block number `number` of an intact file. */
uint8_t *find_block(uint8_t *bytes, unsigned number);

/* Reads everything that a reader offers; returns the number of events that the cursor gave, or -errno. */
int64_t read_everything(const AdatReader *reader);

/* How many problems verify finds; all must be texts. */
uint64_t count_problems(const AdatReader *reader);

/* Expects that exactly one problem is found, and that its text holds `text`; NULL = none. Closes the fd. */
void expect_verdict(int fd, const char *text);

/* A trace with one process and one thread, ready for blocks of events. */
AdatWriter *begin_trace(int fd);

/* Closes it, with these entries as the final ledger; NULL = without one. */
void end_trace(AdatWriter *writer, const AdatLedgerEntry *entries, size_t count);

/* Ends it as if the recorder had been killed. */
void end_unclosed(AdatWriter *writer);

/* `count` ticks, one a nanosecond from `time` on. */
const AdaIndexEvent *ticks_from(uint64_t time, uint32_t count);

#endif
