/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "user/client/client.h"
#include "user/lane/futex.h"

LaneView ada_closed_view;

__thread ThreadState ada_thread __attribute__((tls_model("initial-exec"))) = {
    .index = {.active = &ada_closed_view},
    .detail = {.active = &ada_closed_view},
};

static pthread_key_t exit_key;

/* The kernel's name of the calling thread: what ps and gdb show. */
static void copy_kernel_name(ThreadLaneSet *lanes)
{
    char name[ADA_THREAD_NAME_SIZE] = "";

    if (prctl(PR_GET_NAME, name) == 0)
        thread_lane_set_write_name(lanes, name);
}

static void thread_close(void)
{
    ada_thread_context_t *context = ada_thread.context;
    ThreadLaneSet *lanes = context->lanes;

    if (!lanes)
        return; /* a child's view of its parent's context */
    copy_kernel_name(lanes);
    ada_thread.state = THREAD_CLOSED;
    ada_signal_fence();
    lane_producer_close(&context->index, &ada_closed_view);
    lane_producer_close(&context->detail, &ada_closed_view);
    ada_thread.context = NULL;
    ada_signal_fence();
    /* The collector drains what is left and recycles the slot: nothing of ours may touch it from here. */
    (void)thread_registry_unregister(client_segment(), lanes);
    client_wake_collector();
}

/*
 * Runs at the thread's end, after C++'s thread_local destructors. Other keys' destructors may still
 * trace, so it asks to be called again and closes in the last of the rounds that POSIX grants.
 */
static void on_thread_exit(void *context)
{
    int saved = errno;

    if (ada_thread.context != context)
        return; /* forked since */
    if (++ada_thread.destructor_rounds < PTHREAD_DESTRUCTOR_ITERATIONS)
        (void)pthread_setspecific(exit_key, context);
    else
        thread_close();
    errno = saved;
}

int client_thread_setup(void)
{
    return -pthread_key_create(&exit_key, on_thread_exit);
}

void client_thread_forget(void)
{
    /* The writers' `frame` stays: the fork may have come from a handler, and the interrupted writer ends its own level. */
    ada_thread.index.active = &ada_closed_view;
    ada_thread.detail.active = &ada_closed_view;
    ada_thread.state = THREAD_NEW; /* the context stays, too, until the thread has another */
    ada_thread.destructor_rounds = 0;
}

/* ---- a child of fork() in a handler -------------------------------------------------------------- */

/* A producer's side that refuses everything, but whose addresses may be stored to. */
static void mend_lane(LaneProducer *producer, LaneWriter *writer, const Segment *segment, uint32_t slot,
                      Lane *lane, uint32_t kind)
{
    const SegmentGeometry *geometry = &segment->geometry;
    bool index = kind == ADA_LANE_INDEX;
    uint32_t rings = index ? geometry->index_ring_count : geometry->detail_ring_count;
    uint32_t bytes = index ? geometry->index_ring_bytes : geometry->detail_ring_bytes;
    char *data = segment_at(segment, segment_rings_offset(geometry, slot, kind));

    lane_producer_init(producer, writer, lane, &segment_lane_set(segment, slot)->metrics.lanes[kind], data,
                       segment->header); /* an empty lane: it has no rings */
    for (uint32_t ring = 0; ring < rings; ring++)
        producer->views[ring] = (LaneView){.data = data + (size_t)ring * bytes, .ring = &lane->rings[ring]};
    writer->active = &ada_closed_view;
}

void client_thread_mend(const Segment *segment)
{
    ada_thread_context_t *context = ada_thread.context;
    ThreadLaneSet *lanes;
    uint32_t slot;

    if (!context)
        return;
    /* The context is empty, but where it lies tells the slot. */
    slot = (uint32_t)(context - client_context(0));
    lanes = segment_lane_set(segment, slot);
    mend_lane(&context->index, &ada_thread.index, segment, slot, &lanes->index, ADA_LANE_INDEX);
    mend_lane(&context->detail, &ada_thread.detail, segment, slot, &lanes->detail, ADA_LANE_DETAIL);
}

static void bind_lane(LaneProducer *producer, LaneWriter *writer, const Segment *segment, uint32_t slot,
                      Lane *lane, uint32_t kind)
{
    char *rings = segment_at(segment, segment_rings_offset(&segment->geometry, slot, kind));

    lane_producer_init(producer, writer, lane, &segment_lane_set(segment, slot)->metrics.lanes[kind], rings,
                       segment->header);
    lane_producer_set_hint(producer, segment_registry(segment), slot);
}

