#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Commands that ask the service: what they send, print, and return, against the real control server with sessions in memory.
# usage: test_control.sh OUT_DIR SOURCE_DIR

# shellcheck source=support.sh
. "$(dirname "$0")/support.sh"
adatrace=$out/adatrace
if [ ! -x "$out/tests/prog_control_service" ]; then
    echo "SKIP test_control: built without inih or cJSON"
    exit 77
fi
cd "$work" || exit 1
chmod 755 "$work"
unset ADATRACE_CONTROL
socket=$work/control.sock

# prints STATUS TEXT COMMAND...: exit status, TEXT on stdout, nothing on stderr
prints() {
    local status=$1 text=$2
    shift 2
    "$@" >"$work/stdout" 2>"$work/stderr"
    equal $? "$status" || { cat "$work/stderr"; return 1; }
    equal "$(cat "$work/stderr")" "" || return 1
    grep -qF -- "$text" "$work/stdout" || { cat "$work/stdout"; return 1; }
}

# json FILTER EXPECTED: of what was printed last, one line
json() {
    equal "$(wc -l <"$work/stdout")" 1 || return 1
    equal "$(jq -r "$1" "$work/stdout")" "$2"
}

# ---- no service runs ----

check "list without a service" wrong 1 "no service runs there" "$adatrace" list --socket "$socket"
check "stop without a service" wrong 1 "no service runs there" "$adatrace" stop shop --socket "$socket"
check "attach --service without a service" wrong 1 "no service runs there" \
    "$adatrace" attach --service -p $$ --socket "$socket"
check "status: the service that was named must be there" wrong 1 "no service runs there" \
    "$adatrace" status --socket "$socket"
check "status SESSION without a service" wrong 1 "cannot ask the service" "$adatrace" status shop --socket "$socket"
check "mark --session without a service" wrong 1 "no service runs there" \
    "$adatrace" mark --session shop --socket "$socket"
check "a path that is too long" wrong 1 "File name too long" "$adatrace" list --socket "/$(printf 'x%.0s' {1..200})"
touch plain
check "a file that is no socket" wrong 1 "no service runs there" "$adatrace" list --socket "$work/plain"

# ---- a service runs ----

coproc SERVICE { exec "$out/tests/prog_control_service" "$socket" 2>&1; }
# shellcheck disable=SC2153 # made by coproc
service_pid=$SERVICE_PID
read -r -t 60 line <&"${SERVICE[0]}"
check "the service listens" equal "$line" ready
export ADATRACE_CONTROL=$socket

check "list" prints 0 "shop" "$adatrace" list
check "list: a header and a line each" equal "$(wc -l <stdout)" 4
check "list: states" equal "$(awk '{ print $2 }' stdout | tr '\n' ' ')" "STATE running stopped failed "
check "list: columns of a session" equal "$(awk '$1 == "shop" { print $3, $4, $5, $6, $7, $10 }' stdout)" \
    "root 2 3 1000 7 pid=4711"
check "list --json" prints 0 '"version":1' "$adatrace" list --json
check "list --json: one object" json '[.sessions[].name] | join(",")' shop,box,mine
check "list --json: the service" json '.service.version' 0.0.test
check "list --socket goes before the environment" wrong 1 "no service runs there" "$adatrace" list --socket /nowhere

# `status` shows every recorder of the machine: in a network namespace of its own it meets none of other tests.
alone=()
unshare -n true 2>/dev/null && alone=(unshare -n)
check "status: the service" prints 0 "service adatraced 0.0.test, process $service_pid" "${alone[@]}" "$adatrace" status
check "status: its sessions" equal "$(grep -c '^session ' stdout)" 3
check "status: why one failed" grep -q '^session mine: failed: no room on the disk$' stdout
check "status: the flight recorder" grep -q 'flight recorder: waiting' stdout
check "status: problems, without control characters" grep -q 'cannot write?\[2J: no space' stdout
check "status: losses" grep -q '1000 events.* 990 in files, 7 lost, 3 pending' stdout
check "status SESSION" prints 0 "session shop: running" "$adatrace" status shop
check "status SESSION: that alone" equal "$(grep -c '^session ' stdout)" 1
check "status SESSION --json" prints 0 '"version":1' "$adatrace" status --json shop
check "status SESSION --json: its threads, longer than a packet" json '.sessions[0].metrics.threads | length' 200
check "status -p: its session" prints 0 "session shop: running" "$adatrace" status -p 4711
check "status --json" prints 0 '"sessions"' "${alone[@]}" "$adatrace" status --json
check "status of no session" wrong 1 "there is no session 'nil'" "$adatrace" status nil

# Recorders of others may run: of those in another network namespace nobody knows.
if unshare -n true 2>/dev/null; then
    check "top of the only one that runs" prints 0 "worker-199" unshare -n "$adatrace" top -n 1
else
    echo "no network namespaces: 'top' without a choice is not tried"
fi
check "top --session" prints 0 "worker-199" "$adatrace" top -n 1 --session shop
check "top -p" prints 0 "worker-0" "$adatrace" top -n 1 -p 4711
check "top of a session that does not run" wrong 1 "session 'box'" "$adatrace" top -n 1 --session box
check "top of no session" wrong 1 "see 'adatrace list'" "$adatrace" top -n 1 --session nil

