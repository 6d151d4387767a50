#!/bin/sh
# k-means over clients makes the segments of pooled rows, also under secure aggregation and for any number of threads; with
# noise summary and report say how far they are the same (adjusted Rand index). What k-means has not is told.
. "$(dirname "$0")/lib.sh"
cat >"$dir/segments.yaml" <<'YAML'
name: segments
seed: 5
data: {source: synthetic, rows: 4000, test_rows: 1000, features: 6, classes: 2}
partition: {kind: iid, clients: 10}
model: {kind: kmeans, clusters: 4}
algorithm: {name: lloyd}
training: {rounds: 8}
clients: {fraction: 1}
evaluation: {local_clients: 2}
YAML
expect 0 "$sim" run "$dir/segments.yaml" --out "$dir/one" --threads 1
says "same segments as pooled rows give: adjusted Rand index"
expect 0 "$sim" run "$dir/segments.yaml" --out "$dir/two" --threads 2
[ "$(jq -r .model_sha256 "$dir/one/summary.json")" = "$(jq -r .model_sha256 "$dir/two/summary.json")" ] || fail "other bytes with two threads"
jq -e '.metrics | .adjusted_rand_pooled > 0.999 and .accuracy == null and .auc == null and .loss > 0' "$dir/one/summary.json" >/dev/null ||
    fail "not the pooled segments: $(jq -c .metrics "$dir/one/summary.json")"
jq -e '(.metrics.loss - .baselines.pooled.loss | fabs) < 1e-4 * .metrics.loss' "$dir/one/summary.json" >/dev/null || fail "the inertia"

expect 0 "$sim" run "$dir/segments.yaml" --out "$dir/sum" --set 'secure_sum={kind: exact, clip: 20}'
jq -e '.metrics | .adjusted_rand_pooled > 0.99 and .adjusted_rand_without_privacy > 0.99' "$dir/sum/summary.json" >/dev/null ||
    fail "masked sums: $(jq -c .metrics "$dir/sum/summary.json")"

expect 0 "$sim" run "$dir/segments.yaml" --out "$dir/noise" \
    --set 'privacy={unit: row, epsilon: 4, delta: 1.0e-6, clip: 2, expected_customers: 4000, t_min: 8}'
says "stability, same segments as without privacy: adjusted Rand index"
jq -e '.metrics.adjusted_rand_without_privacy | . > 0.2 and . < 1' "$dir/noise/summary.json" >/dev/null ||
    fail "with noise: $(jq -c .metrics "$dir/noise/summary.json")"
jq -e '.baselines | .without_privacy.adjusted_rand > 0.2 and .central_dp.loss > 0' "$dir/noise/summary.json" >/dev/null ||
    fail "baselines: $(jq -c .baselines "$dir/noise/summary.json")"
grep -q "adjusted rand without privacy" "$dir/noise/report.html" || fail "the report"

# It goes on after a kill, from experiment.yaml as it was resolved.
expect 0 "$sim" run "$dir/one/experiment.yaml" --out "$dir/again"
[ "$(jq -r .model_sha256 "$dir/one/summary.json")" = "$(jq -r .model_sha256 "$dir/again/summary.json")" ] || fail "the resolved experiment"

bad() { # bad WORDS --set...
    words=$1
    shift
    expect 78 "$sim" run "$dir/segments.yaml" --out "$dir/never" "$@"
    says "$words"
    [ ! -e "$dir/never" ] || fail "a folder for an experiment that cannot run"
}
bad "'clusters' is '1', expected a whole number from 2 to 256" --set model.clusters=1
bad "'clusters' is '257'" --set model.clusters=257
bad "missing key 'clusters', how many kmeans makes" --set model.clusters=null
bad "kmeans is trained by lloyd's rounds, expected lloyd" --set algorithm.name=fedavg
bad "lloyd's rounds are of kmeans" --set 'model={kind: logistic}' --set training.learning_rate=1
bad "missing key 'learning_rate'" --set 'model={kind: softmax}' --set algorithm.name=fedavg
bad "'learning_rate' has no meaning here, k-means moves a centroid to the mean of its rows" --set training.learning_rate=1
bad "'clusters' has no meaning here, only kmeans has clusters" --set 'model={kind: softmax, clusters: 3}' \
    --set algorithm.name=fedavg --set training.learning_rate=1
