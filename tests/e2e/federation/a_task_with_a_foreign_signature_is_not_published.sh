#!/bin/sh
# Only a task that a pinned key has signed gets into the register; one changed byte is enough to be refused with 76.
. "$(dirname "$0")/lib.sh"
make_aggregator
make_task cj_return.yaml
sign_task
expect 0 "$aggregator" init --home "$dir/other" --listen 127.0.0.1:1

# Another federation's key.
cp "$dir/task.signed" "$dir/good"
sign_task "$dir/other/task-signing.key"
expect 76 "$aggregator" task publish "$dir/task.signed" --home "$home"
# One changed bit, near the start, the middle and the end.
size=$(stat -c %s "$dir/good")
for at in 40 $((size / 2)) $((size - 3)); do
    cp "$dir/good" "$dir/bent"
    byte=$(od -An -tu1 -j "$at" -N 1 "$dir/good" | tr -d ' ')
    # shellcheck disable=SC2059 # an octal escape
    printf "\\$(printf %o $((byte ^ 1)))" | dd of="$dir/bent" bs=1 seek="$at" conv=notrunc 2>/dev/null
    code=0
    "$aggregator" task publish "$dir/bent" --home "$home" >"$dir/out" 2>"$dir/err" || code=$?
    case $code in
    76 | 65) ;;
    *) fail "a task bent at byte $at ended with $code" ;;
    esac
done
[ "$("$aggregator" task list --home "$home" --json | jq '.tasks | length')" = 0 ] || fail "a refused task is in the register"
expect 0 "$aggregator" task publish "$dir/good" --home "$home"
