#!/bin/sh
# Seven shops measure and train nothing. Without noise every figure is the pooled one, counts of too few are withheld,
# and nothing tells them by subtraction; with noise every figure is within its interval, the ledgers pay for one sum, and the released file verifies without
# the federation; a changed number does not.
. "$(dirname "$0")/lib.sh"
verify=$bin/fedtill-verify
shops=$(largest 7)
make_aggregator
# shellcheck disable=SC2086 # a list of names
add_shops $shops
sign_roster

listed=$(echo "$shops" | sed 's/.*/{shop: &,/')
few='s/n_min: 11, n_cap: 12, h_min: 8/n_min: 7, n_cap: 7, h_min: 3/'
run_task() {
    publish
    for shop in $shops; do start_shop "$shop" --until-done; done
    eventually "the task's end" task_is done
    for shop in $shops; do ended "$(shop_pid "$shop")" 0; done
}

# What the shops in the task's sum hold of customers who agreed, pooled: a customer of two shops is one of each.
pool() {
    ask '.rounds[] | select(.state == "committed") | .reasons.shops | keys[]' >"$dir/absent"
    for shop in $shops; do
        grep -qx "$shop" "$dir/absent" || awk -F, '
            FNR == NR { if ($2 == "measure/propensity") last[$1] = $3; next }
            FNR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
            last[$at["customer_id"]] == "given" {
                id = $at["customer_id"]
                if (!((id, $at["basket_id"]) in seen)) visits[id]++
                seen[id, $at["basket_id"]] = 1
                amount[id] += $at["amount"]; lines[id]++
                private[id] += $at["brand"] == "Private"
                if ($at["coupon"] > 0) coupon[id] = 1
            }
            END { for (id in lines) printf "%d,%.12g,%d,%.12g\n", visits[id], log(1 + amount[id]), coupon[id] + 0, private[id] / lines[id] }
        ' "$(shop_home "$shop")/consent.csv" "$(shop_home "$shop")/data/transactions.csv"
    done >"$dir/pooled.csv"
    awk -F, '
        { n++; s += $2; q += $2 * $2; p += $4
          h[($1 >= 2) + ($1 >= 5) + ($1 >= 10) + ($1 >= 20) + ($1 >= 40) + ($1 >= 80)]++
          c[$3 * 3 + ($1 >= 10) + ($1 >= 40)]++
          d[$3 * 2 + ($4 >= 0.2)]++ }
        END { m = s / n
          printf "{\"n\":%d,\"mean\":%.12g,\"deviation\":%.12g,\"share\":%.12g,\"visits\":[", n, m, sqrt(q / n - m * m), p / n
          for (i = 0; i < 7; i++) printf "%s%d", i ? "," : "", h[i]
          printf "],\"cross\":["; for (i = 0; i < 6; i++) printf "%s%d", i ? "," : "", c[i]
          printf "],\"shares\":["; for (i = 0; i < 4; i++) printf "%s%d", i ? "," : "", d[i]
          print "]}" }' "$dir/pooled.csv" >"$dir/pooled.json"
    cut -d, -f2 "$dir/pooled.csv" | sort -g |
        awk '{ v[NR] = $1 } END { printf "[%.12g,%.12g,%.12g]\n", v[int(NR / 4) + 1], v[int(NR / 2) + 1], v[int(3 * NR / 4) + 1] }' \
            >"$dir/quartiles.json"
}

# ---- without noise ----
make_task cj_statistics.yaml "$few" 's/drop_permille: 170/drop_permille: 286/' 's/^task: .*/task: figures/' \
    's/^  noise: .*/  noise: none/' '/^  epsilon:/d' '/^  delta:/d' '/^  expected_customers:/d' '/^  m_stores:/d' \
    '/^  spare_rounds:/d' '/^  shops:/d' '/^    - {shop: /d'
expect 78 "$aggregator" task check "$dir/task.yaml"
says "visits is in the histogram of entry 1: without noise"
sed -i 's/with: visits, with_edges: \[10, 40\]/with: share_private, with_edges: [0.2]/' "$dir/task.yaml"
expect 0 "$aggregator" task check "$dir/task.yaml"
says "figure       count of customers, 1 number: exact"
run_task
[ "$(committed)" = 1 ] || fail "$(committed) rounds, expected one"
expect 0 "$aggregator" statistics show figures --home "$home" --json
cp "$dir/out" "$dir/plain.json"
pool
jq -e --slurpfile pooled "$dir/pooled.json" --slurpfile quartiles "$dir/quartiles.json" '
    def near(a; b; by): (a - b) | fabs < by;
    $pooled[0] as $p | $quartiles[0] as $v |
    (.count.value == $p.n) and (.count.low == $p.n) and
    ([.figures[0].cells[].count.value] | to_entries | all(.value == null or .value == $p.visits[.key])) and
    ([.figures[4].cells[].count.value] | to_entries | all(.value == null or .value == $p.shares[.key])) and
    near(.figures[1].mean.value; $p.mean; 1e-6) and near(.figures[1].deviation.value; $p.deviation; 1e-6) and
    (.figures[3].mean.withheld and ([.figures[4].cells[].count | select(.withheld)] | length > 1) or
        near(.figures[3].mean.value; $p.share; 1e-6)) and
    (.figures[2].quantiles | to_entries | all(.value.low <= $v[.key] and $v[.key] <= .value.high and .value.low < .value.high)) and
    ([.figures[0].cells[].count | select(.withheld)] | length != 1) and
    ([.figures[0].cells[].count | select(.withheld | not)] | all(.value >= 10))' "$dir/plain.json" >/dev/null ||
    fail "the figures are not the pooled ones: $(cat "$dir/pooled.json" "$dir/quartiles.json" "$dir/plain.json")"
