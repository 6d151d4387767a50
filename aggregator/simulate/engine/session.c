#include "aggregator/simulate/engine/session.h"
#include "common/base/alloc.h"
#include "common/base/env.h"
#include "common/secure_sum/client.h"
#include "common/secure_sum/prg.h"
#include "common/secure_sum/server.h"

#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#define WALL       UINT64_C(1700000000000)
#define SESSION_MS UINT64_C(3600000)
#define EPOCH      1
#define TURNS_MAX  64 /* exchanges until a phase of the session must be over */

struct member {
    struct ft_env_seeded env;
    uint8_t sk[64], xsk[32];
    struct ft_ss_epoch_key key;
    struct ft_ss_pairs *pairs;
    struct ft_ss_client *client;
    struct ft_ss_facts facts;
    struct ft_buf answer;
    uint64_t *words; /* of put_all */
    bool asked;      /* for its contribution */
    bool put;
    enum ft_ss_abort refusal;
    enum ft_status status;
};

/* The server, the members' clients and what follows are of the round at hand. */
struct sim_session {
    struct sim_session_config c;
    struct ft_env_seeded env;
    struct ft_ss_roster roster;
    struct ft_ss_directory directory;
    struct ft_ss_descriptor descriptor;
    uint8_t sk[64], pk[32]; /* of the server */
    struct ft_ss_server *server;
    struct member *members;
    pthread_mutex_t lock; /* of the server */
    atomic_uint next;
    atomic_uint moved;
    struct ft_ss_codec codec;
};

static struct ft_ss_rules
rules_of(uint32_t n, uint32_t corrupted, uint32_t lost)
{
    return (struct ft_ss_rules){ .n_min = n,
                                 .n_cap = n,
                                 .h_min = 2,
                                 .corrupted = corrupted,
                                 .drop_permille = (uint16_t)((lost * UINT64_C(1000) + n - 1) / n),
                                 .sigma = 40,
                                 .eta = 30 };
}

bool
sim_session_tolerates(uint32_t n, uint32_t corrupted, uint32_t *lost)
{
    struct ft_ss_params params;
    *lost = n / 2;
    for (;; (*lost)--) {
        const struct ft_ss_rules rules = rules_of(n, corrupted, *lost);
        if (n >= 2 && ft_ss_dropouts_max(n, rules.drop_permille) == *lost &&
            ft_ss_params_choose(&rules, n, FT_SS_CLASSICAL, &params, NULL) == FT_OK)
            return true;
        if (*lost == 0)
            return false;
    }
}

/* Nothing here survives the process, so nothing needs to be durable. */
static enum ft_status
journal(void *ctx, const struct ft_ss_journal_record *record)
{
    (void)ctx;
    (void)record;
    return FT_OK;
}

static enum ft_status
store(void *ctx, enum ft_ss_record kind, struct ft_bytes record, bool sync)
{
    (void)ctx;
    (void)kind;
    (void)record;
    (void)sync;
    return FT_OK;
}

/* Run `job` for every member, shared out between the threads; the first failure by number is the result. */
static enum ft_status
for_all(struct sim_session *s, void (*job)(void *ctx, unsigned number))
{
    for (uint32_t i = 0; i < s->c.clients; i++)
        s->members[i].status = FT_OK;
    atomic_store(&s->next, 0);
    atomic_store(&s->moved, 0);
    sim_pool_run(s->c.pool, job, s);
    for (uint32_t i = 0; i < s->c.clients; i++)
        if (s->members[i].status != FT_OK)
            return s->members[i].status;
    return FT_OK;
}

static struct member *
next_member(struct sim_session *s, uint32_t *number)
{
    *number = atomic_fetch_add(&s->next, 1);
    return *number < s->c.clients ? &s->members[*number] : NULL;
}

