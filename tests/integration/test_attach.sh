#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# adatrace attach: real programs that run already, collectors that come, go and are killed.
#   test_attach.sh OUT_DIR SOURCE_DIR
. "$(dirname "$0")/support.sh"

a=$out/adatrace
if [ -n "${ADA_SANITIZE:-}" ]; then
    cycles=5 kills=4
else
    cycles=20 kills=12
fi

# ---- the program ---------------------------------------------------------------------------------

# run COMMAND...: in the background, with pipes to and from it; $pid, ask(). (A coproc's are closed in subshells.)
run() {
    rm -f "$work/in" "$work/out"
    mkfifo "$work/in" "$work/out"
    "$@" <"$work/in" >"$work/out" &
    pid=$!
    exec 8>"$work/in" 9<"$work/out"
    ask counts >/dev/null # it is there: its library is loaded
}

# start [PROGRAM-ARGUMENT]...: prog_attach
start() {
    run "$out/tests/prog_attach" "$@"
}

# ask ORDER...: its answer
ask() {
    local answer
    echo "$*" >&8 && read -r -t 60 answer <&9 || { echo "no answer to '$*'"; return 1; }
    echo "$answer"
}

# stop: the end of its input is the end of the program
stop() {
    exec 8>&- 9<&-
    wait "$pid"
}

count() {
    ask counts | jq "$1"
}

# attach FILE [OPTION]...: in the background, $collector; recording when this returns. The summary goes to FILE.json.
attach() {
    local file=$1
    shift
    rm -f "$file"
    "$a" attach --json -p "$pid" -o "$file" "$@" 2>"$file.json" 8>&- 9<&- &
    collector=$!
    equal "$(ask on)" ok || { cat "$file.json"; return 1; }
}

# sweep FILE: what was begun when the gate was last shut; the program rests.
sweep() {
    equal "$(ask pause)" ok || return 1
    rm -f "$1"
    "$a" attach --json -p "$pid" -o "$1" --duration 20ms 2>"$1.json" || { cat "$1.json"; return 1; }
    verify "$1"
}

detach() {
    kill -INT "$collector"
    wait "$collector" || { echo "status $?"; return 1; }
    equal "$(ask off)" ok
}

of() {
    tail -n 1 "$1.json" | jq -r "$2"
}

# waits until a file has as many bytes.
grown() {
    until [ "$(stat -c %s "$1" 2>/dev/null || echo 0)" -gt "$2" ]; do
        kill -0 "$collector" || { echo "the collector ended"; return 1; }
    done
}

# ---- exactly what the program did ----------------------------------------------------------------

one_window() {
    local laps
    start 4 "$@"
    equal "$(count .emitted)" 0 || return 1
    attach "$work/t.adat" || return 1
    grown "$work/t.adat" 300000 || return 1
    equal "$(ask pause)" ok || return 1
    detach || return 1
    equal "$(of "$work/t.adat" .events.attempted)" "$(count '.emitted + .refused')" || return 1
    equal "$(of "$work/t.adat" .events.in_file)" "$(count .emitted)" || return 1
    equal "$(of "$work/t.adat" '.processes[0].end, .exit_status')" "$(printf 'detached\nnull')" || return 1
    verify "$work/t.adat" || return 1
    equal "$("$out/tests/check_attach" "$work/t.adat" | jq '[.events, .repeated]' -c)" "[$(count .emitted),0]" || return 1
    # It goes on, and records nothing.
    laps=$(count .laps)
    equal "$(ask go)" ok || return 1
    until [ "$(count .laps)" -gt "$laps" ]; do :; done
    equal "$(of "$work/t.adat" .events.attempted)" "$(count '.emitted + .refused')" || return 1
    stop
}

# Comes and goes while threads record flat out: each event is in one account, and all are in one.
many_windows() {
    local files=() sums
    start "$@"
    for i in $(seq $cycles); do
        attach "$work/c$i.adat" || return 1
        grown "$work/c$i.adat" 40000 || return 1
        detach || return 1
        verify "$work/c$i.adat" || return 1
        files+=("$work/c$i.adat")
    done
    sweep "$work/last.adat" || return 1
    sums=$("$out/tests/check_attach" "${files[@]}" "$work/last.adat") || { echo "$sums"; return 1; }
    equal "$(jq -c '[.repeated, .attempted]' <<<"$sums")" "[0,$(count '.emitted + .refused')]" || return 1
    if [ "${ADATRACE_OPTIONS:-}" != policy=2 ]; then
        equal "$(jq .events <<<"$sums")" "$(count .emitted)" || return 1
    fi
    stop
}

