/* The inside of an aggregator session, shared by the server_*.c files only. */
#ifndef FT_SECURE_SUM_SERVER_INTERNAL_H
#define FT_SECURE_SUM_SERVER_INTERNAL_H

#include "common/secure_sum/bitmap.h"
#include "common/secure_sum/codec.h"
#include "common/secure_sum/hash.h"
#include "common/secure_sum/merkle.h"
#include "common/secure_sum/prg.h"
#include "common/secure_sum/seal.h"
#include "common/secure_sum/server.h"
#include "common/secure_sum/sha256.h"
#include "common/secure_sum/shamir.h"
#include "common/secure_sum/wire.h"

#include <pthread.h>

/* What a client dealt: kept to route shares, and to check what is revealed. */
struct dealt {
    uint8_t commit_b[32], commit_k[32];
    uint8_t escrow_nonce[FT_SS_NONCE_SIZE];
    struct ft_buf escrow_ct;
    struct ft_buf records; /* (k) share records, holder and x = place + 1 in each */
};

/* One share pair on its way: the record at `place` of `dealer`'s list. */
struct delivery {
    uint32_t dealer;
    uint16_t place;
};

/* What a client revealed; wiped with the session. */
struct revealed {
    uint8_t b[32];
    struct ft_buf records; /* valid reveal records, ascending dealer */
};

/* One client of the roster. */
struct server_client {
    uint8_t nu[32];
    uint8_t said[FT_SS_UP_ABORT + 1][16]; /* digest of the accepted message of each kind; zeros before */
    uint8_t confirmation[64];
    uint8_t vector_digest[32]; /* of the upload it signed */
    bool signed_vector;
    uint32_t abort_code;
    struct dealt *dealt;
    struct revealed *revealed;
    struct ft_buf *repair; /* valid repair records, ascending id; secret */
};

/* A staging slot. The mutex guards everything in it: chunks arrive without the caller's lock. */
struct server_slot {
    pthread_mutex_t lock;
    uint32_t generation;
    bool taken;
    uint32_t client;
    uint64_t received; /* bytes, all hashed */
    uint64_t touched;  /* now_ms of the last progress */
    uint64_t taken_at; /* now_ms; a sender that only trickles gives way in the end */
    uint64_t *words;   /* made at first use */
    struct ft_ss_sha256 *sha;
};

/* A mask the escrow of a dropout named, as it was taken out of the sum. */
struct applied_mask {
    uint32_t dropout, survivor;
    uint8_t mu[32];
};

enum unmask_outcome {
    UNMASK_NOT_RUN,
    UNMASK_RIGHT,
    UNMASK_WRONG,  /* check lanes, or a kappa that stays lost */
    UNMASK_LOST_B, /* a self mask cannot be had */
    UNMASK_LOCAL,
};

/* Work of `unmask`, which runs without the caller's lock: nothing else touches it while UNMASKING. */
struct unmask_job {
    enum unmask_outcome outcome;
    bool masks_out; /* the masks known from reveals are out of the sum */
    bool kappa_lost;
    struct applied_mask *applied; /* (applied_count), ascending dropout, survivor; secret */
    size_t applied_count, applied_room;
    struct ft_ss_mask *masks; /* secret */
    size_t mask_count, mask_room;
    struct ft_ss_lagrange lagrange;
};

struct ft_ss_server {
    struct ft_ss_server_config config;
    uint8_t *signing_sk; /* secret */
    struct ft_ss_descriptor descriptor;
    uint8_t descriptor_bytes[FT_SS_DESCRIPTOR_SIZE];
    struct ft_ss_codec codec;
    uint32_t universe; /* N */
    bool opened, restoring, published, cancelled;
    bool chosen; /* the set that ends this phase is fixed, and perhaps not yet stored */

    enum ft_ss_phase phase;
    enum ft_ss_end failure;
    uint64_t version;
    uint64_t phase_deadline, session_deadline; /* now_ms */

    uint8_t t[4][32];
    uint8_t view[4][64]; /* the aggregator's signatures over them */
    unsigned t_known;
    uint8_t join_root[32];
    uint32_t n, dropouts_max;
    struct ft_ss_params params;
    struct ft_ss_merkle tree;
    uint32_t *delivery_first; /* (N + 1): deliveries of holder i are [first[i], first[i+1]) */
    struct delivery *deliveries;

