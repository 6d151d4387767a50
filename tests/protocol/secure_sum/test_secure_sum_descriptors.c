/* Which announced sessions a shop joins: every rule of section 4 has a descriptor that breaks it alone. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "world.h"

#include "common/secure_sum/prg.h"

#include <string.h>

typedef void edit(struct ft_ss_descriptor *d);

/* Each names the one thing it changes. */
#define EDIT(name, statement)                                                                                \
    static void name(struct ft_ss_descriptor *d)                                                             \
    {                                                                                                        \
        statement;                                                                                           \
    }
EDIT(unchanged, (void)d)
EDIT(next_version, d->version = 2)
EDIT(unknown_suite, d->suite = 3)
EDIT(other_suite, d->suite = FT_SS_SUITE_AES256CTR)
EDIT(other_deployment, d->deployment[0] ^= 1)
EDIT(other_task, d->task_hash[0] ^= 1)
EDIT(other_epoch, d->epoch++)
EDIT(other_directory, d->directory_root[31] ^= 1)
EDIT(other_model, d->model_hash[3] ^= 1)
EDIT(lower_n_min, d->n_min--)
EDIT(lower_h_min, d->h_min--)
EDIT(lower_corrupted, d->corrupted--)
EDIT(no_corrupted, d->corrupted = 0)
EDIT(lower_sigma, d->sigma = 39)
EDIT(more_dropouts, d->drop_permille++)
EDIT(wider_clip, d->clip = 1.5; d->quant_step = d->clip / d->quant_max)
EDIT(narrower_clip, d->clip = 0.5; d->quant_step = d->clip / d->quant_max)
EDIT(higher_n_min, d->n_min++)
EDIT(higher_corrupted, d->corrupted++)
EDIT(smaller_dim, d->dim--)
EDIT(deadline_over, d->deadline_ms = UINT64_C(1700000000000))
EDIT(deadline_far, d->deadline_ms += UINT64_C(3600000))
EDIT(nan_clip, d->clip = 0.0 / 0.0)
EDIT(negative_step, d->quant_step = -1)
EDIT(big_quant, d->quant_max = UINT32_MAX)
EDIT(no_check_lanes, d->check_lanes = 0)
EDIT(huge_dim, d->dim = UINT64_MAX)
EDIT(no_round, d->round = 0)
EDIT(other_eta, d->eta++)

static const struct {
    edit *edit;
    enum ft_ss_abort expected;
} cases[] = {
    { unchanged, FT_SS_ABORT_NONE },
    { next_version, FT_SS_ABORT_DESCRIPTOR_FORM },
    { unknown_suite, FT_SS_ABORT_DESCRIPTOR_FORM },
    { other_suite, FT_SS_ABORT_TASK_LIMIT },
    { other_deployment, FT_SS_ABORT_DEPLOYMENT },
    { other_task, FT_SS_ABORT_TASK_UNKNOWN },
    { other_epoch, FT_SS_ABORT_EPOCH },
    { other_directory, FT_SS_ABORT_DIRECTORY },
    { other_model, FT_SS_ABORT_MODEL },
    { lower_n_min, FT_SS_ABORT_N_MIN },
    { lower_h_min, FT_SS_ABORT_H_MIN },
    { lower_corrupted, FT_SS_ABORT_CORRUPTED },
    { no_corrupted, FT_SS_ABORT_CORRUPTED },
    { lower_sigma, FT_SS_ABORT_SIGMA },
    { more_dropouts, FT_SS_ABORT_DROP_RATE },
    { wider_clip, FT_SS_ABORT_CLIP },
    { narrower_clip, FT_SS_ABORT_TASK_LIMIT },
    { higher_n_min, FT_SS_ABORT_TASK_LIMIT },
    { higher_corrupted, FT_SS_ABORT_TASK_LIMIT },
    { smaller_dim, FT_SS_ABORT_TASK_LIMIT },
    { deadline_over, FT_SS_ABORT_DEADLINE_PAST },
    { deadline_far, FT_SS_ABORT_DEADLINE_FAR },
    { nan_clip, FT_SS_ABORT_DESCRIPTOR_FORM },
    { negative_step, FT_SS_ABORT_DESCRIPTOR_FORM },
    { big_quant, FT_SS_ABORT_DESCRIPTOR_FORM },
    { no_check_lanes, FT_SS_ABORT_DESCRIPTOR_FORM },
    { huge_dim, FT_SS_ABORT_DESCRIPTOR_FORM },
    { no_round, FT_SS_ABORT_NONE },
    { other_eta, FT_SS_ABORT_TASK_LIMIT },
};

