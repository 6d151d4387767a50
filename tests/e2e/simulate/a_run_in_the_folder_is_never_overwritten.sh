#!/bin/sh
# A folder that holds a run is left as it is, unless --force says otherwise; --resume of a complete run has nothing to do.
. "$(dirname "$0")/lib.sh"

expect 0 "$sim" run "$dir/experiment.yaml" --out "$dir/r"
before=$(sha256sum "$dir"/r/*)
expect 78 "$sim" run "$dir/experiment.yaml" --out "$dir/r"
says "there is a run already"
says "--force"
expect 78 "$sim" run "$dir/experiment.yaml" --out "$dir/r" --resume --set training.rounds=9
says "experiment.yaml:"
says "rounds: 8"
says "rounds: 9"
expect 64 "$sim" run "$dir/experiment.yaml" --out "$dir/r" --resume --force
expect 0 "$sim" run "$dir/experiment.yaml" --out "$dir/r" --resume --json
jq -e '.rounds == 8' "$dir/out" >/dev/null || fail "no summary of the complete run"
# What cannot be run does not take the old run away, even with --force.
expect 78 "$sim" run "$dir/experiment.yaml" --out "$dir/r" --force --set partition.clients=100000
expect 66 "$sim" run "$dir/experiment.yaml" --out "$dir/r" --force --set data.source=idx --set data.folder=/nowhere
[ "$(sha256sum "$dir"/r/*)" = "$before" ] || fail "the run was changed"
expect 0 "$sim" run "$dir/experiment.yaml" --out "$dir/r" --force --set training.rounds=9
[ "$(jq .rounds "$dir/r/summary.json")" = 9 ] || fail "--force did not begin anew"
