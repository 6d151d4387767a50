#!/bin/sh
# Shops started while there is no aggregator keep trying, quietly; when it comes up the task runs to its end. A port in
# use ends `serve` with 78 and the address.
. "$(dirname "$0")/lib.sh"
shops=$(largest 6)
make_aggregator
# A second aggregator on the same port.
expect 0 "$aggregator" init --home "$dir/second" --listen "$address"
expect 78 "$aggregator" serve --home "$dir/second"
says "$address"
# shellcheck disable=SC2086 # a list of names
add_shops $shops
sign_roster
make_task cj_return.yaml 's/^  rounds: .*/  rounds: 2/'
publish
stop_aggregator
for shop in $shops; do start_shop "$shop" --until-done; done
down() { log_of "$1" | grep -q courier.down; }
for shop in $shops; do eventually "the loss noticed by $shop" down "$shop"; done
sleep 3
for shop in $shops; do
    alive "$(shop_pid "$shop")" || fail "$shop gave up"
    [ "$(log_of "$shop" | grep -c courier.down)" = 1 ] || fail "$shop tells its loss again and again"
done
restart_aggregator
eventually "the task's end" task_is done
for shop in $shops; do ended "$(shop_pid "$shop")" 0; done
