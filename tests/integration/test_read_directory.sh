#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# info, dump and verify of directories: recordings of real programs in several files read as one.
#   test_read_directory.sh OUT_DIR SOURCE_DIR
. "$(dirname "$0")/support.sh"

a=$out/adatrace
dir=$work/trace
if [ -n "${ADA_SANITIZE:-}" ]; then
    many=25000 details=60000 windows=3
else
    many=60000 details=100000 windows=5
fi

# rotate OPTION... -- COMMAND...: as small files as there may be, in $dir
rotate() {
    rm -rf "$dir"
    record "$dir" --rotate-size 1M "$@"
}

# count PATH: files there
count() {
    find "$1" -type f | wc -l
}

# rotate_load OPTION...: 8 threads with $each events each, which make more than one file: how much a writer in a hurry puts
# into one, and how much is lost, is not known beforehand
rotate_load() {
    each=$many
    while rotate "$@" -- "$out/tests/prog_load" 8 $each || return 1; [ "$(count "$dir")" -lt 2 ]; do
        each=$((2 * each))
    done
}

# of PATH FILTER: what info says
of() {
    "$a" info --json "$1" | jq -cr "$2"
}

# ticks PATH: the numbers of each thread of prog_load follow one another. Those after the first are missing if $gaps is set.
ticks() {
    "$a" dump --json "$1" >"$work/dumped" || return 1
    # Members come in a fixed order, and awk reads numbers up to what follows them: jq takes ten times as long.
    awk -v gaps="${gaps:-}" '
        !/"name":"load.tick"/ { next }
        { time = substr($0, length("{\"ts_ns\":") + 1) + 0; split($0, part, /"arg":/); argument = part[2] + 0 }
        { thread = int(argument / 2 ^ 40); number = argument - thread * 2 ^ 40 }
        time < last { print "back in time at " NR; exit 1 }
        number < next_of[thread] || (!gaps && number > next_of[thread]) {
            print "thread " thread ": " number " instead of " next_of[thread] + 0; exit 1 }
        { last = time; next_of[thread] = number + 1; seen[thread]++ }
        END { for (t in seen) print t, seen[t] }' "$work/dumped" >"$work/ticks" || { cat "$work/ticks"; return 1; }
}

# sound DIR: verify has nothing to say, and no record is there twice
sound() {
    "$a" verify --json "$1" >"$work/verified" || { jq .problems "$work/verified"; return 1; }
    equal "$(jq -c '[.ok, .duplicates, .unexplained, .missing_files]' "$work/verified")" "[true,0,0,0]"
}

# wrong_dir TEXT: verify fails because of TEXT, which is its first problem
wrong_dir() {
    local status
    "$a" verify "$dir" >"$work/verified" 2>"$work/stderr"
    status=$?
    equal $status 1 || return 1
    grep -q "$1" "$work/stderr" || { cat "$work/stderr"; return 1; }
}

# Sums per thread over all files are those that the recorder counted.
same_as_summary() {
    of "$dir" "[.threads[] | {tid, e: .$1} | select(.e.attempted > 0)] | sort_by(.tid)" >"$work/got"
    summary "[.threads[] | {tid, e: .$1} | select(.e.attempted > 0)] | sort_by(.tid) | tojson" >"$work/expected"
    diff <(jq -cS . "$work/expected") <(jq -cS . "$work/got")
}

one_trace() {
    local each
    rotate_load --policy block || return 1
    ticks "$dir" || return 1
    equal "$(awk -v each=$each '$2 == each' "$work/ticks" | wc -l)" 8 || { cat "$work/ticks"; return 1; }
    equal "$(of "$dir" '[.events.attempted, .events.in_file, .closed]')" "[$((8 * each)),$((8 * each)),true]" || return 1
    equal "$(of "$dir" '[.files | length, (map(.bytes) | add), (map(.events.in_file) | add)]')" \
        "[$(count "$dir"),$(cat "$dir"/* | wc -c),$((8 * each))]" || return 1
    equal "$(of "$dir" '[.recordings[] | .first_number, .last_number, .missing]')" "[1,$(count "$dir"),[]]" || return 1
    equal "$(of "$dir" '[.exit_status, .processes | length]')" "[0,1]" || return 1
    same_as_summary events && sound "$dir"
}

# The parts of the time between --from and --to are those of the whole.
options_of_dump() {
    local tid
    "$a" dump "$dir" >"$work/whole" || return 1
    tid=$(of "$dir" '[.threads[] | select(.events.in_file > 0)][3].tid')
    "$a" dump --thread "$tid" "$dir" >"$work/part" || return 1
    awk -v tid="/$tid" 'index($2, tid)' "$work/whole" | diff -q - "$work/part" || return 1
    "$a" dump --from "$(sed -n '100000p' "$work/whole" | awk '{print $1}')" --to "$(sed -n '100500p' "$work/whole" | awk '{print $1}')" \
        "$dir" >"$work/part" || return 1
    [ "$(wc -l <"$work/part")" -ge 501 ] || { wc -l <"$work/part"; return 1; }
    grep -cxFf "$work/part" "$work/whole" | equal "$(cat)" "$(wc -l <"$work/part")" || return 1
    "$a" dump --limit 100001 "$dir" | cmp - <(head -n 100001 "$work/whole") || return 1
    equal "$("$a" dump --event none "$dir")" "" || return 1
    wrong 1 "no thread 'nobody'" "$a" dump --thread nobody "$dir"
}

