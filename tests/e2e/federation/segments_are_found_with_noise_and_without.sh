#!/bin/sh
# Seven shops find segments of their households. Without noise the model is k-means of pooled rows; with noise the ledgers pay
# for it and its statement says what a segment is. Both leave with a statement that verifies; a moved centre does not.
. "$(dirname "$0")/lib.sh"
verify=$bin/fedtill-verify
shops=$(largest 7)
first=$(echo "$shops" | head -n 1)
make_aggregator
for shop in $shops; do # the demo's shops, asked for segments
    make_shop "$shop"
    sed -i 's|train/propensity|train/segmentation|' "$(shop_home "$shop")/policy.yaml" "$(shop_home "$shop")/consent.csv"
    invite "$shop"
    enrol "$shop"
    import_consents "$shop"
done
sign_roster

listed=$(echo "$shops" | sed 's/.*/{shop: &,/')
few='s/n_min: 11, n_cap: 12, h_min: 8/n_min: 7, n_cap: 7, h_min: 3/'
rest='s/drop_permille: 170/drop_permille: 286/'
run_task() {
    publish
    for shop in $shops; do start_shop "$shop" --until-done; done
    eventually "the task's end" task_is done
    for shop in $shops; do ended "$(shop_pid "$shop")" 0; done
}

# ---- without noise ----
make_task cj_segments.yaml "$few" "$rest" 's/rounds: 20/rounds: 6/' 's/clusters: 5/clusters: 4/' 's/^task: .*/task: segments/'
run_task
check_chain
expect 0 "$client" task show segments --home "$(shop_home "$first")"
says "finds 4 segments in 5 features of customers who agreed to this purpose"
says "of fewer than 20 customers is not shown"
expect 0 "$aggregator" model show segments --home "$home"
says "segment 0"
expect 0 "$aggregator" report model segments --home "$home"
says "kmeans of 5 features, no label"
says "segment 3"

# What the shops hold of households that agreed, in one place: the same loss, the same centres.
mkdir "$dir/pool"
for shop in $shops; do
    awk -F, 'FNR == NR { if ($2 == "train/segmentation") last[$1] = $3; next }
             FNR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; print; next }
             last[$at["customer_id"]] == "given"' "$(shop_home "$shop")/consent.csv" \
        "$(shop_home "$shop")/data/transactions.csv" >"$dir/pool/$shop.csv"
done
cat >"$dir/pooled.yaml" <<YAML
name: pooled
seed: 1
data: {source: task, task: "$dir/task.yaml", files: "$dir/pool/*.csv"}
partition: {kind: column}
model: {kind: kmeans, clusters: 4, min_cluster: 20}
algorithm: {name: lloyd}
training: {rounds: 6}
clients: {fraction: 1}
evaluation: {local: false}
YAML
expect 0 "$simulate" run "$dir/pooled.yaml" --out "$dir/pooled" --json
left_out=$(ask '[.rounds[] | select(.state == "committed") | .reasons.shops | length] | add')
loss=$(ask '[.rounds[] | select(.stage == "evaluate" and .state == "committed")][0].metrics.loss.value')
jq -e --argjson loss "$loss" --argjson out "$left_out" \
    '.metrics.loss | (. - $loss | fabs) < (if $out == 0 then 1e-4 else 0.1 end)' "$dir/pooled/summary.json" >/dev/null ||
    fail "inertia $loss, pooled $(jq .metrics.loss "$dir/pooled/summary.json"), $left_out shops left out"
jq -e '.metrics.adjusted_rand_pooled == 1' "$dir/pooled/summary.json" >/dev/null || fail "experiment and pooled rows differ"

export_both() { # export_both TASK
    expect 0 "$aggregator" model export "$1" --home "$home" --format json --out "$dir/$1.json"
    expect 0 "$aggregator" model export "$1" --home "$home" --format safetensors --out "$dir/$1.safetensors"
    expect 0 "$verify" release "$dir/$1.json"
    expect 0 "$verify" release "$dir/$1.safetensors"
    jq -e '.model.kind == "kmeans" and (.centroids | length) == 4 and (.centroids[0] | length) == 5 and .layers == [] and
        (.features as $f | .centroids as $c | .centroids_in_units | to_entries | all(.key as $k | .value | to_entries |
            all((.value - ($f[.key].mean + $f[.key].std * $c[$k][.key])) | fabs < 1e-6)))' "$dir/$1.json" >/dev/null ||
        fail "the exported centres of $1"
    jq '.centroids[2][1] += 0.001' "$dir/$1.json" >"$dir/changed.json"
    expect 76 "$verify" release "$dir/changed.json"
}
export_both segments
grep -q "of each of 4 segments nothing was revealed but the sums and the number" "$dir/segments.json" || fail "the statement"

# ---- with noise ----
make_task cj_segments_private.yaml "$few" "$rest" 's/rounds: 8/rounds: 3/'
grep -F -e "$listed" "$dir/task.yaml" >"$dir/lines"
customers=$(sed 's/.*customers: \([0-9]*\)}.*/\1/' "$dir/lines" | paste -sd + - | sed 's/.*/echo $((&))/' | sh)
sed -i -e '/^    - {shop: /d' -e "/^  shops: /r $dir/lines" -e "s/^  expected_customers: [0-9]*/  expected_customers: $customers/" \
    "$dir/task.yaml"
run_task
expect 0 "$aggregator" budget "$task" --home "$home" --json
jq -e '.tasks[0] | .rounds_charged >= 5 and .state == "done"' "$dir/out" >/dev/null || fail "the budget"
expect 0 "$client" budget --home "$(shop_home "$first")" --json
ask '[.rounds[] | select(.stage == "train" and .state == "committed")][0].metrics' >"$dir/train.json"
jq -e 'has("small_clusters") and has("moved") and (has("train_rows") | not) and (has("clusters") | not)' "$dir/train.json" \
    >/dev/null || fail "what a round with noise tells: $(cat "$dir/train.json")"
export_both "$task"
grep -q "or with a number that its noise hides" "$dir/$task.json" || fail "the statement of noise"
jq -e '.statement.mechanism.contribution == "sums and numbers by segment"' "$dir/$task.json" >/dev/null || fail "the mechanism"
expect 0 "$aggregator" check-config --home "$home"
