#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The Debian packages: what lintian says, what is in them, and what becomes of a system on which they are installed,
# upgraded, removed and purged; and that the sandbox of the service lets it do its work, and nothing else.
# shellcheck source=container.sh
source "$(dirname "$0")/container.sh"

# ---- as files ---------------------------------------------------------------------------------------

# The address in the changelog is nobody's, and no archive has a bug that asks for the package.
lintian_has_nothing_to_say() {
    local said
    said=$(lintian --allow-root --fail-on error,warning "$packages"/*.changes \
        --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog,initial-upload-closes-no-bugs 2>&1)
    [ $? -eq 0 ] && [ -z "$said" ] || { echo "$said"; return 1; }
}
check 'packages: lintian' lintian_has_nothing_to_say

builds_nothing_twice() {
    local before
    before=$(stat -c '%n %Y %i' "$packages"/*.deb)
    "$source_dir/tools/package" --output "$packages" >"$work/again" || return 1
    equal "$(stat -c '%n %Y %i' "$packages"/*.deb)" "$before"
}
check 'packages: what did not change is not built again' builds_nothing_twice

built_library=$(find "$source_dir"/build/package/tree/adatrace/obj-*/out -name libadatrace.so)
check 'packages: the hot path is as short with the options of Debian' "$source_dir/tools/check-hotpath" "$built_library"

for package in libadatrace0 libadatrace-reader0 libadatrace-dev; do
    dpkg-deb -x "$(deb $package)" "$work/prefix"
done
printf '%s\n' '#include <adatrace/adatrace.h>' 'int main(void) { ADA_INSTANT("instant", 1); return ada_enabled(); }' >"$work/app.c"
builds_a_program() {
    local libdir
    libdir=$(dirname "$(find "$work/prefix" -name libadatrace.so)")
    # shellcheck disable=SC2046 # flags are words
    cc -o "$work/app" "$work/app.c" $(PKG_CONFIG_PATH=$libdir/pkgconfig pkg-config --cflags --libs adatrace) &&
        LD_LIBRARY_PATH=$libdir "$work/app"
}
check 'packages: a program is built with libadatrace-dev' builds_a_program

builds_the_example() {
    local libdir
    libdir=$(dirname "$(find "$work/prefix" -name libadatrace-reader.so)")
    # shellcheck disable=SC2046 # flags are words
    cc -o "$work/gap" "$work/prefix/usr/share/doc/libadatrace-dev/examples/longest_gap.c" \
        $(PKG_CONFIG_PATH=$libdir/pkgconfig pkg-config --cflags --libs adatrace-reader) || return 1
    LD_LIBRARY_PATH=$libdir "$work/gap" /nonexistent 2>"$work/why" && return 1
    grep -q "^cannot read '/nonexistent': no such file" "$work/why" || { cat "$work/why"; return 1; }
}
check 'packages: so is the example of the reader library' builds_the_example

has_all_pages() {
    local page
    dpkg-deb -c "$(deb adatrace)" >"$work/contents"
    dpkg-deb -c "$(deb libadatrace-dev)" >>"$work/contents"
    for page in "$source_dir"/docs/man/*.[1-8]; do
        grep -q "/$(basename "$page").gz$" "$work/contents" || { echo "no $(basename "$page")"; return 1; }
    done
}
check 'packages: all manual pages' has_all_pages

# ---- installed --------------------------------------------------------------------------------------

container_start
check 'packages: the container runs' inside_is running systemctl is-system-running

install_all() {
    inside sh -c "dpkg -i $1/libadatrace0_*.deb $1/adatrace_*.deb"
}
check 'packages: installed' install_all /packages
check 'packages: the service is enabled' inside_is enabled systemctl is-enabled adatraced.service
check 'packages: the sockets listen' inside_is $'active\nactive' \
    systemctl is-active adatraced-control.socket adatraced-announce.socket

has_system_user() {
    local entry
    entry=$(inside getent passwd adatrace) || { echo 'no user'; return 1; }
    equal "${entry##*:}" /usr/sbin/nologin && inside getent group adatrace >/dev/null
}
check 'packages: user and group adatrace' has_system_user

# mode_is FILE 'USER:GROUP MODE TYPE'
mode_is() {
    inside_is "$2" stat -c '%U:%G %a %F' "$1"
}
check 'packages: mode of the configuration' mode_is /etc/adatrace/adatraced.conf 'root:root 644 regular file'
check 'packages: mode of conf.d' mode_is /etc/adatrace/conf.d 'root:root 755 directory'
check 'packages: mode of the command' mode_is /usr/bin/adatrace 'root:root 755 regular file'
check 'packages: mode of the service' mode_is /usr/sbin/adatraced 'root:root 755 regular file'
check 'packages: mode of the control socket' mode_is /run/adatrace/control.sock 'root:adatrace 666 socket'
check 'packages: mode of the announce socket' mode_is /run/adatrace/announce.sock 'root:adatrace 666 socket'
check 'packages: the configuration is a conffile' inside grep -q adatraced.conf /var/lib/dpkg/info/adatrace.conffiles
check 'packages: the linker knows the library' grep -q 'libadatrace.so.0 ' < <(inside ldconfig -p)
check 'packages: completion for bash' inside test -f /usr/share/bash-completion/completions/adatraced
check 'packages: completion for zsh' inside test -f /usr/share/zsh/vendor-completions/_adatrace

# In the name of a user without rights.
records_a_program() {
    inside systemd-run --quiet --pipe --wait --uid=nobody --working-directory=/tmp \
        adatrace record --json -o /tmp/true.adat --preload io -- cat /etc/passwd >/dev/null &&
        inside adatrace verify /tmp/true.adat
}
check 'packages: a program is recorded' records_a_program

# ---- the unit ---------------------------------------------------------------------------------------

units_are_right() {
    local said
    said=$(inside systemd-analyze verify --man=no adatraced.service adatraced-control.socket adatraced-announce.socket 2>&1) &&
        [ -z "$said" ] || { echo "$said"; return 1; }
}
check 'packages: systemd finds nothing wrong in the units' units_are_right
check 'packages: exposure of the service is 2.5 or less' inside \
    systemd-analyze security --no-pager --threshold=25 adatraced.service

# probe ARGUMENT [DROP-IN]: started as the service, with its own settings but for how it tells that it is up.
probe() {
    inside sh -c 'systemctl stop adatraced.service; systemctl reset-failed adatraced.service' 2>/dev/null
    configure_unit probe Type=oneshot Restart=no WatchdogSec=0 StandardOutput=truncate:/run/probe ExecReload= ExecStart= \
        "ExecStart=/out/tests/sandbox_probe $1"
    [ $# -eq 1 ] || inside cp "/usr/share/doc/adatrace/examples/$2" /run/systemd/system/adatraced.service.d/
    inside systemctl daemon-reload
    inside systemctl start adatraced.service 2>"$work/why"
    inside cat /run/probe
    [ $# -eq 1 ] || inside rm "/run/systemd/system/adatraced.service.d/$2"
    unconfigure_unit probe
    inside systemctl reset-failed adatraced.service 2>/dev/null
}
if [ -x "$out/tests/sandbox_probe" ]; then
    inside systemd-run --quiet --unit=probe-target --service-type=forking --uid=nobody /out/tests/sandbox_probe target
    {
        probe "$(unit_property probe-target.service MainPID)"
        probe uprobes uprobes.conf
        probe network network.conf
    } >"$work/probe"
    inside systemctl stop probe-target.service
    cat "$work/probe"
    ! grep -q '^not ok' "$work/probe" || failed=1
    check 'packages: the sandbox was looked at to its end' equal "$(grep -c '^ok - sandbox: ' "$work/probe")" 26
fi

check 'packages: mode of traces' mode_is /var/log/adatrace 'root:adatrace 751 directory'
check 'packages: mode of the state' mode_is /var/lib/adatrace 'root:adatrace 700 directory'

# ---- upgraded, removed, purged ----------------------------------------------------------------------

inside sh -c 'echo "# of the administrator" >>/etc/adatrace/adatraced.conf
    echo trace >/var/log/adatrace/kept; echo state >/var/lib/adatrace/kept'
sockets_before=$(inside stat -c %i /run/adatrace/control.sock /run/adatrace/announce.sock)
check 'packages: upgraded' install_all /upgrade
# shellcheck disable=SC2016 # dpkg-query's
check 'packages: the version after the upgrade' inside_is "$newer" dpkg-query -W -f '${Version}' adatrace
check 'packages: a changed configuration stays' inside grep -q 'of the administrator' /etc/adatrace/adatraced.conf
check 'packages: the service is still enabled' inside_is enabled systemctl is-enabled adatraced.service
check 'packages: the sockets are those from before' inside_is "$sockets_before" \
    stat -c %i /run/adatrace/control.sock /run/adatrace/announce.sock

check 'packages: removed' inside dpkg -r adatrace
is_stopped() {
    local states
    states=$(inside systemctl is-active adatraced.service adatraced-control.socket adatraced-announce.socket)
    equal "$(sort -u <<<"$states")" inactive
}
check 'packages: nothing of it runs' is_stopped
check 'packages: the command is gone' inside test ! -e /usr/bin/adatrace
check 'packages: configuration, traces and state stay' \
    inside ls /etc/adatrace/adatraced.conf /var/log/adatrace/kept /var/lib/adatrace/kept

check 'packages: purged' inside dpkg -P adatrace libadatrace0
leaves_nothing() {
    local left
    left=$(inside find /etc /var/lib/adatrace /var/log/adatrace /lib/systemd /usr /run/adatrace -name '*adatrace*' -print 2>/dev/null)
    [ -z "$left" ] || { echo "$left"; return 1; }
}
check 'packages: nothing is left' leaves_nothing
check 'packages: the system is as it was' inside_is running systemctl is-system-running

exit $failed
