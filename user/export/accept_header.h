/* SPDX-License-Identifier: MIT */
/*
 * What a client would like to get, by its Accept header (RFC 9110, 12.5.1): media ranges with weights, as
 *
 *     application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3
 *
 * Of the ranges that an offer fits, the most specific one says its weight: a type with its subtype before a type with
 * any, that before any type, and of equal ones the one with more parameters. Parameters that offers do not have, as
 * `escaping`, rule nothing out.
 */
#ifndef ADA_EXPORT_ACCEPT_HEADER_H
#define ADA_EXPORT_ACCEPT_HEADER_H

#include <stddef.h>

/* Something that can be sent, in UTF-8. */
typedef struct MediaOffer {
    const char *type;    /* "text" */
    const char *subtype; /* "plain" */
    const char *version; /* "0.0.4" */
} MediaOffer;

/*
 * The number of the offer with the highest weight; of equal ones, that which the header names first, and then the first
 * offer. 0 as well if there is no header (NULL), if it is malformed anywhere, and if it takes none of the offers:
 * something that one did not ask for is better than nothing.
 */
size_t accept_header_choose(const char *header, const MediaOffer *offers, size_t count);

#endif
