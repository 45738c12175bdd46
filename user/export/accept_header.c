/* SPDX-License-Identifier: MIT */
#include "user/export/accept_header.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#define BLANK " \t"
#define TOKEN "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define WEIGHT_ONE 1000u

/* A part of the header; at == NULL: it is not there. */
typedef struct Part {
    const char *at;
    size_t size;
} Part;

/* One media range with its parameters. */
typedef struct Range {
    Part type;
    Part subtype;
    Part version;
    Part charset;
    Part weight_text;
    uint32_t weight; /* thousandths */
} Range;

/* How an offer fares. */
typedef struct Standing {
    uint32_t weight;      /* 0: it is not taken */
    uint32_t specificity; /* of the range that said so; 0: none did */
    size_t position;      /* of that range in the header */
} Standing;

static bool is_same(Part part, const char *text)
{
    return part.size == strlen(text) && strncasecmp(part.at, text, part.size) == 0;
}

/* ---- syntax: each moves *at over what it takes; false: it is something else ---------------------- */

static void skip_blanks(const char **at)
{
    *at += strspn(*at, BLANK);
}

static bool take(const char **at, char wanted)
{
    if (**at != wanted)
        return false;
    ++*at;
    return true;
}

static bool take_token(const char **at, Part *token_out)
{
    *token_out = (Part){.at = *at, .size = strspn(*at, TOKEN)};
    *at += token_out->size;
    return token_out->size > 0;
}

/* A quoted value is what is between its quotes; one with escapes in it equals nothing that is offered. */
static bool take_value(const char **at, Part *value_out)
{
    const char *begin;

    if (!take(at, '"'))
        return take_token(at, value_out);
    begin = *at;
    while (**at != '"') {
        if (**at == '\\')
            ++*at;
        if (**at == '\0')
            return false;
        ++*at;
    }
    *value_out = (Part){.at = begin, .size = (size_t)(*at - begin)};
    ++*at;
    return true;
}

/* 0, 0.25, 1, 1.000: three digits at most. */
static bool parse_weight(Part text, uint32_t *weight_out)
{
    uint32_t weight = 0, unit = WEIGHT_ONE;

    if (text.size > 5 || (text.at[0] != '0' && text.at[0] != '1') || (text.size > 1 && text.at[1] != '.'))
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (i == 1)
            continue;
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        weight += (uint32_t)(text.at[i] - '0') * unit;
        unit /= 10;
    }
    *weight_out = weight;
    return weight <= WEIGHT_ONE;
}

/* `name=value`, of which some matter, and may be there once. */
static bool take_parameter(const char **at, Range *range)
{
    Part name, value, *kept;

    if (!take_token(at, &name) || !take(at, '=') || !take_value(at, &value))
        return false;
    if (is_same(name, "q"))
        kept = &range->weight_text;
    else if (is_same(name, "version"))
        kept = &range->version;
    else if (is_same(name, "charset"))
        kept = &range->charset;
    else
        return true;
    if (kept->at)
        return false;
    *kept = value;
    return true;
}

static bool take_range(const char **at, Range *range_out)
{
    Range range = {.weight = WEIGHT_ONE};

    if (!take_token(at, &range.type) || !take(at, '/') || !take_token(at, &range.subtype))
        return false;
    if (is_same(range.type, "*") && !is_same(range.subtype, "*"))
        return false;
    for (;;) {
        skip_blanks(at);
        if (!take(at, ';'))
            break;
        skip_blanks(at);
        if (**at != ';' && **at != ',' && **at != '\0' && !take_parameter(at, &range))
            return false;
    }
    *range_out = range;
    return !range.weight_text.at || parse_weight(range.weight_text, &range_out->weight);
}

/* ---- choice ------------------------------------------------------------------------------------- */

/* 0: the offer does not fit; else the more, the closer. */
static uint32_t specificity_for(const Range *range, const MediaOffer *offer)
{
    uint32_t parameters = (range->version.at ? 1u : 0u) + (range->charset.at ? 1u : 0u);

    if (range->version.at && !is_same(range->version, offer->version))
        return 0;
    if (range->charset.at && !is_same(range->charset, "utf-8"))
        return 0;
    if (is_same(range->type, "*"))
        return 1 + parameters;
    if (!is_same(range->type, offer->type))
        return 0;
    if (is_same(range->subtype, "*"))
        return 4 + parameters;
    return is_same(range->subtype, offer->subtype) ? 7 + parameters : 0;
}

/* False: the header is malformed. */
static bool stand(const char *header, const MediaOffer *offer, Standing *standing_out)
{
    Standing standing = {0};
    const char *at = header;

    for (;;) {
        uint32_t specificity;
        size_t position;
        Range range;

        at += strspn(at, BLANK ","); /* elements of a list may be empty */
        if (*at == '\0')
            break;
        position = (size_t)(at - header);
        if (!take_range(&at, &range) || (*at != ',' && *at != '\0'))
            return false;
        specificity = specificity_for(&range, offer);
        if (specificity > standing.specificity)
            standing = (Standing){.weight = range.weight, .specificity = specificity, .position = position};
    }
    *standing_out = standing;
    return true;
}

size_t accept_header_choose(const char *header, const MediaOffer *offers, size_t count)
{
    Standing best = {0};
    size_t chosen = 0;

    for (size_t i = 0; i < count && header; i++) {
        Standing standing;

        if (!stand(header, &offers[i], &standing))
            return 0;
        if (standing.weight > best.weight ||
            (standing.weight > 0 && standing.weight == best.weight && standing.position < best.position)) {
            best = standing;
            chosen = i;
        }
    }
    return chosen;
}