static void
make_keys(void *ctx, unsigned thread)
{
    struct sim_session *s = ctx;
    struct member *m;
    (void)thread;
    for (uint32_t i; (m = next_member(s, &i)) != NULL;) {
        uint8_t seed[32];
        ft_env_seeded_init(&m->env, s->c.seed ^ UINT64_C(0x736573736e),
                           s->c.stream << 32 | (i + 1)); /* "sessn" */
        m->env.wall = WALL;
        m->env.env.random(m->env.env.ctx, seed, sizeof seed);
        (void)crypto_sign_seed_keypair(s->roster.members[i].ed25519_pk, m->sk, seed);
        s->roster.members[i].status = FT_SS_ACTIVE;
        s->roster.members[i].not_after_ms = FT_SS_NEVER;
        ft_ss_epoch_key_make(&m->env.env, m->sk, s->roster.deployment, i, EPOCH, m->xsk, &m->key);
    }
}

static enum ft_status
make_directory(struct sim_session *s, struct ft_error *err)
{
    struct ft_buf signed_roster = { 0 };
    uint8_t seed[32], registrar_pk[32], registrar_sk[64];
    enum ft_status st;

    s->env.env.random(s->env.env.ctx, seed, sizeof seed);
    (void)crypto_sign_seed_keypair(registrar_pk, registrar_sk, seed);
    FT_TRY(ft_ss_roster_sign(&s->roster, registrar_sk, &signed_roster, err));
    FT_TRY(ft_ss_directory_open(&s->roster, EPOCH, &s->directory));
    for (uint32_t i = 0; i < s->c.clients; i++)
        FT_TRY(ft_ss_directory_put(&s->directory, &s->members[i].key, err));
out:
    ft_buf_clear(&signed_roster);
    sodium_memzero(registrar_sk, sizeof registrar_sk);
    return st;
}

static void
open_pairs(void *ctx, unsigned thread)
{
    struct sim_session *s = ctx;
    struct member *m;
    (void)thread;
    for (uint32_t i; (m = next_member(s, &i)) != NULL;)
        m->status =
            ft_ss_pairs_open(s->c.clients, i, m->xsk, m->key.xpk, s->roster.deployment, EPOCH, &m->pairs);
}

void
sim_session_terms(const struct ft_ss_codec *codec, uint32_t n, uint32_t corrupted, uint32_t lost,
                  uint64_t round, struct ft_ss_descriptor *d)
{
    const struct ft_ss_rules r = rules_of(n, corrupted, lost);
    *d = (struct ft_ss_descriptor){ .version = FT_SS_VERSION,
                                    .suite = FT_SS_SUITE_AES256CTR,
                                    .round = round,
                                    .attempt = 1,
                                    .n_cap = codec->n_cap, /* the lanes were cut for it */
                                    .n_min = r.n_min - lost < 3 ? 2 : 3,
                                    .h_min = r.h_min,
                                    .corrupted = r.corrupted,
                                    .drop_permille = r.drop_permille,
                                    .sigma = r.sigma,
                                    .eta = r.eta };
    ft_put_u64(d->model_hash, round); /* a model of its own in every round */
    ft_ss_codec_describe(codec, d);
}

static void
describe(struct sim_session *s, const struct ft_ss_descriptor *terms)
{
    struct ft_ss_descriptor *d = &s->descriptor;
    *d = *terms;
    d->epoch = EPOCH;
    d->deadline_ms = WALL + SESSION_MS;
    memcpy(d->deployment, s->roster.deployment, sizeof d->deployment);
    s->env.env.random(s->env.env.ctx, d->server_nonce, sizeof d->server_nonce);
    ft_ss_directory_root(&s->directory, d->directory_root);
}

