#!/bin/sh
# Before a task with noise is signed, `task check` says what it costs and what it takes; whatever cannot be is refused with
# its arithmetic (78), and nothing is written by `task sign`.
. "$(dirname "$0")/lib.sh"
expect 0 "$aggregator" init --home "$home" --listen 127.0.0.1:7443
make_task cj_return_private.yaml
expect 0 "$aggregator" task check "$dir/task.yaml"
says "privacy      epsilon 7.99"
says "by PLD, at delta 1e-05 (at most 1/(10 n_pub) = 0.000102)"
says "a sum has at least 10 shops, or is not revealed"
expect 0 "$aggregator" task check "$dir/task.yaml" --json
jq -e '.privacy | .epsilon_rdp <= 8 and .epsilon_rdp > 7.99 and .epsilon_pld < .epsilon_rdp and .t_min == 8 and
    .least_shops == 10 and .noise_for_epsilon_pld < .noise_for_epsilon_rdp and .z_eff >= .noise_for_epsilon_rdp and
    .bits_needed < 32 and .signal_to_noise > 5' "$dir/out" >/dev/null || fail "the arithmetic of task check"

# The other way round: a noise is given, its epsilon comes out.
z=$(jq .privacy.z_eff "$dir/out")
make_task cj_return_private.yaml "s/^  epsilon: 8/  noise_multiplier: $z/"
expect 0 "$aggregator" task check "$dir/task.yaml" --json
jq -e '.privacy.epsilon_rdp | . > 7.99 and . < 8.01' "$dir/out" >/dev/null || fail "epsilon of a noise"

refused() { # refused WORDS SED...
    words=$1
    shift
    make_task cj_return_private.yaml "$@"
    expect 78 "$aggregator" task check "$dir/task.yaml"
    says "$words"
    expect 78 "$aggregator" task sign "$dir/task.yaml" --home "$home" --key "$home/task-signing.key" --out "$dir/no.signed"
    [ ! -e "$dir/no.signed" ] || fail "a refused task was signed"
}
refused "'clip' is '0', expected a number above 0" 's/^  clip: 2 /  clip: 0 /'
refused "'clip' is '-1', expected a number above 0" 's/^  clip: 2 /  clip: -1 /'
refused "clip" 's/^  clip: 2 /  clip: .nan /'
refused "delta" 's/^  delta: .*/  delta: 0.5/'
refused "0.0005 is above 1/(10 n_pub) = 0.000102 for the 980 customers" 's/^  delta: .*/  delta: 5.0e-4/'
refused "no noise multiplier up to 1000 reaches 0.001" 's/^  epsilon: 8/  epsilon: 0.001/'
refused "wider lanes" 's/lane_bits: 32/lane_bits: 21/'
refused "n_min 11 would do" 's/n_min: 11/n_min: 9/'
refused "981 of 980 customers" 's/^  expected_customers: 980/  expected_customers: 981/'
refused "privacy.shops names 10 shops, expected at least cohort.n_min 11" '/store-427, customers/d' '/store-424, customers/d'

# Unit store: noise hides a whole shop. The numbers are told, with a warning where rounds are many for so few shops; what
# contradicts the unit is refused at its place.
make_task cj_return_store.yaml
expect 0 "$aggregator" task check "$dir/task.yaml"
says "for one shop zeroed out (it still takes part and adds its noise), over T = 4 rounds of noise z_eff 1.04"
says "sampling     none, q = 1: each of the 12 named shops in every round"
says "unit store   noise hides one of 12 shops"
make_task cj_return_store.yaml 's/^  rounds: 1$/  rounds: 100/' 's/^  spare_rounds: 1 /  spare_rounds: 0 /'
expect 0 "$aggregator" task check "$dir/task.yaml"
says "WARNING      noise hides one of 12 shops, so unit store is for hundreds of shops or few rounds: T = 102 sums"
says "take a multiplier of 5.274 by RDP, 4.848 by PLD"
expect 0 "$aggregator" task check "$dir/task.yaml" --json
jq -e '.privacy | .unit == "store" and .q == 1 and .n_pub == 12 and .m_stores == 1 and .epsilon_rdp <= 8 and
    .epsilon_rdp > 7.98 and .noise_for_epsilon_rdp > 5.27 and .noise_for_epsilon_rdp < 5.28 and
    .noise_for_epsilon_pld > 4.84 and .noise_for_epsilon_pld < 4.86 and .signal_to_noise < 1 and
    .unit_store.too_few_shops and .unit_store.noise_for_few_rounds < 1' "$dir/out" >/dev/null || fail "the arithmetic of unit store"
refused_store() { # refused_store WORDS SED...
    words=$1
    shift
    make_task cj_return_store.yaml "$@"
    expect 78 "$aggregator" task check "$dir/task.yaml"
    says "$words"
}
refused_store "3: privacy.noise is none, expected discrete-gaussian: unit store is a claim about shops" \
    's/^  noise: .*/  noise: none/'
refused_store "'customers' is 90, but with unit store each shop counts as one" 's/{shop: store-292}/{shop: store-292, customers: 90}/'
refused_store "privacy.m_stores is 4, expected 1" 's/^  spare_rounds: .*/  m_stores: 4/'
refused_store "privacy.expected_customers is 6, expected 12" 's/^  spare_rounds: .*/  expected_customers: 6/'
refused_store "missing key 'customers', expected a whole number from 1" 's/^unit: store/unit: customer/'

# What leaves carries its statement: without a model there is none, and a budget lists the task with nothing spent.
make_task cj_return_private.yaml
publish
expect 0 "$aggregator" budget --home "$home" --json
jq -e '.tasks[0] | .rounds_charged == 0 and .rounds_planned == 34 and .rounds_left == 34 and .unit == "customer" and
    .guarantee.delta == 1e-5 and .guarantee.planned.rdp <= 8' "$dir/out" >/dev/null || fail "the budget"
expect 0 "$aggregator" budget --home "$home"
says "rounds 0 of 34, 34 left"
expect 66 "$aggregator" budget no_such_task --home "$home"
expect 66 "$aggregator" report model cj_return_private --home "$home"
expect 64 "$aggregator" report model cj_return_private --home "$home" --format pdf
expect 66 "$bin/fedtill-verify" release "$dir/none"
echo '{"a": 1}' >"$dir/some.json"
for kind in release statement report; do expect 65 "$bin/fedtill-verify" "$kind" "$dir/some.json"; done
