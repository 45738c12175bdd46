/* SPDX-License-Identifier: MIT */
#include "user/drain/mark_matcher.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shared/segment_abi.h"
#include "user/base/array.h"

/* A name that rules are about. Each rule has one name, so there are at most as many as rules. */
typedef struct Subject {
    const char *name; /* in the rules */
    uint64_t events;  /* sets of rules */
    uint64_t spans;
    uint64_t fields;
} Subject;

/* How to compare the payloads of one event. */
typedef struct FieldPlan {
    uint64_t rules[ADA_EVENT_FIELDS_MAX]; /* sets of those that compare the field */
    uint8_t types[ADA_EVENT_FIELDS_MAX];
    uint32_t count; /* fields up to the last that is compared */
} FieldPlan;

struct MarkMatcher {
    const MarkRules *rules;
    double ns_per_tick;
    bool has_index_events; /* some entry of `subject_of` is not 0 */
    bool has_spans;        /* some of those have span rules */
    uint32_t subject_count;
    Subject subjects[MARK_RULES_MAX];
    FieldPlan *plans;
    size_t plan_count;
    size_t plan_capacity;
    uint8_t subject_of[ADA_EVENTS_MAX + 1]; /* by id: subject with event or span rules, from 1; 0 = none */
    uint16_t plan_of[ADA_EVENTS_MAX + 1];   /* by id: plan, from 1; 0 = none */
};
_Static_assert(MARK_RULES_MAX <= UINT8_MAX, "a subject's number fits into subject_of");
_Static_assert(ADA_EVENTS_MAX <= UINT16_MAX, "a plan's number fits into plan_of");

/* ---- relations --------------------------------------------------------------------------------- */

static unsigned relation_u64(uint64_t a, uint64_t b)
{
    if (a == b)
        return MARK_EQUAL;
    return a < b ? MARK_LESS : MARK_GREATER;
}

/* Of b to a, given that of a to b. */
static unsigned relation_reversed(unsigned relation)
{
    if (relation == MARK_LESS)
        return MARK_GREATER;
    return relation == MARK_GREATER ? MARK_LESS : relation;
}

static unsigned relation_real(double a, double b)
{
    if (a == b)
        return MARK_EQUAL;
    if (a < b)
        return MARK_LESS;
    return a > b ? MARK_GREATER : MARK_DIFFERENT;
}

static unsigned relation_integers(const MarkNumber *a, const MarkNumber *b)
{
    if (a->negative != b->negative)
        return a->negative ? MARK_LESS : MARK_GREATER;
    return a->negative ? relation_u64(b->magnitude, a->magnitude) : relation_u64(a->magnitude, b->magnitude);
}

/* Without rounding the integer to a double, which would make neighbours above 2^53 equal. */
static unsigned relation_magnitude_real(uint64_t magnitude, double real)
{
    uint64_t whole;

    if (!(real >= 0 && real < 0x1p64))
        return relation_real(0, real); /* beyond all magnitudes, or NaN */
    whole = (uint64_t)real;
    if (magnitude != whole)
        return relation_u64(magnitude, whole);
    return relation_real((double)whole, real); /* exact: `real` but for its fraction */
}

static unsigned relation_integer_real(const MarkNumber *integer, double real)
{
    if (integer->negative)
        return relation_reversed(relation_magnitude_real(integer->magnitude, -real));
    return relation_magnitude_real(integer->magnitude, real);
}

static unsigned relation_numbers(const MarkNumber *a, const MarkNumber *b)
{
    if (a->is_real)
        return b->is_real ? relation_real(a->real, b->real)
                          : relation_reversed(relation_integer_real(b, a->real));
    return b->is_real ? relation_integer_real(a, b->real) : relation_integers(a, b);
}

/* ---- what is known of the process -------------------------------------------------------------- */

/* Index of the name's subject; subject_count: it has none. */
static uint32_t find_subject(const MarkMatcher *matcher, const char *name)
{
    uint32_t i = 0;

    while (i < matcher->subject_count && strcmp(matcher->subjects[i].name, name) != 0)
        i++;
    return i;
}

static void add_rule(MarkMatcher *matcher, const MarkRule *rule, uint32_t number)
{
    uint32_t at = find_subject(matcher, rule->name);
    Subject *subject = &matcher->subjects[at];
    uint64_t *const sets[] = {
        [MARK_RULE_EVENT] = &subject->events,
        [MARK_RULE_SPAN] = &subject->spans,
        [MARK_RULE_FIELD] = &subject->fields,
    };

    subject->name = rule->name;
    *sets[rule->kind] |= UINT64_C(1) << number;
    if (at == matcher->subject_count)
        matcher->subject_count++;
}

