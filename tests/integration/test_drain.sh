#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The drain from outside: threads that come and go, bursts, silence, payloads around marks, and all of it at once.
#   test_drain.sh OUT_DIR SOURCE_DIR
. "$(dirname "$0")/support.sh"

# How much: sanitizers are slow, and what they look for needs no millions.
if [ -n "${ADA_SANITIZE:-}" ]; then
    churn=2000 burst=5000 quiet=2 soak=5
else
    churn=100000 burst=100000 quiet=5 soak=20
fi

# What the program and the recorder complained about.
complaints() {
    grep -v '^{' "$work/stderr" | head -n 5
}

# ---- threads that come and go --------------------------------------------------------------------

# As many slots as threads live at a time: each must come back, or the program finds none.
churn() {
    record "$work/t.adat" --policy block --threads 64 -- "$out/tests/prog_churn" $churn 64 3 >"$work/churn.json" ||
        { complaints; return 1; }
    equal "$(summary '[.events.attempted, .events.in_file, (.threads | length) + .threads_omitted] | @csv')" "$((3 * churn)),$((3 * churn)),$churn" &&
        verify "$work/t.adat" && "$out/tests/check_load" "$work/t.adat" $churn 3 all
}

no_thread_without_slot() {
    equal "$(summary '[.threads[] | select(.tid == 0)] | length')" 0
}

# The recorder keeps the accounts of the first 4,096 threads for its summary, which have all ended by the first third; what the
# heap and the kernel's counting in pages may add to that does not depend on the threads.
memory_is_flat() {
    local growth
    growth=$(jq -c '.threads as $all | (.samples | map(select(.[0] <= $all / 3)) | max_by(.[1])) as $first
        | (.samples | map(select(.[0] > $all * 2 / 3)) | max_by(.[1])) as $last
        | {first: $first, last: $last, kb: ($last[1] - $first[1]), bound: 1024}' \
        "$work/churn.json")
    equal "$(jq '.first[1] > 0 and .kb <= .bound' <<<"$growth")" true || { echo "$growth"; return 1; }
}

# ---- bursts and silence --------------------------------------------------------------------------

burst_block() {
    record "$work/t.adat" --policy block --threads 64 -- "$out/tests/prog_burst" 32 $burst ||
        { complaints; return 1; }
    equal "$(summary '.events | [.attempted, .in_file] | @csv')" "$((32 * burst)),$((32 * burst))" &&
        verify "$work/t.adat" && "$out/tests/check_load" "$work/t.adat" 32 $burst all
}

burst_discard() {
    record "$work/t.adat" --policy discard --threads 64 -- "$out/tests/prog_burst" 32 $burst ||
        { complaints; return 1; }
    equal "$(summary '.events | [.attempted, .in_file + .dropped_full + .dropped_nested] | @csv')" \
        "$((32 * burst)),$((32 * burst))" &&
        verify "$work/t.adat" && "$out/tests/check_load" "$work/t.adat" 32 $burst lossy
}

# What was recorded comes into the file while the threads are silent and ask for nothing: also the first events of a
# ring that nobody fills.
silence_hides_nothing() {
    local threads=$1 events=$2 recorder target in_file=0 i=0
    rm -f "$work/t.adat"
    "$out/adatrace" record --json --policy block --threads 64 -o "$work/t.adat" -- \
        "$out/tests/prog_burst" "$threads" "$events" forever 2>"$work/stderr" &
    recorder=$!
    until target=$(pgrep -P $recorder -x prog_burst); do
        kill -0 $recorder || { complaints; return 1; }
    done
    until [ "$in_file" = $((threads * events)) ] || [ $((i++)) = 600 ]; do
        sleep 0.1
        in_file=$("$out/adatrace" info --json "$work/t.adat" 2>/dev/null | jq .events.in_file)
    done
    kill -TERM "$target"
    wait $recorder
    equal $? 143 && equal "$in_file" $((threads * events)) && verify "$work/t.adat"
}

# Threads that record nothing cost nothing: what is left are the control thread's four looks a second at processes
# and file, and the drain's housekeeping once a second.
idle_recorder_sleeps() {
    local switches
    record "$work/t.adat" -- "$out/tests/prog_burst" 64 1 $quiet >"$work/idle.json" ||
        { complaints; return 1; }
    switches=$(jq .switches "$work/idle.json")
    [ "$switches" -le $((10 * quiet)) ] || { echo "woke $switches times in $quiet s"; return 1; }
}

# ---- payloads ------------------------------------------------------------------------------------

# numbers [FILTER]: of the events whose payload is in the file, in the order of the dump
numbers() {
    dump | jq -n -c "[inputs.fields.number | numbers] | ${1-.}"
}

# detail COUNT [MARK]...: under `block`, and with rings of which one holds 1,433 of these payloads
detail() {
    record "$work/t.adat" --policy block --ring-size 64K -- "$out/tests/prog_detail" "$@" || return 1
    equal "$(summary '.detail | .attempted - .in_file - .recycled_unmarked')" 0 || return 1
    equal "$(summary '.detail.attempted, .events.in_file' | paste -sd ,)" "$1,$(($1 + $# - 1))" && verify "$work/t.adat"
}

unmarked_is_recycled() {
    detail 1000 || return 1
    equal "$(summary '.detail | [.in_file, .recycled_unmarked] | @csv')" 0,1000 && equal "$(numbers length)" 0
}

# All fits into the two rings.
marked_is_kept() {
    detail 2000 1000 || return 1
    equal "$(summary .detail.in_file)" 2000 && equal "$(numbers '. == [range(2000)]')" true
}

# At each mark what the ring before the active one held, at least, and one ring after it; in order, without a hole.
around_marks() {
    local mark
    detail 40000 10000 30000 || return 1
    equal "$(numbers length)" "$(summary .detail.in_file)" || return 1
    equal "$(numbers '. == unique')" true || { echo "not in order"; return 1; }
    # Two rings before a mark and two after it at most: what is beyond is not kept.
    equal "$(numbers 'map(select((. - 10000 | . < -2866 or . >= 2866) and (. - 30000 | . < -2866 or . >= 2866))) | length')" 0 ||
        { echo "more than what is around the marks"; return 1; }
    for mark in 10000 30000; do
        equal "$(numbers "map(select(. >= $mark - 1433 and . < $mark + 1433)) | length")" 2866 ||
            { echo "a hole around mark $mark"; return 1; }
    done
    # The marks themselves: how many other events are before each.
    equal "$(dump | jq -n -c '[foreach (inputs.kind == "mark") as $mark (0; if $mark then . else . + 1 end;
        select($mark))]')" '[10000,30000]'
}

