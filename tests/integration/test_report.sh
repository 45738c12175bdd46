#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# report and diff on real recordings: counts against what the programs are known to do and against the accounts, times where the
# shape tells them; losses, killed programs, directories, damaged files.
#   test_report.sh OUT_DIR SOURCE_DIR
. "$(dirname "$0")/support.sh"

a=$out/adatrace
if [ -n "${ADA_SANITIZE:-}" ]; then
    many=15000 flood=20000
else
    many=60000 flood=200000
fi

# report OPTION... FILE: as JSON, in $work/report.json
report() {
    "$a" report --json "$@" >"$work/report.json" 2>"$work/warnings"
}

# of FILTER: of the last report
of() {
    jq -rc "$1" "$work/report.json"
}

# row NAME FIELD
row() {
    of ".rows[] | select(.name == \"$1\") | .$2"
}

# ---- functions of a known number ----

functions=$out/tests/prog_functions
export LD_LIBRARY_PATH=$out
record "$work/f.adat" --policy block -- "$functions" >"$work/calls"
check 'report: functions: reads' report "$work/f.adat"
check 'report: functions: nothing lost' equal "$(of .lost)" 0
check 'report: functions: all of them' equal "$(of '[.rows[] | select(.kind == "function").count] | add')" "$(cat "$work/calls")"
check 'report: functions: all complete' equal "$(of '[.spans.complete, .spans.begins, .spans.ends] | unique | length')" 1
check 'report: functions: events as in the ledger' equal "$(of .events)" "$("$a" info --json "$work/f.adat" | jq .events.in_file)"
counts() {
    for name in main worker leaf by_pointer fibonacci at_exit; do
        echo "$name $(row "$name" count)"
    done
}
check 'report: functions: each as often as it was called' equal "$(counts | tr '\n' ';')" \
    'main 1;worker 4;leaf 4000;by_pointer 4000;fibonacci 7892;at_exit 1;'
check 'report: functions: in their module' equal "$(row leaf module)" prog_functions
# All time in outermost spans is somebody's own.
check 'report: functions: self times add up' equal \
    "$(of '([.rows[].self_ns] | add) - ([.threads[].span_ns] | add)')" 0
check 'report: functions: a callee is within its caller' equal \
    "$(of '[.rows[] | {(.name): .total_ns}] | add | .by_pointer >= .leaf and .worker >= .by_pointer + .fibonacci')" true
check 'report: functions: percentiles in order' equal \
    "$(of '[.rows[] | .p50_ns <= .p90_ns and .p90_ns <= .p99_ns and .p99_ns <= .max_ns] | all')" true
check 'report: functions: threads' equal "$(of '.threads | length')" 5
check 'report: functions: the longest' equal "$(of '.longest[0] | [.kind, .name] | @csv')" '"function","main"'

tree_of() {
    report --tree --min 0 "$work/f.adat" || return 1
    of '([.tree[] | {key: (.node | tostring), value: .name}] | from_entries) as $names | .tree[] | select(.parent) |
        "\($names[.parent | tostring])>\(.name) \(.count)"' | sort | tr '\n' ';'
}
# compare is called by qsort: by main, as far as instrumented functions go.
check 'report: tree' equal "$(tree_of)" "by_pointer>leaf 4000;main>compare $(row compare count);prog_functions>at_exit 1;prog_functions>main 1;prog_functions>worker 4;worker>by_pointer 4000;worker>fibonacci 7892;"
"$a" report --tree "$work/f.adat" >"$work/text" 2>&1
check 'report: text: the tree is indented' grep -qE ' 4    worker$' "$work/text"
check 'report: text: no word of losses' equal "$(grep -c 'lost' "$work/text")" 0
check 'report: --min leaves out what took little' equal "$("$a" report --json --tree --min 100 "$work/f.adat" | jq -r '.tree[].kind' | sort -u)" process

