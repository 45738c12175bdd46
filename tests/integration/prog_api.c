/* SPDX-License-Identifier: MIT */
/* Uses every part of the public API once, for test_record.sh to find in the trace. */
#include <adatrace/adatrace.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_key_t late_key;

static void scoped(void)
{
    ADA_SCOPE("api.scope");
    ADA_INSTANT("api.inside", 1);
}

static void late(void *unused)
{
    (void)unused;
    ADA_INSTANT("api.destructor", 1);
}

static void at_exit(void)
{
    ADA_INSTANT("api.atexit", 1);
}

__attribute__((constructor)) static void early(void)
{
    ADA_INSTANT("api.constructor", 1);
}

static void *worker(void *unused)
{
    (void)unused;
    if (ada_thread_name("api-worker") != 0)
        abort();
    pthread_setspecific(late_key, &late_key);
    ADA_INSTANT("api.worker", 1);
    return NULL;
}

int main(void)
{
    char payload[16] = {0};
    char long_text[8192];
    uint64_t number = 7;
    static const ada_field raw_fields[] = {{"number", ADA_FIELD_U64}, {"zero", ADA_FIELD_U64}};
    static ada_event raw = {"api.raw", raw_fields, 2, ADA_EVENT_TYPED, 0};
    pthread_t thread;

    errno = 12345;
    pthread_key_create(&late_key, late);
    atexit(at_exit);
    if (!ada_enabled())
        return 1;
    scoped();
    ADA_SPAN_BEGIN("api.span", 5);
    ADA_COUNTER("api.counter", -3);
    ADA_SPAN_END("api.span", 6);
    ADA_EVENT("api.typed", (u64, big, UINT64_MAX), (i64, negative, -5), (f64, half, 0.5),
              (ptr, where, (void *)0x1234), (str, text, "a \"quoted\" text"));
    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    ADA_EVENT("api.long", (str, text, long_text), (u64, after, 99));
    ADA_EVENT("api.null", (str, text, NULL));
    memcpy(payload, &number, sizeof(number));
    if (ada_write_event(&raw, 11, payload, sizeof(payload)) != 0)
        return 2;
    if (ada_write_event(&raw, 0, long_text, 4097) != -EMSGSIZE)
        return 3;
    ada_mark("api.mark");
    if (pthread_create(&thread, NULL, worker, NULL) != 0)
        return 4;
    pthread_join(thread, NULL);
    if (ada_flush(5000) != 0)
        return 5;
    if (errno != 12345)
        return 6;
    return 0;
}
