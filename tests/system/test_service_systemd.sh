#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The service under systemd, as it is installed: it starts idle, takes its sockets, reloads, is watched, restarts and stops,
# and records by policy.
# shellcheck source=container.sh
source "$(dirname "$0")/container.sh"

if ! "$out/adatraced" --help | grep -qE '^ +(-c, )?--config( |=)'; then
    echo 'SKIP system: this adatraced runs no sessions'
    exit 77
fi

main_pid() {
    unit_property adatraced.service MainPID
}

# state_is STATE
state_is() {
    inside_is "$1" systemctl is-active adatraced.service
}

# The journal of the unit from `since` on is followed until a line of it matches. wait_for_log PATTERN
since=
mark_log() {
    since=$(inside date +@%s.%N)
}
wait_for_log() {
    timeout 60 grep -q -m 1 -E -- "$1" < <(inside timeout 60 journalctl --since="$since" --no-tail --follow --output=cat -u adatraced.service)
}

container_start
inside sh -c 'dpkg -i /packages/libadatrace0_*.deb /packages/adatrace_*.deb' >"$work/log" 2>&1 ||
    give_up "not installed: $(cat "$work/log")"

# ---- idle -------------------------------------------------------------------------------------------

check 'service: a fresh installation runs' state_is active
check 'service: it did not start twice' equal "$(unit_property adatraced.service NRestarts)" 0
says_nothing_bad() {
    local said
    said=$(inside journalctl --quiet --priority=warning --output=cat -u adatraced.service)
    [ -z "$said" ] || { echo "$said"; return 1; }
}
check 'service: and warns of nothing' says_nothing_bad
check 'service: it tells its status' test -n "$(unit_property adatraced.service StatusText)"

# has_socket NAME: a descriptor of the service is the socket that systemd listens on.
has_socket() {
    local inode open
    inode=$(inside awk -v path="/run/adatrace/$1.sock" '$8 == path && $4 == "00010000" { print $7 }' /proc/1/net/unix)
    [ -n "$inode" ] || { echo 'nobody listens'; return 1; }
    open=$(inside sh -c "ls -l /proc/$(main_pid)/fd" 2>/dev/null) # one that is closed meanwhile is an error of ls
    [[ $open == *"socket:[$inode]"* ]] || { echo 'not the socket of systemd'; return 1; }
}
check 'service: it has the control socket of systemd' has_socket control
check 'service: it has the announce socket of systemd' has_socket announce

# ---- sessions ---------------------------------------------------------------------------------------

inside systemd-run --quiet --unit=traced --uid=nobody --setenv=LD_PRELOAD=libadatrace-preload.so \
    --setenv=ADATRACE_PRELOAD=io sh -c 'while read -r line; do :; done </dev/zero'
configure_session() {
    printf '%s\n' '[session test]' "$@" | inside tee /etc/adatrace/conf.d/test.conf >/dev/null
}
reload_keeps_process() {
    local before
    before=$(main_pid)
    inside systemctl reload adatraced.service && equal "$(main_pid)" "$before"
}
configure_session 'attach = unit=traced.service'
mark_log
check 'service: it reloads, and is the same process' reload_keeps_process

configure_session 'attach = nothing'
reload_is_refused() {
    local before said
    before=$(main_pid)
    ! said=$(inside systemctl reload adatraced.service 2>&1) || { echo "reloaded: $said"; return 1; }
    state_is active && equal "$(main_pid)" "$before"
}
check 'service: a wrong configuration is refused, and it goes on' reload_is_refused
configure_session 'attach = unit=traced.service'

# ---- rights -----------------------------------------------------------------------------------------

# The unit's capabilities are the opener's; the service itself has none.
has_no_rights() {
    local task opener
    for task in $(inside sh -c "echo /proc/$(main_pid)/task/*"); do
        inside_is '0 0 2' awk '/^Cap(Prm|Eff):/ { printf "%d ", $2 } /^Seccomp:/ { printf "%d", $2 }' "$task/status" || return 1
    done
    opener=$(inside sh -c "cat /proc/$(main_pid)/task/*/children")
    inside_is adatrace-opener cat "/proc/${opener// /}/comm" &&
        inside_is 000001c0000800e4 awk '/^CapEff:/ { print $2 }' "/proc/${opener// /}/status"
}
check 'service: who reads what clients write has no rights' has_no_rights

# A session of a user's own, whose files he reads.
owner_reads() {
    local pid
    inside systemd-run --quiet --unit=theirs --uid=nobody --setenv=LD_PRELOAD=libadatrace-preload.so \
        --setenv=ADATRACE_PRELOAD=io sh -c 'while read -r line; do :; done </dev/zero'
    pid=$(unit_property theirs.service MainPID)
    inside setpriv --reuid nobody --regid nogroup --clear-groups adatrace attach --service --name theirs -p "$pid" || return 1
    inside setpriv --reuid nobody --regid nogroup --clear-groups adatrace rotate theirs || return 1
    inside setpriv --reuid nobody --regid nogroup --clear-groups adatrace info /var/log/adatrace/theirs/trace-000001.adat >"$work/info" 2>&1 ||
        { cat "$work/info"; return 1; }
    inside setpriv --reuid daemon --regid daemon --clear-groups adatrace info /var/log/adatrace/theirs/trace-000001.adat >"$work/info" 2>&1 &&
        { echo 'others read it, too'; return 1; }
    inside setpriv --reuid nobody --regid nogroup --clear-groups adatrace stop theirs
}
check 'service: a user reads the files of his own session, and no other user does' owner_reads
inside systemctl stop theirs.service

