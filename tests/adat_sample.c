/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* memfd_create */
#include "adat_sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHECK(condition)                                                    \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                        \
        }                                                                   \
    } while (0)

int sample_file(void)
{
    int fd = memfd_create("sample", MFD_CLOEXEC);

    CHECK(fd >= 0);
    return fd;
}

const char *sample_path(int fd)
{
    static char path[64];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return path;
}

AdatWriter *sample_writer(int fd)
{
    AdatWriter *writer;

    CHECK(adat_writer_create(fd, NULL, &writer) == 0);
    return writer;
}

void sample_put(AdatWriter *writer, const AdatBlockHeader *header, const void *payload, size_t size)
{
    CHECK(adat_writer_put_block(writer, header, payload, size) == 0);
}

void sample_put_session(AdatWriter *writer)
{
    static const char strings[] = "host\0box\0kernel\0Linux 6.1\0adatrace\0"
                                  "0.1.0\0command\0app --fast\0policy\0block";
    const AdatBlockHeader header = {.type = ADAT_BLOCK_SESSION};

    sample_put(writer, &header, strings, sizeof(strings));
}

void sample_put_process(AdatWriter *writer, uint32_t process, uint32_t pid, uint32_t clock_kind)
{
    static const char strings[] = "program\0/usr/bin/app\0command\0app --fast";
    const AdatBlockHeader header = {.type = ADAT_BLOCK_PROCESS, .process = process};
    struct {
        AdatProcess process;
        char strings[sizeof(strings)];
    } payload = {.process = {.process = process, .pid = pid, .parent_pid = 1, .clock_kind = clock_kind}};

    memcpy(payload.strings, strings, sizeof(strings));
    sample_put(writer, &header, &payload, sizeof(payload.process) + sizeof(strings));
}

void sample_put_thread(AdatWriter *writer, uint32_t thread, uint32_t process, uint32_t tid, const char *name)
{
    const AdatBlockHeader header = {.type = ADAT_BLOCK_THREAD, .process = process, .thread = thread};
    AdatThread payload = {.thread = thread, .process = process, .tid = tid, .slot = thread - 1, .generation = 1};

    snprintf(payload.name, sizeof(payload.name), "%s", name);
    sample_put(writer, &header, &payload, sizeof(payload));
}

void sample_put_clock(AdatWriter *writer, uint64_t tsc, uint64_t monotonic_ns, uint64_t realtime_ns)
{
    const AdatBlockHeader header = {.type = ADAT_BLOCK_CLOCK};
    const AdatClock payload = {tsc, monotonic_ns, realtime_ns, SAMPLE_CLOCK_ERROR};

    sample_put(writer, &header, &payload, sizeof(payload));
}

static AdaEventDescriptor descriptor(uint32_t id, uint32_t kind, const char *name)
{
    AdaEventDescriptor made = {.ready = 1, .id = id, .kind = kind};

    snprintf(made.name, sizeof(made.name), "%s", name);
    return made;
}

static void add_field(AdaEventDescriptor *descriptor, uint8_t type, const char *name)
{
    AdaFieldDescriptor *field = &descriptor->fields[descriptor->field_count++];

    field->type = type;
    snprintf(field->name, sizeof(field->name), "%s", name);
}

void sample_put_descriptors(AdatWriter *writer, uint32_t process)
{
    const AdatBlockHeader header = {.type = ADAT_BLOCK_EVENTS, .process = process};
    AdaEventDescriptor events[] = {
        descriptor(SAMPLE_TICK, ADA_KIND_INSTANT, "tick"),
        descriptor(SAMPLE_WORK, ADA_KIND_SPAN_BEGIN, "work"),
        descriptor(SAMPLE_DEPTH, ADA_KIND_COUNTER, "queue.depth"),
        descriptor(SAMPLE_REQUEST, ADA_KIND_TYPED, "request"),
    };

    add_field(&events[3], ADA_TYPE_U64, "id");
    add_field(&events[3], ADA_TYPE_I64, "delta");
    add_field(&events[3], ADA_TYPE_F64, "ms");
    add_field(&events[3], ADA_TYPE_POINTER, "where");
    add_field(&events[3], ADA_TYPE_STRING, "path");
    sample_put(writer, &header, events, sizeof(events));
}

