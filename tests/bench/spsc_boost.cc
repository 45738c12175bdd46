/* SPDX-License-Identifier: MIT */
#include "tests/bench/spsc_subject.h"

#include <new>

#include <boost/lockfree/spsc_queue.hpp>

namespace {

/* The capacity as a constant is the faster of the two forms that boost offers. It keeps one place free. */
template <uint32_t Capacity> struct Queue {
    using Type = boost::lockfree::spsc_queue<uint32_t, boost::lockfree::capacity<Capacity - 1>>;

    static void produce(Type &queue, uint32_t count)
    {
        for (uint32_t i = 0; i < count; i++)
            while (!queue.push(i))
                bench_pause();
    }

    static uint32_t consume(Type &queue, uint32_t count)
    {
        uint32_t wrong = 0;
        for (uint32_t i = 0; i < count; i++) {
            uint32_t value;
            while (!queue.pop(value))
                bench_pause();
            wrong += value != i;
        }
        return wrong;
    }
};

using Small = Queue<8>;
using Large = Queue<1024>;

struct BoostQueue {
    uint32_t capacity;
    alignas(128) Small::Type small;
    alignas(128) Large::Type large;
};

void *boost_create(uint32_t capacity)
{
    if (capacity != 8 && capacity != 1024)
        return nullptr;
    BoostQueue *self = new (std::nothrow) BoostQueue;
    if (self)
        self->capacity = capacity;
    return self;
}

void boost_destroy(void *queue)
{
    delete static_cast<BoostQueue *>(queue);
}

void boost_produce(void *queue, uint32_t count)
{
    BoostQueue *self = static_cast<BoostQueue *>(queue);

    if (self->capacity == 8)
        Small::produce(self->small, count);
    else
        Large::produce(self->large, count);
}

uint32_t boost_consume(void *queue, uint32_t count)
{
    BoostQueue *self = static_cast<BoostQueue *>(queue);

    return self->capacity == 8 ? Small::consume(self->small, count) : Large::consume(self->large, count);
}

} // namespace

extern const SpscSubject spsc_subject_boost = {
    "boost::lockfree::spsc_queue", boost_create, boost_destroy, boost_produce, boost_consume,
};
