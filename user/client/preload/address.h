/* SPDX-License-Identifier: MIT */
/*
 * Socket addresses as text. inet_ntop() and snprintf() are not for signal handlers, connect() is.
 */
#ifndef ADA_CLIENT_PRELOAD_ADDRESS_H
#define ADA_CLIENT_PRELOAD_ADDRESS_H

#include <stddef.h>
#include <sys/socket.h>

/* "unix:@" + 107 bytes of an abstract name + NUL is the longest. */
#define ADDRESS_TEXT_SIZE 128u

/*
 * Writes `192.0.2.1:80`, `[2001:db8:0:0:0:0:0:1]:80`, `unix:/run/x.sock`, `unix:@abstract` or `family 16`,
 * NUL-terminated. `size` is the length of the address as the program gave it.
 */
void address_format(char text[ADDRESS_TEXT_SIZE], const struct sockaddr *address, size_t size);

#endif