static void
open_members(void *ctx, unsigned thread)
{
    struct sim_session *s = ctx;
    const struct ft_ss_descriptor *d = &s->descriptor;
    struct member *m;
    (void)thread;
    for (uint32_t i; (m = next_member(s, &i)) != NULL;) {
        struct ft_ss_client_config config = {
            .env = &m->env.env,
            .directory = &s->directory,
            .pairs = m->pairs,
            .id = i,
            .identity_sk = m->sk,
            .limits = { .n_min = d->n_min,
                        .h_min = d->h_min,
                        .corrupted = d->corrupted,
                        .sigma = d->sigma,
                        .drop_permille = d->drop_permille,
                        .clip = d->clip,
                        .deadline_ms_max = SESSION_MS,
                        .words_max = s->codec.words,
                        .suites = { false, true, true },
                        .results_visible = true },
            .journal = journal,
        };
        memcpy(config.aggregator_pk, s->pk, sizeof config.aggregator_pk);
        m->facts = (struct ft_ss_facts){ .expected = *d, .ledger_can_pay = true };
        memcpy(m->facts.model_hash, d->model_hash, sizeof m->facts.model_hash);
        m->asked = m->put = false;
        m->refusal = FT_SS_ABORT_NONE;
        m->status = ft_ss_client_open(&config, &m->client);
    }
}

/* What the server has for a member, and its answer; nothing is posted yet, so the server only reads. */
static enum ft_status
hear(struct sim_session *s, uint32_t number, struct member *m)
{
    struct ft_ss_position position;
    struct ft_buf message = { 0 };
    enum ft_ss_next next;
    enum ft_ss_action action = FT_SS_IGNORED;
    enum ft_status st;

    ft_buf_clear(&m->answer);
    if ((m->asked && !m->put) || ft_ss_client_state(m->client) == FT_SS_CLIENT_ABORTED)
        return FT_OK;
    ft_ss_client_position(m->client, &position);
    FT_TRY(ft_ss_server_next(s->server, number, &position, &message, &next));
    if (next != FT_SS_NEXT_MESSAGE)
        goto out;
    st = ft_ss_client_state(m->client) == FT_SS_CLIENT_IDLE
             ? ft_ss_client_join(m->client, ft_buf_bytes(&message), &m->facts, &m->answer, &action)
             : ft_ss_client_handle(m->client, ft_buf_bytes(&message), &m->answer, &action);
    if (st == FT_OK && action == FT_SS_ABORTED) {
        m->refusal = ft_ss_client_abort_code(m->client);
        st = FT_ERR_INTERNAL;
    }
    m->asked = m->asked || action == FT_SS_NEED_INPUT;
    if (st == FT_OK && (action == FT_SS_ANSWER || action == FT_SS_NEED_INPUT))
        atomic_fetch_add(&s->moved, 1);
out:
    ft_buf_clear(&message);
    return st;
}

static void
hear_all(void *ctx, unsigned thread)
{
    struct sim_session *s = ctx;
    struct member *m;
    (void)thread;
    for (uint32_t i; (m = next_member(s, &i)) != NULL;)
        m->status = hear(s, i, m);
}

static enum ft_status
refused(const struct sim_session *s, enum ft_status st, struct ft_error *err)
{
    for (uint32_t i = 0; i < s->c.clients; i++) {
        const struct member *m = &s->members[i];
        if (m->refusal != FT_SS_ABORT_NONE)
            return ft_fail(err, FT_ERR_INTERNAL, "round %llu: client %u of the secure sum refuses: %s",
                           (unsigned long long)s->descriptor.round, i, ft_ss_abort_text(m->refusal));
    }
    return ft_fail(err, st, "round %llu: the secure sum fails: %s", (unsigned long long)s->descriptor.round,
                   ft_status_str(st));
}

/* Everybody hears, then everybody's answer is posted; as long as anybody answers. */
static enum ft_status
exchange(struct sim_session *s, struct ft_error *err)
{
    enum ft_status st = FT_OK;
    for (int turn = 0; turn < TURNS_MAX; turn++) {
        FT_TRY(for_all(s, hear_all));
        if (atomic_load(&s->moved) == 0)
            return FT_OK;
        for (uint32_t i = 0; i < s->c.clients; i++)
            if (s->members[i].answer.size > 0)
                FT_TRY(ft_ss_server_handle(s->server, i, ft_buf_bytes(&s->members[i].answer)));
    }
    st = FT_ERR_INTERNAL;
out:
    return st == FT_OK ? st : refused(s, st, err);
}

