#!/bin/sh
# Every command of the aggregator, with good input and with bad: exit codes and sentences.
. "$(dirname "$0")/../client/lib.sh"
agg=$bin/fedtill-aggregator
home=$dir/home

# init: private keys, and it never overwrites.
expect 0 "$agg" init --home "$home" --listen 127.0.0.1:7443 --public fl.example.org:7443 --json
says '"ca_fingerprint"'
for file in ca.key server.key signing.key task-signing.key registrar/registrar.key fedtill.db; do
    [ "$(stat -c %a "$home/$file")" = 600 ] || fail "$file is not private"
done
before=$(sha256sum "$home/signing.key" "$home/ca.key")
expect 78 "$agg" init --home "$home" --listen 127.0.0.1:7443
says "never overwrites"
[ "$(sha256sum "$home/signing.key" "$home/ca.key")" = "$before" ] || fail "init changed a key"
expect 64 "$agg" init --home "$dir/other" --nonsense
expect 78 "$agg" init --home "$dir/other" --listen "no-port"

# check-config: whole, then broken in several places at once, each with its line.
expect 0 "$agg" check-config --home "$home"
cp "$home/aggregator.yaml" "$dir/good.yaml"
{ cat "$dir/good.yaml"; printf 'colour: blue\nthreads: many\n'; } >"$home/aggregator.yaml"
expect 78 "$agg" check-config --home "$home"
says "aggregator.yaml:"
says "colour"
expect 78 "$agg" serve --home "$home"
cp "$dir/good.yaml" "$home/aggregator.yaml"
mv "$home/server.pem" "$dir/server.pem"
expect 78 "$agg" check-config --home "$home"
says "server.pem"
mv "$dir/server.pem" "$home/server.pem"
chmod 644 "$home/fedtill.db"
expect 78 "$agg" check-config --home "$home"
says "chmod 600"
chmod 600 "$home/fedtill.db"
expect 66 "$agg" status --home "$dir/nowhere"

# store: invite, list, show, suspend, revoke.
expect 0 "$agg" store invite store-1 --home "$home" --out "$dir/one.json"
[ "$(stat -c %a "$dir/one.json")" = 600 ] || fail "the invitation is not private"
grep -q '"token"' "$dir/one.json" || fail "no token in the invitation"
token=$(sed -n 's/.*"token": *"\([0-9a-f]*\)".*/\1/p' "$dir/one.json")
! grep -qa "$token" "$home"/fedtill.db* || fail "the token itself is in the database"
expect 64 "$agg" store invite "Bad Name" --home "$home" --out "$dir/bad.json"
[ ! -e "$dir/bad.json" ] || fail "an invitation for a bad name"
expect 64 "$agg" store invite --home "$home"
expect 64 "$agg" store invite store-2 --home "$home" --days 0 --out "$dir/two.json"
expect 0 "$agg" store list --home "$home" --json
says '"state":"invited"'
expect 0 "$agg" store show store-1 --home "$home"
expect 66 "$agg" store show store-9 --home "$home"
expect 77 "$agg" store suspend store-1 --home "$home"
expect 64 "$agg" store revoke store-1 --home "$home"
says "--yes"
expect 0 "$agg" store revoke store-1 --home "$home" --dry-run
expect 0 "$agg" store revoke store-1 --home "$home" --yes
expect 77 "$agg" store invite store-1 --home "$home" --out "$dir/again.json"
expect 66 "$agg" store revoke store-9 --home "$home" --yes

# registrar: nothing to sign yet; nonsense is no request and no roster.
expect 66 "$agg" registrar request --home "$home" --out "$dir/request"
echo nonsense >"$dir/nonsense"
expect 65 "$agg" registrar sign --folder "$home/registrar" --request "$dir/nonsense" --corrupted 1 --out "$dir/roster"
[ ! -e "$dir/roster" ] || fail "a roster was signed"
code=0
"$agg" registrar import "$dir/nonsense" --home "$home" >"$dir/out" 2>"$dir/err" || code=$?
[ $code = 65 ] || [ $code = 76 ] || fail "importing nonsense ended with $code"
expect 0 "$agg" registrar init --folder "$dir/registrar"
expect 78 "$agg" registrar init --folder "$dir/registrar"

# tasks: unknown, unsigned, signed by another deployment's key.
expect 66 "$agg" task status nothing --home "$home"
expect 66 "$agg" task start nothing --home "$home"
code=0
"$agg" task publish "$dir/nonsense" --home "$home" >"$dir/out" 2>"$dir/err" || code=$?
[ $code = 65 ] || [ $code = 76 ] || fail "publishing nonsense ended with $code"
expect 0 "$agg" init --home "$dir/foreign" --listen 127.0.0.1:7444
expect 0 "$agg" task sign "$root/deploy/tasks/cj_return.yaml" --home "$dir/foreign" --key "$dir/foreign/task-signing.key" \
    --out "$dir/foreign.task"
expect 76 "$agg" task publish "$dir/foreign.task" --home "$home"
expect 0 "$agg" task sign "$root/deploy/tasks/cj_return.yaml" --home "$home" --key "$home/task-signing.key" \
    --out "$dir/good.task"
expect 0 "$agg" task publish "$dir/good.task" --home "$home"
expect 0 "$agg" task list --home "$home" --json
says '"cj_return"'
expect 77 "$agg" task pause cj_return --home "$home"
expect 0 "$agg" task start cj_return --home "$home"
expect 0 "$agg" task pause cj_return --home "$home"
expect 0 "$agg" task resume cj_return --home "$home"
expect 64 "$agg" task stop cj_return --home "$home"
expect 0 "$agg" task stop cj_return --home "$home" --yes
for verb in start pause resume; do
    expect 66 "$agg" task $verb cj_return --home "$home" # it has ended
    says "has ended"
done
expect 66 "$agg" model export cj_return --home "$home" --out "$dir/model.json" --format json
expect 66 "$agg" model list nothing --home "$home"

# A damaged database: no command touches it, and each says how to restore.
cp "$home/fedtill.db" "$dir/copy.db"
dd if=/dev/urandom of="$home/fedtill.db" bs=512 count=1 seek=24 conv=notrunc 2>/dev/null
sum=$(sha256sum <"$home/fedtill.db")
for command in "status" "store list" "serve"; do
    # shellcheck disable=SC2086 # two words
    expect 76 "$agg" $command --home "$home"
    says "backup"
done
[ "$(sha256sum <"$home/fedtill.db")" = "$sum" ] || fail "a damaged database was written to"
cp "$dir/copy.db" "$home/fedtill.db"
expect 0 "$agg" status --home "$home" --json
says '"serving":false'

# Usage: unknown words end with 64, help with 0 and an example for every command.
expect 64 "$agg" frobnicate
expect 64 "$agg" serve --hom "$home"
says "--home"
for command in init serve status check-config "store invite" "registrar sign" "task publish" "model export"; do
    # shellcheck disable=SC2086 # two words
    expect 0 "$agg" $command --help
    says "fedtill-aggregator $command"
done
echo "commands: ok"
