# The federation of the demo: set-up, the run with its two kills, the report. Sourced by demo.sh, which sets
# root, shops, rounds, dir, keep, json and say().
# shellcheck shell=sh disable=SC2154

aggregator_program=$root/build/release/bin/fedtill-aggregator
client_program=$root/build/release/bin/fedtill-client
simulate_program=$root/build/release/bin/fedtill-simulate
verify_program=$root/build/release/bin/fedtill-verify

started=
own_folder=
fail() {
    echo "demo.sh: $*" >&2
    exit 70
}
# Seconds since 1970 with a fraction.
now() { date +%s.%N; }

stop_everything() {
    for pid in $started; do kill "$pid" 2>/dev/null || true; done
    for pid in $started; do wait "$pid" 2>/dev/null || true; done
    started=
    [ -z "$own_folder" ] || rm -rf "$dir"
}

# The N largest shops, one name a line.
shop_names() { sed -n "1,${shops}p" deploy/demo/shops/largest.txt; }

# ask FILE FILTER: one value out of a JSON file.
ask() { jq -r "$2" "$1"; }

make_folder() {
    if [ -z "$dir" ]; then
        dir=$(mktemp -d "${TMPDIR:-/tmp}/fedtill-demo.XXXXXX")
        [ -n "$keep" ] || own_folder=yes
    else
        [ ! -e "$dir" ] || fail "$dir exists; --dir names a folder to make"
        mkdir -p "$dir"
    fi
    mkdir -p "$dir/log" "$dir/tokens" "$dir/shops"
}

start_aggregator() {
    "$aggregator_program" serve --home "$dir/aggregator" --progress-json "$dir/rounds.jsonl" \
        2>>"$dir/log/aggregator.log" >/dev/null &
    aggregator_pid=$!
    started="$started $aggregator_pid"
}

# The server answers its own status command once it listens.
wait_for_aggregator() {
    tries=0
    until "$aggregator_program" status --home "$dir/aggregator" --json >"$dir/status.json" 2>/dev/null &&
        [ "$(ask "$dir/status.json" '.serving')" = true ]; do
        kill -0 "$aggregator_pid" 2>/dev/null || return 1
        tries=$((tries + 1))
        [ $tries -lt 200 ] || fail "the aggregator does not answer; see $dir/log/aggregator.log"
        sleep 0.05
    done
}

make_aggregator() {
    # A port that is in use makes serve end with 78: try the next.
    port=$((20000 + $$ % 20000))
    for attempt in 1 2 3 4 5 6 7 8; do
        rm -rf "$dir/aggregator"
        "$aggregator_program" init --home "$dir/aggregator" --listen "127.0.0.1:$port" >"$dir/log/init.log" ||
            fail "fedtill-aggregator init failed"
        start_aggregator
        if wait_for_aggregator; then return 0; fi
        wait "$aggregator_pid" || [ $? = 78 ] || fail "the aggregator ended; see $dir/log/aggregator.log"
        port=$((port + 7 * attempt))
    done
    fail "no free port found"
}

make_shop() { # make_shop NAME
    home=$dir/shops/$1
    mkdir -p "$home/data"
    cp "deploy/demo/shops/$1.csv" "$home/data/transactions.csv"
    cp "deploy/demo/consent/$1.csv" "$home/consent.csv"
    sed -e "s/@SHOP@/$1/" -e "s/@PORT@/$port/" deploy/demo/client.yaml >"$home/client.yaml"
    cp deploy/demo/policy.yaml "$home/policy.yaml"
    chmod 700 "$home"
    chmod 600 "$home/policy.yaml"
    "$aggregator_program" store invite "$1" --home "$dir/aggregator" --out "$dir/tokens/$1.json" >/dev/null ||
        fail "inviting $1 failed"
    "$client_program" enrol --home "$home" --token-file "$dir/tokens/$1.json" >"$dir/log/$1.enrol" 2>&1 ||
        fail "enrolling $1 failed"
    "$client_program" consent import --home "$home" --file "$home/consent.csv" --yes >"$dir/log/$1.consent" 2>&1 ||
        fail "importing the consents of $1 failed"
}

