/* SPDX-License-Identifier: MIT */
/* Accept headers: those that scrapers and browsers send, and those that nobody should. */
#include "test_support.h"

#include <stdlib.h>
#include <string.h>

#include "user/export/accept_header.h"

enum { TEXT, OPEN, OFFERS };

static const MediaOffer offers[OFFERS] = {
    [TEXT] = {"text", "plain", "0.0.4"},
    [OPEN] = {"application", "openmetrics-text", "1.0.0"},
};

typedef struct Example {
    const char *header;
    size_t chosen;
} Example;

static void must_choose(const Example *examples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t chosen = accept_header_choose(examples[i].header, offers, OFFERS);

        CU_ASSERT_EQUAL(chosen, examples[i].chosen);
        if (chosen != examples[i].chosen)
            printf("%s: %zu\n", examples[i].header ? examples[i].header : "(none)", chosen);
    }
}
#define MUST_CHOOSE(examples) must_choose(examples, sizeof(examples) / sizeof((examples)[0]))

static const Example clients[] = {
    /* Prometheus 2.5, 2.45, 3.0 */
    {"application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", TEXT},
    {"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
     "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
     OPEN},
    {"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
     "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
     "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
     OPEN},
    /* one that prefers Prometheus' own binary format, and text over OpenMetrics */
    {"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"
     "text/plain;version=0.0.4;q=0.5,application/openmetrics-text;version=1.0.0;q=0.4,*/*;q=0.2",
     TEXT},
    /* curl, Firefox, Chromium */
    {"*/*", TEXT},
    {"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8", TEXT},
    {"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,"
     "application/signed-exchange;v=b3;q=0.7",
     TEXT},
    {NULL, TEXT},
    {"", TEXT},
};

static const Example rules[] = {
    {"application/openmetrics-text", OPEN},
    {"APPLICATION/OpenMetrics-Text;VERSION=1.0.0;Q=1", OPEN},
    {"application/openmetrics-text;version=\"1.0.0\"", OPEN},
    {"application/openmetrics-text;version=2.0.0", TEXT},
    {"application/openmetrics-text;version=1.0", TEXT},
    {"application/openmetrics-text;version=\"\"", TEXT},
    {"application/openmetrics-text;charset=UTF-8", OPEN},
    {"application/openmetrics-text;charset=latin1", TEXT},
    {"application/openmetrics-text;note=\"a, b; c=\\\"d\\\"\"", OPEN},
    {"application/openmetrics-text2", TEXT},
    {"xapplication/openmetrics-text", TEXT},
    {"text/plain, application/openmetrics-text", TEXT}, /* equal: what comes first */
    {"application/openmetrics-text, text/plain", OPEN},
    {"application/openmetrics-text, */*", OPEN},
    {"*/*, application/openmetrics-text", TEXT},
    {"application/*", OPEN},
    {"text/*, application/*;q=0.9", TEXT},
    {"text/*;q=0.899, application/*;q=0.9", OPEN},
    /* The more specific range says the weight, wherever it is. */
    {"*/*;q=1, text/plain;q=0.1, application/openmetrics-text;q=0.2", OPEN},
    {"application/*;q=0.9, application/openmetrics-text;q=0.1, text/plain;q=0.5", TEXT},
    {"application/openmetrics-text;q=0.1, application/openmetrics-text;version=1.0.0;q=0.9, text/plain;q=0.5",
     OPEN},
    {"application/openmetrics-text;version=1.0.0;q=0.9, application/openmetrics-text;q=0.1, text/plain;q=0.5",
     OPEN},
    {"text/*;q=0.1, */*;q=0.5", OPEN},
    /* Not at all */
    {"application/openmetrics-text;q=0", TEXT},
    {"application/openmetrics-text;q=0.000, text/plain;q=0", TEXT},
    {"text/plain;q=0, */*;q=0.001", OPEN},
    {"application/openmetrics-text;q=0, application/*;q=1, text/plain;q=0.001", TEXT},
    {"image/png", TEXT},
    /* Weights */
    {"application/openmetrics-text;q=0.501, text/plain;q=0.5", OPEN},
    {"application/openmetrics-text;q=0.05, text/plain;q=0.5", TEXT},
    {"application/openmetrics-text;q=1.000, text/plain;q=0.999", OPEN},
    {"application/openmetrics-text;q=1., text/plain;q=0.", OPEN},
    {"application/openmetrics-text;q=0.5;version=1.0.0, text/plain;q=0.4", OPEN},
    /* Blanks, and nothing at all, between things */
    {" \t, ,\tapplication/openmetrics-text ;\tversion=1.0.0 ; q=0.9\t,,text/plain ; q=0.8 ,", OPEN},
    {"application/openmetrics-text;;version=1.0.0;", OPEN},
};

