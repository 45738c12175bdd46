/* SPDX-License-Identifier: MIT */
#include "user/view/view_page.h"

#include <errno.h>
#include <stdlib.h>

#include "user/base/embed.h"

/* For tools that know nothing of the build. */
#ifndef ADA_VIEW_PAGE
#define ADA_VIEW_PAGE "user/view/page/page.html"
#endif

EMBED_FILE(ada_view_page, ADA_VIEW_PAGE);

extern const char ada_view_page_begin[];

/* The page ends within its <body>, of which HTML does not ask for an end. */
static const char data_begin[] = "<script id=\"data\" type=\"application/octet-stream\">";
static const char data_end[] = "</script>\n";

static void find_facts(const AdatSet *set, const ViewPageConfig *config, const ViewCounts *counts,
                       ViewFacts *facts_out)
{
    AdatAccount events = adat_set_events(set);
    const char *host = adat_strings_find(adat_reader_session(adat_set_reader(set, 0)), "host");
    const AdatReader *reader;

    *facts_out = (ViewFacts){.title = config->title,
                             .version = config->version,
                             .host = host ? host : "",
                             .events = counts->events,
                             .vanished = counts->vanished,
                             .unmatched = counts->unmatched,
                             .sched = counts->sched,
                             .from_ns = config->collect.from_ns,
                             .to_ns = config->collect.to_ns};
    facts_out->lost = events.dropped_full + events.dropped_nested + events.dropped_io + events.torn;
    for (size_t i = 0; (reader = adat_set_reader(set, i)); i++) {
        uint64_t error = adat_reader_clock_error(reader);

        facts_out->guessed_clock |= adat_reader_clock_quality(reader) == ADAT_CLOCK_GUESSED;
        facts_out->clock_error_ns = error > facts_out->clock_error_ns ? error : facts_out->clock_error_ns;
    }
}

/* A stream is large: not for the stack. */
static int write_data(const ViewModel *model, const ViewFacts *facts, int64_t begin, int64_t end, FILE *out)
{
    ViewStream *stream = malloc(sizeof(*stream));
    int error = stream ? view_stream_init(stream, out) : -ENOMEM;

    if (!error) {
        fputs(ada_view_page_begin, out); /* it is text, and has a NUL behind it */
        fputs(data_begin, out);
        error = view_encode(model, facts, begin, end, stream);
        view_stream_end(stream);
        fputs(data_end, out);
        view_stream_fini(stream);
    }
    free(stream);
    return error ? error : fflush(out) == 0 && !ferror(out) ? 0 : -EIO;
}

static int write_model(const AdatSet *set, const ViewPageConfig *config, const ViewModel *model,
                       const ViewCounts *counts, FILE *out)
{
    int64_t begin = 0, end = 0;
    ViewFacts facts;

    (void)view_model_range(model, &begin, &end);
    if ((uint64_t)end - (uint64_t)begin > VIEW_RANGE_MAX)
        return -EOVERFLOW;
    find_facts(set, config, counts, &facts);
    if (begin < config->collect.from_ns) /* of what reaches into what is shown */
        begin = config->collect.from_ns;
    if (end < begin) /* there is nothing but counters' values from before */
        end = begin;
    facts.begin_realtime_ns = adat_reader_realtime(adat_set_reader(set, 0), begin);
    return write_data(model, &facts, begin, end, out);
}

int view_page_write(const AdatSet *set, const ViewPageConfig *config, FILE *out, ViewPageSummary *summary_out)
{
    ViewCounts counts;
    ViewModel model;
    int error;

    view_model_init(&model, config->items_max);
    error = view_collect(set, &config->collect, &model, &counts);
    if (!error)
        error = write_model(set, config, &model, &counts, out);
    if (!error)
        *summary_out = (ViewPageSummary){.counts = counts,
                                         .tracks = model.track_count,
                                         .items = model.added,
                                         .items_kept = model.item_count,
                                         .resolution_ns = model.resolution_ns,
                                         .left_out = model.left_out,
                                         .too_deep = model.too_deep,
                                         .texts_left_out = model.texts_left_out};
    view_model_fini(&model);
    return error;
}
