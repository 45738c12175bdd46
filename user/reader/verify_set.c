/* SPDX-License-Identifier: MIT */
#include "user/reader/adat_verify_set.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/base/array.h"
#include "user/reader/set.h"

#define COMPARE(a, b) ((a) < (b) ? -1 : (a) > (b))

/* A thread, whoever records it and under which number. */
typedef struct Identity {
    uint64_t started_at; /* of its process */
    uint64_t registered_at;
    uint32_t pid;
    uint32_t tid;
    uint32_t slot;
    uint32_t generation;
} Identity;

/* What files have of one lane: of one file, or of all files of a recording so far. */
typedef struct LanePart {
    uint32_t thread;
    uint32_t lane;
    Identity identity;
    size_t recording;
    size_t file;    /* the last one that has it */
    uint64_t start; /* where that file's account begins */
    uint64_t first; /* first record that any file has; `end` if none */
    uint64_t end;   /* behind the last one */
    uint64_t may_lack; /* records behind `end` that the ledger of the last file explains; UINT64_MAX: nobody knows */
} LanePart;

typedef struct PartTable {
    LanePart *items;
    size_t count;
    size_t capacity;
} PartTable;

typedef struct SetCheck {
    const TraceFiles *sources;
    AdatSetVerdict *verdict;
    PartTable parts;  /* of the file in hand, by thread and lane */
    PartTable known;  /* of its recording so far, likewise */
    PartTable merged; /* what `known` becomes */
    PartTable all;    /* of recordings that are done with */
} SetCheck;