int mark_matcher_create(const MarkRules *rules, MarkMatcher **matcher_out)
{
    MarkMatcher *matcher = calloc(1, sizeof(*matcher));

    if (matcher) {
        matcher->rules = rules;
        for (uint32_t i = 0; i < rules->count; i++) {
            if (!mark_rule_needs_kernel(&rules->items[i]))
                add_rule(matcher, &rules->items[i], i);
        }
        *matcher_out = matcher;
    }
    return matcher ? 0 : -ENOMEM;
}

void mark_matcher_destroy(MarkMatcher *matcher)
{
    if (!matcher)
        return;
    free(matcher->plans);
    free(matcher);
}

/* Of the rules in `candidates`, those that compare the field. */
static uint64_t rules_of_field(const MarkMatcher *matcher, uint64_t candidates, const AdaFieldDescriptor *field)
{
    uint64_t rules = 0;

    for (; candidates; candidates &= candidates - 1) {
        const MarkRule *rule = &matcher->rules->items[__builtin_ctzll(candidates)];

        bool comparable = field->type == ADA_TYPE_STRING ? mark_rule_compares_text(rule) : rule->is_number;

        if (comparable && strcmp(rule->field, field->name) == 0)
            rules |= candidates & -candidates;
    }
    return rules;
}

/* 0, -ENOMEM. An event none of whose fields is compared gets no plan. */
static int learn_fields(MarkMatcher *matcher, uint64_t candidates, const AdaEventDescriptor *descriptor)
{
    FieldPlan plan = {0};
    int err;

    for (uint32_t i = 0; i < descriptor->field_count; i++) {
        const AdaFieldDescriptor *field = &descriptor->fields[i];

        if (field->type == 0 || field->type >= ADA_TYPE_COUNT)
            break; /* of unknown length: nothing behind it can be found */
        plan.types[i] = field->type;
        plan.rules[i] = rules_of_field(matcher, candidates, field);
        if (plan.rules[i])
            plan.count = i + 1;
    }
    if (plan.count == 0)
        return 0;
    err = array_reserve_one(&matcher->plans, &matcher->plan_capacity, matcher->plan_count,
                            sizeof(*matcher->plans));
    if (err)
        return err;
    matcher->plans[matcher->plan_count++] = plan;
    matcher->plan_of[descriptor->id] = (uint16_t)matcher->plan_count;
    return 0;
}

int mark_matcher_learn(MarkMatcher *matcher, const AdaEventDescriptor *descriptor)
{
    uint32_t id = descriptor->id;
    uint32_t at = find_subject(matcher, descriptor->name);
    const Subject *subject = &matcher->subjects[at];
    int err;

    if (at == matcher->subject_count || id == 0 || id > ADA_EVENTS_MAX || matcher->subject_of[id] != 0 ||
        matcher->plan_of[id] != 0)
        return 0;
    err = learn_fields(matcher, subject->fields, descriptor);
    if (err)
        return err;
    if (subject->events || subject->spans) {
        matcher->subject_of[id] = (uint8_t)(at + 1);
        matcher->has_index_events = true;
        matcher->has_spans = matcher->has_spans || subject->spans;
    }
    return 0;
}

bool mark_matcher_wants_details(const MarkMatcher *matcher)
{
    return matcher->plan_count > 0;
}

bool mark_matcher_wants_index(const MarkMatcher *matcher)
{
    return matcher->has_index_events;
}

void mark_matcher_set_rate(MarkMatcher *matcher, double ns_per_tick)
{
    matcher->ns_per_tick = ns_per_tick;
}

/* ---- index events ------------------------------------------------------------------------------ */

void mark_thread_init(MarkThread *thread)
{
    thread->next_record = 0;
    thread->judged_from = 0;
    thread->open_count = 0;
    thread->open_depth = 0;
}

void mark_thread_lost(MarkThread *thread, uint64_t now)
{
    thread->judged_from = now;
}

/* Leaves the first `count` open spans. */
static void set_open_count(MarkThread *thread, uint32_t count)
{
    thread->open_count = count;
    thread->open_depth = count ? thread->open[count - 1].depth + 1u : 0;
}

