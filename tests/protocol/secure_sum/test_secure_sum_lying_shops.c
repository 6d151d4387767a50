/*
 * Shops that lie: false shares, false escrows, false masks, garbage. The sum is right or the session fails,
 * and who lied stands in the bad pairs. Specification section 14, "Adversarial client".
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "world.h"

#include "common/secure_sum/client_internal.h"
#include "common/secure_sum/server_internal.h"

#include <string.h>

#define LIAR 3u

static uint8_t *mutable(struct ft_bytes bytes)
{
    return (uint8_t *)(uintptr_t)bytes.data;
}

/* Decode a shop's message, let `edit` change it, sign it as the shop would. False when it is of another kind.
 */
static bool
cheat(struct world *w, struct shop *shop, struct ft_buf *message, enum ft_ss_up_kind kind,
      void (*edit)(struct world *w, struct shop *shop, struct ft_ss_up *up))
{
    struct ft_ss_up up;
    struct ft_buf out = { 0 };
    bool ours;

    assert_int_equal(ft_ss_up_decode(ft_buf_bytes(message), &up), FT_OK);
    ours = up.kind == kind;
    if (ours) {
        const unsigned t = kind == FT_SS_UP_JOIN ? 0 : kind == FT_SS_UP_SHARES ? 1 : 3;
        edit(w, shop, &up);
        ft_ss_up_sign(&up, w->server->t[t], shop->sk);
        assert_int_equal(ft_ss_up_encode(&up, &out), FT_OK);
        ft_buf_clear(message);
        *message = out;
    }
    ft_ss_up_clear(&up);
    return ours;
}

/* Ten shops, three of them corrupt, three dropouts tolerated: k = 9, t = 7. */
static void
open_world(struct world *w, uint64_t seed)
{
    const struct world_options o = world_options(seed, 10, 3, 3);
    world_open(w, &o);
}

/* Bad pairs all have the liar in them, and there are exactly `expected`. */
static void
check_pairs(const struct world *w, uint32_t liar, size_t expected)
{
    size_t count;
    const struct ft_ss_bad_pair *pairs = ft_ss_server_bad_pairs(w->server, &count);
    assert_int_equal(count, expected);
    for (size_t i = 0; i < count; i++)
        assert_true(pairs[i].dealer == liar || pairs[i].other == liar);
}

static void
false_reveals(struct world *w, struct shop *shop, struct ft_ss_up *up)
{
    (void)shop;
    for (size_t at = 0; at < up->records.size; at += FT_SS_REVEAL_RECORD)
        ft_ss_scalar_random(&w->env.env, mutable(up->records) + at + 6);
}
static enum verdict
reveal_falsely(struct world *w, struct shop *shop, struct ft_buf *message)
{
    if (shop->id == LIAR)
        (void)cheat(w, shop, message, FT_SS_UP_UNMASK, false_reveals);
    return PASS;
}

/* A holder's false shares for a dropout are corrected as a Reed-Solomon code, and the holder stands in each
 * bad pair. */
static void
secure_sum_false_shares_are_decoded_and_named(void **state)
{
    int named = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct world w;
        size_t count;
        open_world(&w, seed);
        w.up = reveal_falsely;
        w.shops[8].silent_at = FT_SS_STEP_MASKED;
        world_run(&w);
        world_check_sum(&w, 9);
        (void)ft_ss_server_bad_pairs(w.server, &count);
        assert_true(count <= 1); /* none where the false share was not among the t first */
        check_pairs(&w, LIAR, count);
        named += (int)count;
        world_close(&w);
    }
    assert_true(named > 0);
}

static enum verdict
two_reveal_falsely(struct world *w, struct shop *shop, struct ft_buf *message)
{
    if (shop->id == LIAR || shop->id == 4)
        (void)cheat(w, shop, message, FT_SS_UP_UNMASK, false_reveals);
    return PASS;
}

/* Nine shares, two of them false, t = 7: the code bears one lie, but one of the 36 subsets of seven is all
 * true; where 64 tries miss it, Repair mends the sum. */