# The registrar's key signs the roster: in real life on another machine.
sign_roster() {
    "$aggregator_program" registrar request --home "$dir/aggregator" --out "$dir/roster.request" >/dev/null &&
        "$aggregator_program" registrar sign --folder "$dir/aggregator/registrar" --corrupted 2 \
            --request "$dir/roster.request" --out "$dir/roster.signed" >/dev/null &&
        "$aggregator_program" registrar import "$dir/roster.signed" --home "$dir/aggregator" >/dev/null ||
        fail "signing the roster failed"
}

# change_rounds FILE: the task's rounds and waiting times, as the demo was asked for.
change_rounds() {
    if [ -n "$asked_rounds" ]; then
        sed -i "s/^  rounds: [0-9][0-9]*/  rounds: $asked_rounds/" "$1"
    fi
    # A step waits for a lost shop for 3 s only, and rounds take a breath, so that people (and the kills) can follow.
    sed -i 's/^schedule: .*/schedule: {join: 3s, step: 3s, session: 60s, pause: 500ms}/' "$1"
}

# The private task for the shops that take part: their declared sizes, all but one of them in a round, up to two lost.
choose_shops() { # choose_shops FILE
    awk -v names="$(shop_names | tr '\n' ' ')" -v n="$shops" '
        BEGIN { split(names, list, " "); for (i in list) part[list[i]] = 1 }
        { name = $3; sub(/,$/, "", name) }
        FNR == NR { if ($2 == "{shop:" && name in part) customers += $5; next } # first reading: how many are declared
        $2 == "{shop:" && !(name in part) { next }
        $1 == "expected_customers:" { sub(/[0-9]+/, customers) }
        /^cohort:/ {
            sub(/n_min: [0-9]+/, "n_min: " (n - 1)); sub(/n_cap: [0-9]+/, "n_cap: " n)
            sub(/h_min: [0-9]+/, "h_min: " (n - 4)); sub(/drop_permille: [0-9]+/, "drop_permille: " int(2000 / n + 0.999))
        }
        { print }' "$1" "$1" >"$1.chosen"
    mv "$1.chosen" "$1"
}

publish_task() { # publish_task TASK FILE
    "$aggregator_program" task check "$2" --home "$dir/aggregator" >"$dir/log/task-check-$1.log" ||
        fail "the task does not pass its check; see $dir/log/task-check-$1.log"
    "$aggregator_program" task sign "$2" --home "$dir/aggregator" --key "$dir/aggregator/task-signing.key" \
        --out "$dir/task.signed" >/dev/null &&
        "$aggregator_program" task publish "$dir/task.signed" --home "$dir/aggregator" >/dev/null &&
        "$aggregator_program" task start "$1" --home "$dir/aggregator" >/dev/null ||
        fail "publishing the task failed"
}

make_tasks() {
    asked_rounds=$rounds
    cp deploy/tasks/cj_return_private.yaml "$dir/task_private.yaml"
    change_rounds "$dir/task_private.yaml"
    choose_shops "$dir/task_private.yaml"
    cp deploy/tasks/cj_return.yaml "$dir/task.yaml"
    change_rounds "$dir/task.yaml"
    rounds=$(sed -n 's/^  rounds: \([0-9]*\).*/\1/p' "$dir/task.yaml")
}

# train TASK FILE KILLS STATUS: publish it, let every shop work on it to its end, follow the rounds.
train() {
    publish_task "$1" "$2"
    for name in $(shop_names); do start_shop "$name"; done
    follow_rounds "$1" "$3" "$4"
    for name in $(shop_names); do wait "$(shop_pid "$name")" 2>/dev/null || true; done
}

