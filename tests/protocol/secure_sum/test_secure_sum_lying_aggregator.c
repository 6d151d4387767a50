/*
 * An aggregator that lies, with its own signing key in hand: whatever it sends, the victim leaves or ignores
 * it, and nothing it has handed out holds a secret of it. Specification section 14, "Adversarial aggregator".
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "world.h"

#include "common/secure_sum/client_internal.h"
#include "common/secure_sum/merkle.h"
#include "common/secure_sum/prg.h"
#include "common/secure_sum/server_internal.h"

#include <string.h>

#define VICTIM 2u

/* The next message for the victim, held back when it is of the wanted kind. */
struct held {
    enum ft_ss_down_kind kind;
    struct ft_buf message;
};

static enum verdict
hold(struct world *w, struct shop *shop, struct ft_buf *message)
{
    struct held *h = w->user;
    struct ft_ss_down m;
    enum ft_ss_down_kind kind;

    if (shop->id != VICTIM)
        return PASS;
    assert_int_equal(ft_ss_down_decode(ft_buf_bytes(message), &m), FT_OK);
    kind = m.kind;
    ft_ss_down_clear(&m);
    if (kind != h->kind)
        return PASS;
    ft_buf_clear(&h->message);
    assert_int_equal(ft_buf_append(&h->message, message->data, message->size), FT_OK);
    return DROP;
}

/* An honest session up to the point where the victim would get a message of this kind. Seven shops of nine
 * join. */
static void
stage(struct world *w, struct held *h, enum ft_ss_down_kind kind)
{
    struct world_options o = world_options(41, 9, 2, 2);
    o.drop_permille = 290; /* D = 2 of 7 */
    o.n_min = 5;
    world_open(w, &o);
    *h = (struct held){ .kind = kind };
    w->down = hold;
    w->user = h;
    w->keep_sent = true;
    w->shops[7].silent_at = w->shops[8].silent_at = FT_SS_STEP_JOIN;
    w->shops[5].silent_at = FT_SS_STEP_MASKED;
    for (int turn = 0; turn < 60 && h->message.size == 0; turn++)
        if (!world_pump(w) && h->message.size == 0) {
            const uint64_t next = ft_ss_server_next_deadline(w->server);
            if (next > w->env.now)
                world_advance(w, next - w->env.now);
            assert_int_equal(ft_ss_server_tick(w->server), FT_OK);
        }
    assert_true(h->message.size > 0);
}

static void
leave_stage(struct world *w, struct held *h)
{
    ft_buf_clear(&h->message);
    world_close(w);
}

/* Everything about the victim that must not show. */
struct secrets {
    uint8_t b[32], kappa[32];
    struct ft_ss_escrow_entry edges[16];
    size_t edge_count;
    struct held_share held[16];
    size_t held_count;
    uint64_t packed[64];
    size_t packed_size;
};

static void
learn_secrets(const struct world *w, const struct shop *shop, struct secrets *out)
{
    const struct ft_ss_client *c = shop->client;
    *out = (struct secrets){ 0 };
    if (c->secret != NULL) {
        memcpy(out->b, c->secret->b, 32);
        memcpy(out->kappa, c->secret->kappa, 32);
    }
    for (; out->edge_count < c->edge_count; out->edge_count++)
        out->edges[out->edge_count] = c->edges[out->edge_count];
    for (; out->held_count < c->held_count; out->held_count++)
        out->held[out->held_count] = c->held[out->held_count];
    out->packed_size = (size_t)w->codec.words * 8;
    assert_int_equal(ft_ss_pack(&w->codec, shop->weight, shop->z, out->packed), FT_OK);
}

static bool
zeros(const uint8_t *p)
{
    return sodium_is_zero(p, 32);
}

static void
assert_nothing_leaked(const struct shop *shop, const struct secrets *s)
{
    assert_false(world_sent_contains(shop, s->packed, s->packed_size));
    assert_true(zeros(s->b) || !world_sent_contains(shop, s->b, 32));
    assert_true(zeros(s->kappa) || !world_sent_contains(shop, s->kappa, 32));
    for (size_t i = 0; i < s->edge_count; i++)
        assert_false(world_sent_contains(shop, s->edges[i].seed, 32));
    for (size_t i = 0; i < s->held_count; i++) {
        assert_false(world_sent_contains(shop, s->held[i].b, 32));
        assert_false(world_sent_contains(shop, s->held[i].kappa, 32));
    }
}

/* Hand the victim a message; what it answers goes into its transcript. */
static enum ft_ss_action
feed(struct shop *shop, const struct ft_buf *message)
{
    enum ft_ss_action action;
    assert_int_equal(ft_ss_client_handle(shop->client, ft_buf_bytes(message), &shop->answer, &action), FT_OK);
    assert_int_equal(ft_buf_append(&shop->sent, shop->answer.data, shop->answer.size), FT_OK);
    return action;
}

static uint8_t *mutable(struct ft_bytes bytes)
{
    return (uint8_t *)(uintptr_t)bytes.data;
}

/* The aggregator's honest-looking signature over whatever the message now says. */
static void
sign_again(const struct world *w, struct ft_ss_down *m)
{
    uint8_t t[32];
    switch (m->kind) {
    case FT_SS_DOWN_COHORT:
        ft_ss_derive_t1(t, m->prior, m->members, m->join_root, &m->params);
        break;
    case FT_SS_DOWN_DELIVER:
        ft_ss_derive_t2(t, m->prior, m->members);
        break;
    case FT_SS_DOWN_SURVIVORS:
        ft_ss_derive_t3(t, m->prior, m->members);
        break;
    case FT_SS_DOWN_REPAIR:
    case FT_SS_DOWN_RESULT:
    case FT_SS_DOWN_ENDED:
        ft_ss_down_sign(m, w->aggregator_sk);
        return;
    case FT_SS_DOWN_ANNOUNCE:
    case FT_SS_DOWN_CERTIFICATE:
        return;
    }
    ft_ss_view_sign(m->signature, t, w->aggregator_sk);
}

