#!/bin/sh
# A slow line, a narrow one, one that is cut every few seconds (while updates of 0.8 MB are under way), one that goes
# dead without being closed, and two good ones: after each of the faults there is a training round with all six, every
# shop ends in order, and the committed rounds are a chain. (T-09: a userspace relay, since a kernel without netem cannot lose packets.)
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
    python3 "$root/tests/support/poor_link.py" 0 "$port" "$@" --log "$dir/link.$shop" &
    processes="$processes $!"
    ready() { grep -q ready "$dir/link.$shop" 2>/dev/null; }
    eventually "the line of $shop" ready
    link_port=$(sed -n 's/^ready //p' "$dir/link.$shop")
    sed -i "s/^aggregator: .*/aggregator: \"127.0.0.1:$link_port\"/" "$(shop_home "$shop")/client.yaml"
}
nth() { echo "$shops" | sed -n "$1p"; }
slow=$(nth 1) narrow=$(nth 2) cut=$(nth 3) dead=$(nth 4)
link "$slow" --delay-ms 250
link "$narrow" --rate 400000
link "$cut" --rate 400000 --cut 1 4
link "$dead" --half-open 6

# 200,201 parameters, so that a transfer takes longer than the cut line lives.
make_task cj_return.yaml 's/^  rounds: .*/  rounds: 400/' 's/^model: .*/model: {kind: mlp, hidden: [440, 440], activation: relu}/' \
    's/^schedule: .*/schedule: {join: 30s, step: 60s, session: 600s, pause: 0s}/'
publish
for shop in $shops; do start_shop "$shop" --until-done; done
broken() { grep -q "$2" "$dir/link.$1"; }
# all_since N: a training round of all six after the first N committed rounds
all_since() {
    [ "$(ask "[.rounds[] | select(.state == \"committed\")] | sort_by(.round) | .[$1:] |
        map(select(.stage == \"train\" and .survivors == 6)) | length")" -gt 0 ]
}
eventually "a cut of the line of $cut" broken "$cut" cut
eventually "the death of the line of $dead" broken "$dead" half-open
eventually "a round of all six after the faults" all_since "$(committed)"
expect 0 "$aggregator" task stop "$task" --home "$home" --yes
check_chain
for shop in $shops; do ended "$(shop_pid "$shop")" 0; done
