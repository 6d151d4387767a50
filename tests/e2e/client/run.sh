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

wait_for() { # wait_for FILE WORD SECONDS
    tries=0
    until grep -q "$2" "$1"; do
        tries=$((tries + 1))
        [ $tries -lt $(($3 * 10)) ] || fail "no $2 within $3 s"
        sleep 0.1
    done
}

# Down at the start: it waits, says so once, and goes on when the aggregator is there.
kill "$server"
wait "$server" 2>/dev/null || true
"$client" run --home "$home" 2>"$dir/err" &
vault=$!
wait_for "$dir/err" courier.down 30
sleep 2
[ "$(grep -c courier.down "$dir/err")" = 1 ] || fail "the loss is told more than once"
"$bin/fedtill-aggregator" serve --home "$dir/agg" 2>>"$dir/server.log" &
server=$!
wait_for "$dir/err" courier.up 60

# Revoked: it is refused, stays up and goes on asking at a distance.
"$bin/fedtill-aggregator" store revoke store-1 --home "$dir/agg" --yes >/dev/null 2>&1 || fail "revoke"
wait_for "$dir/err" '"courier.refused","status":"ERR_REFUSED"' 60
kill -0 $vault || fail "a refusal ended the client"

# A second client on the same home would be the same shop twice: refused, with the first one's number, and the first goes on.
expect 75 timeout 20 "$client" run --home "$home"
says "$vault"
kill -0 $vault || fail "a second client ended the first"
kill -TERM $vault
code=0
wait $vault || code=$?
[ $code = 0 ] || fail "ended with $code"
"$client" run --home "$home" 2>"$dir/err2" & # and the home is free again
vault=$!
wait_for "$dir/err2" vault.ready 30
kill -TERM $vault
wait $vault || fail "the home was not free again"
! grep -q CANARY "$dir/err" || fail "the log has a customer in it"
expect 0 "$client" status --home "$home"
says "chain intact"
echo "run: ok"
