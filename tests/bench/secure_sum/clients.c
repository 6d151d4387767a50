/*
 * The clients' side of a session: real ft_ss_client objects, one a shop, driven phase by phase. Everything a
 * client does is done; what is timed is ft_ss_client_mask of a few of them, alone, while the aggregator
 * waits.
 */
#include "common/base/alloc.h"
#include "common/secure_sum/bitmap.h"
#include "common/secure_sum/client.h"
#include "common/secure_sum/derive.h"
#include "common/secure_sum/prg.h"
#include "common/secure_sum/server.h"
#include "tests/bench/secure_sum/bench_case.h"
#include "tests/bench/secure_sum/floor.h"
#include "tests/bench/secure_sum/link.h"
#include "tests/bench/secure_sum/measure.h"

#include <math.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define EPOCH         5u
#define WALL          UINT64_C(1700000000000)
#define SESSION_MS    UINT64_C(86400000) /* collecting 4 GB is given more than an hour */
#define DROP_PERMILLE 125u               /* tolerated; the cases lose up to 100 */
#define IN_FLIGHT     8u                 /* uploads at once: the aggregator's default number of slots */
#define TIMED         8u                 /* clients whose masking is timed */
#define CHUNK         65536u
#define WEIGHT        10u
#define THREADS       2u /* for what is not timed */

struct shop {
    uint32_t id;
    uint8_t pk[32], sk[64], xsk[32];
    struct ft_ss_epoch_key key;
    struct ft_ss_pairs *pairs;
    struct ft_ss_client *client;
    struct ft_buf message, answer; /* of the step at hand */
    enum ft_ss_action action;
    bool lost; /* falls silent after ShareKeys */
    uint64_t sent;
};

struct bench_shops {
    uint32_t count, corrupted;
    uint8_t registrar_pk[32], registrar_sk[64], aggregator_pk[32], aggregator_sk[64];
    struct ft_ss_roster roster;
    struct ft_ss_directory directory;
    struct ft_buf signed_roster;
    struct shop *list;
    uint64_t round; /* the last one run */
};

/* One session under way. */
struct session {
    struct bench_shops *shops;
    const struct bench_case *what;
    struct ft_ss_codec codec;
    struct ft_ss_descriptor descriptor;
    struct ft_ss_facts facts;
    int fd;
    pid_t aggregator;
    struct bench_frame reply;
    uint32_t lost;
};

static uint64_t
clock_ms(void *ctx)
{
    (void)ctx;
    return WALL;
}

static void
draw(void *ctx, void *out, size_t size)
{
    (void)ctx;
    randombytes_buf(out, size);
}

static const struct ft_env env = { clock_ms, clock_ms, draw, NULL };

/* Run `work` for every shop, on THREADS threads. */
struct parallel {
    struct session *session;
    struct bench_shops *shops;
    void (*work)(struct session *session, struct bench_shops *shops, struct shop *shop);
    uint32_t first;
};

static void *
parallel_main(void *arg)
{
    const struct parallel *p = arg;
    for (uint32_t i = p->first; i < p->shops->count; i += THREADS)
        p->work(p->session, p->shops, &p->shops->list[i]);
    return NULL;
}

