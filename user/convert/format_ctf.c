/* SPDX-License-Identifier: MIT */
/*
 * CTF 1.8 (the Common Trace Format), for babeltrace2, Trace Compass and others: a directory with the metadata and data streams.
 *
 * There is a stream for each slot of a process, in which threads come one after the other, up to STREAMS_MAX of them or as many files as may be
 * open; then threads share the streams that there are. Each event says whose it is, and they are in the order of time in any case.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/base/array.h"
#include "user/base/utf8.h"
#include "user/convert/convert.h"
#include "user/convert/ctf_metadata.h"
#include "user/convert/ctf_stream.h"

#define STREAMS_MAX 256u
#define NAME_BYTES (3 * sizeof(((AdatThread *)0)->name) + 1)

typedef struct CtfThread {
    uint32_t stream;
    uint32_t pid;
    uint32_t tid;
    size_t name_size; /* with its NUL */
    char name[NAME_BYTES];
} CtfThread;

typedef struct Ctf {
    int directory;
    int64_t origin_ns;
    CtfMetadata metadata;
    CtfStream streams[STREAMS_MAX];
    uint32_t stream_count;
    uint32_t streams_max;
    IdMap slots; /* process and slot: number of the stream, before it is limited */
    CtfThread *threads;
    size_t thread_count;
    size_t thread_capacity;
    CtfThread nobody; /* what is of no thread that is here */
} Ctf;

static int ctf_begin(const ConvertTarget *target, void **state_out)
{
    const AdatReader *reader = adat_set_reader(target->set, 0);
    Ctf *ctf = calloc(1, sizeof(*ctf));

    if (!ctf)
        return -ENOMEM;
    ctf->directory = target->directory;
    ctf->origin_ns = target->origin_ns;
    ctf->streams_max = STREAMS_MAX;
    ctf->nobody = (CtfThread){.stream = UINT32_MAX, .pid = UINT32_MAX, .tid = UINT32_MAX, .name_size = 1};
    memcpy(ctf->metadata.uuid, adat_reader_info(reader)->header.uuid, sizeof(ctf->metadata.uuid));
    ctf->metadata.origin_realtime = adat_reader_realtime(reader, target->origin_ns);
    ctf->metadata.precision_ns = adat_reader_clock_error(reader);
    ctf->metadata.session = adat_reader_session(reader);
    *state_out = ctf;
    return 0;
}

static void ctf_destroy(void *state)
{
    Ctf *ctf = state;

    for (uint32_t i = 0; i < ctf->stream_count; i++)
        ctf_stream_close(&ctf->streams[i]);
    ctf_metadata_fini(&ctf->metadata);
    id_map_fini(&ctf->slots);
    free(ctf->threads);
    free(ctf);
}

/* ---- streams ---------------------------------------------------------------------------------- */

/* The stream of a slot of a process, made if there is none and there may be more. */
static int find_stream(Ctf *ctf, const void *process, uint64_t slot, uint32_t *stream_out)
{
    uint32_t number;
    int got = id_map_add(&ctf->slots, (uint64_t)(uintptr_t)process, slot, &number);

    if (got < 0)
        return got;
    if (got > 0 && ctf->stream_count < ctf->streams_max) {
        int err = ctf_stream_open(&ctf->streams[ctf->stream_count], ctf->directory, ctf->stream_count,
                                  ctf->metadata.uuid);

        if (!err)
            ctf->stream_count++;
        else if ((err != -EMFILE && err != -ENFILE) || ctf->stream_count == 0)
            return err;
        else
            ctf->streams_max = ctf->stream_count;
    }
    *stream_out = number % ctf->stream_count;
    return 0;
}

static int ctf_thread(void *state, const ConvertThread *told, int64_t time_ns)
{
    const AdatThread *info = told->thread ? &told->thread->thread : NULL;
    Ctf *ctf = state;
    CtfThread *thread;

    (void)time_ns;
    if (array_reserve_one(&ctf->threads, &ctf->thread_capacity, ctf->thread_count, sizeof(*ctf->threads)))
        return -ENOMEM;
    thread = &ctf->threads[ctf->thread_count];
    *thread = (CtfThread){.pid = told->process->process.pid, .tid = info ? info->tid : UINT32_MAX};
    thread->name_size =
        utf8_clean(thread->name, info ? info->name : "", info ? strnlen(info->name, sizeof(info->name)) : 0);
    ctf->thread_count++;
    return find_stream(ctf, told->process, info ? info->slot : UINT64_MAX, &thread->stream);
}

/* Kinds of later versions are one, so that there are no classes without end. */
static uint8_t kind_of(const AdaIndexEvent *event)
{
    uint32_t kind = ADA_WORD_KIND(event->word);

    return (uint8_t)(kind < ADA_KIND_COUNT ? kind : ADA_KIND_COUNT);
}

/* What all events begin with; NULL: see the stream's error. */
static char *begin_event(Ctf *ctf, const CtfThread *thread, int64_t time_ns, uint32_t class, uint8_t kind,
                         uint32_t word)
{
    uint64_t time = (uint64_t)time_ns - (uint64_t)ctf->origin_ns;
    char *at = ctf_stream_reserve(&ctf->streams[thread->stream], time);

    if (!at)
        return NULL;
    at = ctf_put_u32(at, class);
    at = ctf_put_u64(at, time);
    at = ctf_put_u32(at, thread->pid);
    at = ctf_put_u32(at, thread->tid);
    memcpy(at, thread->name, thread->name_size);
    at = ctf_put_u8(at + thread->name_size, kind);
    at = ctf_put_u8(at, (uint8_t)ADA_WORD_FLAGS(word));
    return ctf_put_u16(at, (uint16_t)ADA_WORD_DEPTH(word));
}

