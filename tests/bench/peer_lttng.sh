#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Runs PROGRAM within an LTTng session that persists its events: discard mode, 8 x 1 MiB.
#
#   peer_lttng.sh DIRECTORY PROGRAM [ARGUMENT...]
#
# What the program prints goes to stdout; the session's loss to stderr as "events N discarded N". The session
# daemon is our own (a running one is used as it is); the trace is deleted.
set -euo pipefail

directory=$(mktemp -d "$1/lttng-XXXXXX")
shift
export LTTNG_HOME=$directory
session=ada-bench-$$
daemon=

cleanup() {
    lttng destroy "$session" >/dev/null 2>&1 || true
    if [ -n "$daemon" ]; then
        kill "$daemon" 2>/dev/null || true
        wait "$daemon" 2>/dev/null || true
    fi
    rm -rf "$directory"
}
trap cleanup EXIT

if ! lttng list >/dev/null 2>&1; then
    # The daemon says by SIGUSR1 that it is ready for clients.
    mkfifo "$directory/ready"
    exec 9<>"$directory/ready"
    trap 'echo ready >&9' USR1
    taskset -c 1 lttng-sessiond --no-kernel --sig-parent >"$directory/sessiond.log" 2>&1 &
    daemon=$!
    until read -r -t 10 -u 9; do
        kill -0 "$daemon" 2>/dev/null || { cat "$directory/sessiond.log" >&2; exit 1; }
    done
fi

{
    lttng create "$session" --output="$directory/trace"
    lttng enable-channel --userspace --session="$session" --discard --subbuf-size=1M --num-subbuf=8 events
    lttng enable-event --userspace --session="$session" --channel=events ada_bench:event
    lttng start "$session"
} >"$directory/lttng.log" 2>&1 || { cat "$directory/lttng.log" >&2; exit 1; }

LTTNG_UST_REGISTER_TIMEOUT=-1 "$@"

lttng stop "$session" >/dev/null 2>&1
lttng --mi=xml list "$session" | sed -n 's/.*<discarded_events>\([0-9]*\)<.*/discarded \1/p' >&2
du -sb "$directory/trace" | awk '{print "bytes " $1}' >&2
