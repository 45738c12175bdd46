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
find_package(adatrace 0.1 REQUIRED)
add_executable(app app.c)
add_executable(app_cxx app_cxx.cpp)
add_executable(app_functions app.c)
target_compile_options(app_functions PRIVATE -finstrument-functions)
target_link_libraries(app PRIVATE adatrace::adatrace)
target_link_libraries(app_cxx PRIVATE adatrace::adatrace)
target_link_libraries(app_functions PRIVATE adatrace::functions)
CODE

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
