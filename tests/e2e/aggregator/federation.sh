#!/bin/sh
# Five shops, real processes, one task: a shop is killed and comes back, the aggregator is killed and restarted, a shop is
# revoked. Every training round is committed once, in order, and the log is whole.
. "$(dirname "$0")/../client/lib.sh"
agg=$bin/fedtill-aggregator
client=$bin/fedtill-client
pids=
trap 'for p in $pids; do kill "$p" 2>/dev/null || true; done; cleanup' EXIT
shops="a b c d e"
rounds=30

# Forty households a shop; two classes that a line divides, more or less.
make_shop() {
    home=$dir/shop-$1
    make_home "$home" "store-$1" "$address"
    python3 - "$home" "$2" <<'EOF'
import random, sys
home, seed = sys.argv[1], int(sys.argv[2])
r = random.Random(seed)
with open(home + "/data/a.csv", "w") as f, open(home + "/consent.csv", "w") as c:
    f.write("customer_id,week,amount\n")
    c.write("customer_id,decision,purpose,time\n")
    for i in range(40):
        who = f"H{seed}-{i}"
        c.write(f"{who},{'refused' if i % 9 == 0 else 'given'},train/propensity,2025-01-01 00:00:00\n")
        for week in (1, 30):
            for _ in range(r.randint(1, 9)):
                f.write(f"{who},{week},{r.uniform(1, 50):.2f}\n")
EOF
    invite "store-$1" "$dir/$1.json"
    "$client" enrol --home "$home" --token-file "$dir/$1.json" >"$dir/out" 2>"$dir/err" || fail "enrol $1"
    "$client" consent import --home "$home" --yes >"$dir/out" 2>"$dir/err" || fail "consent $1"
}
run_shop() {
    "$client" run --home "$dir/shop-$1" >/dev/null 2>>"$dir/shop-$1.log" &
    eval "pid_$1=$!"
    pids="$pids $!"
}
# By the store, not by the progress: a killed server may have committed what it did not tell any more.
committed() { "$agg" task status small --home "$dir/agg" --json | jq '[.rounds[] | select(.state == "committed")] | length'; }
has_committed() { [ "$(committed)" -ge "$1" ] || { alive "$server" || fail "the aggregator ended"; false; }; }
wait_for_rounds() { eventually "$1 rounds" has_committed "$1"; }

start_aggregator --progress-json "$dir/rounds.jsonl"
seed=1
for s in $shops; do
    make_shop "$s" $seed
    # Approve without a person: the tests' policy.
    sed -i 's/^purposes: .*/&\nauto_approve: {purposes: [train\/propensity], rounds_max: 500}/' "$dir/shop-$s/policy.yaml"
    seed=$((seed + 1))
done
expect 0 "$agg" registrar request --home "$dir/agg" --out "$dir/request"
expect 0 "$agg" registrar sign --folder "$dir/agg/registrar" --request "$dir/request" --corrupted 1 --out "$dir/roster"
expect 0 "$agg" registrar import "$dir/roster" --home "$dir/agg"
cat >"$dir/task.yaml" <<EOF
version: 1
task: small
title: A small test
purpose: train/propensity
owner: Tests
expires: 2027-12-31
review: 2027-06-30
unit: customer
examples:
  sql: |
    SELECT customer_id, CASE WHEN week <= 26 THEN 'train' ELSE 'test' END AS split,
      sum(amount) > 100 AS y, 1.0 * count(*) AS lines
    FROM transactions GROUP BY customer_id, split
  label: {column: y, min: 0, max: 1}
  features:
    - {name: lines, min: 0, max: 10}
  rows_per_customer: 1
  rows_max: 10000
model: {kind: logistic}
training: {rounds: $rounds, local_epochs: 1, batch_size: 0, learning_rate: 0.5, momentum: 0, weight_decay: 1.0e-4, clip: 5,
           weight_cap: 1000, server: {optimizer: fedavg, learning_rate: 1}, seed: 1}
privacy: {noise: none}
cohort: {n_min: 3, n_cap: 16, h_min: 2, corrupted: 1, drop_permille: 250, sigma: 40, eta: 30, suite: aes-256-ctr, lane_bits: 32}
schedule: {join: 60s, step: 20s, session: 200s, pause: 300ms}
evaluation: {bins: 64, calibration_bins: 5}
EOF
expect 0 "$agg" task check "$dir/task.yaml" --home "$dir/agg"
expect 0 "$agg" task sign "$dir/task.yaml" --home "$dir/agg" --key "$dir/agg/task-signing.key" --out "$dir/task"
expect 0 "$agg" task publish "$dir/task" --home "$dir/agg"
expect 0 "$agg" task start small --home "$dir/agg"
for s in $shops; do run_shop "$s"; done

wait_for_rounds 3
kill -KILL "$pid_b"
wait_for_rounds 5
run_shop b
wait_for_rounds 7
kill -KILL "$server"
wait "$server" 2>/dev/null || true
serve_again() { serve --progress-json "$dir/rounds.jsonl"; alive "$server"; } # its port may be somebody else's for a moment
eventually "the aggregator's return" serve_again
wait_for_rounds 10
expect 0 "$agg" store revoke store-e --home "$dir/agg" --yes
eventually "the refusal of a revoked shop" logged "$dir/shop-e.log" '"courier.refused","status":"ERR_REFUSED"'
revoked_at=$(committed)
wait_for_rounds $((rounds + 2))

# Each round number at most once committed, in order; the stages in theirs; the model's version is the rounds'.
expect 0 "$agg" task status small --home "$dir/agg" --json
python3 - "$dir/out" "$dir/rounds.jsonl" $rounds "$revoked_at" <<'EOF' || fail "the rounds are not as they should be"
import json, sys
status = json.load(open(sys.argv[1]))
rounds = int(sys.argv[3])
told = [json.loads(line) for line in open(sys.argv[2])]
done = sorted((r for r in status["rounds"] if r["state"] == "committed"), key=lambda r: r["round"])
numbers = [r["round"] for r in done]
assert len(numbers) == len(set(numbers)), numbers
stages = [r["stage"] for r in done]
assert stages == ["statistics"] + ["train"] * rounds + ["evaluate"], stages
assert status["state"] == "done", status["state"]
last = told[-1]
assert last["done"] and last["auc"] is not None and last["loss"] is not None
# Without the revoked shop, but for a round that had it in its cohort before.
assert all(r["cohort"] <= 4 for r in done[int(sys.argv[4]) + 1:])
assert any(r["cohort"] == 5 for r in done)
EOF
expect 0 "$agg" model list small --home "$dir/agg" --json
expect 0 "$agg" model show small --home "$dir/agg" --json
says "\"model\":{\"version\":$rounds,"
expect 0 "$agg" model show small --home "$dir/agg"
says "small, model version $rounds"
says "95% interval"
expect 66 "$agg" model show small --home "$dir/agg" --model-version 99
expect 0 "$agg" model export small --home "$dir/agg" --format json --out "$dir/model.json"
expect 0 "$agg" model export small --home "$dir/agg" --format safetensors --out "$dir/model.safetensors"
expect 0 "$agg" status --home "$dir/agg" --json
says "\"log_size\":$((rounds + 2))"
expect 0 "$agg" check-config --home "$dir/agg"
! grep -q 'H[1-5]-[0-9]' "$dir"/*.log "$dir/rounds.jsonl" || fail "a household is in a log"
kill -TERM "$server"
wait "$server" || fail "the aggregator did not end in order"
echo "federation: ok"