static void problem(SetCheck *check, size_t file, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void problem(SetCheck *check, size_t file, const char *format, ...)
{
    AdatSetVerdict *verdict = check->verdict;
    AdatSetProblem *place;
    va_list args;

    verdict->problem_count++;
    if (verdict->kept == ADAT_PROBLEMS_MAX)
        return;
    place = &verdict->problems[verdict->kept++];
    place->file = file;
    va_start(args, format);
    vsnprintf(place->text, sizeof(place->text), format, args);
    va_end(args);
}

static int add_part(PartTable *table, const LanePart *part)
{
    if (array_reserve_one(&table->items, &table->capacity, table->count, sizeof(*part)))
        return -ENOMEM;
    table->items[table->count++] = *part;
    return 0;
}

static const char *lane_name(uint32_t lane)
{
    return lane == ADA_LANE_INDEX ? "index" : "detail";
}

/* ---- one file --------------------------------------------------------------------------------- */

static Identity identify(const AdatReader *reader, const AdatThreadInfo *thread)
{
    const AdatProcessInfo *process = adat_reader_process(reader, thread->process);

    return (Identity){
        .started_at = process->process.started_at,
        .registered_at = thread->thread.registered_at,
        .pid = process->process.pid,
        .tid = thread->thread.tid,
        .slot = thread->thread.slot,
        .generation = thread->thread.generation,
    };
}

/* Records that the ledger says were numbered, and are not in the file. */
static uint64_t explained_by(const AdatAccount *account)
{
    return account->dropped_full + account->dropped_io + account->recycled_unmarked + account->torn;
}

static LanePart part_of(const AdatReader *reader, const ThreadEntry *thread, uint32_t lane)
{
    const AdatAccount *account = lane == ADA_LANE_INDEX ? &thread->info.events : &thread->info.detail;
    const BlockRange *blocks = &thread->lanes[lane];
    uint64_t start = thread->info.start.first_record[lane], in_file = 0, holes, explained;
    LanePart part = {
        .thread = thread->info.thread.thread,
        .lane = lane,
        .identity = identify(reader, &thread->info),
        .start = start,
        .first = start,
        .end = start,
        .may_lack = UINT64_MAX,
    };

    if (blocks->count > 0)
        part.first = blocks->blocks[0].first_record;
    for (size_t i = 0; i < blocks->count; i++) {
        uint64_t end = blocks->blocks[i].first_record + blocks->blocks[i].record_count;

        in_file += blocks->blocks[i].record_count;
        if (end > part.end)
            part.end = end;
    }
    if (thread->info.accounted) {
        holes =
            part.end - start - in_file; /* if that is negative, the file is damaged, and this a large number */
        explained = explained_by(account);
        part.may_lack = holes <= explained ? explained - holes : 0;
    }
    return part;
}

static int collect_parts(SetCheck *check, const AdatReader *reader, size_t file)
{
    check->parts.count = 0;
    for (size_t i = 0; i < reader->threads.count; i++) {
        const ThreadEntry *thread = &reader->threads.items[i];

        for (uint32_t lane = 0; thread->info.described && lane < LANES; lane++) {
            LanePart part = part_of(reader, thread, lane);

            part.file = file;
            part.recording = check->verdict->files[file].recording;
            if (add_part(&check->parts, &part))
                return -ENOMEM;
        }
    }
    return 0;
}

/* Whatever is wrong with the file itself is its own: only a want of memory ends the check. */
static int check_file(SetCheck *check, size_t index)
{
    AdatFileVerdict *file = &check->verdict->files[index];
    AdatReader *reader = NULL;
    int fd, error;

    check->parts.count = 0;
    if (file->error)
        return 0;
    fd = trace_files_open_file(check->sources, index);
    error = fd < 0 ? fd : adat_reader_open_fd(fd, &reader);
    if (error && fd >= 0)
        close(fd);
    if (!error)
        error = adat_verify(reader, &file->verdict);
    if (!error)
        error = collect_parts(check, reader, index);
    adat_reader_close(reader);
    if (error == -ENOMEM)
        return error;
    file->error = error;
    check->verdict->problem_count += file->verdict.problem_count;
    return 0;
}

/* ---- between files of a recording ------------------------------------------------------------- */

/* Records that both have. */
static uint64_t overlap(const LanePart *before, const LanePart *part)
{
    uint64_t end = before->end < part->end ? before->end : part->end;
    uint64_t first = before->first > part->first ? before->first : part->first;

    return first < end ? end - first : 0;
}

/* Whether a file is missing, or could not be read, behind `file` and up to the one in hand. */
static bool is_file_missing(const SetCheck *check, size_t file, size_t until)
{
    uint64_t ignored;

    for (size_t i = file + 1; i <= until; i++)
        if (check->verdict->files[i].error ||
            set_missing_between(&check->sources->items[i - 1], &check->sources->items[i], &ignored) > 0)
            return true;
    return false;
}

static void check_step(SetCheck *check, const LanePart *before, const LanePart *part)
{
    const AdatFileVerdict *earlier = &check->verdict->files[before->file];
    const char *name = lane_name(part->lane);
    uint64_t twice = overlap(before, part), hole;

    if (twice > 0 || part->start < before->end) {
        check->verdict->duplicates += twice;
        problem(check, part->file,
                "thread %u, %s lane: records from %" PRIu64
                " on again, of which '%s' has those before %" PRIu64,
                part->thread, name, part->start, earlier->name, before->end);
        return;
    }
    hole = part->start - before->end;
    if (hole == 0 || before->may_lack == UINT64_MAX || hole <= before->may_lack)
        return;
    hole -= before->may_lack;
    if (is_file_missing(check, before->file, part->file)) {
        check->verdict->in_missing += hole;
        return;
    }
    check->verdict->unexplained += hole;
    problem(check, part->file,
            "thread %u, %s lane: %" PRIu64 " records before %" PRIu64
            " are missing, and '%s' does not explain it",
            part->thread, name, hole, part->start, earlier->name);
}

static LanePart join(const LanePart *before, const LanePart *part)
{
    LanePart joined = *part;

    if (before->first < before->end) /* it has records */
        joined.first = before->first;
    if (before->end > joined.end)
        joined.end = before->end;
    return joined;
}

static int compare_lanes(const LanePart *a, const LanePart *b)
{
    int order = COMPARE(a->thread, b->thread);

    return order ? order : COMPARE(a->lane, b->lane);
}

/* The parts of this file, against what is known, and into it. */
static int check_steps(SetCheck *check)
{
    const PartTable *known = &check->known, *parts = &check->parts;
    PartTable swap;
    size_t k = 0, p = 0;
    int error = 0;

    check->merged.count = 0;
    while (!error && (k < known->count || p < parts->count)) {
        const LanePart *before = k < known->count ? &known->items[k] : NULL;
        const LanePart *part = p < parts->count ? &parts->items[p] : NULL;
        int order = !before ? 1 : !part ? -1 : compare_lanes(before, part);

        k += order <= 0;
        p += order >= 0;
        if (order == 0 && before && part) {
            LanePart joined = join(before, part);

            check_step(check, before, part);
            error = add_part(&check->merged, &joined);
        } else if (order < 0 && before) {
            error = add_part(&check->merged, before);
        } else if (part) {
            error = add_part(&check->merged, part);
        }
    }
    swap = check->known;
    check->known = check->merged;
    check->merged = swap;
    return error;
}

static void check_numbers(SetCheck *check, size_t file, const TraceFile *before)
{
    uint64_t first = 0, missing = set_missing_between(before, &check->sources->items[file], &first);

    if (missing == 0)
        return;
    if (!before) {
        check->verdict->removed_files += missing;
        return;
    }
    check->verdict->missing_files += missing;
    if (missing == 1)
        problem(check, file, "file %" PRIu64 " of the recording, which comes before it, is missing", first);
    else
        problem(check, file,
                "files %" PRIu64 " to %" PRIu64 " of the recording, which come before it, are missing", first,
                first + missing - 1);
}

static int check_recording(SetCheck *check, size_t first, size_t end)
{
    const TraceFile *before = NULL;
    int error = 0;

    check->known.count = 0;
    for (size_t i = first; !error && i < end; i++) {
        check->verdict->files[i].recording = check->verdict->recordings;
        error = check_file(check, i);
        if (error || check->verdict->files[i].error)
            continue;
        if (check->verdict->is_directory)
            check_numbers(check, i, before);
        before = &check->sources->items[i];
        error = check_steps(check);
    }
    check->verdict->recordings++;
    for (size_t i = 0; !error && i < check->known.count; i++)
        error = add_part(&check->all, &check->known.items[i]);
    return error;
}

/* ---- between recordings ----------------------------------------------------------------------- */

static int compare_identities(const LanePart *a, const LanePart *b)
{
    const Identity *x = &a->identity, *y = &b->identity;
    int order = COMPARE(x->started_at, y->started_at);

    if (!order)
        order = COMPARE(x->registered_at, y->registered_at);
    if (!order)
        order = COMPARE(x->pid, y->pid);
    if (!order)
        order = COMPARE(x->tid, y->tid);
    if (!order)
        order = COMPARE(x->slot, y->slot);
    if (!order)
        order = COMPARE(x->generation, y->generation);
    return order ? order : COMPARE(a->lane, b->lane);
}

static int compare_across(const void *a, const void *b)
{
    const LanePart *x = a, *y = b;
    int order = compare_identities(x, y);

    return order ? order : COMPARE(x->recording, y->recording);
}

/* A thread that one recorder left and another took over: what is in the file of the one is not in that of the other. */
static void check_across(SetCheck *check)
{
    LanePart *parts = check->all.items;

    if (check->all.count < 2)
        return;
    qsort(parts, check->all.count, sizeof(*parts), compare_across);
    for (size_t i = 1; i < check->all.count; i++) {
        uint64_t twice;

        if (compare_identities(&parts[i - 1], &parts[i]) != 0 || parts[i].identity.started_at == 0)
            continue;
        twice = overlap(&parts[i - 1], &parts[i]);
        if (twice > 0) {
            check->verdict->duplicates += twice;
            problem(check, parts[i].file,
                    "thread %u, %s lane: %" PRIu64 " records from %" PRIu64 " on are in '%s' as well",
                    parts[i].thread, lane_name(parts[i].lane), twice, parts[i].first,
                    check->verdict->files[parts[i - 1].file].name);
        }
        parts[i] = join(&parts[i - 1], &parts[i]);
    }
}

/* ---- all -------------------------------------------------------------------------------------- */

static int list_files(AdatSetVerdict *verdict, const TraceFiles *sources)
{
    verdict->is_directory = sources->directory >= 0;
    verdict->left_out = (AdatSetLeftOut){
        .foreign = sources->foreign,
        .copies = sources->copies,
        .vanished = sources->vanished,
        .empty = sources->empty,
    };
    verdict->files = calloc(sources->count + 1, sizeof(*verdict->files));
    verdict->problems = calloc(ADAT_PROBLEMS_MAX, sizeof(*verdict->problems));
    if (!verdict->files || !verdict->problems)
        return -ENOMEM;
    for (size_t i = 0; i < sources->count; i++) {
        AdatFileVerdict *file = &verdict->files[verdict->file_count];

        file->name = strdup(sources->items[i].name);
        if (!file->name)
            return -ENOMEM;
        verdict->file_count++;
        file->number = sources->items[i].number;
        file->error = sources->items[i].error;
        file->recording = SIZE_MAX;
    }
    return 0;
}

static void count_unreadable(SetCheck *check)
{
    for (size_t i = 0; i < check->verdict->file_count; i++) {
        int error = check->verdict->files[i].error;

        if (error == -ENOENT)
            check->verdict->left_out.vanished++;
        else if (error)
            check->verdict->problem_count++;
    }
}

static int check_all(SetCheck *check)
{
    int error = 0;

    for (size_t i = 0, end; !error && i < check->sources->readable; i = end) {
        end = trace_files_end(check->sources, i);
        error = check_recording(check, i, end);
    }
    if (!error && !check->verdict->is_directory)
        return check->verdict->files[0].error;
    if (!error) {
        check_across(check);
        count_unreadable(check);
    }
    return error;
}

int adat_verify_set(const char *path, AdatSetVerdict *verdict_out)
{
    AdatSetVerdict verdict = {0};
    TraceFiles sources;
    SetCheck check = {.sources = &sources, .verdict = &verdict};
    int error = trace_files_open(path, &sources);

    if (error)
        return error;
    error = list_files(&verdict, &sources);
    if (!error)
        error = check_all(&check);
    free(check.parts.items);
    free(check.known.items);
    free(check.merged.items);
    free(check.all.items);
    trace_files_close(&sources);
    if (error) {
        adat_set_verdict_fini(&verdict);
        return error;
    }
    *verdict_out = verdict;
    return 0;
}

void adat_set_verdict_fini(AdatSetVerdict *verdict)
{
    for (size_t i = 0; i < verdict->file_count; i++) {
        free(verdict->files[i].name);
        adat_verdict_fini(&verdict->files[i].verdict);
    }
    free(verdict->files);
    free(verdict->problems);
    *verdict = (AdatSetVerdict){0};
}
