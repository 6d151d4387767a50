#include "aggregator/simulate/audit/session.h"

#include "common/base/alloc.h"
#include "common/secure_sum/client.h"
#include "common/secure_sum/server.h"

#include <sodium.h>
#include <string.h>

#define EPOCH      1
#define WALL_START UINT64_C(1760000000000)
#define TURNS_MOST 100000

struct shop {
    struct ft_env_seeded env;
    uint8_t pk[32], sk[64], xsk[32];
    struct ft_ss_epoch_key key;
    struct ft_ss_pairs *pairs;
    struct ft_ss_client *client; /* of the round at hand */
    struct ft_ss_facts facts;
    uint64_t *words; /* until it is masked */
    bool leaves, done;
    struct ft_buf answer;
};

struct ft_sim_session {
    struct ft_sim_session_config config;
    uint8_t task_hash[32];
    struct ft_env_seeded env;
    uint8_t registrar_pk[32], registrar_sk[64], aggregator_pk[32], aggregator_sk[64];
    struct ft_ss_roster roster;
    struct ft_ss_directory directory;
    struct shop *shops;
    struct ft_ss_server *server; /* of the round at hand */
};

static enum ft_status
keep_record(void *ctx, enum ft_ss_record kind, struct ft_bytes record, bool sync)
{
    (void)ctx;
    (void)kind;
    (void)record;
    (void)sync;
    return FT_OK; /* nothing of an audit outlives the process */
}

static enum ft_status
keep_journal(void *ctx, const struct ft_ss_journal_record *record)
{
    (void)ctx;
    (void)record;
    return FT_OK;
}

static void
key_pair(const struct ft_env *env, uint8_t pk[32], uint8_t sk[64])
{
    uint8_t seed[32];
    env->random(env->ctx, seed, sizeof seed);
    crypto_sign_seed_keypair(pk, sk, seed);
    sodium_memzero(seed, sizeof seed);
}

static enum ft_status
open_roster(struct ft_sim_session *s, struct ft_error *err)
{
    struct ft_buf signed_roster = { 0 };
    enum ft_status st;

    s->roster = (struct ft_ss_roster){ .serial = 1,
                                       .count = s->config.shops,
                                       .corrupted = s->config.task->corrupted };
    memcpy(s->roster.deployment, s->config.task->deployment, sizeof s->roster.deployment);
    s->roster.members = ft_calloc(s->config.shops, sizeof *s->roster.members);
    if (s->roster.members == NULL)
        return FT_ERR_NOMEM;
    for (uint32_t i = 0; i < s->config.shops; i++) {
        struct shop *shop = &s->shops[i];
        ft_env_seeded_init(&shop->env, s->config.seed, UINT64_C(0x73686f70) << 24 | (i + 1));
        shop->env.wall = WALL_START;
        key_pair(&shop->env.env, shop->pk, shop->sk);
        memcpy(s->roster.members[i].ed25519_pk, shop->pk, 32);
        s->roster.members[i].status = FT_SS_ACTIVE;
        s->roster.members[i].not_after_ms = FT_SS_NEVER;
    }
    st = ft_ss_roster_sign(&s->roster, s->registrar_sk, &signed_roster, err);
    ft_buf_clear(&signed_roster);
    return st;
}

static enum ft_status
open_directory(struct ft_sim_session *s, struct ft_error *err)
{
    enum ft_status st;

    FT_TRY(ft_ss_directory_open(&s->roster, EPOCH, &s->directory));
    for (uint32_t i = 0; i < s->config.shops; i++) {
        struct shop *shop = &s->shops[i];
        ft_ss_epoch_key_make(&shop->env.env, shop->sk, s->roster.deployment, i, EPOCH, shop->xsk, &shop->key);
        FT_TRY(ft_ss_directory_put(&s->directory, &shop->key, err));
        FT_TRY(ft_ss_pairs_open(s->config.shops, i, shop->xsk, shop->key.xpk, s->roster.deployment, EPOCH,
                                &shop->pairs));
    }
out:
    return st;
}

enum ft_status
ft_sim_session_open(const struct ft_sim_session_config *config, struct ft_sim_session **out,
                    struct ft_error *err)
{
    struct ft_sim_session *s = NULL;
    enum ft_status st;

