#!/bin/sh
# During the rounds a shop is revoked: its next call is refused, nobody waits for it, and it never comes back.
# Another is suspended and resumed: it is left out and comes back by itself.
. "$(dirname "$0")/lib.sh"
shops=$(largest 8)
make_aggregator
# shellcheck disable=SC2086 # a list of names
add_shops $shops
sign_roster
make_task cj_return.yaml 's/^  rounds: .*/  rounds: 400/' 's/step: 10s/step: 15s/' 's/pause: 0s/pause: 300ms/'
publish
for shop in $shops; do start_shop "$shop"; done
with() { [ "$(ask '[.rounds[] | select(.state == "committed")] | max_by(.round) | .survivors // 0')" = "$1" ]; }
eventually "a round of all eight shops" with 8

revoked=$(echo "$shops" | sed -n 3p)
expect 0 "$aggregator" store revoke "$revoked" --home "$home" --yes
refused() { log_of "$1" | grep -q '"courier.refused","status":"ERR_REFUSED"'; }
eventually "the refusal of a revoked shop" refused "$revoked"
eventually "a round of seven shops" with 7
before=$(committed)

suspended=$(echo "$shops" | sed -n 5p)
expect 0 "$aggregator" store suspend "$suspended" --home "$home"
eventually "the refusal of a suspended shop" refused "$suspended"
eventually "a round of six shops" with 6
[ "$(committed)" -gt "$before" ] || fail "no round went on"
expect 0 "$aggregator" store resume "$suspended" --home "$home"
eventually "the return of a resumed shop" with 7
alive "$(shop_pid "$revoked")" || fail "a refusal ended the shop's client"
expect 77 "$aggregator" store resume "$revoked" --home "$home"
expect 0 "$aggregator" task stop "$task" --home "$home" --yes
check_no_return=$("$aggregator" store list --home "$home" --json | jq -r --arg s "$revoked" '.shops[] | select(.name == $s) | .state')
[ "$check_no_return" = revoked ] || fail "the shop is $check_no_return"
