#!/bin/sh
# Adult's rows with numbers from ranges that are known without the data to 0 .. 1 or so, since means and deviations of the
# rows would be outside the privacy budget. Usage: adult.sh OUT_DIR
set -eu
data=$(dirname "$0")/../../data/adult
for part in train test; do
    zcat "$data/$part.csv.gz" | awk -F, -v OFS=, '
        NR == 1 {
            for (i = 1; i <= NF; i++)
                at[$i] = i
            print "age,workclass,education,marital_status,occupation,relationship,race,sex,gain,loss,hours,country,income"
            next
        }
        {
            print $at["age"] / 100, $at["workclass"], $at["education"], $at["marital_status"], $at["occupation"],
                $at["relationship"], $at["race"], $at["sex"], log(1 + $at["capital_gain"]) / log(100000),
                log(1 + $at["capital_loss"]) / log(5000), $at["hours_per_week"] / 100, $at["native_country"], $at["income"]
        }' >"$1/$part.csv"
done
