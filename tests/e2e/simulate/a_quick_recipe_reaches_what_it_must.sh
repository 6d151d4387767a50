#!/bin/sh
# The recipe of the demo's task, as tests/recipes/README.md has it: twelve shops come as near to pooled training as it says,
# with and without the secure sum's lanes; a second time nothing is run again.
. "$(dirname "$0")/lib.sh"
recipe() { "$root/tests/recipes/reproduce.py" --program "$sim" --out "$dir/out-of-recipes" --quick "$@"; }

recipe cj_return --json "$dir/first.json" >"$dir/out" 2>"$dir/err" || fail "the recipe ended with $?"
jq -e '.[0].reached and (.[0].cells | length) == 4 and ([.[0].cells[] | .metrics.auc] | min) > 0.82' "$dir/first.json" >/dev/null ||
    fail "the recipe does not reach what it must"
[ "$(jq -r '.[0].cells[].model_sha256' "$dir/first.json" | sort -u | wc -l)" -ge 2 ] || fail "all cells have one model"
recipe cj_return --json "$dir/second.json" >/dev/null 2>"$dir/err" || fail "the second time it ended with $?"
cmp "$dir/first.json" "$dir/second.json" || fail "the second time gave other results"
expect 64 "$root/tests/recipes/reproduce.py" --program "$sim" cj_retrun
says "cj_return"
expect 66 "$root/tests/recipes/reproduce.py" --program "$sim" mcmahan2017-table1 --data "$dir/nowhere" --out "$dir/x"
says "train-images-idx3-ubyte"