homes=
for shop in $shops; do grep -qx "$shop" "$dir/absent" || homes="$homes $(shop_home "$shop")"; done
# shellcheck disable=SC2086 # a list of folders
expect 0 "$simulate" baseline --task "$dir/task.yaml" --json $homes
jq -e --slurpfile plain "$dir/plain.json" '.count.value == $plain[0].count.value and
    (.figures[1].mean.value - $plain[0].figures[1].mean.value | fabs < 1e-9) and
    (.figures[1].variance.value - $plain[0].figures[1].variance.value | fabs < 1e-9) and
    ([.figures[0].cells[].count.value] | to_entries |
        all(.value as $v | $plain[0].figures[0].cells[.key].count.value | . == null or . == $v)) and
    ([.figures[0].cells[].count.value] | add) == .count.value' "$dir/out" >/dev/null || fail "the simulator's pooled figures"
expect 0 "$aggregator" statistics export figures --home "$home" --out "$dir/plain.release.json"
expect 0 "$verify" release "$dir/plain.release.json"

# ---- with noise ----
make_task cj_statistics.yaml "$few" 's/drop_permille: 170/drop_permille: 286/'
grep -F -e "$listed" "$dir/task.yaml" >"$dir/lines"
customers=$(sed 's/.*customers: \([0-9]*\)}.*/\1/' "$dir/lines" | paste -sd + - | sed 's/.*/echo $((&))/' | sh)
sed -i -e '/^    - {shop: /d' -e "/^  shops: /r $dir/lines" -e "s/^  expected_customers: [0-9]*/  expected_customers: $customers/" \
    "$dir/task.yaml"
expect 0 "$aggregator" task check "$dir/task.yaml" --json
jq -e '.privacy.epsilon_rdp <= 4 and .privacy.steps == 2 and (.measures | length) == 6 and .measures[0].count_reach > 0' \
    "$dir/out" >/dev/null || fail "the check's numbers"
first=$(echo "$shops" | head -n 1)
run_task
expect 0 "$client" task show "$task" --home "$(shop_home "$first")"
says "No model: figures about customers who agreed to this purpose"
says "each of whom counts once"
says "how many have visits from 0 to 364 in 7 steps"
expect 0 "$aggregator" statistics show "$task" --home "$home"
says "visits: histogram"
says "Differential privacy: epsilon"
expect 0 "$aggregator" statistics show "$task" --home "$home" --json
cp "$dir/out" "$dir/noisy.json"
pool
# 30 figures at 95 %: a few may be outside their interval, most are not; none is far away.
jq -e --slurpfile pooled "$dir/pooled.json" '
    $pooled[0] as $p |
    [{e: .count, t: $p.n}, {e: .figures[1].mean, t: $p.mean}, {e: .figures[1].deviation, t: $p.deviation},
     {e: .figures[3].mean, t: $p.share}] +
    [.figures[0].cells | to_entries[] | {e: .value.count, t: $p.visits[.key]}] +
    [.figures[4].cells | to_entries[] | {e: .value.count, t: $p.cross[.key]}] |
    map(select(.e.withheld | not)) |
    length >= 8 and (map(select(.t < .e.low or .t > .e.high)) | length <= 6) and
    all(.t >= .e.low - (.e.high - .e.low) and .t <= .e.high + (.e.high - .e.low)) and all(.e.low >= 0)' \
    "$dir/noisy.json" >/dev/null || fail "the figures are not within their intervals: $(cat "$dir/pooled.json" "$dir/noisy.json")"
expect 0 "$aggregator" statistics export "$task" --home "$home" --out "$dir/release.json"
expect 0 "$verify" release "$dir/release.json"
says "good; every number follows"
expect 0 "$aggregator" statistics export "$task" --home "$home" --format csv --out "$dir/release.csv"
[ "$(head -c 24 "$dir/release.csv")" = "measure,feature,figure,a" ] || fail "the header of the CSV"
[ "$(wc -l <"$dir/release.csv")" = 22 ] || fail "$(wc -l <"$dir/release.csv") lines of CSV"
changed() { # changed FILTER NAME
    jq "$1" "$dir/release.json" >"$dir/changed.json"
    expect 76 "$verify" release "$dir/changed.json"
    says "$2"
}
changed '.figures[1].mean.value += 0.1' figures
changed '.sums[3] += 1' model.hash
changed '.statement.guarantee.epsilon -= 1' guarantee.epsilon
changed 'del(.statement)' statement
changed '.figures |= .[1:]' figures

# A model is none, and a model has no figures.
expect 66 "$aggregator" model export "$task" --home "$home" --out "$dir/model.safetensors"
says "statistics export"
expect 0 "$aggregator" report model "$task" --home "$home"
says "none: figures"
expect 0 "$aggregator" budget "$task" --home "$home" --json
jq -e '.tasks[0] | .rounds_charged == 1 and .state == "done"' "$dir/out" >/dev/null || fail "the budget"
expect 0 "$aggregator" check-config --home "$home"
