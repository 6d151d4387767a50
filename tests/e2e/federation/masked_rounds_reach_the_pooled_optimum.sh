#!/bin/sh
# The twelve shops of the demo train cj_return through the real protocol, masks, quantiser and network, with a clip and
# weights that bind nobody: after 240 rounds the objective on all their rows is within 1e-4 of the pooled optimum.
. "$(dirname "$0")/lib.sh"
shops=$(largest 12)
make_aggregator
# shellcheck disable=SC2086 # a list of names
add_shops $shops
sign_roster
make_task cj_return.yaml 's/^  rounds: .*/  rounds: 240/' 's/n_min: 6,/n_min: 12,/' 's/^  weight_cap: .*/  weight_cap: 20000/' \
    's/^  server: .*/  server: {optimizer: momentum, learning_rate: 1, momentum: 0.9}/'
publish
for shop in $shops; do start_shop "$shop" --until-done; done
eventually "the task's end" task_is done
for shop in $shops; do ended "$(shop_pid "$shop")" 0; done
expect 0 "$aggregator" model export "$task" --home "$home" --format json --out "$dir/model.json"
homes=
for shop in $shops; do homes="$homes $(shop_home "$shop")"; done
# shellcheck disable=SC2086 # a list of folders
expect 0 "$simulate" baseline --task "$dir/task.yaml" --model "$dir/model.json" --json $homes
jq -c '{pooled: .pooled.objective, federated: .federated.objective}' "$dir/out"
jq -e '(.federated.objective - .pooled.objective) | fabs < 1e-4' "$dir/out" >/dev/null ||
    fail "the federated model is not at the pooled optimum"
check_chain
