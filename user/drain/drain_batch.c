/* SPDX-License-Identifier: MIT */
#include "user/drain/drain_batch.h"

#include <string.h>

#include "user/drain/thread_drain_account.h"
#include "user/lane/clock.h"
#include "user/lane/test_point.h"

/* Of as many as are copied at a time: the first, which waits longest, and one amid them. Each costs 5 ns. */
#define SAMPLES_EACH 2u

void drain_batch_init(DrainBatch *batch, AdatWriter *writer, DrainMetrics *metrics)
{
    memset(batch, 0, sizeof(*batch));
    batch->writer = writer;
    batch->metrics = metrics;
    batch->epoch = 1;
}

void drain_batch_next_file(DrainBatch *batch, AdatWriter *writer)
{
    batch->writer = writer;
    batch->epoch++;
}

static void settle_lane(LaneDrain *lane, bool written)
{
    if (!lane->tells && lane->batched == 0 && lane->reader.to_return_count == 0)
        return; /* a lane of payloads mostly: nothing of it was in the batch */
    if (written) {
        lane->in_file += lane->batched;
        thread_drain_settle(lane); /* before the rings, whose contents are gone then */
    } else {
        lane->dropped_io += lane->batched;
        lane->tells = false;
        lane->told = lane->settled; /* no file tells; should we be killed, whoever is next finds a hole */
    }
    lane->batched = 0;
    ADA_TEST_POINT("batch.settled");
    lane_reader_return_rings(&lane->reader);
}

/* What the samples waited until now, where the write that has them has just returned. */
static void take_latencies(DrainBatch *batch)
{
    uint64_t cycles = ada_clock_cycles();
    uint64_t now = 0; /* not read yet: mostly nobody needs it */

    for (uint32_t i = 0; i < batch->sample_count; i++) {
        const LatencySample *sample = &batch->samples[i];
        bool counted = sample->clock_kind == ADA_CLOCK_TSC;
        int64_t ticks;
        double ns;

        if (!counted && now == 0)
            now = ada_clock_monotonic_ns();
        ticks = (int64_t)((counted ? cycles : now) - sample->timestamp);
        ns = (double)ticks * (counted ? batch->ns_per_cycle : 1);

        if (counted && batch->ns_per_cycle <= 0)
            continue;
        batch->timed += sample->weight;
        if (ns > (double)batch->late_after_ns)
            batch->late += sample->weight;
        latency_histogram_add(&batch->metrics->latency, ns > 0 ? (uint64_t)ns : 0, sample->weight);
    }
}

int drain_batch_flush(DrainBatch *batch)
{
    bool had_something = adat_writer_buffered(batch->writer) > 0;
    int error;

    ADA_TEST_POINT("batch.full");
    error = adat_writer_flush(batch->writer);
    ADA_TEST_POINT("batch.written");
    batch->failing = error != 0;
    if (error) {
        batch->failures++;
        batch->last_error = error;
        batch->epoch++;
    } else if (had_something) {
        batch->metrics->flushes++;
        take_latencies(batch);
    }
    batch->sample_count = 0;
    batch->bytes = 0;
    while (batch->touched) {
        ThreadDrainState *state = batch->touched;

        batch->touched = state->next_touched;
        state->touched = false;
        settle_lane(&state->index, error == 0);
        settle_lane(&state->detail, error == 0);
    }
    return error;
}

int drain_batch_put(DrainBatch *batch, const AdatBlockHeader *header, const void *payload, size_t bytes)
{
    int error;

    if (adat_writer_room(batch->writer) < bytes)
        (void)drain_batch_flush(batch);
    /* Room enough now: this can only fail for lack of memory to grow, and then the block is lost as in a failed write. */
    error = adat_writer_put_block(batch->writer, header, payload, bytes);
    if (error)
        batch->epoch++;
    return error;
}

void drain_batch_touch(DrainBatch *batch, ThreadDrainState *state)
{
    if (state->touched)
        return;
    state->touched = true;
    state->next_touched = batch->touched;
    batch->touched = state;
}

void drain_batch_forget(DrainBatch *batch, ThreadDrainState *state)
{
    ThreadDrainState **link = &batch->touched;

    while (*link && *link != state)
        link = &(*link)->next_touched;
    if (*link)
        *link = state->next_touched;
    state->touched = false;
}

void drain_batch_sample(DrainBatch *batch, uint32_t clock_kind, const AdaIndexEvent *events, uint32_t count)
{
    uint32_t step = (count + SAMPLES_EACH - 1) / SAMPLES_EACH;

    for (uint32_t i = 0; i < count && batch->sample_count < DRAIN_SAMPLES_MAX; i += step) {
        batch->samples[batch->sample_count++] = (LatencySample){
            .timestamp = events[i].timestamp,
            .weight = count - i < step ? count - i : step,
            .clock_kind = clock_kind,
        };
    }
}
