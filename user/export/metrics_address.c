/* SPDX-License-Identifier: MIT */
#include "user/export/metrics_address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "user/base/parse.h"

static MetricsAddress address_v4(struct in_addr ip, uint64_t port)
{
    MetricsAddress address = {.size = sizeof(struct sockaddr_in)};
    struct sockaddr_in socket = {.sin_family = AF_INET, .sin_addr = ip, .sin_port = htons((uint16_t)port)};

    memcpy(&address.socket, &socket, sizeof(socket));
    return address;
}

static MetricsAddress address_v6(struct in6_addr ip, uint64_t port)
{
    MetricsAddress address = {.size = sizeof(struct sockaddr_in6)};
    struct sockaddr_in6 socket = {.sin6_family = AF_INET6, .sin6_addr = ip, .sin6_port = htons((uint16_t)port)};

    memcpy(&address.socket, &socket, sizeof(socket));
    return address;
}

int metrics_address_parse(const char *text, MetricsAddress *address_out)
{
    const char *colon = strrchr(text, ':');
    char host[METRICS_ADDRESS_TEXT];
    struct in6_addr v6;
    struct in_addr v4 = {.s_addr = htonl(INADDR_LOOPBACK)};
    size_t length;
    uint64_t port;

    if (parse_u64(colon ? colon + 1 : text, 0, UINT16_MAX, &port) != 0)
        return -EINVAL;
    if (!colon) {
        *address_out = address_v4(v4, port);
        return 0;
    }
    length = (size_t)(colon - text);
    if (length == 0 || length >= sizeof(host))
        return -EINVAL;
    memcpy(host, text, length);
    host[length] = '\0';
    if (host[0] == '[' && host[length - 1] == ']') {
        host[length - 1] = '\0';
        if (inet_pton(AF_INET6, host + 1, &v6) != 1)
            return -EINVAL;
        *address_out = address_v6(v6, port);
        return 0;
    }
    if (inet_pton(AF_INET, host, &v4) != 1)
        return -EINVAL;
    *address_out = address_v4(v4, port);
    return 0;
}

bool metrics_address_is_loopback(const MetricsAddress *address)
{
    if (address->socket.ss_family == AF_INET6) {
        struct sockaddr_in6 socket;

        memcpy(&socket, &address->socket, sizeof(socket));
        return IN6_IS_ADDR_LOOPBACK(&socket.sin6_addr);
    } else {
        struct sockaddr_in socket;

        memcpy(&socket, &address->socket, sizeof(socket));
        return (ntohl(socket.sin_addr.s_addr) >> 24) == 127;
    }
}

void metrics_address_format(const MetricsAddress *address, char text[METRICS_ADDRESS_TEXT])
{
    char ip[INET6_ADDRSTRLEN] = "";

    if (address->socket.ss_family == AF_INET6) {
        struct sockaddr_in6 socket;

        memcpy(&socket, &address->socket, sizeof(socket));
        (void)inet_ntop(AF_INET6, &socket.sin6_addr, ip, sizeof(ip));
        (void)snprintf(text, METRICS_ADDRESS_TEXT, "[%s]:%u", ip, ntohs(socket.sin6_port));
    } else {
        struct sockaddr_in socket;

        memcpy(&socket, &address->socket, sizeof(socket));
        (void)inet_ntop(AF_INET, &socket.sin_addr, ip, sizeof(ip));
        (void)snprintf(text, METRICS_ADDRESS_TEXT, "%s:%u", ip, ntohs(socket.sin_port));
    }
}
