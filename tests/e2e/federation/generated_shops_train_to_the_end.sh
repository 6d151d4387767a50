#!/bin/sh
# Shops as `fedtill-simulate data` makes them, used as they are by the real programs over mutual TLS: the task that comes
# with them reaches its end, every client ends by itself with 0, and the model has learnt what was planted.
. "$(dirname "$0")/lib.sh"
"$simulate" data --stores 6 --customers 900 --regions 2 --seed 3 --out "$dir/retail" >/dev/null 2>"$dir/err" || fail "simulate data"
shops=$(cd "$dir/retail/shops" && ls | sed 's/\.csv$//')
make_shop() {
    at=$(shop_home "$1")
    mkdir -p "$at/data"
    cp "$dir/retail/shops/$1.csv" "$at/data/transactions.csv"
    cp "$dir/retail/consent/$1.csv" "$at/consent.csv"
    sed -e "s/@SHOP@/$1/" -e "s/@PORT@/$port/" "$root/deploy/demo/client.yaml" >"$at/client.yaml"
    cp "$root/deploy/demo/policy.yaml" "$at/policy.yaml"
    chmod 700 "$at"
    chmod 600 "$at/policy.yaml"
}
make_aggregator
# shellcheck disable=SC2086 # a list of names
add_shops $shops
sign_roster
make_task cj_return.yaml 's/^  rounds: .*/  rounds: 3/'
publish
for shop in $shops; do start_shop "$shop" --until-done; done
eventually "the task's end" task_is done
for shop in $shops; do ended "$(shop_pid "$shop")" 0; done
[ "$(committed)" = 5 ] || fail "$(committed) rounds, expected statistics, 3 of training, evaluation"
check_chain
ask '.rounds[] | select(.stage == "evaluate") | .metrics' >"$dir/metrics.json"
jq -e '.auc.value > 0.6 and .train_rows > 200' "$dir/metrics.json" >/dev/null || fail "nothing was learnt: $(jq -c . "$dir/metrics.json")"
