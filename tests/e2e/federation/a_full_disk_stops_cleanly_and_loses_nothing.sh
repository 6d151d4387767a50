#!/bin/sh
# The aggregator's disk fills up while it trains, then a shop's: the one ends with 70 and a sentence, the other sits out
# or ends; after space is made the task goes on from the last committed round.
. "$(dirname "$0")/lib.sh"
mkdir "$dir/small" "$dir/little"
if ! mount -t tmpfs -o size=8m,mode=755 none "$dir/small" 2>/dev/null; then
    say "skipped: no small file system can be mounted here"
    exit 77
fi
mounted="$dir/small"
mount -t tmpfs -o size=8m,mode=700 none "$dir/little"
mounted="$mounted $dir/little"
home=$dir/small/aggregator
shops=$(largest 7)
make_aggregator
# shellcheck disable=SC2086 # a list of names
add_shops $shops
poor=$(echo "$shops" | sed -n 2p)
mv "$(shop_home "$poor")/state" "$dir/little/state"
ln -s "$dir/little/state" "$(shop_home "$poor")/state"
sed -i "s|^state: .*|state: $dir/little/state|" "$(shop_home "$poor")/client.yaml"
sign_roster
make_task cj_return.yaml 's/^  rounds: .*/  rounds: 400/' 's/step: 10s/step: 5s/' 's/pause: 0s/pause: 300ms/'
publish
for shop in $shops; do start_shop "$shop"; done
eventually "three rounds" has_committed 3
fill() { dd if=/dev/zero of="$1/filler" bs=4096 2>/dev/null || true; }

fill "$dir/small"
eventually "the end of an aggregator without space" gone "$aggregator_pid"
ended "$aggregator_pid" 70
log_of aggregator | grep -qi "no space left" || fail "the aggregator does not say why"
rm "$dir/small/filler"
done_before=$(committed)
ask '[.rounds[] | select(.state == "committed") | {round, result_hash}]' >"$dir/kept"
restart_aggregator
eventually "rounds after space was made" has_committed $((done_before + 3))
ask '[.rounds[] | select(.state == "committed") | {round, result_hash}]' >"$dir/all"
jq -e --slurpfile all "$dir/all" '. - $all[0] == []' "$dir/kept" >/dev/null || fail "a committed round is gone"

# A shop's disk.
fill "$dir/little"
six() { [ "$(ask '[.rounds[] | select(.state == "committed")] | max_by(.round) | .survivors')" = 6 ]; }
eventually "a round without the shop whose disk is full" six
eventually "a word of the full disk" sh -c "grep -qiE 'no space left|ERR_FULL|STATE_FULL' '$dir/log/$poor'"
rm "$dir/little/filler"
seven() { [ "$(ask '[.rounds[] | select(.state == "committed")] | max_by(.round) | .survivors')" = 7 ]; }
alive "$(shop_pid "$poor")" || start_shop "$poor"
eventually "the return of the shop" seven
expect 0 "$aggregator" task stop "$task" --home "$home" --yes
expect 0 "$client" status --home "$(shop_home "$poor")"
says "chain intact"
expect 0 "$aggregator" check-config --home "$home"
