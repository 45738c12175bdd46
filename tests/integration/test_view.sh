#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# adatrace view: what the page shows is what dump prints; it is used in a real browser, by mouse and keys; names of traced programs
# are text, whatever they are; it asks for nothing.
#   test_view.sh OUT_DIR SOURCE_DIR
# With ADA_SCREENSHOTS=DIR, pictures of the pages are left there.
# shellcheck source=support.sh
source "$(dirname "$0")/support.sh"

page=$work/page.html

# view TRACE [OPTION]...: its page
view() {
    "$out/adatrace" view --force -o "$page" "$@" >"$work/stdout" 2>"$work/stderr" || { cat "$work/stderr"; return 1; }
}

# events TRACE [OPTION]...: as view_browser.py wants them
events() {
    "$out/adatrace" dump "$@" 2>/dev/null | grep -v ' anomaly ' >"$work/text"
    "$out/adatrace" dump --json "$@" 2>/dev/null | awk '!/"kind":"anomaly"/' >"$work/json"
    paste "$work/text" "$work/json" >"$work/events"
    [ -s "$work/events" ] || { echo 'no events'; return 1; }
}

# browse WHAT TRACE [OPTION]...
browse() {
    local what=$1 picture=()
    shift
    [ -z "${ADA_SCREENSHOTS-}" ] || picture=("$ADA_SCREENSHOTS/view-$what.png")
    view "$@" && events "$@" || return 1
    python3 "$source_dir/tests/integration/view_browser.py" "$what" "$page" "$work/events" "${picture[@]}"
}

# ---- the command ----

record "$work/f.adat" --policy block -- "$out/tests/prog_functions" >/dev/null
cd "$work" || exit 1
check 'view: the name is that of the trace' equal "$("$out/adatrace" view f.adat)" f.html
check 'view: nobody else may read it' equal "$(stat -c %a f.html)" 640
check 'view: one that is there stays' wrong 1 "'f.html': it exists already; replace it with --force" "$out/adatrace" view f.adat
cp f.html kept.html
check 'view: --force replaces it' equal "$("$out/adatrace" view --force f.adat)" f.html
check 'view: the same again' cmp f.html kept.html
check 'view: no other files are left' equal "$(find . -name 'f.*' | sort | tr '\n' ' ')" './f.adat ./f.html '
mkdir traces && cp f.adat traces/one.adat
check 'view: of a directory' equal "$("$out/adatrace" view traces/)" traces.html
check 'view: no place' wrong 1 "cannot create '$work/none/x.html': No such file" "$out/adatrace" view -o "$work/none/x.html" f.adat
check 'view: no place to replace it' wrong 1 "cannot create '$work/none/x.html': No such file" \
    "$out/adatrace" view --force -o "$work/none/x.html" f.adat
check 'view: no room' wrong 1 "cannot write 'small.html': File too large" \
    bash -c 'trap "" XFSZ; ulimit -f 20; exec "$0" view -o small.html f.adat' "$out/adatrace"
check 'view: no room: half a page is none' test ! -e small.html
check 'view: no trace' wrong 1 'cannot read' "$out/adatrace" view f.html
check 'view: no operand' wrong 2 'file' "$out/adatrace" view
check 'view: no such thread' wrong 1 "no thread 'nobody'" "$out/adatrace" view -o n.html --thread nobody f.adat
check 'view: and no page of it' test ! -e n.html
check 'view: no time' wrong 2 "--from: 'x' is not a time" "$out/adatrace" view --from x f.adat
check 'view: the wrong way round' wrong 2 '--from is later than --until' "$out/adatrace" view --from 2 --to 1 f.adat
check 'view: names or none' wrong 2 'exclude each other' "$out/adatrace" view --symbols . --no-symbols f.adat
check 'view: no name' wrong 2 '--output needs' "$out/adatrace" view -o '' f.adat

# A trace that is cut off is shown as far as it goes, and that is said.
head -c $(($(stat -c %s f.adat) / 2)) f.adat >cut.adat
check 'view: of a cut trace' view cut.adat
check 'view: of a cut trace: it is said' grep -qF 'is cut off' stderr
grep -oE '(src|href|url)[=(]' f.html >links
check 'view: no links' equal "$(cat links)" ''

# ---- in a browser ----

if [ -n "${ADA_SANITIZE-}" ]; then
    echo 'SKIP view in a browser: once is enough, without sanitizers'
    exit $failed
fi
if ! command -v chromium >/dev/null || ! command -v python3 >/dev/null; then
    echo 'SKIP view in a browser: chromium or python3 is not installed'
    exit $failed
fi
check 'view: functions, as dump has them' browse functions f.adat
check 'view: by keys' browse keys f.adat
tid=$("$out/adatrace" info --json f.adat | jq '.threads[2].tid')
check 'view: one thread' browse part f.adat --thread "$tid"
from=$(awk 'NR == 1000 { print $1 }' text)
to=$(awk 'NR == 3000 { print $1 }' text)
export ADA_FROM=$from ADA_TO=$to
window() {
    events f.adat && view f.adat --from "$from" --to "$to" || return 1
    python3 "$source_dir/tests/integration/view_browser.py" window "$page" "$work/events"
}
check 'view: a part of the time, and what reaches into it' window

record "$work/h.adat" --detail always --policy block -- "$out/tests/prog_view"
check 'view: names that are HTML' browse hostile h.adat
values() {
    events h.adat || return 1
    ADA_FROM=$(awk '/"kind":"counter"/ && ++count == 3 { print $1 }' events)
    view h.adat --from "$ADA_FROM" || return 1
    python3 "$source_dir/tests/integration/view_browser.py" value "$page" "$work/events"
}
check 'view: what a counter begins with' values
record "$work/w.adat" --preload lock,thread --policy block -- "$out/tests/plain_waits"
check 'view: who waited, and for whom' browse waits w.adat
record "$work/l.adat" --ring-size 4K -- "$out/tests/prog_load" 4 100000
"$out/adatrace" info --json l.adat >info.json
export ADA_INFO=$work/info.json
check 'view: losses' browse losses l.adat

record "$work/m.adat" --policy block -- "$out/tests/prog_load" 4 900000
many() {
    view m.adat && grep -q "note: '$page' shows 36000[0-9][0-9] things as" stderr || { cat stderr; return 1; }
    python3 "$source_dir/tests/integration/view_browser.py" many "$page"
}
check 'view: more than a page has room for' many
rm m.adat

empty() {
    view f.adat --from 1000 || return 1
    python3 "$source_dir/tests/integration/view_browser.py" empty "$page"
}
check 'view: nothing at all' empty

if record s.adat --sched --preload lock,thread --policy block -- "$out/tests/plain_waits" &&
    [ "$(summary .kernel.enabled)" = true ]; then
    check 'view: what the scheduler did' browse sched s.adat
    check 'view: who waited, with the scheduler' browse waits s.adat
    hung_program() {
        hang && "$out/adatrace" attach --sched --syscalls --duration 200ms -p "$hung" -o hung.adat 2>stderr
        local status=$?
        kill -KILL "$hung"
        wait "$hung" 2>/dev/null
        [ $status = 0 ] || { cat stderr; return 1; }
        browse hung hung.adat
    }
    check 'view: who waits for whom in a program that hangs' hung_program
else
    echo "SKIP view of the scheduler: $(summary .kernel.reason)"
fi
exit $failed
