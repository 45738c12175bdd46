#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# adatraced with sessions: real programs that it finds, records and leaves; its signals; what it says.
#   test_service_sessions.sh OUT_DIR SOURCE_DIR
. "$(dirname "$0")/support.sh"

if [ ! -x "$out/adatraced" ]; then
    echo "SKIP test_service_sessions: built without inih"
    exit 77
fi
. "$(dirname "$0")/service.sh"
a=$out/adatrace

# ---- what it records -----------------------------------------------------------------------------

finds_what_runs() {
    configure '[session one]' "attach = name=$attached" '[session two]' 'attach = name=nobody-is-called-so'
    start 4
    launch || return 1
    equal "$(ask on)" ok || return 1
    equal "$(ask pause)" ok || return 1
    terminate || return 1
    equal "$(ask off)" ok || return 1
    all_sound "$work"/traces/one/*.adat "$work"/traces/two/*.adat || return 1
    all_there "$work"/traces/one/*.adat || return 1
    stop
    rm -r "$work/traces"
}

finds_what_starts() {
    configure '[session one]' "attach = name=$attached"
    launch || return 1
    start 2
    equal "$(ask on)" ok || return 1
    equal "$(ask pause)" ok || return 1
    terminate || return 1
    all_there "$work"/traces/one/*.adat || return 1
    stop
    rm -r "$work/traces"
}

# Gone before anybody could look, but for what it said itself; with the session's environment it waits for room.
hears_announcements() {
    configure '[session one]' "attach = name=$loaded" 'policy = block' 'ring_size = 8K'
    launch || return 1
    (
        set -a
        . "$work/one.env"
        exec "$work/$loaded" 2 100000
    ) || return 1
    terminate || return 1
    "$out/tests/check_load" "$work"/traces/one/*.adat 2 100000 all || return 1
    rm -r "$work/traces"
}

files_rotate() {
    configure '[session one]' "attach = name=$attached" 'rotate_size = 1M' 'max_total = off'
    start 4
    launch || return 1
    has one 5 || return 1
    equal "$(ask pause)" ok || return 1
    terminate || return 1
    all_sound "$work"/traces/one/*.adat || return 1
    all_there "$work"/traces/one/*.adat || return 1
    stop
    rm -r "$work/traces"
}

# ---- signals -------------------------------------------------------------------------------------

# A session that did not change goes on: its file and its processes stay. Another one changes, a third is new.
reloads() {
    configure '[session one]' "attach = name=$attached" '[session two]' 'attach = name=nobody'
    start 2
    launch || return 1
    equal "$(ask on)" ok || return 1
    configure '[session one]' "attach = name=$attached" '[session two]' 'attach = name=no-one' \
        '[session three]' 'attach = name=nobody'
    kill -HUP "$service"
    says "read again" || return 1
    has three 1 || return 1
    has two 2 || return 1
    equal "$(ask pause)" ok || return 1
    equal "$(ls "$work/traces/one")" trace-000001.adat.partial || return 1
    echo 'attach = nonsense' >>"$conf"
    kill -HUP "$service"
    says "not changed, as there are mistakes" || return 1
    terminate || return 1
    all_there "$work"/traces/one/*.adat || return 1
    stop
    rm -r "$work/traces"
}

# Until a mark is found nothing is on the disk; then what was before it is.
flight_recorder() {
    configure '[session box]' "attach = name=$loaded" 'flight_recorder = yes' 'mark = load.tick.number==77' \
        'pre_roll = 60s' 'post_roll = 0s'
    launch || return 1
    ADATRACE_ANNOUNCE=$work/announce.sock ADATRACE_OPTIONS=policy=1 "$work/$loaded" 1 50000 || return 1
    equal "$(find "$work/traces/box" -name '*.adat*')" "" || return 1
    kill -USR2 "$service"
    has box 1 || return 1
    terminate || return 1
    "$out/tests/check_load" "$(find "$work/traces/box" -name '*.adat' | head -n 1)" 1 50000 all || return 1
    rm -r "$work/traces"
}

# age FILE: its format is the one before this one's; the header's sum (zlib's crc32 with the sum as 0) is right
age() {
    python3 - "$1" <<'PY'
import struct, sys, zlib
with open(sys.argv[1], 'r+b') as file:
    header = bytearray(file.read(64))
    struct.pack_into('<HH', header, 8, 1, 1)
    struct.pack_into('<I', header, 60, 0)
    struct.pack_into('<I', header, 60, zlib.crc32(header))
    file.seek(0)
    file.write(header)
PY
}

# What the service before an update was killed over stays as it is.
file_of_another_version() {
    configure '[session one]' "attach = name=$attached"
    mkdir -p "$work/traces/one"
    "$out/adatrace" record --no-bpf -o "$work/old.adat" -- "$work/$loaded" 1 100 2>/dev/null || return 1
    age "$work/old.adat" || return 1
    cp "$work/old.adat" "$work/traces/one/trace-000001.adat.partial"
    start 1
    launch || return 1
    says "cannot recover 'trace-000001.adat.partial' in '$work/traces/one': it is of another version's format" || return 1
    equal "$(ask pause)" ok || return 1
    terminate || return 1
    cmp "$work/old.adat" "$work/traces/one/trace-000001.adat.partial" || return 1
    all_there "$work"/traces/one/trace-000002.adat || return 1
    stop
    rm -r "$work/traces"
}

# What cannot be: said, and tried again; others run.
one_fails() {
    local file=$work/file
    : >"$file"
    configure '[session one]' "attach = name=$attached" '[session two]' 'attach = name=nobody' "output = $file/below"
    launch || return 1
    says "session two: cannot use its directory '$file/below': Not a directory" || return 1
    equal "$(ls "$work/traces")" one || return 1
    terminate || return 1
    rm -r "$work/traces"
}

second_service() {
    configure '[session one]' "attach = name=nobody"
    launch || return 1
    "$out/adatraced" --config "$conf" 2>"$work/second"
    equal $? 1 || return 1
    grep -q "another adatraced runs there" "$work/second" || { cat "$work/second"; return 1; }
    terminate || return 1
    rm -r "$work/traces"
    # A socket that one which was killed left is no obstacle.
    launch || return 1
    kill -KILL "$service"
    wait "$service"
    launch || return 1
    terminate || return 1
    rm -r "$work/traces"
}

# Both sockets: what a killed service left gives way, what is no socket does not, and nothing is left at the end.
sockets_of_before() {
    local name
    for name in control announce; do
        configure
        launch || return 1
        kill -KILL "$service"
        wait "$service" 2>/dev/null
        [ -S "$work/$name.sock" ] || return 1
        launch || return 1
        terminate || return 1
        [ ! -e "$work/$name.sock" ] || { ls -l "$work/$name.sock"; return 1; }
        echo precious >"$work/$name.sock"
        wrong 1 "cannot listen at '$work/$name.sock': File exists" "$out/adatraced" --config "$conf" || return 1
        equal "$(cat "$work/$name.sock")" precious || return 1
        rm "$work/$name.sock"
    done
}

# ---- files ---------------------------------------------------------------------------------------

# The disk fills up, and has room again: it is told, the loss is exact, other sessions go on, and files are sound but for what the full disk refused.
disk_fills_up() {
    local sums counts
    mkdir -p "$work/small"
    mount -t tmpfs -o size=64m tmpfs "$work/small" || return 1
    dd if=/dev/zero of="$work/small/ballast" bs=1M count=62 status=none
    configure '[session one]' "attach = name=$attached" "output = $work/small/one" 'max_total = off' 'min_free = off' \
        '[session two]' "attach = name=$loaded"
    start 4
    launch || return 1
    says "session one: writing in '$work/small/one' failed: No space left on device" || return 1
    ADATRACE_ANNOUNCE=$work/announce.sock ADATRACE_OPTIONS=policy=1 "$work/$loaded" 1 50000 || return 1
    equal "$(ask pause)" ok || return 1 # what comes from here on does not fill it again
    rm "$work/small/ballast"
    says "session one: writing in '$work/small/one' works again" || return 1
    equal "$(ask go)" ok || return 1
    equal "$(ask pause)" ok || return 1
    terminate || return 1
    "$out/tests/check_load" "$work"/traces/two/*.adat 1 50000 all || return 1
    sums=$("$out/tests/check_attach" "$work"/small/one/*) || { echo "$sums"; return 1; }
    counts=$(ask counts)
    equal "$(jq -c '[.attempted, .in_file + .dropped, .repeated, .dropped > 0]' <<<"$sums")" \
        "$(jq -c '.emitted + .refused | [., ., 0, true]' <<<"$counts")" || return 1
    stop
    umount "$work/small" && rm -r "$work/traces"
}

# Each finished file is handed to a program, which may do what it likes: also hang.
runs_hooks() {
    [ "$(id -u)" = 0 ] || { echo "needs root"; return 0; }
    printf '#!/bin/sh\nwc -c <&0 >"%s/shipped/${1##*/}"\n' "$work" >"$work/ship"
    printf '#!/bin/sh\ntrap "" TERM\nwhile :; do sleep 1; done\n' >"$work/hang"
    chmod 755 "$work" "$work/ship" "$work/hang"
    mkdir -m 777 "$work/shipped"
    configure 'run_user = nobody' '[session one]' "attach = name=$attached" "hook = $work/ship" \
        '[session two]' "attach = name=nobody" "hook = $work/hang"
    start 1
    launch || return 1
    equal "$(ask on)" ok || return 1
    tell rotate one >"$work/answer" || { cat "$work/answer"; return 1; }
    tell rotate two >"$work/answer" || { cat "$work/answer"; return 1; }
    await "the hook" test -s "$work/shipped/trace-000001.adat" || return 1
    equal "$(cat "$work/shipped/trace-000001.adat")" "$(stat -c %s "$work/traces/one/trace-000001.adat")" || return 1
    terminate || return 1
    stop
    rm -r "$work/traces"
}