static void
secure_sum_more_false_shares_than_the_code_bears_are_mended(void **state)
{
    struct world w;
    size_t count;
    const struct ft_ss_bad_pair *pairs;
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        open_world(&w, seed);
        w.up = two_reveal_falsely;
        w.shops[8].silent_at = FT_SS_STEP_MASKED;
        world_run(&w);
        world_check_sum(&w, 9);
        pairs = ft_ss_server_bad_pairs(w.server, &count);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(pairs[i].dealer, 8);
            /* Found by a subset: the liars are named. By Repair instead: everybody's masks with 8 are news.
             */
            if (!w.server->repair_asked)
                assert_true(pairs[i].other == LIAR || pairs[i].other == 4);
        }
        world_close(&w);
    }
}

static enum verdict
six_reveal_falsely(struct world *w, struct shop *shop, struct ft_buf *message)
{
    if (shop->id % 6 == 1 && shop->id < 36)
        (void)cheat(w, shop, message, FT_SS_UP_UNMASK, false_reveals);
    return PASS;
}

/* 39 shares with six lies at t = 26, as many as the code bears: a t-subset without a lie is one in two
 * thousand, so it is the decoder that finds kappa, and it names all six and nobody else. */
static void
secure_sum_as_many_lies_as_the_code_bears_are_all_named(void **state)
{
    const struct world_options o = world_options(2, 40, 12, 1);
    struct world w;
    const struct ft_ss_bad_pair *pairs;
    size_t count;
    (void)state;
    world_open(&w, &o);
    w.up = six_reveal_falsely;
    w.shops[38].silent_at = FT_SS_STEP_MASKED;
    world_run(&w);
    assert_int_equal(w.server->params.t, 26);
    assert_false(w.server->repair_asked);
    world_check_sum(&w, 39);
    pairs = ft_ss_server_bad_pairs(w.server, &count);
    assert_int_equal(count, 6);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(pairs[i].dealer, 38);
        assert_int_equal(pairs[i].other % 6, 1);
    }
    world_close(&w);
}

static void
no_reveals(struct world *w, struct shop *shop, struct ft_ss_up *up)
{
    (void)w;
    (void)shop;
    up->records.size = 0;
}
static enum verdict
leave_shares_out(struct world *w, struct shop *shop, struct ft_buf *message)
{
    if (shop->id == LIAR)
        (void)cheat(w, shop, message, FT_SS_UP_UNMASK, no_reveals);
    return PASS;
}

/* A holder that answers without the shares it was dealt is named beside each dealer whose secret had to be
 * rebuilt. */
static void
secure_sum_left_out_shares_are_named(void **state)
{
    struct world w;
    (void)state;
    open_world(&w, 5);
    w.up = leave_shares_out;
    w.shops[7].silent_at = FT_SS_STEP_MASKED;
    w.shops[9].silent_at = FT_SS_STEP_MASKED;
    world_run(&w);
    world_check_sum(&w, 8);
    check_pairs(&w, LIAR, 2);
    world_close(&w);
}

static void
junk_reveals(struct world *w, struct shop *shop, struct ft_ss_up *up)
{
    (void)w;
    (void)shop;
    for (size_t at = 0; at < up->records.size; at += FT_SS_REVEAL_RECORD) {
        uint8_t *record = mutable(up->records) + at;
        switch (at / FT_SS_REVEAL_RECORD % 4) {
        case 0:
            memset(record + 6, 0xff, 32); /* not canonical */
            break;
        case 1:
            ft_put_u32(record, 0xFFFFFFF0u); /* no such dealer */
            break;
        case 2:
            ft_put_u16(record + 4, 0); /* no such place */
            break;
        case 3:
            memcpy(record, up->records.data, FT_SS_REVEAL_RECORD); /* twice */
            break;
        }
    }
}
static enum verdict
reveal_junk(struct world *w, struct shop *shop, struct ft_buf *message)
{
    if (shop->id == LIAR && cheat(w, shop, message, FT_SS_UP_UNMASK, junk_reveals))
        assert_int_equal(ft_ss_server_handle(w->server, shop->id, ft_buf_bytes(message)), FT_OK);
    return PASS;
}

/* Shares that are not canonical, of nobody, of no place or twice count as left out: the sum is right all the
 * same. */
