#!/bin/sh
# The server as a process: one a home, one a port, an orderly end, a full disk.
. "$(dirname "$0")/../client/lib.sh"
agg=$bin/fedtill-aggregator
start_aggregator
home=$dir/agg

# status knows it, with its pid and its memory.
expect 0 "$agg" status --home "$home" --json
says '"serving":true'
says "\"pid\":$server"

# A second server on the same home: not now. On another home with the same port: bad configuration.
expect 75 "$agg" serve --home "$home"
expect 0 "$agg" init --home "$dir/second" --listen "$address"
expect 78 "$agg" serve --home "$dir/second"
expect 0 "$agg" status --home "$dir/second" --json
says '"serving":false'

# SIGTERM ends it in order, at once, with 0.
kill -TERM "$server"
code=0
wait "$server" || code=$?
[ $code = 0 ] || fail "SIGTERM ended the server with $code"
grep -q serve.stopping "$dir/server.log" || fail "no word of stopping in the log"
expect 0 "$agg" status --home "$home" --json
says '"serving":false'

# A disk that is full (here: no file may grow beyond 33 KiB) stops it with 70 at some shop's enrolment; nothing is lost,
# and the same token enrols afterwards.
for n in 1 2 3 4 5 6; do
    make_home "$dir/shop-$n" "store-$n" "$address"
    invite "store-$n" "$dir/$n.json"
done
(
    trap '' XFSZ
    ulimit -f 66
    exec "$agg" serve --home "$home" 2>"$dir/limited.log"
) &
server=$!
eventually "the server with little room" logged "$dir/limited.log" serve.listening
refused=
for n in 1 2 3 4 5 6; do
    if ! timeout 300 "$bin/fedtill-client" enrol --home "$dir/shop-$n" --token-file "$dir/$n.json" >"$dir/out" 2>"$dir/err"; then
        refused=$n
        break
    fi
done
[ -n "$refused" ] || fail "six shops enrolled on a full disk"
code=0
wait "$server" || code=$?
[ $code = 70 ] || fail "a full disk ended the server with $code, expected 70"
# A shell's small limit on open files is no limit on connections: the server takes what the system grants.
(
    ulimit -S -n 64
    exec "$agg" serve --home "$home" 2>"$dir/again.log"
) &
server=$!
eventually "the server again" logged "$dir/again.log" serve.listening
# shellcheck disable=SC2046 # "Max open files", soft, hard, unit
set -- $(grep "^Max open files" "/proc/$server/limits")
[ "$4" -gt 64 ] || fail "the server may open $4 files, the system grants $5"
expect 0 "$bin/fedtill-client" enrol --home "$dir/shop-$refused" --token-file "$dir/$refused.json"
expect 0 "$agg" store list --home "$home" --json
[ "$(grep -o '"state":"active"' "$dir/out" | wc -l)" = "$refused" ] || fail "enrolments were lost"

# Changes of other processes are seen without a restart: a suspended shop is refused, a resumed one served.
expect 0 "$agg" store suspend store-1 --home "$home"
expect 0 "$agg" store resume store-1 --home "$home"
expect 0 "$agg" store list --home "$home" --json
says '"state":"active"'
echo "serve: ok"
