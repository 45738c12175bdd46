#!/bin/bash
# SPDX-License-Identifier: MIT
#
# adatrace info, dump and verify: what they print, how they end, what they say to bad input.
# usage: test_cli_read.sh OUT_DIR

set -u
adatrace=$1/adatrace
make_sample=$1/tests/make_sample
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
failed=0
count=0

# report TEXT: the test passed if the command before it succeeded
report() {
    local status=$?
    count=$((count + 1))
    if [ $status -eq 0 ]; then
        echo "ok - $1"
    else
        echo "not ok - $1"
        [ -s out ] && head -5 out | sed 's/^/#   out: /'
        [ -s err ] && head -5 err | sed 's/^/#   err: /'
        failed=$((failed + 1))
    fi
}

# run ARG...: adatrace, with its output in the files out and err, and its status in $status
run() {
    "$adatrace" "$@" >out 2>err
    status=$?
}

# one_line_error PATTERN: stderr is one line that matches, and there is no other output
one_line_error() {
    [ "$(wc -l <err)" -eq 1 ] && grep -q -- "$1" err
}

"$make_sample" small.adat 2 8 4 || exit 1
"$make_sample" many.adat 8 500 50 tsc || exit 1
"$make_sample" killed.adat 2 8 4 unclosed || exit 1
"$make_sample" parts.adat 2 8 4 parts ended marked || exit 1
"$make_sample" half.adat 2 8 4 unclosed ended marked tsc || exit 1
"$make_sample" odd.adat odd || exit 1
"$make_sample" deaths.adat deaths || exit 1
size=$(stat -c %s small.adat)

# ---- the command line ----

run; [ $status -eq 2 ] && one_line_error "no command given"; report "no command: usage error"
run fly; [ $status -eq 2 ] && one_line_error "unknown command 'fly'"; report "unknown command: usage error"
run --fly; [ $status -eq 2 ] && one_line_error "unknown option '--fly'"; report "unknown option: usage error"
run --help; [ $status -eq 0 ] && grep -q '^  dump' out && [ ! -s err ]; report "--help: lists the commands"
run --version; [ $status -eq 0 ] && grep -Eq '^adatrace [0-9]+\.[0-9]+' out; report "--version"
for command in info dump verify; do
    run $command --help; [ $status -eq 0 ] && grep -q "usage: adatrace $command" out; report "$command --help"
    run $command -h; [ $status -eq 0 ] && grep -q "usage: adatrace $command" out; report "$command -h"
    run $command; [ $status -eq 2 ] && one_line_error "no file given.*adatrace $command --help"
    report "$command without a file: usage error"
    run $command small.adat many.adat; [ $status -eq 2 ] && one_line_error "more than one file.*many.adat"
    report "$command of two files: usage error"
    run $command --fly small.adat; [ $status -eq 2 ] && one_line_error "unknown option '--fly'"
    report "$command --fly: usage error"
    run $command -x small.adat; [ $status -eq 2 ] && one_line_error "unknown option '-x'"
    report "$command -x: usage error"
    run $command --json=1 small.adat; [ $status -eq 2 ] && one_line_error "'--json=1' takes no value"
    report "$command --json=1: usage error"
done
run dump small.adat --limit; [ $status -eq 2 ] && one_line_error "'--limit' needs a value"
report "dump --limit without a value: usage error"
for bad in "--limit x" "--limit -1" "--from 1x" "--to yesterday" "--from 2s --to 1s"; do
    # shellcheck disable=SC2086
    run dump small.adat $bad; [ $status -eq 2 ] && one_line_error "adatrace dump: --"
    report "dump $bad: usage error"
done

# ---- files that are no traces ----

mkdir folder
: >empty
echo "#!/bin/sh" >script
head -c 40 small.adat >stub
mkfifo pipe
cp small.adat header.adat
# In its reserved part, which is 0: of the random id any byte could be the same already.
printf '\377' | dd of=header.adat bs=1 seek=50 conv=notrunc status=none
for command in info dump verify; do
    run $command missing.adat; [ $status -eq 1 ] && one_line_error "'missing.adat': no such file; check"
    report "$command of a missing file"
    run $command folder; [ $status -eq 1 ] && one_line_error "a directory"; report "$command of a directory"
    run $command empty; [ $status -eq 1 ] && one_line_error "ends before its first block"; report "$command of an empty file"
    run $command script; [ $status -eq 1 ] && one_line_error "not an adatrace file"; report "$command of another file"
    run $command stub; [ $status -eq 1 ] && one_line_error "ends before its first block"; report "$command of half a header"
    run $command pipe; [ $status -eq 1 ] && one_line_error "not a regular file"; report "$command of a FIFO does not hang"
    run $command header.adat; [ $status -eq 1 ] && one_line_error "header is damaged"
    report "$command of a file with a damaged header"
