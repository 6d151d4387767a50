#!/bin/sh
# What privacy costs in usefulness: a federation at epsilon 1, 4 and 8 beside the same federation without noise, pooled
# training without noise, and central DP-SGD at the same epsilon, which sees all rows and adds one noise.
# Prints a table and writes OUT_DIR/results.json. Exit: 0 done, 1 a federation is further than 0.01 from central DP.
#
# Usage: recipe.sh adult|cj_return OUT_DIR [--seeds N] [--epsilons "1 4 8"] [--program PATH]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
usage() {
    echo "usage: recipe.sh adult|cj_return OUT_DIR [--seeds N] [--epsilons \"1 4 8\"] [--program PATH]" >&2
    exit 64
}

[ $# -ge 2 ] || usage
name=$1
out=$2
shift 2
seeds=5
epsilons='1 4 8'
program=$here/../../../build/release/bin/fedtill-simulate
while [ $# -gt 1 ]; do
    case $1 in
    --seeds) seeds=$2 ;;
    --epsilons) epsilons=$2 ;;
    --program) program=$2 ;;
    *) usage ;;
    esac
    shift 2
done
[ $# -eq 0 ] || usage
[ -f "$here/$name.yaml" ] || usage
case $name in
adult) plain_rate=2 ;; # without clipping a step is larger
*) plain_rate=2 ;;
esac

mkdir -p "$out/data" "$out/runs"
"$here/$name.sh" "$out/data"
sed "s|@DATA@|$(cd "$out/data" && pwd)|g; s|@ROOT@|$(cd "$here/../../.." && pwd)|g" "$here/$name.yaml" >"$out/$name.yaml"

tell() { if [ -t 2 ]; then printf '\r\033[K%s' "$1" >&2; fi; }
run() { # folder, settings
    folder=$out/runs/$1
    shift
    tell "$name: $(basename "$folder")"
    "$program" run "$out/$name.yaml" --out "$folder" --force --json "$@" >"$folder.json"
}

run plain --set privacy.unit=none --set training.learning_rate=$plain_rate
for epsilon in $epsilons; do
    seed=1
    while [ $seed -le "$seeds" ]; do
        run "epsilon-$epsilon-seed-$seed" --set privacy.epsilon="$epsilon" --set seed=$seed --set evaluation.pooled=false \
            --set evaluation.without_privacy=false
        seed=$((seed + 1))
    done
done
tell ''

for epsilon in $epsilons; do
    jq -s --argjson epsilon "$epsilon" '
        def mean: add / length;
        def spread: (mean) as $m | if length > 1 then (map((. - $m) * (. - $m)) | add / (length - 1) | sqrt) else 0 end;
        def figures(f): {accuracy: (map(f.accuracy) | mean), accuracy_sd: (map(f.accuracy) | spread),
                         auc: (map(f.auc) | mean), auc_sd: (map(f.auc) | spread)};
        {epsilon: $epsilon, seeds: length, privacy: .[0].privacy, federated: figures(.metrics),
         central_dp: figures(.baselines.central_dp)} |
        .difference = {accuracy: (.federated.accuracy - .central_dp.accuracy), auc: (.federated.auc - .central_dp.auc)} |
        .within_0_01 = ((.difference.accuracy | fabs) <= 0.01 and (.difference.auc | fabs) <= 0.01)
    ' "$out/runs/epsilon-$epsilon"-seed-*.json
done | jq -s --arg recipe "$name" --slurpfile plain "$out/runs/plain.json" '
    {version: 1, recipe: $recipe, shops: $plain[0].clients.count, customers: .[0].privacy.customers,
     test_rows: $plain[0].data.test_rows, pooled: $plain[0].baselines.pooled,
     federated_without_noise: $plain[0].metrics, private: ., within_0_01: (map(.within_0_01) | all)}
' >"$out/results.json"

jq -r '
    def f: (. * 10000 + 0.5 | floor | tostring | ("00000" + .)[-([length, 5] | max):]) | .[:-4] + "." + .[-4:];
    "\(.recipe): \(.shops) shops, \(.customers) customers, \(.test_rows) test rows",
    "                            accuracy  AUC       epsilon by PLD",
    "pooled, no noise            \(.pooled.accuracy | f)    \(.pooled.auc | f)",
    "federated, no noise         \(.federated_without_noise.accuracy | f)    \(.federated_without_noise.auc | f)",
    (.private[] |
        "central DP,  epsilon \(.epsilon)      \(.central_dp.accuracy | f)    \(.central_dp.auc | f)",
        "federated,   epsilon \(.epsilon)      \(.federated.accuracy | f)    \(.federated.auc | f)    \(.privacy.epsilon_pld | f)")
' "$out/results.json"
[ "$(jq .within_0_01 "$out/results.json")" = true ] || {
    echo "recipe.sh: a federation is further than 0.01 from central DP at the same epsilon" >&2
    exit 1
}
