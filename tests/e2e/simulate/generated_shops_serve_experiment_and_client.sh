#!/bin/sh
# Generated shops are used as they are: by an experiment on the task that comes with them, and by a client: its own reader
# takes every line, and its consent registry every decision. Impossible settings are refused and leave nothing.
. "$(dirname "$0")/lib.sh"

expect 0 "$sim" data --stores 4 --customers 300 --regions 2 --seed 3 --out "$dir/retail" --json
jq -e '.rows > 10000 and .customers == 300' "$dir/out" >/dev/null || fail "data --json"
jq -e '.totals.rows > 0 and (.segments | length) == 5 and (.stores | length) == 4 and (.promotions | length) > 0' \
    "$dir/retail/truth.json" >/dev/null || fail "truth.json"
cmp "$dir/retail/task.yaml" "$root/deploy/tasks/cj_return.yaml" || fail "the task is another"
expect 0 "$sim" run "$dir/retail/experiment.yaml" --out "$dir/r" --set training.rounds=4
jq -e '.clients.count == 4 and .metrics.auc > 0.6 and .data.train_rows > 200' "$dir/r/summary.json" >/dev/null ||
    fail "nothing is learnt from generated shops"
grep -q '^0,"store-0001",' "$dir/r/partition.csv" || fail "partition.csv does not name the shops"

expect 78 "$sim" data --stores 4 --customers 3 --out "$dir/x"
says "customers is 3, expected at least one for each of 4 stores"
expect 78 "$sim" data --stores 4 --regions 3 --out "$dir/x"
expect 78 "$sim" data --skew 1 --out "$dir/x"
says "skew is 1, expected 0 to 0.99"
expect 78 "$sim" data --start 2024-02-30 --out "$dir/x"
expect 78 "$sim" data --stores 5000000000 --out "$dir/x"
expect 64 "$sim" data --skew much --out "$dir/x"
expect 64 "$sim" data
[ ! -e "$dir/x" ] || fail "refused settings left a folder"
expect 78 "$sim" data --stores 4 --customers 300 --out "$dir/retail"
says "--force"

# A client of one of the shops.
client=$bin/fedtill-client
[ -x "$client" ] || skip "no client was built"
home=$dir/store-0002
mkdir -p "$home/data"
cp "$dir/retail/shops/store-0002.csv" "$home/data/transactions.csv"
cp "$dir/retail/consent/store-0002.csv" "$home/consent.csv"
sed -e 's/@SHOP@/store-0002/' -e 's/@PORT@/7443/' "$root/deploy/demo/client.yaml" >"$home/client.yaml"
cp "$root/deploy/demo/policy.yaml" "$home/policy.yaml"
chmod 700 "$home"
chmod 600 "$home/policy.yaml"
expect 0 "$client" source check --home "$home" --json
lines=$(($(wc -l <"$home/data/transactions.csv") - 1))
jq -e --argjson lines "$lines" '[.. | numbers] | index($lines) != null' "$dir/out" >/dev/null ||
    fail "the client does not read all $lines lines"
