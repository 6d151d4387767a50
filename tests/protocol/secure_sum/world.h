/*
 * A federation in one process and one thread: real clients, a real aggregator, a clock that moves only when
 * told, and hooks where a test may lie, cut, repeat or crash. One seed, one run.
 */
#ifndef TESTS_PROTOCOL_SECURE_SUM_WORLD_H
#define TESTS_PROTOCOL_SECURE_SUM_WORLD_H

#include "common/base/alloc.h"
#include "common/base/env.h"
#include "common/secure_sum/bitmap.h"
#include "common/secure_sum/client.h"
#include "common/secure_sum/hash.h"
#include "common/secure_sum/params.h"
#include "common/secure_sum/server.h"
#include "common/secure_sum/wire.h"

struct world;

struct world_options {
    uint64_t seed;
    uint32_t shops; /* N */
    uint32_t dim;
    uint32_t lane_bits;
    uint32_t n_min, n_cap, h_min, corrupted;
    uint16_t drop_permille;
    uint16_t suite;
    bool graph;
    uint32_t graph_min;
    bool audit;
    uint32_t join_target;
    uint32_t slots;
    unsigned threads;
};
/* Sound defaults for a cohort of n that tolerates `dropouts`. */
struct world_options world_options(uint64_t seed, uint32_t n, uint32_t corrupted, uint32_t dropouts);

struct world_records {
    struct {
        enum ft_ss_record kind;
        struct ft_buf bytes;
    } * list;
    size_t count;
};

struct shop {
    uint32_t id;
    struct ft_env_seeded env;
    uint8_t pk[32], sk[64], xsk[32];
    struct ft_ss_epoch_key key;
    struct ft_ss_pairs *pairs;
    struct ft_ss_client *client;
    struct ft_ss_client_config config;
    struct ft_ss_facts facts;
    struct ft_ss_journal_record *journal;
    size_t journal_count;
    size_t journal_fail_at; /* the append with this number (1-based) fails; 0: none */
    int64_t *z;             /* (dim) the plain contribution */
    uint64_t weight;
    enum ft_ss_step silent_at; /* never gives this answer, nor any later; NONE: answers all */
    bool half_upload;          /* with silent_at MASKED: half the vector is sent first */
    bool half_sent;
    bool crashed;
    bool got_result;
    enum ft_ss_abort aborted; /* first abort seen */
    enum ft_status refusal;   /* what the server said to its last message */
    struct ft_buf sent;       /* every byte handed out, when world->keep_sent */
    struct ft_buf answer;     /* scratch */
};

/* What a hook decides. */
enum verdict { PASS, DROP };

struct world {
    struct world_options options;
    struct ft_env_seeded env; /* the aggregator's */
    uint8_t registrar_pk[32], registrar_sk[64];
    uint8_t aggregator_pk[32], aggregator_sk[64];
    struct ft_ss_roster roster;
    struct ft_ss_directory directory;
    struct ft_ss_codec codec;
    struct ft_ss_descriptor descriptor;
    struct ft_ss_server_config config;
    struct ft_ss_server *server;
    struct world_records records;
    size_t store_fail_at; /* the store call with this number fails; 0: none */
    size_t store_calls;
    struct shop *shops;
    bool keep_sent;
    /* A message on its way to a shop, or from it; it may be changed in place or dropped. NULL: honest. */
    enum verdict (*down)(struct world *w, struct shop *shop, struct ft_buf *message);
    enum verdict (*up)(struct world *w, struct shop *shop, struct ft_buf *message);
    /* The masked vector as the shop sends it; a cheat may change a copy and sign anew. */
    void (*vector)(struct world *w, struct shop *shop, struct ft_buf *words, struct ft_buf *trailer);
    /* Before every step of the pump: may crash things. */
    void (*before)(struct world *w);
    void *user;
    enum ft_status last; /* of the server's last tick, unmask or finish */
};

void world_open(struct world *w, const struct world_options *options);
void world_close(struct world *w);
void world_advance(struct world *w, uint64_t ms); /* all clocks */

/* Run until the session is over for the server and for every shop that can still be told. */
void world_run(struct world *w);
/* One exchange with each shop. True when anything happened. */
bool world_pump(struct world *w);

/* Check that the session is DONE with exactly `expected_count` survivors and that every coordinate and the
 * weight are the sums over them. */
void world_check_sum(struct world *w, uint32_t expected_count);
/* Is the sum right, when there is one? For runs that may also fail. */
bool world_done(const struct world *w);
bool world_in_survivors(const struct world *w, uint32_t id);

/* Kill the server and bring it back from its first `records` records (SIZE_MAX: all). */
void world_restart_server(struct world *w, size_t records);
/* Kill a client: only its journal remains. */
void world_crash_shop(struct world *w, uint32_t id);
/* A client object again, over the journal. */
void world_revive_shop(struct world *w, uint32_t id);

/* Announce of the world's descriptor, signed. */
void world_announce(struct world *w, const struct ft_ss_descriptor *descriptor, struct ft_buf *out);
/* A descriptor as the world's, changed by the test and signed: does this shop join? Its code. */
enum ft_ss_abort world_judge(struct world *w, uint32_t id, const struct ft_ss_descriptor *descriptor);
/* Is `needle` anywhere in what a shop handed out? */
bool world_sent_contains(const struct shop *shop, const void *needle, size_t size);
/* Decode, let the test edit, encode. */
void world_edit_down(struct ft_buf *message, void (*edit)(struct ft_ss_down *down, void *ctx), void *ctx);

#endif
