# Shared by the tests of this folder: sh lib.sh is sourced with $1 the folder of the programs, $2 the source root.
set -eu
bin=$1
root=$2
dir=$(mktemp -d "${TMPDIR:-/tmp}/fedtill-client.XXXXXX")
server=
vault=
cleanup() {
    for pid in $server $vault; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

fail() {
    echo "FAILED: $*" >&2
    for f in "$dir"/out "$dir"/err "$dir"/server.log; do
        [ ! -f "$f" ] || { echo "--- $f"; tail -n 30 "$f"; } >&2
    done
    exit 1
}

# expect CODE COMMAND...: runs it with $dir/out and $dir/err, and fails unless it ends with CODE.
expect() {
    want=$1
    shift
    code=0
    "$@" >"$dir/out" 2>"$dir/err" </dev/null || code=$?
    [ "$code" = "$want" ] || fail "exit $code, expected $want: $*"
}
says() { grep -qF -- "$1" "$dir/out" "$dir/err" || fail "no word of: $1"; }
says_not() { ! grep -qF -- "$1" "$dir/out" "$dir/err" || fail "speaks of: $1"; }

# A folder with client.yaml, policy.yaml and data for a shop.
make_home() { # make_home DIR SHOP ADDRESS
    mkdir -p "$1/data"
    chmod 700 "$1"
    cat >"$1/client.yaml" <<EOF
version: 1
shop: $2
aggregator: "$3"
state: state
policy: policy.yaml
source:
  type: csv
  transactions:
    files: data/*.csv
    columns:
      customer_id: customer_id
      week: week
      amount: amount
consent:
  basis: consent
  file: consent.csv
EOF
    cat >"$1/policy.yaml" <<EOF
version: 1
owner: self
review_by: 2027-12-31
grace_days: 30
purposes: [train/propensity]
columns:
  train/propensity: [transactions.customer_id, transactions.week, transactions.amount]
training_basis: consent
unnoised: allow
min_customers: 2
cohort: {n_min: 3, h_min: 2, corrupted: 1, drop_permille_max: 300, sigma_min: 40}
limits: {clip_max: 10, parameters_max: 1000, rounds_max: 500, session_ms_max: 600000, query_ms: 20000, query_rows: 500000, query_memory_mib: 64}
graph_profile: {allow: false, cohort_min: 512}
exclude: []
participation: {window: "00:00-24:00", days: [mon, tue, wed, thu, fri, sat, sun], min_gap_s: 0, rounds_per_month: 1000}
EOF
    printf 'customer_id,week,amount,private\nCANARY-1,1,10,x\nCANARY-2,1,20,x\nCANARY-3,2,30,x\n' >"$1/data/a.csv"
    printf 'customer_id,decision,purpose,time\nCANARY-1,given,train/propensity,2025-01-01 00:00:00\nCANARY-2,given,train/propensity,2025-01-01 00:00:00\n' >"$1/consent.csv"
    chmod 600 "$1/policy.yaml"
}

# eventually WHAT COMMAND...: the command comes to hold. The wait is against hangs; no test is judged by its time.
eventually() {
    until=$(($(date +%s) + 600)) what=$1
    shift
    until "$@"; do
        [ "$(date +%s)" -lt "$until" ] || fail "it never came: $what"
        sleep 0.1
    done
}
alive() { [ -d "/proc/$1" ] && ! grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null; }
gone() { ! alive "$1"; }
logged() { grep -q "$2" "$1" 2>/dev/null; } # logged FILE WORD

# serve [OPTION...]: the aggregator of $dir/agg listens, or has ended. By its own word: the port may be somebody else's.
serve() {
    listened=$(cat "$dir/server.log" 2>/dev/null | grep -c serve.listening || true)
    "$bin/fedtill-aggregator" serve --home "$dir/agg" "$@" 2>>"$dir/server.log" &
    server=$!
    eventually "the aggregator's word" listening_or_gone
}
listening() { [ "$(grep -c serve.listening "$dir/server.log")" -gt "$listened" ]; }
listening_or_gone() { listening || gone "$server"; }

# start_aggregator [OPTION...]: the real aggregator on a free port; $address is where.
start_aggregator() {
    port=$((10000 + $$ * 7 % 20000))
    for attempt in 1 2 3 4 5 6 7 8; do
        rm -rf "$dir/agg"
        address=127.0.0.1:$port
        "$bin/fedtill-aggregator" init --home "$dir/agg" --listen "$address" >"$dir/init.out" 2>&1 ||
            fail "aggregator init"
        serve "$@"
        if alive "$server"; then return 0; fi
        port=$((port + 11 * attempt))
    done
    fail "no aggregator"
}
invite() { # invite SHOP FILE
    "$bin/fedtill-aggregator" store invite "$1" --home "$dir/agg" --out "$2" >"$dir/out" 2>"$dir/err" || fail "invite $1"
}
