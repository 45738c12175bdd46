#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# docs/guide.md holds: its program, built as it says, and its commands give its answer.
#   test_guide.sh OUT_DIR SOURCE_DIR
. "$(dirname "$0")/support.sh"

a=$out/adatrace
shop=$out/tests/example_shop
if [ -n "${ADA_SANITIZE:-}" ]; then
    echo "SKIP test_guide: sanitizers' libraries cannot be preloaded beside another"
    exit 77
fi
cd "$work" || exit 1

# of FILTER: of the report
of() {
    jq -c "$1" report.json
}

answers() {
    "$a" record -o shop.adat --preload lock -- "$shop" 2>said || { cat said; return 1; }
    grep -q 'none lost' said || { cat said; return 1; }
    "$a" report --json shop.adat >report.json || return 1
    equal "$(of '[.rows[] | select(.kind == "span") | {(.name): .count}] | add | [.request, .pthread_mutex_lock, .audit]')" '[1200,1205,5]' || return 1
    # Each worker waited for whoever audits, and for a good part of the time that the lock was held: 20 ms, five times.
    equal "$(of '[.waits[] | select(.name == "pthread_mutex_lock" and .whom.thread == "auditor" and .total_ns > 20e6) | .thread] | sort')" \
        '["worker-0","worker-1","worker-2"]'
}
check 'guide: the report names who waits, and for whom' answers

marks() {
    "$a" record -o slow.adat --preload lock --mark 'span=request>5ms' -- "$shop" 2>said || { cat said; return 1; }
    "$a" dump slow.adat | grep -q 'marked span=request>5ms' || { echo 'no mark'; return 1; }
}
check 'guide: slow requests are marked' marks

goes_on() {
    "$a" report --limit 4 shop.adat >/dev/null && "$a" report --tree shop.adat >/dev/null &&
        "$a" dump shop.adat --from 0.01 --to 0.02 >/dev/null && "$a" view shop.adat >/dev/null &&
        [ -s shop.html ] && "$a" diff shop.adat slow.adat >/dev/null
}
check 'guide: its other commands work' goes_on

if [ -x "$out/adatraced" ]; then
    service() {
        sed -n '/^\[session shop\]/,/^```/p' "$source_dir/docs/guide.md" | grep -v '^```' >shop.conf
        "$out/adatraced" --check-config shop.conf
    }
    check 'guide: its lines for the service are right' service
fi
exit $failed
