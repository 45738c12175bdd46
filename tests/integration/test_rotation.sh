#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Recordings of several files: each is whole by itself, and together they have what one file would have.
#   test_rotation.sh OUT_DIR SOURCE_DIR
. "$(dirname "$0")/support.sh"

a=$out/adatrace
dir=$work/trace
if [ -n "${ADA_SANITIZE:-}" ]; then
    many=50000 churned=600 details=150000
else
    many=150000 churned=6000 details=200000
fi

# rotate OPTION... -- COMMAND...: as small files as there may be
rotate() {
    rm -rf "$dir"
    record "$dir" --rotate-size 1M "$@"
}

# Each file is complete, and sound by itself; there are at least so many.
all_sound() {
    local file count=0
    [ -z "$(find "$dir" -name '*.partial')" ] || { find "$dir" -name '*.partial'; return 1; }
    for file in "$dir"/trace-*.adat; do
        verify "$file" >"$work/verified" || { cat "$work/verified"; return 1; }
        grep -q "not closed" "$work/verified" && { cat "$work/verified"; return 1; }
        count=$((count + 1))
    done
    equal "$(summary .files)" $count || return 1
    [ $count -ge "$1" ] || { echo "$count files"; return 1; }
}

# What the files' ledgers say of a lane, added up: per thread, for those of which the summary tells.
ledgers() {
    for file in "$dir"/trace-*.adat; do
        "$a" info --json "$file"
    done | jq -cs "[.[].threads[] | {tid, e: .$1}] | group_by(.tid) | map({tid: .[0].tid,
        e: (map(.e | to_entries[]) | group_by(.key) | map({key: .[0].key, value: (map(.value) | add)}) | from_entries)}) | .[]
        | select(.e.attempted > 0)"
}

same_as_summary() {
    ledgers "$1" >"$work/ledgers"
    jq -cS ".threads[] | {tid, e: .$1} | select(.e.attempted > 0)" "$work/summary.json" | sort >"$work/expected"
    jq -cS . "$work/ledgers" | sort >"$work/got"
    diff "$work/expected" "$work/got"
}

# Each thread's numbers follow one another, from file to file.
all_there() {
    rotate --policy block -- "$out/tests/prog_load" 8 $many || return 1
    all_sound 2 || return 1
    equal "$(summary '.events | [.attempted, .in_file] | @csv')" $((8 * many)),$((8 * many)) || return 1
    same_as_summary events || return 1
    for file in "$dir"/trace-*.adat; do
        "$a" dump --json "$file"
    done | jq -r 'select(.name == "load.tick") | .arg' | awk -v many=$many '
        { thread = int($1 / 2 ^ 40); number = $1 - thread * 2 ^ 40 }
        number != next_of[thread] { print "thread " thread ": " number " instead of " next_of[thread] + 0; exit 1 }
        { next_of[thread]++ }
        END { for (t in next_of) { threads++; if (next_of[t] != many) exit 1 }; exit threads != 8 }'
}

lost_exactly() {
    rotate --policy "$1" --ring-size 16K -- "$out/tests/prog_load" 8 $((2 * many)) || return 1
    all_sound 1 || return 1
    equal "$(summary .events.attempted)" $((16 * many)) || return 1
    same_as_summary events
}

# Threads that end in one file, and such that are in several.
threads_come_and_go() {
    rotate -- "$out/tests/prog_churn" $churned 8 100 || return 1
    all_sound 1 || return 1
    equal "$(summary '.events.attempted - .events.in_file')" 0 || return 1
    equal "$(ledgers events | jq -s 'map(.e.in_file) | add')" "$(summary .events.in_file)"
}

payloads() {
    rotate --policy block "$@" -- "$out/tests/prog_detail" $details 1000 $((details / 2)) $((details - 1)) || return 1
    all_sound 2 || return 1
    same_as_summary events && same_as_summary detail
}