static void
secure_sum_junk_shares_count_as_left_out(void **state)
{
    struct world w;
    size_t count;
    (void)state;
    open_world(&w, 6);
    w.up = reveal_junk;
    w.shops[7].silent_at = FT_SS_STEP_MASKED;
    w.shops[9].silent_at = FT_SS_STEP_MASKED;
    world_run(&w);
    world_check_sum(&w, 8);
    (void)ft_ss_server_bad_pairs(w.server, &count);
    check_pairs(&w, LIAR, count);
    world_close(&w);
}

static void
false_b(struct world *w, struct shop *shop, struct ft_ss_up *up)
{
    (void)shop;
    ft_ss_scalar_random(&w->env.env, up->b);
}
static enum verdict
own_b_falsely(struct world *w, struct shop *shop, struct ft_buf *message)
{
    if (shop->id == LIAR)
        (void)cheat(w, shop, message, FT_SS_UP_UNMASK, false_b);
    return PASS;
}

/* A false own b does not fit its commitment: it is rebuilt from the holders. */
static void
secure_sum_false_own_secret_is_rebuilt_from_holders(void **state)
{
    struct world w;
    (void)state;
    open_world(&w, 7);
    w.up = own_b_falsely;
    world_run(&w);
    world_check_sum(&w, 10);
    check_pairs(&w, LIAR, 0);
    world_close(&w);
}

static void
false_commitment(struct world *w, struct shop *shop, struct ft_ss_up *up)
{
    (void)w;
    (void)shop;
    up->commit_b[0] ^= 1;
}
static enum verdict
commit_falsely(struct world *w, struct shop *shop, struct ft_buf *message)
{
    if (shop->id == LIAR)
        (void)cheat(w, shop, message, FT_SS_UP_SHARES, false_commitment);
    return PASS;
}

/* A commitment that nothing fits: the self mask is lost, and the session fails. */
static void
secure_sum_false_commitment_fails_the_session(void **state)
{
    struct world w;
    (void)state;
    open_world(&w, 8);
    w.up = commit_falsely;
    world_run(&w);
    assert_int_equal(ft_ss_server_phase(w.server), FT_SS_FAILED);
    assert_int_equal(ft_ss_server_failure(w.server), FT_SS_END_FAILED_UNMASK);
    world_close(&w);
}

static void
bad_ciphertexts(struct world *w, struct shop *shop, struct ft_ss_up *up)
{
    (void)w;
    (void)shop;
    for (size_t at = 0; at < up->records.size; at += FT_SS_SHARE_RECORD)
        mutable(up->records)[at + 60] ^= 1;
}
static enum verdict
deal_garbage(struct world *w, struct shop *shop, struct ft_buf *message)
{
    if (shop->id == LIAR)
        (void)cheat(w, shop, message, FT_SS_UP_SHARES, bad_ciphertexts);
    return PASS;
}

/* A dealer whose shares nobody can open, and that then drops out: its kappa is lost, Repair finds the masks,
 * and more than F pairs show it lied. */
static void
secure_sum_dropout_that_dealt_garbage_is_repaired_around_and_barred(void **state)
{
    struct world w;
    (void)state;
    open_world(&w, 9);
    w.up = deal_garbage;
    w.shops[LIAR].silent_at = FT_SS_STEP_MASKED;
    world_run(&w);
    assert_true(w.server->repair_asked);
    world_check_sum(&w, 9);
    assert_true(ft_ss_server_barred(w.server, LIAR));
    for (uint32_t i = 0; i < 10; i++)
        assert_true(i == LIAR || !ft_ss_server_barred(w.server, i));
    for (uint32_t i = 0; i < 10; i++)
        assert_true(i == LIAR || w.shops[i].got_result);
    world_close(&w);
}

/* As above, but it stays: it sends its b itself, so nothing is missed. */
static void
secure_sum_survivor_that_dealt_garbage_costs_nothing(void **state)
{
    struct world w;
    (void)state;
    open_world(&w, 10);
    w.up = deal_garbage;
    world_run(&w);
    world_check_sum(&w, 10);
    world_close(&w);
}