variable_of() { echo "pid_$1" | tr -c 'a-z0-9_\n' _; }
start_shop() { # start_shop NAME
    "$client_program" run --home "$dir/shops/$1" --until-done 2>>"$dir/log/$1.log" >/dev/null &
    eval "$(variable_of "$1")=$!"
    started="$started $!"
}
shop_pid() { eval "echo \$$(variable_of "$1")"; }
# The two processes of a shop: the one started and its child.
shop_processes() {
    pid=$(shop_pid "$1")
    echo "$pid $(cat "/proc/$pid/task/$pid/children" 2>/dev/null || true)"
}

# Highest resident memory seen, in bytes, by the name a process gives itself.
rss_vault=0 rss_courier=0 rss_aggregator=0
sample_memory() {
    for name in $(shop_names); do
        for pid in $(shop_processes "$name"); do
            peak=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$pid/status" 2>/dev/null || true)
            [ -n "$peak" ] || continue
            case $(cat "/proc/$pid/comm" 2>/dev/null || true) in
            *vault*) [ "$peak" -le "$rss_vault" ] || rss_vault=$peak ;;
            *courier*) [ "$peak" -le "$rss_courier" ] || rss_courier=$peak ;;
            esac
        done
    done
    peak=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$aggregator_pid/status" 2>/dev/null || true)
    [ -z "$peak" ] || [ "$peak" -le "$rss_aggregator" ] || rss_aggregator=$peak
}

# ---- the run: one line a round; a shop dies inside one, the aggregator dies once ----

lines_seen=0
print_new_lines() {
    [ -f "$dir/rounds.jsonl" ] || return 0
    # A last line that is not whole yet stays for the next time.
    total=$(wc -l <"$dir/rounds.jsonl")
    [ "$total" -gt "$lines_seen" ] || return 0
    if [ -t 1 ]; then
        sed -n "$((lines_seen + 1)),${total}p" "$dir/rounds.jsonl" | jq -r '
            def pad(n): tostring | (" " * ([0, n - length] | max)) + .;
            def real: if . == null then "-" else (. * 10000 | round / 10000 | tostring) end;
            "round \(.round | pad(3))  \((.stage + "          ")[0:10])  \((.state + "          ")[0:9])" +
            "  loss \(.loss | real | pad(7))  AUC \(.auc | real | pad(6))  in \(.shops | pad(2))" +
            "  dropped \(.dropped)  \(.bytes_in + .bytes_out | pad(8)) bytes  \(.seconds | real | pad(6)) s"'
    fi
    lines_seen=$total
}
# A stopped shop keeps the round it is a member of waiting; there it is killed. It was inside the round if the round that ends
# next had every shop in its cohort: a shop that is not there is not in one. True when it was.
kill_shop_inside_a_round() {
    victim=$(shop_names | sed -n "${1}p")
    joined=$(grep -c session.joined "$dir/log/$victim.log" || true)
    tries=0
    until [ "$(grep -c session.joined "$dir/log/$victim.log" || true)" -gt "$joined" ]; do
        tries=$((tries + 1))
        [ $tries -lt 1000 ] || return 1
        sleep 0.01
    done
    # shellcheck disable=SC2046 # process ids
    kill -STOP $(shop_processes "$victim") 2>/dev/null || true
    before=$(wc -l <"$dir/rounds.jsonl")
    sleep 0.5
    during=$(wc -l <"$dir/rounds.jsonl")
    kill -KILL "$(shop_pid "$victim")" 2>/dev/null || true
    wait "$(shop_pid "$victim")" 2>/dev/null || true
    say "      killed $victim (SIGKILL)"
    [ "$during" -le "$((before + 1))" ] || return 1 # rounds went on without it
    tries=0
    until [ "$(wc -l <"$dir/rounds.jsonl")" -gt "$during" ]; do
        tries=$((tries + 1))
        [ $tries -lt 600 ] || return 1
        sleep 0.1
    done
    cohort=$(sed -n "$((during + 1))p" "$dir/rounds.jsonl" | jq -r .cohort)
    [ "$cohort" = "$shops" ] || return 1
    kills_shop=$((kills_shop + 1))
}

