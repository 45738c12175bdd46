#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# adatraced is killed, again and again, and started again: nothing is lost, nothing is there twice, the programs notice nothing.
#   test_service_restart.sh OUT_DIR SOURCE_DIR
# ADA_KILLS: how often (default: 8, with sanitizers 3); ADA_KILL_PAUSE: seconds from a start to the kill (default: at random within 0.4).
. "$(dirname "$0")/support.sh"

if [ ! -x "$out/adatraced" ]; then
    echo "SKIP test_service_restart: built without inih or cJSON"
    exit 77
fi
. "$(dirname "$0")/service.sh"
a=$out/adatrace
[ -n "${ADA_SANITIZE:-}" ] && often=3 || often=8
kills=${ADA_KILLS:-$often}

rest() {
    local pause=${ADA_KILL_PAUSE:-0.$((RANDOM % 4))$((RANDOM % 10))}
    read -r -t "$pause" <>"$work/pause" || :
}

kill_again_and_again() {
    for _ in $(seq "$kills"); do
        launch || return 1
        rest
        kill -KILL "$service"
        wait "$service" 2>/dev/null
    done
    launch
}

# All is in its files: at once or, where the disk is too slow for the service's time, when it was started once more.
end() {
    terminate >"$work/end" && return
    grep -qF 'did not end in time' "$work/end" || { cat "$work/end"; return 1; }
    launch && terminate
}

# killed PROGRAM-ARGUMENT...: each event is in the files or in an account, and none is there twice
killed() {
    rm -rf "$work/traces" # of a check that failed
    configure '[session one]' "attach = name=$attached" 'rotate_size = 1M' 'max_total = off'
    start "$@"
    kill_again_and_again || return 1
    equal "$(ask on)" ok || return 1
    equal "$(ask pause)" ok || return 1
    end || return 1
    equal "$(ask off)" ok || return 1
    equal "$(find "$work/traces/one" -name '*.partial')" "" || return 1
    all_sound "$work"/traces/one/*.adat || return 1
    all_there "$work"/traces/one/*.adat || return 1
    "$a" verify "$work/traces/one" >"$work/verified" || { cat "$work/verified"; return 1; }
    stop
    rm -r "$work/traces"
}

# ask_all ORDER: each program's answer, a line each
ask_all() {
    local i answer
    for i in "${!pids[@]}"; do
        echo "$1" >&"${to[i]}" && read -r -t 60 answer <&"${from[i]}" || { echo "no answer to '$1' from $i"; return 1; }
        echo "$answer"
    done
}

# killed_beside PROGRAMS: the same of several, each at its own pace
killed_beside() {
    local -a pids to from
    local i fd sums
    rm -rf "$work/traces"
    configure '[session one]' "attach = name=$attached" 'rotate_size = 1M' 'max_total = off'
    for i in $(seq 0 $(($1 - 1))); do
        mkfifo "$work/in$i" "$work/out$i"
        "$work/$attached" 1 paced first="$i" <"$work/in$i" >"$work/out$i" &
        pids[i]=$!
        exec {fd}>"$work/in$i"
        to[i]=$fd
        exec {fd}<"$work/out$i"
        from[i]=$fd
    done
    kill_again_and_again || return 1
    equal "$(ask_all on | sort -u)" ok || return 1
    equal "$(ask_all pause | sort -u)" ok || return 1
    end || return 1
    all_sound "$work"/traces/one/*.adat || return 1
    sums=$("$out/tests/check_attach" "$work"/traces/one/*.adat) || { echo "$sums"; return 1; }
    equal "$(jq -c '[.attempted, .events, .repeated]' <<<"$sums")" \
        "$(ask_all counts | jq -cs '[(map(.emitted + .refused) | add), (map(.emitted) | add), 0]')" || return 1
    "$a" verify "$work/traces/one" >"$work/verified" || { cat "$work/verified"; return 1; }
    for fd in "${to[@]}" "${from[@]}"; do
        exec {fd}>&-
    done
    wait "${pids[@]}"
    rm -r "$work/traces"
}

check "killed while 4 threads record flat out" killed 4
check "killed while 16 processes record" killed_beside 16
check "killed while 16 threads record payloads" killed 16 payloads
check "killed while threads come and go" killed 4 churn
exit $failed