# ---- marks from outside ---------------------------------------------------------------------------

# rule RULE: one record in 40,000 is what it finds; some before and some after are kept.
rule_keeps() {
    record "$work/t.adat" --policy block --ring-size 64K --mark "$1" -- "$out/tests/prog_detail" 40000 20000 || return 1
    verify "$work/t.adat" || return 1
    equal "$(dump | jq -c 'select(.kind == "marked") | .name')" "$(jq -n -c --arg rule "$1" '$rule')" || return 1
    equal "$(summary .drain.marks)" 1
}

# A rule is met when the recorder comes to see its event; then the rings may have gone on. What is kept has no hole.
field_rule() {
    rule_keeps 'detail.record.number == 39000' || return 1
    equal "$(numbers 'index(39000) != null and index(39999) != null')" true
}

# The program itself marks number 20000: that keeps payloads, too.
event_rule() {
    rule_keeps event=detail.mark && equal "$(numbers 'index(20000) != null')" true
}

rule_that_never_matches() {
    record "$work/t.adat" --policy block --mark 'detail.record.number > 99999' --mark event=nothing -- "$out/tests/prog_detail" 5000 || return 1
    equal "$(summary '.drain.marks, .detail.in_file' | paste -sd ,)" 0,0 && verify "$work/t.adat"
}

# adatrace mark -p PID: of ten payloads before, and ten after.
marked_by_command() {
    local recorder target status
    rm -f "$work/t.adat" "$work/in" "$work/out"
    mkfifo "$work/in"
    "$out/adatrace" record --json -o "$work/t.adat" -- "$out/tests/prog_detail" wait <"$work/in" >"$work/out" 2>"$work/stderr" &
    recorder=$!
    exec 9>"$work/in"
    until grep -q ready "$work/out" 2>/dev/null; do kill -0 $recorder || return 1; done
    target=$(pgrep -P $recorder -x prog_detail)
    "$out/adatrace" mark -p "$target"
    status=$?
    echo >&9
    exec 9>&-
    wait $recorder || return 1
    tail -n 1 "$work/stderr" >"$work/summary.json"
    equal $status 0 && equal "$(numbers '. == [range(20)]')" true && verify "$work/t.adat" || return 1
    equal "$(dump | jq -c 'select(.kind == "marked") | .name')" '"adatrace mark"'
}

mark_refused() {
    wrong 1 "nothing records it" "$out/adatrace" mark -p $$ && wrong 1 "there is none" "$out/adatrace" mark -p 999999999 &&
        wrong 2 "no process given" "$out/adatrace" mark && wrong 2 "not the number" "$out/adatrace" mark -p 1x &&
        wrong 2 "unexpected" "$out/adatrace" mark -p 1 2
}