by_duration() {
    start 1
    attach "$work/t.adat" --duration 200ms || return 1
    wait "$collector" || return 1
    equal "$(ask off)" ok || return 1
    of "$work/t.adat" .duration_s | awk '$1 < 0.2 { print "ended after " $1 " s"; exit 1 }' || return 1
    verify "$work/t.adat" && stop
}

until_the_end() {
    start 2
    attach "$work/t.adat" || return 1
    grown "$work/t.adat" 100000 || return 1
    kill -KILL "$pid"
    wait "$pid"
    wait "$collector" || { echo "status $?"; return 1; }
    equal "$(of "$work/t.adat" '.processes[0] | .end, .exit_status')" "$(printf 'signal\n137')" || return 1
    verify "$work/t.adat"
}

several_processes() {
    local second
    start 1
    "$out/tests/prog_load" 2 0 &
    second=$!
    rm -f "$work/t.adat"
    until "$a" attach --json -p "$pid,$second" -p "$pid" -o "$work/t.adat" --duration 100ms 2>"$work/t.adat.json"; do
        grep -q "does not use libadatrace" "$work/t.adat.json" || { cat "$work/t.adat.json"; return 1; }
    done
    kill -KILL "$second"
    equal "$(of "$work/t.adat" '[.processes[].pid] | sort | map(tostring) | join(" ")')" "$(printf '%s\n' "$pid" "$second" | sort -n | paste -sd ' ')" || return 1
    equal "$(of "$work/t.adat" '.threads | length')" 3 || return 1
    verify "$work/t.adat" && stop
}

# ---- collectors ----------------------------------------------------------------------------------

second_is_refused() {
    start 1
    attach "$work/t.adat" || return 1
    wrong 1 "process $collector records it already" "$a" attach -p "$pid" -o "$work/second.adat" || return 1
    [ ! -e "$work/second.adat" ] || { echo "the file is there"; return 1; }
    detach || return 1
    sweep "$work/third.adat" && stop
}

recorded_is_refused() {
    local target
    rm -f "$work/t.adat"
    "$a" record -o "$work/t.adat" -- "$out/tests/prog_load" 1 0 2>/dev/null &
    collector=$!
    until target=$(pgrep -P $collector -x prog_load); do :; done
    grown "$work/t.adat" 100000 || return 1
    wrong 1 "process $collector records it already" "$a" attach -p "$target" -o "$work/second.adat"
    local status=$?
    kill -KILL "$target"
    wait $collector
    return $status
}

# What a killed recorder leaves has no descriptor, but a mapping.
taken_over_from_recorder() {
    local target
    rm -f "$work/t.adat"
    "$a" record -o "$work/t.adat" --policy block -- "$out/tests/prog_load" 1 0 2>/dev/null &
    collector=$!
    until target=$(pgrep -P $collector -x prog_load); do :; done
    grown "$work/t.adat" 100000 || return 1
    kill -KILL $collector
    wait $collector 2>/dev/null
    rm -f "$work/u.adat"
    "$a" attach --json -p "$target" -o "$work/u.adat" --duration 100ms 2>"$work/u.adat.json"
    local status=$?
    kill -KILL "$target"
    [ $status = 0 ] || { cat "$work/u.adat.json"; return 1; }
    verify "$work/u.adat" || return 1
    "$out/tests/check_attach" "$work/t.adat" "$work/u.adat" >/dev/null
}

# A file whose collector was killed: in order, but that its last write may have been cut short.
verify_torn() {
    { "$a" verify --json "$1" 2>/dev/null || true; } |
        jq -e 'all(.problems[]; .text | startswith("the file ends within a block"))' >/dev/null || { verify "$1"; return 1; }
}