void sample_put_module(AdatWriter *writer, uint32_t process, uint64_t base, uint64_t size, const char *path)
{
    const AdatBlockHeader header = {.type = ADAT_BLOCK_MODULES, .process = process};
    AdaModule module = {.ready = 1, .build_id_size = 4, .base = base, .size = size, .build_id = {1, 2, 3, 4}};

    snprintf(module.path, sizeof(module.path), "%s", path);
    sample_put(writer, &header, &module, sizeof(module));
}

void sample_put_death(AdatWriter *writer, uint32_t process, uint32_t kind, int32_t code)
{
    const AdatBlockHeader header = {.type = ADAT_BLOCK_DEATH, .process = process};
    const AdatDeath death = {.process = process, .kind = kind, .code = code, .drain_complete = 1};

    sample_put(writer, &header, &death, sizeof(death));
}

AdatDrainSummary sample_drain(void)
{
    return (AdatDrainSummary){
        .scheduler = "weighted-fair",
        .iterations = 77,
        .iteration_ns = 770000,
        .iteration_max_ns = 45600,
        .visits = 55,
        .skips = 5,
        .sweeps = 6,
        .spared = 4,
        .wakeups = 7,
        .records = 16,
        .bytes = 512,
        .flushes = 12,
        .failed_writes = 1,
        .marks = 3,
        .wait_total = 9,
        .wait_max = 2,
        .cpu_ns = 1500000,
        .latency_count = 16,
        .latency_p50_ns = 12500,
        .latency_p90_ns = 90000,
        .latency_p99_ns = 99000,
        .latency_max_ns = 1000000,
        .jain_ppb = 998000000,
    };
}

void sample_put_ledger(AdatWriter *writer, uint16_t flags, const AdatDrainSummary *summary,
                       const AdatLedgerEntry *entries, size_t count)
{
    const AdatBlockHeader header = {.type = ADAT_BLOCK_LEDGER, .flags = flags};
    const AdatDrainSummary usual = sample_drain();
    uint8_t *payload = malloc(sizeof(usual) + count * sizeof(*entries));

    CHECK(payload);
    memcpy(payload, summary ? summary : &usual, sizeof(usual));
    if (count > 0)
        memcpy(payload + sizeof(usual), entries, count * sizeof(*entries));
    sample_put(writer, &header, payload, sizeof(usual) + count * sizeof(*entries));
    free(payload);
}

void sample_put_mark(AdatWriter *writer, const AdatMark *mark)
{
    const AdatBlockHeader header = {.type = ADAT_BLOCK_MARK, .process = mark->process, .thread = mark->thread};

    sample_put(writer, &header, mark, sizeof(*mark));
}

/* Whether they are gathered, for the time of sample_trace(). */
static bool gather_lanes;

static void put_lane_block(AdatWriter *writer, const AdatBlockHeader *header, const void *payload, size_t size)
{
    void *place;

    if (!gather_lanes) {
        sample_put(writer, header, payload, size);
        return;
    }
    if (adat_writer_lane_room(writer) < size)
        CHECK(adat_writer_flush(writer) == 0);
    place = adat_writer_begin_lane_block(writer, header, size);
    CHECK(place);
    memcpy(place, payload, size);
    adat_writer_end_block(writer, size);
}

void sample_put_index(AdatWriter *writer, uint32_t process, uint32_t thread, uint64_t first_record,
                      const AdaIndexEvent *events, uint32_t count, const AdatBlockHeader *preset)
{
    AdatBlockHeader header = preset ? *preset : (AdatBlockHeader){0};

    header.type = ADAT_BLOCK_INDEX;
    header.process = process;
    header.thread = thread;
    header.first_record = first_record;
    header.record_count = count;
    if (count > 0) {
        header.first_time = events[0].timestamp;
        header.last_time = events[count - 1].timestamp;
    }
    put_lane_block(writer, &header, events, count * sizeof(*events));
}

