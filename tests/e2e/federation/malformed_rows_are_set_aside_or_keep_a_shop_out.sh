#!/bin/sh
# A few malformed rows are set aside and the shop trains; above the ratio `source check` ends with 65, naming file and
# line, and `run` takes no part while the others go on.
. "$(dirname "$0")/lib.sh"
shops=$(largest 8)
few=$(echo "$shops" | sed -n 1p)
many=$(echo "$shops" | sed -n 8p)
make_aggregator
# shellcheck disable=SC2086 # a list of names
add_shops $shops
sign_roster
file=$(shop_home "$few")/data/transactions.csv
lines=$(wc -l <"$file")
printf '9999991,1,2017-01-01 10:00:00,1,GROCERY,X,National,1,not-a-number,0,0,1,1\n' >>"$file"
expect 1 "$client" source check --home "$(shop_home "$few")"
says "transactions.csv:$((lines + 1))"
says amount
says_not 9999991
file=$(shop_home "$many")/data/transactions.csv
sed -i '2,100s/,[0-9]*$/,week/' "$file"
expect 65 "$client" source check --home "$(shop_home "$many")"
says "transactions.csv:2"
says week

make_task cj_return.yaml 's/^  rounds: .*/  rounds: 2/' 's/n_min: 6,/n_min: 7,/'
publish
for shop in $shops; do start_shop "$shop"; done
eventually "the task's end" task_is done
[ "$(ask '[.rounds[] | select(.state == "committed") | .survivors] | unique == [7]')" = true ] ||
    fail "not exactly the seven good shops took part"
eventually "the word of the shop with bad data" verdict "$many" 50
jq -e 'select(.kind == "upload")' "$(shop_home "$many")/state/audit.jsonl" >/dev/null && fail "the shop with bad data sent an update"
exit 0