/* ---- one lie a line ---- */

typedef void edit(const struct world *w, struct ft_ss_down *m);

static void
remove_victim(const struct world *w, struct ft_ss_down *m)
{
    (void)w;
    ft_ss_bitmap_remove(mutable(m->members), VICTIM);
}
static void
remove_one(const struct world *w, struct ft_ss_down *m)
{
    (void)w;
    ft_ss_bitmap_remove(mutable(m->members), 1);
}
static void
remove_three(const struct world *w, struct ft_ss_down *m)
{
    (void)w;
    for (uint32_t i = 3; i < 7; i++)
        ft_ss_bitmap_remove(mutable(m->members), i);
}
static void
add_stranger(const struct world *w, struct ft_ss_down *m)
{
    (void)w;
    ft_ss_bitmap_add(mutable(m->members), 8);
}
static void
add_dropout(const struct world *w, struct ft_ss_down *m)
{
    (void)w;
    ft_ss_bitmap_add(mutable(m->members), 5);
}
static void
spare_bit(const struct world *w, struct ft_ss_down *m)
{
    (void)w;
    mutable(m->members)[1] |= 0x80;
}
static void
short_bitmap(const struct world *w, struct ft_ss_down *m)
{
    (void)w;
    m->members.size--;
}
static void
path_bit(const struct world *w, struct ft_ss_down *m)
{
    (void)w;
    mutable(m->path)[5] ^= 1;
}
static void
path_cut(const struct world *w, struct ft_ss_down *m)
{
    (void)w;
    m->path.size -= 32;
}
static void
root_bit(const struct world *w, struct ft_ss_down *m)
{
    (void)w;
    m->join_root[9] ^= 1;
}
static void
lower_t(const struct world *w, struct ft_ss_down *m)
{
    (void)w;
    m->params.t--;
}
static void
lower_k(const struct world *w, struct ft_ss_down *m)
{
    (void)w;
    m->params.k--;
}
static void
lower_q(const struct world *w, struct ft_ss_down *m)
{
    (void)w;
    m->params.q--;
}
static void
lower_e(const struct world *w, struct ft_ss_down *m)
{
    (void)w;
    m->params.e_max--;
}
static void
lower_p(const struct world *w, struct ft_ss_down *m)
{
    (void)w;
    m->params.p = UINT64_C(1) << 63;
}
static void
no_edges(const struct world *w, struct ft_ss_down *m)
{
    (void)w;
    m->params.p = 0;
}
static void
dealer_victim(const struct world *w, struct ft_ss_down *m)
{
    (void)w;
    ft_put_u32(mutable(m->records), VICTIM);
}
static void
dealer_twice(const struct world *w, struct ft_ss_down *m)
{
    (void)w;
    memcpy(mutable(m->records) + FT_SS_SHARE_RECORD, m->records.data, FT_SS_SHARE_RECORD);
}
static void
dealer_outside(const struct world *w, struct ft_ss_down *m)
{
    (void)w;
    ft_put_u32(mutable(m->records), 8);
}
static void
dealer_unknown(const struct world *w, struct ft_ss_down *m)
{
    (void)w;
    ft_put_u32(mutable(m->records), 0xFFFFFFFFu);
}
static void
one_short(const struct world *w, struct ft_ss_down *m)
{
    (void)w;
    m->records.size -= FT_SS_CONFIRM_RECORD;
}
static void
repeated(const struct world *w, struct ft_ss_down *m)
{
    (void)w;
    memcpy(mutable(m->records), m->records.data + FT_SS_CONFIRM_RECORD, FT_SS_CONFIRM_RECORD);
}
static void
foreign_id(const struct world *w, struct ft_ss_down *m)
{
    (void)w;
    ft_put_u32(mutable(m->records), 8);
}
static void
unknown_id(const struct world *w, struct ft_ss_down *m)
{
    (void)w;
    ft_put_u32(mutable(m->records), 1u << 30);
}
static void
dropout_id(const struct world *w, struct ft_ss_down *m)
{
    struct ft_ss_up up = { .kind = FT_SS_UP_CONFIRM, .id = 5 };
    ft_ss_up_sign(&up, m->prior, w->shops[5].sk); /* a valid signature, of one who is no survivor */
    ft_put_u32(mutable(m->records), 5);
    memcpy(mutable(m->records) + 4, up.signature, 64);
}
static void
stale_signature(const struct world *w, struct ft_ss_down *m)
{
    struct ft_ss_up up = { .kind = FT_SS_UP_CONFIRM, .id = ft_get_u32(m->records.data) };
    uint8_t other[32] = { 1 };
    ft_ss_up_sign(&up, other, w->shops[up.id].sk); /* over another T3 */
    memcpy(mutable(m->records) + 4, up.signature, 64);
}
static void
nothing(const struct world *w, struct ft_ss_down *m)
{
    (void)w;
    (void)m;
}

