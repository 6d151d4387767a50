#!/bin/sh
# --resume, and a sweep's finished cells, when a data file is another one than it was: refused by the file's name and both
# hashes, also with the same size and time; gone on with when it is back. summary.json and data.sha256 name every file.
. "$(dirname "$0")/lib.sh"

awk 'BEGIN { srand(4); print "shop,a,b,y"; for (i = 0; i < 600; i++) { a = rand(); b = rand(); print i % 5 "," a "," b "," (a + b > 1) } }' \
    >"$dir/rows.csv"
printf 'client,from,to\n0,1,50\n' >"$dir/there.csv"
cp -p "$dir/rows.csv" "$dir/before.csv"
was=$(sha256sum <"$dir/rows.csv" | cut -d' ' -f1)
change() { # a byte, and neither size nor time
    printf '9' | dd of="$dir/rows.csv" bs=1 seek=20 conv=notrunc 2>/dev/null
    touch -r "$dir/before.csv" "$dir/rows.csv"
}

set -- --set "data={source: csv, train: rows.csv, label: y, by: shop, classes: 2}" --set "partition={kind: column}" \
    --set clients.availability=there.csv --set clients.fraction=1 --set training.rounds=3000 --set evaluation.every=50 \
    --set evaluation.pooled=false --set evaluation.local=false
"$sim" run "$dir/experiment.yaml" --out "$dir/run" --save-every 1 "$@" >"$dir/out" 2>"$dir/err" </dev/null &
job=$!
tries=0
while [ ! -s "$dir/run/state.bin" ]; do
    tries=$((tries + 1))
    [ $tries -lt 3000 ] || fail "no state"
    sleep 0.01
done
kill -KILL "$job"
wait "$job" 2>/dev/null || true
[ ! -e "$dir/run/summary.json" ] || fail "it was complete before it was killed"
(cd "$dir/run" && sha256sum --quiet -c data.sha256) || fail "sha256sum reads another list"

change
now=$(sha256sum <"$dir/rows.csv" | cut -d' ' -f1)
expect 78 "$sim" run "$dir/experiment.yaml" --out "$dir/run" --resume "$@"
says "data.sha256:1: the data have changed: $dir/rows.csv had SHA-256 $was, and now it is $now"
cp -p "$dir/before.csv" "$dir/rows.csv"
expect 0 "$sim" run "$dir/experiment.yaml" --out "$dir/run" --resume "$@"
jq -e --arg was "$was" '.data.files | map(.path | split("/") | last) == ["rows.csv", "there.csv"]' "$dir/run/summary.json" >/dev/null ||
    fail "the files of the summary"
jq -e --arg was "$was" '.data.files[0].sha256 == $was and .data.files[0].bytes > 600' "$dir/run/summary.json" >/dev/null ||
    fail "the hash of the summary"
grep -q "$was" "$dir/run/report.html" || fail "no hash in the report"

# A complete run, and a sweep's cell: told as well; what is gone is nothing to be told apart.
expect 0 "$sim" sweep "$dir/experiment.yaml" "$@" --set training.rounds=5 --grid seed=1,2 --out "$dir/sweep"
change
expect 78 "$sim" run "$dir/experiment.yaml" --out "$dir/run" --resume "$@"
says "and now it is $now"
expect 78 "$sim" sweep "$dir/experiment.yaml" "$@" --set training.rounds=5 --grid seed=1,2,3 --out "$dir/sweep"
says "and now it is $now"
rm "$dir/rows.csv"
expect 0 "$sim" run "$dir/experiment.yaml" --out "$dir/run" --resume "$@"
