#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Treats an HTTP server badly, in all ways at once, until its standard input ends.

    http_attack.py PORT

Says "ready" when all of this has begun: 1000 connections that say nothing, 64 that say a byte each now and then, some that ask
for much and take nothing, and requests without end. What the server closes is opened again.
"""

import errno
import resource
import select
import socket
import sys

IDLE, SLOW, DEAF, HUGE = 1000, 64, 8, 4
TICK_MS = 20  # between two bytes of a slow request


def connect(port, receive_buffer=None):
    connection = socket.socket()
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.setblocking(False)
    if connection.connect_ex(("127.0.0.1", port)) not in (0, errno.EINPROGRESS):
        raise OSError("nobody listens")
    return connection


def wait(descriptor, event, milliseconds):
    poll = select.poll()
    poll.register(descriptor, event)
    return poll.poll(milliseconds)


def push(connection, data):
    """Whether the connection still takes something, now or later."""
    try:
        connection.send(data)
    except BlockingIOError:
        pass
    except OSError:
        return False
    return True


def is_over(connection):
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def main():
    port = int(sys.argv[1])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    kinds = [
        [IDLE, None, b"", b""],
        [SLOW, None, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: ", b"x"],
        [DEAF, 4096, b"GET /metrics.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100,
         b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"],
        [HUGE, None, b"GET /", b"x" * 65536],
    ]
    crowds = [[None] * kind[0] for kind in kinds]
    rounds = 0
    while not wait(sys.stdin, select.POLLIN, TICK_MS if rounds else 0):
        for (_, buffer, first, more), crowd in zip(kinds, crowds):
            for i, connection in enumerate(crowd):
                if connection is None or is_over(connection) or (more and not push(connection, more)):
                    if connection:
                        connection.close()
                    try:
                        crowd[i] = connect(port, buffer)
                    except OSError:
                        crowd[i] = None
                        continue
                    wait(crowd[i], select.POLLOUT, 1000)
                    push(crowd[i], first)
        rounds += 1
        if rounds == 1:
            print("ready", flush=True)


main()
