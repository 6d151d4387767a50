#!/bin/sh
# Seven shops train with noise. The rounds hold declared and noisy numbers and no count; the model, its statement and its
# report verify without the federation; a changed number does not. The budget shows what was spent.
. "$(dirname "$0")/lib.sh"
verify=$bin/fedtill-verify
shops=$(largest 7)
make_aggregator
# shellcheck disable=SC2086 # a list of names
add_shops $shops
sign_roster
make_task cj_return_private.yaml 's/^  rounds: .*/  rounds: 3/' 's/^  epsilon: 8/  epsilon: 6/' \
    's/n_min: 11, n_cap: 12, h_min: 8/n_min: 7, n_cap: 7, h_min: 3/' 's/drop_permille: 170/drop_permille: 286/' \
    's/^  spare_rounds: .*/  spare_rounds: 1/'
listed=$(echo "$shops" | sed 's/.*/{shop: &,/')
grep -F -e "$listed" "$dir/task.yaml" >"$dir/lines"
customers=$(sed 's/.*customers: \([0-9]*\)}.*/\1/' "$dir/lines" | paste -sd + - | sed 's/.*/echo $((&))/' | sh)
sed -i -e '/^    - {shop: /d' -e "/^  shops: /r $dir/lines" -e "s/^  expected_customers: [0-9]*/  expected_customers: $customers/" \
    "$dir/task.yaml"
publish
for shop in $shops; do start_shop "$shop" --until-done; done
eventually "the task's end" task_is done
for shop in $shops; do ended "$(shop_pid "$shop")" 0; done
check_chain

# No row of any round knows a count.
"$aggregator" task status "$task" --home "$home" --json >"$dir/status.json"
jq -e --argjson n "$customers" '[.rounds[] | select(.state == "committed")] |
    length == 5 and all(.metrics.customers_declared == $n and (.metrics | has("weight") or has("train_rows") | not))' \
    "$dir/status.json" >/dev/null || fail "a round knows more than it may"
jq -e '[.rounds[] | select(.stage == "statistics" and .state == "committed")][0].metrics.features |
    length == 12 and all(.mean.low < .mean.value and .deviation > 0)' "$dir/status.json" >/dev/null || fail "feature statistics"

# What leaves verifies, and says the numbers of the task.
for format in safetensors json; do
    expect 0 "$aggregator" model export "$task" --home "$home" --format $format --out "$dir/model.$format"
    expect 0 "$verify" release "$dir/model.$format"
    says "good; every number follows"
done
jq .statement "$dir/model.json" >"$dir/statement.json"
expect 0 "$verify" statement "$dir/statement.json" --json
jq -e '.statement | .rounds.charged == 5 and .rounds.planned == 6 and .guarantee.planned.rdp <= 6 and
    .guarantee.epsilon < .guarantee.planned.rdp and .guarantee.charged.pld < .guarantee.epsilon and .mechanism.m_stores == 4' \
    "$dir/out" >/dev/null || fail "the statement's numbers"
expect 0 "$aggregator" report model "$task" --home "$home" --format json --out "$dir/report.json"
expect 0 "$verify" report "$dir/report.json"
expect 0 "$aggregator" report model "$task" --home "$home"
says "Not covered"
says "no sum was revealed of fewer than 5 shops"

changed() { # changed KIND FILE FILTER NAME
    jq "$3" "$2" >"$dir/changed.json"
    expect 76 "$verify" "$1" "$dir/changed.json"
    says "$4"
}
changed release "$dir/model.json" '.statement.guarantee.epsilon -= 1' guarantee.epsilon
changed release "$dir/model.json" '.layers[0].biases[0] += 0.5' model.hash
changed release "$dir/model.json" '.features[2].max = 70' features.
changed release "$dir/model.json" 'del(.statement)' statement
changed statement "$dir/statement.json" '.mechanism.t_min += 1' mechanism.t_min
changed statement "$dir/statement.json" '.rounds.train -= 1' rounds
changed statement "$dir/statement.json" '.text = "nothing to fear"' text
changed report "$dir/report.json" '.numbers.least_survivors += 1' numbers.least_survivors

expect 0 "$aggregator" budget "$task" --home "$home" --json
jq -e '.tasks[0] | .rounds_charged == 5 and .rounds_left == 0 and .state == "done"' "$dir/out" >/dev/null || fail "the budget"
