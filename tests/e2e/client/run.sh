#!/bin/sh
# A shop under way: an aggregator that goes away and comes back, and one that does not know it any more.
. "$(dirname "$0")/lib.sh"
client=$bin/fedtill-client
start_aggregator
home=$dir/shop
make_home "$home" store-1 "$address"
invite store-1 "$dir/token.json"
expect 0 "$client" enrol --home "$home" --token-file "$dir/token.json"
expect 0 "$client" consent import --home "$home" --yes

# Down at the start: it waits, says so once, and goes on when the aggregator is there.
kill "$server"
wait "$server" 2>/dev/null || true
log=$dir/client.log
"$client" run --home "$home" 2>"$log" &
vault=$!
eventually "the loss of the aggregator" logged "$log" courier.down
sleep 2
[ "$(grep -c courier.down "$log")" = 1 ] || fail "the loss is told more than once"
serve_again() { serve; alive "$server"; } # on the port it had, which somebody else may hold for a moment
eventually "the aggregator's return" serve_again
eventually "the return of the aggregator, at the shop" logged "$log" courier.up

# Revoked: it is refused, stays up and goes on asking at a distance.
"$bin/fedtill-aggregator" store revoke store-1 --home "$dir/agg" --yes >/dev/null 2>&1 || fail "revoke"
eventually "the refusal" logged "$log" '"courier.refused","status":"ERR_REFUSED"'
kill -0 $vault || fail "a refusal ended the client"

# A second client on the same home would be the same shop twice: refused, with the first one's number, and the first goes on.
expect 75 timeout 300 "$client" run --home "$home"
says "$vault"
kill -0 $vault || fail "a second client ended the first"
kill -TERM $vault
code=0
wait $vault || code=$?
[ $code = 0 ] || fail "ended with $code"
"$client" run --home "$home" 2>"$dir/client2.log" & # and the home is free again
vault=$!
eventually "the next client" logged "$dir/client2.log" vault.ready
# Both processes are told to end, as a terminal or systemd does, and the courier is the quicker one: no error all the same.
courier=$(cut -d " " -f 1 "/proc/$vault/task/$vault/children")
kill -STOP $vault
kill -TERM $courier
eventually "the courier's end" gone $courier
kill -TERM $vault
kill -CONT $vault
wait $vault || fail "ended with $? when both processes were told to"
! grep -q CANARY "$log" "$dir/client2.log" || fail "the log has a customer in it"
expect 0 "$client" status --home "$home"
says "chain intact"
echo "run: ok"
