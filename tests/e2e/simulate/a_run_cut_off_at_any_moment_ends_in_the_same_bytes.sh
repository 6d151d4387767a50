#!/bin/sh
# kill -9 in the middle, again and again, and SIGTERM once: --resume ends in the bytes of a run that was not cut off, with
# every round once in rounds.csv. A damaged state is told, and another process's folder is left alone.
. "$(dirname "$0")/lib.sh"

for algorithm in fedavg fedadam fedyogi scaffold ditto fedbuff exact; do
    set -- --set "algorithm.name=$algorithm" --set training.rounds=400 --set evaluation.local_clients=1 \
        --set evaluation.pooled=false --threads 2
    case $algorithm in
    ditto) set -- "$@" --set algorithm.mu=0.1 ;;
    fedadam | fedyogi) set -- "$@" --set algorithm.server_learning_rate=0.01 ;;
    fedbuff) set -- "$@" --set algorithm.buffer=4 --set algorithm.concurrency=9 --set clients.fraction=null ;;
    exact) set -- "$@" --set training.rounds=60 --set algorithm.name=fedavg --set secure_sum.kind=exact --set secure_sum.clip=3 --set evaluation.without_privacy=false ;;
    esac
    expect 0 "$sim" run "$dir/experiment.yaml" --out "$dir/$algorithm-whole" "$@"
    cut=$dir/$algorithm-cut
    kills=0
    while [ $kills -lt 3 ]; do
        "$sim" run "$dir/experiment.yaml" --out "$cut" --resume --save-every 3 "$@" >"$dir/out" 2>"$dir/err" </dev/null &
        job=$!
        eventually "rounds" has_lines_or_ended "$cut/rounds.csv" $((4 + kills * 20)) "$job"
        kill -KILL "$job" 2>/dev/null || true
        wait "$job" 2>/dev/null || true
        kills=$((kills + 1))
    done
    expect 0 "$sim" run "$dir/experiment.yaml" --out "$cut" --resume "$@"
    same_model "$dir/$algorithm-whole" "$cut"
    [ "$(rounds "$dir/$algorithm-whole")" = "$(rounds "$cut")" ] || fail "$algorithm: other rounds after kills"
    [ ! -e "$cut/state.bin" ] || fail "a complete run still has a state"
done

# SIGTERM: an orderly end with 75, also when no state was due, and on from there.
set -- --set training.rounds=100000 --set evaluation.every=100000 --set evaluation.pooled=false --set evaluation.local=false
"$sim" run "$dir/experiment.yaml" --out "$dir/stopped" "$@" >"$dir/out" 2>"$dir/err" </dev/null &
job=$!
eventually "rounds" has_lines "$dir/stopped/rounds.csv" 5
expect 75 "$sim" run "$dir/experiment.yaml" --out "$dir/stopped" --resume "$@"
says "another process works in this folder"
kill -TERM "$job"
code=0
wait "$job" || code=$?
[ "$code" = 75 ] || fail "exit $code after SIGTERM, expected 75"
says "--resume goes on from there"
[ -s "$dir/stopped/state.bin" ] || fail "no state after SIGTERM"

# A state that is not what was written.
printf 'x' | dd of="$dir/stopped/state.bin" bs=1 seek=100 conv=notrunc 2>/dev/null
expect 65 "$sim" run "$dir/experiment.yaml" --out "$dir/stopped" --resume "$@"
says "state.bin: damaged"

# SIGTERM while the baselines train: 75 soon (or 0, had they just ended), and --resume makes them.
set -- --set training.rounds=2 --set evaluation.local_clients=24 --set evaluation.baseline_epochs=400 --threads 1
"$sim" run "$dir/experiment.yaml" --out "$dir/late" "$@" >"$dir/out" 2>"$dir/err" </dev/null &
job=$!
eventually "rounds" has_lines "$dir/late/rounds.csv" 3
kill -TERM "$job" || true
code=0
wait "$job" || code=$?
[ "$code" = 75 ] || [ "$code" = 0 ] || fail "exit $code after SIGTERM in the baselines"
expect 0 "$sim" run "$dir/experiment.yaml" --out "$dir/late" --resume "$@"
jq -e '.rounds == 2 and .baselines.local.clients == 24' "$dir/late/summary.json" >/dev/null || fail "no baselines after --resume"
