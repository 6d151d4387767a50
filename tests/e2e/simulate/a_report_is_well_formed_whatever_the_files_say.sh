#!/bin/sh
# Pages of a run and of several are well-formed and need no network, also when names in the folder are hostile; two parsers
# that are not ours judge. Bad files are named, and nothing is overwritten unasked.
. "$(dirname "$0")/lib.sh"
page() { python3 "$(dirname "$0")/page.py" "$@" || fail "a page is not as it should be"; }

expect 0 "$sim" run "$dir/experiment.yaml" --out "$dir/a"
expect 0 "$sim" run "$dir/experiment.yaml" --out "$dir/b" --set algorithm.name=fedadam --set algorithm.server_learning_rate=0.05
page "$dir/a/report.html" "No differential privacy is claimed" "Loss on the test rows" "pooled" "dirichlet" "partition.csv" "$(model "$dir/a")"
head -n 1 "$dir/a/partition.csv" | grep -qx 'client,name,rows,label_0,label_1' || fail "partition.csv has another header"
[ "$(awk -F, 'NR > 1 { rows += $3; labels += $4 + $5 } END { print rows, labels, NR - 1 }' "$dir/a/partition.csv")" = "2000 2000 24" ] ||
    fail "partition.csv does not have every row once"

expect 0 "$sim" compare "$dir/a" "$dir/b" --out "$dir/compare.html" --target 0.6
says "algorithm.name: fedavg | fedadam"
page "$dir/compare.html" "2 runs side by side" "algorithm.name" "rounds to 0.6"
expect 78 "$sim" compare "$dir/a" "$dir/b" --out "$dir/compare.html"
says "--force"
expect 0 "$sim" compare "$dir/a" "$dir/b" --out "$dir/compare.html" --force --json --metric loss
jq -e '.metric == "loss" and (.runs | length) == 2 and .differing["algorithm.name"] == ["fedavg", "fedadam"] and
    .runs[0].model_sha256 != .runs[1].model_sha256' "$dir/out" >/dev/null || fail "compare --json lacks something"

# With noise: every number of the claim, its words, and what it does not cover; with masks alone, what those hide.
awk 'BEGIN { srand(3); print "who,a,b,y"; for (i = 0; i < 3000; i++) { a = rand() - 0.5; b = rand() - 0.5; print int(rand() * 900) "," a "," b "," (a + b > 0) } }' \
    >"$dir/people.csv"
set -- --set "data={source: csv, train: people.csv, label: y, customer: who, classes: 2}" --set "model={kind: logistic}" \
    --set "clients={fraction: 1}" --set "partition={kind: iid, clients: 12}" --set training.rounds=6
expect 0 "$sim" run "$dir/experiment.yaml" --out "$dir/private" "$@" --set algorithm.name=fedsgd --set training.local_epochs=1 \
    --set training.batch_size=0 \
    --set "privacy={unit: customer, epsilon: 3, delta: 1.0e-5, clip: 0.5, expected_customers: 200}"
page "$dir/private/report.html" "$(jq -r .privacy.text "$dir/private/summary.json")" "add or remove one customer with all their" \
    "epsilon, by PLD" "Not covered" "whoever knows the seed draws the same noise again" "models trained without noise"
jq -e '.privacy | .unit == "customer" and .epsilon_rdp <= 3 and .epsilon_rdp > 2.98 and .epsilon_pld < .epsilon_rdp and .rounds == 6 and
    .t_min == 11 and .m_stores == 1 and (.covered | length) == 2 and (.not_covered | length) > 4 and (.assumptions | length) == 4' \
    "$dir/private/summary.json" >/dev/null || fail "the claim lacks something"
expect 0 "$sim" run "$dir/experiment.yaml" --out "$dir/masks" "$@" --set "secure_sum={kind: cost, clip: 10, corrupted: 3}"
page "$dir/masks/report.html" "while at most 3 of them collude with it; here the masks were left out" "no noise was added"
expect 78 "$sim" run "$dir/experiment.yaml" --out "$dir/never" "$@" --set "partition={kind: shards, clients: 12, shards_per_client: 2}" \
    --set "privacy={unit: customer, epsilon: 3, delta: 1.0e-5, clip: 0.5, expected_customers: 200}"
says "expected that number or more, or a partition that keeps customers whole"

# Names that a page must not take for its own.
evil='<script>alert("1")</script>&amp;'"'"' </title></svg>'
mkdir "$dir/<b>&evil"
cp "$dir"/a/* "$dir/<b>&evil"
jq --arg evil "$evil" '.name = $evil | .algorithm = $evil | .baselines[$evil] = .baselines.pooled | .metrics[$evil] = 1 |
    .privacy = {text: $evil, unit: $evil, epsilon_rdp: $evil, covered: [$evil, 7], not_covered: $evil}' \
    "$dir/a/summary.json" >"$dir/<b>&evil/summary.json"
printf 'client,name,rows,label_0\n0,"%s",5,5\n1,%s,7,7\n' '<img src=x onerror=alert(1)>' '<i>' >"$dir/<b>&evil/partition.csv"
printf 'name: "%s"\n"<u>": "</pre><script>"\nalgorithm: {name: "<s>"}\n' '<script>' >"$dir/<b>&evil/experiment.yaml"
expect 0 "$sim" compare "$dir/<b>&evil" "$dir/a" --out "$dir/evil.html"
page "$dir/evil.html" "<b>&evil" "$evil" "</pre><script>"
expect 0 "$sim" compare "$dir/<b>&evil" --out "$dir/one.html"
page "$dir/one.html" "$evil" "<img src=x onerror=alert(1)>" "</pre><script>"

# What is no run, and what is damaged.
expect 66 "$sim" compare "$dir/a" "$dir/nowhere"
says "nowhere/summary.json"
mkdir "$dir/c"
cp "$dir"/a/* "$dir/c"
sed -i '4s/.*/3,oops/' "$dir/c/rounds.csv"
expect 65 "$sim" compare "$dir/a" "$dir/c"
says "c/rounds.csv:4: 2 fields, expected 10"
printf '{' >"$dir/c/summary.json"
expect 65 "$sim" compare "$dir/c"
says "c/summary.json:1"
expect 64 "$sim" compare "$dir/a" --metric f1