/* The liar's escrow, sealed anew under its true kappa: first seed false, second edge left out. */
static void
false_escrow(struct world *w, struct shop *shop, struct ft_ss_up *up)
{
    struct ft_ss_client *c = shop->client;
    struct ft_ss_escrow_entry entries[16];
    size_t count = 0;
    for (size_t at = 0; at < c->edge_count; at++) {
        if (at == 1)
            continue;
        entries[count] = c->edges[at];
        if (at == 0)
            entries[count].seed[7] ^= 1;
        count++;
    }
    assert_int_equal(ft_ss_escrow_seal(&w->env.env, c->secret->kappa, c->t[1], shop->id, entries, count,
                                       c->params.e_max, up->escrow_nonce, mutable(up->escrow_ct)),
                     FT_OK);
}
static enum verdict
escrow_falsely(struct world *w, struct shop *shop, struct ft_buf *message)
{
    if (shop->id == LIAR)
        (void)cheat(w, shop, message, FT_SS_UP_SHARES, false_escrow);
    return PASS;
}

/* An escrow with a false seed and a missing edge: the check lanes show it, Repair mends it, and both pairs
 * are named. */
static void
secure_sum_false_escrow_is_repaired_and_named(void **state)
{
    struct world w;
    (void)state;
    open_world(&w, 11);
    w.up = escrow_falsely;
    w.shops[LIAR].silent_at = FT_SS_STEP_MASKED;
    w.shops[8].silent_at = FT_SS_STEP_UNMASK;
    world_run(&w);
    assert_true(w.server->repair_asked);
    world_check_sum(&w, 9);
    check_pairs(&w, LIAR, 2);
    assert_false(ft_ss_server_barred(w.server, LIAR)); /* two pairs are not more than F = 3 */
    world_close(&w);
}

static void
broken_escrow(struct world *w, struct shop *shop, struct ft_ss_up *up)
{
    (void)w;
    (void)shop;
    mutable(up->escrow_ct)[11] ^= 1;
}
static enum verdict
escrow_broken(struct world *w, struct shop *shop, struct ft_buf *message)
{
    if (shop->id == LIAR)
        (void)cheat(w, shop, message, FT_SS_UP_SHARES, broken_escrow);
    return PASS;
}

/* An escrow that does not open is repaired around; the aggregator may die in the middle of it. */
static void
crash_in_repair(struct world *w)
{
    if (ft_ss_server_phase(w->server) == FT_SS_REPAIRING && w->user == NULL) {
        w->user = w;
        world_restart_server(w, SIZE_MAX);
    }
}
static void
secure_sum_escrow_that_does_not_open_is_repaired_even_across_a_restart(void **state)
{
    (void)state;
    for (int crash = 0; crash < 2; crash++) {
        struct world w;
        open_world(&w, 12);
        w.up = escrow_broken;
        w.before = crash ? crash_in_repair : NULL;
        w.shops[LIAR].silent_at = FT_SS_STEP_MASKED;
        world_run(&w);
        assert_true(w.server->repair_asked);
        assert_true(!crash || w.user != NULL);
        world_check_sum(&w, 9);
        assert_true(ft_ss_server_barred(w.server, LIAR));
        world_close(&w);
    }
}

static void
false_repair(struct world *w, struct shop *shop, struct ft_ss_up *up)
{
    (void)w;
    (void)shop;
    for (size_t at = 0; at < up->records.size; at += FT_SS_REPAIR_RECORD)
        mutable(up->records)[at + 9] ^= 1;
}
static enum verdict
two_lies(struct world *w, struct shop *shop, struct ft_buf *message)
{
    if (shop->id == LIAR)
        (void)cheat(w, shop, message, FT_SS_UP_SHARES, false_escrow);
    if (shop->id == 5)
        (void)cheat(w, shop, message, FT_SS_UP_REPAIR, false_repair);
    return PASS;
}

/* A survivor that lies in Repair spoils the sum no more than a false input would: the check lanes fail the
 * session. */
static void
secure_sum_false_repair_fails_the_session(void **state)
{
    struct world w;
    (void)state;
    open_world(&w, 13);
    w.up = two_lies;
    w.shops[LIAR].silent_at = FT_SS_STEP_MASKED;
    world_run(&w);
    assert_int_equal(ft_ss_server_phase(w.server), FT_SS_FAILED);
    assert_int_equal(ft_ss_server_failure(w.server), FT_SS_END_FAILED_SUM);
    world_close(&w);
}

