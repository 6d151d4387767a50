#!/bin/sh
# Split a transactions file into one CSV file a shop, as that shop's own export: the store_id column is dropped, the
# rows keep their order. Usage: split.sh TRANSACTIONS.csv.gz OUT_DIR [MIN_ROWS [MAX_STORES]]
#
# OUT_DIR gets store-<id>.csv for each shop with MIN_ROWS lines or more (default 1), of the MAX_STORES largest
# (default: all; of equal ones the smaller id as text), and stores.csv (store, file, rows). store_id is the first column.
set -eu
LC_ALL=C
export LC_ALL

if [ $# -lt 2 ] || [ $# -gt 4 ]; then
    echo "usage: split.sh TRANSACTIONS.csv.gz OUT_DIR [MIN_ROWS [MAX_STORES]]" >&2
    exit 64
fi
from=$1
out=$2
min_rows=${3:-1}
max_stores=${4:-0}

mkdir -p "$out"
work=$(mktemp -d "$out/.split.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM

zcat "$from" >"$work/all.csv"
head -n 1 "$work/all.csv" >"$work/header"
case $(cat "$work/header") in
store_id,*) ;;
*)
    echo "split.sh: the first column of $from is not store_id" >&2
    exit 65
    ;;
esac

# Shops by lines, largest first.
tail -n +2 "$work/all.csv" | cut -d, -f1 | sort | uniq -c |
    awk -v least="$min_rows" '$1 >= least { print $1, $2 }' | sort -k1,1nr -k2,2 >"$work/shops"
if [ "$max_stores" -gt 0 ]; then
    head -n "$max_stores" "$work/shops" >"$work/kept"
else
    cp "$work/shops" "$work/kept"
fi

# One pass over the lines sorted by shop: a stable sort, so each shop's own order stays.
tail -n +2 "$work/all.csv" | sort -s -t, -k1,1 |
    awk -v out="$out" -v kept="$work/kept" -v header="$(cut -d, -f2- "$work/header")" '
        BEGIN {
            while ((getline line < kept) > 0) {
                split(line, part, " ")
                keep[part[2]] = 1
            }
        }
        {
            comma = index($0, ",")
            shop = substr($0, 1, comma - 1)
            if (!(shop in keep))
                next
            if (shop != last) {
                if (file != "")
                    close(file)
                file = out "/store-" shop ".csv"
                print header > file
                last = shop
            }
            print substr($0, comma + 1) > file
        }'

{
    echo "store,file,rows"
    sort -k2,2 "$work/kept" | awk '{ print $2 ",store-" $2 ".csv," $1 }'
} >"$out/stores.csv"