void sample_put_detail(AdatWriter *writer, uint32_t process, uint32_t thread, uint64_t number,
                       const AdaIndexEvent *event, const void *payload, uint32_t payload_bytes)
{
    const AdatBlockHeader header = {
        .type = ADAT_BLOCK_DETAIL,
        .process = process,
        .thread = thread,
        .first_record = number,
        .record_count = 1,
        .first_time = event->timestamp,
        .last_time = event->timestamp,
    };
    struct {
        AdaDetailRecord record;
        uint8_t payload[ADA_PAYLOAD_MAX];
    } detail = {.record = {event->timestamp, event->id, event->argument, event->word, payload_bytes}};

    memcpy(detail.payload, payload, payload_bytes);
    put_lane_block(writer, &header, &detail, ADA_DETAIL_RECORD_SIZE(payload_bytes));
}

AdatLedgerEntry sample_ledger_entry(uint32_t process, uint32_t thread, uint32_t lane, uint64_t in_file)
{
    AdatLedgerEntry entry = {
        .process = process, .thread = thread, .lane = lane, .attempted = in_file, .in_file = in_file};

    if (lane == ADA_LANE_INDEX) {
        entry.visits = 3;
        entry.skips = 1;
        entry.bytes = 32 * in_file;
        entry.wait_total = 4;
        entry.wait_max = 2;
    }
    return entry;
}

uint32_t sample_request_payload(uint64_t id, uint8_t *payload)
{
    int64_t delta = -(int64_t)id;
    double ms = (double)id / 4;
    uint64_t where = 0xdead0000u + id;
    char path[32];
    uint32_t length = (uint32_t)snprintf(path, sizeof(path), "/item/%llu", (unsigned long long)id);

    memset(payload, 0, 128);
    memcpy(payload, &id, 8);
    memcpy(payload + 8, &delta, 8);
    memcpy(payload + 16, &ms, 8);
    memcpy(payload + 24, &where, 8);
    memcpy(payload + 32, &length, 4);
    memcpy(payload + 36, path, length);
    return (36 + length + 7) & ~7u;
}

/* ---- a whole recording ------------------------------------------------------------------------- */

uint64_t sample_time(uint32_t thread, uint32_t number)
{
    return 1000u + number * 100u + thread * 7u % 100u;
}

static uint64_t sample_ticks(const SampleShape *shape, uint64_t ns)
{
    return shape->tsc ? SAMPLE_TSC + ns * SAMPLE_TICKS_PER_NS : SAMPLE_MONOTONIC + ns;
}

/* By number: instant, begin, counter, typed, end, function entry, function exit, and so on. */
AdaIndexEvent sample_event(const SampleShape *shape, uint32_t thread, uint32_t number)
{
    static const struct {
        uint32_t id;
        uint32_t kind;
        uint32_t depth;
    } turns[] = {
        {SAMPLE_TICK, ADA_KIND_INSTANT, 0},  {SAMPLE_WORK, ADA_KIND_SPAN_BEGIN, 0},
        {SAMPLE_DEPTH, ADA_KIND_COUNTER, 1}, {SAMPLE_REQUEST, ADA_KIND_TYPED, 1},
        {SAMPLE_WORK, ADA_KIND_SPAN_END, 0}, {0, ADA_KIND_FUNCTION_ENTRY, 0},
        {0, ADA_KIND_FUNCTION_EXIT, 0},
    };
    uint32_t turn = number % 7;
    bool typed = turns[turn].kind == ADA_KIND_TYPED;
    uint64_t time = sample_time(thread, number);

    return (AdaIndexEvent){
        .timestamp = sample_ticks(shape, time),
        .id = turns[turn].id ? turns[turn].id : SAMPLE_MODULE_BASE + 0x1000u + thread,
        .argument = turns[turn].kind == ADA_KIND_COUNTER ? (uint64_t) - (int64_t)number : number,
        .word = ADA_WORD(turns[turn].kind, typed ? ADA_FLAG_DETAIL : 0, turns[turn].depth),
        .link = typed ? number / 7 : 0,
    };
}