static const struct {
    enum ft_ss_down_kind kind;
    edit *edit;
    bool sign; /* with the pinned key; else the old signature stays */
    enum ft_ss_abort expected;
} lies[] = {
    { FT_SS_DOWN_COHORT, remove_victim, true, FT_SS_ABORT_NOT_MEMBER },
    { FT_SS_DOWN_COHORT, remove_victim, false, FT_SS_ABORT_VIEW_SIGNATURE },
    { FT_SS_DOWN_COHORT, remove_one, true, FT_SS_ABORT_MERKLE_PATH },
    { FT_SS_DOWN_COHORT, add_stranger, true, FT_SS_ABORT_PARAMS }, /* those of another size */
    { FT_SS_DOWN_COHORT, path_bit, false, FT_SS_ABORT_MERKLE_PATH },
    { FT_SS_DOWN_COHORT, path_cut, false, FT_SS_ABORT_MERKLE_PATH },
    { FT_SS_DOWN_COHORT, root_bit, true, FT_SS_ABORT_MERKLE_PATH },
    { FT_SS_DOWN_COHORT, spare_bit, true, FT_SS_ABORT_BITMAP },
    { FT_SS_DOWN_COHORT, short_bitmap, true, FT_SS_ABORT_BITMAP },
    { FT_SS_DOWN_COHORT, lower_t, true, FT_SS_ABORT_PARAMS },
    { FT_SS_DOWN_COHORT, lower_k, true, FT_SS_ABORT_PARAMS },
    { FT_SS_DOWN_COHORT, lower_q, true, FT_SS_ABORT_PARAMS },
    { FT_SS_DOWN_COHORT, lower_e, true, FT_SS_ABORT_PARAMS },
    { FT_SS_DOWN_COHORT, lower_q, false, FT_SS_ABORT_VIEW_SIGNATURE },
    { FT_SS_DOWN_COHORT, lower_p, true, FT_SS_ABORT_PROFILE },
    { FT_SS_DOWN_COHORT, no_edges, true, FT_SS_ABORT_PROFILE },
    { FT_SS_DOWN_DELIVER, remove_victim, true, FT_SS_ABORT_SHARERS_MEMBER },
    { FT_SS_DOWN_DELIVER, add_stranger, true, FT_SS_ABORT_SHARERS_SUBSET },
    { FT_SS_DOWN_DELIVER, remove_three, true, FT_SS_ABORT_SHARERS_FEW },
    { FT_SS_DOWN_DELIVER, remove_one, false, FT_SS_ABORT_VIEW_SIGNATURE },
    { FT_SS_DOWN_DELIVER, short_bitmap, true, FT_SS_ABORT_BITMAP },
    { FT_SS_DOWN_DELIVER, dealer_victim, false, FT_SS_ABORT_DELIVERY },
    { FT_SS_DOWN_DELIVER, dealer_twice, false, FT_SS_ABORT_DELIVERY },
    { FT_SS_DOWN_DELIVER, dealer_outside, false, FT_SS_ABORT_DELIVERY },
    { FT_SS_DOWN_DELIVER, dealer_unknown, false, FT_SS_ABORT_DELIVERY },
    { FT_SS_DOWN_SURVIVORS, remove_victim, true, FT_SS_ABORT_SURVIVOR_MEMBER },
    { FT_SS_DOWN_SURVIVORS, add_stranger, true, FT_SS_ABORT_SURVIVOR_SUBSET },
    { FT_SS_DOWN_SURVIVORS, remove_three, true, FT_SS_ABORT_SURVIVORS_FEW },
    { FT_SS_DOWN_SURVIVORS, remove_one, false, FT_SS_ABORT_VIEW_SIGNATURE },
    { FT_SS_DOWN_SURVIVORS, spare_bit, true, FT_SS_ABORT_BITMAP },
    { FT_SS_DOWN_CERTIFICATE, one_short, false, FT_SS_ABORT_CERTIFICATE },
    { FT_SS_DOWN_CERTIFICATE, repeated, false, FT_SS_ABORT_CERTIFICATE },
    { FT_SS_DOWN_CERTIFICATE, foreign_id, false, FT_SS_ABORT_CERTIFICATE },
    { FT_SS_DOWN_CERTIFICATE, unknown_id, false, FT_SS_ABORT_CERTIFICATE },
    { FT_SS_DOWN_CERTIFICATE, dropout_id, false, FT_SS_ABORT_CERTIFICATE },
    { FT_SS_DOWN_CERTIFICATE, stale_signature, false, FT_SS_ABORT_CERTIFICATE },
};

static void
tell(const struct world *w, struct ft_buf *message, edit *change, bool sign)
{
    struct ft_ss_down m;
    struct ft_buf out = { 0 };
    assert_int_equal(ft_ss_down_decode(ft_buf_bytes(message), &m), FT_OK);
    change(w, &m);
    if (sign)
        sign_again(w, &m);
    assert_int_equal(ft_ss_down_encode(&m, &out), FT_OK);
    ft_ss_down_clear(&m);
    ft_buf_clear(message);
    *message = out;
}

/* Each false message has its own code; the victim aborts, says only that, and every secret of it is wiped. */
static void
secure_sum_victim_of_a_false_message_aborts_with_its_code(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        struct world w;
        struct held h;
        struct secrets secrets;
        struct shop *victim;

        stage(&w, &h, lies[i].kind);
        victim = &w.shops[VICTIM];
        learn_secrets(&w, victim, &secrets);
        tell(&w, &h.message, lies[i].edit, lies[i].sign);
        if (feed(victim, &h.message) != FT_SS_ABORTED ||
            ft_ss_client_abort_code(victim->client) != lies[i].expected)
            fail_msg("lie %zu: %s, not %s", i, ft_ss_abort_name(ft_ss_client_abort_code(victim->client)),
                     ft_ss_abort_name(lies[i].expected));
        assert_nothing_leaked(victim, &secrets);
        assert_null(victim->client->secret);
        assert_null(victim->client->held);
        assert_null(victim->client->edges);
        assert_null(victim->client->words);
        /* Nothing that follows brings it back. */
        assert_int_equal(feed(victim, &h.message), FT_SS_IGNORED);
        assert_int_equal(victim->answer.size, 0);
        leave_stage(&w, &h);
    }
}

