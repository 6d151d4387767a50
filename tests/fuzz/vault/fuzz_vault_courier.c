/*
 * A hostile courier: the bytes become outcomes, one after the other, for a participant. Each starts with its
 * kind, then a byte of flags (bit 0: wrong id), a length of two bytes and the payload. Whatever comes: a
 * status, an action to carry out, no wait beyond a minute, no contribution, and nothing left behind.
 */
#include "client/vault/participant.h"
#include "common/base/alloc.h"
#include "common/base/log.h"

#include <assert.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
decide(void *ctx, const struct ft_task *task, const uint8_t hash[32], enum ft_vault_approval approval,
       struct ft_decision *out)
{
    (void)ctx;
    (void)task;
    (void)hash;
    (void)approval;
    *out = (struct ft_decision){ .verdict = FT_WORD_ACCEPTED };
}

/* Without a directory signed by the registrar no session can begin. */
static enum ft_status
contribute(void *ctx, const struct ft_work *work, uint64_t **words, uint32_t *code)
{
    (void)ctx;
    (void)work;
    (void)words;
    (void)code;
    assert(!"a contribution was asked for");
    return FT_ERR_INTERNAL;
}

static bool
unchanged(void *ctx)
{
    (void)ctx;
    return true;
}

static void
play(struct ft_participant *p, struct ft_env_seeded *env, struct ft_cursor c)
{
    struct ft_out action = { 0 }, reply;
    bool over = true;
    while (c.left > 0 && !c.failed) {
        if (over) {
            assert(ft_participant_next(p, &action) == FT_OK);
            assert(action.wait_ms <= 60000);
            over = false;
        }
        const uint8_t kind = ft_read_u8(&c), flags = ft_read_u8(&c);
        const uint16_t length = ft_read_u16(&c);
        const struct ft_bytes payload = ft_read_bytes(&c, length < c.left ? length : c.left);
        struct ft_in in = { .kind = (enum ft_in_kind)(kind % 8), .id = action.id + (flags & 1) };
        in.reply = payload;
        in.data = payload;
        in.total = (flags & 2) != 0 ? payload.size : (uint64_t)flags << 20;
        in.last = (flags & 4) != 0;
        in.size = payload.size > 0 ? (uint32_t)payload.size : 1;
        in.status = (enum ft_status)(1 + flags % (FT_STATUS_COUNT - 1));
        const enum ft_status st = ft_participant_take(p, &in, &reply, &over);
        assert(st == FT_OK || st == FT_ERR_FORMAT);
        assert(reply.kind == 0); /* nothing masked exists, so nothing of it can be handed out */
        env->now += action.wait_ms;
        env->wall += action.wait_ms;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t pk[32], sk[64];
    static const uint8_t keys[1][32] = { { 7 } };
    const size_t live = ft_alloc_live();
    struct ft_env_seeded env;
    struct ft_vault_store *store;
    struct ft_participant *p;
    if (pk[0] == 0 && sk[0] == 0) {
        if (sodium_init() < 0)
            return 0;
        crypto_sign_seed_keypair(pk, sk, (const uint8_t[32]){ 1 });
        ft_log_open("fuzz", FT_LOG_ERROR, open("/dev/null", O_WRONLY | O_CLOEXEC));
    }
    ft_env_seeded_init(&env, 1, 1);
    assert(ft_vault_store_memory(&store) == FT_OK);
    const struct ft_participant_config config = {
        .world = { .env = &env.env,
                   .store = store,
                   .decide = decide,
                   .contribute = contribute,
                   .unchanged = unchanged },
        .pins = { .task_keys = keys, .task_key_count = 1, .registrar_key = { 9 }, .aggregator_key = { 9 } },
        .identity_sk = sk,
    };
    assert(ft_participant_open(&config, &p, NULL) == FT_OK);
    play(p, &env, ft_cursor_of(FT_BYTES(data, size)));
    ft_participant_close(p);
    ft_vault_store_close(store);
    assert(ft_alloc_live() == live);
    return 0;
}