kill_aggregator() {
    kill -KILL "$aggregator_pid"
    wait "$aggregator_pid" 2>/dev/null || true
    say "      killed the aggregator (SIGKILL)"
    kills_aggregator=$((kills_aggregator + 1))
    sleep 0.3
    start_aggregator
    wait_for_aggregator || fail "the aggregator does not come back; see $dir/log/aggregator.log"
    say "      the aggregator is back"
}

# follow_rounds TASK KILLS FILE: until the task is done; with KILLS, one shop dies inside a round and the aggregator once.
follow_rounds() {
    first_kill=$((rounds / 3)) second_kill=$((2 * rounds / 3))
    waited=0
    until "$aggregator_program" task status "$1" --home "$dir/aggregator" --json >"$3" 2>/dev/null &&
        [ "$(ask "$3" .state)" = done ]; do
        print_new_lines
        [ $((waited % 20)) != 5 ] || sample_memory
        trained=$(grep "\"task\":\"$1\"" "$dir/rounds.jsonl" 2>/dev/null |
            grep -c '"stage":"train","state":"committed"' || true)
        trained=${trained:-0}
        if [ "$2" = yes ] && [ "$kills_shop" = 0 ] && [ "$trained" -ge "$first_kill" ] && [ "$victims" -le "$shops" ]; then
            if kill_shop_inside_a_round "$victims"; then :; fi
            print_new_lines
            start_shop "$victim"
            say "      $victim is back"
            victims=$((victims + 1))
        elif [ "$2" = yes ] && [ "$kills_aggregator" = 0 ] && [ "$trained" -ge "$second_kill" ]; then
            kill_aggregator
        fi
        kill -0 "$aggregator_pid" 2>/dev/null || fail "the aggregator ended; see $dir/log/aggregator.log"
        waited=$((waited + 1))
        [ $waited -lt 3000 ] || fail "the task is not done after $waited looks; see $dir/log"
        sleep 0.1
    done
    print_new_lines
}

# score TASK NAME TASK_FILE: the model, verified, and how it does on the pooled rows, in NAME.json and NAME.baseline.json.
score() {
    "$aggregator_program" model export "$1" --home "$dir/aggregator" --format json --out "$dir/$2.json" \
        >"$dir/log/export-$2.log" || fail "exporting the model failed"
    "$verify_program" release "$dir/$2.json" >"$dir/log/verify-$2.log" || fail "the exported model does not verify"
    homes=
    for name in $(shop_names); do homes="$homes $dir/shops/$name"; done
    # shellcheck disable=SC2086 # a list of folders
    "$simulate_program" baseline --task "$3" --model "$dir/$2.json" --json $homes >"$dir/$2.baseline.json" \
        2>"$dir/log/baseline-$2.log" || fail "computing the baselines failed; see $dir/log/baseline-$2.log"
}