# Killed at any moment, and another one comes: nothing is lost but what the program was refused, and nothing comes
# again but what had just been written.
collectors_killed() {
    local files=() sums
    start "$@"
    for i in $(seq $kills); do
        attach "$work/k$i.adat" || return 1
        grown "$work/k$i.adat" $((20000 * (i % 7 + 1))) || return 1
        kill -KILL "$collector"
        wait "$collector" 2>/dev/null
        verify_torn "$work/k$i.adat" || return 1
        files+=("$work/k$i.adat")
    done
    attach "$work/end.adat" || return 1
    grown "$work/end.adat" 300000 || return 1
    detach || return 1
    verify "$work/end.adat" || return 1
    sweep "$work/last.adat" || return 1
    sums=$("$out/tests/check_attach" "${files[@]}" "$work/end.adat" "$work/last.adat") || { echo "$sums"; return 1; }
    if [ "${ADATRACE_OPTIONS:-}" != policy=2 ]; then
        equal "$(jq .events <<<"$sums")" "$(count .emitted)" || { echo "$sums"; return 1; }
    fi
    jq -e ".events + .dropped >= $(count '.emitted + .refused')" <<<"$sums" >/dev/null || { echo "$sums, of $(ask counts)"; return 1; }
    stop
}

with_options() {
    export ADATRACE_OPTIONS=$1
    shift
    "$@"
    local status=$?
    unset ADATRACE_OPTIONS
    return $status
}

# recorded FIELD: how many different ones threads have of which something is in the file
recorded() {
    "$a" info --json "$work/t.adat" 2>/dev/null | jq "[.threads[] | select(.events.in_file > 0) | $1] | unique | length"
}

# ---- processes -----------------------------------------------------------------------------------

closed_descriptors() {
    start 1
    equal "$(ask daemonize)" ok || return 1
    attach "$work/t.adat" --duration 100ms || return 1
    wait "$collector" || return 1
    verify "$work/t.adat" && stop
}

# A child of fork() is found by itself, as well.
child_alone() {
    local child
    start 1
    child=$(ask fork)
    rm -f "$work/t.adat"
    "$a" attach --json -p "$child" -o "$work/t.adat" --duration 300ms 2>"$work/t.adat.json" || { cat "$work/t.adat.json"; return 1; }
    equal "$(dump | jq -r '[.name, .arg, .pid] | join(" ")' | sort -u)" "child.tick $child $child" || return 1
    verify "$work/t.adat"
    kill -KILL "$child"
    stop
}

# Children of fork() and exec, and theirs; those of a program that is not attached to are none.
children() {
    local forked spawned
    start 1
    attach "$work/t.adat" --children || return 1
    forked=$(ask fork)
    spawned=$(ask spawn "$out/tests/prog_load")
    equal "$(ask pause)" ok || return 1
    until [ "$(recorded .pid)" = 3 ]; do kill -0 $collector || return 1; done
    detach || return 1
    kill -KILL "$forked" "$spawned"
    # The one that was spawned may have been caught as the child that it was before it became the program.
    equal "$(of "$work/t.adat" '[.processes[].pid] | unique | map(tostring) | join(" ")')" \
        "$(printf '%s\n' "$pid" "$forked" "$spawned" | sort -n | paste -sd ' ')" || return 1
    equal "$("$a" dump --json --event child.tick "$work/t.adat" | jq -r '"\(.arg) \(.pid)"' | sort -u)" "$forked $forked" || return 1
    verify "$work/t.adat" && stop
}

no_children() {
    start 1
    attach "$work/t.adat" || return 1
    ask fork >/dev/null
    grown "$work/t.adat" 300000 || return 1
    detach || return 1
    equal "$(of "$work/t.adat" '.processes | length')" 1 || return 1
    verify "$work/t.adat" && stop
}

becomes_another_program() {
    start 1
    attach "$work/t.adat" || return 1
    grown "$work/t.adat" 100000 || return 1
    echo "exec $out/tests/prog_load" >&8
    until [ "$(recorded .tid)" -gt 1 ]; do kill -0 $collector || return 1; done
    kill -INT $collector
    wait $collector || return 1
    equal "$(of "$work/t.adat" '[.processes[] | .end] | sort | join(" ")')" "detached exec" || return 1
    equal "$(of "$work/t.adat" '[.processes[] | .pid] | unique | length')" 1 || return 1
    verify "$work/t.adat" || return 1
    kill -KILL "$pid"
    wait "$pid"
    return 0
}

