#!/bin/sh
# An unknown key, a key twice and a value of the wrong kind, in each of the YAML files, end with file:line:column and a
# stable exit code.
. "$(dirname "$0")/lib.sh"
make_aggregator
shop=$(largest 1)
add_shops "$shop"
at=$(shop_home "$shop")
# wrong CODE FILE SED WHERE COMMAND...: with the file changed, the command ends with CODE and says FILE:WHERE.
wrong() {
    want_code=$1 file=$2 edit=$3 where=$4
    shift 4
    cp -p "$file" "$dir/kept"
    sed -i "$edit" "$file"
    ! cmp -s "$dir/kept" "$file" || fail "the edit changes nothing: $edit"
    expect "$want_code" "$@"
    says "$(basename "$file"):$where"
    cp -p "$dir/kept" "$file"
}
line() { grep -n "$2" "$1" | head -n 1 | cut -d: -f1; }

yaml=$at/client.yaml
wrong 78 "$yaml" 's/^state:/stat:/' "$(line "$yaml" ^state:):1" "$client" run --home "$at"
wrong 78 "$yaml" 's/^\(shop:.*\)/\1\n\1/' "$(($(line "$yaml" ^shop:) + 1)):1" "$client" run --home "$at"
wrong 78 "$yaml" 's/max_reject_ratio: .*/max_reject_ratio: little/' "$(line "$yaml" max_reject_ratio):21" \
    "$client" run --home "$at"
wrong 78 "$yaml" 's/^version: 1/version: 1\n\tx: 2/' 3:1 "$client" run --home "$at"

yaml=$at/policy.yaml
wrong 78 "$yaml" 's/^grace_days:/grace_dayz:/' "$(line "$yaml" ^grace):1" "$client" policy check --home "$at"
wrong 78 "$yaml" 's/^\(grace_days:.*\)/\1\n\1/' "$(($(line "$yaml" ^grace) + 1)):1" "$client" policy check --home "$at"
wrong 78 "$yaml" 's/clip_max: 10/clip_max: ten/' "$(line "$yaml" clip_max):20" "$client" policy check --home "$at"
wrong 78 "$yaml" 's/^unnoised: .*/unnoised: maybe/' "$(line "$yaml" ^unnoised):11" "$client" policy check --home "$at"

stop_aggregator
yaml=$home/aggregator.yaml
wrong 78 "$yaml" 's/^listen:/listn:/' "$(line "$yaml" ^listen:):1" "$aggregator" serve --home "$home"
wrong 78 "$yaml" 's/^\(listen:.*\)/\1\n\1/' "$(($(line "$yaml" ^listen:) + 1)):1" "$aggregator" serve --home "$home"
wrong 78 "$yaml" 's/^threads: .*/threads: many/' "$(line "$yaml" ^threads):10" "$aggregator" check-config --home "$home"

make_task cj_return.yaml
yaml=$dir/task.yaml
wrong 78 "$yaml" 's/^unit:/units:/' "$(line "$yaml" ^unit:):1" "$aggregator" task check "$yaml"
wrong 78 "$yaml" 's/{name: log_first, min: 0, max: 3.4}/{name: log_first, min: 0}/' "$(line "$yaml" 'name: log_first'):" \
    "$aggregator" task check "$yaml"
wrong 78 "$yaml" 's/^  clip: 5/  clip: .nan/' "$(line "$yaml" '^  clip:'):" "$aggregator" task check "$yaml"
