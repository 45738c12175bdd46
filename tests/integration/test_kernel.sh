#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Kernel assistance: ends of threads, with the real kernel; and without it.
#   test_kernel.sh OUT_DIR SOURCE_DIR
. "$(dirname "$0")/support.sh"

# How much: sanitizers are slow, and what they look for needs no millions.
if [ -n "${ADA_SANITIZE:-}" ]; then
    killed=1000 per_process=50 raw=0 idle=200
else
    killed=10000 per_process=200 raw=10000 idle=4080
fi

# What the program and the recorder complained about.
complaints() {
    grep -v '^{' "$work/stderr" | head -n 5
}

info() {
    "$out/adatrace" info --json "$work/t.adat" | jq -c "$1"
}

# ---- killed at random moments --------------------------------------------------------------------

# Everything that was published is in the file, whoever tells of the ends.
kills() {
    rm -f "$work/progress"
    record "$work/t.adat" "$@" -- "$out/tests/prog_kills" $killed $per_process 10 "$work/progress" >"$work/recorded" ||
        { complaints; return 1; }
    verify "$work/t.adat" && "$out/tests/check_load" "$work/t.adat" $killed 10 prefix "$work/progress"
}

every_thread_has_a_death_record() {
    equal "$(info '[.threads[] | select(.events.attempted > 0)] | [(length >= '"$(cat "$work/recorded")"'),
        (map(select(.death.end == "signal" and .death.exit_status == 137 and .death.drain_complete)) | length) == length]')" \
        '[true,true]' || return 1
    equal "$(info '.kernel | [.enabled, .lifecycle_lost]')" '[true,0]'
}

# ---- marks by what the kernel sees -----------------------------------------------------------------

# marks NUMBER: whether there are so many, or more
marks() {
    [ "$("$out/adatrace" status -p "$target" --json 2>/dev/null | jq .drain.marks)" -ge "$1" ] 2>/dev/null
}

waiter_is_marked() {
    [ "$(payloads waiter.before 2>/dev/null)" -gt 0 ]
}

# waits "CONDITION" OPTION...: records a thread that waits 100 ms for another, until the condition is true; a minute at most
waits() {
    local recorder target condition until=$((SECONDS + 60))
    read -ra condition <<<"$1"
    shift
    rm -f "$work/t.adat" "$work/input"
    mkfifo "$work/input"
    "$out/adatrace" record -o "$work/t.adat" --metrics-interval 100ms "$@" -- "$out/tests/prog_waits" wait 100 <"$work/input" 2>"$work/stderr" &
    recorder=$!
    exec 9>"$work/input"
    until target=$(pgrep -P $recorder -x prog_waits) && "${condition[@]}"; do
        kill -0 $recorder || { cat "$work/stderr"; exec 9>&-; return 1; }
        [ $SECONDS -lt $until ] || { echo "in vain awaited: ${condition[*]}"; break; }
    done
    exec 9>&-
    wait $recorder || { cat "$work/stderr"; return 1; }
    verify "$work/t.adat"
}

# payloads NAME: how many of its events have theirs in the file
payloads() {
    dump | jq -c "select(.name == \"$1\" and .fields.number != null)" | wc -l
}

who_waited_is_marked() {
    waits 'marks 1' --mark 'offcpu>60ms' || return 1
    equal "$(payloads waiter.before)" 50 || return 1
    equal "$(payloads waker.before)" 0
}

who_woke_is_marked() {
    waits 'marks 2' --mark 'offcpu > 60ms' --mark-wakers || return 1
    equal "$(payloads waiter.before)" 50 || return 1
    equal "$(payloads waker.before)" 50 || return 1
    dump >"$work/dumped"
    grep -c ', woke ' "$work/dumped" >/dev/null || { echo "nobody woke"; return 1; }
}

# Who is woken waits for a CPU a little. Any number of marks may be of the others, before it is.
runqueue_is_marked() {
    waits waiter_is_marked --mark 'runqueue>=1ns' || return 1
    [ "$(payloads waiter.before)" -gt 0 ] || { echo "no payloads"; return 1; }
}