static enum ft_status
open_server(struct sim_session *s, struct ft_error *err)
{
    const struct ft_ss_server_config config = { .env = &s->env.env,
                                                .directory = &s->directory,
                                                .signing_sk = s->sk,
                                                .threads = sim_pool_threads(s->c.pool),
                                                .slots = sim_pool_threads(s->c.pool),
                                                .join_ms = 60000,
                                                .store = store };
    return ft_ss_server_open(&config, &s->descriptor, &s->server, err);
}

static void
close_round(struct sim_session *s)
{
    ft_ss_server_close(s->server);
    s->server = NULL;
    for (uint32_t i = 0; s->members != NULL && i < s->c.clients; i++) {
        ft_ss_client_close(s->members[i].client);
        s->members[i].client = NULL;
        ft_buf_clear(&s->members[i].answer);
    }
}

enum ft_status
sim_session_open(const struct sim_session_config *config, struct sim_session **out, struct ft_error *err)
{
    struct sim_session *s = ft_calloc(1, sizeof *s);
    uint8_t seed[32];
    enum ft_status st = FT_ERR_NOMEM;

    *out = NULL;
    if (s == NULL)
        return st;
    (void)pthread_mutex_init(&s->lock, NULL);
    s->c = *config;
    s->c.deployment = NULL; /* the roster has it */
    s->members = ft_calloc(config->clients, sizeof *s->members);
    s->roster =
        (struct ft_ss_roster){ .serial = 1, .count = config->clients, .corrupted = config->corrupted };
    s->roster.members = ft_calloc(config->clients, sizeof *s->roster.members);
    if (s->members == NULL || s->roster.members == NULL)
        goto out;
    ft_env_seeded_init(&s->env, config->seed ^ UINT64_C(0x736573736e), config->stream << 32);
    s->env.wall = WALL;
    if (config->deployment != NULL)
        memcpy(s->roster.deployment, config->deployment, sizeof s->roster.deployment);
    else
        s->env.env.random(s->env.env.ctx, s->roster.deployment, sizeof s->roster.deployment);
    s->env.env.random(s->env.env.ctx, seed, sizeof seed);
    (void)crypto_sign_seed_keypair(s->pk, s->sk, seed);
    FT_TRY(for_all(s, make_keys));
    FT_TRY(make_directory(s, err));
    FT_TRY(for_all(s, open_pairs));
    *out = s;
    s = NULL;
out:
    sim_session_close(s);
    return st;
}

void
sim_session_close(struct sim_session *s)
{
    if (s == NULL)
        return;
    close_round(s);
    for (uint32_t i = 0; s->members != NULL && i < s->c.clients; i++) {
        ft_ss_pairs_close(s->members[i].pairs);
        sodium_memzero(s->members[i].sk, sizeof s->members[i].sk);
        sodium_memzero(s->members[i].xsk, sizeof s->members[i].xsk);
    }
    ft_free(s->members);
    ft_ss_directory_clear(&s->directory);
    ft_ss_roster_clear(&s->roster);
    pthread_mutex_destroy(&s->lock);
    sodium_memzero(s->sk, sizeof s->sk);
    ft_free(s);
}

enum ft_status
sim_session_begin(struct sim_session *s, const struct ft_ss_descriptor *terms, struct ft_error *err)
{
    enum ft_status st;

    describe(s, terms);
    FT_TRY(ft_ss_codec_of(&s->descriptor, &s->codec, err));
    FT_TRY(for_all(s, open_members));
    FT_TRY(open_server(s, err));
    FT_TRY(exchange(s, err));
    for (uint32_t i = 0; i < s->c.clients; i++)
        if (!s->members[i].asked) {
            st = refused(s, FT_ERR_INTERNAL, err);
            goto out;
        }
out:
    if (st != FT_OK)
        close_round(s);
    return st;
}