/* A table that no cohort check can pass by chance: the same messages unchanged are accepted. */
static void
secure_sum_true_messages_are_accepted(void **state)
{
    static const enum ft_ss_down_kind kinds[] = { FT_SS_DOWN_COHORT, FT_SS_DOWN_DELIVER, FT_SS_DOWN_SURVIVORS,
                                                  FT_SS_DOWN_CERTIFICATE };
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct world w;
        struct held h;
        stage(&w, &h, kinds[i]);
        tell(&w, &h.message, nothing, true);
        assert_int_equal(feed(&w.shops[VICTIM], &h.message),
                         kinds[i] == FT_SS_DOWN_DELIVER ? FT_SS_NEED_INPUT : FT_SS_ANSWER);
        leave_stage(&w, &h);
    }
}

/* A cohort with a tree of its own, over any members, signed. nu of those who never joined are made up. */
static void
forge_cohort(struct world *w, struct ft_buf *message, const uint32_t *members, uint32_t count, bool graph)
{
    const struct ft_ss_rules rules = ft_ss_rules_of(&w->descriptor);
    uint8_t map[8] = { 0 }, leaves[16][32], path[FT_SS_MERKLE_DEPTH_MAX][32];
    struct ft_ss_down m = { .kind = FT_SS_DOWN_COHORT };
    struct ft_ss_merkle tree;
    uint32_t rank = 0;

    for (uint32_t i = 0; i < count; i++) {
        ft_ss_bitmap_add(map, members[i]);
        ft_ss_derive_leaf(leaves[i], members[i], w->server->clients[members[i]].nu);
        if (members[i] == VICTIM)
            rank = i;
    }
    assert_int_equal(ft_ss_merkle_build((const uint8_t(*)[32])leaves, count, &tree), FT_OK);
    if (ft_ss_params_choose(&rules, count, FT_SS_CLASSICAL, &m.params, NULL) != FT_OK)
        m.params = w->server->params;
    if (graph)
        m.params.p = UINT64_C(1) << 62;
    memcpy(m.prior, w->server->t[0], 32);
    m.members = FT_BYTES(map, ft_ss_bitmap_size(w->options.shops));
    ft_ss_merkle_root(&tree, m.join_root);
    m.path = FT_BYTES(path, 32 * ft_ss_merkle_path(&tree, rank, path));
    sign_again(w, &m);
    ft_buf_clear(message);
    assert_int_equal(ft_ss_down_encode(&m, message), FT_OK);
    ft_ss_merkle_clear(&tree);
}

/* A cohort below the minimum, or with a shop that is revoked, or one without an epoch key: the victim leaves.
 */
static void
secure_sum_victim_refuses_a_cohort_of_the_wrong_shops(void **state)
{
    static const uint32_t few[] = { 1, 2, 3, 4 }, all[] = { 0, 1, 2, 3, 4, 5, 6 },
                          more[] = { 0, 1, 2, 3, 4, 5, 8 };
    (void)state;
    for (int c = 0; c < 5; c++) {
        static const enum ft_ss_abort expected[] = { FT_SS_ABORT_COHORT_SIZE, FT_SS_ABORT_NONE,
                                                     FT_SS_ABORT_MEMBER_INACTIVE, FT_SS_ABORT_MEMBER_ABSENT,
                                                     FT_SS_ABORT_PROFILE };
        struct world w;
        struct held h;
        stage(&w, &h, FT_SS_DOWN_COHORT);
        if (c == 2)
            w.roster.members[8].status = FT_SS_REVOKED;
        if (c == 3)
            ft_ss_bitmap_remove(w.directory.present, 8);
        forge_cohort(&w, &h.message, c == 0 ? few : c == 2 || c == 3 ? more : all, c == 0 ? 4 : 7, c == 4);
        assert_int_equal(feed(&w.shops[VICTIM], &h.message), c == 1 ? FT_SS_ANSWER : FT_SS_ABORTED);
        assert_int_equal(ft_ss_client_abort_code(w.shops[VICTIM].client), expected[c]);
        leave_stage(&w, &h);
    }
}

/* After it has taken one Cohort, Deliver or Survivors, another signed one for the same step is equivocation:
 * both messages are kept, the victim leaves, and no secret goes out. */
static void
secure_sum_victim_of_equivocation_keeps_both_messages_and_aborts(void **state)
{
    static const struct {
        enum ft_ss_down_kind kind;
        edit *edit;
    } cases[] = { { FT_SS_DOWN_COHORT, lower_q },       { FT_SS_DOWN_COHORT, remove_one },
                  { FT_SS_DOWN_DELIVER, remove_one },   { FT_SS_DOWN_DELIVER, add_stranger },
                  { FT_SS_DOWN_SURVIVORS, remove_one }, { FT_SS_DOWN_SURVIVORS, add_dropout } };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world w;
        struct held h;
        struct secrets secrets;
        struct shop *victim;
        struct ft_buf first = { 0 };
        struct ft_bytes a, b;

        stage(&w, &h, cases[i].kind);
        victim = &w.shops[VICTIM];
        assert_int_equal(ft_buf_append(&first, h.message.data, h.message.size), FT_OK);
        assert_int_not_equal(feed(victim, &h.message), FT_SS_ABORTED);
        assert_int_not_equal(feed(victim, &h.message), FT_SS_ABORTED); /* the same again is none */
        learn_secrets(&w, victim, &secrets);
        tell(&w, &h.message, cases[i].edit, true);
        assert_int_equal(feed(victim, &h.message), FT_SS_ABORTED);
        assert_int_equal(ft_ss_client_abort_code(victim->client), FT_SS_ABORT_EQUIVOCATION);
        assert_true(ft_ss_client_evidence(victim->client, &a, &b));
        assert_int_equal(a.size, first.size);
        assert_memory_equal(a.data, first.data, a.size);
        assert_int_equal(b.size, h.message.size);
        assert_memory_equal(b.data, h.message.data, b.size);
        assert_nothing_leaked(victim, &secrets);
        ft_buf_clear(&first);
        leave_stage(&w, &h);
    }
}

