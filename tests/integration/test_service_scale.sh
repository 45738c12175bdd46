#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# adatraced with many processes, that come and go, and with many that do nothing.
#   test_service_scale.sh OUT_DIR SOURCE_DIR
. "$(dirname "$0")/support.sh"

if [ ! -x "$out/adatraced" ]; then
    echo "SKIP test_service_scale: built without inih or cJSON"
    exit 77
fi
. "$(dirname "$0")/service.sh"
a=$out/adatrace
if [ -n "${ADA_SANITIZE:-}" ]; then
    many=20 threads=4 rounds=2 idle=30
else
    many=200 threads=16 rounds=5 idle=100
fi
quiet=qui$$
ln -s "$out/tests/prog_quiet" "$work/$quiet"
mkfifo "$work/hold"
exec 6<>"$work/hold"

# begin NUMBER: processes that record 10 events with each thread, and wait
begin() {
    local i
    for ((i = 0; i < $1; i++)); do
        "$work/$quiet" "$threads" 10 <"$work/hold" >/dev/null 2>&1 &
        running+=($!)
        begun=$((begun + 1))
    done
}

# end NUMBER: the oldest of them
end() {
    kill -KILL "${running[@]:0:$1}"
    wait "${running[@]:0:$1}" 2>/dev/null
    running=("${running[@]:$1}")
}

figures() {
    ADATRACE_CONTROL=$work/control.sock "$a" list --json |
        jq -c '.sessions[0] | [.processes_alive, .events.in_file, .events.attempted]'
}

# shows ALIVE EVENTS: waits until so many are recorded, and so many events are in the files
shows() {
    await "$1 processes, $2 events" shows_now "[$1,$2,$2]" || { figures; return 1; }
}

shows_now() {
    [ "$(figures)" = "$1" ]
}

descriptors() {
    find "/proc/$service/fd" -type l | wc -l
}

has_descriptors() {
    [ "$(descriptors)" -le "$1" ]
}

comes_and_goes() {
    local running=() begun=0 base
    configure '[session one]' "attach = name=$quiet" 'max_total = off'
    launch || return 1
    base=$(descriptors)
    begin $many
    shows $many $((begun * threads * 10)) || return 1
    for _ in $(seq $rounds); do
        end 50
        begin 50
        shows $many $((begun * threads * 10)) || return 1
    done
    end $many
    shows 0 $((begun * threads * 10)) || return 1
    await "$base descriptors" has_descriptors "$base" || { descriptors; return 1; }
    terminate || return 1
    verify "$work/traces/one/trace-000001.adat" || return 1
    rm -r "$work/traces"
}
[ $many -ge 50 ] || many=60
check "$many processes of $threads threads come and go: all of each, and nothing stays" comes_and_goes

switches() {
    cat "/proc/$service"/task/*/status | awk '/^voluntary_ctxt/ { sum += $2 } END { print sum }'
}

# Wakes with housekeeping: once in four seconds each, the drain and who looks after processes; all else that starts programs here counts, too.
is_quiet() {
    local running=() begun=0 before memory limit=30
    [ "${ADA_SANITIZE:-}" != thread ] || limit=200 # its runtime has a thread that wakes ten times a second
    configure '[session one]' "attach = pid=PIDS"
    threads=1 begin $idle
    sed -i "s/PIDS/$(IFS=,; echo "${running[*]}")/" "$conf"
    launch || return 1
    shows $idle $((idle * 10)) || return 1
    read -r -t 8 <>"$work/pause" # until it is calm
    before=$(switches)
    read -r -t 10 <>"$work/pause"
    before=$(($(switches) - before))
    [ $before -le $limit ] || { echo "$before wake-ups in 10 s"; return 1; }
    memory=$(awk '/^RssAnon/ { sum += $2 } /^RssFile/ { sum += $2 } END { print sum }' "/proc/$service/status")
    [ -n "${ADA_SANITIZE:-}" ] || [ "$memory" -le 30720 ] || { echo "$memory KiB"; return 1; }
    end $idle
    terminate || return 1
    rm -r "$work/traces"
}
check "$idle processes that do nothing: few wake-ups, 30 MB at most" is_quiet
exit $failed
