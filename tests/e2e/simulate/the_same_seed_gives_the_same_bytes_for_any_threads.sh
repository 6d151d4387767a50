#!/bin/sh
# One seed: the same model and the same rounds for one, two and five threads, whatever the algorithm; another seed:
# another model.
. "$(dirname "$0")/lib.sh"

run() { # run DIR ARGUMENTS...
    out=$1
    shift
    expect 0 "$sim" run "$dir/experiment.yaml" --out "$dir/$out" --set evaluation.pooled=false --set evaluation.local=false "$@"
}

for algorithm in fedsgd fedavg fedavgm fedprox scaffold fedadam fedyogi fedadagrad fednova ditto fedbuff; do
    set -- --set "algorithm.name=$algorithm"
    case $algorithm in
    fedsgd) set -- "$@" --set training.local_epochs=1 --set training.batch_size=0 ;;
    fedprox | ditto) set -- "$@" --set algorithm.mu=0.1 ;;
    fedadam | fedyogi | fedadagrad) set -- "$@" --set algorithm.server_learning_rate=0.01 ;;
    fedbuff) set -- "$@" --set algorithm.buffer=4 --set algorithm.concurrency=9 --set clients.fraction=null ;;
    esac
    for threads in 1 2 5; do
        run "$algorithm-$threads" "$@" --threads "$threads"
    done
    same_model "$dir/$algorithm-1" "$dir/$algorithm-2"
    same_model "$dir/$algorithm-1" "$dir/$algorithm-5"
    [ "$(rounds "$dir/$algorithm-1")" = "$(rounds "$dir/$algorithm-5")" ] || fail "$algorithm: other rounds with 5 threads"
    [ "$(jq -r .algorithm "$dir/$algorithm-1/summary.json")" = "$algorithm" ] || fail "$algorithm is not what ran"
done
other_model "$dir/fedavg-1" "$dir/fedprox-1"
run seed --set seed=12
other_model "$dir/fedavg-1" "$dir/seed"
run again --set seed=11
same_model "$dir/fedavg-1" "$dir/again"

# Every row of rounds.csv is there, and the summary has what it promises.
[ "$(wc -l <"$dir/again/rounds.csv")" = 9 ] || fail "rounds.csv has not one row a round behind its header"
jq -e '.rounds == 8 and .metrics.auc > 0.5 and .seconds > 0 and .clients_per_second > 0 and .peak_bytes > 1000000
       and (.model_sha256 | length) == 64 and (.baselines | type) == "object"' "$dir/again/summary.json" >/dev/null ||
    fail "the summary"

# Nor on the processor: the C library's and OpenBLAS's code for an older one changes no byte of model or rounds. All rows a
# step, which is the way without the fused kernels; each kind of output.
older="GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2_Usable,-FMA_Usable,-AVX512F_Usable,-AVX2,-FMA,-FMA4,-AVX512F OPENBLAS_CORETYPE=Nehalem"
for model in "{kind: logistic}" "{kind: mlp, hidden: [20]}" "{kind: softmax}"; do
    set -- --set "model=$model" --set training.rounds=20 --set training.batch_size=0 --set training.weight_decay=0.01 \
        --set data.features=40 --set evaluation.local=false --set evaluation.pooled=false --force
    expect 0 "$sim" run "$dir/experiment.yaml" --out "$dir/new" "$@"
    # shellcheck disable=SC2086
    expect 0 env $older "$sim" run "$dir/experiment.yaml" --out "$dir/old" "$@"
    same_model "$dir/new" "$dir/old"
    [ "$(rounds "$dir/new")" = "$(rounds "$dir/old")" ] || fail "other rounds on an older processor: $model"
done