    struct server_client *clients; /* (N) */
    /* Bitmaps over the roster, in one block. */
    uint8_t *bitmaps;
    uint8_t *joined, *u1, *shared, *s, *counted, *u3, *confirmed, *certificate, *unmasked, *repaired, *gone,
        *away;

    uint64_t *sum; /* (codec.words); made at the first upload */
    bool repair_asked;
    struct server_slot *slots;
    struct unmask_job job;
    struct ft_ss_bad_pair *bad_pairs;
    size_t bad_pair_count, bad_pair_room;
    uint8_t result_hash[32];
};

static inline uint64_t
server_now(const struct ft_ss_server *s)
{
    return s->config.env->now_ms(s->config.env->ctx);
}
static inline struct ft_bytes
server_map(const struct ft_ss_server *s, const uint8_t *map)
{
    return FT_BYTES(map, ft_ss_bitmap_size(s->universe));
}
static inline bool
server_over(const struct ft_ss_server *s)
{
    return s->phase == FT_SS_DONE || s->phase == FT_SS_FAILED;
}
/* Iterate the members of a bitmap. */
#define SERVER_EACH(s, id, map)                                                                              \
    for (uint32_t id = ft_ss_bitmap_next((map), (s)->universe, 0); id < (s)->universe;                       \
         id = ft_ss_bitmap_next((map), (s)->universe, id + 1))

/* server.c */
enum ft_status server_new(const struct ft_ss_server_config *config, struct ft_ss_server **out,
                          struct ft_error *err);
enum ft_status server_begin(struct ft_ss_server *s, const struct ft_ss_descriptor *descriptor,
                            struct ft_error *err);
enum ft_status server_store(struct ft_ss_server *s, enum ft_ss_record kind, struct ft_bytes record,
                            bool sync);
void server_wipe_secrets(struct ft_ss_server *s); /* all that was rebuilt or received */
void server_set_t(struct ft_ss_server *s, unsigned which, const uint8_t t[32]);

/* server_phase.c: leave every phase that can be left now. */
enum ft_status server_advance(struct ft_ss_server *s);
enum ft_status server_fail(struct ft_ss_server *s, enum ft_ss_end code);
/* Enter a phase whose sets are fixed: used when it is chosen and when it is replayed. */
enum ft_status server_enter_dealing(struct ft_ss_server *s);
enum ft_status server_enter_collecting(struct ft_ss_server *s);
void server_enter_confirming(struct ft_ss_server *s);
void server_enter(struct ft_ss_server *s, enum ft_ss_phase phase);
bool server_may_join(const struct ft_ss_server *s, uint32_t id); /* active, with an epoch key */
uint32_t server_missing(const struct ft_ss_server *s, const uint8_t *all,
                        const uint8_t *done); /* |all - done - gone| */
bool server_all_counted(const struct ft_ss_server *s);

/* server_upload.c */
enum ft_status server_slots_open(struct ft_ss_server *s);
void server_slots_close(struct ft_ss_server *s);
void server_slots_release(struct ft_ss_server *s); /* give every slot up, and their memory back */
void server_slots_expire(struct ft_ss_server *s);
uint64_t server_slots_deadline(const struct ft_ss_server *s);
uint32_t server_slots_used(const struct ft_ss_server *s);

/* server_reveal.c: rebuild a secret of `dealer`. FT_OK with *found false when it is lost. */
enum ft_status server_rebuild(struct ft_ss_server *s, uint32_t dealer, bool kappa, uint8_t secret[32],
                              bool *found);
uint32_t server_shares_at_hand(const struct ft_ss_server *s, uint32_t dealer);
enum ft_status server_bad_pair(struct ft_ss_server *s, uint32_t dealer, uint32_t other);
/* server_repair.c */
enum ft_status server_repair_masks(struct ft_ss_server *s);
/* server_unmask.c */
enum ft_status server_add_mask(struct ft_ss_server *s, const uint8_t mu[32], bool subtract);

#endif
