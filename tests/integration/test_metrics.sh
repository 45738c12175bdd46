#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Metrics of recordings that run: status, top, the file for Prometheus.
#   test_metrics.sh OUT_DIR SOURCE_DIR
. "$(dirname "$0")/support.sh"

recorder=
target=

# Starts a recording of three threads that record 1000 events each and then are silent, and waits until metrics tell so.
start() {
    rm -f "$work/t.adat"
    "$out/adatrace" record --metrics-interval 100ms -o "$work/t.adat" "$@" -- "$out/tests/prog_burst" 3 1000 forever \
        2>"$work/record.err" &
    recorder=$!
    until target=$(pgrep -P $recorder -x prog_burst); do kill -0 $recorder || return 1; done
    until [ "$("$out/adatrace" status -p "$target" --json 2>/dev/null | jq .total.events.in_file)" = 3000 ]; do
        kill -0 $recorder || return 1
    done
}

stop() {
    kill "$target"
    wait $recorder
    equal $? 143
}

status_json() {
    start || return 1
    "$out/adatrace" status -p "$target" --json >"$work/status.json" || return 1
    stop || return 1
    equal "$(jq -c '[.version, .threads_alive, .processes_alive, .total.events.attempted, .total.events.pending,
        .total.bytes, .interval_s, .drain.scheduler, .write_error]' "$work/status.json")" \
        '[1,3,1,3000,0,96000,0.1,"adaptive",0]' || return 1
    equal "$(jq -c "[.processes[] | [.pid, .threads_alive, .ended, .events.in_file]]" "$work/status.json")" \
        "[[$target,3,false,3000]]" || return 1
    equal "$(jq -c '[.threads[] | [.name, .events.in_file, .events.attempted]] | unique' "$work/status.json")" \
        '[["prog_burst",1000,1000]]' || return 1
    equal "$(jq '.drain.latency_us | .count > 0 and .p50 <= .p99 and .p99 <= .max' "$work/status.json")" true
}

top_plain() {
    start || return 1
    "$out/adatrace" top -p "$target" -n 2 -d 100ms >"$work/top.txt" || return 1
    "$out/adatrace" top -p "$target" -n 1 --processes >"$work/processes.txt" || return 1
    "$out/adatrace" top -p "$target" -n 1 --filter nobody >"$work/nobody.txt" || return 1
    stop || return 1
    equal "$(grep -c '^ *[0-9]* *[0-9]* prog_burst ' "$work/top.txt")" 6 || { cat "$work/top.txt"; return 1; }
    equal "$(grep -c '3000 attempted, 3000 in file, 0 pending' "$work/top.txt")" 2 || return 1
    equal "$(grep -c "^ *$target *3 .*prog_burst.* 3000 " "$work/processes.txt")" 1 || { cat "$work/processes.txt"; return 1; }
    equal "$(grep -c prog_burst "$work/nobody.txt")" 0
}

# A terminal is played by tmux: what is on its screen is what a user sees.
screen() {
    tmux -S "$work/tmux" capture-pane -p
}

wait_for() {
    local tries=600
    until screen | grep -q -- "$1"; do
        [ $((tries -= 1)) -gt 0 ] || { echo "no '$1' on the screen:"; screen; return 1; }
        sleep 0.05
    done
}

press() {
    tmux -S "$work/tmux" send-keys "$@"
}

top_on_a_terminal() {
    local status=0
    start || return 1
    tmux -f /dev/null -S "$work/tmux" new-session -d -x 140 -y 30 \
        "'$out/adatrace' top -p $target -d 100ms; echo over: \$?; cat" || return 1
    wait_for '3 rows by events' && wait_for '3000 in file' && press p && wait_for '1 rows by events' &&
        press p s && wait_for '3 rows by drops' && press r && wait_for 'reversed' && press / && wait_for 'filter: _' &&
        press x y z Enter && wait_for '0 rows by drops, reversed, filter xyz' && press / Escape && wait_for '3 rows' &&
        press Space && wait_for PAUSED && press Space && kill "$target" && wait_for 'the recording has ended' &&
        wait_for 'over: 0' || status=1
    tmux -S "$work/tmux" kill-server
    kill "$target" 2>/dev/null
    wait $recorder
    return $status
}