/* The span rules that mean a span from `span` to `end`. */
static uint64_t judge_span(const MarkMatcher *matcher, const MarkThread *thread, const MarkSpan *span,
                           const AdaIndexEvent *end)
{
    uint64_t candidates = matcher->subjects[span->subject - 1].spans;
    uint64_t rules = 0;
    double ns;

    if (span->begun_at < thread->judged_from || end->timestamp < span->begun_at || !(matcher->ns_per_tick > 0))
        return 0;
    ns = (double)(end->timestamp - span->begun_at) * matcher->ns_per_tick;
    for (; candidates; candidates &= candidates - 1) {
        const MarkRule *rule = &matcher->rules->items[__builtin_ctzll(candidates)];

        if (rule->relations & relation_real(ns, (double)rule->duration_ns))
            rules |= candidates & -candidates;
    }
    return rules;
}

/* Closes what an event ends, or proves to be over. Returns the rules that mean the span that it ends. */
static uint64_t close_spans(const MarkMatcher *matcher, MarkThread *thread, const AdaIndexEvent *event,
                            uint32_t subject)
{
    uint32_t depth = ADA_WORD_DEPTH(event->word);
    uint32_t count = thread->open_count;
    uint64_t rules = 0;

    while (count > 0 && thread->open[count - 1].depth > depth)
        count--;
    if (count > 0 && thread->open[count - 1].depth == depth) {
        count--;
        if (ADA_WORD_KIND(event->word) == ADA_KIND_SPAN_END && thread->open[count].subject == subject)
            rules = judge_span(matcher, thread, &thread->open[count], event);
    }
    set_open_count(thread, count);
    return rules;
}

/* After close_spans(), so that all that are open are less deep. */
static void open_span(MarkThread *thread, const AdaIndexEvent *event, uint32_t subject)
{
    uint32_t depth = ADA_WORD_DEPTH(event->word);

    /* The greatest depth stands for all beyond it. */
    if (thread->open_count == MARK_SPANS_MAX || depth == UINT16_MAX)
        return;
    thread->open[thread->open_count] = (MarkSpan){
        .begun_at = event->timestamp,
        .depth = (uint16_t)depth,
        .subject = (uint8_t)subject,
    };
    set_open_count(thread, thread->open_count + 1);
}

/* An event that has rules, or happened no deeper than an open span. Returns the rules that mean it. */
__attribute__((noinline)) static uint64_t look_at_event(const MarkMatcher *matcher, MarkThread *thread,
                                                        const AdaIndexEvent *event)
{
    uint32_t kind = ADA_WORD_KIND(event->word);
    uint32_t number = 0;
    const Subject *subject;
    uint64_t rules;

    /* Ids of functions are addresses. */
    if (kind >= ADA_KIND_SPAN_BEGIN && kind < ADA_KIND_COUNT && event->id <= ADA_EVENTS_MAX)
        number = matcher->subject_of[event->id];
    rules = close_spans(matcher, thread, event, number);
    if (number == 0 || kind == ADA_KIND_SPAN_END)
        return rules;
    subject = &matcher->subjects[number - 1];
    if (kind == ADA_KIND_SPAN_BEGIN && subject->spans)
        open_span(thread, event, number);
    return subject->events;
}

/* Whether look_at_event() would change or return anything: the cost of all events that have no rules. */
static inline bool may_concern(const MarkMatcher *matcher, const MarkThread *thread, const char *event)
{
    uint64_t id;
    uint32_t word;

    memcpy(&id, event + offsetof(AdaIndexEvent, id), sizeof(id));
    memcpy(&word, event + offsetof(AdaIndexEvent, word), sizeof(word));
    return ADA_WORD_DEPTH(word) < thread->open_depth || (id <= ADA_EVENTS_MAX && matcher->subject_of[id] != 0);
}

bool mark_matcher_scan_index(const MarkMatcher *matcher, MarkThread *thread, const void *events,
                             uint32_t count, uint64_t first_record, MarkHit *hit_out)
{
    const char *next = events;
    bool hit = false;

    if (first_record != thread->next_record)
        set_open_count(thread, 0);
    thread->next_record = first_record + count;
    if (!matcher->has_index_events)
        return false;
    for (uint32_t i = 0; i < count; i++, next += ADA_INDEX_EVENT_SIZE) {
        AdaIndexEvent event;
        uint64_t rules;

        if (__builtin_expect(!may_concern(matcher, thread, next), 1))
            continue;
        memcpy(&event, next, sizeof(event));
        rules = look_at_event(matcher, thread, &event);
        if (!rules || hit)
            continue;
        *hit_out = (MarkHit){
            .rule = (uint32_t)__builtin_ctzll(rules),
            .timestamp = event.timestamp,
            .record = first_record + i,
        };
        hit = true;
        if (!matcher->has_spans)
            break; /* nothing that the rest could change */
    }
    return hit;
}