/* Any bit of any message flipped, any message cut: the victim leaves, ignores it, or (a share's ciphertext)
 * counts the share as missing; a session that still ends has the right sum. */
static void
secure_sum_damaged_messages_reveal_nothing(void **state)
{
    static const enum ft_ss_down_kind kinds[] = { FT_SS_DOWN_COHORT, FT_SS_DOWN_DELIVER, FT_SS_DOWN_SURVIVORS,
                                                  FT_SS_DOWN_CERTIFICATE };
    struct ft_env_seeded dice;
    (void)state;
    ft_env_seeded_init(&dice, 77, 0);
    for (size_t k = 0; k < 4; k++)
        for (int round = 0; round < 12; round++) {
            struct world w;
            struct held h;
            struct secrets secrets;
            struct shop *victim;
            enum ft_ss_action action;

            stage(&w, &h, kinds[k]);
            victim = &w.shops[VICTIM];
            learn_secrets(&w, victim, &secrets);
            for (int tries = 0; tries < 8; tries++) {
                struct ft_buf copy = { 0 };
                size_t size = h.message.size;
                if (round % 3 == 0)
                    size = (size_t)ft_random_below(&dice.env, size);
                assert_int_equal(ft_buf_append(&copy, h.message.data, size), FT_OK);
                if (size == h.message.size)
                    copy.data[ft_random_below(&dice.env, size)] ^=
                        (uint8_t)(1u << ft_random_below(&dice.env, 8));
                action = feed(victim, &copy);
                ft_buf_clear(&copy);
                if (action == FT_SS_NEED_INPUT || action == FT_SS_ABORTED)
                    break;
                if (kinds[k] == FT_SS_DOWN_CERTIFICATE && action == FT_SS_ANSWER)
                    break; /* damage in a field nobody reads, e.g. an unknown tag: checked below */
                assert_int_equal(action, FT_SS_IGNORED);
            }
            if (action == FT_SS_NEED_INPUT)
                assert_int_equal(kinds[k], FT_SS_DOWN_DELIVER);
            else if (action != FT_SS_ANSWER)
                assert_nothing_leaked(victim, &secrets);
            leave_stage(&w, &h);
        }
}

/* Another shop's messages: its Cohort has the wrong path; its shares do not open here, so they count as
 * missing. */
static void
secure_sum_misdirected_messages_are_of_no_use(void **state)
{
    struct world w;
    struct held h;
    struct ft_ss_position position;
    struct ft_buf message = { 0 };
    enum ft_ss_next next;
    (void)state;

    stage(&w, &h, FT_SS_DOWN_COHORT);
    ft_ss_client_position(w.shops[VICTIM].client, &position);
    assert_int_equal(ft_ss_server_next(w.server, 3, &position, &message, &next), FT_OK);
    assert_int_equal(feed(&w.shops[VICTIM], &message), FT_SS_ABORTED);
    assert_int_equal(ft_ss_client_abort_code(w.shops[VICTIM].client), FT_SS_ABORT_MERKLE_PATH);
    leave_stage(&w, &h);

    stage(&w, &h, FT_SS_DOWN_DELIVER);
    ft_ss_client_position(w.shops[VICTIM].client, &position);
    assert_int_equal(ft_ss_server_next(w.server, 3, &position, &message, &next), FT_OK);
    /* Shop 3's delivery holds a share dealt by the victim itself, which the victim refuses outright. */
    assert_int_equal(feed(&w.shops[VICTIM], &message), FT_SS_ABORTED);
    assert_int_equal(ft_ss_client_abort_code(w.shops[VICTIM].client), FT_SS_ABORT_DELIVERY);
    ft_buf_clear(&message);
    leave_stage(&w, &h);
}

/* Shares of the right dealers but sealed for somebody else, or damaged: missing, no reason to leave. */
static void
secure_sum_shares_that_do_not_open_count_as_missing(void **state)
{
    struct world w;
    struct held h;
    struct ft_ss_down m;
    struct ft_buf out = { 0 };
    (void)state;
    stage(&w, &h, FT_SS_DOWN_DELIVER);
    assert_int_equal(ft_ss_down_decode(ft_buf_bytes(&h.message), &m), FT_OK);
    mutable(m.records)[40] ^= 1;                                /* ciphertext of the first */
    ft_put_u16(mutable(m.records) + FT_SS_SHARE_RECORD + 4, 6); /* place of the second */
    assert_int_equal(ft_ss_down_encode(&m, &out), FT_OK);
    assert_int_equal(feed(&w.shops[VICTIM], &out), FT_SS_NEED_INPUT);
    assert_int_equal(w.shops[VICTIM].client->held_count, m.records.size / FT_SS_SHARE_RECORD - 2);
    ft_ss_down_clear(&m);
    ft_buf_clear(&out);
    leave_stage(&w, &h);
}

