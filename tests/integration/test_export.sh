#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# adatrace export: every format has what dump prints, event for event, and what the ledger says was lost.
#   test_export.sh OUT_DIR SOURCE_DIR
# shellcheck source=support.sh
. "$(dirname "$0")/support.sh"

a=$out/adatrace
t=$work/t.adat
if [ -n "${ADA_SANITIZE:-}" ]; then
    flood=5000 many=20000
else
    flood=20000 many=25000
fi
mapfile -t formats < <("$a" export --help | awk '/^  [a-z]/ { print $1 }')

# The system's Python has babeltrace2's module.
python=python3
/usr/bin/python3 -c 'import bt2' 2>/dev/null && python=/usr/bin/python3
checked=()
for format in ctf perfetto chrome csv; do
    if [[ " ${formats[*]} " != *" $format "* ]]; then
        echo "SKIP export to $format: built without its library"
    elif [ $format = ctf ] && ! "$python" -c 'import bt2' 2>/dev/null; then
        echo "SKIP export to ctf is read by babeltrace2: no python3-bt2 (tools/setup --test)"
    else
        checked+=("$format")
    fi
done

# export_to FORMAT TRACE [OPTION]...: to $work/o.FORMAT; what it says in $work/export.err, its status as its status
export_to() {
    local format=$1 trace=$2
    shift 2
    rm -rf "$work/o.$format"
    "$a" export --to "$format" -o "$work/o.$format" "$@" "$trace" 2>"$work/export.err"
}

# same_in_all TRACE [STATUS]: all formats have what dump has, and what the ledger counts; with that status
same_in_all() {
    local trace=$1 status=${2:-0} format
    "$a" dump --json "$trace" >"$work/dump.json" 2>/dev/null
    equal $? "$status" || return 1
    "$a" dump "$trace" >"$work/dump.txt" 2>/dev/null
    "$a" info --json "$trace" >"$work/info.json" 2>/dev/null
    for format in json text "${checked[@]}"; do
        export_to "$format" "$trace"
        equal $? "$status" || { cat "$work/export.err"; return 1; }
    done
    cmp "$work/o.json" "$work/dump.json" && cmp "$work/o.text" "$work/dump.txt" || return 1
    for format in "${checked[@]}"; do
        "$python" "$source_dir/tests/integration/read_export.py" "$format" "$work/o.$format" "$work/dump.json" \
            "$work/dump.txt" "$work/info.json" >"$work/read.$format" 2>&1 || { tail -n 8 "$work/read.$format"; return 1; }
    done
    [ -z "$(find "$work" -name '*.partial' ! -name '*.adat.partial')" ] || { find "$work" -name '*.partial'; return 1; }
}

# ---- what is recorded ----------------------------------------------------------------------------

whole_api() {
    record "$t" --no-bpf --detail always -- "$out/tests/prog_api" >/dev/null && same_in_all "$t"
}
check "spans, instants, counters, typed events, marks" whole_api

payloads() {
    record "$t" --no-bpf --mark 'detail.record.number==77' -- "$out/tests/prog_detail" 5000 100 4000 && same_in_all "$t" &&
        grep -q '"kind":"marked"' "$work/dump.json"
}
check "payloads around marks, and marks of the recorder" payloads

functions() {
    record "$t" --no-bpf --policy block -- "$out/tests/prog_functions" >/dev/null && same_in_all "$t" || return 1
    [[ " ${checked[*]} " != *" perfetto "* ]] || grep -q ' 0 implied ends' "$work/read.perfetto" || { cat "$work/read.perfetto"; return 1; }
    grep -q ' 0 implied ends' "$work/read.chrome"
}
check "functions: as many ends as beginnings" functions

folded() {
    export_to folded "$t" && grep -q '^prog_functions.*;fibonacci;fibonacci [0-9]*$' "$work/o.folded" ||
        { cat "$work/export.err"; head -n 5 "$work/o.folded"; return 1; }
}
check "folded stacks of functions" folded

preloaded() {
    head -c 3000000 /dev/urandom >"$work/data"
    record "$t" --no-bpf --preload io,lock,thread,memory -- xz -T2 -0 --block-size=262144 -kc "$work/data" >/dev/null && same_in_all "$t"
}
check "xz with two threads, preloaded" preloaded

# A recorder that is stopped now and then: the threads drop.
losses() {
    local recorder
    rm -f "$t"
    "$a" record --no-bpf --policy "$1" --ring-size 4K -o "$t" -- "$out/tests/prog_load" 8 $flood 2>/dev/null &
    recorder=$!
    for _ in $(seq 8); do
        kill -STOP $recorder 2>/dev/null || break
        sleep 0.02
        kill -CONT $recorder 2>/dev/null
        sleep 0.01
    done
    wait $recorder || return 1
    [ "$("$a" info --json "$t" | jq '.events.attempted - .events.in_file')" -gt 0 ] || { echo "nothing was lost"; return 1; }
    same_in_all "$t"
}
check "what was dropped is told where it is missed, in all as the ledger says" losses discard
check "what was overwritten is, too" losses overwrite