# ---- restarts ---------------------------------------------------------------------------------------

sockets() {
    inside stat -c %i /run/adatrace/control.sock /run/adatrace/announce.sock
}
sockets_before=$(sockets)

# comes_back_after COMMAND...: another process is the service, and has the same sockets.
comes_back_after() {
    local before
    before=$(main_pid)
    mark_log
    "$@" || return 1
    wait_for_log '^Started adatraced' || { echo 'not started again'; return 1; }
    [ "$(main_pid)" != "$before" ] || { echo 'the same process'; return 1; }
    equal "$(sockets)" "$sockets_before" && has_socket control
}
check 'service: it restarts' comes_back_after inside systemctl restart adatraced.service
check 'service: killed, it comes back' comes_back_after inside systemctl kill --signal=KILL adatraced.service

configure_unit watchdog WatchdogSec=2s
inside systemctl restart adatraced.service
check 'service: hung, it comes back' comes_back_after inside systemctl kill --kill-whom=main --signal=STOP adatraced.service
unconfigure_unit watchdog
check 'service: upgraded, it is another process' comes_back_after \
    inside sh -c 'dpkg -i /upgrade/libadatrace0_*.deb /upgrade/adatrace_*.deb >/dev/null'

# ---- what systemd keeps -----------------------------------------------------------------------------

# figure FILTER: of the session, as the service tells it
figure() {
    inside adatrace list --json 2>/dev/null | jq -r ".sessions[] | select(.name == \"test\") | $1"
}

# waits_for FILTER VALUE
waits_for() {
    local try
    for ((try = 0; try < 600; try++)); do
        [ "$(figure "$1")" = "$2" ] && return 0
        sleep 0.1
    done
    echo "$1 is '$(figure "$1")'"
    return 1
}

# A program that is killed while no service runs: what it has recorded is in the memory that systemd keeps.
ends_meanwhile() {
    local attempted recorded
    configure_session 'attach = name=prog_load'
    configure_unit slow RestartSec=2s
    inside systemctl stop adatraced.service 2>/dev/null
    inside rm -r /var/log/adatrace/test
    inside systemctl start adatraced.service || return 1
    # It announces itself, and so is recorded from its first event on.
    inside systemd-run --quiet --unit=load --property=EnvironmentFile=/run/adatrace/test.env \
        /out/tests/prog_load 4 0 /run/progress || return 1
    waits_for '.processes_alive' 1 && waits_for '.events.in_file > 0' true || return 1
    inside systemctl kill --kill-whom=main --signal=KILL adatraced.service
    inside systemctl kill --signal=KILL load.service
    state_is activating || { echo 'it was not down'; return 1; }
    waits_for '.processes_ever' 1 && waits_for '[.processes_alive, .events.pending] | join(" ")' '0 0' || return 1
    inside systemctl stop adatraced.service 2>/dev/null || return 1
    attempted=$(inside adatrace info --json /var/log/adatrace/test | jq .events.attempted)
    recorded=$(inside od -A n -v -t u8 /run/progress | awk '{ for (i = 1; i <= NF; i++) sum += $i } END { print sum }')
    # Of the four threads each may have died between an event and noting it.
    [ "$attempted" -ge "$recorded" ] && [ "$attempted" -le $((recorded + 4)) ] ||
        { echo "$attempted attempted, $recorded recorded"; inside adatrace info /var/log/adatrace/test; return 1; }
    inside adatrace verify /var/log/adatrace/test >"$work/verified" || { cat "$work/verified"; return 1; }
    unconfigure_unit slow
    inside systemctl start adatraced.service
}
check 'service: what a program recorded that ended while no service ran is not lost' ends_meanwhile

# ---- the end ----------------------------------------------------------------------------------------

stops_in_time() {
    local begin=$EPOCHREALTIME
    inside systemctl stop adatraced-control.socket adatraced-announce.socket adatraced.service || return 1
    state_is inactive && equal "$(unit_property adatraced.service Result)" success || return 1
    awk -v a="$begin" -v b="$EPOCHREALTIME" 'BEGIN { if (b - a > 5) { print b - a " s"; exit 1 } }'
}
check 'service: it stops within 5 s' stops_in_time

traces_are_whole() {
    local files
    mapfile -t files < <(inside find /var/log/adatrace/test -name '*.adat')
    [ ${#files[@]} -gt 0 ] || { echo 'no traces'; return 1; }
    inside_is 'root:adatrace 640' stat -c '%U:%G %a' "${files[0]}" || return 1
    for file in "${files[@]}"; do
        inside adatrace verify "$file" || return 1
    done
}
check 'service: its traces are whole' traces_are_whole
inside systemctl stop traced.service

exit $failed
