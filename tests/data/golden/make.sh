#!/bin/sh
# Make the golden results again: the tasks' SELECTs run by the sqlite3 command line tool over one shop each.
# Usage: make.sh (needs sqlite3 and awk). The tests compare the client's own examples with these files.
set -eu
LC_ALL=C
export LC_ALL
here=$(cd "$(dirname "$0")" && pwd)
data=$here/..
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
schema='customer_id TEXT, basket_id TEXT, line INTEGER, ts TEXT, product_id TEXT, department TEXT, category TEXT,
brand TEXT, quantity REAL, amount REAL, discount REAL, coupon REAL, coupon_match REAL, week INTEGER'

# make_one TASK SHOP FILE COLUMNS
make_one() {
    sqlite3 :memory: "CREATE TABLE transactions($schema)" ".mode csv" ".import $3 raw" \
        "INSERT INTO transactions($4) SELECT $4 FROM raw" ".headers on" ".read $data/tasks/$1.sql" ".quit" \
        >"$here/$1.$2.csv"
}
"$data/split.sh" "$data/completejourney/transactions.csv.gz" "$work/cj" 1 12
"$data/split.sh" "$data/iowa-liquor/transactions.csv.gz" "$work/iowa" 1
make_one cj_return store-367 "$work/cj/store-367.csv" customer_id,basket_id,ts,product_id,department,category,brand,quantity,amount,discount,coupon,coupon_match,week
smallest=$(tail -n +2 "$work/iowa/stores.csv" | sort -t, -k3,3n -k1,1 | head -n 1 | cut -d, -f1)
make_one iowa_reorder "store-$smallest" "$work/iowa/store-$smallest.csv" basket_id,line,ts,product_id,category,quantity,amount