/* A world whose shops ask for exactly what the task asks, so that any weaker descriptor is below both. */
static void
open_world(struct world *w)
{
    struct world_options o = world_options(61, 9, 2, 2);
    o.n_min = 5;
    o.h_min = 3;
    world_open(w, &o);
}

/* One rule broken at a time: the code of that rule, no state, no journal entry, and a signed Abort that names
 * it. */
static void
secure_sum_descriptor_that_breaks_a_rule_is_refused_with_its_code(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world w;
        struct ft_ss_descriptor d;
        struct ft_buf announce = { 0 };
        struct ft_ss_up up;
        enum ft_ss_action action;
        struct shop *shop;

        open_world(&w);
        shop = &w.shops[3];
        d = w.descriptor;
        cases[i].edit(&d);
        if (world_judge(&w, 3, &d) != cases[i].expected)
            fail_msg("case %zu: %s, not %s", i, ft_ss_abort_name(world_judge(&w, 3, &d)),
                     ft_ss_abort_name(cases[i].expected));
        world_announce(&w, &d, &announce);
        assert_int_equal(
            ft_ss_client_join(shop->client, ft_buf_bytes(&announce), &shop->facts, &shop->answer, &action),
            FT_OK);
        assert_int_equal(ft_ss_up_decode(ft_buf_bytes(&shop->answer), &up), FT_OK);
        if (cases[i].expected == FT_SS_ABORT_NONE) {
            assert_int_equal(action, FT_SS_ANSWER);
            assert_int_equal(up.kind, FT_SS_UP_JOIN);
            assert_int_equal(shop->journal_count, 1);
        } else {
            assert_int_equal(action, FT_SS_ABORTED);
            assert_int_equal(up.kind, FT_SS_UP_ABORT);
            assert_int_equal(up.code, cases[i].expected);
            assert_int_equal(ft_ss_client_state(shop->client), FT_SS_CLIENT_IDLE);
            assert_int_equal(shop->journal_count, 0);
        }
        ft_ss_up_clear(&up);
        ft_buf_clear(&announce);
        world_close(&w);
    }
}

/* Limits of the shop's own policy count even where the task agrees with the descriptor. */
static void
secure_sum_local_policy_outranks_the_task(void **state)
{
    struct world w;
    struct ft_ss_client *strict;
    struct ft_ss_client_config config;
    struct ft_buf announce = { 0 };
    (void)state;

    open_world(&w);
    world_announce(&w, &w.descriptor, &announce);
    for (int c = 0; c < 9; c++) {
        static const enum ft_ss_abort expected[] = { FT_SS_ABORT_N_MIN,       FT_SS_ABORT_H_MIN,
                                                     FT_SS_ABORT_CORRUPTED,   FT_SS_ABORT_SIGMA,
                                                     FT_SS_ABORT_DROP_RATE,   FT_SS_ABORT_CLIP,
                                                     FT_SS_ABORT_SUITE,       FT_SS_ABORT_WORDS,
                                                     FT_SS_ABORT_DEADLINE_FAR };
        config = w.shops[3].config;
        config.limits.n_min += c == 0;
        config.limits.h_min += c == 1;
        config.limits.corrupted += c == 2;
        config.limits.sigma = (uint8_t)(config.limits.sigma + (c == 3));
        config.limits.drop_permille = (uint16_t)(config.limits.drop_permille - (c == 4));
        config.limits.clip -= c == 5 ? 0.001 : 0;
        config.limits.suites[FT_SS_SUITE_CHACHA20] = c != 6;
        config.limits.words_max = c == 7 ? w.codec.words - 1 : w.codec.words;
        config.limits.deadline_ms_max -= c == 8;
        assert_int_equal(ft_ss_client_open(&config, &strict), FT_OK);
        assert_int_equal(ft_ss_client_check(strict, ft_buf_bytes(&announce), &w.shops[3].facts, NULL, NULL),
                         expected[c]);
        ft_ss_client_close(strict);
    }
    ft_buf_clear(&announce);
    world_close(&w);
}

