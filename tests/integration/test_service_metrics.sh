#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# adatraced: the metrics of all its sessions at one address, while sessions come, go and are started again.
#   test_service_metrics.sh OUT_DIR SOURCE_DIR
. "$(dirname "$0")/support.sh"

adatraced=$out/adatraced
if [ ! -x "$adatraced" ]; then
    echo "SKIP test_service_metrics: built without inih"
    exit 77
fi
conf=$work/adatraced.conf

# ---- two programs, shop and batch ------------------------------------------------------------------

mkfifo "$work/shop.in" "$work/shop.out" "$work/batch.in" "$work/batch.out"
"$out/tests/prog_attach" 2 <"$work/shop.in" >"$work/shop.out" &
shop=$!
exec 4>"$work/shop.in" 5<"$work/shop.out"
"$out/tests/prog_attach" 3 <"$work/batch.in" >"$work/batch.out" 4>&- 5<&- &
batch=$!
exec 6>"$work/batch.in" 7<"$work/batch.out"

# ask PROGRAM ORDER: its answer
ask() {
    local answer
    if [ "$1" = shop ]; then
        echo "$2" >&4 && read -r -t 60 answer <&5
    else
        echo "$2" >&6 && read -r -t 60 answer <&7
    fi || { echo "$1 does not answer to '$2'"; return 1; }
    echo "$answer"
}
ask shop counts >/dev/null && ask batch counts >/dev/null || exit 1 # their libraries are loaded

# rests PROGRAM: it is recorded, and stops; $emitted events by then
rests() {
    equal "$(ask "$1" on)" ok && equal "$(ask "$1" pause)" ok || return 1
    emitted=$(ask "$1" counts | jq .emitted)
}

# ---- the service -----------------------------------------------------------------------------------

# configure METRICS_LISTEN [SESSION]...: each SESSION is NAME, or NAME:KEY=VALUE
configure() {
    local listen=$1 session
    shift
    {
        printf '[service]\ncontrol_socket = %s\nannounce_socket = %s\n' "$work/control.sock" "$work/announce.sock"
        printf 'log_directory = %s\nstate_directory = %s\n' "$work/traces" "$work/state"
        printf 'metrics_listen = %s\nmetrics_interval = 100ms\n' "$listen"
        for session in "$@"; do
            printf '[session %s]\n' "${session%%:*}"
            case ${session%%:*} in
            shop) echo "attach = pid=$shop" ;;
            batch) echo "attach = pid=$batch" ;;
            idle) printf 'attach = name=nobody-of-this-name\nenabled = no\n' ;;
            *) printf 'attach = name=nobody-of-this-name\n' ;;
            esac
            [[ $session != *:* ]] || echo "${session#*:}"
        done
    } >"$conf"
}

# waits WHAT COMMAND...: until it succeeds, for a minute
waits() {
    local what=$1 until=$((SECONDS + 60))
    shift
    until "$@"; do
        kill -0 "$service" 2>/dev/null || { echo "the service ended"; cat "$work/log"; return 1; }
        [ $SECONDS -lt $until ] || { echo "not to be had: $what"; cat "$work/log"; return 1; }
    done
}

log_has() {
    [ "$(grep -cF -- "$1" "$work/log")" -ge "$2" ]
}

# in_log TEXT [TIMES]: waits until the service has said it, so many times
in_log() {
    waits "'$1' in the log" log_has "$1" "${2:-1}"
}

# Where it served metrics last.
served_at() {
    sed -n 's/.*metrics are at \(http[^ ,]*\).*/\1/p' "$work/log" | tail -n 1
}

start() {
    "$adatraced" -c "$conf" 2>"$work/log" 4>&- 5<&- 6>&- 7<&- &
    service=$!
    in_log "adatraced: ready"
}

# reload: and waits until that is done
reload() {
    local before
    before=$(grep -c "configuration was read again" "$work/log")
    kill -HUP "$service" && in_log "configuration was read again" $((before + 1))
}

# text [OPTION]...: of the metrics; stays in $work/m.prom
text() {
    curl -gsf "$@" "$(served_at)metrics" >"$work/m.prom" || { echo "no metrics: curl says $?"; return 1; }
}

json() {
    curl -gsf "$(served_at)metrics.json" | jq -c "$1"
}

text_has() {
    text && grep -qxF -- "$1" "$work/m.prom"
}

text_lacks() {
    text && ! grep -qF -- "$1" "$work/m.prom"
}

# comes LINE: waits for metrics that have it
comes() {
    waits "'$1' in the metrics" text_has "$1"
}

# ---- what it tells ---------------------------------------------------------------------------------

