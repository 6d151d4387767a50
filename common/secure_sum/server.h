/*
 * Secure-sum session, aggregator side: a state machine without I/O. It collects the clients' messages, adds
 * masked inputs into one running sum, and unmasks it.
 *
 *   OPEN -> DEALING -> COLLECTING -> CONFIRMING -> REVEALING -> UNMASKING -> DONE        any but DONE ->
 * FAILED ^   v REPAIRING
 *
 * A state is left when every awaited client has answered, or at its deadline with the minimum of section 7; a
 * state whose minimum cannot be reached any more fails at once.
 *
 * Invariants:
 *  1. T0, U1, S, U3, the certificate and the messages they follow from are durable (store returned FT_OK with
 *     sync) before anything derived from them is handed out. Each set is chosen once.
 *  2. Survivors and dropouts are disjoint subsets of U1; S in U1, U3 in S.
 *  3. The running sum is the sum of complete, verified uploads, one a client; a part of one never touches it.
 *  4. What is rebuilt or received of secrets is wiped when the session is published, fails or is closed.
 *
 * Memory: one sum, `slots` staging vectors (made at first use), and per client its ShareKeys (146 bytes an
 * edge or share) and at most some 200 bytes more.
 *
 * Threads: the caller's lock guards every call, with two exceptions. ft_ss_server_upload_chunk works on its
 * slot alone and may run beside any call. ft_ss_server_unmask runs without the lock in the state UNMASKING:
 * no other call then touches what it works on.
 *
 * Order of calls:
 *   open | restore_begin, restore_record.., restore_end
 *   next(client, position)   -> what to send this client;  handle(client, message);  upload_begin, _chunk,
 * _end tick at next_deadline;   phase() == UNMASKING: unmask, then finish -> DONE, FAILED or REPAIRING DONE:
 * result, commit it, publish; clients then get their Result;  close
 *
 * Source: secure aggregation specification, sections 5 to 8.
 */
#ifndef FT_SECURE_SUM_SERVER_H
#define FT_SECURE_SUM_SERVER_H

#include "common/base/env.h"
#include "common/base/status.h"
#include "common/secure_sum/descriptor.h"
#include "common/secure_sum/params.h"
#include "common/secure_sum/roster.h"
#include "common/secure_sum/session.h"

enum ft_ss_phase {
    FT_SS_OPEN,
    FT_SS_DEALING,
    FT_SS_COLLECTING,
    FT_SS_CONFIRMING,
    FT_SS_REVEALING,
    FT_SS_UNMASKING,
    FT_SS_REPAIRING,
    FT_SS_DONE,
    FT_SS_FAILED,
};
const char *ft_ss_phase_name(enum ft_ss_phase phase);

/* Records of the session's log. Their order is the log. */
enum ft_ss_record {
    FT_SS_RECORD_OPENED = 1,      /* the descriptor */
    FT_SS_RECORD_MESSAGE = 2,     /* a client's message as received; holds secrets after Unmask and Repair */
    FT_SS_RECORD_COHORT = 3,      /* U1, join root, parameters */
    FT_SS_RECORD_SHARERS = 4,     /* S */
    FT_SS_RECORD_TRAILER = 5,     /* a counted upload's id and trailer */
    FT_SS_RECORD_SURVIVORS = 6,   /* U3 */
    FT_SS_RECORD_CERTIFICATE = 7, /* ids whose confirmations it holds */
    FT_SS_RECORD_REPAIR = 8,      /* Repair was asked for */
    FT_SS_RECORD_DONE = 9,        /* result hash */
    FT_SS_RECORD_FAILED = 10,     /* enum ft_ss_end */
};

struct ft_ss_server_config {
    const struct ft_env *env;
    /* Of the descriptor's epoch; unchanged while the session is open. */
    const struct ft_ss_directory *directory;
    const uint8_t *signing_sk; /* Ed25519, 64 bytes, pinned by clients; copied to secret memory */
    bool graph_allowed;        /* use the graph profile for cohorts above graph_min */
    uint32_t graph_min;        /* counts as at least 64; e.g. FT_SS_GRAPH_MIN_DEFAULT */
    unsigned threads;          /* for unmasking; 0 and 1: the caller's */
    uint32_t slots;            /* uploads in flight; 0: 8 */
    struct ft_big_pool *pool;  /* vectors to use again, under the caller's lock; NULL: none */
    uint64_t slot_idle_ms; /* a slot without progress this long is given up, and one that trickles at twice
                              this and its fair share of upload_bytes_per_ms; 0: 10,000 */
    uint64_t join_ms;      /* OPEN lasts at most this; 0: until the descriptor's deadline */
    uint64_t step_ms;      /* each later phase; 0: 30,000 */
    uint64_t upload_bytes_per_ms; /* COLLECTING is longer by the bytes awaited over this; 0: 1,000 */
    uint32_t join_target;         /* close the cohort at this many joins; 0: everyone active */
    /* Append one record. With `sync`, it and all before it must be durable when FT_OK is returned; without,
     * it may be buffered. */
    enum ft_status (*store)(void *ctx, enum ft_ss_record kind, struct ft_bytes record, bool sync);
    void *store_ctx;
};

