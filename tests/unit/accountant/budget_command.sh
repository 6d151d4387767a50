#!/bin/sh
# fedtill-simulate budget: the reference table passes, a wrong row fails with 1, a malformed table ends with 65 and its
# line and column, a value out of range with 64. Usage: budget_command.sh PROGRAM (in the source folder)
set -eu
program=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() {
    echo "budget_command: $*" >&2
    exit 1
}
expect() { # code, then the command's arguments
    want=$1
    shift
    code=0
    "$program" budget "$@" >"$dir/out" 2>"$dir/err" || code=$?
    [ "$code" = "$want" ] || fail "budget $* ended with $code, expected $want: $(cat "$dir/err")"
}
says() {
    grep -q -e "$1" "$dir/out" "$dir/err" || fail "no \"$1\" in: $(cat "$dir/out" "$dir/err")"
}

table=tests/data/privacy/dp_accounting.csv
expect 0 --table $table
says '^135 of 135 rows pass$'
expect 0 --table $table --json
[ "$(jq -r '"\(.passed) \(.failed) \(.rows | length)"' "$dir/out")" = '135 0 135' ] || fail "json of the table"

# one interval moved: that row and no other fails
sed '/^d17,gauss,delta_exact/s/0.00270888019123/0.0028/; /^d17,gauss,delta_exact/s/0.00270888024541/0.0029/' $table >"$dir/moved.csv"
cmp -s $table "$dir/moved.csv" && fail "the table was not changed"
expect 1 --table "$dir/moved.csv"
says '^134 of 135 rows pass$'
[ "$(grep -c '^FAIL' "$dir/out")" = 1 ] || fail "one row fails"

sed '5s/,1000,/,ten,/' $table >"$dir/bad.csv"
expect 65 --table "$dir/bad.csv"
says 'bad.csv:5:[0-9]*: steps is "ten", expected a number'
expect 66 --table "$dir/none.csv"

expect 0 --epsilon 2 --delta 1e-6 --steps 1000 --batch 781.25 --n-pub 100000 --shops 40 --dropouts 6 --corrupted 6 \
    --dim 20001 --adaptive --json
got=$(jq -r '[.federation.sigma_share, .federation.t_min, .federation.scale, .federation.delta_int_sq] | join(" ")' "$dir/out")
[ "$got" = '776 28 4096 16851920' ] || fail "the worked example gives $got"
expect 0 --noise 1 --delta 1e-6 --steps 1000 --q 0.0078125
says 'epsilon by RDP  *2.00193'
says 'epsilon by PLD  *1.6392'

expect 64 --noise 0.2 --delta 1e-6 --steps 1000 --q 0.01
says 'expected 0.3'
expect 64 --noise nan --delta 1e-6 --steps 1000 --q 0.01
expect 64 --noise 1 --delta 0.1 --steps 1000 --q 0.01
expect 64 --noise 1 --delta 1e-5 --steps 1000 --batch 100 --n-pub 100000
says '1/(10 n_pub)'
expect 64 --noise 1 --epsilon 2 --delta 1e-6 --steps 1000 --q 0.01
expect 64 --noise 1 --delta 1e-6 --steps 1000 --q 1.5
expect 64 --noise 1 --delta 1e-6 --steps 0 --q 0.5
expect 64 --noise 1 --delta 1e-6 --q 0.5
expect 64