oldest_go() {
    rm -rf "$dir"
    record "$dir" --rotate-size 1M --keep 3M --policy block -- "$out/tests/prog_load" 8 100000 || return 1
    [ "$(du -cb "$dir"/* | tail -n 1 | cut -f 1)" -le $((3 << 20)) ] || { ls -l "$dir"; return 1; }
    [ ! -e "$dir/trace-000001.adat" ] || { ls -l "$dir"; return 1; }
    for file in "$dir"/*; do
        verify "$file" || return 1
    done
}

by_age() {
    rm -rf "$dir"
    record "$dir" --rotate-time 1s -- sh -c "'$out/tests/prog_load' 1 10; sleep 2.5" || return 1
    all_sound 2
}

# Killed amid a write, a recorder leaves a part of a block, or a file that it has just begun; nothing else may be wrong.
sound_or_torn() {
    "$a" verify "$1" >"$work/verified" 2>&1 && return
    [[ $1 = *.partial ]] && grep -qE ": (1 problem, first: the file ends within a block|the file ends before its first block)" "$work/verified"
}

# The recorder is killed: the complete files are sound, and so are those that wait for the disk, or are written, as far as they go.
recorder_killed() {
    local recorder program
    rm -rf "$dir"
    "$a" record --rotate-size 1M --policy discard -o "$dir" -- "$out/tests/prog_load" 4 100000000 2>"$work/stderr" &
    recorder=$!
    until [ -e "$dir/trace-000003.adat" ]; do
        kill -0 $recorder || { cat "$work/stderr"; return 1; }
        sleep 0.01
    done
    program=$(pgrep -P $recorder)
    kill -KILL $recorder # first: it would complete its files when the program ends
    kill -KILL "$program"
    wait $recorder 2>/dev/null
    [ "$(find "$dir" -name '*.partial' | wc -l)" -ge 1 ] || { ls "$dir"; return 1; }
    for file in "$dir"/*; do
        sound_or_torn "$file" || { cat "$work/verified"; return 1; }
    done
}

# The present file goes on, though nobody will find it: said when it happens, and by the exit status.
directory_removed() {
    rm -rf "$dir"
    "$a" record --rotate-time 1s -o "$dir" -- sh -c "'$out/tests/prog_load' 1 10; rm -r '$dir'; sleep 2.5" 2>"$work/stderr"
    equal $? 1 || { cat "$work/stderr"; return 1; }
    equal "$(grep -c "cannot begin another file in '$dir': No such file" "$work/stderr")" 1 || { cat "$work/stderr"; return 1; }
    grep -q "a file in '$dir' is not completed" "$work/stderr" || { cat "$work/stderr"; return 1; }
}

nothing_left() {
    rm -rf "$dir"
    wrong 127 "cannot run '$work/none'" "$a" record --rotate-size 1M -o "$dir" -- "$work/none"
    [ ! -e "$dir" ] || { ls -la "$dir"; return 1; }
}

wrong_use() {
    wrong 2 "--rotate-size '0' is not" "$a" record --rotate-size 0 -- true &&
        wrong 2 "--rotate-time '1ms' is not" "$a" record --rotate-time 1ms -- true &&
        wrong 2 "--keep is about several files" "$a" record --keep 1G -- true &&
        wrong 2 "--keep 'much' is not" "$a" record --rotate-size 1M --keep much -- true &&
        mkdir -p "$dir" && wrong 1 "it exists already" "$a" record --rotate-size 1M -o "$dir" -- true
}

check "block: all there, in order, from file to file" all_there
check "discard: what is lost is counted once" lost_exactly discard
check "overwrite: what is lost is counted once" lost_exactly overwrite
check "threads that come and go" threads_come_and_go
check "payloads, kept around marks" payloads
check "payloads, all" payloads --detail always
check "--keep: the oldest go" oldest_go
check "--rotate-time" by_age
check "the recorder is killed" recorder_killed
check "the directory is removed meanwhile" directory_removed
check "a command that cannot run leaves nothing" nothing_left
check "wrong use" wrong_use
exit $failed