# Its own user, mount and pid namespaces: the file has both of its numbers.
in_namespaces() {
    local outer
    run unshare --user --map-root-user --mount --pid --fork --mount-proc --kill-child "$out/tests/prog_attach" 2
    outer=$pid
    pid=$(pgrep -P "$outer" -x prog_attach) || return 1
    attach "$work/t.adat" || return 1
    grown "$work/t.adat" 100000 || return 1
    # In there the collector that has the claim has no number to be named by.
    wrong 1 "a process of another pid namespace records it already" \
        nsenter --target "$pid" --user --preserve-credentials --mount --pid "$a" attach -p 1 -o "$work/second.adat" || return 1
    equal "$(ask pause)" ok || return 1
    detach || return 1
    equal "$(of "$work/t.adat" .events.attempted)" "$(count '.emitted + .refused')" || return 1
    verify "$work/t.adat" || return 1
    equal "$("$a" info --json "$work/t.adat" | jq -r '.processes[0] | "\(.pid) \(.namespace_pid)"')" "$pid 1" || return 1
    pid=$outer
    stop
}

marks_of_attached() {
    start 1
    attach "$work/t.adat" || return 1
    grown "$work/t.adat" 20000 || return 1
    "$a" mark -p "$pid" || return 1
    detach || return 1
    [ "$("$a" info --json "$work/t.adat" | jq .marks)" -gt 0 ] || { echo "no mark"; return 1; }
    stop
}

# ---- discovery ------------------------------------------------------------------------------------

