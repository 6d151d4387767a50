#!/bin/sh
# A whole federation on this machine: build, enrol twelve real shops, train one model while shops drop out.
set -eu

usage() {
    cat <<'EOF'
usage: deploy/demo.sh [--shops N] [--rounds R] [--no-private] [--dir D] [--keep] [--json FILE]

Builds fedtill, makes a federation of N shops (7 to 12, default 12) in a fresh folder, trains the task
cj_return_private (epsilon 8 at delta 1e-5 for each household) for R rounds (default: the task's) over mutual-TLS
gRPC on loopback, kills one shop inside a round and the aggregator once, trains the same without noise, and compares
both models with pooled training and with each shop alone.

  --shops N     shops taking part, largest first; 7 at least, for the task wants 6 in a sum and one is killed
  --rounds R    training rounds, at least 6
  --no-private  train without noise only
  --dir D       the federation's folder; must not exist (default: a new folder under /tmp)
  --keep        keep the folder of a default run
  --json FILE   write the figures as one JSON object

Example: ./deploy/demo.sh --rounds 20 --json figures.json
EOF
}

shops=12 rounds= no_private= dir= keep= json=
while [ $# -gt 0 ]; do
    case $1 in
    --shops | --rounds | --dir | --json)
        [ $# -ge 2 ] || { echo "demo.sh: $1 needs a value" >&2; exit 64; }
        case $1 in
        --shops) shops=$2 ;;
        --rounds) rounds=$2 ;;
        --dir) dir=$2 ;;
        --json) json=$2 ;;
        esac
        shift 2
        ;;
    --keep) keep=yes; shift ;;
    --no-private) no_private=yes; shift ;;
    -h | --help) usage; exit 0 ;;
    *) echo "demo.sh: unknown option $1; see --help" >&2; exit 64 ;;
    esac
done
number() { # number NAME VALUE LEAST MOST
    case $2 in '' | *[!0-9]*) echo "demo.sh: $1 is '$2', expected a whole number" >&2; exit 64 ;; esac
    if [ "$2" -lt "$3" ] || [ "$2" -gt "$4" ]; then
        echo "demo.sh: $1 is $2, expected $3 to $4" >&2
        exit 64
    fi
}
number --shops "$shops" 7 12
[ -z "$rounds" ] || number --rounds "$rounds" 6 500

case $json in '' | /*) ;; *) json=$PWD/$json ;; esac
case $dir in '' | /*) ;; *) dir=$PWD/$dir ;; esac
cd "$(dirname "$0")/.."
root=$PWD
if [ -t 1 ]; then say() { printf '%s\n' "$*"; }; else say() { :; }; fi

./deploy/install-deps.sh build
say "Building (release preset) ..."
log=$(mktemp)
if ! { cmake --preset release -DFT_TESTS=OFF && cmake --build --preset release; } >"$log" 2>&1; then
    tail -n 60 "$log" >&2
    rm -f "$log"
    echo "demo.sh: the build failed" >&2
    exit 70
fi
rm -f "$log"
. ./deploy/demo/federation.sh
run_demo