struct ft_ss_server;

/* Open a session; a server_nonce of zeros is drawn. Stores OPENED. *out is NULL unless FT_OK.
 * Errors: VERIFY (descriptor), ARGUMENT (config, directory of another epoch or root), NOMEM, the store's. */
FT_NODISCARD enum ft_status ft_ss_server_open(const struct ft_ss_server_config *config,
                                              const struct ft_ss_descriptor *descriptor,
                                              struct ft_ss_server **out, struct ft_error *err);

/* After a restart: begin, feed the stored records in their order, end. Masked inputs are gone; `next` asks
 * the members of S, or of U3, to send theirs again. Deadlines of the current state start anew. Errors:
 * FORMAT, VERIFY (records that no run could have written), ARGUMENT, NOMEM. restore_end gives STATE when
 * there was no OPENED record. */
FT_NODISCARD enum ft_status ft_ss_server_restore_begin(const struct ft_ss_server_config *config,
                                                       struct ft_ss_server **out, struct ft_error *err);
FT_NODISCARD enum ft_status ft_ss_server_restore_record(struct ft_ss_server *server, enum ft_ss_record kind,
                                                        struct ft_bytes record, struct ft_error *err);
FT_NODISCARD enum ft_status ft_ss_server_restore_end(struct ft_ss_server *server, struct ft_error *err);

void ft_ss_server_close(struct ft_ss_server *server); /* wipes and frees; NULL is allowed */

/*
 * One message of the client with this id (as its TLS certificate says). A resend of what is known gives
 * FT_OK. Errors, all without effect: FORMAT (not decodable, wrong shape), VERIFY (signature), NOTFOUND (id
 * not in the roster or not in the set this step awaits), STATE (another session, too early or too late:
 * discarded), DUPLICATE (a different message for a step already answered), NOMEM, the store's.
 */
FT_NODISCARD enum ft_status ft_ss_server_handle(struct ft_ss_server *server, uint32_t client,
                                                struct ft_bytes message);

/* Uploads. A slot belongs to one client until its upload ends, its stream is dropped for slot_idle_ms, or the
 * phase ends. */
struct ft_ss_slot_ref {
    uint32_t index;
    uint32_t generation; /* a reclaimed slot refuses its old owner */
};
/*
 * Start or resume. Gives the slot and the offset in bytes to send from. Errors: LATER (all slots taken),
 * DUPLICATE (already counted: tell the client DONE), STATE (too late, or another session), NOTFOUND (not in S
 * or U3), FORMAT, NOMEM. A resumed upload takes over the slot: a stream left behind gets STATE.
 */
FT_NODISCARD enum ft_status ft_ss_server_upload_begin(struct ft_ss_server *server, uint32_t client,
                                                      struct ft_bytes header, struct ft_ss_slot_ref *slot,
                                                      uint64_t *offset);
/* Slot-local, without the caller's lock: stage and hash the next bytes. Errors: STATE (slot reclaimed),
 * ARGUMENT (offset is not the next byte), LIMIT (beyond the vector), INTERNAL. */
FT_NODISCARD enum ft_status ft_ss_server_upload_chunk(struct ft_ss_server *server, struct ft_ss_slot_ref slot,
                                                      uint64_t offset, struct ft_bytes chunk);
/* Verify digest and signature and add to the sum; the slot is free afterwards, but for STATE. Errors: STATE
 * (slot reclaimed, or bytes missing), FORMAT, VERIFY (digest or signature: upload anew from 0), DUPLICATE
 * (signed a second, different vector: refused for good), the store's. */
FT_NODISCARD enum ft_status ft_ss_server_upload_end(struct ft_ss_server *server, struct ft_ss_slot_ref slot,
                                                    struct ft_bytes trailer);
/* The stream broke: the slot stays reserved for a resume until it idles out. Nothing to do but here for
 * symmetry of the transport: with `give_up` the slot is freed at once. */
void ft_ss_server_upload_drop(struct ft_ss_server *server, struct ft_ss_slot_ref slot, bool give_up);

/* What to send a client. */
enum ft_ss_next {
    FT_SS_NEXT_WAIT,    /* nothing now: hold the call */
    FT_SS_NEXT_MESSAGE, /* `message` */
    FT_SS_NEXT_OTHER,   /* the position is of another session: ft_ss_ended_message(UNKNOWN_SESSION) ends it */
    FT_SS_NEXT_NONE, /* this session has nothing for this client (left out and idle, or not in the roster) */
};
/* `position` as the client reported it; step NONE for a client that is idle. `message` is replaced. With
 * MESSAGE the client's left-out reason may arrive as SumEnded. Errors: NOMEM. */