static void
spoil_vector(struct world *w, struct shop *shop, struct ft_buf *words, struct ft_buf *trailer)
{
    struct ft_ss_trailer t;
    if (shop->id != LIAR)
        return;
    words->data[0] ^= 1; /* a check lane */
    assert_int_equal(ft_ss_trailer_decode(ft_buf_bytes(trailer), &t), FT_OK);
    assert_int_equal(ft_ss_sha256(ft_buf_bytes(words), t.digest), FT_OK);
    ft_ss_trailer_sign(&t, w->server->t[2], shop->id, shop->sk);
    ft_buf_clear(trailer);
    assert_int_equal(ft_ss_trailer_encode(&t, trailer), FT_OK);
}

/* A member that spoils its vector is found by the check lanes, with and without somebody to repair; it stays
 * unnamed. */
static void
secure_sum_spoilt_vector_fails_the_session(void **state)
{
    (void)state;
    for (int dropout = 0; dropout < 2; dropout++) {
        struct world w;
        open_world(&w, 14);
        w.vector = spoil_vector;
        if (dropout)
            w.shops[8].silent_at = FT_SS_STEP_MASKED;
        world_run(&w);
        assert_int_equal(ft_ss_server_phase(w.server), FT_SS_FAILED);
        assert_int_equal(ft_ss_server_failure(w.server), FT_SS_END_FAILED_SUM);
        assert_int_equal(w.server->repair_asked, dropout);
        check_pairs(&w, LIAR, 0);
        world_close(&w);
    }
}

static void
bad_shape(struct world *w, struct shop *shop, struct ft_ss_up *up)
{
    uint8_t *records = mutable(up->records);
    (void)shop;
    switch (w->options.seed % 7) {
    case 0:
        up->records.size -= FT_SS_SHARE_RECORD;
        break;
    case 1:
        up->escrow_ct.size -= 1;
        break;
    case 2:
        ft_put_u32(records, up->id); /* itself a holder */
        break;
    case 3:
        memcpy(records, records + FT_SS_SHARE_RECORD, 4); /* one holder twice */
        break;
    case 4:
        ft_put_u16(records + 4, 2); /* places out of order */
        break;
    case 5:
        ft_put_u32(records, 0x7FFFFFFFu);
        break;
    case 6:
        up->records.size = 0;
        break;
    }
}
static enum verdict
deal_bad_shape(struct world *w, struct shop *shop, struct ft_buf *message)
{
    if (shop->id == LIAR && cheat(w, shop, message, FT_SS_UP_SHARES, bad_shape)) {
        assert_int_equal(ft_ss_server_handle(w->server, shop->id, ft_buf_bytes(message)), FT_ERR_FORMAT);
        return DROP;
    }
    return PASS;
}

/* ShareKeys of the wrong shape, though signed, are refused: the shop is a dropout. */
static void
secure_sum_share_keys_of_the_wrong_shape_are_refused(void **state)
{
    (void)state;
    for (uint64_t seed = 14; seed < 21; seed++) {
        struct world w;
        open_world(&w, seed);
        w.up = deal_bad_shape;
        world_run(&w);
        world_check_sum(&w, 9);
        assert_int_equal(ft_ss_server_client_end(w.server, LIAR, NULL), FT_SS_END_LATE_SHARES);
        world_close(&w);
    }
}

