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

# A folder of MNIST's form, under either of the names that its files go by, packed or not: the 2NN reaches a target that it
# can, and what is missing is named.
mkdir "$dir/mnist"
python3 - "$dir/mnist" <<'PY' || fail "no images"
import gzip, random, struct, sys
draw = random.Random(5)
for part, rows in (("train", 800), ("t10k", 200)):
    labels = bytes(draw.randrange(10) for _ in range(rows))
    images = bytearray()
    for label in labels:  # a bar where the label says, in noise
        image = bytearray(draw.randrange(90) for _ in range(784))
        for i in range(2 * 28 * label + 56, 2 * 28 * label + 140):
            image[i] = 255
        images += image
    with open(f"{sys.argv[1]}/{part}-images.idx3-ubyte", "wb") as file:
        file.write(struct.pack(">IIII", 0x803, rows, 28, 28) + images)
    with gzip.open(f"{sys.argv[1]}/{part}-labels-idx1-ubyte.gz", "wb") as file:
        file.write(struct.pack(">II", 0x801, rows) + labels)
PY
recipe mcmahan2017-table1 --data "$dir/mnist" --target 0.97 --json "$dir/mnist.json" >"$dir/out" 2>"$dir/err" || fail "the recipe ended with $?"
says "cells reached accuracy 0.97; the first after"
jq -e '[.[0].cells[] | select(.values.partition == "{kind: iid, clients: 100}" and .rounds < 30 and .rounds_to_target <= .rounds)] | length >= 1' \
    "$dir/mnist.json" >/dev/null || fail "no run ended at the target"
rm "$dir/mnist/t10k-labels-idx1-ubyte.gz"
expect 66 "$root/tests/recipes/reproduce.py" --program "$sim" mcmahan2017-table1 --data "$dir/mnist" --out "$dir/y"
says "t10k-labels-idx1-ubyte: there is no such file, nor t10k-labels.idx1-ubyte"