done
run verify --json script
[ $status -eq 1 ] && jq -e '.version == 1 and .ok == false and .blocks == 0 and (.problems | length) == 1' out >/dev/null
report "verify --json of another file"

# ---- info ----

run info small.adat
[ $status -eq 0 ] && [ ! -s err ] && grep -q "^command    app --fast$" out && grep -q "exited with status 3" out &&
    grep -Eq " 4243  worker-1 +8 +0 +1 +0$" out && grep -Eq "^in file +16 +2$" out && grep -q ", closed$" out
report "info: header, process, threads, ledger"
! grep -q $'\033' out; report "info: no colours into a file"
run info parts.adat
[ $status -eq 0 ] && [ ! -s err ] && grep -q "^marks      3$" out && grep -q "^scheduler  weighted-fair$" out &&
    grep -q "^iterations 77, the longest 45.6 us; woken 7 times$" out &&
    grep -q "^visits     55 of threads with work, 5 in vain; 6 looks at quiet threads, 4 left out as they had not run$" out &&
    grep -q "^wait       2 iterations at most" out && grep -q "^fairness   0.998 " out && grep -q "^CPU        0.002 s$" out &&
    grep -q "^latency    p50 12.5 us, p90 90.0 us, p99 99.0 us, max 1000.0 us " out &&
    grep -q "^writes     12, 1 failed$" out && grep -q "^marks      3 set by the recorder$" out
report "info: drain, marks"
run info --json small.adat
[ $status -eq 0 ] && [ "$(wc -l <out)" -eq 1 ] && jq -e '
    .version == 1 and .file == "small.adat" and .command == "app --fast" and .exit_status == 3 and
    .closed and .cut_bytes == 0 and .duration_s == 2.8e-6 and .clock == "anchored" and .clock_error_ns == 50 and
    .events.attempted == 16 and .events.in_file == 16 and .events.pending == 0 and .detail.in_file == 2 and
    (.processes | length) == 1 and .processes[0].pid == 4242 and .processes[0].end == "exit" and
    [.threads[].tid] == [4242, 4243] and .threads[1].pid == 4242 and .threads[1].name == "worker-1" and
    .threads[1].events.in_file == 8 and .session.host == "box"' out >/dev/null
report "info --json"
run info --json parts.adat
[ $status -eq 0 ] && jq -e '
    .drain == {"scheduler":"weighted-fair","iterations":77,"iteration_us_average":10,"iteration_us_max":45.6,"jain":0.998,
        "latency_us":{"p50":12.5,"p90":90,"p99":99,"max":1000},"cpu_s":0.0015,"threads_visited":55,
        "threads_skipped":5,"sweeps":6,"spared":4,"wakeups":7,"wait_max":2,"records":16,"bytes":512,
        "writes":12,"failed_writes":1,"marks":3} and .marks == 3 and
    [.threads[].drain] == [{"visits":3,"skips":1,"bytes":256,"wait_max":2,"wait_average":(4/3)},
        {"visits":3,"skips":1,"bytes":256,"wait_max":2,"wait_average":(4/3)}]' out >/dev/null
report "info --json: drain, marks"
run info half.adat
[ $status -eq 0 ] && [ ! -s err ] && grep -q "no final ledger: of threads that had not ended" out && grep -q "^drain$" out
report "info of a trace whose recorder was killed after a thread had ended"
run info --json half.adat
[ $status -eq 0 ] && jq -e '.drain.iterations == 77 and [.threads[].drain.visits] == [3,null] and
    [.threads[].events.in_file] == [8,8] and .threads[1].drain == null' out >/dev/null
report "info --json of a trace whose recorder was killed after a thread had ended"
run info killed.adat
[ $status -eq 0 ] && [ ! -s err ] && grep -q "not closed" out && grep -q "end not recorded" out &&
    grep -q "no final ledger" out && ! grep -q "^drain$" out
report "info of a trace whose recorder was killed"
run info --json killed.adat
[ $status -eq 0 ] && jq -e '.drain == null and .marks == 0 and .threads[0].drain == null and .closed == false and .exit_status == null and .events.in_file == 16' out >/dev/null
report "info --json of a trace whose recorder was killed"
run info odd.adat
[ $status -eq 0 ] && grep -q "killed by signal 9 (SIGKILL)" out; report "info of a killed process"
run info --json odd.adat
[ $status -eq 0 ] && jq -e '.exit_status == 137 and .processes[0].end == "signal"' out >/dev/null
report "info --json of a killed process"