static enum verdict
attack_the_decoder(struct world *w, struct shop *shop, struct ft_buf *message)
{
    const struct ft_bytes whole = ft_buf_bytes(message);
    enum ft_status st;

    for (int i = 0; i < 20; i++) {
        struct ft_buf copy = { 0 };
        const size_t cut = (size_t)ft_random_below(&w->env.env, whole.size + 1);
        assert_int_equal(ft_buf_append(&copy, whole.data, i % 2 ? whole.size : cut), FT_OK);
        if (copy.size == whole.size)
            copy.data[ft_random_below(&w->env.env, copy.size)] ^=
                (uint8_t)(1u << ft_random_below(&w->env.env, 8));
        st = ft_ss_server_handle(w->server, shop->id, ft_buf_bytes(&copy));
        assert_true(st == FT_ERR_FORMAT || st == FT_ERR_VERIFY || st == FT_ERR_STATE ||
                    st == FT_ERR_NOTFOUND);
        /* Another shop's message in this shop's name, and this one in another's. */
        assert_int_not_equal(ft_ss_server_handle(w->server, (shop->id + 1) % w->options.shops, whole), FT_OK);
        ft_buf_clear(&copy);
    }
    assert_int_equal(ft_ss_server_handle(w->server, w->options.shops, whole), FT_ERR_NOTFOUND);
    return PASS;
}

/* Before each true message come damaged, cut and misattributed ones: all refused, none with any effect. */
static void
secure_sum_damaged_and_misattributed_messages_have_no_effect(void **state)
{
    struct world w;
    (void)state;
    open_world(&w, 31);
    w.up = attack_the_decoder;
    w.shops[8].silent_at = FT_SS_STEP_MASKED;
    world_run(&w);
    world_check_sum(&w, 9);
    check_pairs(&w, LIAR, 0);
    world_close(&w);
}

static enum verdict
say_it_differently(struct world *w, struct shop *shop, struct ft_buf *message)
{
    struct ft_ss_up up;
    struct ft_buf other = { 0 };
    if (shop->id != LIAR)
        return PASS;
    assert_int_equal(ft_ss_server_handle(w->server, shop->id, ft_buf_bytes(message)), FT_OK);
    assert_int_equal(ft_ss_up_decode(ft_buf_bytes(message), &up), FT_OK);
    if (up.kind == FT_SS_UP_JOIN || up.kind == FT_SS_UP_UNMASK) {
        (up.kind == FT_SS_UP_JOIN ? up.nu : up.b)[0] ^= 1;
        ft_ss_up_sign(&up, w->server->t[up.kind == FT_SS_UP_JOIN ? 0 : 3], shop->sk);
        assert_int_equal(ft_ss_up_encode(&up, &other), FT_OK);
        assert_int_equal(ft_ss_server_handle(w->server, shop->id, ft_buf_bytes(&other)), FT_ERR_DUPLICATE);
    }
    ft_buf_clear(&other);
    ft_ss_up_clear(&up);
    return DROP; /* it has been delivered */
}

/* A second, different and well signed message for a step already answered is refused: the first one stands.
 */
static void
secure_sum_second_answer_of_a_shop_is_refused(void **state)
{
    struct world w;
    (void)state;
    open_world(&w, 32);
    w.up = say_it_differently;
    world_run(&w);
    world_check_sum(&w, 10);
    world_close(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secure_sum_false_shares_are_decoded_and_named),
        cmocka_unit_test(secure_sum_more_false_shares_than_the_code_bears_are_mended),
        cmocka_unit_test(secure_sum_as_many_lies_as_the_code_bears_are_all_named),
        cmocka_unit_test(secure_sum_left_out_shares_are_named),
        cmocka_unit_test(secure_sum_junk_shares_count_as_left_out),
        cmocka_unit_test(secure_sum_false_own_secret_is_rebuilt_from_holders),
        cmocka_unit_test(secure_sum_false_commitment_fails_the_session),
        cmocka_unit_test(secure_sum_dropout_that_dealt_garbage_is_repaired_around_and_barred),
        cmocka_unit_test(secure_sum_survivor_that_dealt_garbage_costs_nothing),
        cmocka_unit_test(secure_sum_false_escrow_is_repaired_and_named),
        cmocka_unit_test(secure_sum_escrow_that_does_not_open_is_repaired_even_across_a_restart),
        cmocka_unit_test(secure_sum_false_repair_fails_the_session),
        cmocka_unit_test(secure_sum_spoilt_vector_fails_the_session),
        cmocka_unit_test(secure_sum_share_keys_of_the_wrong_shape_are_refused),
        cmocka_unit_test(secure_sum_damaged_and_misattributed_messages_have_no_effect),
        cmocka_unit_test(secure_sum_second_answer_of_a_shop_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
