#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What is installed can be built against, from C and C++, by pkg-config and by CMake, and exports ada_* alone.
set -uo pipefail

source_dir=$2
build_dir=$(dirname "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# check NAME COMMAND...
check() {
    local name=$1
    shift
    if "$@" >"$work/log" 2>&1; then
        echo "ok - $name"
    else
        echo "not ok - $name"
        sed 's/^/    /' "$work/log"
        failed=1
    fi
}

if [ -n "${ADA_SANITIZE-}" ]; then
    echo "SKIP install: a library built with sanitizers does not link into a program without them"
    exit 77
fi

prefix=$work/prefix
check 'install: into a prefix' cmake --install "$build_dir" --prefix "$prefix"
library=$(find "$prefix" -name libadatrace.so.0)
libdir=$(dirname "$library")
export PKG_CONFIG_PATH=$libdir/pkgconfig

exports_ada_only() {
    local others
    others=$(nm -D --defined-only "$library" | awk '$2 != "A" { print $3 }' | grep -v '^ada_')
    [ -z "$others" ] || { echo "exported: $others"; return 1; }
    nm -D --defined-only "$library" | grep ' ada_emit\(@@ADATRACE_0\)\?$' >/dev/null
}
check 'install: the library exports ada_* alone' exports_ada_only

needs_libc_only() {
    local others
    others=$(objdump -p "$library" | awk '$1 == "NEEDED" { print $2 }' | grep -vE '^(libc\.so|ld-linux)')
    [ -z "$others" ] || { echo "needs: $others"; return 1; }
}
check 'install: the library needs libc alone' needs_libc_only

reader=$libdir/libadatrace-reader.so.0
# What the header declares, the library exports, and Debian's list of symbols promises is the same.
exports_what_its_header_declares() {
    nm -D --defined-only "$reader" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort >"$work/exported"
    grep -o '\<ada_\(reader\|trace\)_[a-z_]*(' "$prefix/include/adatrace/reader.h" | tr -d '(' | sort -u >"$work/mentioned"
    tr '\n' ' ' <"$prefix/include/adatrace/reader.h" | grep -o 'ADA_READER_API [^;(]*(' | grep -o 'ada_[a-z_]*($' |
        tr -d '(' | sort >"$work/declared"
    [ -s "$work/declared" ] || { echo "no declarations found"; return 1; }
    diff "$work/declared" "$work/exported" || return 1
    # What comments speak of is there.
    comm -23 "$work/mentioned" "$work/declared" | grep . && return 1
    sed -n 's/^ \(ada_[a-z_]*\)@.*/\1/p' "$source_dir/packaging/debian/libadatrace-reader0.symbols" | sort | diff - "$work/exported"
}
check 'install: the reader library exports what its header declares' exports_what_its_header_declares

reader_needs() {
    local others
    others=$(objdump -p "$reader" | awk '$1 == "NEEDED" { print $2 }' | grep -vE '^(libc|libm|libz|libelf|libdeflate|liblzma)\.so|^ld-linux')
    [ -z "$others" ] || { echo "needs: $others"; return 1; }
}
check 'install: the reader library needs libelf and compression alone' reader_needs

mkdir "$work/project"
cat >"$work/project/app.c" <<'CODE'
#include <adatrace/adatrace.h>

int main(void)
{
    ADA_SCOPE("main");
    ADA_INSTANT("instant", 1);
    ADA_EVENT("typed", (u64, id, 7), (str, path, "/"));
    return ada_enabled();
}
CODE
cp "$work/project/app.c" "$work/project/app_cxx.cpp"
cat >"$work/project/CMakeLists.txt" <<'CODE'
cmake_minimum_required(VERSION 3.16)
project(app C CXX)
find_package(adatrace 0.1 REQUIRED COMPONENTS events functions reader)
add_executable(app app.c)
add_executable(app_cxx app_cxx.cpp)
add_executable(app_functions app.c)
target_compile_options(app_functions PRIVATE -finstrument-functions)
target_link_libraries(app PRIVATE adatrace::adatrace)
target_link_libraries(app_cxx PRIVATE adatrace::adatrace)
target_link_libraries(app_functions PRIVATE adatrace::functions)
add_executable(longest_gap longest_gap.c)
add_executable(longest_gap_cxx longest_gap_cxx.cpp)
target_link_libraries(longest_gap PRIVATE adatrace::reader)
target_link_libraries(longest_gap_cxx PRIVATE adatrace::reader)
CODE
example=$(find "$prefix/share/doc" -name longest_gap.c)
cp "$example" "$work/project/longest_gap.c"
cp "$example" "$work/project/longest_gap_cxx.cpp"

# build_by_pkg_config COMPILER SOURCE
build_by_pkg_config() {
    # shellcheck disable=SC2046 # flags are words
    "$1" -Wall -Wextra -Werror -o "$work/app_pc" "$work/project/$2" $(pkg-config --cflags --libs adatrace) &&
        LD_LIBRARY_PATH=$libdir "$work/app_pc"
}
check 'install: C by pkg-config' build_by_pkg_config cc app.c
check 'install: C++ by pkg-config' build_by_pkg_config c++ app_cxx.cpp
check 'install: pkg-config version' pkg-config --exact-version=0.1.0 adatrace

build_by_cmake() {
    cmake -S "$work/project" -B "$work/build" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" && cmake --build "$work/build"
}
check 'install: find_package' build_by_cmake
for app in app app_cxx app_functions; do
    check "install: find_package: $app runs" "$work/build/$app"
done

check 'install: the command runs' "$prefix/bin/adatrace" --version
# The command must find libadatrace-preload.so below the prefix it was moved to.
check 'install: the command records with --preload' \
    "$prefix/bin/adatrace" record -o "$work/true.adat" --preload io -- cat /dev/null
check 'install: the command reads what it recorded' "$prefix/bin/adatrace" verify "$work/true.adat"

# The example, built in each way, says of each thread what `info` says.
expected_gaps() {
    "$prefix/bin/adatrace" info --json "$work/true.adat" | jq -r '.threads[] | "\(.tid) \(.events.in_file) events"'
}
# same_as_info COMMAND...
same_as_info() {
    local printed
    printed=$("$@" "$work/true.adat") || return 1
    [ "$(expected_gaps)" ] && diff <(expected_gaps) <(sed 's/,.*//' <<<"$printed") &&
        ! grep -vE '^[0-9]+ [0-9]+ events, longest gap [0-9]+\.[0-9]{6} s, 0 lost$' <<<"$printed"
}
# example_by_pkg_config COMPILER STANDARD SOURCE
example_by_pkg_config() {
    # shellcheck disable=SC2046 # flags are words
    "$1" "-std=$2" -pedantic -Wall -Wextra -Werror -o "$work/gap" "$work/project/$3" $(pkg-config --cflags --libs adatrace-reader) &&
        LD_LIBRARY_PATH=$libdir same_as_info "$work/gap"
}
check 'install: example of the reader: C11 by pkg-config' example_by_pkg_config cc c11 longest_gap.c
check 'install: example of the reader: C++11 by pkg-config' example_by_pkg_config c++ c++11 longest_gap_cxx.cpp
check 'install: pkg-config version of the reader' pkg-config --exact-version=0.1.0 adatrace-reader
check 'install: example of the reader: C by find_package' same_as_info "$work/build/longest_gap"
check 'install: example of the reader: C++ by find_package' same_as_info "$work/build/longest_gap_cxx"
no_such_component() {
    sed 's/COMPONENTS events/COMPONENTS nothing/' "$work/project/CMakeLists.txt" >"$work/other/CMakeLists.txt"
    ! cmake -S "$work/other" -B "$work/other/build" -G Ninja -DCMAKE_PREFIX_PATH="$prefix"
}
mkdir "$work/other"
check 'install: find_package refuses a component that is not there' no_such_component
for page in "$source_dir"/docs/man/*.[1-8]; do
    [ -e "$page" ] || continue
    check "install: $(basename "$page")" find "$prefix/share/man/man${page##*.}/$(basename "$page")"
done

# Units name the program where it was configured to be.
if [ -x "$prefix/sbin/adatraced" ]; then
    check 'install: the unit starts the service' grep -qE '^ExecStart=/.*/sbin/adatraced$' \
        "$prefix/lib/systemd/system/adatraced.service"
    check 'install: its sockets' find "$prefix/lib/systemd/system/adatraced-control.socket" \
        "$prefix/lib/systemd/system/adatraced-announce.socket"
fi
check 'install: completion' find "$prefix/share/bash-completion/completions/adatrace" "$prefix/share/zsh/site-functions/_adatrace"

exit $failed
