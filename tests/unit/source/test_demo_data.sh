#!/bin/sh
# The demo's shops and consent files are byte for byte what deploy/demo/make_data.sh makes, with opt-outs in every shop.
set -eu
root=$1
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT INT TERM
"$root/deploy/demo/make_data.sh" "$made"
status=0
[ "$(wc -l <"$made/shops/largest.txt")" -eq 12 ] || { echo "not twelve shops" >&2; status=1; }
for name in $(cat "$made/shops/largest.txt"); do
    for part in shops consent; do
        cmp "$made/$part/$name.csv" "$root/deploy/demo/$part/$name.csv" || status=1
    done
    grep -q ',refused,' "$root/deploy/demo/consent/$name.csv" || { echo "$name: nobody refused" >&2; status=1; }
done
cmp "$made/shops/largest.txt" "$root/deploy/demo/shops/largest.txt" || status=1
for part in shops consent; do
    [ "$(ls "$root/deploy/demo/$part" | grep -c '^store-.*\.csv$')" -eq 12 ] || { echo "stray files in $part" >&2; status=1; }
done
exit $status