/* ---- events ----------------------------------------------------------------------------------- */

static char *put_fields(char *at, const NamedEvent *event)
{
    for (size_t i = 0; i < event->field_count; i++) {
        const AdatField *field = &event->fields[i];

        if (field->type == ADA_TYPE_STRING)
            at += utf8_clean(at, field->value.string.bytes, field->value.string.size);
        else
            at = ctf_put_u64(at, field->value.u64);
    }
    return at;
}

static int put_function(Ctf *ctf, const CtfThread *thread, uint32_t class, const NamedEvent *event)
{
    const AdaIndexEvent *raw = &event->event->event;
    uint32_t module;
    int err = ctf_metadata_module(&ctf->metadata, event->module, &module);
    char *at;

    if (err)
        return err;
    at = begin_event(ctf, thread, event->event->time_ns, class, kind_of(raw), raw->word);
    if (!at)
        return ctf->streams[thread->stream].error;
    at = ctf_put_u64(at, raw->id);
    at = ctf_put_u64(at, raw->argument);
    at += utf8_clean(at, event->name, event->name_length);
    at = ctf_put_u32(at, module);
    at = ctf_put_u64(at, event->module ? raw->id - event->module->base : 0);
    ctf_stream_take(&ctf->streams[thread->stream], at);
    return 0;
}

static int ctf_event(void *state, const ConvertThread *told, const NamedEvent *event)
{
    Ctf *ctf = state;
    const CtfThread *thread = &ctf->threads[told->number];
    const AdaIndexEvent *raw = &event->event->event;
    uint32_t class;
    char *at;
    int err = ctf_metadata_class(&ctf->metadata, event->descriptor, kind_of(raw), (uint8_t)event->field_count,
                                 &class);

    if (err)
        return err;
    if (event_is_function(raw))
        return put_function(ctf, thread, class, event);
    at = begin_event(ctf, thread, event->event->time_ns, class, kind_of(raw), raw->word);
    if (!at)
        return ctf->streams[thread->stream].error;
    if (!event->descriptor)
        at = ctf_put_u64(at, raw->id);
    at = ctf_put_u64(at, raw->argument);
    ctf_stream_take(&ctf->streams[thread->stream], put_fields(at, event));
    return 0;
}

static int ctf_mark(void *state, const ConvertThread *told, const AdatReader *reader, const AdatMarkInfo *mark)
{
    Ctf *ctf = state;
    uint8_t kind = mark->anomaly ? CTF_KIND_ANOMALY : CTF_KIND_MARKED;
    const CtfThread *thread = told ? &ctf->threads[told->number] : &ctf->nobody;
    CtfThread process_only;
    uint32_t class;
    char *at;
    int err = ctf_metadata_class(&ctf->metadata, NULL, kind, 0, &class);

    (void)reader;
    if (!err && !told && ctf->nobody.stream == UINT32_MAX)
        err = find_stream(ctf, NULL, 0, &ctf->nobody.stream);
    if (err)
        return err;
    if (!told && mark->process) {
        process_only = ctf->nobody;
        process_only.pid = mark->process->process.pid;
        thread = &process_only;
    }
    at = begin_event(ctf, thread, mark->time_ns, class, kind, 0);
    if (!at)
        return ctf->streams[thread->stream].error;
    at += utf8_clean(at, mark->mark.reason, strnlen(mark->mark.reason, sizeof(mark->mark.reason)));
    ctf_stream_take(&ctf->streams[thread->stream], ctf_put_u64(at, mark->mark.record));
    return 0;
}

static int ctf_lost(void *state, const ConvertThread *told, int64_t time_ns, uint64_t count)
{
    Ctf *ctf = state;

    return ctf_stream_lost(&ctf->streams[ctf->threads[told->number].stream],
                           (uint64_t)time_ns - (uint64_t)ctf->origin_ns, count);
}

/* ---- the end ---------------------------------------------------------------------------------- */

static int write_metadata(const Ctf *ctf)
{
    int fd = openat(ctf->directory, "metadata", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
    FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;
    int err = 0;

    if (!out) {
        err = -errno;
        if (fd >= 0)
            close(fd);
        return err;
    }
    errno = 0;
    ctf_metadata_write(&ctf->metadata, out);
    if (ferror(out))
        err = errno ? -errno : -EIO;
    if (fclose(out) != 0 && !err)
        err = -errno;
    return err;
}

static int ctf_end(void *state, int64_t time_ns)
{
    Ctf *ctf = state;
    int err = 0;

    (void)time_ns;
    for (uint32_t i = 0; !err && i < ctf->stream_count; i++)
        err = ctf_stream_flush(&ctf->streams[i]);
    return err ? err : write_metadata(ctf);
}

const ConvertFormat convert_ctf = {
    .name = "ctf",
    .what = "CTF 1.8, a directory for babeltrace2 and Trace Compass",
    .directory = true,
    .binary = true,
    .symbols = true,
    .begin = ctf_begin,
    .thread = ctf_thread,
    .event = ctf_event,
    .mark = ctf_mark,
    .lost = ctf_lost,
    .end = ctf_end,
    .destroy = ctf_destroy,
};