/* Every message of one session is ignored in another: nothing is answered, nothing changes. */
static void
secure_sum_messages_of_another_session_are_ignored(void **state)
{
    static const enum ft_ss_down_kind kinds[] = { FT_SS_DOWN_COHORT, FT_SS_DOWN_DELIVER, FT_SS_DOWN_SURVIVORS,
                                                  FT_SS_DOWN_CERTIFICATE };
    struct ft_buf old[4] = { { 0 } };
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct world w;
        struct held h;
        stage(&w, &h, kinds[i]);
        assert_int_equal(ft_buf_append(&old[i], h.message.data, h.message.size), FT_OK);
        leave_stage(&w, &h);
    }
    for (size_t i = 0; i < 4; i++) {
        struct world w;
        struct held h;
        struct world_options o = world_options(42, 9, 2, 2);
        o.n_min = 5;
        world_open(&w, &o);
        h = (struct held){ .kind = kinds[i] };
        w.down = hold;
        w.user = &h;
        for (int turn = 0; turn < 60 && h.message.size == 0; turn++)
            world_pump(&w);
        assert_true(h.message.size > 0);
        for (size_t k = 0; k < 4; k++) {
            assert_int_equal(feed(&w.shops[VICTIM], &old[k]), FT_SS_IGNORED);
            assert_int_equal(w.shops[VICTIM].answer.size, 0);
        }
        leave_stage(&w, &h);
    }
    for (size_t i = 0; i < 4; i++)
        ft_buf_clear(&old[i]);
}

/* A second survivor set after Confirm, with a full certificate of colluders' and forged names: the shop has
 * signed one T3 and leaves; a certificate of the other set never fits its own T3. */
static void
secure_sum_second_survivor_set_is_never_confirmed(void **state)
{
    struct world w;
    struct held h;
    struct secrets secrets;
    struct ft_buf second = { 0 }, certificate = { 0 };
    struct ft_ss_position position;
    enum ft_ss_next next;
    struct ft_ss_down m;
    uint8_t other_t3[32];
    struct shop *victim;
    (void)state;

    stage(&w, &h, FT_SS_DOWN_CERTIFICATE); /* the victim has confirmed */
    victim = &w.shops[VICTIM];
    learn_secrets(&w, victim, &secrets);

    /* Everybody else signs another T3: still none of the victim's business. */
    assert_int_equal(ft_ss_down_decode(ft_buf_bytes(&h.message), &m), FT_OK);
    uint8_t map[2];
    memcpy(map, w.server->u3, 2);
    ft_ss_bitmap_remove(map, 1);
    ft_ss_derive_t3(other_t3, w.server->t[2], FT_BYTES(map, 2));
    memcpy(m.prior, other_t3, 32);
    for (size_t at = 0; at < m.records.size; at += FT_SS_CONFIRM_RECORD) {
        struct ft_ss_up up = { .kind = FT_SS_UP_CONFIRM, .id = ft_get_u32(m.records.data + at) };
        ft_ss_up_sign(&up, other_t3, w.shops[up.id].sk);
        memcpy(mutable(m.records) + at + 4, up.signature, 64);
    }
    assert_int_equal(ft_ss_down_encode(&m, &certificate), FT_OK);
    assert_int_equal(feed(victim, &certificate), FT_SS_IGNORED);
    memcpy(m.prior, w.server->t[3], 32); /* the same signatures under the victim's own T3 */
    ft_buf_clear(&certificate);
    assert_int_equal(ft_ss_down_encode(&m, &certificate), FT_OK);
    ft_ss_down_clear(&m);

    ft_ss_client_position(victim->client, &position);
    position.step = FT_SS_STEP_MASKED;
    memcpy(position.transcript, w.server->t[2], 32);
    assert_int_equal(ft_ss_server_next(w.server, VICTIM, &position, &second, &next), FT_OK);
    tell(&w, &second, remove_one, true);
    assert_int_equal(feed(victim, &second), FT_SS_ABORTED);
    assert_int_equal(ft_ss_client_abort_code(victim->client), FT_SS_ABORT_EQUIVOCATION);
    assert_int_equal(feed(victim, &certificate), FT_SS_IGNORED);
    assert_nothing_leaked(victim, &secrets);
    ft_buf_clear(&second);
    ft_buf_clear(&certificate);
    leave_stage(&w, &h);
}

/* Two halves told different survivors: neither half can show a quorum for its own, so nobody reveals
 * anything. */
