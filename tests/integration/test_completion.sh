#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Shells complete every command and option that --help tells of, and only values that the commands take.
# shellcheck source=support.sh
source "$(dirname "$0")/support.sh"

completion=$source_dir/packaging/completion
PATH=$out:$PATH
# shellcheck source=/dev/null
source "$completion/adatrace.bash"

# complete_words WORD...: what bash offers for the last one, one a line.
complete_words() {
    local COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    _adatrace 2>/dev/null
    printf '%s\n' "${COMPREPLY[@]}"
}

# told_by COMMAND...: the options of its --help, where they are explained.
told_by() {
    "$@" --help | grep -E '^ +-' | sed -E 's/^ +//; s/  .*//' | grep -oE '(^|, )--?[A-Za-z][a-z-]*' | sed 's/^, //' | sort -u
}

# offers_all OFFERED: each line of stdin is in it, and there is at least one.
offers_all() {
    local word count=0
    while read -r word; do
        count=$((count + 1))
        grep -qxFe "$word" <<<"$1" || { echo "$word is not offered"; return 1; }
    done
    [ "$count" -gt 0 ] || { echo 'nothing to offer'; return 1; }
}

# in_bash COMMAND...
in_bash() {
    offers_all "$(complete_words "$@" -)" < <(told_by "$@")
}

mapfile -t commands < <(adatrace --help | awk '/^  [a-z]/ { print $1 }')
check 'completion: bash: commands' offers_all "$(complete_words adatrace '')" < <(printf '%s\n' "${commands[@]}")
check 'completion: bash: options of adatrace' in_bash adatrace
for command in "${commands[@]}"; do
    check "completion: bash: options of adatrace $command" in_bash adatrace "$command"
done
if [ -x "$out/adatraced" ]; then
    check 'completion: bash: options of adatraced' in_bash adatraced
fi

# takes_values OPTION LEAST: as many at least, each of them for a recording.
takes_values() {
    local value values
    mapfile -t values < <(complete_words adatrace record "$1" '')
    [ ${#values[@]} -ge "$2" ] || { echo "only ${values[*]}"; return 1; }
    for value in "${values[@]}"; do
        rm -f "$work/value.adat"
        adatrace record --no-bpf -o "$work/value.adat" "$1" "$value" -- true || return 1
    done
}
check 'completion: values of --policy' takes_values --policy 3
check 'completion: values of --detail' takes_values --detail 3
check 'completion: values of --preload' takes_values --preload 4

takes_schedulers() {
    local value values
    mapfile -t values < <(complete_words adatrace record --scheduler = '')
    [ ${#values[@]} -eq 4 ] || { echo "${values[*]}"; return 1; }
    for value in "${values[@]}"; do
        rm -f "$work/value.adat"
        adatrace record --no-bpf -o "$work/value.adat" --scheduler="$value" --weight 'x=2' -- true 2>"$work/why" ||
            grep -q 'weight' "$work/why" || { cat "$work/why"; return 1; }
    done
}
check 'completion: values behind =' takes_schedulers

# report_takes OPTION LEAST: the same of a report.
report_takes() {
    local value values
    mapfile -t values < <(complete_words adatrace report "$1" '')
    [ ${#values[@]} -ge "$2" ] || { echo "only ${values[*]}"; return 1; }
    for value in "${values[@]}"; do
        adatrace report "$1" "$value" "$work/value.adat" >/dev/null || return 1
    done
}
rm -f "$work/value.adat"
adatrace record --no-bpf -o "$work/value.adat" -- true 2>/dev/null
check 'completion: values of report --by' report_takes --by 6
check 'completion: values of report --sort' report_takes --sort 7
takes_formats() {
    local format formats
    mapfile -t formats < <(complete_words adatrace export --to '')
    [ ${#formats[@]} -ge 5 ] || { echo "only ${formats[*]}"; return 1; }
    adatrace record --no-bpf -o "$work/export.adat" -- true || return 1
    for format in "${formats[@]}"; do
        adatrace export --to "$format" -o "$work/export.$format" "$work/export.adat" 2>"$work/why" || { cat "$work/why"; return 1; }
    done
}
check 'completion: values of --to' takes_formats
check 'completion: the second of a list' equal "$(complete_words adatrace record --preload io,lo)" io,lock
check 'completion: a process' grep -qx $$ < <(complete_words adatrace attach -p '')

mkdir "$work/files"
touch "$work/files/one.adat" "$work/files/two.txt"
check 'completion: traces' equal "$(cd "$work/files" && complete_words adatrace info '')" one.adat
check 'completion: any file for an option' equal "$(cd "$work/files" && complete_words adatrace record -o t)" two.txt
check 'completion: the command behind --' grep -qx "$work/files/two.txt" \
    < <(complete_words adatrace record -- cat "$work/files/t")

if ! command -v zsh >/dev/null; then
    echo 'SKIP completion: zsh: not installed'
    exit $failed
fi

# A real zsh on a terminal, of which the matches that completion adds are read.
cat >"$work/capture.zsh" <<'ZSH'
zmodload zsh/zpty
zpty shell zsh -f -i
setup() { zpty -w shell "$1"; }
setup "PROMPT=; unsetopt zle_bracketed_paste; fpath=($1 \$fpath); autoload -U compinit; compinit -u -D; bindkey '^I' complete-word"
setup "zstyle ':completion:*' list-grouped false; zstyle ':completion:*' force-list always"
# Matches are told between marks as the functions of completion hand them over.
setup 'compadd() {
    if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return $?; fi
    typeset -a captured; builtin compadd -A captured "$@"; print -rl -- "<${^captured[@]}>" >>'"$3"'
    builtin compadd "$@"
}'
# Its own echo of this line does not match what is waited for.
setup 'tell_end() { print "matches ""are told" }; zle -N tell_end; bindkey "^Xe" tell_end'
zpty -w -n shell "$2"$'\t\C-xe'
zpty -r shell output '*matches are told*'
zpty -d shell
ZSH

# zsh_offers LINE
zsh_offers() {
    rm -f "$work/matches"
    timeout 30 zsh -f "$work/capture.zsh" "$completion" "$1" "$work/matches" >/dev/null 2>&1
    sed -n 's/^<\(.*\)>$/\1/p' "$work/matches"
}

in_zsh() {
    offers_all "$(zsh_offers "$* -")" < <(told_by "$@")
}
check 'completion: zsh: commands' offers_all "$(zsh_offers 'adatrace ')" < <(printf '%s\n' "${commands[@]}")
for command in "${commands[@]}"; do
    check "completion: zsh: options of adatrace $command" in_zsh adatrace "$command"
done
if [ -x "$out/adatraced" ]; then
    check 'completion: zsh: options of adatraced' in_zsh adatraced
fi
check 'completion: zsh: values' offers_all "$(zsh_offers 'adatrace record --policy ')" \
    < <(complete_words adatrace record --policy '')

check 'completion: zsh: formats' offers_all "$(zsh_offers 'adatrace export --to ')" < <(complete_words adatrace export --to '')

exit $failed