report --by module "$work/f.adat"
check 'report: --by module' equal "$(of '.rows | map([.kind, .name, .count]) | .[] | @csv')" "\"module\",\"prog_functions\",$(cat "$work/calls")"
report --by thread "$work/f.adat"
check 'report: --by thread' equal "$(of '[(.rows | length), ([.rows[].count] | add)] | @csv')" "5,$(cat "$work/calls")"
report --by process "$work/f.adat"
check 'report: --by process' equal "$(of '[(.rows | length), .rows[0].count] | @csv')" "1,$(cat "$work/calls")"
report --by span "$work/f.adat"
check 'report: --by span: there are none' equal "$(of '.rows | length')" 0

# sorted FIELD FILTER DESCENDING
sorted() {
    report --sort "$1" "$work/f.adat" || return 1
    of "[.rows[] | $2] | . == (sort | if $3 then reverse else . end)" | grep -qx true || { of "[.rows[] | $2]"; return 1; }
}
check 'report: --sort total' sorted total .total_ns true
check 'report: --sort self' sorted self .self_ns true
check 'report: --sort count' sorted count .count true
check 'report: --sort mean' sorted mean .mean_ns true
check 'report: --sort p99' sorted p99 .p99_ns true
check 'report: --sort max' sorted max .max_ns true
check 'report: --sort name' sorted name .name false
report --limit 2 "$work/f.adat"
check 'report: --limit' equal "$(of '[(.rows, .threads, .longest) | length] | @csv')" 2,2,2

report "$work/f.adat"
main_tid=$(of '.longest[0].tid')
report --thread "$main_tid" "$work/f.adat"
check 'report: --thread' equal "$(of '[.rows[].name] | sort | @csv')" '"at_exit","compare","main"'
report --process "$main_tid" "$work/f.adat"
check 'report: --process: it is the only one' equal "$(row leaf count)" 4000
check 'report: no such thread' wrong 1 "no thread '1' in" "$a" report --thread 1 "$work/f.adat"
check 'report: no such process' wrong 1 "no process '1' in" "$a" report --process 1 "$work/f.adat"
report --no-symbols "$work/f.adat"
check 'report: --no-symbols' equal "$(of '[.rows[].name | startswith("prog_functions+0x")] | all')" true
# What began before the time that is looked at, and what ends after it, counts with its part of it.
half=$("$a" report --json "$work/f.adat" | jq '(.first_ns + .last_ns) / 2 | floor')
report --from "${half}ns" "$work/f.adat"
later=$(of .events)
check 'report: --from: begun before' equal "$(of '.spans.early > 0 and .spans.unmatched_ends == 0 and .first_ns >= '"$half")" true
second=$(of '[.threads[].span_ns] | add')
report --to "$((half - 1))ns" "$work/f.adat"
check 'report: --to: cut' equal "$(of '.spans.cut > 0 and .last_ns < '"$half")" true
parts() {
    local first whole
    first=$(of '[.threads[].span_ns] | add')
    whole=$("$a" report --json "$work/f.adat" | jq '[.threads[].span_ns] | add')
    [ $((first + second)) -le "$whole" ] && [ $((first + second)) -ge $((whole * 9 / 10)) ] || echo "$first and $second of $whole"
}
check 'report: --from and --to part the time' equal "$(parts)" ''
check 'report: --from and --to part the events' equal "$(($(of .events) + later))" "$("$a" report --json "$work/f.adat" | jq .events)"

# ---- spans of a known shape ----

spans=$out/tests/prog_spans

# shape ROUNDS: what prog_spans does, as rows of name, count, complete
shape() {
    echo "inner $((6 * $1)) $((6 * $1));jump $((2 * (($1 + 9) / 10))) 0;round $((2 * $1)) $((2 * $1));whole 2 2;"
}
got_shape() {
    of '.rows | sort_by(.name) | map("\(.name) \(.count) \(.complete);") | add'
}
record "$work/s.adat" --policy block -- "$spans" 100
check 'report: spans: reads' report --by span "$work/s.adat"
check 'report: spans: counted' equal "$(got_shape)" "$(shape 100)"
check 'report: spans: left by longjmp' equal "$(of '[.spans.unwound, .spans.cut, .spans.lost, .spans.unsure] | @csv')" 20,0,0,0
check 'report: spans: paired by content' equal "$("$out/tests/check_spans" "$work/s.adat")" 802

