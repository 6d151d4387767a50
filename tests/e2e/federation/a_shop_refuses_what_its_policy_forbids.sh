#!/bin/sh
# Six shops accept; six others each forbid something else. Each says so by its code, in the register and to its own
# operator, and the task runs to its end without them.
. "$(dirname "$0")/lib.sh"
shops=$(largest 12)
make_aggregator
# shellcheck disable=SC2086 # a list of names
add_shops $shops
sign_roster
nth() { echo "$shops" | sed -n "${1}p"; }
forbid() { # forbid SHOP SED
    before=$(cat "$(shop_home "$1")/policy.yaml")
    sed -i "$2" "$(shop_home "$1")/policy.yaml"
    [ "$before" != "$(cat "$(shop_home "$1")/policy.yaml")" ] || fail "the edit of $1 changes nothing"
}
forbid "$(nth 7)" 's|train/propensity|score/propensity|g'
forbid "$(nth 8)" '/transactions.coupon/d'
forbid "$(nth 9)" 's/clip_max: 10/clip_max: 2/'
forbid "$(nth 10)" 's/rounds_max: 500,/rounds_max: 1,/'
forbid "$(nth 11)" 's/^unnoised: .*/unnoised: refuse/'
forbid "$(nth 12)" 's/^min_customers: .*/min_customers: 100000/'
# A task that withstands fewer colluding shops than the roster reckons with would be refused by all of them: not published.
make_task cj_return.yaml 's/^  rounds: .*/  rounds: 2/' 's/corrupted: 2/corrupted: 1/'
expect 0 "$aggregator" task check "$dir/task.yaml" --home "$home"
says "warning: cohort.corrupted is 1, and the roster"
sign_task
expect 78 "$aggregator" task publish "$dir/task.signed" --home "$home"
says "cohort.corrupted is 1, and the roster says that up to 2 shops may collude"
make_task cj_return.yaml 's/^  rounds: .*/  rounds: 2/'
expect 0 "$aggregator" task check "$dir/task.yaml" --home "$home"
says_not warning
publish
for shop in $shops; do start_shop "$shop" --until-done; done
eventually "the task's end" task_is done
told() { # told SHOP NUMBER NAME [WORD]: in the register, and by policy explain to the operator
    eventually "the verdict $3 of $1" verdict "$1" "$2"
    ended "$(shop_pid "$1")" 0
    expect 77 "$client" policy explain --task "$task" --home "$(shop_home "$1")"
    says "$3"
    [ -z "${4:-}" ] || says "$4"
    expect 0 "$client" task list --home "$(shop_home "$1")" --json
    says "$3"
}
told "$(nth 7)" 11 PURPOSE_NOT_ALLOWED
told "$(nth 8)" 12 COLUMN_NOT_ALLOWED coupon
told "$(nth 9)" 22 CLIP_TOO_LARGE
told "$(nth 10)" 24 ROUNDS_TOO_MANY
told "$(nth 11)" 15 UNNOISED_NOT_ALLOWED
told "$(nth 12)" 27 CUSTOMERS_TOO_FEW
[ "$(ask '[.rounds[] | select(.state == "committed") | .survivors] | unique == [6]')" = true ] ||
    fail "a shop that refused took part"
