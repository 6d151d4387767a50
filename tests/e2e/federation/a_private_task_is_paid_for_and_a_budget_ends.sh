#!/bin/sh
# Twelve shops train with noise. Each shop's ledger has paid for its contributions, `budget` says what is left, and the
# next task is refused because it is too little. A ledger put back or damaged keeps its shop out with 76, whatever the
# aggregator says, and the newest copy brings it back.
. "$(dirname "$0")/lib.sh"
shops=$(sed -n 's/.*{shop: \([a-z0-9-]*\),.*/\1/p' "$root/deploy/tasks/cj_return_private.yaml")
first=$(echo "$shops" | sed -n 1p)
second=$(echo "$shops" | sed -n 2p)
make_aggregator
# shellcheck disable=SC2086 # a list of names
add_shops $shops
sign_roster
expect 0 "$client" budget --home "$(shop_home "$first")"
says "nothing has been spent"
make_task cj_return_private.yaml 's/^  rounds: .*/  rounds: 2/' 's/n_min: 11,/n_min: 12,/'
publish
for shop in $shops; do start_shop "$shop" --until-done; done
eventually "the task's end" task_is done
for shop in $shops; do ended "$(shop_pid "$shop")" 0; done
check_chain
for shop in $shops; do
    expect 0 "$client" budget --home "$(shop_home "$shop")" --json
    jq -e '.domains | length == 1 and (.[0] | .domain == "households" and .epsilon_max == 8 and .epsilon_charged > 1 and
        .epsilon_charged <= 8 and .spent.pld <= .spent.rdp and (.tasks | length == 1 and (.[0] |
        .contributions_made == 4 and .contributions_charged == 4 and .contributions_most == 6 and .state == "over" and
        .m_stores == 4 and .q == 1)))' "$dir/out" >/dev/null || fail "the budget of $shop"
done
expect 0 "$client" budget --home "$(shop_home "$first")"
says "4 of at most 6 contributions made"
expect 0 "$client" status --home "$(shop_home "$first")" --json
jq -e '.budget | startswith("households: epsilon ")' "$dir/out" >/dev/null || fail "the budget in status"

# The same again is more than what is left: every shop refuses, and nothing is charged.
make_task cj_return_private.yaml 's/^  rounds: .*/  rounds: 2/' 's/n_min: 11,/n_min: 12,/' 's/^task: .*/task: once_more/'
publish
start_shop "$first"
start_shop "$second"
eventually "the verdict of $first" verdict "$first" 35
eventually "the verdict of $second" verdict "$second" 35
signal_shop TERM "$first"
signal_shop TERM "$second"
ended "$(shop_pid "$first")" 0
ended "$(shop_pid "$second")" 0
expect 77 "$client" policy explain --task once_more --home "$(shop_home "$first")"
says REFUSED_BUDGET
expect 0 "$client" budget --home "$(shop_home "$first")" --json
jq -e '.domains[0].tasks | length == 1' "$dir/out" >/dev/null || fail "a refused task is in the ledger"

# Who is forgotten is told what the models already released can show of them, and of all who were forgotten together.
for n in 2 3; do
    sed -n "${n}p" "$(shop_home "$second")/consent.csv" | cut -d , -f 1 | tr -d '\n' |
        "$client" dsr delete --customer - --verified-by "desk 3" --out "$dir/receipt.$n" --yes \
            --home "$(shop_home "$second")" >"$dir/out" 2>"$dir/err" || fail "dsr delete"
    says "differ from models without the customer by at most epsilon"
done
jq -e '.models | length == 1 and (.[0] | .treatment == "dp_bound" and .epsilon > 0 and .epsilon < 8 and .delta == 1e-5 and
    .contributions == 4 and .erased_customers == 1 and .group_epsilon == null)' "$dir/receipt.2" >/dev/null || fail "the receipt"
jq -e '.models[0] | .erased_customers == 2 and .group_epsilon > .epsilon' "$dir/receipt.3" >/dev/null || fail "the group's bound"

# Without its last record the ledger is good in itself; the shop's own state has seen more of it, and the aggregator.
ledger=$(shop_home "$first")/state/ledger.bin
cp -p "$ledger" "$dir/newest"
python3 - "$ledger" <<'END'
import sys
data = open(sys.argv[1], "rb").read()
at = last = 0
while at < len(data):
    last, at = at, at + 4 + int.from_bytes(data[at:at + 4], "little")
open(sys.argv[1], "r+b").truncate(last)
END
start_shop "$first"
ended "$(shop_pid "$first")" 76
grep -q LEDGER_ROLLBACK "$dir/log/$first" || fail "no word of the rollback"
! grep -q "shop.ledger_behind" "$dir/log/aggregator" || fail "the shop spoke to the aggregator although its own state knows better"
expect 76 "$client" budget --home "$(shop_home "$first")"
says LEDGER_ROLLBACK
mv "$ledger" "$dir/behind"
expect 76 "$client" budget --home "$(shop_home "$first")"
says "LEDGER_ROLLBACK: there is no ledger, but this shop's own state has seen"
mv "$dir/behind" "$ledger"
# The same where its own state was put back too, and has forgotten: then the aggregator tells.
sqlite3 "$(shop_home "$first")/state/state.db" "DELETE FROM ledger_head" || fail "the state of $first"
start_shop "$first"
ended "$(shop_pid "$first")" 76
grep -q "shop.ledger_behind" "$dir/log/aggregator" || fail "the aggregator says nothing of it"

# A damaged one: nothing starts.
cp -p "$dir/newest" "$ledger"
printf '\377' | dd of="$ledger" bs=1 seek=60 conv=notrunc 2>/dev/null
start_shop "$first"
ended "$(shop_pid "$first")" 76
expect 76 "$client" budget --home "$(shop_home "$first")"
says LEDGER_CORRUPT
expect 1 "$client" doctor --home "$(shop_home "$first")"
says LEDGER_CORRUPT

cp -p "$dir/newest" "$ledger"
expect 0 "$client" budget --home "$(shop_home "$first")"
start_shop "$first"
eventually "the shop's return" verdict "$first" 35
signal_shop TERM "$first"
ended "$(shop_pid "$first")" 0