run info deaths.adat
[ $status -eq 0 ] && grep -q '^ *101  exited with status 7 ' out && grep -q '^ *102  killed by signal 7 (SIGBUS) ' out &&
    grep -q '^ *103  went on as another program ' out && grep -q '^ *104  ended, how is not known ' out &&
    grep -q '^ *105  still ran at the end ' out && grep -q '^ *106  exited with status 0, not fully drained' out &&
    grep -q '12 events of threads that found no free slot were lost' out && grep -q '^latency    not known$' out &&
    grep -q '^scheduler  round\\x1brobin$' out && grep -q '^off: no\\x1bBTF$' out && grep -q 'guessed: too few clock anchors' out
report "info: every way to end"
run info --json deaths.adat
[ $status -eq 0 ] && jq -e '
    [.processes[].end] == ["exit","signal","exec","unknown","detached","exit"] and
    [.processes[].exit_status] == [7,135,null,null,null,0] and .processes[5].drain_complete == false and
    .drain.latency_us == null and .drain.iterations == 0 and .processes[0].unregistered.dropped_full == 12 and .events.dropped_full == 12 and .clock == "guessed" and
    .kernel == {"enabled":false,"reason":"no\u001bBTF","lifecycle_lost":0,"sched_attempted":0,"sched_lost":0}' out >/dev/null
report "info --json: every way to end"

# ---- dump ----

run dump small.adat
[ $status -eq 0 ] && [ "$(wc -l <out)" -eq 16 ]; report "dump: a line for each event"
[ "$(wc -l <err)" -eq 1 ] && grep -q "warning: no names for functions of '/usr/bin/app': no such file here; --symbols DIR" err
report "dump: of which module functions have no names, and why"
cp out named
run dump --no-symbols small.adat
[ $status -eq 0 ] && [ ! -s err ] && cmp out named; report "dump --no-symbols: looks for no files"
run dump --symbols /x --no-symbols small.adat
[ $status -eq 2 ] && one_line_error "--symbols and --no-symbols exclude each other"; report "dump --symbols --no-symbols: usage error"
run dump --no-symbols small.adat
sed -n 1p out | grep -q '^     0.000001000 4242/4242 worker-0        instant tick 0$'; report "dump: an instant"
grep -q '^     0.000001200 4242/4242 worker-0          counter queue.depth -2$' out; report "dump: a counter, indented"
grep -q ' event request 3 id=3 delta=-3 ms=0.75 where=0xdead0003 path="/item/3"$' out; report "dump: fields"
grep -q ' entry app+0x1001 0x5$' out; report "dump: a function"
awk '{ if ($1 < last) exit 1; last = $1 }' out; report "dump: in the order of time"
run dump many.adat
[ $status -eq 0 ] && [ "$(wc -l <out)" -eq 4000 ] && awk '{ if ($1 < last) exit 1; last = $1 }' out
report "dump of many threads and cycle counters: in the order of time"

run dump --json small.adat
[ $status -eq 0 ] && [ "$(wc -l <out)" -eq 16 ] &&
    jq -es 'all(keys_unsorted == ["ts_ns","pid","tid","lane","kind","name","arg","fields"]) and
            all(.lane == "index") and
            .[0] == {"ts_ns":1700000000000001000,"pid":4242,"tid":4242,"lane":"index","kind":"instant","name":"tick","arg":0,"fields":{}} and
            ([.[].kind] | unique) == ["counter","function_entry","function_exit","instant","span_begin","span_end","typed"] and
            (map(select(.kind == "typed"))[0].fields == {"id":3,"delta":-3,"ms":0.75,"where":"0xdead0003","path":"/item/3"}) and
            (map(select(.kind == "function_entry"))[0].fields == {"module":"/usr/bin/app","offset":"0x1000","build_id":"01020304"}) and
            (map(select(.kind == "counter"))[0].arg == -2)' out >/dev/null
report "dump --json: keys, values, fields"
head -1 out | grep -q '"ts_ns":1700000000000001000,'; report "dump --json: nanoseconds are exact"