/* A roster that says more colluders than the descriptor outranks it too. */
static void
secure_sum_descriptor_below_the_rosters_corruption_bound_is_refused(void **state)
{
    struct world w;
    (void)state;
    open_world(&w);
    w.roster.corrupted = 3;
    assert_int_equal(world_judge(&w, 3, &w.descriptor), FT_SS_ABORT_CORRUPTED);
    world_close(&w);
}

/* Suspended, revoked or expired shops do not join. */
static void
secure_sum_shop_that_is_not_active_does_not_join(void **state)
{
    struct world w;
    (void)state;
    open_world(&w);
    w.roster.members[3].status = FT_SS_SUSPENDED;
    assert_int_equal(world_judge(&w, 3, &w.descriptor), FT_SS_ABORT_NOT_ACTIVE);
    w.roster.members[3].status = FT_SS_ACTIVE;
    w.roster.members[3].not_after_ms = 1;
    assert_int_equal(world_judge(&w, 3, &w.descriptor), FT_SS_ABORT_NOT_ACTIVE);
    world_close(&w);
}

/* Not signed by the pinned key, cut or garbled: no session, whatever the descriptor says. */
static void
secure_sum_announcement_must_be_signed_by_the_pinned_key(void **state)
{
    struct world w;
    struct ft_buf announce = { 0 };
    enum ft_ss_action action;
    struct shop *shop;
    uint8_t pk[32], mine[64];
    (void)state;

    open_world(&w);
    shop = &w.shops[3];
    memcpy(mine, w.aggregator_sk, 64);
    crypto_sign_keypair(pk, w.aggregator_sk);
    world_announce(&w, &w.descriptor, &announce);
    memcpy(w.aggregator_sk, mine, 64);
    assert_int_equal(ft_ss_client_check(shop->client, ft_buf_bytes(&announce), &shop->facts, NULL, NULL),
                     FT_SS_ABORT_VIEW_SIGNATURE);
    assert_int_equal(
        ft_ss_client_join(shop->client, ft_buf_bytes(&announce), &shop->facts, &shop->answer, &action),
        FT_OK);
    assert_int_equal(action, FT_SS_ABORTED);
    assert_int_equal(ft_ss_client_state(shop->client), FT_SS_CLIENT_IDLE);
    world_announce(&w, &w.descriptor, &announce);
    for (size_t size = 0; size < announce.size; size++) {
        assert_int_not_equal(
            ft_ss_client_check(shop->client, FT_BYTES(announce.data, size), &shop->facts, NULL, NULL),
            FT_SS_ABORT_NONE);
        assert_int_equal(ft_ss_client_join(shop->client, FT_BYTES(announce.data, size), &shop->facts,
                                           &shop->answer, &action),
                         FT_OK);
        assert_int_not_equal(action, FT_SS_ANSWER);
    }
    assert_int_equal(shop->journal_count, 0);
    ft_buf_clear(&announce);
    world_close(&w);
}

/* The journal: rounds and attempts strictly increase, and a spent round stays spent whatever attempt is
 * named. */