each_session_by_name() {
    local program
    for program in shop batch; do
        rests $program || return 1
        comes "adatrace_events_in_file_total{session=\"$program\"} $emitted" || return 1
    done
    equal "$(grep '^adatrace_processes{' "$work/m.prom" | paste -sd' ')" \
        'adatrace_processes{session="shop"} 1 adatrace_processes{session="batch"} 1 adatrace_processes{session="waits"} 0' ||
        return 1
    equal "$(grep -c "^adatrace_thread_stalls{session=\"batch\",pid=\"$batch\",.*thread=\"prog_attach\"}" "$work/m.prom")" 3
}

of_the_service() {
    text || return 1
    equal "$(sed -n 's/^adatrace_service_sessions{state="\(.*\)"} /\1=/p' "$work/m.prom" | paste -sd,)" \
        "starting=0,running=3,stopping=0,stopped=1,failed=0" || return 1
    equal "$(sed -n 's/^adatrace_build_info{version="\(.*\)"} 1/adatraced \1/p' "$work/m.prom")" \
        "$("$adatraced" --version)" || return 1
    # Within a minute of now: it was started by this script.
    awk -v now="$(date +%s)" '/^adatrace_service_start_time_seconds / {late = now - $2; found = late > -2 && late < 60}
        END {exit !found}' "$work/m.prom" || { echo "start time: $(grep start_time "$work/m.prom")"; return 1; }
}

control_clients() {
    local status=0
    python3 -c 'import signal, socket, sys
client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
client.connect(sys.argv[1])
signal.pause()' "$work/control.sock" &
    comes 'adatrace_service_control_clients 1' || status=1
    kill $!
    wait $!
    [ $status = 0 ] && comes 'adatrace_service_control_clients 0'
}

as_openmetrics() {
    text -H 'Accept: application/openmetrics-text' || return 1
    equal "$(tail -n 1 "$work/m.prom")" "# EOF" || return 1
    # Families stand together: no header comes twice, and none after a sample of another family that has begun.
    equal "$(grep '^# TYPE' "$work/m.prom" | sort | uniq -d)" "" || return 1
    equal "$(sed -E '/^#/d; s/[ {].*//; s/_(bucket|sum|count)$//' "$work/m.prom" | uniq | sort | uniq -d)" ""
}

checked_by_promtool() {
    text && promtool check metrics <"$work/m.prom"
}

parsed_by_python() {
    text -H 'Accept: application/openmetrics-text' || return 1
    "$python" -c 'import sys
from prometheus_client.openmetrics.parser import text_fd_to_metric_families
names = [family.name for family in text_fd_to_metric_families(sys.stdin)]
sys.exit(0 if len(names) == len(set(names)) > 40 else f"{len(names)} families")' <"$work/m.prom"
}

as_json() {
    equal "$(json '[.version, [.sessions[] | [.session, .state, .version, .processes_alive]]]')" \
        '[1,[["shop","running",1,1],["batch","running",1,1],["waits","running",1,0]]]' || return 1
    equal "$(json ".sessions[1].processes[0].pid")" "$batch" || return 1
    equal "$(json '[.sessions[].threads | length]')" "[2,3,0]"
}

# An idle service is not woken to see what nobody asks for: its threads sleep while metrics are scraped by one of them alone.
main_thread_sleeps() {
    local before after
    before=$(awk '/^voluntary_ctxt/ {print $2}' "/proc/$service/task/$service/status")
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        text || return 1
    done
    after=$(awk '/^voluntary_ctxt/ {print $2}' "/proc/$service/task/$service/status")
    equal "$after" "$before"
}

# ---- what changes ----------------------------------------------------------------------------------

begins_anew() {
    local runs
    runs=$(grep -c "session batch: ended" "$work/log")
    configure 0 shop batch:output=batch2 waits idle
    reload && in_log "session batch: ended" $((runs + 1)) || return 1
    # The program rests: there is nothing to record for who begins now.
    comes 'adatrace_events_attempted_total{session="batch"} 0' || return 1
    equal "$(ask batch go)" ok && rests batch || return 1
    grep -q '^adatrace_events_attempted_total{session="shop"} [1-9]' "$work/m.prom"
}

goes_away() {
    configure 0 shop batch:output=batch2 idle
    reload || return 1
    waits "metrics without 'waits'" text_lacks 'session="waits"' || return 1
    comes 'adatrace_service_sessions{state="running"} 2' || return 1
    equal "$(json '[.sessions[].session]')" '["shop","batch"]'
}

scraped_while_sessions_come_and_go() {
    local scrapers=() scraper i url
    url=$(served_at)
    for i in 1 2 3; do
        while [ ! -e "$work/enough" ]; do
            curl -sf "${url}metrics" >"$work/scrape.$i" && grep -q '^adatrace_service_sessions' "$work/scrape.$i" ||
                { echo "not served" >"$work/unserved.$i"; break; }
        done &
        scrapers+=($!)
    done
    for i in 1 2 3 4 5 6 7 8; do
        configure 0 shop batch:output=batch2 idle waits "gone$i"
        reload || return 1
        comes "adatrace_processes{session=\"gone$i\"} 0" || return 1
    done
    touch "$work/enough"
    for scraper in "${scrapers[@]}"; do
        wait "$scraper"
    done
    equal "$(cat "$work"/unserved.* 2>/dev/null)" "" || return 1
    configure 0 shop batch:output=batch2 idle
    reload
}