    *out = NULL;
    if (config->shops < 2 || config->shops > config->task->n_cap)
        return ft_fail(err, FT_ERR_ARGUMENT, "%u shops, expected 2 to %u", config->shops,
                       config->task->n_cap);
    s = ft_calloc(1, sizeof *s);
    if (s == NULL)
        return FT_ERR_NOMEM;
    s->config = *config;
    memcpy(s->task_hash, config->task_hash, sizeof s->task_hash);
    ft_env_seeded_init(&s->env, config->seed, UINT64_C(0x63656e747265));
    s->env.wall = WALL_START;
    key_pair(&s->env.env, s->registrar_pk, s->registrar_sk);
    key_pair(&s->env.env, s->aggregator_pk, s->aggregator_sk);
    s->shops = ft_calloc(config->shops, sizeof *s->shops);
    if (s->shops == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    FT_TRY(open_roster(s, err));
    FT_TRY(open_directory(s, err));
    *out = s;
    s = NULL;
out:
    ft_sim_session_close(s);
    return st;
}

static void
end_round(struct ft_sim_session *s, size_t words)
{
    ft_ss_server_close(s->server);
    s->server = NULL;
    for (uint32_t i = 0; i < s->config.shops; i++) {
        struct shop *shop = &s->shops[i];
        ft_ss_client_close(shop->client);
        shop->client = NULL;
        if (shop->words != NULL)
            ft_big_free(shop->words, words * sizeof *shop->words);
        shop->words = NULL;
    }
}

void
ft_sim_session_close(struct ft_sim_session *s)
{
    if (s == NULL)
        return;
    for (uint32_t i = 0; s->shops != NULL && i < s->config.shops; i++) {
        ft_ss_pairs_close(s->shops[i].pairs);
        ft_buf_clear(&s->shops[i].answer);
    }
    ft_ss_directory_clear(&s->directory);
    ft_ss_roster_clear(&s->roster);
    ft_free(s->shops);
    ft_free(s);
}

/* ---- one round ---- */

static void
describe(const struct ft_sim_session *s, const struct ft_round_plan *plan, uint64_t round,
         struct ft_ss_descriptor *d)
{
    ft_round_plan_describe(plan, s->config.task, s->task_hash, d);
    d->round = round;
    d->attempt = 1;
    d->epoch = EPOCH;
    d->deadline_ms = s->env.wall + s->config.task->session_ms;
    for (int i = 0; i < 8; i++) /* a model of its own in every round */
        d->model_hash[i] = d->lineage_hash[i] = (uint8_t)(round >> (8 * i));
    ft_ss_directory_root(&s->directory, d->directory_root);
}

static enum ft_status
open_client(struct ft_sim_session *s, uint32_t id, const struct ft_ss_descriptor *d)
{
    const struct ft_task *task = s->config.task;
    struct shop *shop = &s->shops[id];
    struct ft_ss_client_config config = {
        .env = &shop->env.env,
        .directory = &s->directory,
        .pairs = shop->pairs,
        .id = id,
        .identity_sk = shop->sk,
        .limits = { .n_min = task->n_min,
                    .h_min = task->h_min,
                    .corrupted = task->corrupted,
                    .sigma = (uint8_t)task->sigma,
                    .drop_permille = (uint16_t)task->drop_permille,
                    .clip = d->clip,
                    .deadline_ms_max = task->session_ms,
                    .words_max = UINT64_C(1) << 28,
                    .suites = { false, true, true },
                    .results_visible = true },
        .threads = s->config.threads,
        .journal = keep_journal,
    };
    memcpy(config.aggregator_pk, s->aggregator_pk, 32);
    shop->facts = (struct ft_ss_facts){ .expected = *d, .ledger_can_pay = true };
    memcpy(shop->facts.model_hash, d->model_hash, 32);
    shop->done = false;
    return ft_ss_client_open(&config, &shop->client);
}

static enum ft_status
open_server(struct ft_sim_session *s, const struct ft_ss_descriptor *d, struct ft_error *err)
{
    const struct ft_ss_server_config config = {
        .env = &s->env.env,
        .directory = &s->directory,
        .signing_sk = s->aggregator_sk,
        .threads = s->config.threads,
        .slots = 1,
        .join_ms = s->config.task->join_ms,
        .step_ms = s->config.task->step_ms,
        .store = keep_record,
    };
    return ft_ss_server_open(&config, d, &s->server, err);
}

static enum ft_status
send_upload(struct ft_sim_session *s, uint32_t id)
{
    struct shop *shop = &s->shops[id];
    struct ft_ss_upload upload;
    struct ft_ss_slot_ref slot;
    uint64_t at = 0;
    enum ft_status st;

    if (!ft_ss_client_upload(shop->client, &upload))
        return FT_ERR_STATE;
    FT_TRY(ft_ss_server_upload_begin(s->server, id, upload.header, &slot, &at));
    FT_TRY(ft_ss_server_upload_chunk(s->server, slot, at,
                                     FT_BYTES(upload.words.data + at, upload.words.size - at)));
    FT_TRY(ft_ss_server_upload_end(s->server, slot, upload.trailer));
    ft_ss_client_uploaded(shop->client);
out:
    return st;
}

/* Do what the client says. *moved: something has reached the server. */
static enum ft_status
act(struct ft_sim_session *s, uint32_t id, size_t words, enum ft_ss_action action, bool *moved,
    struct ft_error *err)
{
    struct shop *shop = &s->shops[id];
    uint64_t *own = shop->words;
    enum ft_status st = FT_OK;