static void
secure_sum_round_of_the_past_is_refused(void **state)
{
    struct world w;
    struct ft_ss_descriptor d;
    struct ft_ss_journal_record record = { .round = 7, .attempt = 1, .step = FT_SS_STEP_SHARES };
    struct shop *shop;
    (void)state;

    open_world(&w);
    shop = &w.shops[3];
    d = w.descriptor;
    ft_ss_journal_fold(&shop->facts.journal, &record);
    assert_int_equal(world_judge(&w, 3, &d), FT_SS_ABORT_ROUND_REPLAYED);
    d.attempt = 2; /* nothing left the shop in attempt 1: it may be attempted again */
    assert_int_equal(world_judge(&w, 3, &d), FT_SS_ABORT_NONE);
    d.round = 6;
    d.attempt = 9;
    assert_int_equal(world_judge(&w, 3, &d), FT_SS_ABORT_ROUND_REPLAYED);
    record.step = FT_SS_STEP_MASKED;
    record.spent = true;
    ft_ss_journal_fold(&shop->facts.journal, &record);
    d.round = 7;
    d.attempt = 2;
    assert_int_equal(world_judge(&w, 3, &d), FT_SS_ABORT_ROUND_SPENT);
    d.round = 8;
    d.attempt = 1;
    assert_int_equal(world_judge(&w, 3, &d), FT_SS_ABORT_NONE);
    shop->facts.ledger_can_pay = false;
    assert_int_equal(world_judge(&w, 3, &d), FT_SS_ABORT_LEDGER);
    world_close(&w);
}

/* A caller that forgets to pass its journal on does not make the client forget: what it appended itself
 * counts. */
static void
secure_sum_client_remembers_what_it_journalled(void **state)
{
    struct world w;
    struct ft_ss_descriptor d;
    struct ft_buf unused = { 0 };
    (void)state;
    open_world(&w);
    for (int turn = 0; turn < 4; turn++)
        world_pump(&w); /* through MASKED */
    assert_int_equal(w.shops[3].facts.journal.any, 0);
    assert_int_equal(ft_ss_client_cancel(w.shops[3].client, &unused), FT_OK);
    d = w.descriptor;
    d.attempt++;
    assert_int_equal(world_judge(&w, 3, &d), FT_SS_ABORT_ROUND_SPENT);
    d.round--;
    assert_int_equal(world_judge(&w, 3, &d), FT_SS_ABORT_ROUND_REPLAYED);
    d.round += 2;
    assert_int_equal(world_judge(&w, 3, &d), FT_SS_ABORT_NONE);
    ft_buf_clear(&unused);
    world_close(&w);
}

/* The model must follow from the result this shop saw; one it trained on comes again only after a failed
 * round, with its old lineage, and without noise only if policy accepts that. */
