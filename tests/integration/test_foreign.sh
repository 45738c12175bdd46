#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Programs that know nothing of adatrace, as the kernel sees them: a real server under a real load.
#   test_foreign.sh OUT_DIR SOURCE_DIR
. "$(dirname "$0")/support.sh"

a=$out/adatrace
requests=20000
[ -z "${ADA_SANITIZE:-}" ] || requests=3000

if ! command -v redis-server >/dev/null || ! command -v redis-benchmark >/dev/null; then
    echo "SKIP programs that know nothing of adatrace: no redis-server (tools/setup --test)"
    exit 77
fi
record "$work/t.adat" -- "$out/tests/prog_load" 1 1
if [ "$(summary .kernel.enabled)" != true ]; then
    echo "SKIP programs that know nothing of adatrace: kernel assistance is off: $(summary .kernel.reason)"
    exit 77
fi

server=''
collector=''

# Ends what is left, also after a failure.
end_all() {
    [ -z "$collector" ] || kill -KILL "$collector"
    [ -z "$server" ] || kill -KILL "$server"
    wait
    rm -rf "$work"
} 2>/dev/null
trap end_all EXIT

ask() {
    redis-cli -s "$work/server/sock" "$@"
}

# As another user than the recorder's.
start_server() {
    mkdir "$work/server"
    chown 65534 "$work/server"
    chmod 711 "$work"
    setpriv --reuid=65534 --regid=65534 --clear-groups redis-server --port 0 --unixsocket "$work/server/sock" --save '' --appendonly no --io-threads 2 --dir "$work/server" >"$work/redis.log" 2>&1 &
    server=$!
    until [ "$(ask ping 2>/dev/null)" = PONG ]; do
        kill -0 $server || { cat "$work/redis.log"; return 1; }
    done
}

# attach OPTION...: until something of the process is in the file; $rights: what it runs under
rights=()
attach() {
    rm -f "$work/t.adat"
    "${rights[@]}" "$a" attach --json -p "$server" -o "$work/t.adat" "$@" 2>"$work/stderr" &
    collector=$!
    until [ "$("$a" info --json "$work/t.adat" 2>/dev/null | jq '[.threads[].events.in_file] | add // 0')" -gt 0 ] 2>/dev/null; do
        kill -0 $collector || { cat "$work/stderr"; return 1; }
        ask ping >/dev/null
    done
}

detach() {
    local status
    kill -INT $collector
    wait $collector
    status=$?
    collector=''
    tail -n 1 "$work/stderr" >"$work/summary.json"
    equal $status 0 || { cat "$work/stderr"; return 1; }
}

# Stops all threads of the server, and waits until they have left their CPUs, which is a little after they are said to have stopped.
freeze() {
    local seen
    kill -STOP $server
    while grep -L '^State:.T' /proc/$server/task/*/status | grep . >/dev/null; do :; done
    until seen=$(count_switches) && [ "$seen" = "$(count_switches)" ]; do :; done
}

# For each thread: its id, and how often it left its CPU.
count_switches() {
    for status in /proc/$server/task/*/status; do
        awk '$1 == "Pid:" { pid = $2 } $1 ~ /voluntary_ctxt_switches:/ { sum += $2 } END { print pid, sum }' "$status"
    done | sort
}

# How often all its threads called the kernel to read, and to write.
count_calls() {
    awk '$1 == "syscr:" || $1 == "syscw:" { print $1, $2 }' /proc/$server/io | sort
}

# under_load COUNT OPTION...: the server under a load while it is recorded, stopped at both ends: what COUNT says then is in
# $work/before and $work/after, what happened in between in $work/window. It has to go on as before.
under_load() {
    local count=$1 from to
    shift
    attach "$@" || return 1
    freeze
    $count >"$work/before"
    from=$(date +%s%N)
    kill -CONT $server
    redis-benchmark -s "$work/server/sock" -n $requests -q -t set,get >"$work/benchmark" || { cat "$work/benchmark"; return 1; }
    freeze
    to=$(date +%s%N)
    $count >"$work/after"
    detach || return 1
    kill -CONT $server
    equal "$(ask ping)" PONG || return 1
    verify "$work/t.adat" || return 1
    equal "$(summary '[.events.attempted - .events.in_file, .kernel.sched_lost] | @csv')" 0,0 || return 1
    "$a" dump --json "$work/t.adat" | jq -c "select(.ts_ns > $from and .ts_ns < $to)" >"$work/window"
}

# Every switch that the kernel counts in /proc is in the trace, of the same thread.
switches_are_those_of_proc() {
    under_load count_switches --sched || return 1
    # Threads that were born meanwhile had none before.
    join -a 2 -e 0 -o 0,1.2,2.2 "$work/before" "$work/after" | awk '$3 > $2 { print $1, $3 - $2 }' >"$work/expected"
    jq -r 'select(.name == "sched.switch_out") | .tid' "$work/window" | sort | uniq -c | awk '{ print $2, $1 }' >"$work/got"
    diff "$work/expected" "$work/got" && [ "$(awk '{ sum += $2 } END { print (sum > 500) }' "$work/expected")" = 1 ]
}

# And as many system calls as it counts in /proc/PID/io.
calls_are_those_of_proc() {
    under_load count_calls --syscalls='read,readv,pread*,write,writev,pwrite*' || return 1
    join "$work/before" "$work/after" | awk '{ print $1, $3 - $2 }' >"$work/expected"
    jq -r 'select(.kind == "span_end") | .name' "$work/window" |
        awk '/read/ { r++ } /write/ { w++ } END { print "syscr:", r + 0; print "syscw:", w + 0 }' >"$work/got"
    diff "$work/expected" "$work/got" && [ "$(awk '$2 > 1000' "$work/expected" | wc -l)" = 2 ]
}

# With these capabilities and no others, of a server that is another user's: for BPF programs, those of tracing among them, and to look
# at somebody else's process, and into its directories in /proc.
least_rights() {
    rights=(setpriv --bounding-set "-all,+bpf,+perfmon,+sys_ptrace,+dac_read_search")
    equal "$("${rights[@]}" grep CapEff /proc/self/status | tr -d '\t')" "CapEff:000000c000080004" || return 1
    switches_are_those_of_proc
    local status=$?
    rights=()
    return $status
}

# Files may be 1 MiB at most, which a segment for what the kernel tells is not: every record counts as lost.
no_room_for_a_segment() {
    rm -f "$work/x.adat"
    (ulimit -f 1024 && "$a" attach -p $server --sched --json --duration 1 -o "$work/x.adat" 2>"$work/summary.json") || return 1
    verify "$work/x.adat" || return 1
    equal "$(summary '[.events.in_file, .kernel.sched_lost > 0, .kernel.sched_lost == .kernel.sched_attempted] | @csv')" 0,true,true
}

not_without_sched() {
    rm -f "$work/x.adat"
    wrong 1 "does not use libadatrace" "$a" attach -p $server -o "$work/x.adat"
}

start_server || exit 1
check "a server under load: every switch that /proc counts is in the trace" switches_are_those_of_proc
check "every read and write that /proc counts is in the trace" calls_are_those_of_proc
check "attached again" switches_are_those_of_proc
check "with CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH alone" least_rights
check "without room for a segment every record counts as lost" no_room_for_a_segment
check "not without --sched" not_without_sched
exit $failed