static void put_events(AdatWriter *writer, const SampleShape *shape, uint32_t thread, uint32_t first)
{
    uint32_t left = shape->events - first;
    uint32_t count = left < shape->block_events ? left : shape->block_events;
    AdaIndexEvent *events = calloc(count, sizeof(*events));
    uint8_t payload[128];

    CHECK(events);
    for (uint32_t i = 0; i < count; i++) {
        events[i] = sample_event(shape, thread, first + i);
        if (ADA_WORD_KIND(events[i].word) == ADA_KIND_TYPED)
            sample_put_detail(writer, 1, thread + 1, events[i].link, &events[i], payload,
                              sample_request_payload(events[i].argument, payload));
    }
    sample_put_index(writer, 1, thread + 1, first, events, count, NULL);
    free(events);
}

/* Of the threads from `first` to before `end`. */
static void put_ledger(AdatWriter *writer, const SampleShape *shape, uint16_t flags, uint32_t first,
                       uint32_t end)
{
    AdatLedgerEntry *entries = calloc(shape->threads * 2 + 1, sizeof(*entries));
    size_t count = 0;

    CHECK(entries);
    for (uint32_t thread = first; thread < end; thread++) {
        entries[count++] = sample_ledger_entry(1, thread + 1, ADA_LANE_INDEX, shape->events);
        entries[count++] = sample_ledger_entry(1, thread + 1, ADA_LANE_DETAIL, (shape->events + 3) / 7);
    }
    sample_put_ledger(writer, flags, NULL, entries, count);
    free(entries);
}

void sample_put_marks(AdatWriter *writer, const SampleShape *shape)
{
    AdatMark by_hand = {.timestamp = sample_ticks(shape, 1350), .record = UINT64_MAX, .reason = "by hand"};
    AdatMark by_rule = {.process = 1,
                        .thread = 1,
                        .timestamp = sample_ticks(shape, sample_time(0, 3)),
                        .record = 3,
                        .reason = "request.ms>0.5"};
    AdatMark of_process = {
        .process = 1, .timestamp = sample_ticks(shape, 1250), .record = UINT64_MAX, .reason = "pid 4242"};

    sample_put_mark(writer, &by_hand);
    sample_put_mark(writer, &by_rule);
    sample_put_mark(writer, &of_process);
}

static void put_clock(AdatWriter *writer, uint64_t ns)
{
    sample_put_clock(writer, SAMPLE_TSC + ns * SAMPLE_TICKS_PER_NS, SAMPLE_MONOTONIC + ns,
                     SAMPLE_REALTIME + ns);
}

int sample_trace(const SampleShape *shape, int fd)
{
    const AdatWriterConfig config = {.index_part_entries = shape->part_entries};
    int result = fd >= 0 ? fd : sample_file();
    AdatWriter *writer;
    char name[32];

    CHECK(adat_writer_create(dup(result), &config, &writer) == 0);

    sample_put_session(writer);
    put_clock(writer, 0);
    sample_put_process(writer, 1, SAMPLE_PID, shape->tsc ? ADA_CLOCK_TSC : ADA_CLOCK_MONOTONIC);
    sample_put_module(writer, 1, SAMPLE_MODULE_BASE, 0x10000, "/usr/bin/app");
    sample_put_descriptors(writer, 1);
    for (uint32_t thread = 0; thread < shape->threads; thread++) {
        snprintf(name, sizeof(name), "worker-%u", thread);
        sample_put_thread(writer, thread + 1, 1, SAMPLE_PID + thread, name);
    }
    gather_lanes = shape->gathered;
    for (uint32_t first = 0; first < shape->events; first += shape->block_events)
        for (uint32_t thread = 0; thread < shape->threads; thread++) {
            put_events(writer, shape, thread, first);
            if (shape->part_entries)
                CHECK(adat_writer_flush(writer) == 0);
        }
    gather_lanes = false;
    if (shape->marked)
        sample_put_marks(writer, shape);
    if (shape->ended)
        put_ledger(writer, shape, ADAT_FLAG_CLOSED, 0, 1);
    put_clock(writer, 2000u + shape->events * 100u);
    if (!shape->unclosed) {
        sample_put_death(writer, 1, ADAT_DEATH_EXIT, 3);
        put_ledger(writer, shape, ADAT_FLAG_FINAL, shape->ended ? 1 : 0, shape->threads);
        CHECK(adat_writer_finish(writer) == 0);
    }
    CHECK(adat_writer_flush(writer) == 0);
    adat_writer_destroy(writer);
    return result;
}