bad_rules() {
    wrong 2 "at character" "$out/adatrace" record --mark 'span=request' -- true &&
        wrong 2 "operator: == != > >= < <= at character 5" "$out/adatrace" record --mark 'name' -- true &&
        wrong 2 "--detail off" "$out/adatrace" record --detail off --mark event=x -- true
}

scheduler() {
    record "$work/t.adat" --policy block --scheduler "$1" -- "$out/tests/prog_load" 16 $((burst / 10)) || return 1
    equal "$(summary .drain.scheduler)" "$1" && verify "$work/t.adat" &&
        "$out/tests/check_load" "$work/t.adat" 16 $((burst / 10)) all || return 1
    equal "$(summary '.drain | .jain == 1 and .latency_us.p50 > 0 and .latency_us.p50 <= .latency_us.p99 and .wait_max <= 2')" true ||
        { summary .drain; return 1; }
    equal "$("$out/adatrace" info --json "$work/t.adat" | jq -c '.drain | [.scheduler, .jain]')" "[\"$1\",1]"
}

# The program names itself, and its worker "api-worker".
weights() {
    record "$work/t.adat" --scheduler weighted --weight '*=2' --weight 'api-w*=7' -- "$out/tests/prog_api" >/dev/null || return 1
    equal "$(summary '[.threads[] | select(.name == "api-worker") | .weight] | unique | @csv')" 7 &&
        equal "$(summary '[.threads[] | select(.tid != 0 and .name != "api-worker") | .weight] | unique | @csv')" 2 &&
        verify "$work/t.adat" || return 1
    record "$work/t.adat" --scheduler weighted -- "$out/tests/prog_api" >/dev/null || return 1
    equal "$(summary '[.threads[] | has("weight")] | any')" false
}

bad_weights() {
    local record=("$out/adatrace" record --scheduler weighted)
    wrong 2 "--weight 'worker': expected NAME=N" "${record[@]}" --weight worker -- true &&
        wrong 2 "--weight '=3': expected NAME=N" "${record[@]}" --weight =3 -- true &&
        wrong 2 "--weight 'worker=1001': N is a number from 1 to 1000" "${record[@]}" --weight worker=1001 -- true &&
        wrong 2 "15 characters" "${record[@]}" --weight a-thread-named-long=2 -- true &&
        wrong 2 "add --scheduler weighted" "$out/adatrace" record --weight worker=2 -- true &&
        wrong 2 "nothing to the priority scheduler" "$out/adatrace" record --weight worker=2 --scheduler priority -- true
}

check "churn: $churn threads through 64 slots, by content" churn
check "churn: each thread had a slot" no_thread_without_slot
has_wakeups=$(summary '.drain | has("wakeups")')
if [ -n "${ADA_SANITIZE:-}" ]; then
    echo "SKIP churn: the recorder's memory: sanitizers keep what was freed"
else
    check "churn: the recorder's memory is flat" memory_is_flat
fi
check "a burst of 32 x $burst, block: nothing lost, by content" burst_block
check "a burst of 32 x $burst, discard: in file + dropped = attempted, per thread" burst_discard
check "64 threads with one event each, silent: it comes into the file" silence_hides_nothing 64 1
check "a burst of 32 x $burst, silent: all comes into the file" silence_hides_nothing 32 $burst
# Needs the drain that waits for events: one that counts its wake-ups. The one before it looks around every 10 ms.
if [[ ${ADA_SANITIZE:-} == *thread* ]]; then
    echo "SKIP idle threads: the recorder sleeps: ThreadSanitizer has a thread of its own that wakes"
elif [ "$has_wakeups" = true ]; then
    check "idle threads: the recorder sleeps" idle_recorder_sleeps
else
    echo "SKIP idle threads: the recorder sleeps: this drain looks around every 10 ms"
fi
check "detail: unmarked payloads stay out of the file" unmarked_is_recycled
check "detail: a mark keeps what the rings hold" marked_is_kept
check "detail: around each mark, in order" around_marks
check "mark: a field" field_rule
check "mark: an event" event_rule
check "mark: rules that never match" rule_that_never_matches
check "mark: by command" marked_by_command
check "mark: refused, with the reason" mark_refused
check "mark: bad rules" bad_rules
for name in adaptive round-robin weighted priority; do
    check "scheduler: $name" scheduler $name
done
check "weights: by the names of threads" weights
check "weights: refused, with the reason" bad_weights
check "unknown scheduler" wrong 2 "unknown scheduler 'fifo'" "$out/adatrace" record --scheduler fifo -- true
check "soak: everything at once, $soak s" "$source_dir/tests/stress/soak" --seconds "$soak" --out "$out"
exit $failed
