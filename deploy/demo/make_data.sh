#!/bin/sh
# Make the demo's data from tests/data: the twelve largest shops of the Complete Journey sample, each as its own
# export, and a consent file for each by a stated rule. Usage: make_data.sh [OUT_DIR] (default: this folder).
# What is in the repository is exactly what this script makes; a test compares them.
#
# The rule, on the household number h (the source has no consent column; this one is made up for the demo):
#   h mod 31 = 4        not in the file: nobody asked, so unknown, which means no
#   else h mod 11 = 3   refused
#   else h mod 29 = 7   given, and withdrawn half a year later
#   else                given
# Every shop must end up with customers who said no and customers who said yes.
set -eu
LC_ALL=C
export LC_ALL
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out=${1:-$here}

mkdir -p "$out/shops" "$out/consent"
work=$(mktemp -d "$out/.data.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM
"$root/tests/data/split.sh" "$root/tests/data/completejourney/transactions.csv.gz" "$work" 1 12

# Names of the shops, most lines first.
tail -n +2 "$work/stores.csv" | sort -t, -k3,3nr -k1,1 | awk -F, '{ print "store-" $1 }' >"$out/shops/largest.txt"

for file in "$work"/store-*.csv; do
    name=$(basename "$file")
    cp "$file" "$out/shops/$name"
    tail -n +2 "$file" | cut -d, -f1 | sort -n -u | awk -v name="$name" '
        BEGIN {
            given = "given,2017-01-01 00:00:00,2017-1"
            print "customer_id,purpose,decision,time,notice"
        }
        $1 == "" || $1 % 31 == 4 { next }
        { asked[++n] = $1 }
        # All that was said about one purpose, then about the next: they are asked for one by one.
        function answers(purpose, i, h) {
            for (i = 1; i <= n; i++) {
                h = asked[i]
                if (h % 11 == 3) {
                    print h "," purpose ",refused,2017-01-01 00:00:00,2017-1"
                    no++
                    continue
                }
                print h "," purpose "," given
                if (h % 29 == 7) {
                    print h "," purpose ",withdrawn,2017-07-01 00:00:00,2017-1"
                    no++
                    continue
                }
                yes++
            }
        }
        END {
            answers("train/propensity")
            answers("measure/propensity")
            if (no == 0 || yes == 0) {
                print name ": the rule leaves no opt-out or no opt-in" > "/dev/stderr"
                exit 65
            }
        }' >"$out/consent/$name"
done