static uint64_t
thread_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

enum ft_status
sim_session_put(struct sim_session *s, uint32_t client, uint64_t *words, uint64_t *mask_ns)
{
    struct member *m = &s->members[client];
    struct ft_ss_upload upload;
    struct ft_ss_slot_ref slot;
    uint64_t offset = 0;
    const uint64_t begin = thread_ns();
    enum ft_status st = ft_ss_client_mask(m->client, words, (size_t)s->codec.words);

    if (mask_ns != NULL)
        *mask_ns = thread_ns() - begin;
    if (st != FT_OK || !ft_ss_client_upload(m->client, &upload))
        return st != FT_OK ? st : FT_ERR_INTERNAL;
    pthread_mutex_lock(&s->lock);
    st = ft_ss_server_upload_begin(s->server, client, upload.header, &slot, &offset);
    pthread_mutex_unlock(&s->lock);
    if (st != FT_OK)
        return st;
    FT_TRY(ft_ss_server_upload_chunk(s->server, slot, offset, upload.words)); /* beside the others */
    pthread_mutex_lock(&s->lock);
    st = ft_ss_server_upload_end(s->server, slot, upload.trailer);
    pthread_mutex_unlock(&s->lock);
    if (st == FT_OK) {
        ft_ss_client_uploaded(m->client);
        ft_ss_client_drop_upload(m->client); /* this server never asks twice */
        m->put = true;
    }
out:
    return st;
}

static void
put_members(void *ctx, unsigned thread)
{
    struct sim_session *s = ctx;
    struct member *m;
    (void)thread;
    for (uint32_t i; (m = next_member(s, &i)) != NULL;)
        if (m->words != NULL)
            m->status = sim_session_put(s, i, m->words, NULL);
}

enum ft_status
sim_session_put_all(struct sim_session *s, uint64_t **words)
{
    for (uint32_t i = 0; i < s->c.clients; i++) {
        s->members[i].words = words[i];
        words[i] = NULL;
    }
    return for_all(s, put_members);
}

enum ft_status
sim_session_end(struct sim_session *s, uint64_t *total, uint32_t *survivors, struct ft_error *err)
{
    struct ft_ss_sum sum;
    enum ft_status st;

    for (uint32_t i = 0; i < s->c.clients; i++)
        if (!s->members[i].put)
            ft_ss_server_set_away(s->server, i, true);
    FT_TRY(ft_ss_server_tick(s->server));
    FT_TRY(exchange(s, err));
    FT_TRY(ft_ss_server_tick(s->server));
    if (ft_ss_server_phase(s->server) != FT_SS_UNMASKING) {
        st = ft_fail(err, FT_ERR_COHORT, "round %llu: the secure sum stays in phase %s: %s",
                     (unsigned long long)s->descriptor.round, ft_ss_phase_name(ft_ss_server_phase(s->server)),
                     ft_ss_end_text(ft_ss_server_failure(s->server)));
        goto out;
    }
    FT_TRY(ft_ss_server_unmask(s->server));
    FT_TRY(ft_ss_server_finish(s->server));
    if (!ft_ss_server_result(s->server, &sum) || sum.word_count != s->codec.words) {
        st =
            ft_fail(err, FT_ERR_INTERNAL, "round %llu: the masks do not come off the sum: %s",
                    (unsigned long long)s->descriptor.round, ft_ss_end_text(ft_ss_server_failure(s->server)));
        goto out;
    }
    memcpy(total, sum.words, (size_t)sum.word_count * sizeof *total);
    if (survivors != NULL)
        *survivors = sum.survivors;
    ft_ss_server_publish(s->server);
out:
    close_round(s);
    return st;
}
