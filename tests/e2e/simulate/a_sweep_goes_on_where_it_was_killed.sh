#!/bin/sh
# A sweep is the same bytes for one job and for three, and when it was killed on the way; finished cells are not run again;
# a cell that cannot be run is told and stops no other; a grid that grows keeps what is done.
. "$(dirname "$0")/lib.sh"
grid="--grid training.learning_rate=0.02,0.2 --grid algorithm.name=fedavg,fedprox,scaffold --grid seed=1,2"
same_results() {
    for f in results.csv results.json groups.csv sweep.svg; do
        cmp "$1/$f" "$2/$f" || fail "$f differs between $1 and $2"
    done
}

# fedprox lacks its mu: four cells of twelve are no valid experiment.
# shellcheck disable=SC2086 # options
expect 1 "$sim" sweep "$dir/experiment.yaml" $grid --target 0.7 --jobs 1 --out "$dir/serial" --json
jq -e '.done == 8 and .invalid == 4 and .failed == 0 and (.cells | length) == 12 and
    ([.cells[] | select(.state == "invalid") | .error | contains("mu")] | all) and
    (.groups | length) == 6 and .groups[0].runs == 2' "$dir/out" >/dev/null || fail "the results are not as they should be"
python3 "$(dirname "$0")/page.py" "$dir/serial/report.html" "missing key 'mu'" "Over seeds" || fail "report.html"
python3 "$(dirname "$0")/page.py" "$dir/serial/sweep.svg" || fail "sweep.svg"
# shellcheck disable=SC2086
expect 1 "$sim" sweep "$dir/experiment.yaml" $grid --target 0.7 --jobs 3 --out "$dir/parallel"
says "over seeds"
same_results "$dir/serial" "$dir/parallel"

# Killed with -9 as soon as two cells are done; where that comes too late, since it had gone on to the end, once more.
two_cells() { [ "$(find "$dir/killed/cells" -name report.html 2>/dev/null | wc -l)" -ge 2 ]; }
for attempt in 1 2 3 4 5; do
    rm -rf "$dir/killed"
    # shellcheck disable=SC2086
    "$sim" sweep "$dir/experiment.yaml" $grid --target 0.7 --jobs 1 --out "$dir/killed" >/dev/null 2>&1 &
    pid=$!
    eventually "two cells" two_cells
    kill -KILL $pid 2>/dev/null || true
    wait $pid 2>/dev/null || true
    [ -e "$dir/killed/results.csv" ] || break
done
done_before=$(find "$dir/killed/cells" -name summary.json -exec sha256sum {} + | sort)
[ ! -e "$dir/killed/results.csv" ] || fail "there are results before the end"
# shellcheck disable=SC2086
expect 1 "$sim" sweep "$dir/experiment.yaml" $grid --target 0.7 --jobs 2 --out "$dir/killed"
same_results "$dir/serial" "$dir/killed"
find "$dir/killed/cells" -name summary.json -exec sha256sum {} + | sort >"$dir/after"
echo "$done_before" | while read -r line; do grep -qxF "$line" "$dir/after" || exit 1; done || fail "a finished cell was run again"

# The grid grows: the eight stay, four come.
# shellcheck disable=SC2086
expect 1 "$sim" sweep "$dir/experiment.yaml" $grid --grid seed=1,2,3 --jobs 2 --out "$dir/killed" --json
jq -e '.done == 12' "$dir/out" >/dev/null || fail "the larger grid is not done"
find "$dir/killed/cells" -name summary.json -exec sha256sum {} + | sort >"$dir/larger"
[ "$(grep -cxFf "$dir/after" "$dir/larger")" = 8 ] || fail "a finished cell was run again when the grid grew"

# What fails while it runs: more clients than rows. And what is wrong from the beginning.
expect 1 "$sim" sweep "$dir/experiment.yaml" --grid partition.clients=10,100000 --out "$dir/failing"
says "100000 clients of 2000 rows"
jq -e '.done == 1 and .failed == 1 and .cells[1].exit == 78' "$dir/failing/results.json" >/dev/null || fail "failing cell"
expect 64 "$sim" sweep "$dir/experiment.yaml" --out "$dir/x"
says "no grid"
expect 78 "$sim" sweep "$dir/experiment.yaml" --grid training.rouns=1,2 --out "$dir/x"
says "rouns"
expect 78 "$sim" sweep "$dir/experiment.yaml" --grid seed=1,1 --out "$dir/x"
expect 78 "$sim" sweep "$dir/experiment.yaml" --grid training.learning_rate=0.1,0.10 --out "$dir/x"
says "the same experiment"
expect 66 "$sim" sweep "$dir/nowhere.yaml" --grid seed=1,2 --out "$dir/x"
printf 'experiment: experiment.yaml\ngrid: {seed: [1, 2]}\ntarge: 1\n' >"$dir/sweep.yaml"
expect 78 "$sim" sweep "$dir/sweep.yaml" --out "$dir/x"
says "sweep.yaml:3:1: unknown key 'targe'"
[ ! -e "$dir/x" ] || fail "a refused sweep left a folder"
cp "$dir/experiment.yaml" "$dir/other.yaml"
expect 78 "$sim" sweep "$dir/other.yaml" --grid seed=1,2 --out "$dir/serial"
says "is a sweep of"
expect 0 "$sim" sweep "$dir/experiment.yaml" --grid seed=1,2 --grid model.hidden='[4, 3],[5]' --dry-run --out "$dir/x"
says "model.hidden=[4, 3]"