static void
secure_sum_two_halves_with_different_survivors_reveal_nothing(void **state)
{
    struct world w;
    struct held h;
    struct ft_buf certificate = { 0 }, survivors = { 0 };
    struct ft_ss_down m = { .kind = FT_SS_DOWN_SURVIVORS };
    uint8_t map[2][2], t3[2][32];
    uint8_t confirmations[2][16 * FT_SS_CONFIRM_RECORD];
    size_t count[2] = { 0, 0 };
    (void)state;

    stage(&w, &h, FT_SS_DOWN_SURVIVORS);
    memcpy(map[0], w.server->u3, 2);
    memcpy(map[1], w.server->u3, 2);
    ft_ss_bitmap_remove(map[1], 6);
    memcpy(m.prior, w.server->t[2], 32);
    for (int half = 0; half < 2; half++)
        ft_ss_derive_t3(t3[half], w.server->t[2], FT_BYTES(map[half], 2));
    SERVER_EACH(w.server, id, w.server->u3)
    {
        const int half = id % 2;
        struct ft_ss_up up;
        if (id == 6 && half == 1)
            continue;
        if (ft_ss_client_state(w.shops[id].client) != FT_SS_CLIENT_MASKED)
            continue; /* the honest server was faster with this one */
        m.members = FT_BYTES(map[half], 2);
        sign_again(&w, &m);
        ft_buf_clear(&survivors);
        assert_int_equal(ft_ss_down_encode(&m, &survivors), FT_OK);
        assert_int_equal(feed(&w.shops[id], &survivors), FT_SS_ANSWER);
        assert_int_equal(ft_ss_up_decode(ft_buf_bytes(&w.shops[id].answer), &up), FT_OK);
        ft_put_u32(confirmations[half] + count[half], id);
        memcpy(confirmations[half] + count[half] + 4, up.signature, 64);
        count[half] += FT_SS_CONFIRM_RECORD;
        ft_ss_up_clear(&up);
    }
    assert_true(count[0] > 0 || count[1] > 0);
    SERVER_EACH(w.server, id, w.server->u3)
    {
        const int half = id % 2;
        struct ft_ss_down c = { .kind = FT_SS_DOWN_CERTIFICATE };
        uint8_t all[32 * FT_SS_CONFIRM_RECORD];
        if (ft_ss_client_state(w.shops[id].client) != FT_SS_CLIENT_CONFIRMED)
            continue;
        memcpy(c.prior, w.shops[id].client->t[3], 32);
        memcpy(all, confirmations[half], count[half]);
        memcpy(all + count[half], confirmations[1 - half], count[1 - half]); /* every signature there is */
        c.records = FT_BYTES(all, count[0] + count[1]);
        ft_buf_clear(&certificate);
        assert_int_equal(ft_ss_down_encode(&c, &certificate), FT_OK);
        assert_int_equal(feed(&w.shops[id], &certificate), FT_SS_ABORTED);
        assert_int_equal(ft_ss_client_abort_code(w.shops[id].client), FT_SS_ABORT_CERTIFICATE);
    }
    ft_buf_clear(&certificate);
    ft_buf_clear(&survivors);
    leave_stage(&w, &h);
}

static enum verdict
fork_sharers(struct world *w, struct shop *shop, struct ft_buf *message)
{
    struct ft_ss_down m;
    enum ft_ss_down_kind kind;
    assert_int_equal(ft_ss_down_decode(ft_buf_bytes(message), &m), FT_OK);
    kind = m.kind;
    ft_ss_down_clear(&m);
    if (kind == FT_SS_DOWN_DELIVER && shop->id % 2 == 1)
        tell(w, message, remove_one, true);
    return PASS;
}

/* Half of the shops told a smaller S: their vectors follow another T2, so the aggregator cannot even count
 * them. */
static void
secure_sum_two_halves_with_different_sharers_do_not_add_up(void **state)
{
    struct world_options o = world_options(51, 8, 2, 2);
    struct world w;
    (void)state;
    o.n_min = 5;
    world_open(&w, &o);
    w.down = fork_sharers;
    world_run(&w);
    assert_int_equal(ft_ss_server_phase(w.server), FT_SS_FAILED);
    for (uint32_t i = 0; i < o.shops; i++)
        for (size_t r = 0; r < w.shops[i].journal_count; r++)
            assert_true(w.shops[i].journal[r].step < FT_SS_STEP_UNMASK);
    world_close(&w);
}

/* What a shop reveals holds one share of each dealer: the b-share of a survivor, the kappa-share of a
 * dropout. The other is nowhere in all it sent, and asking again brings the same bytes. */
static void
secure_sum_never_reveals_both_shares_of_one_dealer(void **state)
{
    struct world w;
    struct held h;
    struct secrets secrets;
    struct shop *victim;
    struct ft_buf answer = { 0 };
    int dropouts = 0;
    (void)state;

    stage(&w, &h, FT_SS_DOWN_CERTIFICATE);
    victim = &w.shops[VICTIM];
    learn_secrets(&w, victim, &secrets);
    assert_int_equal(secrets.held_count, 6);
    assert_int_equal(feed(victim, &h.message), FT_SS_ANSWER);
    assert_int_equal(ft_buf_append(&answer, victim->answer.data, victim->answer.size), FT_OK);
    for (size_t i = 0; i < secrets.held_count; i++) {
        const bool survivor = ft_ss_bitmap_has(w.server->u3, secrets.held[i].dealer);
        dropouts += !survivor;
        assert_int_equal(world_sent_contains(victim, secrets.held[i].b, 32), survivor);
        assert_int_equal(world_sent_contains(victim, secrets.held[i].kappa, 32), !survivor);
    }
    assert_int_equal(dropouts, 1);
    assert_true(world_sent_contains(victim, secrets.b, 32));
    assert_false(world_sent_contains(victim, secrets.packed, secrets.packed_size));
    assert_null(victim->client->held);
    assert_int_equal(feed(victim, &h.message), FT_SS_ANSWER);
    assert_int_equal(victim->answer.size, answer.size);
    assert_memory_equal(victim->answer.data, answer.data, answer.size);
    /* A certificate padded in another way is answered with the very same bytes too. */
    tell(&w, &h.message, one_short, false);
    assert_int_equal(feed(victim, &h.message), FT_SS_ANSWER);
    assert_memory_equal(victim->answer.data, answer.data, answer.size);
    ft_buf_clear(&answer);
    leave_stage(&w, &h);
}

