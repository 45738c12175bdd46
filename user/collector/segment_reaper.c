/* SPDX-License-Identifier: MIT */
#include "user/collector/segment_reaper.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "user/base/array.h"
#include "user/base/thread.h"

/* What one munmap(2) takes: others who change the address space wait for it. */
#define SLICE_BYTES (1u << 20)

struct SegmentReaper {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;

    /* guarded by lock */
    Segment *waiting;
    size_t count;
    size_t capacity;
    bool stopping;
};

static void reap(const Segment *segment)
{
    uint64_t bytes = segment->geometry.segment_bytes;
    char *start = (char *)segment->header;

    for (uint64_t at = 0; at < bytes; at += SLICE_BYTES)
        munmap(start + at, bytes - at < SLICE_BYTES ? bytes - at : SLICE_BYTES);
}

static void *reaper_main(void *argument)
{
    SegmentReaper *reaper = argument;

    pthread_mutex_lock(&reaper->lock);
    for (;;) {
        Segment segment;

        if (reaper->count == 0) {
            if (reaper->stopping)
                break;
            pthread_cond_wait(&reaper->changed, &reaper->lock);
            continue;
        }
        segment = reaper->waiting[--reaper->count];
        pthread_mutex_unlock(&reaper->lock);
        reap(&segment);
        pthread_mutex_lock(&reaper->lock);
    }
    pthread_mutex_unlock(&reaper->lock);
    return NULL;
}

int segment_reaper_create(SegmentReaper **reaper_out)
{
    SegmentReaper *reaper = calloc(1, sizeof(*reaper));
    int error;

    if (!reaper)
        return -ENOMEM;
    pthread_mutex_init(&reaper->lock, NULL);
    pthread_cond_init(&reaper->changed, NULL);
    error = thread_start_without_signals(&reaper->thread, reaper_main, reaper);
    if (error) {
        pthread_cond_destroy(&reaper->changed);
        pthread_mutex_destroy(&reaper->lock);
        free(reaper);
        return error;
    }
    *reaper_out = reaper;
    return 0;
}

void segment_reaper_destroy(SegmentReaper *reaper)
{
    if (!reaper)
        return;
    pthread_mutex_lock(&reaper->lock);
    reaper->stopping = true;
    pthread_cond_signal(&reaper->changed);
    pthread_mutex_unlock(&reaper->lock);
    pthread_join(reaper->thread, NULL);
    pthread_cond_destroy(&reaper->changed);
    pthread_mutex_destroy(&reaper->lock);
    free(reaper->waiting);
    free(reaper);
}

/* False: there is no memory for a note. */
static bool note(SegmentReaper *reaper, const Segment *segment)
{
    bool noted;

    pthread_mutex_lock(&reaper->lock);
    noted =
        array_reserve_one(&reaper->waiting, &reaper->capacity, reaper->count, sizeof(reaper->waiting[0])) == 0;
    if (noted) {
        reaper->waiting[reaper->count++] = *segment;
        pthread_cond_signal(&reaper->changed);
    }
    pthread_mutex_unlock(&reaper->lock);
    return noted;
}

void segment_reaper_take(SegmentReaper *reaper, Segment *segment)
{
    if (segment->header && (!reaper || !note(reaper, segment)))
        segment_unmap(segment);
    segment->header = NULL;
}
