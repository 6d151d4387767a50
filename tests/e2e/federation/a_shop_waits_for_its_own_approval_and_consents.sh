#!/bin/sh
# A shop whose policy asks for approval waits until `task approve`; one without a consent source sits out; the others
# go on meanwhile. A mapped column that no task uses is found (S-06); on a metered link a shop waits (T-03).
. "$(dirname "$0")/lib.sh"
shops=$(largest 8)
asks=$(echo "$shops" | sed -n 7p)
nobody=$(echo "$shops" | sed -n 8p)
make_aggregator
# shellcheck disable=SC2086 # a list of names
add_shops $shops
sign_roster
sed -i '/^auto_approve:/,/rounds_max/d' "$(shop_home "$asks")/policy.yaml"
sed -i -e 's/^  basis: .*/  basis: none/' -e '/^  file:/d' "$(shop_home "$nobody")/client.yaml"
sed -i 's/^      week: week/      week: week\n      quantity: quantity/' "$(shop_home "$asks")/client.yaml"
make_task cj_return.yaml 's/^  rounds: .*/  rounds: 400/' 's/pause: 0s/pause: 300ms/'
publish
for shop in $shops; do start_shop "$shop"; done
eventually "two rounds without the two" has_committed 2
[ "$(ask '[.rounds[] | select(.state == "committed") | .survivors] | max')" = 6 ] || fail "one took part unasked"
eventually "the verdict of the shop that asks" verdict "$asks" 9
eventually "the verdict of the shop without consents" verdict "$nobody" 28
expect 0 "$client" task show "$task" --home "$(shop_home "$asks")"
says coupon
expect 0 "$client" task approve "$task" --home "$(shop_home "$asks")"
seven() { [ "$(ask '[.rounds[] | select(.state == "committed") | .survivors] | max')" = 7 ]; }
eventually "a round with the shop that approved" seven
# Seven of the eight mapped columns have their use.
expect 0 "$client" data minimise --home "$(shop_home "$asks")" --json
[ "$(jq -r '[.columns[] | select(.uses == []) | .column] | join(" ")' "$dir/out")" = quantity ] ||
    fail "unused: $(cat "$dir/out")"
[ "$(jq '[.columns[] | select(.uses != [] and .column != "basket_id" and .last_used_s == 0)] | length' "$dir/out")" = 0 ] ||
    fail "a used column without its last use: $(cat "$dir/out")"
expect 1 "$client" data minimise --home "$(shop_home "$asks")" --strict
says quantity

# The demo's policy allows what its budgets cannot count, and says so at every turn.
expect 0 "$client" policy explain --task "$task" --home "$(shop_home "$asks")"
says "unnoised is allow: what it shows of customers is bounded by nothing and counted in no budget"
expect 0 "$client" doctor --home "$(shop_home "$asks")"
says "unnoised: allow stands beside budgets"
kill_shop "$asks"
echo 'link: {metered: always}' >>"$(shop_home "$asks")/client.yaml"
expect 75 "$client" policy explain --task "$task" --home "$(shop_home "$asks")"
says metered
start_shop "$asks"
eventually "the verdict of the shop on a metered link" verdict "$asks" 32
expect 0 "$aggregator" task stop "$task" --home "$home" --yes