report() {
    score cj_return model "$dir/task.yaml"
    private=null
    if [ -z "$no_private" ]; then
        score cj_return_private private "$dir/task_private.yaml"
        "$aggregator_program" report model cj_return_private --home "$dir/aggregator" --format json \
            --out "$dir/report.json" >/dev/null || fail "the report failed"
        "$verify_program" report "$dir/report.json" >"$dir/log/verify-report.log" || fail "the report does not verify"
        private=$(jq -n --slurpfile base "$dir/private.baseline.json" --slurpfile model "$dir/private.json" \
            --slurpfile task "$dir/task_private.json" '
            $model[0].statement as $s |
            $base[0].federated + {
              epsilon: $s.guarantee.epsilon, epsilon_pld: $s.guarantee.charged.pld, delta: $s.guarantee.delta,
              m_stores: $s.mechanism.m_stores, z_eff: $s.mechanism.z_eff, rounds_charged: $s.rounds.charged,
              rounds_abandoned: ($task[0].rounds | map(select(.state == "abandoned")) | length)
            }') || fail "putting the private figures together failed"
    fi
    seconds=$(awk "BEGIN { printf \"%.1f\", $(now) - $begin }")
    # Uploads alone: what came in, over the committed training rounds, a shop.
    jq -n --slurpfile base "$dir/model.baseline.json" --slurpfile task "$dir/task.json" --argjson private "$private" \
        --argjson kills_shop "$kills_shop" --argjson kills_aggregator "$kills_aggregator" \
        --argjson vault "$rss_vault" --argjson courier "$rss_courier" --argjson aggregator "$rss_aggregator" \
        --argjson seconds "$seconds" --argjson shops "$shops" '
        ($task[0].rounds | map(select(.state == "committed"))) as $done |
        ($done | map(select(.stage == "train"))) as $train |
        {
          shops: $shops,
          rounds_committed: ($done | length),
          rounds_abandoned: ($task[0].rounds | map(select(.state == "abandoned")) | length),
          private: $private,
          federated: $base[0].federated, pooled: $base[0].pooled, alone: $base[0].alone,
          kills: { shop: $kills_shop, aggregator: $kills_aggregator },
          bytes_up_per_shop_round: (($train | map(.bytes_in) | add) / ($train | map(.survivors) | add) | round),
          rss: { vault: ($vault * 1024), courier: ($courier * 1024), aggregator: ($aggregator * 1024) },
          seconds: $seconds
        }' >"$dir/figures.json" || fail "putting the figures together failed"
    [ -z "$json" ] || cp "$dir/figures.json" "$json"
    jq -r '
        def f4: . * 10000 | round / 10000;
        def f2: . * 100 | round / 100;
        "",
        "                         test AUC   train objective",
        (if .private == null then empty else
        "federated, private       \(.private.auc | f4)     \(.private.objective | f4)" +
        "     epsilon \(.private.epsilon | f2) (PLD \(.private.epsilon_pld | f2)), delta \(.private.delta)," +
        " a household in up to \(.private.m_stores) shops" end),
        "federated, no noise      \(.federated.auc | f4)     \(.federated.objective | f4)",
        "pooled data              \(.pooled.auc | f4)     \(.pooled.objective | f4)",
        "each shop alone          \(.alone.auc_mean | f4)     (mean)",
        "",
        "\(.rounds_committed) rounds committed, \(.rounds_abandoned) abandoned; one shop killed inside a round: " +
        "\(.kills.shop), aggregator killed: \(.kills.aggregator); \(.seconds) s",
        "bytes up, a shop and round: \(.bytes_up_per_shop_round); memory (MiB): vault " +
        "\(.rss.vault / 1048576 | floor), courier \(.rss.courier / 1048576 | floor), aggregator " +
        "\(.rss.aggregator / 1048576 | floor)"' "$dir/figures.json"
    if [ -z "$own_folder" ]; then
        echo "model: $dir/model.json   log: $dir/log/aggregator.log   database: $dir/aggregator/fedtill.db"
        [ -n "$no_private" ] || echo "private model: $dir/private.json   its statement: fedtill-verify release $dir/private.json"
    else
        echo "the folder is removed; --keep or --dir keeps model, log and database"
    fi
}

run_demo() {
    trap stop_everything EXIT
    trap 'exit 130' INT TERM
    begin=$(now)
    make_folder
    say "Making a federation of $shops shops in $dir ..."
    make_aggregator
    for name in $(shop_names); do make_shop "$name"; done
    sign_roster
    make_tasks
    kills_shop=0 kills_aggregator=0 victims=2
    if [ -z "$no_private" ]; then
        say "Training with noise: epsilon 8, delta 1e-5 for each household ..."
        train cj_return_private "$dir/task_private.yaml" yes "$dir/task_private.json"
        say "The same without noise, to compare ..."
        train cj_return "$dir/task.yaml" no "$dir/task.json"
    else
        train cj_return "$dir/task.yaml" yes "$dir/task.json"
    fi
    report
}