losses_in_functions() {
    record "$t" --no-bpf --ring-size 4K --threads 2 -- "$out/tests/prog_functions" >/dev/null
    [ "$("$a" info --json "$t" | jq '.events.attempted - .events.in_file')" -gt 0 ] || { echo "nothing was lost"; return 1; }
    same_in_all "$t"
}
check "functions with losses are balanced all the same; threads without a slot" losses_in_functions

rotated() {
    local each=$((2 * many))
    # How much a writer in a hurry puts into one file is not known beforehand.
    until [ "$(find "$work/dir" -name 'trace-*' 2>/dev/null | wc -l)" -gt 1 ]; do
        rm -rf "$work/dir"
        each=$((each + many))
        record "$work/dir" --no-bpf --rotate-size 1M --policy block -- "$out/tests/prog_load" 4 $each || return 1
    done
    same_in_all "$work/dir"
}
check "a directory of files" rotated

scheduled() {
    record "$t" --sched --syscalls --policy block --detail always -- "$out/tests/plain_pingpong" 500 >/dev/null ||
        { cat "$work/stderr"; return 1; }
    same_in_all "$t" || return 1
    [[ " ${checked[*]} " == *" perfetto "* ]] || return 0
    grep -Eq ' [1-9][0-9]* CPUs' "$work/read.perfetto" || { cat "$work/read.perfetto"; return 1; }
}
record "$t" -- "$out/tests/prog_load" 1 1
if [ "$(summary .kernel.enabled)" = true ]; then
    check "switches and system calls, seen by the kernel; tracks of CPUs" scheduled
else
    echo "SKIP switches and system calls: kernel assistance is off: $(summary .kernel.reason)"
fi

# ---- what is made up, and what is broken ---------------------------------------------------------

sample() {
    "$out/tests/make_sample" "$t" "$@" && same_in_all "$t"
}
check "every kind of events" sample 3 200 16
check "cycles for a clock" sample 2 100 10 tsc
check "marks of the recorder" sample 2 8 4 parts ended marked
check "a killed recorder" sample 2 8 4 unclosed
check "hostile names and payloads" sample odd
check "processes that ended in all ways, with losses alone" sample deaths

torn() {
    local size
    "$out/tests/make_sample" "$work/whole.adat" 2 200 16 || return 1
    size=$(stat -c %s "$work/whole.adat")
    for cut in 3 5 9; do
        head -c $((size * cut / 10)) "$work/whole.adat" >"$t"
        same_in_all "$t" || return 1
        grep -q 'warning: .* is cut off' "$work/export.err" || { cat "$work/export.err"; return 1; }
    done
}
check "a torn end: the valid prefix, and a warning" torn

damaged() {
    local size
    size=$(stat -c %s "$work/whole.adat")
    for at in 4 7; do
        cp "$work/whole.adat" "$t"
        printf '\377\001' | dd of="$t" bs=1 seek=$((size * at / 10)) conv=notrunc status=none
        same_in_all "$t" 1 || return 1
        grep -q 'is damaged' "$work/export.err" || { cat "$work/export.err"; return 1; }
    done
}
check "a damaged file: the valid prefix, and status 1" damaged

# Any byte may be anything: no crash, no hang, and one line for what is wrong.
broken_anywhere() {
    local size format status
    size=$(stat -c %s "$work/whole.adat")
    for at in $(seq 1 9); do
        cp "$work/whole.adat" "$t"
        head -c 64 /dev/urandom | dd of="$t" bs=1 seek=$((size * at / 11)) conv=notrunc status=none
        for format in "${formats[@]}"; do
            timeout 60 "$a" export --to "$format" --force -o "$work/broken.$format" "$t" 2>"$work/export.err"
            status=$?
            [ $status -le 1 ] || { echo "$format: status $status"; cat "$work/export.err"; return 1; }
        done
    done
}
check "bytes that are anything" broken_anywhere

# ---- the tools' own words ------------------------------------------------------------------------

babeltrace_counts() {
    "$out/tests/make_sample" "$t" 3 200 16 && export_to ctf "$t" &&
        equal "$(babeltrace2 "$work/o.ctf" | wc -l)" 600 && babeltrace2 --fields=all --names=all "$work/o.ctf" >/dev/null
}
if command -v babeltrace2 >/dev/null; then
    check "babeltrace2 reads the CTF trace" babeltrace_counts
else
    echo "SKIP babeltrace2 reads the CTF trace: it is not installed (tools/setup --test)"
fi

