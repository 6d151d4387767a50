#!/bin/sh
# Shops made by `fedtill-simulate data` enrol, import their consent file and train the task that comes with them, as real
# ones do: every line is read, every decision is recorded, rounds are committed.
. "$(dirname "$0")/lib.sh"

expect 0 "$simulate" data --stores 7 --customers 900 --regions 2 --consent 0.7 --seed 5 --baskets 0.3 --out "$dir/retail"
make_aggregator
for shop in store-0001 store-0002 store-0003 store-0004 store-0005 store-0006 store-0007; do
    at=$(shop_home "$shop")
    mkdir -p "$at/data"
    cp "$dir/retail/shops/$shop.csv" "$at/data/transactions.csv"
    cp "$dir/retail/consent/$shop.csv" "$at/consent.csv"
    sed -e "s/@SHOP@/$shop/" -e "s/@PORT@/$port/" "$root/deploy/demo/client.yaml" >"$at/client.yaml"
    cp "$root/deploy/demo/policy.yaml" "$at/policy.yaml"
    chmod 700 "$at"
    chmod 600 "$at/policy.yaml"
    invite "$shop"
    enrol "$shop"
    expect 0 "$client" consent import --home "$at" --yes --json
    decisions=$(($(wc -l <"$at/consent.csv") - 1))
    jq -e --argjson decisions "$decisions" '[.. | numbers] | index($decisions) != null' "$dir/out" >/dev/null ||
        fail "$shop did not record its $decisions decisions"
done
sign_roster
make_task cj_return.yaml 's/^  rounds: .*/  rounds: 3/' 's/^schedule: .*/schedule: {join: 3s, step: 5s, session: 60s, pause: 0s}/'
publish
for shop in store-0001 store-0002 store-0003 store-0004 store-0005 store-0006 store-0007; do start_shop "$shop" --until-done; done
eventually 240 "the task's end" task_is done
check_chain
[ "$(ask '[.rounds[] | select(.stage == "train" and .state == "committed")] | length')" = 3 ] || fail "not three rounds"
