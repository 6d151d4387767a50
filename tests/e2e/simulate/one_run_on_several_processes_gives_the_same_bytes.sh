#!/bin/sh
# mpirun: the same model for one, two and three processes, in one or two threads each, whatever is added up and kept; a
# failure of the experiment ends all of them with its code; a run goes on in another number of processes.
. "$(dirname "$0")/lib.sh"
command -v mpirun >/dev/null || skip "no mpirun here (Debian: openmpi-bin)"
cat >"$dir/mpi" <<EOF
#!/bin/sh
# mpi PROCESSES ARGUMENTS...
n=\$1
shift
OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 \
    OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_plm_rsh_agent=false exec mpirun -n "\$n" "$sim" "\$@"
EOF
chmod +x "$dir/mpi"
mpi=$dir/mpi
code=0
timeout 900 "$mpi" 2 run --help >"$dir/out" 2>"$dir/err" </dev/null || code=$?
[ "$code" = 0 ] || skip "mpirun does not start programs here: $(head -c 300 "$dir/err")"
code=0
timeout 900 "$mpi" 2 run "$dir/experiment.yaml" --out "$dir/first" >"$dir/out" 2>"$dir/err" </dev/null || code=$?
! grep -q "built without MPI" "$dir/err" || skip "the program was built without MPI (Debian: libopenmpi-dev)"
[ "$code" = 0 ] || fail "exit $code under mpirun"

for algorithm in fedavg fedadam scaffold ditto fedbuff exact private; do
    set -- --set "algorithm.name=$algorithm" --set evaluation.pooled=false --set evaluation.local_clients=1
    case $algorithm in
    ditto) set -- "$@" --set algorithm.mu=0.1 ;;
    fedadam) set -- "$@" --set algorithm.server_learning_rate=0.01 ;;
    fedbuff) set -- "$@" --set algorithm.buffer=4 --set algorithm.concurrency=9 --set clients.fraction=null ;;
    exact) set -- --set secure_sum.kind=exact --set secure_sum.clip=3 --set evaluation.without_privacy=false ;;
    private)
        set -- --set clients.fraction=1 --set clients.stragglers=0 --set privacy.unit=row --set privacy.noise_multiplier=1 \
            --set privacy.delta=1e-6 --set privacy.clip=1 --set privacy.expected_customers=100 --set evaluation.pooled=false \
            --set evaluation.without_privacy=false
        ;;
    esac
    expect 0 "$sim" run "$dir/experiment.yaml" --out "$dir/$algorithm-1" --threads 3 "$@"
    for n in 2 3; do
        [ $n = 3 ] || [ $algorithm = fedavg ] || continue
        expect 0 "$mpi" $n run "$dir/experiment.yaml" --out "$dir/$algorithm-$n" --threads $((4 - n)) "$@"
        same_model "$dir/$algorithm-1" "$dir/$algorithm-$n"
        [ "$(rounds "$dir/$algorithm-1")" = "$(rounds "$dir/$algorithm-$n")" ] || fail "$algorithm: other rounds in $n"
        [ "$(jq .ranks "$dir/$algorithm-$n/summary.json")" = $n ] || fail "not $n processes"
        [ "$(jq -c .metrics "$dir/$algorithm-1/summary.json")" = "$(jq -c .metrics "$dir/$algorithm-$n/summary.json")" ] ||
            fail "$algorithm: other metrics in $n"
    done
done

expect 78 "$mpi" 2 run "$dir/experiment.yaml" --out "$dir/bad" --set training.roundz=3
expect 78 "$mpi" 2 run "$dir/experiment.yaml" --out "$dir/bad" --set partition.clients=9999
expect 65 "$mpi" 2 run "$dir/experiment.yaml" --out "$dir/bad" --set training.learning_rate=1e6
says "training diverged"

# Cut off in one process, gone on with in three: each takes the states of its own clients.
set -- --set algorithm.name=scaffold --set training.rounds=40 --set evaluation.pooled=false --set evaluation.local=false
expect 0 "$sim" run "$dir/experiment.yaml" --out "$dir/whole" "$@"
"$sim" run "$dir/experiment.yaml" --out "$dir/cut" --resume --save-every 2 "$@" >"$dir/out" 2>"$dir/err" </dev/null &
job=$!
eventually "rounds" has_lines_or_ended "$dir/cut/rounds.csv" 6 "$job"
kill -KILL "$job" 2>/dev/null || true
wait "$job" 2>/dev/null || true
expect 0 "$mpi" 3 run "$dir/experiment.yaml" --out "$dir/cut" --resume "$@"
same_model "$dir/whole" "$dir/cut"