losses_add_up() {
    local each
    rotate_load --policy "$1" --ring-size 16K || return 1
    gaps=1 ticks "$dir" || return 1
    equal "$(of "$dir" .events.attempted)" $((8 * each)) || return 1
    equal "$(awk '{ sum += $2 } END { print sum }' "$work/ticks")" "$(of "$dir" .events.in_file)" || return 1
    same_as_summary events && sound "$dir"
}

# Fields of events come from payloads that may be in another file.
payloads() {
    rotate --policy block --detail always -- "$out/tests/prog_detail" $details 1000 1 2 || return 1
    [ "$(count "$dir")" -ge 2 ] || return 1
    equal "$("$a" dump --json "$dir" | jq -r 'select(.kind == "typed") | .fields | length' | sort | uniq -c | xargs)" \
        "$details 1" || return 1
    same_as_summary detail && sound "$dir"
}

# Some files compressed: the same lines, and the same sums.
compressed() {
    local before after each
    rotate_load --policy block || return 1
    before=$("$a" dump --json "$dir" | md5sum)
    for file in "$dir"/trace-*[1-6].adat; do
        gzip "$file"
    done
    after=$("$a" dump --json "$dir" | md5sum)
    equal "$after" "$before" || return 1
    equal "$(of "$dir" '[.files[] | select(.compressed)] | length')" "$(find "$dir" -name '*.gz' | wc -l)" || return 1
    same_as_summary events && sound "$dir"
}

file_missing() {
    local rest each=60000
    # Small rings keep the threads abreast: each has events in every file, and there are several behind the second.
    rotate --policy block --ring-size 16K -- "$out/tests/prog_load" 8 $each || return 1
    [ -e "$dir/trace-000003.adat" ] || { ls -l "$dir"; return 1; }
    rest=$(of "$dir" "8 * $each - (.files[1].events.in_file)")
    rm "$dir/trace-000002.adat"
    gaps=1 ticks "$dir" || return 1
    equal "$(awk '{ sum += $2 } END { print sum }' "$work/ticks")" "$rest" || return 1
    equal "$(of "$dir" '[.events.in_file, .recordings[0].missing]')" "[$rest,[[2,2]]]" || return 1
    "$a" info "$dir" | grep -q "not here: 2$" || return 1
    wrong_dir "trace-000003.adat: file 2 of the recording, which comes before it, is missing" || return 1
    # How much of a thread that began in it is missing, nobody knows.
    equal "$("$a" verify --json "$dir" 2>/dev/null | jq -c \
        "[.problem_count, .unexplained, .missing_files, .missing_records > 0, .missing_records <= 8 * $each - $rest]")" \
        "[1,0,1,true,true]" || return 1
    # That the oldest are gone is as it should be.
    rm "$dir/trace-000001.adat"
    equal "$("$a" verify --json "$dir" | jq -c '[.ok, .removed_files]')" "[true,2]"
}

# The end of one file is torn off: what is there is shown, and what is not is told.
file_torn() {
    local each
    rotate_load --policy block || return 1
    # An odd length is within a block.
    truncate -s $(($(stat -c %s "$dir/trace-000002.adat") / 2 | 1)) "$dir/trace-000002.adat"
    "$a" dump "$dir" >"$work/whole" 2>"$work/stderr" || { cat "$work/stderr"; return 1; }
    equal "$(grep -c "warning: '$dir/trace-000002.adat' is cut off" "$work/stderr")" 1 || { cat "$work/stderr"; return 1; }
    equal "$(wc -l <"$work/whole")" "$(of "$dir" .events.in_file 2>/dev/null)" || return 1
    wrong_dir "trace-000002.adat: the file ends within a block"
}

