#!/bin/sh
# Words planted in one shop's rows are found neither in the aggregator's folder and logs, nor in the shop's own state
# folder and logs, nor in the memory of its courier or of the aggregator: plain, in hex or in base64. The vault's memory
# has them, so the search can find. What left the vault is of the kinds of outbox.h alone; neither process listens.
. "$(dirname "$0")/lib.sh"
shops=$(largest 6)
planted=$(echo "$shops" | sed -n 2p)
make_aggregator
for shop in $shops; do
    make_shop "$shop"
    if [ "$shop" = "$planted" ]; then
        # Forty lines of two customers who agreed and one who did not.
        n=0
        while [ $n -lt 40 ]; do
            n=$((n + 1))
            printf 'canarycust%dqzx,canarybasket%dqzx,2017-02-01 10:00:00,canaryprodqzx,canarydeptqzx,canarycatqzx,canarybrandqzx,1,77.31,0.5,0,0,%d\n' \
                $((n % 3)) $n $((n + 1))
        done >>"$(shop_home "$shop")/data/transactions.csv"
        for n in 0 1; do
            printf 'canarycust%dqzx,train/propensity,given,2017-01-01 00:00:00,2017-1\n' $n
        done >>"$(shop_home "$shop")/consent.csv"
    fi
    invite "$shop"
    enrol "$shop"
    import_consents "$shop"
done
sign_roster
make_task cj_return.yaml 's/^  rounds: .*/  rounds: 400/' 's/pause: 0s/pause: 200ms/'
publish
for shop in $shops; do start_shop "$shop"; done
eventually "three rounds" has_committed 3
{
    echo canarydeptqzx canaryprodqzx canarycatqzx canarybrandqzx
    for n in 0 1 2; do echo "canarycust${n}qzx"; done
    for n in 1 20 40; do echo "canarybasket${n}qzx"; done
} >"$dir/words"
vault=$(shop_pid "$planted")
courier=$(children "$vault" | cut -d ' ' -f 1)
search() { python3 "$(dirname "$0")/search_bytes.py" "$dir/words" "$@" >"$dir/found"; }

found() { ! search "pid:$vault"; }
eventually "a word in the vault's memory: else the search cannot find" found
search "pid:$courier" || fail "in the courier: $(cat "$dir/found")"
search "pid:$aggregator_pid" || fail "in the aggregator's memory: $(cat "$dir/found")"

# No port is open at the shop, and the vault has no socket of the network at all.
list_sockets() {
    for fd in /proc/"$1"/fd/*; do readlink "$fd"; done 2>/dev/null | sed -n 's/^socket:\[\([0-9]*\)\]$/\1/p' >"$dir/sockets.$1"
}
for pid in $vault $courier; do
    list_sockets "$pid"
    for inode in $(cat "$dir/sockets.$pid"); do
        ! awk -v inode="$inode" '$4 == "0A" && $10 == inode' /proc/net/tcp /proc/net/tcp6 | grep -q . ||
            fail "process $pid listens"
    done
done
for inode in $(cat "$dir/sockets.$vault"); do
    ! awk -v inode="$inode" '$10 == inode' /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6 | grep -q . ||
        fail "the vault has a network socket"
done
[ "$(wc -l <"$dir/sockets.$vault")" = 1 ] || fail "the vault has $(wc -l <"$dir/sockets.$vault") sockets, expected the one to its courier"
# The same look finds the courier's connection.
connected() {
    list_sockets "$courier"
    for inode in $(cat "$dir/sockets.$courier"); do
        ! awk -v inode="$inode" '$4 == "01" && $10 == inode' /proc/net/tcp /proc/net/tcp6 | grep -q . || return 0
    done
    return 1
}
eventually "the courier's connection" connected

# SIGTERM ends all of them with 0.
for shop in $shops; do kill -TERM "$(shop_pid "$shop")"; done
for shop in $shops; do ended "$(shop_pid "$shop")" 0; done
eventually "the courier's end after the vault's" gone "$courier"
kill -TERM "$aggregator_pid"
ended "$aggregator_pid" 0

search "$home" "$dir/log" "$dir/rounds.jsonl" "$dir/task.signed" || fail "$(cat "$dir/found")"
search "$(shop_home "$planted")/state" || fail "in the shop's state: $(cat "$dir/found")"
jq -r .kind "$(shop_home "$planted")/state/audit.jsonl" | sort -u >"$dir/kinds"
for kind in $(cat "$dir/kinds"); do
    case $kind in
    sync | download | upload | data | idle | stop) ;;
    *) fail "a message of the kind $kind left the vault" ;;
    esac
done
for kind in sync download upload data; do grep -qx $kind "$dir/kinds" || fail "no $kind in the audit log"; done
expect 0 "$client" status --home "$(shop_home "$planted")"
says "chain intact"