# Sockets of recorders are found in the network namespace of who asks: in one of its own, nobody else's are.
only_one() {
    unshare -n bash -c '
        out=$1 work=$2
        [ "$("$out/adatrace" status)" = "no recording runs" ] || { echo "status: $("$out/adatrace" status)"; exit 1; }
        "$out/adatrace" top -n 1 2>"$work/err" && { echo "top without a recording"; exit 1; }
        grep -q "no recording runs: start one" "$work/err" || { cat "$work/err"; exit 1; }
        for i in 1 2; do
            rm -f "$work/$i.adat"
            "$out/adatrace" record --metrics-interval 100ms -o "$work/$i.adat" -- "$out/tests/prog_burst" 1 10 forever &
            recorders[i]=$!
            until [ "$("$out/adatrace" status 2>/dev/null | grep -c "10 in file")" = $i ]; do
                kill -0 ${recorders[i]} || exit 1
            done
            if [ $i = 1 ]; then
                "$out/adatrace" top -n 1 | grep " prog_burst " >"$work/found" || { echo "top of the only one"; exit 1; }
            fi
        done
        "$out/adatrace" top -n 1 2>"$work/err" && { echo "top of two"; exit 1; }
        grep -q "2 recordings run: choose one with -p" "$work/err" || { cat "$work/err"; exit 1; }
        for i in 1 2; do
            pkill -P ${recorders[i]}
            wait ${recorders[i]}
        done
        exit 0
    ' only_one "$out" "$work" 2>"$work/unshare.err" || { cat "$work/unshare.err"; return 1; }
}

metrics_file() {
    start --metrics-file "$work/m.prom" || return 1
    until grep -q '^adatrace_events_in_file_total 3000$' "$work/m.prom" 2>/dev/null; do kill -0 $recorder || return 1; done
    cp "$work/m.prom" "$work/live.prom"
    stop || return 1
    equal "$(grep '^adatrace_threads ' "$work/live.prom")" "adatrace_threads 3" || return 1
    equal "$(grep -c '^adatrace_thread_events_attempted{.*thread="prog_burst"} 1000$' "$work/live.prom")" 3 || return 1
    equal "$(grep '^adatrace_threads ' "$work/m.prom")" "adatrace_threads 0" || return 1
    equal "$(grep '^adatrace_events_attempted_total ' "$work/m.prom")" "adatrace_events_attempted_total 3000" || return 1
    [ ! -e "$work/m.prom.tmp" ] || { echo "a temporary file is left"; return 1; }
    for file in live m; do
        promtool check metrics <"$work/$file.prom" || { echo "promtool: $?"; return 1; }
    done
}

# The address that the recorder says it serves metrics at.
served_at() {
    sed -n 's/.*metrics are at \(http[^ ,]*\).*/\1/p' "$work/record.err"
}

served_by_http() {
    local url
    start --metrics-listen 0 || return 1
    url=$(served_at)
    curl -sf "${url}metrics" >"$work/http.prom" && curl -sf "${url}metrics.json" >"$work/http.json" &&
        curl -sf -H 'Accept: application/openmetrics-text' "${url}metrics" >"$work/open.txt" || return 1
    stop || return 1
    equal "$(jq .total.events.in_file "$work/http.json")" 3000 || return 1
    equal "$(tail -n 1 "$work/open.txt")" "# EOF" || return 1
    grep -q '^adatrace_events_in_file_total 3000$' "$work/http.prom" || return 1
    ! command -v promtool >/dev/null || promtool check metrics <"$work/http.prom"
}