file_damaged() {
    printf 'X' | dd of="$dir/trace-000001.adat" bs=1 seek=200000 conv=notrunc status=none
    "$a" dump "$dir" >"$work/whole" 2>"$work/stderr"
    equal $? 1 || return 1
    grep -q "'$dir/trace-000001.adat' is damaged" "$work/stderr" || { cat "$work/stderr"; return 1; }
    # All of the others, and what comes before the damage.
    local file others=0
    for file in "$dir"/trace-*.adat; do
        [ "$file" = "$dir/trace-000001.adat" ] || others=$((others + $("$a" dump "$file" | wc -l)))
    done
    [ "$(wc -l <"$work/whole")" -gt $others ] || { echo "$(wc -l <"$work/whole") lines, and $others of the others"; return 1; }
}

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
    kill -KILL $recorder # first, so that it sees no end
    kill -KILL "$program"
    wait $recorder 2>/dev/null
    gaps=1 ticks "$dir" || return 1
    equal "$(awk '{ sum += $2 } END { print sum }' "$work/ticks")" "$(of "$dir" .events.in_file 2>/dev/null)" || return 1
    # The last file is not complete, unless it was killed just when that was, and the next one had nothing in it yet.
    equal "$(of "$dir" '[.closed and .empty_files == 0, .exit_status, (.recordings | length)]' 2>/dev/null)" "[false,null,1]" || return 1
    "$a" verify --json "$dir" >"$work/verified" 2>/dev/null
    equal "$(jq -c '[.duplicates, .unexplained, .missing_files]' "$work/verified")" "[0,0,0]" || return 1
    # A part of a block at the very end is what the kill may have left, and nothing else.
    equal "$(jq '[.problems[].text | select(contains("ends within a block") | not)] | length' "$work/verified")" 0
}

# Read again and again while files come and the oldest go.
while_it_is_written() {
    local recorder rounds=0
    rm -rf "$dir"
    "$a" record --rotate-size 1M --keep 4M -o "$dir" -- "$out/tests/prog_load" 4 $((20 * many)) 2>"$work/summary" &
    recorder=$!
    until [ -e "$dir/trace-000001.adat" ]; do
        kill -0 $recorder || return 1
    done
    while kill -0 $recorder 2>/dev/null; do
        "$a" info "$dir" >/dev/null 2>"$work/stderr" || { cat "$work/stderr"; return 1; }
        gaps=1 ticks "$dir" 2>"$work/stderr" || { cat "$work/stderr"; return 1; }
        rounds=$((rounds + 1))
    done
    wait $recorder || return 1
    [ $rounds -gt 0 ] && sound "$dir"
}

# A service that is started again: each recorder goes on where the one before ended.
recorders_one_after_the_other() {
    rm -rf "$dir" "$work/in" "$work/out"
    mkdir "$dir"
    mkfifo "$work/in" "$work/out"
    "$out/tests/prog_attach" 4 <"$work/in" >"$work/out" &
    local program=$! answer i file
    exec 8>"$work/in" 9<"$work/out"
    echo counts >&8 && read -r -t 60 answer <&9 || return 1 # it runs
    for i in $(seq $windows); do
        "$a" attach -p $program --rotate-size 1M -o "$work/window" --duration 100ms 2>"$work/stderr" 8>&- 9<&- ||
            { cat "$work/stderr"; return 1; }
        for file in "$work"/window/*; do
            mv "$file" "$dir/$i-${file##*/}"
        done
        rmdir "$work/window"
    done
    echo counts >&8 && read -r -t 60 answer <&9 || return 1
    exec 8>&- 9<&-
    wait $program
    gaps=1 ticks "$dir" || return 1
    equal "$(awk '{ sum += $2 } END { print sum }' "$work/ticks")" "$(of "$dir" .events.in_file)" || return 1
    equal "$(of "$dir" '.recordings | length')" $windows || return 1
    [ "$(of "$dir" .events.in_file)" -le "$(jq .emitted <<<"$answer")" ] || { echo "$answer"; return 1; }
    sound "$dir" || return 1
    # A copy of a recording's file under another name is the same file; so it is told, and read once.
    cp "$dir/1-trace-000001.adat" "$dir/other.adat"
    equal "$(of "$dir" '[.copies, .events.in_file]')" "[1,$(awk '{ sum += $2 } END { print sum }' "$work/ticks")]"
}

names_that_could_harm() {
    local name=$'\033[31m.adat'
    rotate --policy block -- "$out/tests/prog_load" 1 10 || return 1
    mv "$dir/trace-000001.adat" "$dir/$name"
    printf 'x' >"$dir/"$'a\nb.adat'
    "$a" info "$dir" >"$work/whole" 2>&1
    equal $? 1 || return 1
    "$a" verify "$dir" >>"$work/whole" 2>&1
    grep -q $'\033' "$work/whole" && return 1
    # One line says so, and only one.
    equal "$(grep -c '^adatrace info: .*a\\nb.adat' "$work/whole")" 1
}

nothing_there() {
    mkdir -p "$work/empty"
    for command in info dump verify; do
        wrong 1 "no trace is in it" "$a" $command "$work/empty" || return 1
    done
    echo x >"$work/empty/notes.txt"
    wrong 1 "no trace is in it" "$a" dump "$work/empty"
}

check "files of a recording are one trace" one_trace
check "dump: its options" options_of_dump
check "discard: losses add up" losses_add_up discard
check "overwrite: losses add up" losses_add_up overwrite
check "payloads" payloads
check "compressed files" compressed
check "a file is missing" file_missing
check "a file is torn" file_torn
check "a file is damaged" file_damaged
check "the recorder is killed" recorder_killed
check "while it is written, and the oldest go" while_it_is_written
check "recorders one after the other" recorders_one_after_the_other
check "names that could do harm" names_that_could_harm
check "a directory without traces" nothing_there
exit $failed
