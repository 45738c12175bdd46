# SPDX-License-Identifier: MIT
#
# For test_service_*.sh to source, after support.sh: a service with paths of the test's own, and a program for it to find.

conf=$work/adatraced.conf
log=$work/log
umask 022
mkfifo "$work/pause"

# configure [SECTION-LINE]...: [service] with paths of this test, and what is given
configure() {
    {
        printf '[service]\ncontrol_socket = %s/control.sock\nannounce_socket = %s/announce.sock\n' "$work" "$work"
        printf 'log_directory = %s/traces\nstate_directory = %s/state\n' "$work" "$work"
        printf '%s\n' "$@"
    } >"$conf"
}

# launch [OPTION]...: $service; ready when this returns. What it says is in $log. The command in `launcher` runs it, if there is one.
launcher=()
launch() {
    : >"$log"
    "${launcher[@]}" "$out/adatraced" --config "$conf" "$@" 2>"$log" >"$work/stdout" 8>&- 9<&- &
    service=$!
    says ready
}

# await WHAT COMMAND...: until the command succeeds; a minute at most
await() {
    local what=$1 tries=0
    shift
    until "$@"; do
        kill -0 "$service" 2>/dev/null || { echo "the service ended before $what"; cat "$log"; return 1; }
        tries=$((tries + 1))
        [ $tries -lt 6000 ] || { echo "in vain awaited: $what"; cat "$log"; return 1; }
        read -r -t 0.01 <>"$work/pause" || :
    done
}

# says TEXT: waits until the log has it
says() {
    await "'$1'" grep -qF -- "$1" "$log"
}

# has DIRECTORY NUMBER: waits until there are so many files, complete or not
has() {
    await "$2 files in $1" has_now "$1" "$2"
}

has_now() {
    [ "$(find "$work/traces/$1" -name '*.adat*' 2>/dev/null | wc -l)" -ge "$2" ]
}

# terminate: within 5 s, with everything in its files
terminate() {
    kill -TERM "$service"
    wait "$service" || { echo "status $?"; cat "$log"; return 1; }
}

# ---- a program -----------------------------------------------------------------------------------

# Under names of their own, so that this finds no program of another test, which may run at the same time.
attached=att$$
loaded=load$$
ln -s "$out/tests/prog_attach" "$work/$attached"
ln -s "$out/tests/prog_load" "$work/$loaded"

# start [PROGRAM-ARGUMENT]...: prog_attach, $pid, ask()
start() {
    rm -f "$work/in" "$work/out"
    mkfifo "$work/in" "$work/out"
    "$work/$attached" "$@" <"$work/in" >"$work/out" &
    pid=$!
    exec 8>"$work/in" 9<"$work/out"
    ask counts >/dev/null
}

ask() {
    local answer
    echo "$*" >&8 && read -r -t 60 answer <&9 || { echo "no answer to '$*'"; return 1; }
    echo "$answer"
}

stop() {
    exec 8>&- 9<&-
    wait "$pid"
}

# all_there FILE...: each event that the program attempted is in one account of the files, and those that found room are in them, once
all_there() {
    local sums counts
    counts=$(ask counts)
    sums=$("$out/tests/check_attach" "$@") || { echo "$sums"; return 1; }
    equal "$(jq -c '[.attempted, .repeated]' <<<"$sums")" "$(jq -c '[.emitted + .refused, 0]' <<<"$counts")" || return 1
    equal "$(jq .events <<<"$sums")" "$(jq .emitted <<<"$counts")"
}

all_sound() {
    local file
    for file in "$@"; do
        verify "$file" >"$work/verified" || { cat "$work/verified"; return 1; }
    done
}
