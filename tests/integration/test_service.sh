#!/bin/bash
# SPDX-License-Identifier: MIT
#
# adatraced: what it says of its configuration, and to a wrong command line.
# usage: test_service.sh OUT_DIR SOURCE_DIR

# shellcheck source=support.sh
. "$(dirname "$0")/support.sh"
adatraced=$out/adatraced
if [ ! -x "$adatraced" ]; then
    echo "SKIP test_service: built without inih"
    exit 77
fi
cd "$work" || exit 1
umask 022
mkdir -p etc/conf.d
conf=etc/adatraced.conf

# prints STATUS TEXT COMMAND...: exit status, TEXT on stdout, nothing on stderr
prints() {
    local status=$1 text=$2
    shift 2
    "$@" >stdout 2>stderr
    equal $? "$status" || { cat stderr; return 1; }
    equal "$(cat stderr)" "" || return 1
    grep -qF -- "$text" stdout || { cat stdout; return 1; }
}

# mistakes LINE...: those of $conf, each on a line of its own and in that order
mistakes() {
    "$adatraced" --check-config $conf >stdout 2>stderr
    equal $? 1 || return 1
    equal "$(cat stdout)" "" || return 1
    equal "$(cat stderr)" "$(printf '%s\n' "$@")"
}

cat >$conf <<'END'
[service]
log_directory = /srv/traces

[session shop]
attach = unit=shop.service
mark = span=request>10ms
END
printf '[session batch]\nattach = name=batch*\nrotate_time = 90s\n' >etc/conf.d/batch.conf

check "--check-config of what is right" prints 0 "$conf: ok: 2 sessions" "$adatraced" --check-config $conf
check "--check-config: one line" equal "$(wc -l <stdout)" 1
check "--help" prints 0 "usage: adatraced" "$adatraced" --help
check "-h" prints 0 "usage: adatraced" "$adatraced" -h
check "--version" prints 0 "adatraced 0" "$adatraced" --version
check "-V" prints 0 "adatraced 0" "$adatraced" -V

# ---- what is printed ----

check "--print-config: what the files say" prints 0 "mark = span=request>10ms" "$adatraced" --print-config $conf
cp stdout printed.conf
check "--print-config: defaults" grep -qx "ring_size = 64K" printed.conf
check "--print-config: below the directory" grep -qx "output = /srv/traces/batch" printed.conf
check "--print-config: of conf.d" grep -qx "rotate_time = 90s" printed.conf
check "--print-config of it: the same" prints 0 "[session shop]" "$adatraced" --print-config printed.conf
check "--print-config of it: each line" cmp stdout printed.conf

# each_key_in_manual: keys are headings there, and have their defaults
each_key_in_manual() {
    local key missing=
    for key in $(sed -n 's/ = .*//p' printed.conf | sort -u) mark uprobe weight; do
        grep -Eq "^\.B[IR]? \"?$key " "$source_dir/docs/man/adatraced.conf.5" || missing="$missing $key"
    done
    equal "$missing" ""
}
check "each key is in the manual" each_key_in_manual

# example_is_right: what the manual shows
example_is_right() {
    sed -n '/^\.SH EXAMPLES/,/^\.SH FILES/p' "$source_dir/docs/man/adatraced.conf.5" |
        sed -n '/^\.EX/,/^\.EE/p' | sed '/^\./d; s/\\-/-/g' >example.conf
    # Users and hooks are those of the reader's machine.
    prints 0 "example.conf: ok: 3 sessions" "$adatraced" --check-config example.conf
}
check "the manual's example is right" example_is_right

# ---- what is wrong ----

cat >$conf <<'END'
log_directory = /srv
[session shop]
attach = unit=a/b
ring_size = 5K
color = red
END
printf '[session batch]\nattach = all\n[sesion x]\n' >etc/conf.d/batch.conf
check "mistakes: all, with file, line and key" mistakes \
    "$conf:1: log_directory: stands in no section; allowed: below [service] or [session NAME]" \
    "$conf:3: attach: 'unit=a/b': that is not the name of a unit; allowed: all, pid=N,..., or name=GLOB, user=NAME, cgroup=GLOB, unit=NAME joined by commas" \
    "$conf:4: ring_size: '5K': not a multiple of 4096; allowed: a multiple of 4K from 4K to 64M" \
    "$conf:5: color: unknown key; allowed: those of adatraced.conf(5)" \
    "etc/conf.d/batch.conf:3: unknown section [sesion x]; allowed: [service], [session NAME]"
"$adatraced" --print-config $conf >stdout 2>stderr
check "--print-config of what is wrong: fails" equal "$?" 1
check "--print-config of what is wrong: prints nothing" equal "$(cat stdout)" ""
check "--print-config of what is wrong: all mistakes" equal "$(wc -l <stderr)" 5

rm etc/conf.d/batch.conf
{ echo '[service]'; seq -f 'x%g = y' 1 500; } >$conf
"$adatraced" --check-config $conf 2>stderr
check "mistakes without end: the first hundred" equal "$(grep -c 'unknown key' stderr)" 100
check "mistakes without end: how many more" grep -qx "adatraced: there are 400 more mistakes" stderr
head -c 100000 /dev/urandom >$conf
"$adatraced" --check-config $conf >stdout 2>stderr
check "a file of random bytes: refused" equal "$?" 1

rm $conf
check "no file" mistakes \
    "$conf: cannot be opened: No such file or directory; allowed: a file that can be read"
printf '[session a]\nattach = all\n' >$conf
chmod o+w $conf
check "a file that everybody may write" mistakes \
    "$conf: everybody may write it; allowed: files that only their owner may write (chmod go-w)"
chmod o-w $conf

# ---- the command line ----

check "a value that is missing" wrong 2 "a value is missing for '--config'; try 'adatraced --help'" "$adatraced" --config
check "--config: no such file" wrong 1 "nowhere.conf: cannot be opened: No such file or directory" \
    "$adatraced" --config nowhere.conf
check "an unknown option" wrong 2 "unknown option '--daemon'; try 'adatraced --help'" "$adatraced" --daemon
check "an argument" wrong 2 "unexpected argument 'start'" "$adatraced" start
check "two files" wrong 2 "more than one file given: 'b'" "$adatraced" --check-config a b
to_full() {
    "$adatraced" "$@" >/dev/full
}
check "--check-config to a full disk" wrong 1 "cannot write the output: No space left" to_full --check-config $conf
check "--print-config to a full disk" wrong 1 "cannot write the output: No space left" to_full --print-config $conf
exit $failed
