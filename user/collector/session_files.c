/* SPDX-License-Identifier: MIT */
/* From one file of a recording to the next, between two iterations of the drain: SessionFiles. */
#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "user/collector/session_internal.h"
#include "user/lane/clock.h"
#include "user/lane/test_point.h"

static uint64_t due_after(uint64_t now, uint64_t duration_ns)
{
    return duration_ns > 0 ? now + duration_ns : UINT64_MAX;
}

int session_name_recording(Session *session)
{
    uint8_t id[16];
    char *at = session->recording;

    if (!session->config.files)
        return 0;
    if (getrandom(id, sizeof(id), 0) != (ssize_t)sizeof(id))
        return -errno;
    id[6] = (uint8_t)((id[6] & 0x0f) | 0x40); /* RFC 4122: version 4, */
    id[8] = (uint8_t)((id[8] & 0x3f) | 0x80); /* variant 1 */
    for (size_t i = 0; i < sizeof(id); i++)
        at += sprintf(at, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", id[i]);
    return 0;
}

void session_begin_files(Session *session)
{
    session->file_due =
        due_after(session->started_at, session->config.files ? session->config.files->duration_ns : 0);
}

static bool is_due(const Session *session, uint64_t now)
{
    const SessionFiles *files = session->config.files;

    if (!files || session->stopping || now < session->file_retry)
        return false;
    return now >= session->file_due ||
           (files->bytes > 0 && adat_writer_bytes(session->batch.writer) >= files->bytes);
}

/* What is in the present file is accounted for there, and the file is handed over. */
static void finish(Session *session)
{
    AdatWriter *writer = session->batch.writer;
    int error;

    for (size_t i = 0; i < session->process_count; i++)
        traced_process_next_file(session->processes[i]);
    ADA_TEST_POINT("files.closing");
    error = session_write_last_accounts(session);
    ADA_TEST_POINT("files.accounted");
    /* Entries that a full disk kept out of this file are not about the next one. */
    account_book_entries_written(&session->accounts, session->accounts.entry_count,
                                 session->accounts.undescribed_count);
    session->ledger_tried = session->accounts.entries_added;
    /* Before the file has its end: nobody looks into one that has for what was not noted (adat_file_is_closed()). */
    for (size_t i = 0; i < session->process_count; i++) {
        traced_process_settle_closed(session->processes[i], session->ledger_tried);
        if (error == 0)
            traced_process_settle_file(session->processes[i]);
    }
    if (error == 0)
        error = adat_writer_finish(writer);
    ADA_TEST_POINT("files.closed");
    session->finished_bytes += adat_writer_bytes(writer);
    session->config.files->finished(session->config.files->context, adat_writer_release(writer), error == 0);
}

void session_rotate(Session *session, uint64_t now)
{
    const SessionFiles *files = session->config.files;
    AdatWriter *writer;
    int fd;

    if (!is_due(session, now))
        return;
    session->file_retry = now + NS_PER_S;
    if (session_flush(session) != 0)
        return; /* the disk is full: what is not written now would be nowhere accounted for */
    fd = files->open_next(files->context);
    if (fd < 0)
        return;
    if (adat_writer_create(fd, &session->config.writer, &writer) != 0) {
        files->finished(files->context, fd, false);
        return;
    }
    finish(session);
    drain_batch_next_file(&session->batch, writer);
    session->result.files++;
    session->named = false;
    (void)session_name_file(session);
    session->file_retry = 0;
    session->file_due = due_after(now, files->duration_ns);
}

void session_finish_files(Session *session)
{
    const SessionFiles *files = session->config.files;

    if (!files)
        return;
    files->finished(files->context, adat_writer_release(session->batch.writer), session->close_error == 0);
    session->batch.writer = NULL;
}