static int register_here(const Segment *segment)
{
    ThreadLaneSet *lanes;
    ada_thread_context_t *context;
    int error = 0;

    if (!thread_registry_has_room(segment))
        return -ENOSPC;
    lanes = thread_registry_register(segment, (uint32_t)gettid(), ada_clock_ticks(), &error);
    if (!lanes)
        return error;

    context = client_context(lanes->slot_index);
    context->lanes = lanes;
    ada_thread.context = context; /* before the writers lead there: a handler may trace at any time */
    ada_signal_fence();
    bind_lane(&context->detail, &ada_thread.detail, segment, lanes->slot_index, &lanes->detail,
              ADA_LANE_DETAIL);
    bind_lane(&context->index, &ada_thread.index, segment, lanes->slot_index, &lanes->index, ADA_LANE_INDEX);
    copy_kernel_name(lanes);
    /* Cannot fail for lack of memory as long as the key is one of the first 32, which have their place in the thread itself. */
    (void)pthread_setspecific(exit_key, context);
    return 0;
}

int thread_register(void)
{
    int saved = errno;
    int error;

    if (ada_thread.state == THREAD_REGISTERING)
        return -EBUSY;
    error = client_process_enter();
    if (error)
        goto out;
    if (ada_thread.state == THREAD_ACTIVE)
        goto out;
    if (ada_thread.state == THREAD_CLOSED) {
        error = -ESRCH;
        goto out;
    }
    ada_thread.state = THREAD_REGISTERING;
    ada_signal_fence();
    error = register_here(client_segment());
    ada_signal_fence();
    ada_thread.state = error ? THREAD_NEW : THREAD_ACTIVE;
    client_wake_collector();
out:
    errno = saved;
    return error;
}

void client_count_unregistered(void)
{
    const Segment *segment = client_segment();

    if (segment)
        (void)ada_fetch_add_relaxed(&segment_registry(segment)->unregistered_events, 1ull);
}

/* ---- public ----------------------------------------------------------------------------------- */

static int public_error(int error)
{
    return error == 0 || error == -EAGAIN ? error : -ENOBUFS;
}

int ada_thread_init(void)
{
    if (!ada_enabled())
        return -EAGAIN;
    return public_error(thread_register());
}

int ada_thread_name(const char *name)
{
    int saved = errno;
    int error = ada_thread_init();

    if (error)
        return error;
    /* The kernel's name, too: it is what the thread's end copies, and what other tools show. */
    (void)prctl(PR_SET_NAME, name);
    thread_lane_set_write_name(ada_thread.context->lanes, name);
    errno = saved;
    return 0;
}

/* Waits until the collector has taken over what the lane holds now. The flag is the one of wait_for_ring() in lane_producer.c. */
static int flush_lane(LaneProducer *producer, uint64_t until_ns)
{
    Lane *lane = producer->lane;
    uint64_t target = lane_events_written(lane);

    for (;;) {
        uint64_t now;

        (void)ada_exchange_acq_rel(&lane->waiting, 1u);
        /* Pairs with the release in lane_reader_consume(). */
        if ((int64_t)(ada_load_acquire(&lane->drained_records) - target) >= 0)
            break;
        now = ada_clock_monotonic_ns();
        if (now >= until_ns)
            return -ETIMEDOUT;
        (void)ada_fetch_add_acq_rel(&producer->header->doorbell, 1u);
        ada_futex_wake(&producer->header->doorbell);
        (void)ada_futex_wait(&lane->waiting, 1, until_ns - now);
    }
    (void)ada_exchange_acq_rel(&lane->waiting, 0u);
    return 0;
}

int ada_flush(unsigned timeout_ms)
{
    uint64_t until_ns = ada_clock_monotonic_ns() + (uint64_t)timeout_ms * 1000000u;
    int error;

    if (!ada_enabled() || ada_thread.state != THREAD_ACTIVE)
        return ada_enabled() ? 0 : -EAGAIN;
    error = flush_lane(&ada_thread.context->index, until_ns);
    if (!error && ada_load_relaxed(&client_segment()->header->detail) == ADA_DETAIL_ALWAYS)
        error = flush_lane(&ada_thread.context->detail, until_ns);
    return error;
}