/* ---- detail records ---------------------------------------------------------------------------- */

/* One field of a payload. */
typedef struct Field {
    MarkNumber number;
    const char *text; /* strings; else NULL */
    uint32_t text_size;
} Field;

static MarkNumber number_of(uint32_t type, uint64_t bits)
{
    MarkNumber number = {.magnitude = bits};

    if (type == ADA_TYPE_F64) {
        number.is_real = true;
        memcpy(&number.real, &bits, sizeof(number.real));
    } else if (type == ADA_TYPE_I64 && (int64_t)bits < 0) {
        number.negative = true;
        number.magnitude = -bits;
    }
    return number;
}

/* Bytes that the field at `bytes` takes; 0: it does not fit into `left`. */
static size_t read_field(uint32_t type, const char *bytes, size_t left, Field *field)
{
    uint64_t bits;
    uint32_t size;
    size_t used;

    if (type != ADA_TYPE_STRING) {
        if (left < sizeof(bits))
            return 0;
        memcpy(&bits, bytes, sizeof(bits));
        *field = (Field){.number = number_of(type, bits)};
        return sizeof(bits);
    }
    if (left < sizeof(size))
        return 0;
    memcpy(&size, bytes, sizeof(size));
    if (size > left - sizeof(size))
        return 0;
    *field = (Field){.text = bytes + sizeof(size), .text_size = size};
    used = (sizeof(size) + size + 7) & ~(size_t)7;
    return used < left ? used : left; /* the padding after the last string may be missing */
}

static unsigned relation_to_value(const Field *field, const MarkRule *rule)
{
    if (!field->text)
        return relation_numbers(&field->number, &rule->number);
    if (field->text_size == rule->value_size && memcmp(field->text, rule->value, rule->value_size) == 0)
        return MARK_EQUAL;
    return MARK_DIFFERENT;
}

/* The rules that mean a detail record with this payload. */
static uint64_t compare_fields(const MarkMatcher *matcher, const FieldPlan *plan, const char *payload,
                               size_t left)
{
    uint64_t rules = 0;

    for (uint32_t i = 0; i < plan->count; i++) {
        uint64_t candidates = plan->rules[i];
        Field field;
        size_t used = read_field(plan->types[i], payload, left, &field);

        if (used == 0)
            break;
        for (; candidates; candidates &= candidates - 1) {
            const MarkRule *rule = &matcher->rules->items[__builtin_ctzll(candidates)];

            if (rule->relations & relation_to_value(&field, rule))
                rules |= candidates & -candidates;
        }
        payload += used;
        left -= used;
    }
    return rules;
}

/* The rules that mean the record, whose payload was found to be there. */
static uint64_t look_at_detail(const MarkMatcher *matcher, const AdaDetailRecord *record, const char *payload)
{
    uint32_t kind = ADA_WORD_KIND(record->word);
    uint32_t plan;

    if (record->id > ADA_EVENTS_MAX || kind < ADA_KIND_SPAN_BEGIN || kind >= ADA_KIND_COUNT)
        return 0;
    plan = matcher->plan_of[record->id];
    return plan ? compare_fields(matcher, &matcher->plans[plan - 1], payload, record->payload_size) : 0;
}

bool mark_matcher_scan_details(const MarkMatcher *matcher, const void *records, size_t bytes,
                               uint64_t first_record, MarkHit *hit_out)
{
    const char *next = records;

    if (matcher->plan_count == 0)
        return false;
    while (bytes >= ADA_DETAIL_HEADER_SIZE) {
        AdaDetailRecord record;
        uint64_t rules;
        size_t size;

        memcpy(&record, next, sizeof(record));
        if (record.payload_size > ADA_PAYLOAD_MAX)
            break;
        size = ADA_DETAIL_RECORD_SIZE(record.payload_size);
        if (size > bytes)
            break;
        rules = look_at_detail(matcher, &record, next + ADA_DETAIL_HEADER_SIZE);
        if (rules) {
            *hit_out = (MarkHit){
                .rule = (uint32_t)__builtin_ctzll(rules),
                .timestamp = record.timestamp,
                .record = first_record,
            };
            return true;
        }
        next += size;
        bytes -= size;
        first_record++;
    }
    return false;
}
