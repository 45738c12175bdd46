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

# ---- names ----

# Copies of programs find the libraries that they were built with.
export LD_LIBRARY_PATH=$out

# trace PROGRAM: records it as $work/t.adat
trace() {
    record "$work/t.adat" --policy block -- "$1" >/dev/null || { cat "$work/stderr"; return 1; }
}

# names [OPTION]...: names and offsets of the functions in the trace, one a line; what dump says besides is in $work/warnings.
names() {
    "$out/adatrace" dump --json "$@" "$work/t.adat" 2>"$work/warnings" |
        jq -r 'select(.kind | startswith("function")) | .name + " " + .fields.offset' | sort -u
}

# addresses FILE NAME...: the same of these functions, by nm
addresses() {
    local file=$1
    shift
    nm "$file" | awk -v names=" $* " '
        index(names, " " $3 " ") { sub(/^0+/, "", $1); print $3 " 0x" $1 }' | sort -u
}

all=(at_exit by_pointer compare fibonacci leaf main worker)
check 'names: recorded' trace "$program"
check 'names: each function has its own' equal "$(names)" "$(addresses "$program" "${all[@]}")"
check 'names: nothing to warn of' equal "$(cat "$work/warnings")" ''
check 'names: --event finds them' equal "$(names --event 'fib*' --event worker)" "$(addresses "$program" fibonacci worker)"
check 'names: --no-symbols: none' equal "$(names --no-symbols | grep -cv '^prog_functions+0x')" 0
"$out/adatrace" dump --event main "$work/t.adat" >"$work/text"
check 'names: in text' equal "$(grep -cE ' (entry|exit) main 0x' "$work/text")" 2

fixed=$out/tests/fixed_functions
check 'names: the fixed program is one' equal "$(readelf -h "$fixed" | awk '/Type:/ { print $2 }')" EXEC
check 'names: of a fixed program: recorded' trace "$fixed"
check 'names: of a fixed program' equal "$(names)" "$(addresses "$fixed" inner main outer)"

check 'names: of C++: recorded' trace "$out/tests/cxx_functions"
if nm "$out/adatrace" | grep cplus_demangle_v3_callback >/dev/null; then
    check 'names: of C++' equal "$(names | sed 's/ 0x[0-9a-f]*$//' | tr '\n' ';')" \
        'int shop::twice<int>(int);main;shop::Till::Till();shop::Till::add(int, char const*);'
else
    echo "SKIP names of C++: built without libiberty"
fi

# What is loaded while the program runs, by a bare name that only the program itself can find.
loads=$out/tests/loads_functions
first=$out/tests/plugins/plugin_first.so
loads_names() {
    names | grep -v '^main '
}
# AddressSanitizer's own dlopen() hides who calls it.
[[ ${ADA_SANITIZE-} != address* ]] || export LD_LIBRARY_PATH=$out:$out/tests/plugins
check 'names: of a library that is loaded later: without a recorder' equal "$("$loads")" 'plugin_first.so: 42'
check 'names: of a library that is loaded later: recorded' trace "$loads"
check 'names: of a library that is loaded later' equal "$(loads_names)" \
    "$(addresses "$first" first_work first_step; addresses "$loads" load)"
killed() {
    rm -f "$work/t.adat"
    "$out/adatrace" record --policy block -o "$work/t.adat" -- "$loads" kill >/dev/null 2>&1
    equal $? 137
}
check 'names: of a library that is loaded later: killed' killed
check 'names: of a library that is loaded later, and the program was killed' equal "$(loads_names)" \
    "$(addresses "$first" first_work first_step; addresses "$loads" load)"

# One after the other, where they may have had the same place: then nobody can say which an address is of. The first one's are the third to
# fifth functions that are entered.
replaced() {
    rm -f "$work/t.adat"
    record "$work/t.adat" --policy block -- "$loads" both >/dev/null || return 1
    equal "$("$out/adatrace" dump --json "$work/t.adat" | jq -r 'select(.kind == "function_entry").name' | tail -n +6 | grep -c '^first_')" 0 || return 1
    loads_names | sed 's/ 0x.*//; s/ .*//' >"$work/named"
    case $(tr '\n' ' ' <"$work/named") in
        'first_step first_work load second_step second_work ') ;;
        *) equal "$(grep -cE '^(first|second)_' "$work/named")" 0 ;;
    esac
}
check 'names: of libraries one after the other: none is wrong' replaced

# Stripped, with debugging information by build-id elsewhere, as distributions have it.
mkdir "$work/app" "$work/debug" "$work/hostile"
stripped=$work/app/prog_functions
strip -o "$stripped" "$program"
check 'names: of a stripped program: recorded' trace "$stripped"
check 'names: of a stripped program: none' equal "$(names | grep -cv '^prog_functions+0x')" 0
# Built for gcov it exports functions, which stripping leaves.
nm -D --defined-only "$stripped" 2>/dev/null | awk '$2 == "T" { found = 1 } END { exit !found }' ||
    check 'names: of a stripped program: why' grep -qF "'$stripped': the file has no symbols; --symbols DIR" "$work/warnings"
id=$(readelf -n "$program" | awk '/Build ID:/ { print $3 }')
mkdir -p "$work/debug/.build-id/${id:0:2}"
objcopy --only-keep-debug "$program" "$work/debug/.build-id/${id:0:2}/${id:2}.debug"
check 'names: by build-id' equal "$(names --symbols "$work/debug")" "$(addresses "$program" "${all[@]}")"
check 'names: by build-id: nothing to warn of' equal "$(cat "$work/warnings")" ''