killed_is_marked() {
    record "$work/t.adat" --mark signal=fatal -- "$out/tests/prog_waits" crash
    equal $? 137 || return 1
    verify "$work/t.adat" || return 1
    equal "$(payloads victim.before)" 50 || return 1
    record "$work/t.adat" -- "$out/tests/prog_waits" crash
    equal $? 137 || return 1
    equal "$(payloads victim.before)" 0
}

rule_without_kernel() {
    wrong 1 "--mark 'offcpu>1ms' needs kernel assistance, which is not to be had: --no-bpf" "$out/adatrace" record --no-bpf \
        --mark 'offcpu>1ms' -o "$work/x.adat" -- true || return 1
    [ ! -e "$work/x.adat" ] || { echo "the file is there"; return 1; }
}

# ---- switches in the trace -----------------------------------------------------------------------

# of_name NAME TID FILTER: of a thread's events with that name
of_name() {
    jq -c "select(.name == \"$1\" and .tid == $2) | $3" "$work/dumped"
}

all_switches_are_there() {
    equal "$(info '.kernel.sched_attempted - .kernel.sched_lost')" \
        "$(jq -c 'select(.name | startswith("sched.")) | 1' "$work/dumped" | wc -l)"
}

# What the kernel tells is in the file, each record once; switches are as many as the kernel itself counted for each thread.
switches_are_in_the_trace() {
    local waiter waker
    waits 'marks 1' --sched --mark 'offcpu>60ms' || return 1
    dump >"$work/dumped"
    all_switches_are_there || return 1
    waiter=$(jq -s '[.[] | select(.name == "waiter.before")][0].tid' "$work/dumped")
    waker=$(jq -s '[.[] | select(.name == "waker.before")][0].tid' "$work/dumped")
    equal "$(of_name sched.wakeup "$waiter" 'select(.fields.slept_ns > 60000000) | [.fields.by, .arg == .fields.slept_ns]')" \
        "[$waker,true]" || return 1
    of_name sched.switch_out "$waiter" .fields.why | grep -c sleeps >/dev/null || { echo "never asleep"; return 1; }
    for tid in $waiter $waker; do
        equal "$(of_name sched.switch_out "$tid" 1 | wc -l)" \
            "$(info "[.threads[] | select(.tid == $tid and .kernel)][0].kernel | .switches_voluntary + .switches_involuntary")" || return 1
    done
    # In the order of time, with the program's own: it wakes up before it goes on.
    equal "$(jq -c "select(.tid == $waiter and (.name == \"waiter.woken\" or (.name == \"sched.wakeup\" and .fields.slept_ns > 60000000))) | .name" "$work/dumped" | tr '\n' ' ')" \
        '"sched.wakeup" "waiter.woken" '
}

# Nobody reads the kernel's rings while there are more switches than fit: what is lost of them is counted, and nothing else is lost.
switches_flood() {
    local recorder target
    rm -f "$work/t.adat"
    "$out/adatrace" record --json --sched -o "$work/t.adat" -- "$out/tests/plain_pingpong" 200000 2>"$work/stderr" &
    recorder=$!
    until target=$(pgrep -P $recorder -x plain_pingpong); do kill -0 $recorder || { cat "$work/stderr"; return 1; }; done
    kill -STOP $recorder
    until [ "$(cut -d ' ' -f 3 "/proc/$target/stat")" = Z ]; do :; done
    kill -CONT $recorder
    wait $recorder || { cat "$work/stderr"; return 1; }
    tail -n 1 "$work/stderr" >"$work/summary.json"
    verify "$work/t.adat" || return 1
    equal "$(summary '.kernel | [.lifecycle_lost, .sched_lost > 100000] | @csv')" 0,true || { summary .kernel; return 1; }
    equal "$(info '[.processes[] | [.end, .exit_status]]')" '[["exit",0]]' || return 1
    equal "$(info '[.threads[].tid] | [length, (unique | length)]')" '[2,2]' || return 1
    equal "$(summary '.kernel.sched_attempted - .kernel.sched_lost')" "$(summary .events.attempted)" || return 1
    equal "$(summary '.events.attempted - .events.in_file')" 0
}

# Processes and threads that come and go.
switches_of_children() {
    record "$work/t.adat" --sched -- sh -c "$out/tests/prog_load 4 1000; $out/tests/prog_churn 60 20 3; exit 7"
    equal $? 7 || return 1
    verify "$work/t.adat" || return 1
    [ "$(info '[.processes[] | select(.command | startswith("kernel:"))] | length')" -ge 3 ] || { info .processes; return 1; }
    equal "$(info '[.processes[] | select((.command | startswith("kernel:")) and .end != "exit")] | length')" 0 || return 1
    dump >"$work/dumped"
    all_switches_are_there
}

# ---- system calls ---------------------------------------------------------------------------------

# What a program does from its execve() on is what strace counts, call by call.
# strace counts calls that return; who leaves does not, and its last span ends with it.
calls_as_strace_counts() {
    record "$work/t.adat" --syscalls -- ls -l / >"$work/listed" || { complaints; return 1; }
    verify "$work/t.adat" || return 1
    strace -c -U calls,name -o "$work/strace" ls -l / >"$work/listed" || return 1
    dump | jq -s -r '
        (to_entries | map(select(.value.name == "syscall.execve" and .value.kind == "span_end" and .value.arg == 0))[0].key) as $from
        | .[$from + 1:][] | select(.kind == "span_end") | .name | sub("syscall."; "") | select(. != "exit_group")' | sort | uniq -c | awk '{ print $2, $1 }' >"$work/got"
    awk '$1 ~ /^[0-9]+$/ && $2 != "execve" && $2 != "total" { print $2, $1 }' "$work/strace" | sort >"$work/expected"
    [ -s "$work/expected" ] && diff "$work/expected" "$work/got"
}

# Only those that are named; what they return is there; spans are whole.
calls_of_a_list() {
    record "$work/t.adat" --syscalls=openat,read,close -- cat /proc/self/status /nowhere >"$work/listed" 2>&1
    equal $? 1 || return 1
    equal "$(dump | jq -r .name | sort -u | tr '\n' ' ')" "syscall.close syscall.openat syscall.read " || return 1
    equal "$(dump | jq -c 'select(.name == "syscall.openat" and .kind == "span_end" and .arg == -2) | 1' | wc -l)" \
        "$(strace -e openat cat /proc/self/status /nowhere 2>&1 >/dev/null | grep -c 'ENOENT.*')" || return 1
    equal "$(dump | jq -s '[.[] | select(.kind == "span_begin")] | length')" "$(dump | jq -s '[.[] | select(.kind == "span_end")] | length')"
}

# ---- functions ------------------------------------------------------------------------------------

# Every call, with its argument; spans nest, and have what is returned.
calls_of_functions() {
    record "$work/t.adat" --uprobe "$out/tests/plain_calls:leaf" --uprobe "$out/tests/plain_calls:nest,ret" -- "$out/tests/plain_calls" ||
        { complaints; return 1; }
    verify "$work/t.adat" || return 1
    equal "$(dump | jq -s -c '[.[] | select(.name == "uprobe.leaf")] | group_by(.tid) | map([length, (map(.kind) | unique | join(" ")), (map(.arg) == [range(500)])])')" \
        '[[500,"instant",true],[500,"instant",true]]' || return 1
    equal "$(dump | jq -s -c '[.[] | select(.name == "uprobe.nest")] | group_by(.tid) | map(map([.kind, .arg] | join(" ")) | join(",")) | unique')" \
        '["span_begin 5,span_begin 4,span_begin 3,span_begin 2,span_begin 1,span_begin 0,span_end 7,span_end 17,span_end 27,span_end 37,span_end 47,span_end 57"]'
}

no_such_function() {
    wrong 1 "cannot attach to function 'nonsense' of '$out/tests/plain_calls': there is none" "$out/adatrace" record \
        --uprobe "$out/tests/plain_calls:nonsense" -o "$work/x.adat" -- true || return 1
    [ ! -e "$work/x.adat" ] || { echo "the file is there"; return 1; }
}

# ---- ends without destructors --------------------------------------------------------------------

# Far more threads than slots: each must come back through the kernel's word alone.
raw_exits() {
    record "$work/t.adat" --policy block --threads 64 -- "$out/tests/prog_ends" raw $raw 64 10 ||
        { complaints; return 1; }
    equal "$(summary '.events | [.attempted, .in_file] | @csv')" "$((raw * 10)),$((raw * 10))" || return 1
    verify "$work/t.adat" && "$out/tests/check_load" "$work/t.adat" $raw 10 all || return 1
    equal "$(info '[.threads[] | select(.death.end != "exit" or .death.exit_status != 0 or (.death.drain_complete | not))] | length')" 0
}

# The kernel's counts of a thread's switches are those of its life; what it did is known for each, but for runs whose beginning Linux traces to
# nobody: see leave_cpu() in bpf/sched.bpf.c, which was seen for one switch in 4,000. File and summary say the same of them.
contexts_are_in_the_file() {
    local unknown
    unknown=$(info '[.threads[] | select(.kernel.run_s <= 0) | .kernel] | length')
    [ "$unknown" -le $((raw / 1000)) ] || { info '[.threads[] | select(.kernel.run_s <= 0) | {tid, kernel}][:5]'; return 1; }
    equal "$(info '[.threads[] | select(.kernel.run_s < 0 or .kernel.runqueue_s < 0 or .kernel.preempted_s > .kernel.runqueue_s) | {tid, kernel}]')" '[]' &&
        equal "$(summary '[.threads[] | select(.kernel.run_s <= 0)] | length')" "$unknown" &&
        equal "$("$out/adatrace" info "$work/t.adat" | grep -cE "^ +[0-9]+  exit 0 +[0-9]+\.[0-9]{3} ")" $raw
}

raw_exits_without_bpf() {
    record "$work/t.adat" --no-bpf -- "$out/tests/prog_ends" raw 200 64 10 || { complaints; return 1; }
    equal "$(summary '.events | [.attempted, .in_file] | @csv')" 2000,2000 || return 1
    equal "$(info '[.kernel.enabled, .kernel.reason, ([.threads[] | select(.death != null)] | length)]')" '[false,"--no-bpf",0]'
}

# ---- unusual ends --------------------------------------------------------------------------------

main_thread_first() {
    record "$work/t.adat" -- "$out/tests/prog_ends" main-first
    equal $? 5 || return 1
    verify "$work/t.adat" || return 1
    equal "$(info '[.processes[] | [.end, .exit_status]]')" '[["exit",5]]' || return 1
    # Its status is its own; the other thread's that of the process.
    equal "$(info '[.threads[] | [.tid == .pid, .death.end, .death.exit_status, .events.in_file]] | sort')" \
        '[[false,"exit",5,2],[true,"exit",7,1]]'
}

exec_from_a_thread() {
    record "$work/t.adat" -- "$out/tests/prog_ends" exec-thread
    equal $? 6 || return 1
    verify "$work/t.adat" || return 1
    equal "$(info '[.processes[] | [.end, .exit_status]]')" '[["exec",null],["exit",6]]' || return 1
    # The thread that called exec goes on under the main thread's id, in another program.
    equal "$(info '[.threads[] | [.tid == .pid, .death.end, .events.in_file]] | sort')" \
        '[[false,"exec",1],[true,"exit",1],[true,"exit",1]]'
}

# ---- who ran -------------------------------------------------------------------------------------

# Quiet threads that have not run are not looked at: each at most for what it did before it became quiet.
only_who_ran_is_visited() {
    record "$work/t.adat" --policy block --threads 4096 --ring-size 4K -- "$out/tests/prog_idle" $idle 16 5000 ||
        { complaints; return 1; }
    verify "$work/t.adat" || return 1
    equal "$(summary '.events | [.attempted, .in_file] | @csv')" "$((idle + 80000)),$((idle + 80000))" || return 1
    equal "$(summary '.drain | [.spared > 0, .sweeps <= '$((idle + 16))'] | @csv')" true,true || summary .drain
}

# ---- told, and why not ---------------------------------------------------------------------------

# run_record EXPECTED-LINE OPTION...: what the summary for people says
says() {
    local line=$1
    shift
    rm -f "$work/t.adat"
    "$@" -- "$out/tests/prog_load" 2 100 2>"$work/stderr" || { cat "$work/stderr"; return 1; }
    grep -qxF "adatrace: kernel assistance: $line" "$work/stderr" || { cat "$work/stderr"; return 1; }
    equal "$(info .events.in_file)" 200
}

without_capability() {
    says "off: missing CAP_BPF" setpriv --bounding-set=-bpf,-sys_admin "$out/adatrace" record -o "$work/t.adat" &&
        says "off: missing CAP_PERFMON" setpriv --bounding-set=-perfmon,-sys_admin "$out/adatrace" record -o "$work/t.adat"
}

status_tells() {
    local expected=$1 recorder target
    shift
    rm -f "$work/t.adat"
    "$out/adatrace" record -o "$work/t.adat" --metrics-interval 100ms "$@" -- "$out/tests/prog_load" 1 0 2>"$work/stderr" &
    recorder=$!
    until target=$(pgrep -P $recorder -x prog_load) &&
        "$out/adatrace" status -p "$target" --json >"$work/status.json" 2>/dev/null; do
        kill -0 $recorder || { cat "$work/stderr"; return 1; }
    done
    "$out/adatrace" status -p "$target" >"$work/status"
    kill -KILL "$target"
    wait $recorder
    equal "$(grep -F 'kernel assistance' "$work/status")" "  kernel assistance: $expected" || return 1
    equal "$(jq -r '.kernel | if .enabled then "on" else "off: " + .reason end' "$work/status.json")" "$expected"
}

check "$killed threads killed at random moments, without BPF: every published event is in the file" kills --no-bpf
record "$work/t.adat" -- "$out/tests/prog_load" 1 1
if [ "$(summary .kernel.enabled)" = true ]; then
    check "$killed threads killed at random moments: every published event is in the file" kills
    check "and every thread has a death record" every_thread_has_a_death_record
    if [ -n "${ADA_SANITIZE:-}" ]; then
        echo "SKIP threads that end without destructors: sanitizers do not survive them"
    else
        check "$raw threads that end without destructors, through 64 slots" raw_exits
        check "what they did on CPUs is in the file and in the summary" contexts_are_in_the_file
    fi
    check "the main thread ends first" main_thread_first
    check "exec from a thread that is not the main one" exec_from_a_thread
    check "$idle idle threads and 16 that record: the idle ones are left alone" only_who_ran_is_visited
    check "offcpu>: the payloads of who waited are in the file" who_waited_is_marked
    check "--mark-wakers: and those of who kept it waiting" who_woke_is_marked
    check "runqueue>: who got no CPU" runqueue_is_marked
    check "signal=fatal: the last moments of a killed thread" killed_is_marked
    check "--sched: who ran, who waited, and for whom" switches_are_in_the_trace
    check "--sched: of children, too" switches_of_children
    check "--sched: a flood of switches" switches_flood
    check "--uprobe: every call of a function" calls_of_functions
    check "--uprobe of no function" no_such_function
    if command -v strace >/dev/null; then
        check "--syscalls: as strace counts them" calls_as_strace_counts
        check "--syscalls=LIST" calls_of_a_list
    fi
    check "the summary says that it is on" says on "$out/adatrace" record -o "$work/t.adat"
    check "without a capability the summary names it, and nothing else changes" without_capability
    check "status says that it is on" status_tells on
else
    echo "SKIP kernel assistance: $(summary .kernel.reason)"
fi
[ -n "${ADA_SANITIZE:-}" ] || check "threads that end without destructors, without BPF" raw_exits_without_bpf
check "the summary says that it is not wanted" says "off: --no-bpf" "$out/adatrace" record -o "$work/t.adat" --no-bpf
check "a rule that needs the kernel, without it" rule_without_kernel
check "--sched without the kernel" wrong 1 "--sched needs kernel assistance, which is not to be had: --no-bpf" \
    "$out/adatrace" record --no-bpf --sched -o "$work/x.adat" -- true
check "--syscalls without the kernel" wrong 1 "--syscalls needs kernel assistance, which is not to be had: --no-bpf" \
    "$out/adatrace" record --no-bpf --syscalls -o "$work/x.adat" -- true
for probe in '' : x x: :x x:,ret x:y,z; do
    check "--uprobe '$probe'" wrong 2 "--uprobe '$probe'" "$out/adatrace" record --uprobe "$probe" -- true
done
check "--syscalls=NONSENSE" wrong 2 "'raed' is no system call" "$out/adatrace" record --syscalls=close,raed -- true
check "--mark-wakers without a rule" wrong 2 "--mark-wakers needs a rule" "$out/adatrace" record --mark-wakers -- true
check "status says that it is not wanted" status_tells "off: --no-bpf" --no-bpf
exit $failed
