/* SPDX-License-Identifier: MIT */
/* Records what test_view.sh looks for on a page: spans in spans, counters, and names that would be HTML, or a script, if they were not text. */
#include <adatrace/adatrace.h>
#include <pthread.h>
#include <stdlib.h>

enum { ROUNDS = 50, VALUES = 100 };

static void *run_hostile(void *unused)
{
    if (ada_thread_name("<img onerror>") != 0)
        abort();
    for (int i = 0; i < ROUNDS; i++) {
        ADA_SPAN_BEGIN("<script>window.hit = 1</script>", i);
        ADA_SPAN_BEGIN("</script><img src=x onerror=hit=1>", i);
        ADA_SPAN_END("</script><img src=x onerror=hit=1>", -i);
        ADA_EVENT("__proto__", (str, constructor, "<b onclick='hit=1'>\"&amp;"), (i64, number, -i));
        ADA_SPAN_END("<script>window.hit = 1</script>", 0);
    }
    return unused;
}

int main(void)
{
    pthread_t thread;

    ADA_SPAN_BEGIN("view.all", 0xfedcba9876543210u);
    if (pthread_create(&thread, NULL, run_hostile, NULL) != 0)
        return 1;
    for (int i = 0; i < VALUES; i++)
        ADA_COUNTER("view.height", (i - VALUES / 2) * INT64_C(10000000000));
    pthread_join(thread, NULL);
    ada_mark("view.mark");
    ADA_SPAN_END("view.all", -22);
    ADA_SPAN_BEGIN("view.open", 7);
    return 0;
}