protoc_counts() {
    "$out/tests/make_sample" "$t" 3 210 16 && export_to perfetto "$t" &&
        protoc --decode perfetto.Trace -I "$source_dir/user/convert" perfetto.proto <"$work/o.perfetto" >"$work/decoded" || return 1
    # An end that is missing is put in; all fields are known.
    equal "$(grep -c '^  track_event {' "$work/decoded")" $((630 + $(grep -c 'bool_value: true' "$work/decoded"))) || return 1
    equal "$(grep -Ec '^ *[0-9]+[ :]' "$work/decoded")" 0 &&
        equal "$(grep -c 'TYPE_SLICE_BEGIN' "$work/decoded")" "$(grep -c 'TYPE_SLICE_END' "$work/decoded")"
}
if ! command -v protoc >/dev/null || [[ " ${formats[*]} " != *" perfetto "* ]]; then
    echo "SKIP protoc decodes the Perfetto trace: no protoc (tools/setup --test), or built without protobuf-c"
else
    check "protoc decodes the Perfetto trace" protoc_counts
fi

# ---- selection -----------------------------------------------------------------------------------

selected() {
    "$out/tests/make_sample" "$t" 3 200 16 || return 1
    for format in json text; do
        option=$([ $format = json ] && echo --json)
        # shellcheck disable=SC2086 # none, or one word
        cmp <("$a" export --to $format --thread worker-1 --from 3us --until 9us --no-symbols "$t" 2>/dev/null) \
            <("$a" dump $option --thread worker-1 --from 3us --to 9us --no-symbols "$t") || return 1
        [ -s <("$a" dump --thread worker-1 --from 3us --until 9us "$t" 2>/dev/null) ] || true
    done
    [ "$("$a" dump --from 3us --until 9us --no-symbols "$t" | wc -l)" -gt 0 ]
}
check "one thread, a piece of time" selected

# What was lost before a piece of time is not lost in it.
losses_selected() {
    local all part
    losses discard >/dev/null || true
    all=$("$a" export --json --to text "$t" 2>&1 >/dev/null | jq '.events.lost')
    part=$("$a" export --json --to text --from 100s "$t" 2>&1 >/dev/null | jq '.events | .lost + .exported')
    [ "$all" -gt 0 ] && equal "$part" 0
}
check "nothing is lost where nothing is asked for" losses_selected

# ---- where it goes -------------------------------------------------------------------------------

"$out/tests/make_sample" "$t" 2 100 10 || exit 1