# The page in a real browser; the session of batch ends with its program.
dashboard() {
    python3 "$(dirname "$0")/dashboard_browser.py" "$(served_at)" "$batch" shop batch ${ADA_SCREENSHOT:+"$ADA_SCREENSHOT"}
}

last_figures() {
    local written
    kill "$batch" 2>/dev/null # the browser may have done so
    in_log "session batch: ended" 2 || return 1 # the first one is begins_anew()'s
    comes 'adatrace_service_sessions{state="stopped"} 2' || return 1
    # "session batch: ended: 1 processes, 3 threads, 17 of 17 events in 1 files"
    written=$(sed -n 's/.*session batch: ended: 1 processes, 3 threads, \([0-9]*\) of .*/\1/p' "$work/log" | tail -n 1)
    comes "adatrace_events_in_file_total{session=\"batch\"} $written" || return 1
    equal "$(grep '^adatrace_threads{session="batch"}' "$work/m.prom")" 'adatrace_threads{session="batch"} 0' || return 1
    equal "$(json '[.sessions[] | [.session, .state]]')" '[["shop","running"],["batch","stopped"]]'
}

# ---- where it tells it -----------------------------------------------------------------------------

another_address() {
    local before url
    before=$(served_at)
    configure "[::1]:0" shop idle
    reload && in_log "metrics are at http://[::1]:" || return 1
    url=$(served_at)
    text || return 1
    ! curl -sf "${before}metrics" >/dev/null || { echo "still served at $before"; return 1; }
    # The same once more: it stays.
    reload && equal "$(served_at)" "$url"
}

turned_off() {
    configure off shop idle
    reload && in_log "metrics are no longer served" || return 1
    ! text 2>/dev/null >&2 || { echo "still served"; return 1; }
}

# A port that another has: the sessions run all the same.
taken() {
    mkfifo "$work/port" "$work/release"
    python3 -c 'import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
with open(sys.argv[1], "w") as out: print(listener.getsockname()[1], file=out)
open(sys.argv[2]).read()' "$work/port" "$work/release" &
    local holder=$! port
    port=$(cat "$work/port")
    configure "$port" shop idle
    reload && in_log "cannot serve metrics at 127.0.0.1:$port: Address already in use; it is tried again" || return 1
    : >"$work/release"
    wait $holder
    reload && in_log "metrics are at http://127.0.0.1:$port/" || return 1
    comes 'adatrace_service_sessions{state="running"} 1'
}

configure 0 shop batch waits idle
start || exit 1
if grep -q "built without libmicrohttpd" "$work/log"; then
    kill "$service" "$shop" "$batch"
    echo "SKIP test_service_metrics: built without libmicrohttpd"
    exit 77
fi
check "metrics: of each session, by its name" each_session_by_name
check "metrics: of the service" of_the_service
check "metrics: clients of the control socket" control_clients
check "metrics: as OpenMetrics" as_openmetrics
if command -v promtool >/dev/null; then
    check "metrics: checked by promtool" checked_by_promtool
else
    echo "SKIP metrics: checked by promtool: it is not installed"
fi
# The distribution's Python has it, which need not be the first one.
python=
for candidate in python3 /usr/bin/python3; do
    [ -n "$python" ] || ! "$candidate" -c 'import prometheus_client' 2>/dev/null || python=$candidate
done
if [ -n "$python" ]; then
    check "metrics: parsed by Prometheus' own library" parsed_by_python
else
    echo "SKIP metrics: parsed by Prometheus' own library: prometheus_client is not installed"
fi
check "metrics: as JSON" as_json
check "metrics: the service sleeps while it is asked" main_thread_sleeps
check "a session that is started again: counters begin anew" begins_anew
check "a session that is removed: its metrics go" goes_away
check "scraped while sessions come and go" scraped_while_sessions_come_and_go
if [ -n "${ADA_SANITIZE:-}" ]; then
    echo "SKIP dashboard in a browser: once is enough, without sanitizers"
elif command -v chromium >/dev/null; then
    check "dashboard in a browser: which session" dashboard
else
    echo "SKIP dashboard in a browser: chromium is not installed"
fi
check "a session that ended: its last figures" last_figures
check "reload: another address" another_address
check "reload: off" turned_off
check "an address that is taken" taken
kill "$service"
wait "$service"
check "the service ends" equal $? 0
kill "$shop" "$batch" 2>/dev/null
exit $failed
