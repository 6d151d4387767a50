#!/bin/sh
# A shop is killed after each of the first messages it sends in a round, and once it is frozen and then killed: the rounds
# go on without it, none is left open, and it comes back each time.
. "$(dirname "$0")/lib.sh"
shops=$(largest 7)
victim=$(echo "$shops" | sed -n 4p)
make_aggregator
# shellcheck disable=SC2086 # a list of names
add_shops $shops
sign_roster
make_task cj_return.yaml 's/^  rounds: .*/  rounds: 400/' 's/step: 10s/step: 5s/' 's/pause: 0s/pause: 300ms/'
publish
for shop in $shops; do start_shop "$shop"; done
full_since() { # full_since N: a round of all seven shops after the first N committed ones
    [ "$(ask "[.rounds[] | select(.state == \"committed\")] | sort_by(.round) | .[$1:] | map(select(.survivors == 7)) | length")" -gt 0 ]
}
eventually "a round of all seven" full_since 0
audit=$(shop_home "$victim")/state/audit.jsonl
for moment in 1 2 3 4 5 6 frozen; do
    before=$(committed)
    case $moment in
    frozen)
        signal_shop STOP "$victim"
        eventually "rounds without the frozen shop" has_committed $((before + 2))
        kill_shop "$victim"
        ;;
    *)
        # The messages of a round come in a row after the pause: wait for the next one's first, then for some more.
        joined=$(grep -c session.joined "$dir/log/$victim")
        more() { [ "$(grep -c session.joined "$dir/log/$victim")" -gt "$joined" ]; }
        eventually "another round at the shop" more
        lines=$(wc -l <"$audit")
        tries=0
        while [ "$(wc -l <"$audit")" -lt $((lines + moment - 1)) ] && [ $tries -lt 500 ]; do tries=$((tries + 1)); done
        kill_shop "$victim"
        eventually "rounds without the killed shop" has_committed $((before + 3))
        ;;
    esac
    before=$(committed)
    start_shop "$victim"
    eventually "the shop's return after a kill at moment $moment" full_since "$before"
done
expect 0 "$aggregator" task stop "$task" --home "$home" --yes
ask '[.rounds[] | .reasons.shops // {} | .[]?] | group_by(.) | map({(.[0] | tostring): length}) | add'
expect 0 "$client" status --home "$(shop_home "$victim")"
says "chain intact"