# attacked COMMAND...: runs it while a crowd of bad clients is at the server of $url.
attacked() {
    local port=${url##*:} status=0
    mkfifo "$work/attack" || return 1
    python3 "$(dirname "$0")/http_attack.py" "${port%/}" <"$work/attack" >"$work/attacking" &
    local attack=$!
    exec 9>"$work/attack"
    until [ "$(cat "$work/attacking")" = ready ]; do kill -0 $attack || { status=1; break; }; done
    [ $status = 1 ] || "$@" || status=1
    exec 9>&-
    wait $attack || status=1
    rm "$work/attack"
    return $status
}

# Each of ten snapshots arrives, and the drain worked since the one before.
scrape() {
    local sequence=0 iterations=0 before
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        before=$sequence
        until [ "$sequence" -gt "$before" ]; do
            # Tried again: on a busy machine curl itself may be the slow client whose place is taken.
            curl -sf --retry 5 --retry-all-errors --retry-delay 0 "${url}metrics.json" >"$work/http.json" ||
                { echo "a scraper was not served: $?"; return 1; }
            sequence=$(jq .sequence "$work/http.json")
        done
        [ "$(jq .drain.iterations "$work/http.json")" -gt "$iterations" ] || { echo "the drain stands still"; return 1; }
        iterations=$(jq .drain.iterations "$work/http.json")
    done
}

served_under_attack() {
    local url status=0
    start --metrics-listen 0 --policy block || return 1
    url=$(served_at)
    attacked scrape || status=1
    stop || return 1
    [ $status = 0 ] && verify "$work/t.adat"
}

# The page in a real browser, used as a person would, until the recording ends.
dashboard() {
    local status=0
    start --metrics-listen 0 || return 1
    python3 "$(dirname "$0")/dashboard_browser.py" "$(served_at)" "$target" || status=1
    kill "$target" 2>/dev/null
    wait $recorder
    return $status
}

# Who cannot write metrics goes on recording, and says so once.
metrics_file_fails() {
    record "$work/t.adat" --metrics-file "$work/none/m.prom" --metrics-interval 100ms -- "$out/tests/prog_burst" 1 10 ||
        return 1
    equal "$(grep -c "writing metrics to '$work/none/m.prom' failed: No such file" "$work/stderr")" 1 || return 1
    equal "$(summary .events.in_file)" 10
}

# thread_fails N TEXT: the recorder cannot start its N-th thread, and says what it was for. The first unmaps segments, the second drains.
thread_fails() {
    wrong 1 "$2" strace -f -q -o "$work/strace" -e trace=clone3 -e "inject=clone3:error=EAGAIN:when=$1" \
        "$out/adatrace" record -o "$work/t.adat" --metrics-file "$work/m.prom" --metrics-listen 0 -- true
}

# Every counter of the last metrics is what the file holds.
same_as_the_file() {
    record "$work/t.adat" --policy block --metrics-file "$work/m.prom" --metrics-interval 100ms -- \
        "$out/tests/prog_load" 16 50000 || return 1
    verify "$work/t.adat" || return 1
    equal "$(summary .events.in_file)" 800000 || return 1
    equal "$(awk '$1 ~ /^adatrace_events_(attempted|in_file)_total$/ {print $2}' "$work/m.prom" | sort -u)" 800000 ||
        return 1
    equal "$(awk '$1 ~ /^adatrace_events_lost_total/ {sum += $2} END {print sum}' "$work/m.prom")" 0 || return 1
    equal "$(awk '$1 == "adatrace_threads_registered_total" {print $2}' "$work/m.prom")" "$(summary '.threads | length')"
}

check "status --json: what the threads did" status_json
check "top: plain text" top_plain
if command -v tmux >/dev/null; then
    check "top: on a terminal" top_on_a_terminal
else
    echo "SKIP top: on a terminal: tmux is not installed"
fi
check "status, top: which recording" only_one
if command -v promtool >/dev/null; then
    check "metrics file: for Prometheus, while it runs and at the end" metrics_file
else
    echo "SKIP metrics file: for Prometheus: promtool is not installed"
fi
check "metrics file: cannot be written" metrics_file_fails
if [ -n "${ADA_SANITIZE:-}" ] || ! strace -q -o /dev/null true 2>/dev/null; then
    echo "SKIP metrics: threads that cannot start: needs strace, and a build without sanitizers"
else
    rm -f "$work/t.adat"
    check "metrics file: its thread cannot start" thread_fails 3 \
        "cannot start the thread that writes metrics to '$work/m.prom': Resource temporarily unavailable"
    check "metrics by HTTP: its thread cannot start" thread_fails 4 "cannot serve metrics at 127.0.0.1:0: "
fi
check "metrics by HTTP" served_by_http
check "metrics by HTTP: a thousand bad clients" served_under_attack
if [ -n "${ADA_SANITIZE:-}" ]; then
    echo "SKIP dashboard in a browser: once is enough, without sanitizers"
elif command -v chromium >/dev/null && command -v python3 >/dev/null; then
    check "dashboard in a browser" dashboard
else
    echo "SKIP dashboard in a browser: chromium or python3 is not installed"
fi
check "metrics: the same as the file" same_as_the_file
check "status of a process that nobody records" wrong 1 "nothing records it" "$out/adatrace" status -p $$
check "top of a process that is not there" wrong 1 "there is none" "$out/adatrace" top -p 999999999
for bad in 99ms 61s 0 x ''; do
    check "metrics interval '$bad'" wrong 2 "--metrics-interval '$bad' is not a time" "$out/adatrace" record \
        --metrics-interval "$bad" -- true
done
for bad in x :1 localhost:80 1.2.3.4 65536; do
    check "metrics address '$bad'" wrong 2 "--metrics-listen '$bad' is not PORT" "$out/adatrace" record \
        --metrics-listen "$bad" -- true
done
check "metrics address of another machine" wrong 1 "cannot serve metrics at 192.0.2.1:1" "$out/adatrace" record \
    -o "$work/none.adat" --metrics-listen 192.0.2.1:1 -- true
check "metrics file without a name" wrong 2 "needs the name" "$out/adatrace" record --metrics-file '' -- true
check "top: unknown order" wrong 2 "--sort 'x' is none of" "$out/adatrace" top --sort x
check "top: delay" wrong 2 "--delay '1ms'" "$out/adatrace" top -d 1ms
check "top: count" wrong 2 "--count '0'" "$out/adatrace" top -n 0
check "top: long filter" wrong 2 "longer than" "$out/adatrace" top -f 0123456789012345678901234567890123456789
exit $failed