    *moved = action != FT_SS_IGNORED;
    switch (action) {
    case FT_SS_ANSWER:
        return ft_ss_server_handle(s->server, id, ft_buf_bytes(&shop->answer));
    case FT_SS_NEED_INPUT:
        if (shop->leaves) {
            shop->done = true;
            ft_ss_server_set_away(s->server, id, true);
            return FT_OK;
        }
        shop->words = NULL;
        FT_TRY(ft_ss_client_mask(shop->client, own, words));
        return send_upload(s, id);
    case FT_SS_UPLOAD:
        return send_upload(s, id);
    case FT_SS_ABORTED:
        return ft_fail(err, FT_ERR_COHORT, "shop %u left: %s", id,
                       ft_ss_abort_text(ft_ss_client_abort_code(shop->client)));
    case FT_SS_RESULT:
    case FT_SS_ENDED:
        shop->done = true;
        break;
    case FT_SS_IGNORED:
        break;
    }
out:
    return st;
}

static enum ft_status
exchange(struct ft_sim_session *s, uint32_t id, size_t words, bool *moved, struct ft_error *err)
{
    struct shop *shop = &s->shops[id];
    struct ft_ss_position position;
    struct ft_buf message = { 0 };
    enum ft_ss_next next;
    enum ft_ss_action action;
    enum ft_status st;

    *moved = false;
    if (shop->done)
        return FT_OK;
    ft_ss_client_position(shop->client, &position);
    FT_TRY(ft_ss_server_next(s->server, id, &position, &message, &next));
    if (next != FT_SS_NEXT_MESSAGE)
        goto out;
    FT_TRY(ft_ss_client_state(shop->client) == FT_SS_CLIENT_IDLE
               ? ft_ss_client_join(shop->client, ft_buf_bytes(&message), &shop->facts, &shop->answer, &action)
               : ft_ss_client_handle(shop->client, ft_buf_bytes(&message), &shop->answer, &action));
    FT_TRY(act(s, id, words, action, moved, err));
out:
    ft_buf_clear(&message);
    return st;
}

/* To the next deadline. */
static enum ft_status
wait(struct ft_sim_session *s)
{
    const uint64_t next = ft_ss_server_next_deadline(s->server);
    if (next == UINT64_MAX)
        return FT_ERR_INTERNAL;
    const uint64_t ms = next > s->env.now ? next - s->env.now : 0;
    s->env.now += ms;
    s->env.wall += ms;
    for (uint32_t i = 0; i < s->config.shops; i++) {
        s->shops[i].env.now += ms;
        s->shops[i].env.wall += ms;
    }
    return ft_ss_server_tick(s->server);
}

static enum ft_status
run(struct ft_sim_session *s, size_t words, struct ft_error *err)
{
    enum ft_status st = FT_OK;

    for (int turn = 0; turn < TURNS_MOST; turn++) {
        bool any = false;
        for (uint32_t i = 0; i < s->config.shops; i++) {
            bool moved;
            FT_TRY(exchange(s, i, words, &moved, err));
            any |= moved;
        }
        switch (ft_ss_server_phase(s->server)) {
        case FT_SS_UNMASKING:
            FT_TRY(ft_ss_server_unmask(s->server));
            FT_TRY(ft_ss_server_finish(s->server));
            continue;
        case FT_SS_DONE:
            return FT_OK;
        case FT_SS_FAILED:
            return ft_fail(err, FT_ERR_COHORT, "the secure sum failed: %s",
                           ft_ss_end_text(ft_ss_server_failure(s->server)));
        default:
            if (!any)
                FT_TRY(wait(s));
        }
    }
    st = ft_fail(err, FT_ERR_INTERNAL, "the secure sum does not end");
out:
    return st;
}

enum ft_status
ft_sim_session_sum(struct ft_sim_session *s, const struct ft_round_plan *plan, uint64_t round,
                   uint64_t **words, uint64_t *sum, uint32_t *survivors, struct ft_error *err)
{
    const size_t count = (size_t)plan->codec.words;
    struct ft_ss_descriptor d;
    struct ft_ss_sum result;
    enum ft_status st;

    describe(s, plan, round, &d);
    for (uint32_t i = 0; i < s->config.shops; i++) {
        s->shops[i].words = words[i];
        s->shops[i].leaves = words[i] == NULL;
        words[i] = NULL;
    }
    for (uint32_t i = 0; i < s->config.shops; i++)
        FT_TRY(open_client(s, i, &d));
    FT_TRY(open_server(s, &d, err));
    FT_TRY(run(s, count, err));
    if (!ft_ss_server_result(s->server, &result) || result.word_count != count) {
        st = FT_ERR_INTERNAL;
        goto out;
    }
    memcpy(sum, result.words, count * sizeof *sum);
    *survivors = result.survivors;
out:
    end_round(s, count);
    return st;
}