summary_adds_up() {
    export_to csv "$t" --json && jq -e --arg file "$t" --arg output "$work/o.csv" --argjson bytes "$(stat -c %s "$work/o.csv")" '
        .version == 1 and .file == $file and .output == $output and .format == "csv" and .bytes == $bytes and .threads == 2 and
        .events == {"exported": 200, "lost": 0, "vanished": 0} and .marks == 0' <(grep '^{' "$work/export.err") >/dev/null ||
        { cat "$work/export.err"; return 1; }
}
check "--json: the summary" summary_adds_up

existing_is_kept() {
    echo precious >"$work/o.csv"
    wrong 1 "exists already" "$a" export --to csv -o "$work/o.csv" "$t" && equal "$(cat "$work/o.csv")" precious || return 1
    mkdir -p "$work/mine" && echo precious >"$work/mine/notes" || return 1
    wrong 1 "exists already" "$a" export --to ctf -o "$work/mine" "$t" || return 1
    wrong 1 "Directory not empty" "$a" export --to ctf --force -o "$work/mine" --no-symbols "$t" || return 1
    equal "$(cat "$work/mine/notes")" precious && [ ! -e "$work/mine.partial" ]
}
check "what exists is not overwritten, with --force no directory of others" existing_is_kept

force_replaces() {
    "$a" export --to csv --force -o "$work/o.csv" --no-symbols "$t" 2>/dev/null && equal "$(head -c 7 "$work/o.csv")" time_ns || return 1
    export_to ctf "$t" && mkdir -p "$work/o.ctf.partial" && touch "$work/o.ctf.partial/stream_0" || return 1
    wrong 1 "o.ctf2.partial" "$a" export --to ctf -o "$work/o.ctf2" --no-symbols "$(mkdir "$work/o.ctf2.partial"; echo "$t")" || return 1
    "$a" export --to ctf --force -o "$work/o.ctf" --no-symbols "$t" 2>/dev/null && [ -s "$work/o.ctf/metadata" ] && [ ! -e "$work/o.ctf.partial" ]
}
check "--force replaces an export, and what a killed one left" force_replaces

pipe_ends() {
    local status
    for format in "${formats[@]}"; do
        [ "$format" != ctf ] || continue
        "$a" export --to "$format" --no-symbols "$t" 2>"$work/export.err" | head -c 100 >/dev/null
        status=${PIPESTATUS[0]}
        equal "$status" 0 && [ ! -s "$work/export.err" ] || { cat "$work/export.err"; return 1; }
    done
}
"$out/tests/make_sample" "$t" 4 5000 500 || exit 1
check "whoever reads has seen enough: no error" pipe_ends

full_disk() {
    for format in "${formats[@]}"; do
        [ "$format" = ctf ] || wrong 1 "No space left" "$a" export --to "$format" --no-symbols -o /dev/full "$t" || return 1
        [ "$format" != folded ] || continue # its output is short
        # A limit of the size of files is a full disk to who writes: nothing half-written is left.
        (ulimit -f 16; trap '' XFSZ; exec "$a" export --to "$format" --no-symbols -o "$work/full.$format" "$t") 2>"$work/export.err"
        equal $? 1 && grep -q "cannot write.*File too large; nothing is left" "$work/export.err" || { cat "$work/export.err"; return 1; }
        equal "$(wc -l <"$work/export.err")" 1 || { cat "$work/export.err"; return 1; }
        [ ! -e "$work/full.$format" ] && [ ! -e "$work/full.$format.partial" ] || return 1
    done
}
check "a full disk: one line, and nothing half-written" full_disk

stdout_full() {
    "$a" export --to json --no-symbols "$t" 2>"$work/export.err" >/dev/full
    equal $? 1 && equal "$(wc -l <"$work/export.err")" 1 && grep -q 'cannot write the output: No space' "$work/export.err"
}
check "stdout on a full disk" stdout_full

# Stopped while a pipe keeps it waiting.
interrupted() {
    local pid
    mkfifo "$work/fifo.adat" 2>/dev/null
    "$out/tests/make_sample" "$work/large.adat" 8 100000 4096 || return 1
    "$a" export --to text --no-symbols -o "$work/o.large" "$work/large.adat" 2>"$work/export.err" &
    pid=$!
    until [ -e "$work/o.large.partial" ] || [ -e "$work/o.large" ]; do
        kill -0 $pid 2>/dev/null || break
    done
    kill -TERM $pid 2>/dev/null
    wait $pid
    case $? in
    143) [ ! -e "$work/o.large" ] && [ ! -e "$work/o.large.partial" ] ;;
    0) [ -e "$work/o.large" ] ;; # it was faster
    *) cat "$work/export.err"; return 1 ;;
    esac
}
check "a signal: nothing half-written" interrupted

wrong_usage() {
    wrong 2 "no format given" "$a" export "$t" &&
        wrong 2 "there is no format 'fly'" "$a" export --to fly "$t" &&
        wrong 2 "say where with -o" "$a" export --to ctf "$t" &&
        wrong 2 "--force goes with -o" "$a" export --to csv --force "$t" &&
        wrong 2 "no file given" "$a" export --to csv &&
        wrong 2 "--from is later than --until" "$a" export --to csv --from 2s --until 1s "$t" &&
        wrong 2 "exclude each other" "$a" export --to csv --symbols /tmp --no-symbols "$t" &&
        wrong 1 "no thread 'nobody'" "$a" export --to csv --thread nobody "$t" &&
        wrong 1 "no such file" "$a" export --to csv "$work/nothing.adat" &&
        wrong 1 "cannot create '$work/no/where.partial'" "$a" export --to csv --no-symbols -o "$work/no/where" "$t"
}
check "wrong usage: one line" wrong_usage

if [[ " ${formats[*]} " == *" perfetto "* ]]; then
    terminal() {
        script -qec "$a export --to perfetto $t" /dev/null </dev/null >"$work/terminal" 2>&1
        grep -q 'nothing for a terminal' "$work/terminal" || { head -c 500 "$work/terminal"; return 1; }
    }
    check "nothing binary to a terminal" terminal
fi

# Memory does not grow with the events: blocks are as large, and ten times as many.
memory_is_bounded() {
    local small large
    record "$work/m.adat" --no-bpf --policy block -- "$out/tests/prog_load" 4 50000 || return 1
    record "$work/n.adat" --no-bpf --policy block -- "$out/tests/prog_load" 4 500000 || return 1
    for format in "${formats[@]}"; do
        rm -rf "$work/m.out"
        small=$(peak "$format" "$work/m.adat") && rm -rf "$work/m.out" && large=$(peak "$format" "$work/n.adat") || return 1
        # besides what the reader notes of each block
        [ $((large - small)) -lt 4096 ] || { echo "$format: $small KB, then $large KB"; return 1; }
    done
}
# peak FORMAT TRACE: of its memory, KB
peak() {
    "$python" -c '
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)' "$a" export --to "$1" --no-symbols -o "$work/m.out" "$2"
}
if [ -z "${ADA_SANITIZE:-}" ]; then
    check "memory does not grow with the events" memory_is_bounded
fi

exit $failed