rotated() {
    rm -rf "$work/dir"
    record "$work/dir" --policy block --rotate-size 1M -- "$spans" "$((3 * many))" || return 1
    [ "$(find "$work/dir" -name '*.adat' | wc -l)" -ge 3 ] || { ls "$work/dir"; return 1; }
    report --by span "$work/dir" || { cat "$work/warnings"; return 1; }
    equal "$(got_shape)" "$(shape "$((3 * many))")" || return 1
    equal "$("$out/tests/check_spans" "$work/dir")" "$((24 * many + 2))"
}
check 'report: spans over files of a directory' rotated

killed() {
    rm -f "$work/k.adat"
    record "$work/k.adat" --policy block -- "$spans" 10 killed
    equal $? 137 || return 1
    report --by span "$work/k.adat" || return 1
    equal "$(of .spans.cut)" 2 || return 1
    equal "$(of '[.rows[] | select(.name | startswith("open")) | [.count, .complete, .mean_ns]] | unique | tojson')" '[[1,0,null]]' || return 1
    # They were open until the end.
    equal "$(of '[.longest[] | select(.incomplete) | .incomplete + " " + .name] | sort | @csv')" '"cut open","cut open.inner"'
}
check 'report: killed with open spans' killed

# Rings of 4 KiB and threads that never wait: most is lost, and nothing is made up for it.
lossy() {
    rm -f "$work/l.adat"
    record "$work/l.adat" --policy "$1" --ring-size 4K -- "$spans" "$flood" || return 1
    "$out/tests/check_spans" "$work/l.adat" >"$work/checked" || { cat "$work/checked"; return 1; }
    report "$work/l.adat" || return 1
    [ "$(of .lost)" -gt 0 ] || { echo 'nothing was lost'; return 1; }
    equal "$(of .lost)" "$("$a" info --json "$work/l.adat" | jq '.events | .attempted - .in_file')" || return 1
    equal "$(of .spans.complete)" "$(cat "$work/checked")" || return 1
    equal "$(of '.spans.begins')" "$("$a" dump --json "$work/l.adat" | grep -c '"kind":"span_begin"')" || return 1
    # Most rounds are whole even so, and nobody says how long what has losses in it took.
    [ "$(row round complete)" -gt 10 ] || { of .rows; return 1; }
    equal "$(of '[.rows[] | select(.name == "whole").complete] | add // 0')" 0 || return 1
    "$a" report "$work/l.adat" 2>&1 | head -n 1 | grep -q "$(of .lost) of $(of .events_account.attempted) events of this trace are lost"
}
check 'report: losses under discard' lossy discard
check 'report: losses under overwrite' lossy overwrite

# ---- waits ----

if [ -n "${ADA_SANITIZE:-}" ]; then
    echo 'SKIP report: waits of xz: what is built with sanitizers cannot be preloaded'
elif ! command -v xz >/dev/null; then
    echo 'SKIP report: waits of xz: not installed'
