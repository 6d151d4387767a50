#!/bin/sh
# Seven shops train by unit store: noise hides each of them as a whole. One has nobody who agreed, and takes part like any
# other; one has no budget of that unit, and refuses. The rounds count shops, the statement is about shops that are zeroed
# out, and what leaves verifies. Each shop's budget and the receipt of a deletion say what that means for its customers.
. "$(dirname "$0")/lib.sh"
verify=$bin/fedtill-verify
shops=$(largest 8)
poor=$(echo "$shops" | sed -n 8p)
shops=$(largest 7)
first=$(echo "$shops" | sed -n 1p)
empty=$(echo "$shops" | sed -n 7p)
make_aggregator
for shop in $shops $poor; do
    make_shop "$shop"
    [ "$shop" = "$poor" ] ||
        sed -i 's/^budgets:.*/&\n  whole_shop: {unit: store, epsilon_max: 8, delta: 1.0e-3, t_min: 3}/' "$(shop_home "$shop")/policy.yaml"
    [ "$shop" != "$empty" ] || sed -i 's/,given,/,refused,/' "$(shop_home "$shop")/consent.csv"
    invite "$shop"
    enrol "$shop"
    import_consents "$shop"
done
sign_roster
make_task cj_return_store.yaml 's/n_min: 11, n_cap: 12, h_min: 8/n_min: 6, n_cap: 8, h_min: 3/' \
    's/drop_permille: 170/drop_permille: 286/'
for shop in $shops $poor; do echo "    - {shop: $shop}"; done | LC_ALL=C sort >"$dir/lines"
sed -i -e '/^    - {shop: /d' -e "/^  shops: /r $dir/lines" "$dir/task.yaml"
expect 0 "$aggregator" task check "$dir/task.yaml"
says "each of the 8 named shops in every round"
publish
start_shop "$poor"
eventually "the verdict of $poor" verdict "$poor" 36
expect 77 "$client" policy explain --task "$task" --home "$(shop_home "$poor")"
says "no domain of budgets pays for unit store"
for shop in $shops; do start_shop "$shop" --until-done; done
eventually "the task's end" task_is done
for shop in $shops; do ended "$(shop_pid "$shop")" 0; done
signal_shop TERM "$poor"
ended "$(shop_pid "$poor")" 0
check_chain

# Shops are what is counted, and of each nothing is known: the empty one was in every sum.
"$aggregator" task status "$task" --home "$home" --json >"$dir/status.json"
jq -e '[.rounds[] | select(.state == "committed")] | length == 3 and
    all(.survivors == 7 and .metrics.shops_declared == 7 and (.metrics | has("customers_declared") or has("weight") | not))' \
    "$dir/status.json" >/dev/null || fail "a round knows other numbers than those of shops"

# What leaves says what is claimed and what is not, and verifies.
expect 0 "$aggregator" model export "$task" --home "$home" --format json --out "$dir/model.json"
expect 0 "$verify" release "$dir/model.json"
jq .statement "$dir/model.json" >"$dir/statement.json"
expect 0 "$verify" statement "$dir/statement.json" --json
jq -e '.statement | .unit == "store" and (.relation | startswith("zero out one shop")) and .mechanism.q == 1 and
    .mechanism.n_pub == 8 and .rounds.charged == 3 and .guarantee.planned.rdp <= 8 and .guarantee.delta == 1e-3 and
    (.not_covered | any(startswith("a customer as such")) and any(contains("takes its noise with it")))' \
    "$dir/out" >/dev/null || fail "the statement"
jq '.mechanism.n_pub += 1' "$dir/statement.json" >"$dir/changed.json"
expect 76 "$verify" statement "$dir/changed.json"
says mechanism.n_pub
expect 0 "$aggregator" report model "$task" --home "$home"
says "8 named, each one vector, however many its customers"
says "the claim above is about shops"
expect 0 "$aggregator" budget "$task" --home "$home"
says "unit store: zero out one shop"

# At the shop: its own budget, in words; a customer who is forgotten may have made twice the difference, not once.
for shop in $first $empty; do
    expect 0 "$client" budget --home "$(shop_home "$shop")" --json
    jq -e '.domains | length == 1 and (.[0] | .domain == "whole_shop" and .unit == "store" and .epsilon_charged <= 8 and
        (.tasks[0] | .contributions_made == 3 and .q == 1 and .m_stores == 1))' "$dir/out" >/dev/null || fail "the budget of $shop"
done
expect 0 "$client" budget --home "$(shop_home "$first")"
says "all data of this shop together"
says "nobody's guess about this shop's data"
says "all of this shop's rows as one vector"
expect 0 "$client" task show "$task" --home "$(shop_home "$first")"
says "so much that it hides this shop as a whole"
sed -n 2p "$(shop_home "$first")/consent.csv" | cut -d , -f 1 | tr -d '\n' |
    "$client" dsr delete --customer - --verified-by "desk 3" --out "$dir/receipt" --yes --home "$(shop_home "$first")" \
        >"$dir/out" 2>"$dir/err" || fail "dsr delete"
spent=$("$client" budget --home "$(shop_home "$first")" --json | jq '.domains[0].spent.pld')
jq -e --argjson spent "$spent" '.models[0] | .treatment == "dp_bound" and .epsilon > 1.5 * $spent' "$dir/receipt" >/dev/null ||
    fail "the receipt claims a customer what the task claims a shop"
