#!/bin/sh
# A token that was used, has expired or is another shop's is refused with 77; another fingerprint ends with 76 and
# writes nothing. No refusal leaves a key behind or changes the register.
. "$(dirname "$0")/lib.sh"
make_aggregator
first=$(largest 1)
add_shops "$first"

# nothing_in HOME: no enrolment is left there.
nothing_in() {
    for file in trust.json identity.key node.key tls.key tls.pem enrol.csr; do
        [ ! -e "$1/state/$file" ] || fail "$file was left behind"
    done
}
refuse() { # refuse CODE WORD HOME TOKEN
    expect "$1" "$client" enrol --home "$3" --token-file "$4"
    says "$2"
    nothing_in "$3"
}

# Used: by another machine that calls itself the same shop.
make_shop "$first"
mv "$(shop_home "$first")" "$dir/thief"
mkdir -p "$dir/real"
mv "$dir/thief/state" "$dir/real/state"
refuse 77 TOKEN_USED "$dir/thief" "$dir/tokens/$first.json"
[ "$(shop_number "$first")" = 1 ] || fail "the register changed"

# Expired: a day later in the register's book.
second=$(largest 2 | tail -n 1)
make_shop "$second"
invite "$second"
sqlite3 -cmd ".timeout 60000" "$home/fedtill.db" "UPDATE tokens SET expires_ms = 1000" || fail "the register's tokens"
refuse 77 TOKEN_EXPIRED "$(shop_home "$second")" "$dir/tokens/$second.json"

# Foreign: made for another shop, its name changed by hand in the file.
third=$(largest 3 | tail -n 1)
make_shop "$third"
invite "$second"
invite "$third"
jq --arg shop "$third" '.shop = $shop' "$dir/tokens/$second.json" >"$dir/tokens/foreign.json"
refuse 77 TOKEN_FOREIGN "$(shop_home "$third")" "$dir/tokens/foreign.json"
# ... and one that nobody issued.
jq '.token |= (.[1:] + .[:1])' "$dir/tokens/$third.json" >"$dir/tokens/made-up.json"
refuse 77 TOKEN_UNKNOWN "$(shop_home "$third")" "$dir/tokens/made-up.json"

# Another fingerprint than the central team's: nothing is written and nothing is sent.
list() { (cd "$(shop_home "$third")" && find . -type f -exec sha256sum {} + | sort); }
rm -rf "$(shop_home "$third")/state"
list >"$dir/before"
expect 76 "$client" enrol --home "$(shop_home "$third")" --token-file "$dir/tokens/$third.json" \
    --fingerprint "$(fingerprint | tr 0-9a-f 1-9a-f0)"
says "fingerprint"
list >"$dir/after"
cmp -s "$dir/before" "$dir/after" || fail "something was written"
# The token is as good as before.
expect 0 "$client" enrol --home "$(shop_home "$third")" --token-file "$dir/tokens/$third.json" \
    --fingerprint "$(fingerprint)"
