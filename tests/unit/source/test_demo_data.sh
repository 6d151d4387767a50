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
# cj_return_private reckons with a household in so many shops: none is in more, or its epsilon would not hold.
claimed=$(sed -n 's/^  m_stores: \([0-9]*\).*/\1/p' "$root/deploy/tasks/cj_return_private.yaml")
most=$(for name in $(cat "$made/shops/largest.txt"); do tail -n +2 "$made/shops/$name.csv" | cut -d, -f1 | sort -u; done |
    sort | uniq -c | awk '$1 > most { most = $1 } END { print most }')
[ "$most" -le "$claimed" ] || { echo "a household is in $most shops, the task reckons with $claimed" >&2; status=1; }
# The declared sizes are rounded up, never a count: no shop has more customers who agreed.
for name in $(cat "$made/shops/largest.txt"); do
    declared=$(sed -n "s/.*{shop: $name, customers: \([0-9]*\)}.*/\1/p" "$root/deploy/tasks/cj_return_private.yaml")
    agreed=$(tail -n +2 "$made/consent/$name.csv" | awk -F, '{ last[$1] = $3 } END { for (i in last) n += last[i] == "given"; print n }')
    [ -n "$declared" ] && [ "$agreed" -le "$declared" ] && [ $((declared % 10)) = 0 ] ||
        { echo "$name declares '$declared' customers, $agreed agreed" >&2; status=1; }
done
exit $status