# Somebody removes the directory under it: the next file is in one that is made anew.
directory_is_removed() {
    configure '[session one]' "attach = name=$attached"
    start 1
    launch || return 1
    equal "$(ask on)" ok || return 1
    rm -r "$work/traces/one"
    tell rotate one >"$work/answer" || { cat "$work/answer"; return 1; }
    says "cannot find" || return 1
    has one 1 || return 1
    terminate || return 1
    all_sound "$work"/traces/one/*.adat || return 1
    stop
    rm -r "$work/traces"
}

compresses() {
    configure '[session one]' "attach = name=$loaded" 'compress = yes'
    launch || return 1
    ADATRACE_ANNOUNCE=$work/announce.sock ADATRACE_OPTIONS=policy=1 "$work/$loaded" 2 20000 || return 1
    await "its events" is_so one .events.in_file 40000 || return 1
    tell rotate one >"$work/answer" || { cat "$work/answer"; return 1; }
    equal "$(find "$work/traces/one" -name '*.gz')" "$work/traces/one/trace-000001.adat.gz" || return 1
    equal "$("$a" dump --json "$work/traces/one" | grep -c '"load.tick"')" 40000 || return 1
    terminate || return 1
    "$a" verify "$work/traces/one" >"$work/verified" || { cat "$work/verified"; return 1; }
    rm -r "$work/traces"
}

mkdir -m 777 "$work/coverage" # where gcc's counters of other users' commands go, if it is built with them

# ---- commands ------------------------------------------------------------------------------------

# tell COMMAND...: adatrace, of this service
tell() {
    ADATRACE_CONTROL=$work/control.sock "$a" "$@"
}

# of_session NAME FILTER: a figure of its status
of_session() {
    tell list --json | jq -r --arg name "$1" ".sessions[] | select(.name == \$name) | $2"
}

is_so() {
    [ "$(of_session "$1" "$2")" = "$3" ]
}

starts_and_stops() {
    configure '[session one]' "attach = name=$attached" 'enabled = no'
    start 2
    launch || return 1
    equal "$(of_session one '[.state, .configured, .processes_alive] | @csv')" '"stopped",true,0' || return 1
    tell start one >"$work/answer" || { cat "$work/answer"; return 1; }
    equal "$(ask on)" ok || return 1
    await "its process" is_so one .processes_alive 1 || return 1
    tell stop one >"$work/answer" || { cat "$work/answer"; return 1; }
    equal "$(ask off)" ok || return 1
    equal "$(of_session one .state)" stopped || return 1
    equal "$(find "$work/traces/one" -name '*.partial')" "" || return 1
    tell start one >"$work/answer" || { cat "$work/answer"; return 1; } # once more, in the same directory
    equal "$(ask on)" ok || return 1
    equal "$(ask pause)" ok || return 1
    tell start nothing >"$work/answer" 2>&1 && return 1
    grep -q "there is no session 'nothing'" "$work/answer" || { cat "$work/answer"; return 1; }
    terminate || return 1
    all_there "$work"/traces/one/*.adat || return 1
    stop
    rm -r "$work/traces"
}

# accounted PID: events of that process by the accounts of the files
accounted() {
    "$a" info --json "$work/traces/one" | jq --argjson pid "$1" '[.threads[] | select(.pid == $pid) | .events.attempted] | add'
}

# lets_one_go SCHED TIMES: of several, each of which is so many in the file; all that it did before is in the files, nothing that it does after, and the others are recorded on.
lets_one_go() {
    local other before
    configure '[session one]' "attach = name=$attached" "sched = $1"
    start 2
    launch || return 1
    mkfifo "$work/other"
    "$work/$attached" 1 <"$work/other" >"$work/others" &
    other=$!
    exec 7>"$work/other"
    await 'both' is_so one .processes_alive $((2 * $2)) || return 1
    equal "$(ask on)" ok || return 1
    equal "$(ask pause)" ok || return 1
    tell detach -p "$pid" >/dev/null || return 1
    equal "$(ask off)" ok || return 1
    await 'one' is_so one .processes_alive "$2" || return 1
    before=$(ask counts)
    equal "$(ask go)" ok || return 1
    tell detach -p "$pid" >"$work/answer" 2>&1 && { cat "$work/answer"; return 1; }
    equal "$(ask pause)" ok || return 1
    # Another recorder may have it now.
    "$a" attach -p "$pid" -o "$work/left.adat" --duration 100ms 2>"$work/answer" || { cat "$work/answer"; return 1; }
    exec 7>&-
    wait "$other"
    terminate || return 1
    # What the kernel saw of it is a process of its own in the file.
    equal "$("$a" info --json "$work/traces/one" | jq -c --argjson pid "$pid" '[.processes[] | select(.pid == $pid) | .end] | unique')" '["detached"]' ||
        return 1
    if [ "$1" = no ]; then
        equal "$(accounted "$pid")" "$(jq '.emitted + .refused' <<<"$before")" || return 1
    fi
    all_sound "$work"/traces/one/*.adat || return 1
    stop
    rm -r "$work/traces" "$work/other" "$work/left.adat"
}

attaches_by_command() {
    configure '[session two]' 'attach = name=nobody'
    start 2
    launch || return 1
    tell attach --service --name mine -p "$pid" >"$work/answer" 2>&1 || { cat "$work/answer"; return 1; }
    equal "$(ask on)" ok || return 1
    equal "$(of_session mine '[.state, .configured, .attach[0]] | @csv')" "\"running\",false,\"pid=$pid\"" || return 1
    tell rotate mine >"$work/answer" || { cat "$work/answer"; return 1; }
    grep -q "$work/traces/mine/trace-000001.adat" "$work/answer" || { cat "$work/answer"; return 1; }
    tell mark -p "$pid" >"$work/answer" 2>&1 || { cat "$work/answer"; return 1; }
    tell attach --service -p "$pid" >"$work/answer" 2>&1 && return 1
    grep -q "records it already" "$work/answer" || { cat "$work/answer"; return 1; }
    equal "$(ask pause)" ok || return 1
    tell detach "$pid" >"$work/answer" 2>&1 || tell detach -p "$pid" >"$work/answer" 2>&1 || { cat "$work/answer"; return 1; }
    equal "$(ask off)" ok || return 1
    equal "$(tell list --json | jq '.sessions | length')" 1 || return 1
    all_there "$work"/traces/mine/*.adat || return 1
    terminate && stop || return 1
    rm -r "$work/traces"
}

group_members() {
    [ "$(id -u)" = 0 ] || { echo "needs root"; return 0; }
    local as=(setpriv --reuid 65534 --regid 65534 --groups users env "ADATRACE_CONTROL=$work/control.sock" "GCOV_PREFIX=$work/coverage" "$a")
    configure 'control_group = users' '[session two]' 'attach = name=nobody'
    chmod 755 "$work"
    start 1
    launch || return 1
    "${as[@]}" attach --service --name theirs -p "$pid" >"$work/answer" 2>&1 || { cat "$work/answer"; return 1; }
    equal "$(ask on)" ok || return 1
    "${as[@]}" stop theirs >"$work/answer" 2>&1 || { cat "$work/answer"; return 1; }
    equal "$(ask off)" ok || return 1
    "${as[@]}" stop two >"$work/answer" 2>&1 || { cat "$work/answer"; return 1; }
    terminate && stop || return 1
    rm -r "$work/traces"
}

snapshot_by_command() {
    configure '[session box]' "attach = name=$loaded" 'flight_recorder = yes' 'pre_roll = 60s' 'post_roll = 0s'
    launch || return 1
    ADATRACE_ANNOUNCE=$work/announce.sock ADATRACE_OPTIONS=policy=1 "$work/$loaded" 1 50000 || return 1
    equal "$(of_session box .flight_recorder.state)" waiting || return 1
    tell snapshot box >"$work/answer" || { cat "$work/answer"; return 1; }
    "$out/tests/check_load" "$(find "$work/traces/box" -name '*.adat' | head -n 1)" 1 50000 all || return 1
    tell rotate box >"$work/answer" 2>&1 && return 1
    grep -q "is a flight recorder" "$work/answer" || { cat "$work/answer"; return 1; }
    terminate || return 1
    rm -r "$work/traces"
}

# Another user: his own processes, and nothing of root's.
other_users() {
    [ "$(id -u)" = 0 ] || { echo "needs root"; return 0; }
    configure '[session two]' 'attach = name=nobody'
    chmod 755 "$work"
    launch || return 1
    mkfifo "$work/theirs"
    GCOV_PREFIX=$work/coverage setpriv --reuid 65534 --regid 65534 --clear-groups "$work/$attached" 1 <"$work/theirs" >"$work/ready" &
    local theirs=$! as=(setpriv --reuid 65534 --regid 65534 --clear-groups env "ADATRACE_CONTROL=$work/control.sock" "GCOV_PREFIX=$work/coverage" "$a")
    exec 7>"$work/theirs"
    echo counts >&7
    await "the user's program" test -s "$work/ready" || return 1
    "${as[@]}" attach --service --name theirs -p $theirs >"$work/answer" 2>&1 || { cat "$work/answer"; return 1; }
    equal "$(of_session theirs .owner)" 65534 || return 1
    "${as[@]}" stop two >"$work/answer" 2>&1 && return 1
    grep -q "belongs to user 0" "$work/answer" || { cat "$work/answer"; return 1; }
    "${as[@]}" attach --service -p "$service" >"$work/answer" 2>&1 && return 1
    grep -q "belongs to user 0" "$work/answer" || { cat "$work/answer"; return 1; }
    "${as[@]}" rotate theirs >"$work/answer" 2>&1 || { cat "$work/answer"; return 1; }
    "${as[@]}" info "$work/traces/theirs/trace-000001.adat" >"$work/answer" 2>&1 || { cat "$work/answer"; return 1; }
    exec 7>&-
    wait $theirs
    terminate || return 1
    rm -r "$work/traces"
}

# ---- rights ---------------------------------------------------------------------------------------

# opener_of PID: the one child of the service
opener_of() {
    local children
    children=$(cat "/proc/$1/task/"*/children) || return 1
    [ "$(wc -w <<<"$children")" -eq 1 ] || { echo "children: $children" >&2; return 1; }
    echo $children
}

