#!/bin/sh
# 20,000 clients, 200 a round: what the process holds at most is the rows (twice while they are dealt out) and little
# more, and ten times the rounds take no more.
. "$(dirname "$0")/lib.sh"
peak() { jq -er .peak_bytes "$dir/$1/summary.json"; }
run() { # run DIR ROUNDS
    expect 0 "$sim" run "$dir/experiment.yaml" --out "$dir/$1" --set data.rows=100000 --set data.features=40 --set training.rounds="$2" \
        --set "partition={kind: quantity, clients: 20000, alpha: 5}" --set "model={kind: logistic}" --set evaluation.every=1000 \
        --threads 2 --set clients.fraction=0.01 --set evaluation.pooled=false --set evaluation.local=false
}
run few 20
run many 200
[ "$(peak few)" -lt $((100000 * 41 * 4 * 2 + 24000000)) ] || fail "$(peak few) bytes for 16.4 MB of rows"
[ "$(peak many)" -lt $(($(peak few) + 2000000)) ] || fail "$(peak few) bytes after 20 rounds, $(peak many) after 200"
