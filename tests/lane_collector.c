/* SPDX-License-Identifier: MIT */
#include "lane_collector.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

LaneCollector *lane_collector_create(const Segment *segment, uint32_t thread_count)
{
    LaneCollector *collector = calloc(1, sizeof(*collector));

    if (!collector)
        return NULL;
    collector->segment = segment;
    collector->thread_count = thread_count;
    collector->threads = calloc(thread_count, sizeof(collector->threads[0]));
    if (!collector->threads) {
        free(collector);
        return NULL;
    }
    return collector;
}

void lane_collector_destroy(LaneCollector *collector)
{
    if (!collector)
        return;
    free(collector->threads);
    free(collector);
}

static void check_events(CollectedThread *thread, uint32_t number, const char *data, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        AdaIndexEvent event;

        memcpy(&event, data + (size_t)i * sizeof(event), sizeof(event));
        if (event.id != number || event.argument < thread->next || event.timestamp < thread->timestamp)
            thread->wrong++;
        thread->next = event.argument + 1;
        thread->timestamp = event.timestamp;
        thread->taken++;
    }
}

static void drain(LaneCollector *collector, LaneReader *reader, uint32_t number, bool ended, uint32_t limit)
{
    uint32_t total = 0;
    LaneChunk chunk;
    int found = lane_reader_begin(reader, ended);

    if (found <= 0) {
        collector->protocol_errors += found < 0;
        return;
    }
    while (total < limit && (found = lane_reader_next(reader, &chunk)) == 1) {
        uint32_t count = chunk.records < limit - total ? chunk.records : limit - total;

        check_events(&collector->threads[number], number, chunk.data, count);
        lane_reader_consume(reader, &chunk, count, count * ADA_INDEX_EVENT_SIZE);
        total += count;
    }
    collector->protocol_errors += found < 0;
    lane_reader_end(reader);
    lane_reader_return_rings(reader);
}

static void visit_slot(LaneCollector *collector, ThreadLaneSet *set, uint32_t slot, uint32_t limit)
{
    const SegmentGeometry *geometry = &collector->segment->geometry;
    LaneReader *reader = &collector->readers[slot];
    bool ended = ada_load_acquire(&set->state) == ADA_SLOT_DRAINING;
    uint32_t number = ada_load_relaxed(&set->thread_id);
    CollectedThread *thread = &collector->threads[number];
    const ada_metrics_counters_t *counters;

    if (collector->generations[slot] != ada_load_relaxed(&set->generation)) {
        collector->generations[slot] = ada_load_relaxed(&set->generation);
        lane_reader_init(reader, &set->index,
                         segment_at(collector->segment, segment_rings_offset(geometry, slot, ADA_LANE_INDEX)),
                         ADA_LANE_INDEX, geometry->index_ring_count, geometry->index_ring_bytes);
    }
    drain(collector, reader, number, ended, ended ? UINT32_MAX : limit);
    if (!ended)
        return;
    counters = &set->metrics.lanes[ADA_LANE_INDEX].counters;
    thread->dropped += ada_load_relaxed(&counters->dropped_full) + ada_load_relaxed(&counters->dropped_nested);
    thread->overwritten += ada_load_relaxed(&counters->overwritten);
    thread->ended++;
    collector->released += thread_registry_release(collector->segment, set);
}

void lane_collector_visit(LaneCollector *collector, uint32_t limit)
{
    ThreadLaneSet *set;
    uint32_t slot = 0;

    for (uint32_t from = 0; (set = thread_registry_next(collector->segment, from, &slot)) != NULL;
         from = slot + 1)
        visit_slot(collector, set, slot, limit);
}

void lane_collector_run_thread(const Segment *segment, uint32_t number, uint64_t events)
{
    LaneView closed = {0};
    LaneWriter writer = {.active = &closed};
    LaneProducer producer;
    ThreadLaneSet *set;
    int error = 0;

    while (!(set = thread_registry_register(segment, number, ada_clock_ticks(), &error)))
        sched_yield();
    lane_producer_init(
        &producer, &writer, &set->index, &set->metrics.lanes[ADA_LANE_INDEX],
        segment_at(segment, segment_rings_offset(&segment->geometry, set->slot_index, ADA_LANE_INDEX)),
        segment->header);
    for (uint64_t i = 0; i < events; i++)
        if (!lane_write_index(&producer, ADA_WORD(ADA_KIND_INSTANT, 0, 0), number, i, 0))
            (void)lane_write_index_slow(&producer, ADA_WORD(ADA_KIND_INSTANT, 0, 0), number, i, 0);
    lane_producer_close(&producer, &closed);
    (void)thread_registry_unregister(segment, set);
}
