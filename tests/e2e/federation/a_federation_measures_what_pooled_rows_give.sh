#!/bin/sh
# Seven shops train cj_return to its end; what the federation measured of its model by secure sums is what the same model
# gives on the pooled rows of the same shops.
. "$(dirname "$0")/lib.sh"
shops=$(largest 7)
make_aggregator
# shellcheck disable=SC2086 # a list of names
add_shops $shops
sign_roster
make_task cj_return.yaml 's/^  rounds: .*/  rounds: 4/' 's/n_min: 6,/n_min: 7,/'
publish
for shop in $shops; do start_shop "$shop" --until-done; done
eventually "the task's end" task_is done
# Each shop ends by itself, with 0, once it has the result.
for shop in $shops; do ended "$(shop_pid "$shop")" 0; done

[ "$(committed)" = 6 ] || fail "$(committed) rounds, expected statistics, 4 of training, evaluation"
expect 0 "$aggregator" model export "$task" --home "$home" --format json --out "$dir/model.json"
homes=
for shop in $shops; do homes="$homes $(shop_home "$shop")"; done
# shellcheck disable=SC2086 # a list of folders
expect 0 "$simulate" baseline --task "$dir/task.yaml" --model "$dir/model.json" --json $homes
ask '.rounds[] | select(.stage == "evaluate") | .metrics' >"$dir/metrics.json"
# AUC to the width of the histogram's bins, the rest to the codec's precision.
jq -e --slurpfile base "$dir/out" '
    def near(a; b; by): (a - b) | fabs < by;
    $base[0] as $b |
    .test_rows == $b.test_rows and .train_rows == $b.train_rows and
    near(.auc.value; $b.federated.auc; 0.002) and near(.objective; $b.federated.objective; 1e-3) and
    near(.loss.value; $b.federated.test_loss; 1e-5) and near(.accuracy.value; $b.federated.accuracy; 1e-9) and
    $b.federated.auc > $b.alone.auc_mean' "$dir/metrics.json" >/dev/null ||
    fail "the federation's figures differ from the pooled ones: $(cat "$dir/metrics.json")"
check_chain