# in_file PID: whether something of it is
in_file() {
    [ "$("$a" info --json "$work/t.adat" 2>/dev/null | jq "[.threads[] | select(.pid == $1) | .events.in_file] | add // 0")" -gt 0 ]
}

# discovers RULE OPTION...: one that runs, one that comes, and not one that is not meant, nor one that does not use the library. Their names are
# those of this test alone: there may be others on the machine.
discovers() {
    local rule=$1 second other foreign status=0
    shift
    ln -sf "$out/tests/prog_attach" "$work/met$$"
    run "$work/met$$" 1
    rm -f "$work/t.adat"
    "$a" attach --json --discover "$rule,name=met$$*,user=$(id -u)" -o "$work/t.adat" "$@" 2>"$work/t.adat.json" 8>&- 9<&- &
    collector=$!
    equal "$(ask on)" ok || { cat "$work/t.adat.json"; return 1; }
    ln -sf "$out/tests/prog_load" "$work/met$$.second"
    ln -sf "$(command -v sleep)" "$work/met$$.sleep"
    "$work/met$$.sleep" 600 8>&- 9<&- &
    foreign=$!
    "$out/tests/prog_load" 1 0 8>&- 9<&- &
    other=$!
    "$work/met$$.second" 1 0 8>&- 9<&- &
    second=$!
    until in_file $second; do kill -0 $collector || { status=1; break; }; done
    detach || status=1
    kill -KILL $second $other $foreign
    wait $second $other $foreign 2>/dev/null
    verify "$work/t.adat" || return 1
    equal "$("$a" info --json "$work/t.adat" | jq -c '[.processes[].pid] | sort')" "$(jq -cn "[$pid, $second] | sort")" || return 1
    stop
    return $status
}

# Who is made by fork() alone, without exec; nobody asked for children.
discovers_forked() {
    local child status=0
    ln -sf "$out/tests/prog_attach" "$work/met$$"
    run "$work/met$$" 1
    rm -f "$work/t.adat"
    "$a" attach --json --discover "all,name=met$$" -o "$work/t.adat" 2>"$work/t.adat.json" 8>&- 9<&- &
    collector=$!
    equal "$(ask on)" ok || { cat "$work/t.adat.json"; return 1; }
    child=$(ask fork)
    equal "$(ask pause)" ok || return 1
    until in_file "$child"; do kill -0 $collector || { status=1; break; }; done
    detach || status=1
    kill -KILL "$child"
    verify "$work/t.adat" && stop && return $status
}

# ---- what it costs, and what it misses -----------------------------------------------------------

# Children that live for 20 ms, with all of their events; a busy machine may keep us from some, but looking for them four times a second finds 16
short_lived_children() {
    local done_line
    run_children() {
        mkfifo "$work/kin" "$work/kout"
        "$out/tests/prog_children" 200 20000 10 <"$work/kin" >"$work/kout" 8>&- 9<&- &
        pid=$!
    }
    rm -f "$work/kin" "$work/kout" "$work/t.adat"
    run_children
    exec 8>"$work/kin" 9<"$work/kout"
    until "$a" attach --json -p "$pid" --duration 1ms -o "$work/probe.adat" 2>"$work/probe"; do
        grep -q "does not use libadatrace" "$work/probe" || { cat "$work/probe"; return 1; }
    done
    "$a" attach --json -p "$pid" --children -o "$work/t.adat" 2>"$work/t.adat.json" 8>&- 9<&- &
    collector=$!
    read -r -t 100 done_line <&9
    equal "$done_line" 'done' || { cat "$work/t.adat.json"; return 1; }
    kill -INT $collector
    wait $collector || return 1
    stop
    verify "$work/t.adat" || return 1
    "$a" dump --json --event child.event "$work/t.adat" | jq -r .pid | sort | uniq -c |
        awk '$1 != 10 { print "process " $2 ": " $1 " events"; bad = 1 } END { if (NR < 100) print NR " of 200"; exit bad || NR < 100 }'
}

# switches PID: how often its main thread went to sleep
switches() {
    awk '$1 == "voluntary_ctxt_switches:" { print $2 }' "/proc/$1/task/$1/status"
}

# idle OPTION...: with kernel assistance the thread that waits for something to happen wakes once a second at most; another one is let go
idle() {
    local before after
    ln -sf "$out/tests/prog_attach" "$work/met$$"
    run "$work/met$$" 1
    equal "$(ask pause)" ok || return 1
    rm -f "$work/t.adat"
    "$a" attach --json -p "$pid" "$@" -o "$work/t.adat" 2>"$work/t.adat.json" 8>&- 9<&- &
    collector=$!
    equal "$(ask on)" ok || { cat "$work/t.adat.json"; return 1; }
    sleep 2.5 # what was to be tried again is given up by then
    before=$(switches $collector)
    sleep 5
    after=$(switches $collector)
    detach || return 1
    [ $((after - before)) -le 10 ] || { echo "$((after - before)) times in 5 s"; return 1; }
    stop
}

# ---- errors --------------------------------------------------------------------------------------

# Its parent never asks how it ended.
zombie() {
    local zombie
    start 1
    zombie=$(ask spawn /bin/true)
    until grep -q '^State:.Z' "/proc/$zombie/status"; do kill -0 "$pid" || return 1; done
    wrong 1 "it has ended" "$a" attach -p "$zombie" -o "$work/x.adat" || return 1
    stop
}

not_instrumented() {
    local status
    sleep 60 &
    wrong 1 "does not use libadatrace" "$a" attach -p $! -o "$work/x.adat"
    status=$?
    kill $!
    return $status
}

one_of_its_threads() {
    local thread
    start 1
    thread=$(find "/proc/$pid/task" -mindepth 1 -maxdepth 1 -printf '%f\n' | grep -vx "$pid" | head -n 1)
    wrong 1 "it is a thread of process $pid" "$a" attach -p "$thread" -o "$work/x.adat" || return 1
    stop
}

other_user() {
    start 1
    chmod 755 "$work"
    mkdir -m 777 "$work/coverage" # where gcc's counters go, if it is built with them
    GCOV_PREFIX=$work/coverage wrong 1 "CAP_SYS_PTRACE" setpriv --reuid=65534 --regid=65534 --clear-groups "$a" attach -p "$pid" -o /nonexistent/x.adat || return 1
    stop
}

# With these capabilities and no others; the last one only for a process of somebody else.
least_rights() {
    local user=$1 rights=$2
    run setpriv --reuid="$user" --regid="$user" --clear-groups "$out/tests/prog_attach" 1 || return 1
    rm -f "$work/t.adat"
    setpriv --bounding-set "-all,$rights" "$a" attach --json -p "$pid" -o "$work/t.adat" --duration 300ms 2>"$work/t.adat.json" ||
        { cat "$work/t.adat.json"; return 1; }
    verify "$work/t.adat" || return 1
    equal "$(jq '[.kernel.enabled, .events.in_file > 0]' -c "$work/t.adat.json")" '[true,true]' || { cat "$work/t.adat.json"; return 1; }
    stop
}

all_or_none() {
    start 1
    wrong 1 "there is none with that number" "$a" attach -p "$pid,999999999" -o "$work/x.adat" || return 1
    [ ! -e "$work/x.adat" ] || { echo "the file is there"; return 1; }
    equal "$(count .emitted)" 0 || return 1
    stop
}

bad_output() {
    start 1
    echo precious >"$work/x.adat"
    wrong 1 "exists already" "$a" attach -p "$pid" -o "$work/x.adat" || return 1
    equal "$(cat "$work/x.adat")" precious || return 1
    rm -f "$work/x.adat"
    equal "$(count .emitted)" 0 || return 1
    stop
}

# Whatever a check that failed left running goes with the next.
clean_check() {
    check "$@"
    exec 8>&- 9<&-
    mapfile -t left < <(jobs -p)
    [ ${#left[@]} = 0 ] || { kill -KILL "${left[@]}"; wait; } 2>/dev/null
}

clean_check "one window: what the program counted, in file and accounts" one_window
clean_check "one window, with payloads" one_window payloads
clean_check "$cycles windows under load: each event in one account" many_windows 4
clean_check "$cycles windows, with payloads" many_windows 3 payloads
clean_check "$cycles windows, overwrite" with_options policy=2 many_windows 2
clean_check "$cycles windows, while threads come and go" many_windows 3 churn
clean_check "--duration" by_duration
clean_check "until the process is killed" until_the_end
clean_check "several processes" several_processes
clean_check "a second collector is refused, and told of the first" second_is_refused
clean_check "what 'record' records is refused" recorded_is_refused
clean_check "the program of a killed recorder is taken over" taken_over_from_recorder
clean_check "$kills collectors killed: nothing lost" collectors_killed 4
clean_check "$kills collectors killed, block" with_options policy=1 collectors_killed 3
clean_check "$kills collectors killed, overwrite" with_options policy=2 collectors_killed 3
clean_check "$kills collectors killed, all payloads" with_options detail=1 collectors_killed 3 payloads
clean_check "$kills collectors killed, while threads come and go" collectors_killed 2 churn
clean_check "a daemon that closed its descriptors" closed_descriptors
clean_check "a child of fork() by itself" child_alone
clean_check "--children" children
clean_check "without --children" no_children
clean_check "exec: the old image and the new" becomes_another_program
clean_check "in user, mount and pid namespaces" in_namespaces
clean_check "adatrace mark" marks_of_attached
clean_check "--discover: who runs, and who comes" discovers "user=$(id -u)"
clean_check "--discover, without BPF" discovers "user=$(id -u)" --no-bpf
clean_check "--discover all: who runs, and who comes" discovers all
clean_check "--discover all, without BPF" discovers all --no-bpf
for rule in '' all=x 'all,' name name= 'name=x,' size=3 user=nobody_of_that_name name=x,user=; do
    check "discover '$rule'" wrong 2 "--discover '$rule'" "$a" attach --discover "$rule"
done
clean_check "a pid that does not exist" wrong 1 "there is none with that number" "$a" attach -p 999999999 -o "$work/x.adat"
clean_check "a thread of the kernel" wrong 1 "thread of the kernel" "$a" attach -p 2 -o "$work/x.adat"
clean_check "a thread" one_of_its_threads
clean_check "a zombie" zombie
clean_check "itself" wrong 1 "this command itself" bash -c "exec '$a' attach -p \$\$ -o '$work/x.adat'"
clean_check "not instrumented" not_instrumented
clean_check "another user's" other_user
record "$work/t.adat" -- "$out/tests/prog_load" 1 1
if [ "$(summary .kernel.enabled)" = true ]; then
    clean_check "--discover all: a child of fork()" discovers_forked
    clean_check "--children: those that live for 20 ms" short_lived_children
    clean_check "an idle program: the recorder sleeps" idle
    clean_check "an idle program, with its children: the recorder sleeps" idle --children
fi
if [ "$(id -u)" = 0 ] && [ "$(summary .kernel.enabled)" = true ]; then
    clean_check "with CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE alone" least_rights 0 +bpf,+perfmon,+sys_ptrace
    clean_check "and another user's, with CAP_DAC_READ_SEARCH" least_rights 65534 +bpf,+perfmon,+sys_ptrace,+dac_read_search
fi
clean_check "all or none" all_or_none
clean_check "a file that exists" bad_output
for list in '12,,x' ',' '12,' ',12' '' x 12x -1 0 4294967296 99999999999999999999; do
    check "pids '$list'" wrong 2 "--pid" "$a" attach -p "$list"
done
clean_check "no pid" wrong 2 "no process given" "$a" attach
clean_check "an operand" wrong 2 "unexpected '12'" "$a" attach 12
for time in 0 x -1 1y ''; do
    check "duration '$time'" wrong 2 "--duration" "$a" attach -p 1 --duration "$time"
done
clean_check "weights without the scheduler" wrong 2 "add --scheduler weighted" "$a" attach -p 1 --weight x=2
clean_check "a rule that is none" wrong 2 "--mark" "$a" attach -p 1 --mark 'nonsense'

exit $failed
