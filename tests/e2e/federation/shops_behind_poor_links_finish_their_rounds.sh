#!/bin/sh
# A slow line, a narrow one, one that is cut every few seconds (while updates of 0.8 MB are under way), one that goes
# dead without being closed, and two good ones: every round is committed, no shop repeats what it has sent, and all six
# are in the last round. (T-09: a userspace relay, since a kernel without netem cannot lose packets.)
. "$(dirname "$0")/lib.sh"
shops=$(largest 6)
make_aggregator
# shellcheck disable=SC2086 # a list of names
add_shops $shops
for shop in $shops; do sed -i 's/parameters_max: [0-9]*/parameters_max: 1000000/' "$(shop_home "$shop")/policy.yaml"; done
sign_roster

link() { # link SHOP FAULT...: the shop's line to the aggregator from now on
    shop=$1
    shift
    link_port=$((link_port + 1))
    python3 "$root/tests/support/poor_link.py" "$link_port" "$port" "$@" --log "$dir/link.$shop" &
    processes="$processes $!"
    sed -i "s/^aggregator: .*/aggregator: \"127.0.0.1:$link_port\"/" "$(shop_home "$shop")/client.yaml"
    ready() { grep -q ready "$dir/link.$shop" 2>/dev/null; }
    eventually 20 "the line of $shop" ready
}
nth() { echo "$shops" | sed -n "$1p"; }
link_port=$((port + 100))
slow=$(nth 1) narrow=$(nth 2) cut=$(nth 3) dead=$(nth 4)
link "$slow" --delay-ms 250
link "$narrow" --rate 400000
link "$cut" --rate 400000 --cut 1 4
link "$dead" --half-open 6

# 200,201 parameters, so that a transfer takes longer than the cut line lives.
make_task cj_return.yaml 's/^  rounds: .*/  rounds: 3/' 's/^model: .*/model: {kind: mlp, hidden: [440, 440], activation: relu}/' \
    's/^schedule: .*/schedule: {join: 30s, step: 60s, session: 240s, pause: 0s}/'
publish
for shop in $shops; do start_shop "$shop" --until-done; done
eventually 200 "the task's end" task_is done
check_chain
grep -q cut "$dir/link.$cut" || fail "the line of $cut was never cut"
grep -q half-open "$dir/link.$dead" || fail "the line of $dead never went dead"
[ "$(ask '[.rounds[] | select(.stage == "train")] | map(select(.state == "committed")) | length')" = 3 ] ||
    fail "training rounds were lost: $(ask '[.rounds[] | {stage, state, reason}]')"
[ "$(ask '[.rounds[] | select(.stage == "train")] | last | .survivors')" = 6 ] ||
    fail "the last training round: $(ask '[.rounds[] | select(.stage == "train")] | last | del(.metrics)')"
for shop in $shops; do ended "$(shop_pid "$shop")" 0; done
