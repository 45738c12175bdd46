# SPDX-License-Identifier: MIT
#
# For tests of the packages to source, with their arguments: OUT_DIR SOURCE_DIR. Builds the packages, gives what
# ../integration/support.sh does, and a container with systemd that has the packages in /packages, a newer version of them in
# /upgrade, and programs of the build tree in /out. Whatever is written in it goes away with it, which is when the test ends.
# shellcheck shell=bash source=../integration/support.sh
source "$(dirname "${BASH_SOURCE[0]}")/../integration/support.sh"

for command in systemd-nspawn debootstrap dpkg-buildpackage lintian; do
    if [ "$(id -u)" -ne 0 ]; then
        echo 'SKIP system: only root can boot a container'
        exit 77
    elif ! command -v "$command" >/dev/null; then
        echo "SKIP system: no $command; 'tools/setup --packages' installs it"
        exit 77
    fi
done

give_up() {
    echo "not ok - system: $*"
    exit 1
}

# A directory of packages: made by tools/package.
packages=$source_dir/build/package/test
upgrade=$source_dir/build/package/upgrade
version=$(dpkg-parsechangelog -l "$source_dir/packaging/debian/changelog" -S Version)
# shellcheck disable=SC2034 # for the tests
newer=$version+upgrade1
"$source_dir/tools/package" --output "$packages" >"$work/build" 2>&1 || give_up "packages: $(tail -n 20 "$work/build")"
"$source_dir/tools/package" --output "$upgrade" --version "$newer" >"$work/build" 2>&1 ||
    give_up "packages of a newer version: $(tail -n 20 "$work/build")"

# deb NAME [DIRECTORY]: the file of a package.
deb() {
    local files=("${2:-$packages}/$1"_*.deb)
    echo "${files[0]}"
}

leader=
# The container ends when its standard input does: also with a test that is killed.
container_stop() {
    [ -n "${CONTAINER_PID-}" ] || return 0
    eval "exec ${CONTAINER[1]}>&-"
    wait "$CONTAINER_PID"
}
trap 'container_stop; rm -rf "$work"' EXIT

container_start() {
    local root
    root=$("$source_dir/tools/system-root" "$(deb adatrace)" "$(deb libadatrace0)") || give_up 'no root to boot'
    coproc CONTAINER {
        exec "$(dirname "${BASH_SOURCE[0]}")/boot_container" "$root" "$work/console" --bind-ro="$packages:/packages" \
            --bind-ro="$upgrade:/upgrade" --bind-ro="$out:/out"
    }
    read -r leader <&"${CONTAINER[0]}" || give_up "no container: $(tail -n 20 "$work/console")"
}

# inside COMMAND...: in the container, as root.
inside() {
    nsenter --target "$leader" --mount --uts --ipc --net --pid --root --wd -- \
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive "$@"
}

# inside_is EXPECTED COMMAND...: what it prints.
inside_is() {
    local expected=$1
    shift
    equal "$(inside "$@" 2>&1)" "$expected"
}

# configure_unit NAME LINE...: a drop-in for the service.
configure_unit() {
    local name=$1
    shift
    inside mkdir -p /run/systemd/system/adatraced.service.d
    printf '%s\n' '[Service]' "$@" | inside tee "/run/systemd/system/adatraced.service.d/$name.conf" >/dev/null
    inside systemctl daemon-reload
}

unconfigure_unit() {
    inside rm "/run/systemd/system/adatraced.service.d/$1.conf"
    inside systemctl daemon-reload
}

unit_property() {
    inside systemctl show --property="$2" --value "$1"
}
