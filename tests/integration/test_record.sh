#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# adatrace record: real programs, real deaths.
#   test_record.sh OUT_DIR SOURCE_DIR
. "$(dirname "$0")/support.sh"

# How much: sanitizers are slow, and what they look for needs no millions.
if [ -n "${ADA_SANITIZE:-}" ]; then
    many=20000 flood=60000 kills=5
else
    many=1000000 flood=250000 kills=25
fi

# ---- the whole way, by content -------------------------------------------------------------------

block_loses_nothing() {
    record "$work/t.adat" --policy block -- "$out/tests/prog_load" 64 $many || return 1
    equal "$(summary .events.in_file)" $((64 * many)) || return 1
    equal "$(summary '.events.attempted - .events.in_file')" 0 || return 1
    verify "$work/t.adat" && "$out/tests/check_load" "$work/t.adat" 64 $many all
}

# A recorder that is stopped most of the time: the threads drop, and each drop is counted.
discard_counts_exactly() {
    local status recorder
    rm -f "$work/t.adat"
    "$out/adatrace" record --json -o "$work/t.adat" -- "$out/tests/prog_load" 16 $flood 2>"$work/summary.json" &
    recorder=$!
    for _ in $(seq 12); do
        kill -STOP $recorder 2>/dev/null || break
        sleep 0.03
        kill -CONT $recorder
        sleep 0.01
    done
    wait $recorder
    status=$?
    equal $status 0 || return 1
    [ "$(summary .events.dropped_full)" -gt 0 ] || { echo "nothing was dropped"; return 1; }
    equal "$(summary '.events.in_file + .events.dropped_full + .events.dropped_nested')" $((16 * flood)) || return 1
    verify "$work/t.adat" && "$out/tests/check_load" "$work/t.adat" 16 $flood lossy
}

overwrite_counts_exactly() {
    record "$work/t.adat" --policy overwrite -- "$out/tests/prog_load" 8 $flood || return 1
    verify "$work/t.adat" && "$out/tests/check_load" "$work/t.adat" 8 $flood lossy
}

more_threads_than_slots() {
    record "$work/t.adat" --policy block --threads 4 -- "$out/tests/prog_load" 16 1000 || return 1
    equal "$(summary '.events.in_file + .events.dropped_full')" 16000 || return 1
    verify "$work/t.adat"
}

# ---- deaths --------------------------------------------------------------------------------------

# Killed at any moment: everything that was recorded before is in the file.
kill_leaves_all_that_was_published() {
    local recorder target
    for i in $(seq $kills); do
        rm -f "$work/t.adat" "$work/progress"
        "$out/adatrace" record --json --policy block -o "$work/t.adat" -- \
            "$out/tests/prog_load" 4 0 "$work/progress" 2>"$work/summary.json" &
        recorder=$!
        until target=$(pgrep -P $recorder -x prog_load); do
            kill -0 $recorder || { cat "$work/summary.json"; return 1; }
        done
        sleep "0.0$((i % 10))$i"
        kill -KILL "$target"
        wait $recorder
        equal $? 137 || return 1
        verify "$work/t.adat" || return 1
        "$out/tests/check_load" "$work/t.adat" 4 0 prefix "$work/progress" || return 1
        equal "$("$out/adatrace" info --json "$work/t.adat" | jq -c '[.processes[] | .end, .exit_status, .drain_complete]')" \
            '["signal",137,true]' || return 1
    done
}

# The recorder is killed: the file is readable up to its last block, and the program goes on.
recorder_killed() {
    local recorder target
    rm -f "$work/t.adat"
    "$out/adatrace" record -o "$work/t.adat" -- "$out/tests/prog_load" 2 0 2>/dev/null &
    recorder=$!
    until target=$(pgrep -P $recorder -x prog_load); do :; done
    until [ "$(stat -c %s "$work/t.adat")" -gt 1000000 ]; do :; done
    kill -KILL $recorder
    wait $recorder 2>/dev/null
    kill -0 "$target" || { echo "the program died with its recorder"; return 1; }
    kill -KILL "$target"
    "$out/tests/check_load" "$work/t.adat" 2 0 some || return 1
    "$out/adatrace" info "$work/t.adat" >/dev/null || { echo "info failed"; return 1; }
}

