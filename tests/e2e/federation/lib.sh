# Shared by the tests of this folder; sourced with $1 the folder of the programs, $2 the source root.
#
# A federation in a fresh folder: `make_aggregator`, `add_shops A B ...`, `sign_roster`, `publish`, `start_shop A`.
# Everything waits for what it needs with a generous deadline and asserts no time.
# shellcheck shell=sh disable=SC2034
set -eu
LC_ALL=C
export LC_ALL
bin=$1
root=$2
name=$(basename "$0" .sh)
dir=$(mktemp -d "${TMPDIR:-/tmp}/fedtill-e2e.XXXXXX")
aggregator=$bin/fedtill-aggregator
client=$bin/fedtill-client
simulate=$bin/fedtill-simulate
home=$dir/aggregator
mkdir -p "$dir/log" "$dir/shops" "$dir/tokens"
chmod 755 "$dir"

processes=
mounted=
cleanup() {
    for pid in $processes; do
        # shellcheck disable=SC2046 # process ids
        kill -KILL "$pid" $(children "$pid") 2>/dev/null || true
    done
    for pid in $processes; do wait "$pid" 2>/dev/null || true; done
    for at in $mounted; do umount "$at" 2>/dev/null || true; done
    [ -n "${FT_E2E_KEEP:-}" ] || rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

fail() {
    echo "FAILED: $*" >&2
    for file in "$dir/out" "$dir/err" "$dir"/log/*; do
        [ ! -s "$file" ] || { echo "--- ${file#"$dir"/}"; tail -n 6 "$file" | cut -c 1-400; } >&2
    done
    exit 1
}
say() { echo "$*"; }

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

# eventually WHAT COMMAND...: the command comes to hold. The wait ends at a time when nothing can be going on any more, on
# however busy a machine: it is against hangs, and no test is judged by its time.
patience=900
eventually() {
    until=$(($(date +%s) + patience)) what=$1
    shift
    until "$@"; do
        [ "$(date +%s)" -lt "$until" ] || fail "it never came: $what"
        sleep 0.1
    done
}

# ---- processes ----

children() { cat "/proc/$1/task/$1/children" 2>/dev/null || true; }
alive() { [ -d "/proc/$1" ] && ! grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null; }
gone() { ! alive "$1"; }
# ended PID CODE: waits for it and compares its exit code.
ended() {
    eventually "the end of process $1" gone "$1"
    code=0
    wait "$1" || code=$?
    [ "$code" = "$2" ] || fail "process $1 ended with $code, expected $2"
}

# ---- the aggregator ----

start_aggregator() {
    listened=$(listenings)
    "$aggregator" serve --home "$home" --progress-json "$dir/rounds.jsonl" "$@" >/dev/null 2>>"$dir/log/aggregator" &
    aggregator_pid=$!
    processes="$processes $aggregator_pid"
}
# By its own word: its home is locked, and its port may be somebody else's, before it listens.
listenings() { log_of aggregator | grep -c serve.listening || true; }
serving() { [ "$(listenings)" -gt "$listened" ]; }
serving_or_gone() { serving || gone "$aggregator_pid"; }

make_aggregator() { # make_aggregator [NAME]: which shops know it by
    port=$((10000 + $$ * 7 % 20000))
    for attempt in 1 2 3 4 5 6 7 8; do
        rm -rf "$home"
        address=127.0.0.1:$port
        "$aggregator" init --home "$home" --listen "$address" --public "${1:-127.0.0.1}:$port" >"$dir/log/init" 2>&1 ||
            fail "aggregator init"
        start_aggregator
        eventually "the aggregator's answer" serving_or_gone
        if alive "$aggregator_pid"; then return 0; fi
        port=$((port + 13 * attempt))
    done
    fail "no free port"
}
stop_aggregator() { # stop_aggregator [SIGNAL]
    kill "-${1:-TERM}" "$aggregator_pid"
    eventually "the aggregator's end" gone "$aggregator_pid"
    wait "$aggregator_pid" 2>/dev/null || true
}
# On the port it had, which somebody else may hold for a moment.
serving_again() { serving || { ! gone "$aggregator_pid" || start_aggregator; false; }; }
restart_aggregator() {
    start_aggregator
    eventually "the aggregator's return" serving_again
}
fingerprint() { sed -n 's/^CA fingerprint *//p' "$dir/log/init" | head -n 1; }

# ---- shops ----

shop_home() { echo "$dir/shops/$1"; }
# The demo's data, configuration and policy for one of its shops.
make_shop() {
    at=$(shop_home "$1")
    mkdir -p "$at/data"
    cp "$root/deploy/demo/shops/$1.csv" "$at/data/transactions.csv"
    cp "$root/deploy/demo/consent/$1.csv" "$at/consent.csv"
    sed -e "s/@SHOP@/$1/" -e "s/@PORT@/$port/" "$root/deploy/demo/client.yaml" >"$at/client.yaml"
    cp "$root/deploy/demo/policy.yaml" "$at/policy.yaml"
    chmod 700 "$at"
    chmod 600 "$at/policy.yaml"
}
invite() {
    rm -f "$dir/tokens/$1.json"
    "$aggregator" store invite "$1" --home "$home" --out "$dir/tokens/$1.json" >/dev/null 2>"$dir/err" ||
        fail "inviting $1"
}
enrol() {
    "$client" enrol --home "$(shop_home "$1")" --token-file "$dir/tokens/$1.json" >/dev/null 2>"$dir/err" </dev/null ||
        fail "enrolling $1"
}
import_consents() {
    "$client" consent import --home "$(shop_home "$1")" --yes >/dev/null 2>"$dir/err" || fail "consents of $1"
}
add_shops() {
    for shop in "$@"; do
        make_shop "$shop"
        invite "$shop"
        enrol "$shop"
        import_consents "$shop"
    done
}
largest() { sed -n "1,${1}p" "$root/deploy/demo/shops/largest.txt"; }
shop_number() { # its number in the register
    "$aggregator" store list --home "$home" --json | jq --arg shop "$1" '.shops[] | select(.name == $shop) | .id'
}
sign_roster() {
    rm -f "$dir/roster.request" "$dir/roster.signed"
    "$aggregator" registrar request --home "$home" --out "$dir/roster.request" >/dev/null 2>"$dir/err" &&
        "$aggregator" registrar sign --folder "$home/registrar" --corrupted 2 --request "$dir/roster.request" \
            --out "$dir/roster.signed" >/dev/null 2>"$dir/err" &&
        "$aggregator" registrar import "$dir/roster.signed" --home "$home" >/dev/null 2>"$dir/err" ||
        fail "signing the roster"
}

pid_variable() { echo "shop_$1" | tr -c 'a-z0-9_\n' _; }
start_shop() { # start_shop SHOP [OPTION...]
    shop=$1
    shift
    "$client" run --home "$(shop_home "$shop")" "$@" >/dev/null 2>>"$dir/log/$shop" &
    eval "$(pid_variable "$shop")=$!"
    processes="$processes $!"
}
shop_pid() { eval "echo \$$(pid_variable "$1")"; }
shop_processes() { echo "$(shop_pid "$1") $(children "$(shop_pid "$1")")"; }
signal_shop() { # signal_shop SIGNAL SHOP: both of its processes
    # shellcheck disable=SC2046 # process ids
    kill "-$1" $(shop_processes "$2") 2>/dev/null || true
}
kill_shop() {
    signal_shop KILL "$1"
    wait "$(shop_pid "$1")" 2>/dev/null || true
}

# ---- tasks ----

# make_task FILE [SED...]: the demo's task, changed, as $dir/task.yaml. What the demo waits for a shop is little on a busy
# machine: where the test says nothing else, nobody is left out of a round for being slow.
make_task() {
    cp "$root/deploy/tasks/$1" "$dir/task.yaml"
    shift
    for edit in "$@"; do sed -i "$edit" "$dir/task.yaml"; done
    sed -i 's/^schedule: {join: 5s, step: 10s, session: 60s,/schedule: {join: 60s, step: 120s, session: 600s,/' "$dir/task.yaml"
    task=$(sed -n 's/^task: *//p' "$dir/task.yaml")
}
sign_task() {
    rm -f "$dir/task.signed"
    expect 0 "$aggregator" task sign "$dir/task.yaml" --home "$home" --key "${1:-$home/task-signing.key}" \
        --out "$dir/task.signed"
}
publish() {
    sign_task
    expect 0 "$aggregator" task publish "$dir/task.signed" --home "$home"
    expect 0 "$aggregator" task start "$task" --home "$home"
}
# ask FILTER: of the task's status.
ask() {
    "$aggregator" task status "$task" --home "$home" --json 2>/dev/null | jq -r "$1"
}
task_is() { [ "$(ask .state)" = "$1" ]; }
committed() { ask '[.rounds[] | select(.state == "committed")] | length'; }
has_committed() { [ "$(committed)" -ge "$1" ]; }
# verdict SHOP CODE: the register holds this verdict of the shop on the task.
verdict() {
    [ "$(ask "[.verdicts[] | select(.shop == $(shop_number "$1")) | select(.codes | contains(\"$2\"))] | length")" = 1 ]
}
log_of() { cat "$dir/log/$1" 2>/dev/null || true; }

# check_chain: every committed round is there once, the model versions follow each other without a gap, each training
# round started from the version before its own, and the log and the keys pass the aggregator's own check.
check_chain() {
    "$aggregator" task status "$task" --home "$home" --json >"$dir/status.json" || fail "task status"
    "$aggregator" model list "$task" --home "$home" --json >"$dir/models.json" || fail "model list"
    jq -e --slurpfile models "$dir/models.json" '
        ([.rounds[] | select(.state == "committed")] | sort_by(.round)) as $done |
        ($models[0].models | sort_by(.version)) as $versions |
        ($done | map(.round) | . == unique) and
        ($versions | map(.version) == [range(0; length)]) and
        ($versions | map(.hash) | length == (unique | length)) and
        ($done | map(select(.stage == "train")) | map(.model_hash)) == ($versions | map(.hash))[:-1] and
        ($done | map(select(.stage == "evaluate")) | all(.model_hash == $versions[-1].hash))' "$dir/status.json" \
        >/dev/null || fail "the committed rounds and the models are not a chain"
    expect 0 "$aggregator" check-config --home "$home"
}
