/* SPDX-License-Identifier: MIT */
#include "user/client/preload/preload.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "user/client/preload/address.h"

static char *put_string(char *at, const char *string)
{
    while (*string)
        *at++ = *string++;
    return at;
}

static char *put_number(char *at, unsigned number, unsigned base)
{
    char digits[10];
    size_t count = 0;

    do {
        digits[count++] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number > 0);
    while (count > 0)
        *at++ = digits[--count];
    return at;
}

static char *put_ipv4(char *at, const struct sockaddr_in *address)
{
    uint32_t host = ntohl(address->sin_addr.s_addr);

    for (unsigned shift = 32; shift > 0; shift -= 8) {
        at = put_number(at, host >> (shift - 8) & 0xffu, 10);
        *at++ = shift > 8 ? '.' : ':';
    }
    return put_number(at, ntohs(address->sin_port), 10);
}

static char *put_ipv6(char *at, const struct sockaddr_in6 *address)
{
    const uint8_t *byte = address->sin6_addr.s6_addr;

    *at++ = '[';
    for (unsigned i = 0; i < 16; i += 2) {
        at = put_number(at, (unsigned)byte[i] << 8 | byte[i + 1], 16);
        *at++ = i < 14 ? ':' : ']';
    }
    *at++ = ':';
    return put_number(at, ntohs(address->sin6_port), 10);
}

/* The name may fill sun_path without a NUL; an abstract one starts with NUL and ends with the address. */
static char *put_unix(char *at, const struct sockaddr_un *address, size_t size)
{
    size_t length = size - offsetof(struct sockaddr_un, sun_path);
    bool abstract = length > 0 && address->sun_path[0] == '\0';

    if (length > sizeof(address->sun_path))
        length = sizeof(address->sun_path);
    at = put_string(at, abstract ? "unix:@" : "unix:");
    for (size_t i = abstract ? 1 : 0; i < length && (abstract || address->sun_path[i]); i++)
        *at++ = address->sun_path[i] ? address->sun_path[i] : '@';
    return at;
}

void address_format(char text[ADDRESS_TEXT_SIZE], const struct sockaddr *address, size_t size)
{
    union {
        struct sockaddr any;
        struct sockaddr_in ipv4;
        struct sockaddr_in6 ipv6;
        struct sockaddr_un local;
    } copy;
    char *end = text;

    memset(&copy, 0, sizeof(copy));
    memcpy(&copy, address, size < sizeof(copy) ? size : sizeof(copy));
    if (size >= sizeof(copy.ipv4) && copy.any.sa_family == AF_INET)
        end = put_ipv4(end, &copy.ipv4);
    else if (size >= offsetof(struct sockaddr_in6, sin6_scope_id) && copy.any.sa_family == AF_INET6)
        end = put_ipv6(end, &copy.ipv6);
    else if (size >= offsetof(struct sockaddr_un, sun_path) && copy.any.sa_family == AF_UNIX)
        end = put_unix(end, &copy.local, size);
    else
        end = put_number(put_string(end, "family "), copy.any.sa_family, 10);
    *end = '\0';
}
