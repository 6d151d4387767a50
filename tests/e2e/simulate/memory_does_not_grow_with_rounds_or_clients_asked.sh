#!/bin/sh
# 20,000 clients, 200 a round: what the process holds at most is the rows, once, and little more, and ten times the rounds
# take no more. Nor do twice the clients of a round under masks: each contribution is masked, added up and forgotten.
. "$(dirname "$0")/lib.sh"
peak() { jq -er .peak_bytes "$dir/$1/summary.json"; }
run() { # run DIR ROUNDS
    expect 0 "$sim" run "$dir/experiment.yaml" --out "$dir/$1" --set data.rows=100000 --set data.features=40 --set training.rounds="$2" \
        --set "partition={kind: quantity, clients: 20000, alpha: 5}" --set "model={kind: logistic}" --set evaluation.every=1000 \
        --threads 2 --set clients.fraction=0.01 --set evaluation.pooled=false --set evaluation.local=false
}
run few 20
run many 200
[ "$(peak few)" -lt $((100000 * 41 * 4 + 24000000)) ] || fail "$(peak few) bytes for 16.4 MB of rows"
[ "$(peak many)" -lt $(($(peak few) + 2000000)) ] || fail "$(peak few) bytes after 20 rounds, $(peak many) after 200"

masks() { # masks DIR CLIENTS: 1.5 MB of packed words each
    expect 0 "$sim" run "$dir/experiment.yaml" --out "$dir/$1" --threads 2 --set data.rows=400 --set data.test_rows=50 \
        --set training.rounds=1 --set training.batch_size=0 --set training.local_epochs=1 \
        --set "partition={kind: iid, clients: $2}" --set "model={kind: mlp, hidden: [600, 600]}" --set "clients={fraction: 1}" \
        --set "secure_sum={kind: exact, clip: 10}" --set "evaluation={pooled: false, local: false, without_privacy: false}"
}
masks some 16 # kept to the end of the round, 24 more would be 72 MB
masks more 40
[ "$(peak more)" -lt $(($(peak some) + 36000000)) ] || fail "$(peak some) bytes with 16 clients under masks, $(peak more) with 40"
