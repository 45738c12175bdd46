# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2207 # words without blanks
#
# Completion in bash, of adatrace and adatraced. Commands and options are those that the command itself tells with
# --help; values of options stand here.

# _adatrace_options COMMAND...: its lines "OPTION HAS_VALUE", from its --help.
_adatrace_options() {
    "$@" --help 2>/dev/null </dev/null | awk '
        /^ +-/ {
            sub(/^ +/, "")
            sub(/  .*/, "") # what it is for
            count = split($0, names, /, /)
            has_value = / [A-Z[]/
            for (i = 1; i <= count; i++) {
                name = names[i]
                sub(/[ =[].*/, "", name)
                if (name ~ /^-/)
                    print name, has_value
            }
        }'
}

_adatrace_commands() {
    "$@" --help 2>/dev/null </dev/null | awk '/^  [a-z]/ { print $1 }'
}

_adatrace_pids() {
    local directory
    for directory in /proc/[0-9]*; do
        echo "${directory##*/}"
    done
}

# _adatrace_values OPTION: the words it takes, one a line; fails where only the user knows. The formats of an export are a list in its help,
# as the commands are in that of adatrace.
_adatrace_values() {
    case $1 in
    --policy) printf '%s\n' discard block overwrite ;;
    --detail) printf '%s\n' marked always off ;;
    --scheduler) printf '%s\n' adaptive round-robin weighted priority ;;
    --to) [ "${COMP_WORDS[1]}" = export ] && _adatrace_commands "${COMP_WORDS[0]}" export ;;
    --preload) printf '%s\n' io lock thread memory ;;
    -s | --sort)
        case ${COMP_WORDS[1]-} in
        report) printf '%s\n' total self count mean p99 max name ;;
        *) printf '%s\n' events drops occupancy stalls cpu runqueue total id name ;;
        esac
        ;;
    --by) printf '%s\n' function span event thread module process ;;
    -p | --pid) _adatrace_pids ;;
    *) return 1 ;;
    esac
}

# Of the values with commas between them the last one is completed.
_adatrace_complete_values() {
    local before=
    [[ $2 != *,* ]] || before=${2%,*},
    COMPREPLY=($(compgen -P "$before" -W "$(_adatrace_values "$1")" -- "${2##*,}"))
}

_adatrace_files() {
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -f -X "$2" -- "$1") $(compgen -d -- "$1"))
}

_adatrace() {
    local program=${COMP_WORDS[0]} current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} options i
    local -a command

    COMPREPLY=()
    # --policy=block is three words to bash, and nothing behind = is one that is not there yet.
    if [ "$current" = = ]; then
        current=
    elif [ "$previous" = = ]; then
        previous=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    command=("$program")
    if [ "${program##*/}" != adatraced ]; then
        if [ "$COMP_CWORD" -eq 1 ]; then
            COMPREPLY=($(compgen -W "$(_adatrace_commands "$program")
                $(_adatrace_options "$program" | cut -d ' ' -f 1)" -- "$current"))
            return
        fi
        command+=("${COMP_WORDS[1]}")
    fi
    # Behind -- is another command's line.
    for ((i = 1; i < COMP_CWORD; i++)); do
        if [ "${COMP_WORDS[i]}" = -- ]; then
            if declare -F _command_offset >/dev/null; then
                _command_offset $((i + 1))
            else
                COMPREPLY=($(compgen -c -- "$current") $(compgen -f -- "$current"))
            fi
            return
        fi
    done

    options=$(_adatrace_options "${command[@]}")
    if _adatrace_values "$previous" >/dev/null && grep -qxFe "$previous 1" <<<"$options"; then
        _adatrace_complete_values "$previous" "$current"
    elif grep -qxFe "$previous 1" <<<"$options"; then
        _adatrace_files "$current" ''
    elif [[ $current == -* ]]; then
        COMPREPLY=($(compgen -W "${options// [01]/}" -- "$current"))
    elif [ "${program##*/}" = adatraced ]; then
        _adatrace_files "$current" '!*.conf'
    else
        _adatrace_files "$current" '!*.adat'
    fi
}

complete -F _adatrace adatrace adatraced
