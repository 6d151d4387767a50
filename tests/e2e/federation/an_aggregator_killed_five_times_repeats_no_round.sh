#!/bin/sh
# The aggregator is killed five times at random moments: at the end every committed round is there exactly once, every
# model version follows the one before it, and the log passes its check.
. "$(dirname "$0")/lib.sh"
shops=$(largest 7)
make_aggregator
# shellcheck disable=SC2086 # a list of names
add_shops $shops
sign_roster
make_task cj_return.yaml 's/^  rounds: .*/  rounds: 80/' 's/step: 10s/step: 5s/' 's/pause: 0s/pause: 100ms/'
publish
for shop in $shops; do start_shop "$shop" --until-done; done
on() { has_committed $((now + 2)) || task_is done; }
for kill in 1 2 3 4 5; do
    now=$(committed)
    eventually "two more rounds" on
    sleep "0.$(od -An -N2 -tu2 /dev/urandom | awk '{ printf "%03d", $1 % 400 }')"
    ask '[.rounds[] | select(.state == "committed") | {round, result_hash, model_hash}]' >"$dir/kept.$kill"
    stop_aggregator KILL
    restart_aggregator
done
eventually "the task's end" task_is done
for shop in $shops; do ended "$(shop_pid "$shop")" 0; done
# What was committed before a kill is there after it, as it was.
ask '[.rounds[] | select(.state == "committed") | {round, result_hash, model_hash}]' >"$dir/all"
for kill in 1 2 3 4 5; do
    jq -e --slurpfile all "$dir/all" '. - $all[0] == []' "$dir/kept.$kill" >/dev/null || fail "a committed round changed"
done
[ "$(ask '[.rounds[] | select(.state == "committed" and .stage == "train")] | length')" = 80 ] || fail "not 80 training rounds"
check_chain
expect 0 "$aggregator" status --home "$home" --json
[ "$(jq .log_size "$dir/out")" -ge 82 ] || fail "the log is shorter than the rounds"
