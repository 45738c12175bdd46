/* SPDX-License-Identifier: MIT */
/* Snapshots: published without waiting, kept by their readers. */
#include "test_support.h"

#include <pthread.h>

#include "user/lane/atomic.h"
#include "user/metrics/metrics_snapshot.h"

static void metrics_hub__nothing_published__then_nothing_to_have(void)
{
    MetricsHub hub;

    metrics_hub_init(&hub);
    CU_ASSERT_PTR_NULL(metrics_hub_acquire(&hub));
    metrics_snapshot_release(NULL);
    metrics_hub_fini(&hub);
}

static void metrics_hub__replaced_while_kept__then_reader_sees_the_old_one(void)
{
    const MetricsSnapshot *kept;
    MetricsSnapshot *snapshot;
    MetricsHub hub;

    metrics_hub_init(&hub);
    snapshot = metrics_snapshot_create(2, 3);
    CU_ASSERT_PTR_NOT_NULL_FATAL(snapshot);
    snapshot->sequence = 1;
    snapshot->threads[2].tid = 77;
    CU_ASSERT(metrics_hub_try_publish(&hub, snapshot));
    kept = metrics_hub_acquire(&hub);
    snapshot = metrics_snapshot_create(0, 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(snapshot);
    snapshot->sequence = 2;
    CU_ASSERT(metrics_hub_try_publish(&hub, snapshot));
    CU_ASSERT_EQUAL(kept->sequence, 1);
    CU_ASSERT_EQUAL(kept->threads[2].tid, 77);
    metrics_snapshot_release(kept);
    kept = metrics_hub_acquire(&hub);
    CU_ASSERT_EQUAL(kept->sequence, 2);
    metrics_hub_fini(&hub);
    CU_ASSERT_EQUAL(kept->sequence, 2);
    metrics_snapshot_release(kept);
}

static void metrics_hub__reader_holds_the_lock__then_publisher_does_not_wait(void)
{
    MetricsSnapshot *snapshot = metrics_snapshot_create(1, 1);
    MetricsHub hub;

    CU_ASSERT_PTR_NOT_NULL_FATAL(snapshot);
    metrics_hub_init(&hub);
    pthread_mutex_lock(&hub.lock);
    CU_ASSERT(!metrics_hub_try_publish(&hub, snapshot));
    pthread_mutex_unlock(&hub.lock);
    CU_ASSERT(metrics_hub_try_publish(&hub, snapshot));
    metrics_hub_fini(&hub);
}

#define ROUNDS 20000u

typedef struct Reader {
    MetricsHub *hub;
    uint32_t *stop;
    uint64_t torn;
} Reader;

static void *read_all(void *context)
{
    Reader *reader = context;
    uint64_t last = 0;

    while (!ada_load_acquire(reader->stop)) {
        const MetricsSnapshot *snapshot = metrics_hub_acquire(reader->hub);

        if (!snapshot)
            continue;
        reader->torn += snapshot->sequence < last || snapshot->threads[0].figures.bytes != snapshot->sequence ||
                        snapshot->total.bytes != snapshot->sequence;
        last = snapshot->sequence;
        metrics_snapshot_release(snapshot);
    }
    return NULL;
}

static void metrics_hub__readers_while_published__then_each_is_whole(void)
{
    pthread_t threads[4];
    Reader readers[4];
    uint32_t stop = 0;
    uint64_t sequence = 0;
    MetricsHub hub;

    metrics_hub_init(&hub);
    for (int i = 0; i < 4; i++) {
        readers[i] = (Reader){.hub = &hub, .stop = &stop};
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, read_all, &readers[i]), 0);
    }
    while (sequence < ROUNDS) {
        MetricsSnapshot *snapshot = metrics_snapshot_create(1, 1);

        CU_ASSERT_PTR_NOT_NULL_FATAL(snapshot);
        snapshot->sequence = snapshot->total.bytes = snapshot->threads[0].figures.bytes = ++sequence;
        while (!metrics_hub_try_publish(&hub, snapshot))
            ;
    }
    ada_store_release(&stop, 1u);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        CU_ASSERT_EQUAL(readers[i].torn, 0);
    }
    metrics_hub_fini(&hub);
}

static const TestCase tests[] = {
    TEST(metrics_hub__nothing_published__then_nothing_to_have),
    TEST(metrics_hub__replaced_while_kept__then_reader_sees_the_old_one),
    TEST(metrics_hub__reader_holds_the_lock__then_publisher_does_not_wait),
    TEST(metrics_hub__readers_while_published__then_each_is_whole),
};
TEST_MAIN("metrics_snapshot", tests)
