#!/bin/sh
# The audit as a command: what it prints, and what bad input gets.  Usage: audit_command.sh fedtill-simulate
set -eu
program=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

fail() {
    echo "FAIL: $*" >&2
    cat "$dir/out" "$dir/err" >&2
    exit 1
}
expect() { # exit code, arguments
    code=$1
    shift
    got=0
    "$program" audit "$@" >"$dir/out" 2>"$dir/err" || got=$?
    [ "$got" = "$code" ] || fail "audit $* ended with $got, expected $code"
}
says() { grep -q -- "$1" "$dir/out" "$dir/err" || fail "nothing says $1"; }

small='--shops 8 --dropouts 1 --corrupted 1 --canaries 400'
expect 0 $small --json
[ "$(jq -r '[.pass, .noise_floor.pass, .canaries.pass, .membership.pass] | all' "$dir/out")" = true ] || fail "not all hold"
[ "$(jq -r '.canaries.epsilon_lower <= .canaries.claim.epsilon' "$dir/out")" = true ] || fail "the bounds are not in order"
cp "$dir/out" "$dir/first"
expect 0 $small --json
cmp -s "$dir/first" "$dir/out" || fail "the same seed gives another audit"
expect 0 $small --only canaries
says 'epsilon is at least'
says 'stated epsilon 4.37'
! grep -q 'noise floor' "$dir/out" || fail "--only runs one test"

tasks=$(dirname "$0")/../../../deploy/tasks
expect 0 --task "$tasks/cj_return_private.yaml" --canaries 200 --only canaries
says '34 rounds, q 1: holds'
expect 78 --task "$tasks/cj_return.yaml"
says 'nothing is claimed'
expect 78 --task "$tasks/cj_return_store.yaml"
says 'unit is store, expected customer or record'
says 'by --noise 1.04465 --shops 12 --rounds 4 --delta 1e-5'
expect 66 --task "$dir/none.yaml"

expect 64 --shops 3
expect 64 --dropouts 12
says 'shares to credit'
expect 64 --corrupted 0
expect 64 --noise 1 --epsilon 1
expect 64 --noise 0.1
expect 64 --delta 1e-3
expect 64 --q 0
expect 64 --canaries 50
expect 64 --only everything
expect 64 --shops 13 --dropouts 6
says 'quorum'