/* Repair names masks with dropouts only, and only when the aggregator's key asks for it. */
static void
secure_sum_repair_names_masks_of_dropouts_only(void **state)
{
    struct world w;
    struct held h;
    struct shop *victim;
    struct ft_buf request = { 0 };
    struct ft_ss_down m = { .kind = FT_SS_DOWN_REPAIR };
    struct ft_ss_up up;
    (void)state;

    stage(&w, &h, FT_SS_DOWN_CERTIFICATE);
    victim = &w.shops[VICTIM];
    memcpy(m.prior, w.server->t[3], 32);
    ft_ss_down_sign(&m, w.aggregator_sk);
    assert_int_equal(ft_ss_down_encode(&m, &request), FT_OK);
    assert_int_equal(feed(victim, &request), FT_SS_IGNORED); /* before the certificate: out of order */
    assert_int_equal(feed(victim, &h.message), FT_SS_ANSWER);
    assert_int_equal(feed(victim, &request), FT_SS_ANSWER);
    assert_int_equal(ft_ss_up_decode(ft_buf_bytes(&victim->answer), &up), FT_OK);
    assert_int_equal(up.kind, FT_SS_UP_REPAIR);
    assert_int_equal(up.records.size, FT_SS_REPAIR_RECORD);
    assert_int_equal(ft_get_u32(up.records.data), 5);
    ft_ss_up_clear(&up);
    leave_stage(&w, &h);

    stage(&w, &h, FT_SS_DOWN_CERTIFICATE);
    victim = &w.shops[VICTIM];
    assert_int_equal(feed(victim, &h.message), FT_SS_ANSWER);
    m.signature[3] ^= 1;
    ft_buf_clear(&request);
    assert_int_equal(ft_ss_down_encode(&m, &request), FT_OK);
    assert_int_equal(feed(victim, &request), FT_SS_ABORTED);
    assert_int_equal(ft_ss_client_abort_code(victim->client), FT_SS_ABORT_REQUEST_SIGNATURE);
    ft_buf_clear(&request);
    leave_stage(&w, &h);
}

/* Result and Ended not signed by the pinned key end nothing quietly. */
static void
secure_sum_forged_endings_abort(void **state)
{
    (void)state;
    for (int c = 0; c < 2; c++) {
        struct world w;
        struct held h;
        struct ft_buf message = { 0 };
        struct ft_ss_position position;
        uint8_t hash[32] = { 1 }, sk[64], pk[32];

        stage(&w, &h, FT_SS_DOWN_CERTIFICATE);
        crypto_sign_keypair(pk, sk);
        ft_ss_client_position(w.shops[VICTIM].client, &position);
        assert_int_equal(c ? ft_ss_ended_message(sk, &position, FT_SS_END_OVER, &message)
                           : ft_ss_result_message(sk, w.server->t[3], hash, &message),
                         FT_OK);
        assert_int_equal(feed(&w.shops[VICTIM], &message), FT_SS_ABORTED);
        assert_int_equal(ft_ss_client_abort_code(w.shops[VICTIM].client), FT_SS_ABORT_REQUEST_SIGNATURE);
        ft_buf_clear(&message);
        leave_stage(&w, &h);
    }
}

/* An announcement for the live round with another descriptor is equivocation; one of another round does not
 * disturb. */
static void
secure_sum_second_descriptor_for_one_round_is_equivocation(void **state)
{
    (void)state;
    for (int same = 0; same < 2; same++) {
        struct world w;
        struct held h;
        struct ft_buf announce = { 0 };
        struct ft_ss_descriptor d;
        struct shop *victim;
        enum ft_ss_action action;

        stage(&w, &h, FT_SS_DOWN_DELIVER);
        victim = &w.shops[VICTIM];
        d = w.descriptor;
        d.server_nonce[0] ^= 1;
        if (!same)
            d.attempt++;
        world_announce(&w, &d, &announce);
        assert_int_equal(ft_ss_client_join(victim->client, ft_buf_bytes(&announce), &victim->facts,
                                           &victim->answer, &action),
                         FT_OK);
        assert_int_equal(action, same ? FT_SS_ABORTED : FT_SS_IGNORED);
        assert_int_equal(ft_ss_client_abort_code(victim->client),
                         same ? FT_SS_ABORT_EQUIVOCATION : FT_SS_ABORT_SESSION_LIVE);
        assert_int_equal(ft_ss_client_state(victim->client),
                         same ? FT_SS_CLIENT_ABORTED : FT_SS_CLIENT_DEALT);
        ft_buf_clear(&announce);
        leave_stage(&w, &h);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secure_sum_true_messages_are_accepted),
        cmocka_unit_test(secure_sum_victim_of_a_false_message_aborts_with_its_code),
        cmocka_unit_test(secure_sum_victim_refuses_a_cohort_of_the_wrong_shops),
        cmocka_unit_test(secure_sum_victim_of_equivocation_keeps_both_messages_and_aborts),
        cmocka_unit_test(secure_sum_damaged_messages_reveal_nothing),
        cmocka_unit_test(secure_sum_misdirected_messages_are_of_no_use),
        cmocka_unit_test(secure_sum_shares_that_do_not_open_count_as_missing),
        cmocka_unit_test(secure_sum_messages_of_another_session_are_ignored),
        cmocka_unit_test(secure_sum_second_survivor_set_is_never_confirmed),
        cmocka_unit_test(secure_sum_two_halves_with_different_survivors_reveal_nothing),
        cmocka_unit_test(secure_sum_two_halves_with_different_sharers_do_not_add_up),
        cmocka_unit_test(secure_sum_never_reveals_both_shares_of_one_dealer),
        cmocka_unit_test(secure_sum_repair_names_masks_of_dropouts_only),
        cmocka_unit_test(secure_sum_forged_endings_abort),
        cmocka_unit_test(secure_sum_second_descriptor_for_one_round_is_equivocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
