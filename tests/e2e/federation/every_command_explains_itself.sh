#!/bin/sh
# Each command of the four programs has --help with an example and ends with 0; a mistyped command ends with 64 and the
# nearest one; what lists or shows speaks JSON.
. "$(dirname "$0")/lib.sh"
for program in "$aggregator" "$client" "$simulate" "$bin/fedtill-verify"; do
    short=$(basename "$program")
    expect 0 "$program" --help
    sed -n '/^Commands:/,/^$/p' "$dir/out" | sed -n 's/^  \([a-z][a-z -]*[a-z]\)  .*/\1/p' | sed 's/  .*//' >"$dir/commands"
    [ -s "$dir/commands" ] || fail "$short lists no command"
    while read -r command; do
        # shellcheck disable=SC2086 # two words are two arguments
        expect 0 "$program" $command --help
        says "$short $command"
        says "Example:"
    done <"$dir/commands"
    expect 0 "$program" --version
    expect 64 "$program" no-such-thing
    expect 64 "$program"
done
nearest() { # nearest WORD PROGRAM COMMAND...: 64, naming WORD
    word=$1
    shift
    expect 64 "$@"
    says "$word"
}
nearest serve "$aggregator" srve
nearest "task publish" "$aggregator" task publsh x
nearest enrol "$client" enroll
nearest "source check" "$client" source chek
nearest baseline "$simulate" baselin
nearest release "$bin/fedtill-verify" relase
nearest --home "$aggregator" status --hom x

make_aggregator
shop=$(largest 1)
add_shops "$shop"
make_task cj_return.yaml
publish
json() {
    expect 0 "$@" --json
    jq -e 'type == "object" and .version == 1' "$dir/out" >/dev/null || fail "not JSON with its version: $*"
}
json "$aggregator" status --home "$home"
json "$aggregator" check-config --home "$home"
json "$aggregator" store list --home "$home"
json "$aggregator" store show "$shop" --home "$home"
json "$aggregator" task list --home "$home"
json "$aggregator" task status "$task" --home "$home"
json "$aggregator" task check "$dir/task.yaml" --home "$home"
json "$aggregator" model list "$task" --home "$home"
json "$client" status --home "$(shop_home "$shop")"
json "$client" task list --home "$(shop_home "$shop")"
json "$client" source check --home "$(shop_home "$shop")"
json "$client" policy check --home "$(shop_home "$shop")"
json "$client" doctor --home "$(shop_home "$shop")"