static void
for_all(struct session *session, struct bench_shops *shops,
        void (*work)(struct session *session, struct bench_shops *shops, struct shop *shop))
{
    struct parallel parts[THREADS];
    pthread_t threads[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        parts[i] = (struct parallel){ session, shops, work, i };
        if (pthread_create(&threads[i], NULL, parallel_main, &parts[i]) != 0)
            bench_die("no thread");
    }
    for (uint32_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

/* Agree with everybody, as a client does once an epoch. */
static void
agree(struct session *session, struct bench_shops *shops, struct shop *shop)
{
    const uint8_t *pair;
    (void)session;
    bench_must(ft_ss_pairs_open(shops->count, shop->id, shop->xsk, shop->key.xpk, shops->roster.deployment,
                                EPOCH, &shop->pairs),
               "pairs");
    for (uint32_t j = 0; j < shops->count; j++)
        if (j != shop->id)
            bench_must(ft_ss_pairs_get(shop->pairs, j, shops->directory.xpk[j], &pair), "pair secret");
}

struct bench_shops *
bench_shops_open(uint32_t count)
{
    struct bench_shops *s = ft_calloc(1, sizeof *s);
    struct ft_error err = { 0 };

    if (s == NULL || (s->list = ft_calloc(count, sizeof *s->list)) == NULL ||
        (s->roster.members = ft_calloc(count, sizeof *s->roster.members)) == NULL)
        bench_die("out of memory");
    s->count = count;
    s->corrupted = count / 10 < 1 ? 1 : count / 10;
    crypto_sign_keypair(s->registrar_pk, s->registrar_sk);
    crypto_sign_keypair(s->aggregator_pk, s->aggregator_sk);
    s->roster.serial = 1;
    s->roster.count = count;
    s->roster.corrupted = s->corrupted;
    for (uint32_t i = 0; i < count; i++) {
        struct shop *shop = &s->list[i];
        shop->id = i;
        crypto_sign_keypair(shop->pk, shop->sk);
        memcpy(s->roster.members[i].ed25519_pk, shop->pk, 32);
        s->roster.members[i].status = FT_SS_ACTIVE;
        s->roster.members[i].not_after_ms = FT_SS_NEVER;
    }
    bench_must(ft_ss_roster_sign(&s->roster, s->registrar_sk, &s->signed_roster, &err), "roster");
    bench_must(ft_ss_directory_open(&s->roster, EPOCH, &s->directory), "directory");
    for (uint32_t i = 0; i < count; i++) {
        struct shop *shop = &s->list[i];
        ft_ss_epoch_key_make(&env, shop->sk, s->roster.deployment, i, EPOCH, shop->xsk, &shop->key);
        bench_must(ft_ss_directory_put(&s->directory, &shop->key, &err), "epoch key");
    }
    for_all(NULL, s, agree);
    return s;
}

void
bench_shops_close(struct bench_shops *s)
{
    if (s == NULL)
        return;
    for (uint32_t i = 0; i < s->count; i++) {
        ft_ss_pairs_close(s->list[i].pairs);
        ft_buf_clear(&s->list[i].message);
        ft_buf_clear(&s->list[i].answer);
    }
    ft_ss_directory_clear(&s->directory);
    ft_ss_roster_clear(&s->roster);
    ft_buf_clear(&s->signed_roster);
    ft_free(s->list);
    ft_free(s);
}

static void
describe(struct session *s)
{
    struct ft_ss_descriptor *d = &s->descriptor;
    const struct bench_shops *shops = s->shops;
    const struct ft_ss_codec_choice choice = { .lane_bits = s->what->lane_bits,
                                               .dim = s->what->dim,
                                               .n_cap = shops->count,
                                               .weight_max = 100000,
                                               .clip = 1.0 };
    struct ft_error err = { 0 };

    bench_must(ft_ss_codec_init(&choice, &s->codec, &err), "codec");
    *d = (struct ft_ss_descriptor){ .version = FT_SS_VERSION,
                                    .suite = s->what->suite,
                                    .round = ++s->shops->round,
                                    .attempt = 1,
                                    .epoch = EPOCH,
                                    .n_min = 3,
                                    .h_min = 2,
                                    .corrupted = shops->corrupted,
                                    .drop_permille = DROP_PERMILLE,
                                    .sigma = 40,
                                    .eta = 30,
                                    .deadline_ms = WALL + SESSION_MS };
    ft_ss_codec_describe(&s->codec, d);
    memset(d->task_hash, 0x7a, sizeof d->task_hash);
    memset(d->model_hash, 0x3d, sizeof d->model_hash);
    randombytes_buf(d->server_nonce, sizeof d->server_nonce);
    ft_ss_directory_root(&shops->directory, d->directory_root);
    s->facts = (struct ft_ss_facts){ .expected = *d, .ledger_can_pay = true };
    memcpy(s->facts.model_hash, d->model_hash, 32);
}

/* A process that has nothing of this one: only then is its memory the aggregator's. */
static void
start_aggregator(struct session *s)
{
    int ends[2];
    char number[16];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        bench_die("no socket pair");
    snprintf(number, sizeof number, "%d", ends[1]);
    s->aggregator = fork();
    if (s->aggregator < 0)
        bench_die("no process");
    if (s->aggregator == 0) {
        close(ends[0]);
        execl("/proc/self/exe", "bench_secure_sum", "--aggregator-on", number, (char *)NULL);
        _exit(FT_EXIT_INTERNAL);
    }
    close(ends[1]);
    s->fd = ends[0];
}

static void
stop_aggregator(struct session *s)
{
    int status = 0;
    close(s->fd);
    if (waitpid(s->aggregator, &status, 0) != s->aggregator || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        bench_die("the aggregator's process failed");
}

/* Ask the aggregator; the reply's payload goes to `answer`. */
static enum ft_status
ask(struct session *s, struct bench_frame request, struct ft_bytes payload, struct ft_buf *answer)
{
    struct ft_buf nothing = { 0 };
    bench_send(s->fd, request, payload);
    if (!bench_receive(s->fd, &s->reply, answer != NULL ? answer : &nothing))
        bench_die("the aggregator's process is gone");
    ft_buf_clear(&nothing);
    return (enum ft_status)s->reply.status;
}

static void
send_setup(struct session *s)
{
    const struct bench_shops *shops = s->shops;
    struct ft_buf b = { 0 };
    uint8_t descriptor[FT_SS_DESCRIPTOR_SIZE];
    enum ft_status st;

    ft_ss_descriptor_encode(&s->descriptor, descriptor);
    FT_TRY(ft_buf_u64(&b, WALL));
    FT_TRY(ft_buf_append(&b, shops->registrar_pk, 32));
    FT_TRY(ft_buf_append(&b, shops->aggregator_sk, 64));
    FT_TRY(ft_buf_append(&b, descriptor, sizeof descriptor));
    FT_TRY(ft_buf_u32(&b, (uint32_t)shops->signed_roster.size));
    FT_TRY(ft_buf_append(&b, shops->signed_roster.data, shops->signed_roster.size));
    for (uint32_t i = 0; i < shops->count; i++) {
        uint8_t key[FT_SS_EPOCH_KEY_SIZE];
        ft_ss_epoch_key_encode(&shops->list[i].key, key);
        FT_TRY(ft_buf_append(&b, key, sizeof key));
    }
    FT_TRY(ask(s, (struct bench_frame){ .op = BENCH_SETUP }, ft_buf_bytes(&b), NULL));
out:
    ft_buf_clear(&b);
    bench_must(st, "setup");
}

static enum ft_status
journal(void *ctx, const struct ft_ss_journal_record *record)
{
    (void)ctx;
    (void)record;
    return FT_OK;
}

static void
open_client(struct session *s, struct bench_shops *shops, struct shop *shop)
{
    struct ft_ss_client_config config = {
        .env = &env,
        .directory = &shops->directory,
        .pairs = shop->pairs,
        .id = shop->id,
        .identity_sk = shop->sk,
        .limits = { .n_min = 3,
                    .h_min = 2,
                    .corrupted = shops->corrupted,
                    .sigma = 40,
                    .drop_permille = DROP_PERMILLE,
                    .clip = 1.0,
                    .deadline_ms_max = SESSION_MS,
                    .words_max = UINT64_C(1) << 28,
                    .graph_allowed = shops->count > BENCH_GRAPH_ABOVE,
                    .graph_min = BENCH_GRAPH_ABOVE,
                    .suites = { false, true, true },
                    .results_visible = true },
        .threads = 1,
        .journal = journal,
    };
    (void)s;
    memcpy(config.aggregator_pk, shops->aggregator_pk, 32);
    bench_must(ft_ss_client_open(&config, &shop->client), "client");
    shop->sent = 0;
}

static void
close_client(struct session *s, struct bench_shops *shops, struct shop *shop)
{
    (void)s;
    (void)shops;
    ft_ss_client_close(shop->client);
    shop->client = NULL;
}

/* What a shop does with the message at hand. */
static void
react(struct session *s, struct bench_shops *shops, struct shop *shop)
{
    const struct ft_bytes message = ft_buf_bytes(&shop->message);
    enum ft_status st;
    (void)shops;
    if (message.size == 0)
        return;
    if (ft_ss_client_state(shop->client) == FT_SS_CLIENT_IDLE)
        st = ft_ss_client_join(shop->client, message, &s->facts, &shop->answer, &shop->action);
    else
        st = ft_ss_client_handle(shop->client, message, &shop->answer, &shop->action);
    bench_must(st, "client");
    if (shop->action == FT_SS_ABORTED)
        bench_die(ft_ss_abort_text(ft_ss_client_abort_code(shop->client)));
}

/* Fetch what each shop is to have next. */
static void
fetch(struct session *s, struct shop *shop)
{
    struct ft_ss_position position;
    ft_ss_client_position(shop->client, &position);
    bench_must(ask(s, (struct bench_frame){ .op = BENCH_NEXT, .client = shop->id },
                   FT_BYTES(&position, sizeof position), &shop->message),
               "next");
    if (s->reply.value != FT_SS_NEXT_MESSAGE)
        bench_die("the aggregator has nothing for a client that should go on");
}

/* One small step of all who are still there: fetch, react (in parallel), answer. */
static void
step(struct session *s, bool with_lost)
{
    for (uint32_t i = 0; i < s->shops->count; i++) {
        struct shop *shop = &s->shops->list[i];
        shop->message.size = 0;
        if (with_lost || !shop->lost)
            fetch(s, shop);
    }
    for_all(s, s->shops, react);
    for (uint32_t i = 0; i < s->shops->count; i++) {
        struct shop *shop = &s->shops->list[i];
        if (shop->message.size == 0)
            continue;
        if (shop->action == FT_SS_ENDED)
            bench_die(ft_ss_end_text(ft_ss_client_end_code(shop->client)));
        if (shop->action != FT_SS_ANSWER)
            bench_die("a client does not answer");
        bench_must(ask(s, (struct bench_frame){ .op = BENCH_HANDLE, .client = shop->id },
                       ft_buf_bytes(&shop->answer), NULL),
                   "answer");
        shop->sent += shop->answer.size;
    }
}

/* The contribution of a shop: coordinates that differ, and their checksum. */
static uint64_t *
contribution(const struct session *s, const struct shop *shop, uint64_t *checksum)
{
    const size_t dim = s->what->dim;
    int64_t *z = ft_calloc(dim, sizeof *z);
    uint64_t *words = ft_big_alloc(s->codec.words * sizeof *words);
    uint64_t sum = 0;

    if (z == NULL || words == NULL)
        bench_die("out of memory");
    for (size_t j = 0; j < dim; j++) {
        z[j] = (int64_t)((j * 31 + shop->id * 17u) % 2001) - 1000;
        sum += (uint64_t)z[j] * (2 * j + 1);
    }
    bench_must(ft_ss_pack(&s->codec, WEIGHT, z, words), "pack");
    ft_free(z);
    *checksum += sum;
    return words;
}

/* Send the vectors of `count` shops at once, a chunk of each in turn. */
static void
upload(struct session *s, struct shop **shops, size_t count)
{
    struct ft_ss_upload vectors[IN_FLIGHT];
    uint64_t slots[IN_FLIGHT];

    for (size_t i = 0; i < count; i++) {
        if (!ft_ss_client_upload(shops[i]->client, &vectors[i]))
            bench_die("no upload");
        bench_must(ask(s, (struct bench_frame){ .op = BENCH_BEGIN, .client = shops[i]->id },
                       vectors[i].header, NULL),
                   "upload");
        slots[i] = s->reply.value;
    }
    for (size_t at = 0; at < vectors[0].words.size; at += CHUNK)
        for (size_t i = 0; i < count; i++) {
            const size_t left = vectors[i].words.size - at;
            bench_send(s->fd,
                       (struct bench_frame){ .op = BENCH_CHUNK, .value = slots[i], .seconds = (double)at },
                       FT_BYTES(vectors[i].words.data + at, left < CHUNK ? left : CHUNK));
        }
    for (size_t i = 0; i < count; i++) {
        bench_must(
            ask(s, (struct bench_frame){ .op = BENCH_END, .value = slots[i] }, vectors[i].trailer, NULL),
            "upload");
        ft_ss_client_uploaded(shops[i]->client);
        shops[i]->sent += vectors[i].header.size + vectors[i].words.size + vectors[i].trailer.size;
    }
}

/* Masked inputs of all who are not lost; returns the median time of the timed ones. */
static double
collect(struct session *s, uint64_t *checksum)
{
    double seconds[TIMED];
    size_t timed = 0, waiting = 0;
    struct shop *batch[IN_FLIGHT];

    for (uint32_t i = 0; i < s->shops->count; i++) {
        struct shop *shop = &s->shops->list[i];
        uint64_t *words;
        double start;
        if (!shop->lost) {
            fetch(s, shop);
            react(s, s->shops, shop);
            if (shop->action != FT_SS_NEED_INPUT)
                bench_die("a client does not ask for its contribution");
            words = contribution(s, shop, checksum);
            start = bench_cpu_s();
            bench_must(ft_ss_client_mask(shop->client, words, (size_t)s->codec.words), "mask");
            if (timed < TIMED)
                seconds[timed++] = bench_cpu_s() - start;
            batch[waiting++] = shop;
        }
        if (waiting == IN_FLIGHT || (waiting > 0 && i + 1 == s->shops->count)) {
            upload(s, batch, waiting);
            for (size_t b = 0; b < waiting;
                 b++) { /* kept for a resend that will not come: give the pages back */
                struct ft_ss_upload sent;
                if (ft_ss_client_upload(batch[b]->client, &sent))
                    (void)madvise((void *)(uintptr_t)sent.words.data, sent.words.size, MADV_DONTNEED);
            }
            waiting = 0;
        }
    }
    return bench_median(seconds, timed);
}

/* Masks of one shop's vector that refer to shops with `lost` as given. Asks the pair secrets, as the clients
 * do. */
static size_t
edges_to(const struct session *s, struct shop *shop, uint64_t p, const uint8_t t1[32], bool to_lost)
{
    size_t count = 0;
    for (uint32_t j = 0; j < s->shops->count; j++) {
        struct ft_ss_edge edge;
        const uint8_t *pair;
        if (j == shop->id || s->shops->list[j].lost != to_lost)
            continue;
        bench_must(ft_ss_pairs_get(shop->pairs, j, s->shops->directory.xpk[j], &pair), "pair secret");
        ft_ss_derive_edge(&edge, pair, t1, p);
        count += edge.active;
    }
    return count;
}

static void
floors(struct session *s, struct bench_result *out)
{
    uint8_t t[4][32];
    const struct ft_ss_rules rules = ft_ss_rules_of(&s->descriptor);
    struct ft_ss_params params;
    struct shop *first = NULL;
    size_t client_masks, unmask_masks = 0;

    bench_must(ft_ss_params_choose(&rules, s->shops->count,
                                   s->shops->count > BENCH_GRAPH_ABOVE ? FT_SS_GRAPH : FT_SS_CLASSICAL,
                                   &params, NULL),
               "parameters");
    for (uint32_t i = 0; i < s->shops->count; i++) {
        struct shop *shop = &s->shops->list[i];
        if (shop->lost)
            continue;
        if (first == NULL) {
            first = shop;
            ft_ss_client_transcript(first->client, t);
        }
        unmask_masks += 1 + edges_to(s, shop, params.p, t[1], true);
    }
    client_masks = 1 + edges_to(s, first, params.p, t[1], true) + edges_to(s, first, params.p, t[1], false);
    out->client_floor_s = bench_floor_s(s->what->suite, client_masks, (size_t)s->codec.words);
    out->unmask_floor_s = bench_floor_s(s->what->suite, unmask_masks, (size_t)s->codec.words);
}

static void
choose_lost(struct session *s)
{
    const uint32_t most = ft_ss_dropouts_max(s->shops->count, DROP_PERMILLE);
    s->lost = (uint32_t)lround(s->shops->count * s->what->dropout);
    if (s->lost > most) /* rounding, in cohorts of a handful */
        s->lost = most;
    for (uint32_t i = 0; i < s->shops->count; i++)
        s->shops->list[i].lost =
            (uint64_t)(i + 1) * s->lost / s->shops->count != (uint64_t)i * s->lost / s->shops->count;
}

static void
check_sum(struct session *s, uint64_t checksum)
{
    const uint32_t survivors = s->shops->count - s->lost;
    bench_must(ask(s, (struct bench_frame){ .op = BENCH_RESULT }, FT_BYTES("", 0), NULL), "result");
    if (s->reply.value != checksum || s->reply.client != survivors ||
        s->reply.seconds != (double)survivors * WEIGHT)
        bench_die("the sum is wrong");
}

void
bench_session(struct bench_shops *shops, const struct bench_case *what, struct bench_result *out)
{
    struct session s = { .shops = shops, .what = what };
    uint64_t checksum = 0;

    *out = (struct bench_result){ 0 };
    choose_lost(&s);
    describe(&s);
    start_aggregator(&s);
    send_setup(&s);
    for_all(&s, shops, open_client);
    step(&s, true); /* join */
    step(&s, true); /* share keys */
    out->client_mask_s = collect(&s, &checksum);
    if (s.lost > 0)
        bench_must(ask(&s, (struct bench_frame){ .op = BENCH_EXPIRE }, FT_BYTES("", 0), NULL), "deadline");
    step(&s, false); /* confirm */
    step(&s, false); /* unmask */
    bench_must(ask(&s, (struct bench_frame){ .op = BENCH_PHASE }, FT_BYTES("", 0), NULL), "phase");
    if (s.reply.value != FT_SS_UNMASKING)
        bench_die(ft_ss_phase_name((enum ft_ss_phase)s.reply.value));
    bench_must(ask(&s, (struct bench_frame){ .op = BENCH_UNMASK }, FT_BYTES("", 0), NULL), "unmask");
    out->unmask_s = s.reply.seconds;
    bench_must(ask(&s, (struct bench_frame){ .op = BENCH_FINISH }, FT_BYTES("", 0), NULL), "finish");
    out->publish_s = s.reply.seconds;
    if (s.reply.value != FT_SS_DONE)
        bench_die("the aggregator could not unmask the sum");
    bench_must(ask(&s, (struct bench_frame){ .op = BENCH_PEAK }, FT_BYTES("", 0), NULL), "memory");
    out->aggregator_peak_bytes = s.reply.value;
    check_sum(&s, checksum);
    for (uint32_t i = 0; i < shops->count; i++)
        if (shops->list[i].sent > out->upload_bytes)
            out->upload_bytes = shops->list[i].sent;
    out->upload_ratio = (double)out->upload_bytes / (4.0 * what->dim);
    stop_aggregator(&s);
    floors(&s, out);
    for_all(&s, shops, close_client);
}
