#!/bin/sh
# Shops on a network of their own, from which nothing but an HTTP proxy can be reached, enrol, train and finish. They
# connect to the aggregator's one port by its name, look nothing up, and listen nowhere; a direct way is not tried.
# (D-03; needs network namespaces, and says so where it may not make one.)
. "$(dirname "$0")/lib.sh"
network=fedtill-$$ veth=ft$$
net=10.$((64 + $$ % 60)).$(($$ / 60 % 250))
if ! ip netns add "$network" 2>/dev/null; then
    say "skipped: no network namespace can be made here"
    exit 77
fi
remove_network() {
    cleanup
    ip link del "$veth" 2>/dev/null || true
    ip netns del "$network" 2>/dev/null || true
}
trap remove_network EXIT
ip link add "$veth" type veth peer name eth0 netns "$network"
ip addr add "$net.1/24" dev "$veth" && ip link set "$veth" up
ip netns exec "$network" ip addr add "$net.2/24" dev eth0
ip netns exec "$network" ip link set eth0 up

proxy_port=$((9000 + $$ % 900))
make_aggregator fl.example.org
python3 "$root/tests/support/poor_link.py" "$proxy_port" "$port" --listen-host "$net.1" --proxy --log "$dir/log/proxy" &
processes="$processes $!"
ready() { grep -q ready "$dir/log/proxy" 2>/dev/null; }
eventually "the proxy" ready

# The programs of the shops, in their network, with the proxy set.
cat >"$dir/client" <<EOF
#!/bin/sh
exec ip netns exec $network env https_proxy=http://$net.1:$proxy_port "$client" "\$@"
EOF
chmod +x "$dir/client"
client=$dir/client
shops=$(largest 6)
for shop in $shops; do
    make_shop "$shop"
    sed -i "s/^aggregator: .*/aggregator: \"fl.example.org:$port\"/" "$(shop_home "$shop")/client.yaml"
    invite "$shop"
    enrol "$shop"
    import_consents "$shop"
done
sign_roster
make_task cj_return.yaml 's/^  rounds: .*/  rounds: 400/' 's/pause: 0s/pause: 500ms/'
publish
for shop in $shops; do start_shop "$shop" --until-done; done
eventually "a round" has_committed 1

# No port is open in their network, and every connection there is goes to the proxy.
connected() {
    ip netns exec "$network" cat /proc/net/tcp /proc/net/tcp6 >"$dir/sockets"
    awk '$4 == "01" {split($3, to, ":"); print to[2]}' "$dir/sockets" | sort -u >"$dir/ports"
    [ -s "$dir/ports" ]
}
eventually "a connection" connected
! awk '$4 == "0A"' "$dir/sockets" | grep -q . || fail "a shop listens: $(awk '$4 == "0A"' "$dir/sockets")"
[ "$(cat "$dir/ports")" = "$(printf '%04X' "$proxy_port")" ] || fail "connected to: $(cat "$dir/ports")"
ip netns exec "$network" cat /proc/net/udp /proc/net/udp6 | awk '$2 ~ /:/ && $2 !~ /local/' >"$dir/datagrams"
[ ! -s "$dir/datagrams" ] || fail "a shop has datagram sockets: $(cat "$dir/datagrams")"

expect 0 "$aggregator" task stop "$task" --home "$home" --yes
for shop in $shops; do ended "$(shop_pid "$shop")" 0; done
[ "$(sed -n 's/^connect //p' "$dir/log/proxy" | sort -u)" = "fl.example.org:$port" ] ||
    fail "the proxy was asked for: $(sed -n 's/^connect //p' "$dir/log/proxy" | sort -u)"