short_life() {
    for how in exit:7 kill:137 abort:134; do
        record "$work/t.adat" -- "$out/tests/prog_short" ${how%:*}
        equal $? ${how#*:} || return 1
        equal "$(dump | jq -c '[.name, .arg]')" '["short.only",42]' || return 1
        verify "$work/t.adat" || return 1
    done
}

term_is_passed_on() {
    local recorder
    rm -f "$work/t.adat"
    "$out/adatrace" record --json --policy block -o "$work/t.adat" -- "$out/tests/prog_load" 2 0 2>"$work/summary.json" &
    recorder=$!
    until pgrep -P $recorder -x prog_load >/dev/null; do :; done
    until [ "$(stat -c %s "$work/t.adat")" -gt 100000 ]; do :; done
    kill -TERM $recorder
    wait $recorder
    equal $? 143 || return 1
    equal "$(summary .closed)" true && verify "$work/t.adat" && "$out/tests/check_load" "$work/t.adat" 2 0 prefix
}

# ---- processes -----------------------------------------------------------------------------------

# Each event is in the lanes of the process that its argument names.
events_are_at_home() {
    dump | jq -e -s 'all(.[]; .arg == .pid)' >/dev/null || { dump | jq -c 'select(.arg != .pid) | [.name, .arg, .pid]' | head -3; return 1; }
}

processes() {
    record "$work/t.adat" -- "$out/tests/prog_processes" "$1" || { echo "status $?"; return 1; }
    verify "$work/t.adat" || return 1
    equal "$(summary '.processes | length')" "$2" || return 1
    if [ "$1" != handler ] && [ "$1" != resume ]; then
        equal "$(dump | jq -r .name | sort | uniq -c | tr -s ' \n' ' ')" "$3" || return 1
    fi
    [ "$1" = resume ] || events_are_at_home
}

late_starter() {
    local early
    rm -f "$work/t.adat"
    early=$("$out/adatrace" record --json --policy block -o "$work/t.adat" -- "$out/tests/prog_late_starter_testpoints" 2>"$work/stderr") ||
        { echo "status $?"; cat "$work/stderr"; return 1; }
    verify "$work/t.adat" || return 1
    equal "$(tail -n 1 "$work/stderr" | jq '.processes | length')" 2 || return 1
    equal "$(dump | jq -r .name | sort | uniq -c | tr -s ' \n' ' ')" " $early early.tick 1000 late.tick 1 parent.tick "
}

late_event() {
    record "$work/t.adat" -- "$out/tests/prog_late_event_testpoints"
    equal $? 137 || return 1
    verify "$work/t.adat" || return 1
    equal "$(dump | jq -c '[.name, .arg]')" '["early.event",2]'
}

children_of_scripts() {
    record "$work/t.adat" -- sh -c "$out/tests/prog_short; $out/tests/prog_short; exit 5"
    equal $? 5 || return 1
    equal "$(dump | jq -r .pid | sort -u | wc -l)" 2 && verify "$work/t.adat"
}

# ---- the API -------------------------------------------------------------------------------------

whole_api() {
    record "$work/t.adat" --detail always -- "$out/tests/prog_api" || { echo "status $?"; return 1; }
    verify "$work/t.adat" || return 1
    equal "$(dump | jq -r '.name' | sort | uniq -c | awk '{print $2 "=" $1}' | tr '\n' ' ')" \
        "api.atexit=1 api.constructor=1 api.counter=1 api.destructor=1 api.inside=1 api.long=1 api.mark=1 api.null=1 api.raw=1 api.scope=2 api.span=2 api.typed=1 api.worker=1 " || return 1
    equal "$(dump | jq -c 'select(.name == "api.typed") | .fields | [.negative, .half, .text]')" '[-5,0.5,"a \"quoted\" text"]' || return 1
    dump | grep '"big":18446744073709551615' >"$work/found" || { echo "2^64-1 is cut"; return 1; }
    equal "$(dump | jq -r 'select(.name == "api.long") | .fields | "\(.text | length) \(.after)"')" '4084 99' || return 1
    equal "$(dump | jq -c 'select(.name == "api.null") | .fields')" '{"text":""}' || return 1
    equal "$(dump | jq -c 'select(.name == "api.raw") | [.arg, .fields]')" '[11,{"number":7,"zero":0}]' || return 1
    equal "$(dump | jq -c 'select(.name == "api.counter") | .arg')" -3 || return 1
    equal "$(dump | jq -c 'select(.name | startswith("api.span")) | [.kind, .arg]' | tr '\n' ' ')" '["span_begin",5] ["span_end",6] ' || return 1
    equal "$("$out/adatrace" info --json "$work/t.adat" | jq -r '.threads[].name' | sort | tr '\n' ' ')" 'api-worker prog_api ' || return 1
}

# Unmarked payloads stay out of the file, and are counted; around a mark they are in.
detail_modes() {
    record "$work/t.adat" --detail off -- "$out/tests/prog_api" || return 1
    equal "$(summary .detail.attempted)" 0 || return 1
    record "$work/t.adat" -- "$out/tests/prog_api" || return 1
    equal "$(summary '.detail | .attempted - .in_file - .recycled_unmarked')" 0 || return 1
    equal "$(dump | jq -c 'select(.name == "api.typed") | .fields.half')" 0.5
}

# ---- wrong use -----------------------------------------------------------------------------------


existing_file() {
    echo precious >"$work/t.adat"
    wrong 1 "exists already" "$out/adatrace" record -o "$work/t.adat" -- true || return 1
    equal "$(cat "$work/t.adat")" precious
}

# Nothing is left behind when nothing could be recorded.
no_leftovers() {
    wrong 127 "cannot run" "$out/adatrace" record -o "$work/none.adat" -- /no/such/program || return 1
    wrong 126 "cannot run" "$out/adatrace" record -o "$work/none.adat" -- /etc/passwd || return 1
    [ ! -e "$work/none.adat" ] || { echo "the file is still there"; return 1; }
}

# A file system that fills up: the file stays valid, the loss is exact, and it goes on when there is room.
full_disk() {
    local status
    mkdir -p "$work/small"
    mount -t tmpfs -o size=2m tmpfs "$work/small" || return 1
    dd if=/dev/zero of="$work/small/ballast" bs=1k count=1500 status=none
    "$out/adatrace" record --json --policy block -o "$work/small/t.adat" -- "$out/tests/prog_load" 2 100000 2>"$work/stderr"
    status=$?
    tail -n 1 "$work/stderr" >"$work/summary.json"
    rm -f "$work/small/ballast"
    cp "$work/small/t.adat" "$work/t.adat"
    umount "$work/small"
    # What is small may still have found room in the end: then the file is complete, with its ledger.
    if [ "$(summary .closed)" = true ]; then
        equal $status 0 && verify "$work/t.adat" || return 1
    else
        equal $status 1 || return 1
    fi
    grep -q "No space left on device" "$work/stderr" || { cat "$work/stderr"; return 1; }
    [ "$(summary .events.dropped_io)" -gt 0 ] || { echo "no dropped_io"; return 1; }
    equal "$(summary '.events.in_file + .events.dropped_io + .events.dropped_full')" 200000 || return 1
    equal "$(dump | wc -l)" "$(summary .events.in_file)"
}

full_disk_recovers() {
    local recorder
    mkdir -p "$work/small"
    mount -t tmpfs -o size=8m tmpfs "$work/small" || return 1
    dd if=/dev/zero of="$work/small/ballast" bs=1k count=7400 status=none
    "$out/adatrace" record --json --policy block -o "$work/small/t.adat" -- "$out/tests/prog_load" 1 0 2>"$work/stderr" &
    recorder=$!
    until grep -q "No space left" "$work/stderr"; do kill -0 $recorder || return 1; done
    rm "$work/small/ballast"
    until grep -q "works again" "$work/stderr"; do kill -0 $recorder || return 1; done
    pkill -KILL -P $recorder
    wait $recorder
    tail -n 1 "$work/stderr" >"$work/summary.json"
    cp "$work/small/t.adat" "$work/t.adat"
    umount "$work/small"
    [ "$(summary .events.dropped_io)" -gt 0 ] || { echo "no dropped_io"; return 1; }
    if [ "$(summary .closed)" = true ]; then
        verify "$work/t.adat" || return 1
    fi
    "$out/tests/check_load" "$work/t.adat" 1 0 some
}

no_room_at_all() {
    mkdir -p "$work/full"
    mount -t tmpfs -o size=4k,nr_inodes=8 tmpfs "$work/full" || return 1
    dd if=/dev/zero of="$work/full/ballast" bs=4k count=1 status=none
    wrong 1 "No space left" "$out/adatrace" record -o "$work/full/t.adat" -- true
    local status=$?
    [ ! -e "$work/full/t.adat" ] || { echo "the file is still there"; status=1; }
    umount "$work/full"
    return $status
}

# 2,048 have names; the others are there all the same, and nothing is wrong with them.
more_than_named() {
    record "$work/t.adat" -- "$out/tests/prog_many_events" 2100 || return 1
    verify "$work/t.adat" >"$work/verified" || { head -n 3 "$work/verified"; return 1; }
    equal "$("$a" dump --json "$work/t.adat" | jq -c 'select(.name != "event-\(.arg)") | .arg' | jq -cs '[length, min, max]')" '[52,2048,2099]'
}

a=$out/adatrace
check "64 threads, block: nothing lost, order kept, by content" block_loses_nothing
check "discard with a stopped recorder: in file + dropped = attempted, per thread" discard_counts_exactly
check "overwrite: in file + dropped = attempted, per thread" overwrite_counts_exactly
check "more threads than slots: their events are counted" more_threads_than_slots
check "SIGKILL at any moment: all published events are in the file" kill_leaves_all_that_was_published
check "SIGKILL of the recorder: the file is readable" recorder_killed
check "a program of one event" short_life
check "SIGTERM is passed on, everything is drained" term_is_passed_on
check "fork: a segment for each process" processes fork 3 " 1 process.child 1 process.grandchild 2 process.parent 1 process.thread "
check "clone without a handler" processes raw 2 " 2 process.child 2 process.parent "
check "a child that records nothing" processes silent 1 " 1 process.parent "
check "vfork and exec" processes vfork 2 " 1 process.new 2 process.parent "
check "posix_spawn" processes spawn 2 " 1 process.new 1 process.parent "
check "exec: old and new image" processes exec 2 " 1 process.new 1 process.parent "
check "fork in a handler that interrupts recording" processes handler 21
for i in 1 2 3; do
    check "fork in a handler whose child returns into the recording, $i" processes resume 21
done
check "a thread that is late to start the segment of a child" late_starter
check "killed amid the registration of an event: others are described" late_event
check "children of a script" children_of_scripts
check "the whole API is in the trace" whole_api
check "more events than can be named" more_than_named
check "detail: off, marked" detail_modes
check "a file that exists" existing_file
check "no leftovers" no_leftovers
check "unknown option" wrong 2 "--nonsense" "$a" record --nonsense -- true
check "missing command" wrong 2 "no command" "$a" record -o "$work/x.adat"
check "missing argument" wrong 2 "--policy" "$a" record --policy
check "unknown policy" wrong 2 "unknown policy 'sometimes'" "$a" record --policy sometimes -- true
check "unknown detail mode" wrong 2 "unknown detail mode" "$a" record --detail some -- true
check "unknown group" wrong 2 "unknown group" "$a" record --preload io,nothing -- true
check "empty group" wrong 2 "unknown group" "$a" record --preload io, -- true
for n in 0 4097 -1 many ''; do
    check "threads '$n'" wrong 2 "--threads" "$a" record --threads "$n" -- true
done
for n in 0 1 4095 6000 128M 1x ''; do
    check "ring size '$n'" wrong 2 "--ring-size" "$a" record --ring-size "$n" -- true
done
check "a directory that does not exist" wrong 1 "No such file or directory" "$a" record -o "$work/no/t.adat" -- true
check "a directory as file" wrong 1 "exists already" "$a" record -o "$work" -- true
if [ "$(id -u)" = 0 ]; then
    check "a full disk: valid file, exact loss" full_disk
    check "a full disk that gets room again" full_disk_recovers
    check "a disk without any room" no_room_at_all
else
    echo "SKIP full disks: mounting a small tmpfs needs root"
fi
exit $failed
