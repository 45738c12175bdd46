/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "lane_fixture.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* ---- the lane --------------------------------------------------------------------------------- */

static size_t align_to_page(size_t size)
{
    return (size + ADA_PAGE - 1) & ~(size_t)(ADA_PAGE - 1);
}

LaneFixture *lane_fixture_create(uint32_t kind, uint32_t ring_count, uint32_t ring_bytes)
{
    size_t head = align_to_page(sizeof(LaneFixture));
    size_t rings = (size_t)ring_count * ring_bytes;
    size_t total = head + ADA_PAGE + rings + ADA_PAGE;
    char *memory = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    LaneFixture *fixture = (LaneFixture *)memory;

    if (memory == MAP_FAILED)
        return NULL;
    if (mprotect(memory + head, ADA_PAGE, PROT_NONE) < 0 ||
        mprotect(memory + head + ADA_PAGE + rings, ADA_PAGE, PROT_NONE) < 0) {
        munmap(memory, total);
        return NULL;
    }
    fixture->mapping_bytes = total;
    fixture->rings = memory + head + ADA_PAGE;
    fixture->header.policy = ADA_POLICY_DISCARD;
    fixture->header.detail = ADA_DETAIL_ALWAYS;
    fixture->header.attached = 1;
    fixture->header.block_timeout_ns = 60000000000ull;
    lane_init(&fixture->lane, kind, ring_count, ring_bytes, 0);
    lane_producer_init(&fixture->producer, &fixture->writer, &fixture->lane, &fixture->metrics,
                       fixture->rings, &fixture->header);
    lane_reader_init(&fixture->reader, &fixture->lane, fixture->rings, kind, ring_count, ring_bytes);
    return fixture;
}

void lane_fixture_destroy(LaneFixture *fixture)
{
    if (fixture)
        munmap(fixture, fixture->mapping_bytes);
}

int lane_fixture_write(LaneFixture *fixture, uint64_t id, uint64_t argument)
{
    uint32_t word = ADA_WORD(ADA_KIND_INSTANT, 0, 0);

    if (lane_write_index(&fixture->producer, word, id, argument, 0))
        return 0;
    return lane_write_index_slow(&fixture->producer, word, id, argument, 0);
}

static char payload_byte(uint64_t number, uint32_t at)
{
    return (char)(number * 31 + at);
}

int lane_fixture_write_detail(LaneFixture *fixture, uint64_t id, uint32_t payload)
{
    LaneReservation reservation;
    AdaDetailRecord *record;
    int error = lane_reserve(&fixture->producer, ADA_DETAIL_RECORD_SIZE(payload), &reservation);

    if (error)
        return error;
    record = reservation.at;
    record->timestamp = reservation.timestamp;
    record->id = id;
    record->argument = reservation.record;
    record->word = ADA_WORD(ADA_KIND_TYPED, 0, 0);
    record->payload_size = payload;
    for (uint32_t i = 0; i < payload; i++)
        ((char *)(record + 1))[i] = payload_byte(reservation.record, i);
    lane_commit(&fixture->producer, &reservation);
    return 0;
}

uint32_t lane_fixture_log(LaneFixture *fixture, const LaneChunk *chunk, uint32_t behind, uint32_t count)
{
    uint32_t at = 0;

    for (uint32_t i = 0; i < count; i++) {
        AdaIndexEvent event; /* a detail record's header has the same shape */
        uint32_t payload = 0;

        memcpy(&event, chunk->data + at, sizeof(event));
        if (fixture->reader.kind == ADA_LANE_DETAIL) {
            payload = event.link;
            for (uint32_t byte = 0; byte < payload; byte++)
                if (chunk->data[at + ADA_DETAIL_HEADER_SIZE + byte] != payload_byte(event.argument, byte))
                    fixture->bad_payloads++;
        }
        fixture->records[(fixture->record_count + behind + i) % LANE_LOG_MAX] = (LaneRecord){
            .number = chunk->first_record + i,
            .timestamp = event.timestamp,
            .id = event.id,
            .argument = event.argument,
            .word = event.word,
            .tail = event.link,
        };
        at += ADA_DETAIL_RECORD_SIZE(payload);
    }
    return at;
}

int lane_fixture_drain(LaneFixture *fixture, uint32_t limit, bool producer_gone)
{
    LaneReader *reader = &fixture->reader;
    uint32_t total = 0;
    LaneChunk chunk;
    int found = lane_reader_begin(reader, producer_gone);

    if (found <= 0)
        return found < 0 ? found : -EBUSY;
    while (total < limit && (found = lane_reader_next(reader, &chunk)) == 1) {
        uint32_t count = chunk.records < limit - total ? chunk.records : limit - total;

        lane_reader_consume(reader, &chunk, count, lane_fixture_log(fixture, &chunk, 0, count));
        fixture->record_count += count;
        total += count;
    }
    lane_reader_end(reader);
    lane_reader_return_rings(reader);
    return found < 0 ? found : (int)total;
}

bool lane_fixture_is_gapless(const LaneFixture *fixture, uint32_t from, uint64_t number)
{
    for (uint32_t i = from; i < fixture->record_count; i++)
        if (fixture->records[i].number != number++)
            return false;
    return true;
}

/* ---- the stepper ------------------------------------------------------------------------------- */

AdaTestPointHook stepper_other_hook;
static Stepper *active_stepper;

static void stepper_hook(const char *point)
{
    Stepper *stepper = active_stepper;

    if (!pthread_equal(pthread_self(), stepper->thread)) {
        if (stepper_other_hook)
            stepper_other_hook(point);
        return;
    }
    if (!stepper->stop_at || strcmp(point, stepper->stop_at) != 0 || --stepper->skip > 0)
        return;
    sem_post(&stepper->reached);
    sem_wait(&stepper->resume);
}

static void *stepper_main(void *argument)
{
    Stepper *stepper = argument;

    sem_wait(&stepper->resume); /* until pthread_create() has stored the thread's id */
    stepper->run(stepper->argument);
    stepper->finished = true;
    sem_post(&stepper->reached);
    return NULL;
}

bool stepper_start(Stepper *stepper, void (*run)(void *), void *argument, const char *point, uint32_t occurrence)
{
    *stepper = (Stepper){.run = run, .argument = argument};
    sem_init(&stepper->reached, 0, 0);
    sem_init(&stepper->resume, 0, 0);
    active_stepper = stepper;
    ada_test_point_hook = stepper_hook;
    if (pthread_create(&stepper->thread, NULL, stepper_main, stepper) != 0) {
        stepper->finished = true;
        return false;
    }
    return stepper_continue(stepper, point, occurrence);
}

bool stepper_continue(Stepper *stepper, const char *point, uint32_t occurrence)
{
    stepper->stop_at = point;
    stepper->skip = occurrence;
    sem_post(&stepper->resume);
    sem_wait(&stepper->reached);
    return !stepper->finished;
}

void stepper_finish(Stepper *stepper)
{
    if (!stepper->finished)
        (void)stepper_continue(stepper, NULL, 0);
    pthread_join(stepper->thread, NULL);
    ada_test_point_hook = NULL;
    stepper_other_hook = NULL;
    sem_destroy(&stepper->reached);
    sem_destroy(&stepper->resume);
}
