#!/bin/sh
# Break-out attempts from inside the real program's two processes, as root and as another user; and what the kernel
# says of them from outside.
. "$(dirname "$0")/lib.sh"
start_aggregator
home=$dir/shop
make_home "$home" store-1 "$address"
invite store-1 "$dir/token.json"
expect 0 "$bin/fedtill-client" enrol --home "$home" --token-file "$dir/token.json"
expect 0 "$bin/fedtill-client" consent import --home "$home" --yes
: >"$home/state/audit.jsonl"

probe() {
    expect 0 "$@" "$bin/fedtill-client-probe" probe --home "$home"
    says_not ": allowed"
    says_not ": broken"
    for line in "vault socket family 2: denied" "vault exec /bin/true: denied" "vault write the data: denied" \
        "courier open state.db: denied" "courier open identity.key: denied" "courier open the data: denied" \
        "courier open the policy: denied" "courier exec /bin/true: denied" "courier connect to the aggregator's port: works"; do
        says "$line"
    done
}
if [ ! -e /sys/kernel/security/lsm ] && ! "$bin/fedtill-client" doctor --home "$home" 2>/dev/null | grep -q Landlock; then
    echo "no Landlock in this kernel: only the system call filter can be tried"
    exit 0
fi
probe
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
    chmod 755 "$dir" # so that the other user gets to its home
    chown -R 65534:65534 "$home"
    probe setpriv --reuid 65534 --regid 65534 --clear-groups
    chown -R 0:0 "$home"
fi

# Seen from outside: no capabilities, no new privileges, a filter in force, in both processes; and nothing that whoever
# started the client had open.
"$bin/fedtill-client" run --home "$home" 2>"$dir/client.log" 9<"$root/README.md" &
vault=$!
eventually "the client" logged "$dir/client.log" vault.ready
courier=$(cut -d " " -f 1 "/proc/$vault/task/$vault/children")
confined() { grep -q '^Seccomp:[[:space:]]*2' "/proc/$1/status"; } # last of all, and in each process on its own
eventually "the courier's confinement" confined "$courier"
for pid in $vault $courier; do
    [ "$(sed -n 's/^CapEff:[^0-9a-f]*//p' "/proc/$pid/status")" = 0000000000000000 ] || fail "process $pid has capabilities"
    [ "$(sed -n 's/^NoNewPrivs:[^0-9]*//p' "/proc/$pid/status")" = 1 ] || fail "process $pid may gain privileges"
    [ "$(sed -n 's/^Seccomp:[^0-9]*//p' "/proc/$pid/status")" = 2 ] || fail "process $pid has no filter"
done
for pid in $vault $courier; do
    ! ls -l "/proc/$pid/fd" | grep -q README.md || fail "process $pid kept a descriptor of whoever started it"
done
[ "$(sed -n 's/^Threads:[^0-9]*//p' "/proc/$vault/status")" = 1 ] || fail "the vault has threads"
! ls -l "/proc/$vault/fd" | grep -q 'socket:.*socket:' || fail "sockets in the vault"
[ "$(ls -l "/proc/$vault/fd" | grep -c 'socket:')" = 1 ] || fail "the vault has other sockets than the one to its courier"

# One courier gone, and the vault ends with an error; the vault told to end, and both are gone with 0.
kill -KILL $courier
code=0
wait $vault || code=$?
[ "$code" = 70 ] || fail "the vault ended with $code after its courier was killed"
"$bin/fedtill-client" run --home "$home" 2>"$dir/client2.log" &
vault=$!
eventually "the next client" logged "$dir/client2.log" vault.ready
courier=$(cut -d " " -f 1 "/proc/$vault/task/$vault/children")
kill -TERM $vault
code=0
wait $vault || code=$?
[ "$code" = 0 ] || fail "SIGTERM ended with $code"
eventually "the courier's end after its vault's" gone "$courier"
echo "sandbox: ok"
