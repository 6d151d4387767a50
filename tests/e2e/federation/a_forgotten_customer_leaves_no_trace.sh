#!/bin/sh
# A customer asks to be forgotten while the shop's client runs: neither id nor pseudonym is left in any byte of the state,
# importing again does not bring them back, and what is trained equals what a shop trains that never had them. A hold of
# the policy, or a request nobody verified, is refused and changes nothing.
. "$(dirname "$0")/lib.sh"
shops=$(largest 2)
here=$(echo "$shops" | sed -n 1p)
never=$(echo "$shops" | sed -n 2p)
make_aggregator
# Two homes of the same data: in one the customer is forgotten, in the other they never were.
make_shop "$here"
make_shop "$never"
at=$(shop_home "$here")
bare=$(shop_home "$never")
given=$(awk -F, '$3 == "given" { print $1 }' "$at/consent.csv")
gone=$(cut -d, -f1 "$at/data/transactions.csv" | grep -xF "$given" | sort | uniq -c | sort -rn | awk 'NR == 1 { print $2 }')
for file in data/transactions.csv consent.csv; do
    [ ! -f "$at/$file" ] || awk -F, -v id="$gone" '$1 != id' "$at/$file" >"$bare/$file"
done
for shop in $shops; do
    invite "$shop"
    enrol "$shop"
    expect 0 "$client" consent import --home "$(shop_home "$shop")" --yes
done
pseudonyms() {
    python3 -c 'import sqlite3, sys
for (c,) in sqlite3.connect(sys.argv[1]).execute("SELECT DISTINCT customer FROM consent_event ORDER BY 1"): print(c)' \
        "$at/state/state.db"
}
pseudonyms >"$dir/before"
start_shop "$here"
ready() { log_of "$here" | grep -q vault.ready; }
eventually "the shop's client" ready

# Refusals change nothing.
expect 77 "$client" dsr delete --home "$at" --customer "$gone" --yes
says "refused[NOT_VERIFIED]"
cp "$at/policy.yaml" "$dir/policy.yaml"
sed -i "s|^exclude: .*|exclude: [{table: customers, column: customer_id, equals: \"$gone\", reason: claim 17, hold: true}]|" "$at/policy.yaml"
sed -i 's|table: customers|table: transactions|' "$at/policy.yaml"
expect 77 "$client" dsr delete --home "$at" --customer "$gone" --verified-by desk --yes
says "refused[LEGAL_HOLD]"
says "claim 17"
cat "$dir/policy.yaml" >"$at/policy.yaml"
sed -i 's|^exclude: .*|exclude: [{table: transactions, column: week, below: 1000, reason: every week, hold: true}]|' "$at/policy.yaml"
expect 77 "$client" dsr delete --home "$at" --customer "$gone" --verified-by desk --yes
says "every week"
cat "$dir/policy.yaml" >"$at/policy.yaml"
expect 64 "$client" dsr delete --home "$at" --customer "$gone" --verified-by desk
expect 0 "$client" dsr delete --home "$at" --customer "$gone" --verified-by desk --dry-run
pseudonyms >"$dir/same"
cmp -s "$dir/before" "$dir/same" || fail "a refused request changed the registry"

# The id comes by standard input; the receipt names no one.
echo "$gone" >"$dir/id"
"$client" dsr delete --home "$at" --customer - --verified-by desk --out "$dir/receipt.json" --yes \
    <"$dir/id" >"$dir/out" 2>"$dir/err" || fail "dsr delete: $(cat "$dir/err")"
says "receipt"
[ "$(stat -c %a "$dir/receipt.json")" = 600 ] || fail "the receipt can be read by others"
jq -e '.request == "delete" and .state_rewritten and (.receipt | length) == 32' "$dir/receipt.json" >/dev/null ||
    fail "the receipt: $(cat "$dir/receipt.json")"
pseudonyms >"$dir/after"
comm -23 "$dir/before" "$dir/after" >"$dir/lost"
[ "$(wc -l <"$dir/lost")" = 1 ] || fail "$(wc -l <"$dir/lost") pseudonyms went away, expected one"
if grep -rqaF "$(cat "$dir/lost")" "$at/state" "$dir/receipt.json" "$dir/log"; then fail "the pseudonym is still there"; fi
printf 'customer_id %s\n' "$gone" >"$dir/canary"
[ "$(wc -l <"$at/state/dsr.jsonl")" = 1 ] || fail "the request is not in dsr.jsonl"

# Importing the same export again brings nothing back.
expect 0 "$client" consent import --home "$at" --yes
pseudonyms >"$dir/again"
cmp -s "$dir/after" "$dir/again" || fail "an import brought the customer back"
kill "$(shop_pid "$here")"
ended "$(shop_pid "$here")" 0
make_task cj_return.yaml
for shop in "$here" "$never"; do
    expect 0 "$simulate" baseline --task "$dir/task.yaml" --json "$(shop_home "$shop")"
    cp "$dir/out" "$dir/$shop.json"
done
jq -e --slurpfile b "$dir/$never.json" '
    .train_rows == $b[0].train_rows and .test_rows == $b[0].test_rows and .train_rows > 50 and
    ((.pooled.objective - $b[0].pooled.objective) | fabs) < 1e-9' "$dir/$here.json" >/dev/null ||
    fail "training differs: $(cat "$dir/$here.json" "$dir/$never.json")"
# Once more: the same answer.
expect 0 "$client" dsr delete --home "$at" --customer "$gone" --verified-by desk --yes
