#!/bin/sh
# The Complete Journey's 108 largest shops, every household in one of them alone: its home store, where it has most lines
# (of equal ones the smaller number). One household's rows are then in one shop, and the privacy is the household's.
# Usage: cj_return.sh OUT_DIR
set -eu
LC_ALL=C
export LC_ALL
data=$(dirname "$0")/../../data
zcat "$data/completejourney/transactions.csv.gz" | awk -F, -v OFS=, '
    NR == 1 { header = $0; next }
    { row[NR] = $0; store[NR] = $1; who[NR] = $2; lines[$2, $1]++; total[$1]++ }
    END {
        for (pair in lines) {
            split(pair, part, SUBSEP)
            h = part[1]; s = part[2]
            if (!(h in home) || lines[pair] > most[h] || (lines[pair] == most[h] && s + 0 < home[h] + 0)) {
                home[h] = s; most[h] = lines[pair]
            }
        }
        print header
        for (i = 2; i <= NR; i++)
            if (store[i] == home[who[i]])
                print row[i]
    }' | gzip -n1 >"$1/home.csv.gz"
"$data/split.sh" "$1/home.csv.gz" "$1/shops" 1 108