else
    head -c 2000000 /dev/urandom >"$work/random"
    record "$work/x.adat" --policy block --preload io,lock,thread -- xz -T2 -k -c "$work/random" >"$work/random.xz"
    report "$work/x.adat"
    dumped() {
        "$a" dump --json --event "$1" "$work/x.adat" | grep -c "\"kind\":\"$2\""
    }
    check 'report: xz: locks' equal "$(row pthread_mutex_lock count)" "$(dumped pthread_mutex_lock span_begin)"
    check 'report: xz: instants' equal "$(row pthread_mutex_unlock count)" "$(dumped pthread_mutex_unlock instant)"
    # Its first thread waits for the one that compresses, which signals it.
    worker=$("$a" dump --json --event thread_start "$work/x.adat" | jq -s '.[0].tid')
    check 'report: xz: waits for its worker' equal \
        "$(of "[.waits[] | select(.kind == \"lock\" and (.name | startswith(\"pthread_cond_\")) and .whom.tid == $worker)] | length > 0")" true
    check 'report: xz: waits are the time of the calls' equal \
        "$(of '([.waits[] | select(.name == "pthread_mutex_lock") | .total_ns] | add) == (.rows[] | select(.name == "pthread_mutex_lock") | .total_ns)')" true
    check 'report: xz: in text' grep -qE 'xz/[0-9]+ lock pthread_cond_.*, for xz/' < <("$a" report "$work/x.adat")
fi

# ---- differences ----

record "$work/s2.adat" --policy block -- "$spans" 100
record "$work/s3.adat" --policy block -- "$spans" 400
"$a" diff --json "$work/s.adat" "$work/s.adat" >"$work/report.json"
check 'diff: the same trace: nothing' equal "$(of '[.version, .compared, (.rows | length)] | @csv')" 1,4,0
"$a" diff --json "$work/s.adat" "$work/s3.adat" >"$work/report.json"
check 'diff: called more often' equal "$(of '[.rows[] | select(.tests.count.significant) | .name] | sort | @csv')" '"inner","jump","round"'
check 'diff: counts of both' equal "$(of '.rows[] | select(.name == "round") | [.a.count, .b.count] | @csv')" 200,800
"$a" diff --json "$work/s.adat" "$work/f.adat" >"$work/report.json"
check 'diff: new and gone' equal "$(of '[.rows[] | if .a then "gone" else "new" end] | group_by(.) | map("\(.[0]) \(length)") | @csv')" '"gone 4","new 7"'
"$a" diff --all --json "$work/s.adat" "$work/s2.adat" >"$work/report.json"
check 'diff: --all' equal "$(of '.rows | length')" 4
check 'diff: exits with 0, differences or not' "$a" diff "$work/s.adat" "$work/s3.adat"
"$a" diff "$work/s.adat" "$work/f.adat" >"$work/text"
check 'diff: text' grep -qE ' new +function leaf \[prog_functions\]$' "$work/text"
check 'diff: one trace' wrong 2 'two traces are compared' "$a" diff "$work/s.adat"
check 'diff: three traces' wrong 2 'more than two' "$a" diff "$work/s.adat" "$work/s.adat" "$work/s.adat"
check 'diff: not a trace' wrong 1 "cannot read '/bin/sh'" "$a" diff "$work/s.adat" /bin/sh

# ---- a program that knows nothing of adatrace ----

# Two threads that wake each other by pipes: each sleeps in read(2) for the other, and for nobody else.
foreign_waits() {
    local first second status
    "$out/tests/plain_pingpong" 1000000000 &
    first=$!
    until second=$(find /proc/$first/task -mindepth 1 -maxdepth 1 ! -name $first -printf '%f' 2>/dev/null) && [ -n "$second" ]; do
        kill -0 $first || return 1
    done
    rm -f "$work/p.adat"
    "$a" attach --sched --syscalls --duration 300ms -p $first -o "$work/p.adat" 2>"$work/stderr"
    status=$?
    kill -KILL $first
    wait $first 2>/dev/null
    equal $status 0 || { cat "$work/stderr"; return 1; }
    "$a" report --json --limit 0 "$work/p.adat" >"$work/report" || return 1
    equal "$(jq -r '.waits[] | select(.name == "syscall.read" and .whom.pid == '"$first"' and .count > 10) | "\(.kind) \(.tid) \(.whom.tid)"' "$work/report" | sort)" \
        "$(printf 'sleep %s %s\n' "$first" "$second" "$second" "$first" | sort)" || return 1
    # Who waits does nothing else meanwhile.
    equal "$(jq '.duration_ns as $all | [.waits | group_by(.tid)[] | map(.total_ns) | add <= $all] | all' "$work/report")" true
}

# Who waits since before anybody looked, and for whom. With the scheduler's events, and without.
hung_waits() {
    local tids expected kind
    hang || return 1
    tids=$(for name in plain_deadlock first second; do grep -lx "$name" /proc/"$hung"/task/*/comm; done | cut -d/ -f5)
    # shellcheck disable=SC2086
    set -- $tids
    for kind in asleep syscall; do
        rm -f "$work/h.adat"
        if [ $kind = asleep ]; then set -- "$1" "$2" "$3" --sched; else set -- "$1" "$2" "$3"; fi
        "$a" attach --syscalls "${@:4}" --duration 200ms -p "$hung" -o "$work/h.adat" 2>"$work/stderr" || { cat "$work/stderr"; return 1; }
        "$a" report --json "$work/h.adat" >"$work/report" || return 1
        expected=$(printf "$kind %s syscall.futex %s\n" "$1" "$2" "$2" "$3" "$3" "$2" | sort)
        equal "$(jq -r '.waits[] | select(.total_ns >= 100000000) | "\(.kind) \(.tid) \(.name) \(.whom.tid)"' "$work/report" | sort)" "$expected" || return 1
        equal "$(jq -c '[.spans.cut, .spans.complete, .spans.unmatched_ends]' "$work/report")" '[3,0,0]' || return 1
    done
    kill -KILL "$hung"
    wait "$hung" 2>/dev/null
    "$a" verify "$work/h.adat" >"$work/verified" || { cat "$work/verified"; return 1; }
}
record "$work/k.adat" -- "$out/tests/prog_load" 1 1 >/dev/null
if [ "$(summary .kernel.enabled)" = true ]; then
    check 'report: of a program that is attached to: who waits, for what, for whom' foreign_waits
    check 'report: of a program that hangs: who waits, for what, for whom' hung_waits
else
    echo 'SKIP report of a program that is attached to: kernel assistance is off'
fi

# ---- what cannot be read ----

check 'report: no file' wrong 1 "cannot read '$work/none'" "$a" report "$work/none"
check 'report: not a trace' wrong 1 "cannot read '/bin/sh'" "$a" report /bin/sh
check 'report: nothing given' wrong 2 'report' "$a" report
check 'report: --by nothing known' wrong 2 "--by: 'color'" "$a" report --by color "$work/s.adat"
check 'report: --sort by nothing known' wrong 2 "--sort: 'color'" "$a" report --sort color "$work/s.adat"
check 'report: --min of no percent' wrong 2 "--min: '101'" "$a" report --min 101 "$work/s.adat"
check 'report: --limit of no number' wrong 2 "--limit: 'x'" "$a" report --limit x "$work/s.adat"
check 'report: --from after --to' wrong 2 '--from is later' "$a" report --from 2 --to 1 "$work/s.adat"
full() {
    wrong 1 'No space left' bash -c "'$a' report '$work/s.adat' >/dev/full"
}
check 'report: nowhere to write' full
check 'report: who reads has seen enough' bash -c "set -o pipefail; '$a' report --limit 0 '$work/f.adat' | head -n 1"

# Damage at each of many places: an answer in finite time, a status of 0 or 1, and each line on stderr tells of it.
damaged() {
    local size at status
    size=$(stat -c %s "$work/s.adat")
    for at in $(seq 0 $((size / 60 + 1)) "$size"); do
        cp "$work/s.adat" "$work/d.adat"
        printf '\377\0\377\377\377\377\377\377' | dd of="$work/d.adat" bs=1 seek="$at" conv=notrunc status=none
        for command in report 'report --tree --json' "diff $work/s.adat"; do
            # shellcheck disable=SC2086 # a command and its options
            timeout 60 "$a" $command "$work/d.adat" >"$work/stdout" 2>"$work/stderr"
            status=$?
            [ $status -le 1 ] || { echo "$command: $status with damage at $at"; cat "$work/stderr"; return 1; }
            [ $status -eq 0 ] || equal "$(grep -vc '^adatrace [a-z]*: ' "$work/stderr")" 0 || return 1
        done
        head -c "$at" "$work/s.adat" >"$work/d.adat"
        timeout 60 "$a" report "$work/d.adat" >"$work/stdout" 2>"$work/stderr"
        status=$?
        [ $status -le 1 ] || { echo "$status when cut at $at"; cat "$work/stderr"; return 1; }
    done
}
check 'report: damaged and cut files' damaged

exit $failed