# A file may call its functions what it likes.
objcopy --redefine-sym "leaf=$(printf 'l\033[31m"\\x')" "$program" "$work/hostile/prog_functions"
"$out/adatrace" dump --symbols "$work/hostile" "$work/t.adat" >"$work/text"
check 'names: hostile ones are escaped' grep -qF 'entry l\x1b[31m\"\\x 0x' "$work/text"
check 'names: a terminal has nothing to obey' equal "$(LC_ALL=C grep -c "$(printf '\033')" "$work/text")" 0
check 'names: hostile ones are valid JSON' equal \
    "$(names --symbols "$work/hostile" | grep -cF "$(printf 'l\033[31m"\\x ')")" 1

# What was replaced since is not asked, and neither is a directory's file of another build.
cp "$fixed" "$stripped"
cp "$fixed" "$work/app/prog_functions.debug"
check 'names: of a replaced program: none' equal "$(names --symbols "$work/app" | grep -cv '^prog_functions+0x')" 0
check 'names: of a replaced program: why' grep -qF "'$stripped': the file was replaced since" "$work/warnings"
check 'names: of a replaced program, by build-id' equal "$(names --symbols "$work/debug")" "$(addresses "$program" "${all[@]}")"
rm "$stripped"
names >/dev/null
check 'names: of a removed program: why' grep -qF "'$stripped': no such file here; --symbols DIR" "$work/warnings"
mkfifo "$stripped"
names >/dev/null
check 'names: of a program that is a FIFO now: why' grep -qF "'$stripped': not a regular file" "$work/warnings"

# ---- names in the trace itself ----

# embedded NAME PROGRAM OPTION...: records a copy of the program, $work/embed/NAME, with its names, then removes the copy.
embedded() {
    local name=$1 program=$2
    shift 2
    cp "$program" "$work/embed/$name"
    rm -rf "$work/t.adat"
    record "$work/t.adat" --policy block "$@" -- "$work/embed/$name" >/dev/null || { cat "$work/stderr"; return 1; }
    rm "$work/embed/$name"
}
info() {
    "$out/adatrace" info --json "$work/t.adat" | jq -r "$1"
}
mkdir "$work/embed"

check 'embedded: recorded' embedded prog "$program"
check 'embedded: not asked for: none' equal "$(names | grep -cv '^prog+0x')" 0
check 'embedded: not asked for: info' equal "$(info .embedded_symbols)" 0

check 'embedded: recorded' embedded prog "$program" --embed-symbols
check 'embedded: nothing to say' equal "$(wc -l <"$work/stderr")" 1
check 'embedded: verifies' "$out/adatrace" verify "$work/t.adat"
check 'embedded: each function has its name' equal "$(names)" "$(addresses "$program" "${all[@]}")"
check 'embedded: nothing to warn of' equal "$(cat "$work/warnings")" ''
check 'embedded: --no-symbols: none' equal "$(names --no-symbols | grep -cv '^prog+0x')" 0
check 'embedded: info' equal "$(info '.embedded_symbols >= 7 and .embedded_modules >= 1')" true
"$out/adatrace" info "$work/t.adat" >"$work/text"
check 'embedded: info in text' grep -qE '^names +of [0-9]+ functions of [0-9]+ modules? are in it$' "$work/text"
cp "$fixed" "$work/embed/prog"
check 'embedded: the program was replaced' equal "$(names)" "$(addresses "$program" "${all[@]}")"

# What stands in the block counts as little as what stands in a file.
size=$(stat -c %s "$work/t.adat")
at=$(grep -obUa fibonacci "$work/t.adat" | tail -n 1 | cut -d: -f1)
cp "$work/t.adat" "$work/sound.adat"
printf 'X' | dd of="$work/t.adat" bs=1 seek="$at" conv=notrunc status=none
"$out/adatrace" verify "$work/t.adat" >"$work/text" 2>&1
check 'embedded: a damaged block is reported' grep -q "checksum does not match" "$work/text"
check 'embedded: of the same length' equal "$(stat -c %s "$work/t.adat")" "$size"
# All events come before it.
check 'embedded: events are read all the same' equal \
    "$("$out/adatrace" dump --no-symbols "$work/t.adat" 2>/dev/null | sha256sum)" \
    "$("$out/adatrace" dump --no-symbols "$work/sound.adat" | sha256sum)"
rm "$work/embed/prog"

# Of a recording in several files each has its own.
check 'embedded: rotated: recorded' embedded prog "$program" --rotate-time 1s --embed-symbols
check 'embedded: rotated: verifies' "$out/adatrace" verify "$work/t.adat"
check 'embedded: rotated: each function has its name' equal "$(names)" "$(addresses "$program" "${all[@]}")"
file=$(find "$work/t.adat" -name 'trace-*.adat' | head -n 1)
check 'embedded: rotated: a file alone' equal "$("$out/adatrace" info --json "$file" | jq '.embedded_symbols >= 7')" true

# A file that is not ours any more is left as it is. (Another name for it: the check that has no race needs no root.)
embed_refused() {
    cp "$program" "$work/embed/prog"
    "$out/adatrace" record --embed-symbols -o "$work/linked.adat" -- sh -c "'$work/embed/prog' >/dev/null; ln '$work/linked.adat' '$work/link.adat'" 2>"$work/stderr"
    equal $? 0 || return 1
    grep -qF "cannot put names of functions into '$work/linked.adat': it is no file of ours any more" "$work/stderr" &&
        "$out/adatrace" verify "$work/linked.adat"
}
check 'embedded: a file with another name is left alone' embed_refused
check 'embedded: not with the service' wrong 2 "--embed-symbols does not go with --service" \
    "$out/adatrace" attach --service --embed-symbols -p $$

exit $failed
