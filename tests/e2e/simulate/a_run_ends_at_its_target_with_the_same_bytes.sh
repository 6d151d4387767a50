#!/bin/sh
# stop: {metric, at}: the run ends after the first scored round that is as good, in the same round and bytes for any threads
# and after kills; summary.json says how many rounds it took, as a sweep's and a comparison's columns do.
. "$(dirname "$0")/lib.sh"

set -- --set training.rounds=4000 --set training.learning_rate=0.02 --set evaluation.every=2 --set evaluation.local_clients=1 \
    --set evaluation.pooled=false --set "stop={metric: accuracy, at: 0.6}"
expect 0 "$sim" run "$dir/experiment.yaml" --out "$dir/one" --threads 1 "$@"
says "accuracy 0.6 reached in"
expect 0 "$sim" run "$dir/experiment.yaml" --out "$dir/three" --threads 3 "$@"
same_model "$dir/one" "$dir/three"
[ "$(rounds "$dir/one")" = "$(rounds "$dir/three")" ] || fail "other rounds with three threads"

# The last scored round is the first that meets it, and what the summary says lies between it and the one before.
awk -F, 'NR > 1 && $8 != "" { if (met) exit 1; met = $8 >= 0.6 } END { exit !met }' "$dir/one/rounds.csv" ||
    fail "not the first round that meets it"
last=$(tail -n 1 "$dir/one/rounds.csv" | cut -d, -f1)
jq -e --argjson last "$last" '.rounds == $last and .rounds < 4000 and .rounds_to_target > .rounds - 2 and
    .rounds_to_target <= .rounds and .target == {"metric": "accuracy", "at": 0.6}' "$dir/one/summary.json" >/dev/null ||
    fail "the summary's rounds: $(jq -c '[.rounds, .rounds_to_target]' "$dir/one/summary.json"), the last is $last"
expect 0 "$sim" compare "$dir/one" --metric accuracy --target 0.6 --json
jq -e --argjson own "$(jq .rounds_to_target "$dir/one/summary.json")" '(.runs[0].rounds_to_target - $own) | fabs < 1e-6' \
    "$dir/out" >/dev/null || fail "compare counts otherwise" # rounds.csv has nine digits
grep -q 'rounds to accuracy 0.6' "$dir/one/report.html" || fail "no word of the target in the report"

# Killed behind the round that meets it, while the baselines train: --resume does no further round.
set -- "$@" --set evaluation.local_clients=24 --set evaluation.baseline_epochs=800
"$sim" run "$dir/experiment.yaml" --out "$dir/cut" --threads 2 --save-every 100000 "$@" >"$dir/out" 2>"$dir/err" </dev/null &
job=$!
tries=0
while [ ! -s "$dir/cut/state.bin" ]; do
    kill -0 "$job" 2>/dev/null || fail "it ended before it could be killed"
    tries=$((tries + 1))
    [ $tries -lt 3000 ] || fail "no state"
    sleep 0.01
done
kill -KILL "$job"
wait "$job" 2>/dev/null || true
[ ! -e "$dir/cut/summary.json" ] || fail "it was not killed in the baselines"
expect 0 "$sim" run "$dir/experiment.yaml" --out "$dir/cut" --resume "$@"
same_model "$dir/one" "$dir/cut"
[ "$(rounds "$dir/one")" = "$(rounds "$dir/cut")" ] || fail "other rounds after a kill"

# A target that is not reached: all rounds, and null. A sweep of both.
expect 0 "$sim" sweep "$dir/experiment.yaml" --grid stop.at=0.4,0.999 --set "stop={metric: accuracy, at: 0.4}" \
    --set training.rounds=40 --set evaluation.local=false --set evaluation.pooled=false --out "$dir/sweep" --json
jq -e '.cells[0].rounds_to_target > 0 and .cells[0].rounds < 40 and .cells[1].rounds == 40 and
    .cells[1].rounds_to_target == null and .target == null' "$dir/out" >/dev/null || fail "the sweep's rounds to target"
head -n 1 "$dir/sweep/results.csv" | grep -q rounds_to_target || fail "no column of rounds to the target"

# What cannot be.
expect 78 "$sim" sweep "$dir/experiment.yaml" --grid seed=1,2 --set "stop={metric: accuracy, at: 0.7}" --target 0.8 --out "$dir/never"
says "the sweep's target 0.8 is beyond 0.7, where its runs stop"
expect 78 "$sim" run "$dir/experiment.yaml" --out "$dir/never" --set "stop={metric: accuracy, at: 80}"
says "'at' is 80, expected above 0 and at most 1 for accuracy"
expect 78 "$sim" run "$dir/experiment.yaml" --out "$dir/never" --set "stop={metric: f1, at: 0.6}"
says "expected one of accuracy, auc, loss"
expect 78 "$sim" run "$dir/experiment.yaml" --out "$dir/never" --set "stop={metric: accuracy}"
says "missing key 'at'"
expect 78 "$sim" run "$dir/experiment.yaml" --out "$dir/never" --set data.classes=10 --set data.features=144 \
    --set "stop={metric: auc, at: 0.6}"
says "stop.metric: auc of labels that are more than two classes, expected accuracy or loss"
[ ! -e "$dir/never" ] || fail "a folder for an experiment that cannot run"