# Each of its threads, with a session that records. What fails if it has too few is in all other tests.
has_no_rights() {
    local task opener filter=2
    [ -n "${ADA_SANITIZE:-}" ] && filter=0
    configure '[session one]' "attach = name=$attached" 'hook = /bin/true'
    start 2
    launch || return 1
    equal "$(ask on)" ok || return 1
    has one 1 || return 1
    for task in "/proc/$service/task"/*; do
        equal "$(awk -F '\t' '/^Cap(Inh|Prm|Eff|Bnd|Amb):/ && $2 !~ /^0+$/ { print }' "$task/status")" "" || return 1
        equal "$(awk '/^NoNewPrivs:/ { print $2 }' "$task/status")" 1 || return 1
        equal "$(awk '/^Seccomp:/ { print $2 }' "$task/status")" "$filter" || return 1
    done
    opener=$(opener_of "$service") || return 1
    equal "$(cat "/proc/$opener/comm")" adatrace-opener || return 1
    equal "$(awk '/^CapEff:/ { print $2 }' "/proc/$opener/status")" "$(awk '/^CapEff:/ { print $2 }' /proc/self/status)" || return 1
    equal "$(ask pause)" ok || return 1
    terminate || return 1
    timeout 10 tail --pid="$opener" --follow /dev/null || { echo 'the opener is still there'; return 1; }
    equal "$(ask off)" ok || return 1
    all_there "$work"/traces/one/*.adat || return 1
    stop
    rm -r "$work/traces"
}

# As in the unit: with its capabilities alone, BPF included, of which a container has none. Processes of other users, too.
has_enough_rights() {
    local unit=$source_dir/packaging/systemd/adatraced.service.in rights theirs
    rights=$(sed -n 's/^CapabilityBoundingSet=//p' "$unit" | tr 'A-Z ' 'a-z,' | sed 's/cap_/+/g')
    configure '[session one]' "attach = name=$attached" 'sched = yes' 'syscalls = read' "hook = $work/hook" 'rotate_size = 1M'
    printf '#!/bin/sh\nid -u >>%s/hooked\n' "$work" >"$work/hook"
    chmod 755 "$work/hook" "$work"
    : >"$work/hooked"
    chmod 666 "$work/hooked"
    launcher=(setpriv --inh-caps=-all --bounding-set "-all,$rights" --no-new-privs)
    launch || return 1
    launcher=()
    mkfifo "$work/theirs"
    GCOV_PREFIX=$work/coverage setpriv --reuid 65534 --regid 65534 --clear-groups "$work/$attached" 1 <"$work/theirs" >"$work/ready" &
    theirs=$!
    exec 7>"$work/theirs"
    echo on >&7
    await "the program's events" is_so one '.events.in_file > 100000' true || return 1
    equal "$(of_session one .kernel.enabled)" true || return 1
    await 'the hook' test -s "$work/hooked" || return 1
    equal "$(sort -u "$work/hooked")" "$(id -u nobody)" || return 1
    exec 7>&-
    wait $theirs
    terminate || return 1
    all_sound "$work"/traces/one/*.adat || return 1
    equal "$("$a" dump --json "$work/traces/one" | grep -c -m 1 '"sched')" 1 || return 1
    rm -r "$work/traces" "$work/theirs"
}

# What it has is brought to its end, and its status asks for another start.
loses_its_opener() {
    local status=0
    configure '[session one]' "attach = name=$attached"
    start 2
    launch || return 1
    equal "$(ask on)" ok || return 1
    has one 1 || return 1
    equal "$(ask pause)" ok || return 1
    kill -KILL "$(opener_of "$service")" || return 1
    wait "$service" || status=$?
    equal "$status" 1 || return 1
    grep -q 'opens things for it has ended' "$log" || { cat "$log"; return 1; }
    equal "$(find "$work/traces/one" -name '*.partial')" "" || return 1
    equal "$(ask off)" ok || return 1
    all_there "$work"/traces/one/*.adat || return 1
    stop
    rm -r "$work/traces"
}

check 'it has no rights, and what opens things for it ends with it' has_no_rights
if [ "$(id -u)" -eq 0 ]; then
    check 'the capabilities of its unit are enough' has_enough_rights
else
    echo "SKIP service: the capabilities of its unit: takes root"
fi
check 'what opens things for it is killed' loses_its_opener
check "a process that runs is found, and recorded to the last event" finds_what_runs
check "so is one that starts later" finds_what_starts
check "one that announces itself is recorded from its first event" hears_announcements
check "files rotate" files_rotate
check "a file of another version is left alone, and said" file_of_another_version
check "SIGHUP: what is the same goes on, what changed begins anew, mistakes change nothing" reloads
check "a flight recorder writes when it is asked" flight_recorder
check "a session that cannot run disturbs no other" one_fails
check "one service per socket" second_service
check "sockets that were there before" sockets_of_before
if [ "$(id -u)" -eq 0 ]; then
    check "the disk fills up, and has room again" disk_fills_up
else
    echo "SKIP service: a full disk: mounting a small tmpfs needs root"
fi
check "a hook gets each finished file; one that hangs holds nobody up" runs_hooks
check "a directory that is removed is made again" directory_is_removed
check "files are compressed, and read as before" compresses
check "commands start and stop a session" starts_and_stops
check "one of several processes is let go" lets_one_go no 1
check "so is what the kernel sees of it" lets_one_go yes 2
check "a session by command, with its files, marks and end" attaches_by_command
check "a snapshot by command" snapshot_by_command
check "another user has sessions of his own processes" other_users
check "a member of the control group has sessions of everybody's" group_members
exit $failed