FT_NODISCARD enum ft_status ft_ss_server_next(const struct ft_ss_server *server, uint32_t client,
                                              const struct ft_ss_position *position, struct ft_buf *message,
                                              enum ft_ss_next *next);
/* Changes whenever `next` may answer differently for somebody: a long poll wakes on it. */
uint64_t ft_ss_server_version(const struct ft_ss_server *server);

/* Let time pass: deadlines, idle slots. Errors: NOMEM, the store's (try again). */
FT_NODISCARD enum ft_status ft_ss_server_tick(struct ft_ss_server *server);
uint64_t ft_ss_server_next_deadline(const struct ft_ss_server *server); /* in now_ms; UINT64_MAX when none */
/* Close OPEN before its deadline. LATER when the joins do not make a cohort yet. */
FT_NODISCARD enum ft_status ft_ss_server_close_join(struct ft_ss_server *server);
FT_NODISCARD enum ft_status ft_ss_server_cancel(struct ft_ss_server *server); /* FAILED, unless DONE */
/* A client seems to be away (its connection broke), or is back. A phase that has its minimum waits no longer
 * for those who are away; what they send in time still counts. Not stored, and looked at by the next tick. */
void ft_ss_server_set_away(struct ft_ss_server *server, uint32_t client, bool away);

enum ft_ss_phase ft_ss_server_phase(const struct ft_ss_server *server);
/* UNMASKING only, without the caller's lock, once a turn: rebuild secrets and take the masks out. Errors:
 * STATE, NOMEM, INTERNAL; call `finish` whatever it returns. */
FT_NODISCARD enum ft_status ft_ss_server_unmask(struct ft_ss_server *server);
/* Under the lock, after unmask: DONE, FAILED or REPAIRING. Errors: STATE (unmask has not run), NOMEM, the
 * store's (try again). */
FT_NODISCARD enum ft_status ft_ss_server_finish(struct ft_ss_server *server);

struct ft_ss_sum {
    const uint64_t *words; /* packed sum over U3; borrowed until close */
    uint64_t word_count;
    uint32_t survivors;     /* |U3| */
    const uint8_t *members; /* bitmap of U3 */
    uint8_t t3[32];
    uint8_t result_hash[32]; /* H("result"; T3, SHA-256 of the words as little-endian bytes) */
};
/* DONE only; false otherwise. */
bool ft_ss_server_result(const struct ft_ss_server *server, struct ft_ss_sum *out);
/* The result is committed: clients may be told, secrets are wiped. */
void ft_ss_server_publish(struct ft_ss_server *server);

/* For records and for the status page. */
struct ft_ss_server_counts {
    uint32_t roster, joined, cohort, shared, uploaded, survivors, confirmed, unmasked, repaired;
    uint32_t slots_used;
};
void ft_ss_server_counts(const struct ft_ss_server *server, struct ft_ss_server_counts *out);
void ft_ss_server_transcript(const struct ft_ss_server *server,
                             uint8_t t[4][32]); /* zeros where not reached */
const struct ft_ss_params *ft_ss_server_params(const struct ft_ss_server *server); /* NULL before DEALING */
enum ft_ss_end ft_ss_server_failure(const struct ft_ss_server *server);            /* NONE unless FAILED */
/* Why a client is not, or not wholly, in the session; abort_code (may be NULL) of its Abort. */
enum ft_ss_end ft_ss_server_client_end(const struct ft_ss_server *server, uint32_t client,
                                       uint32_t *abort_code);
bool ft_ss_server_survivor(const struct ft_ss_server *server, uint32_t client);

/* A false share or a left out one, or an escrow that differs from a survivor's mask: one of the two lied. */
struct ft_ss_bad_pair {
    uint32_t dealer, other;
};
const struct ft_ss_bad_pair *ft_ss_server_bad_pairs(const struct ft_ss_server *server, size_t *count);
/* Stands in bad pairs with more than F others, so lies for certain. */
bool ft_ss_server_barred(const struct ft_ss_server *server, uint32_t client);

/* Messages for positions no server object knows any more, from the aggregator's database. */
FT_NODISCARD enum ft_status ft_ss_ended_message(const uint8_t signing_sk[64],
                                                const struct ft_ss_position *position, enum ft_ss_end code,
                                                struct ft_buf *out);
FT_NODISCARD enum ft_status ft_ss_result_message(const uint8_t signing_sk[64], const uint8_t t3[32],
                                                 const uint8_t result_hash[32], struct ft_buf *out);

#endif
