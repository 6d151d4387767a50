#!/bin/sh
# Ten Iowa shops train iowa_reorder on their own orders (no people: unit record, basis records); the federated AUC is
# within 0.01 of the pooled model's.
. "$(dirname "$0")/lib.sh"
"$root/tests/data/split.sh" "$root/tests/data/iowa-liquor/transactions.csv.gz" "$dir/split" 1 10
shops=$(tail -n +2 "$dir/split/stores.csv" | cut -d, -f1 | sed 's/^/store-/')
make_aggregator
for shop in $shops; do
    at=$(shop_home "$shop")
    mkdir -p "$at/data"
    cp "$dir/split/$shop.csv" "$at/data/transactions.csv"
    cat >"$at/client.yaml" <<YAML
version: 1
shop: $shop
aggregator: "$address"
state: state
policy: policy.yaml
source:
  type: csv
  transactions:
    files: data/*.csv
    timestamp: "%Y-%m-%d"
    columns: {basket_id: basket_id, ts: ts, product_id: product_id, category: category, quantity: quantity, amount: amount}
  max_reject_ratio: 0.01
consent:
  basis: records
YAML
    sed -e 's|train/propensity|train/demand|g' -e 's/^training_basis: .*/training_basis: records/' \
        -e '/^    - transactions\./d' -e '/^  measure\/propensity:/d' -e 's|, measure/propensity||' \
        -e 's|^  train/demand:$|  train/demand: [transactions.basket_id, transactions.ts, transactions.product_id, transactions.category, transactions.quantity, transactions.amount]|' \
        "$root/deploy/demo/policy.yaml" >"$at/policy.yaml"
    chmod 700 "$at"
    chmod 600 "$at/policy.yaml"
    invite "$shop"
    enrol "$shop"
done
sign_roster
make_task iowa_reorder.yaml 's/n_min: 6,/n_min: 10,/'
publish
for shop in $shops; do start_shop "$shop" --until-done; done
eventually "the task's end" task_is done
expect 0 "$aggregator" model export "$task" --home "$home" --format json --out "$dir/model.json"
homes=
for shop in $shops; do homes="$homes $(shop_home "$shop")"; done
# shellcheck disable=SC2086 # a list of folders
expect 0 "$simulate" baseline --task "$dir/task.yaml" --model "$dir/model.json" --json $homes
jq -c '{pooled, federated, alone}' "$dir/out"
jq -e '((.federated.auc - .pooled.auc) | fabs) <= 0.01' "$dir/out" >/dev/null ||
    fail "the federated model is too far from the pooled one"
