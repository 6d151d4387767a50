# Shared by the scenarios of this folder: sourced with $1 the folder of the programs, $2 the source root.
set -eu
bin=$1
root=$2
sim=$bin/fedtill-simulate
dir=$(mktemp -d "${TMPDIR:-/tmp}/fedtill-simulate.XXXXXX")
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM

fail() {
    echo "FAILED: $*" >&2
    for f in "$dir"/out "$dir"/err; do
        [ ! -f "$f" ] || { echo "--- $f"; tail -n 30 "$f"; } >&2
    done
    exit 1
}
skip() {
    echo "SKIPPED: $*" >&2
    exit 77
}

# expect CODE COMMAND...: runs it with $dir/out and $dir/err, and fails unless it ends with CODE.
expect() {
    want=$1
    shift
    code=0
    timeout 900 "$@" >"$dir/out" 2>"$dir/err" </dev/null || code=$?
    [ "$code" = "$want" ] || fail "exit $code, expected $want: $*"
}
# eventually WHAT COMMAND...: the command comes to hold. The wait is against hangs; no test is judged by its time.
eventually() {
    until=$(($(date +%s) + 900)) what=$1
    shift
    until "$@"; do
        [ "$(date +%s)" -lt "$until" ] || fail "it never came: $what"
        sleep 0.02
    done
}
has_lines() { [ -s "$1" ] && [ "$(wc -l <"$1")" -ge "$2" ]; } # has_lines FILE N
has_lines_or_ended() { has_lines "$1" "$2" || ! kill -0 "$3" 2>/dev/null; } # ... PID
says() { grep -qF -- "$1" "$dir/out" "$dir/err" || fail "no word of: $1"; }

# The model's hash of a run's folder.
model() { jq -er .model_sha256 "$1/summary.json" || fail "no summary in $1"; }
same_model() { # same_model A B: their models are the same bytes, by the summary and by the file
    [ "$(model "$1")" = "$(model "$2")" ] || fail "$1 and $2 have different models"
    cmp -s "$1/model.safetensors" "$2/model.safetensors" || fail "$1 and $2 have different files"
}
other_model() { [ "$(model "$1")" != "$(model "$2")" ] || fail "$1 and $2 have the same model"; }

# rounds.csv without its clocks.
rounds() { cut -d, -f1-4,6-9 "$1/rounds.csv"; }

# A small experiment of drawn rows: experiment.yaml in $dir.
cat >"$dir/experiment.yaml" <<EOF
name: small
seed: 11
data: { source: synthetic, rows: 2000, test_rows: 300, features: 12, classes: 2 }
partition: { kind: dirichlet, clients: 24, alpha: 0.5, rows_least: 5 }
model: { kind: mlp, hidden: [9] }
algorithm: { name: fedavg }
training: { rounds: 8, local_epochs: 2, batch_size: 10, learning_rate: 0.1 }
clients: { fraction: 0.5, dropout: 0.15, stragglers: 0.3 }
evaluation: { local_clients: 2, baseline_epochs: 1 }
EOF