static void
secure_sum_model_must_follow_from_the_last_result(void **state)
{
    struct world w;
    struct ft_ss_descriptor d;
    struct ft_ss_facts *facts;
    (void)state;

    open_world(&w);
    facts = &w.shops[3].facts;
    facts->previous = (struct ft_ss_previous){ .any = true, .round = 6, .result_known = true };
    memset(facts->previous.model_hash, 1, 32);
    memset(facts->previous.result_hash, 2, 32);
    memset(facts->previous.lineage_hash, 3, 32);
    d = w.descriptor;
    assert_int_equal(world_judge(&w, 3, &d), FT_SS_ABORT_LINEAGE);
    ft_ss_derive_lineage(d.lineage_hash, facts->previous.model_hash, facts->previous.result_hash);
    assert_int_equal(world_judge(&w, 3, &d), FT_SS_ABORT_NONE);
    facts->previous.round = 5; /* a round in between was missed: its result is not known here */
    d.lineage_hash[0] ^= 1;
    assert_int_equal(world_judge(&w, 3, &d), FT_SS_ABORT_NONE);

    /* Nor one from before the last: whoever goes back by two models, and skips a round number besides, is refused too. */
    facts->model_trained_on = true;
    assert_int_equal(world_judge(&w, 3, &d), FT_SS_ABORT_MODEL_REPEATED);
    facts->previous.result_known = false; /* a failed round since does not change that: it was on another model */
    assert_int_equal(world_judge(&w, 3, &d), FT_SS_ABORT_MODEL_REPEATED);
    facts->previous.result_known = true;

    memcpy(facts->previous.model_hash, d.model_hash, 32);
    assert_int_equal(world_judge(&w, 3, &d), FT_SS_ABORT_MODEL_REPEATED);
    facts->previous.result_known = false; /* the last round failed */
    assert_int_equal(world_judge(&w, 3, &d), FT_SS_ABORT_LINEAGE);
    memcpy(d.lineage_hash, facts->previous.lineage_hash, 32);
    assert_int_equal(world_judge(&w, 3, &d), FT_SS_ABORT_MODEL_REPEATED);

    struct ft_ss_client_config config = w.shops[3].config;
    struct ft_ss_client *lenient;
    struct ft_buf announce = { 0 };
    config.limits.repeat_model_unnoised = true;
    assert_int_equal(ft_ss_client_open(&config, &lenient), FT_OK);
    world_announce(&w, &d, &announce);
    assert_int_equal(ft_ss_client_check(lenient, ft_buf_bytes(&announce), facts, NULL, NULL),
                     FT_SS_ABORT_NONE);
    ft_ss_client_close(lenient);
    ft_buf_clear(&announce);
    world_close(&w);
}

/* Session after session with one client object: each round is joined once, and results chain. */
static void
secure_sum_rounds_follow_one_another(void **state)
{
    struct world w;
    (void)state;
    open_world(&w);
    for (int round = 0; round < 3; round++) {
        world_run(&w);
        world_check_sum(&w, 9);
        for (uint32_t i = 0; i < 9; i++) {
            struct shop *shop = &w.shops[i];
            struct ft_ss_previous *last = &shop->facts.previous;
            uint8_t t3[32];
            assert_true(shop->got_result);
            shop->got_result = false;
            last->any = last->result_known = true;
            last->round = w.descriptor.round;
            memcpy(last->model_hash, w.descriptor.model_hash, 32);
            memcpy(last->lineage_hash, w.descriptor.lineage_hash, 32);
            assert_true(ft_ss_client_result(shop->client, t3, last->result_hash));
            for (size_t r = 0; r < shop->journal_count; r++)
                ft_ss_journal_fold(&shop->facts.journal, &shop->journal[r]);
        }
        struct ft_ss_sum sum;
        assert_true(ft_ss_server_result(w.server, &sum));
        ft_ss_derive_lineage(w.descriptor.lineage_hash, w.descriptor.model_hash, sum.result_hash);
        memset(w.descriptor.model_hash, 0x40 + round, 32);
        w.descriptor.round++;
        for (uint32_t i = 0; i < 9; i++)
            memcpy(w.shops[i].facts.model_hash, w.descriptor.model_hash, 32);
        ft_ss_server_close(w.server);
        assert_int_equal(ft_ss_server_open(&w.config, &w.descriptor, &w.server, NULL), FT_OK);
    }
    world_close(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secure_sum_descriptor_that_breaks_a_rule_is_refused_with_its_code),
        cmocka_unit_test(secure_sum_local_policy_outranks_the_task),
        cmocka_unit_test(secure_sum_descriptor_below_the_rosters_corruption_bound_is_refused),
        cmocka_unit_test(secure_sum_shop_that_is_not_active_does_not_join),
        cmocka_unit_test(secure_sum_announcement_must_be_signed_by_the_pinned_key),
        cmocka_unit_test(secure_sum_round_of_the_past_is_refused),
        cmocka_unit_test(secure_sum_client_remembers_what_it_journalled),
        cmocka_unit_test(secure_sum_model_must_follow_from_the_last_result),
        cmocka_unit_test(secure_sum_rounds_follow_one_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