# told TOLD TEXT COMMAND...: it prints TEXT, or nothing if that is empty, and the service was told TOLD
told() {
    if [ "$2" ]; then
        prints 0 "$2" "${@:3}" || return 1
    else
        equal "$("${@:3}" 2>&1; echo $?)" 0 || return 1
    fi
    read -r -t 60 line <&"${SERVICE[0]}"
    equal "$line" "$1"
}
check "mark -p" told "marked shop" "" "$adatrace" mark -p 4711
check "mark --session" told "marked box" "" "$adatrace" mark --session box
check "mark -p of a process that nobody records" wrong 1 "nothing records it" "$adatrace" mark -p $$
check "attach --service" told "attach pid=12 pid=13 mark=event=a mark=offcpu>10ms sched=yes rotate_size=1M attach=name=x*" \
    "session job, files in /srv/traces/job" "$adatrace" attach --service --name job -p 12,13 --mark event=a --sched \
    --rotate-size 1M --discover 'name=x*' --mark 'offcpu>10ms'
check "attach --service: the name is taken" wrong 1 "choose another name" "$adatrace" attach --service --name job -p 12
read -r -t 60 line <&"${SERVICE[0]}"
check "attach --service --json" told "attach pid=12" '"name":"attach-1"' "$adatrace" attach --service --json -p 12
check "attach --service: what it cannot have" wrong 2 "--duration does not go with --service" \
    "$adatrace" attach --service -p 12 --duration 1s
check "attach --name without --service" wrong 2 "add --service" "$adatrace" attach --name x -p 12

check "top of several" wrong 1 "--session NAME" "$adatrace" top -n 1
check "stop" prints 0 "session shop: stopped, files in /srv/traces/shop" "$adatrace" stop shop
check "start" prints 0 "session shop: running" "$adatrace" start shop
check "rotate" prints 0 "session shop: running, file /srv/traces/shop/rotate.adat" "$adatrace" rotate shop
check "rotate --json" prints 0 '"version":1' "$adatrace" rotate --json shop
check "rotate --json: the file" json .file /srv/traces/shop/rotate.adat
check "snapshot of one that does not run" wrong 1 "start it with 'adatrace start box'" "$adatrace" snapshot box
check "snapshot" prints 0 "file /srv/traces/shop/snapshot.adat" "$adatrace" snapshot shop
check "detach -p" prints 0 "session shop: stopped" "$adatrace" detach -p 4711
check "detach SESSION" prints 0 "session job: stopped" "$adatrace" detach job
check "detach of a process that is in none" wrong 1 "in no session" "$adatrace" detach -p 12
check "stop of no session" wrong 1 "the service at '$socket' refuses: there is no session 'nil'" "$adatrace" stop nil
check "stop of what is no name" wrong 1 "not the name of a session" "$adatrace" stop ../x

# ---- another user ----

if [ "$(id -u)" -eq 0 ] && as_stranger=$(command -v setpriv); then
    mkdir -m 777 "$work/coverage" # where gcc's counters go, if it is built with them
    stranger() {
        GCOV_PREFIX=$work/coverage "$as_stranger" --reuid 54321 --regid 54321 --clear-groups "$adatrace" "$@"
    }
    check "another user: list" prints 0 "shop" stranger list
    check "another user: stop" wrong 1 "session 'shop' belongs to user 0" stranger stop shop
    check "another user: attach with an option that needs rights" wrong 1 "option 'output' is for root" \
        stranger attach --service -p 12 -o /etc
    read -r -t 60 line <&"${SERVICE[0]}"
else
    echo "not root, or no setpriv: other users are not tried"
fi

# ---- the command line ----

for command in start stop rotate snapshot detach; do
    check "$command --help" prints 0 "usage: adatrace $command" "$adatrace" $command --help
    check "$command: no session" wrong 2 "no session given" "$adatrace" $command
    check "$command: two sessions" wrong 2 "more than one session given: 'b'" "$adatrace" $command a b
    check "$command: unknown option" wrong 2 "unknown option '--x'" "$adatrace" $command --x
done
check "list --help" prints 0 "usage: adatrace list" "$adatrace" list --help
check "list: an argument" wrong 2 "unexpected 'x'" "$adatrace" list x
check "stop -p" wrong 2 "unknown option '-p'" "$adatrace" stop -p 1
check "detach: both" wrong 2 "not both" "$adatrace" detach -p 1 a
check "status: both" wrong 2 "not both" "$adatrace" status -p 1 a
check "mark: both" wrong 2 "not both" "$adatrace" mark -p 1 --session a
check "mark: neither" wrong 2 "no process given" "$adatrace" mark
list_to_full() {
    "$adatrace" list >/dev/full
}
check "list to a full disk" wrong 1 "No space left" list_to_full

# ---- the end ----

input=${SERVICE[1]}
exec {input}>&-
wait "$service_pid"
check "the service ends" equal $? 0
check "its socket is gone" test ! -e "$socket"
check "list afterwards" wrong 1 "no service runs there" "$adatrace" list
exit $failed
