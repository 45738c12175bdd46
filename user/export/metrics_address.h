/* SPDX-License-Identifier: MIT */
/* Where metrics are served. */
#ifndef ADA_EXPORT_METRICS_ADDRESS_H
#define ADA_EXPORT_METRICS_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

#define METRICS_ADDRESS_TEXT 64u

typedef struct MetricsAddress {
    struct sockaddr_storage socket;
    socklen_t size;
} MetricsAddress;

/*
 * "PORT" is on loopback; "ADDRESS:PORT", "[IPv6]:PORT". Numbers only, no names; port 0: one that is free. -EINVAL: it is
 * none of these; *address_out is untouched.
 */
int metrics_address_parse(const char *text, MetricsAddress *address_out);

/* Whether only programs on this machine reach it. */
bool metrics_address_is_loopback(const MetricsAddress *address);

/* "127.0.0.1:9900", "[::1]:9900". */
void metrics_address_format(const MetricsAddress *address, char text[METRICS_ADDRESS_TEXT]);

#endif
