# SPDX-License-Identifier: MIT
#
# For test_*.sh to source, with their arguments: OUT_DIR SOURCE_DIR. Gives $out, $source, a work directory $work
# that goes away at the end, check(), and what records and looks at traces.
set -uo pipefail

# shellcheck disable=SC2034 # for the tests
out=$(realpath "$1")
# shellcheck disable=SC2034
source_dir=$(realpath "$2")
work=$(mktemp -d)
failed=0
trap 'rm -rf "$work"' EXIT
export LC_ALL=C
unset ADATRACE_PRELOAD ADATRACE_ANNOUNCE ADATRACE_SEGMENT ADATRACE_OPTIONS

# check NAME COMMAND...: the command's output says why it failed.
check() {
    local name=$1 why
    shift
    if why=$("$@" 2>&1); then
        echo "ok - $name"
    else
        echo "not ok - $name: ${why:-no reason given}"
        failed=1
    fi
}

# equal GOT EXPECTED
equal() {
    [ "$1" = "$2" ] || { echo "'$1' instead of '$2'"; return 1; }
}

# record FILE [OPTION]... -- COMMAND...: runs it with a fresh file; the summary is in $work/summary.json, the command's
# output on stdout.
record() {
    local file=$1
    shift
    rm -f "$file"
    "$out/adatrace" record --json -o "$file" "$@" 2>"$work/stderr"
    local status=$?
    tail -n 1 "$work/stderr" >"$work/summary.json"
    return $status
}

summary() {
    jq -r "$1" "$work/summary.json"
}

verify() {
    "$out/adatrace" verify "$1" || { echo "verify of $1: $?"; return 1; }
}

dump() {
    # Without what the recorder says of itself: on a busy machine there may be anomalies.
    "$out/adatrace" dump --json "$work/t.adat" | awk '!/"kind":"anomaly"/'
}

# hang: starts a program that knows nothing of adatrace, whose three threads wait for each other in futex(2); $hung when they do
hang() {
    "$out/tests/plain_deadlock" &
    hung=$!
    until [ "$(cat /proc/$hung/task/*/syscall 2>/dev/null | grep -c '^202 ')" = 3 ]; do
        kill -0 $hung || return 1
    done
}

# wrong STATUS TEXT COMMAND...: exit status, and one line on stderr that contains TEXT
wrong() {
    local status=$1 text=$2
    shift 2
    "$@" >"$work/stdout" 2>"$work/stderr"
    equal $? "$status" || { cat "$work/stderr"; return 1; }
    equal "$(wc -l <"$work/stderr")" 1 || { cat "$work/stderr"; return 1; }
    grep -qF -- "$text" "$work/stderr" || { cat "$work/stderr"; return 1; }
}
