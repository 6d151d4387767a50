#!/bin/sh
# The commands' exit codes and sentences, and doctor's remedy for each fault that can be made.
. "$(dirname "$0")/lib.sh"
client=$bin/fedtill-client
home=$dir/shop
make_home "$home" store-1 127.0.0.1:1

# Usage and configuration.
expect 64 "$client" frobnicate
expect 64 "$client" run --bogus
expect 66 "$client" run --home "$dir/nowhere"
expect 66 "$client" run --home "$home"
says "not enrolled"
expect 66 "$client" status --home "$home"
sed 's/^shop:/shopp:/' "$home/client.yaml" >"$dir/c.yaml"
mkdir "$dir/badcfg"
cp "$dir/c.yaml" "$dir/badcfg/client.yaml"
expect 78 "$client" source check --home "$dir/badcfg"
says "client.yaml:2:1"
says "shopp"

# Every command explains itself with an example.
for command in enrol run status doctor "source check" "data minimise" "consent import" "policy check" "policy explain" "dsr delete" "task list" \
    "task show" "task approve" "task deny"; do
    # shellcheck disable=SC2086 # two words are two arguments
    expect 0 "$client" $command --help
    says "fedtill-client $command"
done

# Data: counts and ranges, no row; bad rows with file, line and reason; nothing there.
expect 0 "$client" source check --home "$home" --json
says '"rows":3'
says_not CANARY
printf 'CANARY-4,one,40,x\n' >>"$home/data/a.csv"
expect 65 "$client" source check --home "$home"
says "a.csv:5"
says "week"
says_not CANARY
rm "$home/data/a.csv"
expect 66 "$client" source check --home "$home"
make_home "$home" store-1 127.0.0.1:1

# The policy: good, wrong with its place, writable by others.
expect 0 "$client" policy check --home "$home"
sed -i 's/^min_customers: 2/min_customers: two/' "$home/policy.yaml"
expect 78 "$client" policy check --home "$home"
says "policy.yaml:10:16"
make_home "$home" store-1 127.0.0.1:1
chmod 666 "$home/policy.yaml"
expect 1 "$client" policy check --home "$home"
make_home "$home" store-1 127.0.0.1:1

# Enrolled: everything is looked at, and each fault names its remedy.
start_aggregator
make_home "$home" store-1 "$address"
invite store-1 "$dir/token.json"
expect 0 "$client" enrol --home "$home" --token-file "$dir/token.json"
expect 1 "$client" doctor --home "$home"
says "consent import"
expect 0 "$client" consent import --home "$home" --dry-run
says "nothing was recorded"
expect 64 "$client" consent import --home "$home" --file "$home/consent.csv"
expect 0 "$client" consent import --home "$home" --yes --json
says '"grants":2'
expect 0 "$client" consent import --home "$home" --yes --json
says '"unchanged":2'
says_not CANARY
expect 0 "$client" doctor --home "$home"
says "aggregator"
expect 0 "$client" doctor --home "$home" --json
says '"good":true'
# A budget that reckons with a customer in one shop, where nothing here keeps them to one.
cp "$home/policy.yaml" "$dir/policy.yaml"
printf 'budgets: {main: {unit: customer, epsilon_max: 8, delta: 1.0e-6}}\n' >>"$home/policy.yaml"
expect 0 "$client" doctor --home "$home"
says "set home_store"
# A date that was taken out of the policy after the first task was charged lets in whom another shop has paid for.
sqlite3 "$home/state/state.db" "INSERT INTO budget_opened VALUES('main', '2027-01-31')" || fail "the state"
expect 1 "$client" doctor --home "$home"
says "budget main was opened for who came by 2027-01-31; policy.yaml says opened: nothing now"
says "set opened in policy.yaml back"
sqlite3 "$home/state/state.db" "DELETE FROM budget_opened" || fail "the state"
# A rule that names a column which client.yaml does not map would leave nothing out: 78, wherever it is met.
printf 'home_store: {column: home, is: store-1}\n' >>"$home/policy.yaml"
expect 78 "$client" policy check --home "$home"
says "home_store names customers.home, which is not mapped"
expect 1 "$client" doctor --home "$home"
says "home_store names customers.home, which is not mapped"
mv "$dir/policy.yaml" "$home/policy.yaml"
expect 0 "$client" status --home "$home"
says "store-1"
expect 0 "$client" task list --home "$home"
# Without a task nothing uses week and amount; the customer is read for the consents. Only --strict makes that an error.
expect 0 "$client" data minimise --home "$home"
says "transactions.week"
says "UNUSED"
expect 1 "$client" data minimise --home "$home" --strict --json
says '"unused":2'
expect 66 "$client" task show nothing --home "$home"
expect 66 "$client" task approve nothing --home "$home"
expect 66 "$client" policy explain --task nothing --home "$home"

fault() { # fault REMEDY: doctor fails and says it
    expect 1 "$client" doctor --home "$home"
    says "$1"
}
chmod 644 "$home/state/identity.key"
fault "chmod 600"
chmod 600 "$home/state/identity.key"
cp "$home/state/tls.pem" "$dir/tls.pem"
cp "$home/state/ca.pem" "$home/state/tls.pem"
fault "enrol this shop anew"
cp "$dir/tls.pem" "$home/state/tls.pem"
mv "$home/data/a.csv" "$dir/a.csv"
fault "source check"
mv "$dir/a.csv" "$home/data/a.csv"
mv "$home/policy.yaml" "$dir/policy.yaml"
fault "policy check"
mv "$dir/policy.yaml" "$home/policy.yaml"
printf '{"seq":0}\n' >"$home/state/audit.jsonl"
fault "changed from outside"
rm "$home/state/audit.jsonl"
cp "$home/state/state.db" "$dir/state.db"
printf 'garbage' | dd of="$home/state/state.db" bs=1 seek=4096 conv=notrunc 2>/dev/null
fault "restore state.db"
expect 76 "$client" run --home "$home"
cp "$dir/state.db" "$home/state/state.db"
kill "$server"
wait "$server" 2>/dev/null || true
server=
fault "firewall"
echo "commands: ok"