/* Any of them would be for OpenMetrics if what is wrong were not there. */
static const Example malformed[] = {
    {"application/openmetrics-text;q=2", TEXT},
    {"application/openmetrics-text;q=1.001", TEXT},
    {"application/openmetrics-text;q=0.1234", TEXT},
    {"application/openmetrics-text;q=-0.5", TEXT},
    {"application/openmetrics-text;q=.5", TEXT},
    {"application/openmetrics-text;q=1e0", TEXT},
    {"application/openmetrics-text;q=01", TEXT},
    {"application/openmetrics-text;q=0,5", TEXT},
    {"application/openmetrics-text;q=", TEXT},
    {"application/openmetrics-text;q=\"\"", TEXT},
    {"application/openmetrics-text;q", TEXT},
    {"application/openmetrics-text;q=1;q=1", TEXT},
    {"application/openmetrics-text;q =1", TEXT},
    {"application/openmetrics-text;q= 1", TEXT},
    {"application/openmetrics-text;version=1.0.0;version=1.0.0", TEXT},
    {"application/openmetrics-text;version", TEXT},
    {"application/openmetrics-text;=1.0.0", TEXT},
    {"application/openmetrics-text;version=\"1.0.0", TEXT},
    {"application/openmetrics-text;version=\"1.0.0\\", TEXT},
    {"application/openmetrics-text;version=\"1.0.0\\\"", TEXT},
    {"application/openmetrics-text;version=\"1.0.0\"x", TEXT},
    {"application/openmetrics-text text/plain;q=0.1", TEXT},
    {"application/openmetrics-text, text", TEXT},
    {"application/openmetrics-text, text/", TEXT},
    {"application/openmetrics-text, /plain", TEXT},
    {"application/openmetrics-text, text /plain", TEXT},
    {"application/openmetrics-text, text/ plain", TEXT},
    {"application/openmetrics-text, text/plain/x", TEXT},
    {"application/openmetrics-text, */plain", TEXT},
    {"application/openmetrics-text, \"text\"/plain", TEXT},
    {"application/openmetrics-text, text/plain;q=0.1\x01", TEXT},
    {"application/openmetrics-text, te\xc3\xa9t/plain", TEXT},
    {"application/openmetrics-text\n", TEXT},
    {";application/openmetrics-text", TEXT},
};

static void accept_header__of_real_clients__then_what_they_understand(void)
{
    MUST_CHOOSE(clients);
}

static void accept_header__weights_and_ranges__then_rules_hold(void)
{
    MUST_CHOOSE(rules);
    CU_ASSERT_EQUAL(accept_header_choose("*/*", offers, 0), 0);
}

static void accept_header__malformed__then_first_offer(void)
{
    MUST_CHOOSE(malformed);
}

/* In memory that ends where the header does, so that sanitizers see a step too far. */
static size_t choose_at_the_end(const char *header, size_t size)
{
    char *exact = malloc(size + 1);
    size_t chosen;

    CU_ASSERT_PTR_NOT_NULL_FATAL(exact);
    memcpy(exact, header, size);
    exact[size] = '\0';
    chosen = accept_header_choose(exact, offers, OFFERS);
    free(exact);
    return chosen;
}

/* Every prefix, and every byte exchanged for each that means something, and for some that do not. */
static void mutate(const char *header)
{
    static const char bytes[] = ",;=/*\"\\ \tq01.\x01\x7f\xff";
    size_t size = strlen(header);
    char *mutant = strdup(header);
    size_t outside = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(mutant);
    for (size_t i = 0; i < size; i++) {
        outside += choose_at_the_end(header, i) >= OFFERS;
        for (size_t j = 0; j < sizeof(bytes) - 1; j++) {
            mutant[i] = bytes[j];
            outside += choose_at_the_end(mutant, size) >= OFFERS;
        }
        mutant[i] = header[i];
    }
    CU_ASSERT_EQUAL(outside, 0);
    free(mutant);
}

static void accept_header__mutants__then_still_an_offer(void)
{
    for (size_t i = 0; i < sizeof(clients) / sizeof(clients[0]); i++) {
        if (clients[i].header)
            mutate(clients[i].header);
    }
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
        mutate(rules[i].header);
}

static const TestCase tests[] = {
    TEST(accept_header__of_real_clients__then_what_they_understand),
    TEST(accept_header__weights_and_ranges__then_rules_hold),
    TEST(accept_header__malformed__then_first_offer),
    TEST(accept_header__mutants__then_still_an_offer),
};
TEST_MAIN("accept_header", tests)
