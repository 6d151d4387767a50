#!/bin/sh
# Enrolment against the real aggregator: a good invitation works once; a wrong fingerprint leaves nothing behind.
. "$(dirname "$0")/lib.sh"
client=$bin/fedtill-client
start_aggregator
home=$dir/shop
make_home "$home" store-1 "$address"
invite store-1 "$dir/token.json"
fingerprint=$(sed -n 's/^CA fingerprint *//p' "$dir/init.out" | head -n 1)
[ -n "$fingerprint" ] || fail "the aggregator shows no fingerprint"

# Another fingerprint than the one told: 76, and not one file is made.
expect 76 "$client" enrol --home "$home" --token-file "$dir/token.json" --fingerprint 00:11:22
says "nothing was written"
[ ! -e "$home/state" ] || fail "a state folder was made"

# An invitation for another shop: 77, nothing made.
make_home "$dir/other" store-2 "$address"
expect 77 "$client" enrol --home "$dir/other" --token-file "$dir/token.json"
[ ! -e "$dir/other/state/trust.json" ] || fail "enrolled with another shop's invitation"

# A file that is no invitation: 65 with its name; none at all: 66.
echo '{"version": 1}' >"$dir/bad.json"
expect 65 "$client" enrol --home "$home" --token-file "$dir/bad.json"
says "bad.json"
expect 66 "$client" enrol --home "$home" --token-file "$dir/none.json"

# Nobody answers: 69, and the next attempt goes on with the same keys.
sed "s/$address/127.0.0.1:1/" "$dir/token.json" >"$dir/lost.json"
expect 69 "$client" enrol --home "$home" --token-file "$dir/lost.json" --aggregator 127.0.0.1:1
[ -e "$home/state/identity.key" ] || fail "the keys of a lost enrolment are gone"
before=$(sha256sum <"$home/state/identity.key")

# The fingerprint is compared however it is written.
colons=$(echo "$fingerprint" | tr a-f A-F | sed 's/[: ]//g; s/../&:/g; s/:$//')
expect 0 "$client" enrol --home "$home" --token-file "$dir/token.json" --fingerprint "$colons" --json
says '"shop":"store-1"'
[ "$(sha256sum <"$home/state/identity.key")" = "$before" ] || fail "the keys were made again"
for file in identity.key node.key tls.key tls.pem ca.pem trust.json; do
    [ "$(stat -c %a "$home/state/$file")" = 600 ] || fail "$file is not private"
done
! grep -q "$(sed -n 's/.*"token": *"\([0-9a-f]*\)".*/\1/p' "$dir/token.json")" -r "$home/state" || fail "the token was kept"

# Enrolled already: 77. The same token at a second node: 77, and its keys are gone again.
expect 77 "$client" enrol --home "$home" --token-file "$dir/token.json"
make_home "$dir/thief" store-1 "$address"
expect 77 "$client" enrol --home "$dir/thief" --token-file "$dir/token.json"
says "refused["
[ ! -e "$dir/thief/state/identity.key" ] || fail "keys of a refused enrolment stay"
[ ! -e "$dir/thief/state/trust.json" ] || fail "a used token enrols"
echo "enrolment: ok"
