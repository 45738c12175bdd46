#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# libadatrace-functions: each function of an instrumented program is recorded once when it is entered and
# once when it is left, on the thread that did it, and the two nest.
#   test_functions.sh OUT_DIR SOURCE_DIR
. "$(dirname "$0")/support.sh"

program=$out/tests/prog_functions

# count KIND [FILTER]: events of a kind in the dump.
count() {
    jq -n --arg kind "$1" "[inputs | select(.kind == \$kind) | select(${2-true})] | length" "$work/dump"
}

# Every exit belongs to the innermost open entry of its thread, and none stays open.
balanced() {
    jq -r 'select(.kind | startswith("function")) | "\(.tid) \(.kind) \(.name)"' "$work/dump" | awk '
        $2 == "function_entry" { stack[$1, depth[$1]++] = $3 }
        $2 == "function_exit" && (depth[$1] == 0 || stack[$1, --depth[$1]] != $3) { bad = bad "line " NR "; "; exit }
        END {
            for (tid in depth)
                if (depth[tid] != 0)
                    bad = bad tid " has " depth[tid] " open; "
            if (bad || NR == 0) {
                print "of " NR " events: " bad
                exit 1
            }
        }'
}

"$program" >"$work/alone" 2>&1
check 'functions: the program works without a recorder' equal "$?" 0
calls=$(cat "$work/alone")

"$out/adatrace" record --policy block -o "$work/trace.adat" -- "$program" >"$work/recorded" 2>"$work/summary"
check 'functions: the exit status is passed on' equal "$?" 0
check 'functions: the output is the same' cmp "$work/alone" "$work/recorded"
check 'functions: the file verifies' "$out/adatrace" verify "$work/trace.adat"
"$out/adatrace" dump --json "$work/trace.adat" >"$work/dump"
check 'functions: every entry is recorded' equal "$(count function_entry)" "$calls"
check 'functions: every exit is recorded' equal "$(count function_exit)" "$calls"
check 'functions: entries and exits nest on each thread' balanced
check 'functions: each of the threads is there' equal \
    "$(jq -n '[inputs | select(.kind == "function_entry").tid] | unique | length' "$work/dump")" 5

# In front of the empty functions of libc, for a program that was not linked to the library.
if [ -n "${ADA_SANITIZE-}" ]; then
    echo "SKIP functions preloaded: what is built with sanitizers cannot be preloaded"
else
    LD_PRELOAD=$out/libadatrace-functions.so "$program" >"$work/preloaded" 2>&1
    check 'functions: preloaded, the program works' cmp "$work/alone" "$work/preloaded"
fi

exit $failed