run dump small.adat --thread worker-1
[ $status -eq 0 ] && [ "$(wc -l <out)" -eq 8 ] && ! grep -q worker-0 out; report "dump --thread NAME"
run dump small.adat --thread 4242
[ $status -eq 0 ] && [ "$(wc -l <out)" -eq 8 ] && ! grep -q worker-1 out; report "dump --thread TID"
run dump small.adat --thread 4242 --thread worker-1
[ $status -eq 0 ] && [ "$(wc -l <out)" -eq 16 ]; report "dump --thread twice"
run dump small.adat --thread nobody
[ $status -eq 1 ] && one_line_error "no thread 'nobody' in 'small.adat'; 'adatrace info'" && [ ! -s out ]
report "dump --thread of nobody"
run dump small.adat --event tick
[ $status -eq 0 ] && [ "$(wc -l <out)" -eq 4 ] && ! grep -qv ' tick ' out; report "dump --event NAME"
run dump small.adat --event 'q*' --event tick
[ $status -eq 0 ] && [ "$(wc -l <out)" -eq 6 ]; report "dump --event GLOB, twice"
run dump small.adat --from 1200ns --to 1.4us
[ $status -eq 0 ] && [ "$(wc -l <out)" -eq 5 ] && head -1 out | grep -q ' 0.000001200 ' && tail -1 out | grep -q ' 0.000001400 '
report "dump --from --to: with both ends"
run dump small.adat --from 0.0000012 --limit 1
[ $status -eq 0 ] && grep -q '^     0.000001200' out; report "dump --from takes the times that dump prints"
run dump small.adat --limit 3
[ $status -eq 0 ] && [ "$(wc -l <out)" -eq 3 ]; report "dump --limit"
run dump small.adat --limit 0
[ $status -eq 0 ] && [ ! -s out ]; report "dump --limit 0"

# Marks: by a rule, behind the event that it found; of a process; of nothing in particular.
run dump --no-symbols parts.adat
[ $status -eq 0 ] && [ ! -s err ] && [ "$(wc -l <out)" -eq 19 ] && awk '{ if ($1 < last) exit 1; last = $1 }' out &&
    grep -A1 '0.000001300 4242/4242 worker-0 *event request 3 ' out | tail -1 |
        grep -q '^     0.000001300 4242/4242 worker-0        marked request.ms>0.5 record=3$' &&
    grep -q '^     0.000001250 4242/- - *marked pid 4242$' out && grep -q '^     0.000001350 -/- - *marked by hand$' out
report "dump: marks in the order of time"
run dump --json parts.adat
[ $status -eq 0 ] && [ "$(wc -l <out)" -eq 19 ] &&
    jq -es 'all(keys_unsorted == ["ts_ns","pid","tid","lane","kind","name","arg","fields"]) and
            (map(select(.kind == "marked") | [.pid, .tid, .lane, .name, .arg, .fields])) ==
                [[4242,null,"detail","pid 4242",null,{}],[4242,4242,"detail","request.ms>0.5",3,{}],
                 [null,null,"detail","by hand",null,{}]]' out >/dev/null
report "dump --json: marks"
grep -q '"ts_ns":1700000000000001300,.*"kind":"marked"' out; report "dump --json: the time of a mark is exact"
run dump half.adat
[ $status -eq 0 ] && [ "$(wc -l <out)" -eq 19 ] && grep -q '0.000001350 -/- - *marked by hand$' out
report "dump: marks of cycle counters"
run dump parts.adat --thread worker-0
[ $status -eq 0 ] && [ "$(wc -l <out)" -eq 9 ] && [ "$(grep -c marked out)" -eq 1 ]; report "dump --thread: its marks only"
run dump parts.adat --thread worker-1
[ $status -eq 0 ] && [ "$(wc -l <out)" -eq 8 ] && ! grep -q marked out; report "dump --thread: no marks of others"
run dump parts.adat --event 'request.*'
[ $status -eq 0 ] && [ "$(wc -l <out)" -eq 1 ] && grep -q 'marked request.ms>0.5 record=3$' out
report "dump --event: reasons of marks"
run dump parts.adat --from 1301ns --to 1350ns
[ $status -eq 0 ] && [ "$(wc -l <out)" -eq 2 ] && [ "$(grep -c marked out)" -eq 1 ]; report "dump --from --to: marks"
run dump parts.adat --from 1s
[ $status -eq 0 ] && [ ! -s out ]; report "dump --from: no marks before"
run dump parts.adat --event '*b*' --limit 2
[ $status -eq 0 ] && [ "$(wc -l <out)" -eq 1 ] && grep -q 'by hand' out; report "dump --event --limit: a mark"
run dump parts.adat --limit 7
[ $status -eq 0 ] && [ "$(wc -l <out)" -eq 7 ] && tail -1 out | grep -q 'marked pid 4242'; report "dump --limit: counts marks"

run dump odd.adat
[ $status -eq 0 ] && ! LC_ALL=C grep -q $'[\001-\011\013-\037\177\377]' out && [ "$(wc -l <out)" -eq 5 ] &&
    grep -q 'marked a\\x1bb\\"c record=0$' out && grep -q '(fields lost)' out && grep -q 'unknown bad' out && grep -q 'event#77' out
report "dump: nothing that a terminal would obey"
run dump --json odd.adat
[ $status -eq 0 ] && jq -es '(.[0].fields | keys | length) == 2 and .[3].kind == "unknown" and .[0].fields.ms == null' out >/dev/null
report "dump --json: odd names are valid JSON"

(set -o pipefail; "$adatrace" dump many.adat 2>err | head -1 >out) && [ ! -s err ]
report "dump | head: ends quietly"
(set -o pipefail; "$adatrace" dump --json many.adat 2>err | head -1 >out) && [ ! -s err ]
report "dump --json | head: ends quietly"
"$adatrace" dump small.adat >/dev/full 2>err
[ $? -eq 1 ] && one_line_error "cannot write the output: No space left"; report "dump to a full disk"
"$adatrace" info small.adat >/dev/full 2>err
[ $? -eq 1 ] && one_line_error "cannot write the output: No space left"; report "info to a full disk"
"$adatrace" --help >/dev/full 2>err
[ $? -eq 1 ] && one_line_error "cannot write the output: No space left"; report "--help to a full disk"

# ---- verify, and damage ----

run verify small.adat
[ $status -eq 0 ] && [ ! -s err ] && grep -q '^small.adat: ok: 17 blocks, 16 events$' out; report "verify: ok"
run verify --json small.adat
[ $status -eq 0 ] && jq -e '.version == 1 and .ok and .closed and .blocks == 17 and .cut_bytes == 0 and .problems == []' out >/dev/null
report "verify --json: ok"
run verify parts.adat
[ $status -eq 0 ] && grep -q '^parts.adat: ok: 23 blocks, 16 events$' out; report "verify: ok, an index in parts"
run verify half.adat; [ $status -eq 0 ]; report "verify: ok, an ended thread's account and no final ledger"
run verify many.adat; [ $status -eq 0 ]; report "verify: ok, many threads"
run verify killed.adat
[ $status -eq 0 ] && [ ! -s err ] && grep -q 'not closed: its recorder was killed' out
report "verify of a trace whose recorder was killed: ok, and says so"

head -c $((size - 100)) small.adat >cut.adat
run verify cut.adat
[ $status -eq 1 ] && one_line_error "'cut.adat' is damaged: 1 problem" && grep -q 'bytes are cut off' out
report "verify of a cut file"
run verify --json cut.adat
[ $status -eq 1 ] && jq -e '.ok == false and .cut_bytes > 0 and (.problems | length) == 1 and .problems[0].offset > 0' out >/dev/null
report "verify --json of a cut file"
run dump --no-symbols cut.adat
[ $status -eq 0 ] && one_line_error "warning: 'cut.adat' is cut off" && [ "$(wc -l <out)" -eq 16 ]
report "dump of a cut file: the prefix, and a warning"
run info cut.adat
[ $status -eq 0 ] && one_line_error "warning: 'cut.adat' is cut off" && grep -q '^cut off ' out
report "info of a cut file: the prefix, and a warning"

cp small.adat flipped.adat
printf '\377' | dd of=flipped.adat bs=1 seek=$((size - 1500)) conv=notrunc status=none
run verify flipped.adat
[ $status -eq 1 ] && one_line_error "checksum does not match"; report "verify of a flipped bit"
run dump flipped.adat
[ $status -eq 1 ] && one_line_error "'flipped.adat' is damaged: a block's checksum" && [ -s out ]
report "dump of a flipped bit: the prefix, and failure"
run info --json flipped.adat
[ $status -eq 1 ] && jq -e '.cut_bytes > 0 and (.cut_reason | test("checksum"))' out >/dev/null
report "info --json of a flipped bit"

cat small.adat small.adat >twice.adat
run verify twice.adat
[ $status -eq 1 ] && one_line_error "follows the footer"; report "verify of a file with something behind it"

# ---- the same everywhere: a path that needs care ----

cp small.adat -- "-a b.adat"
run verify -- "-a b.adat"; [ $status -eq 0 ]; report "verify -- '-a b.adat'"
run dump --limit 1 -- "-a b.adat"; [ $status -eq 0 ]; report "dump -- '-a b.adat'"

echo "test_cli_read: $((count - failed)) passed, $failed failed"
[ $failed -eq 0 ]
