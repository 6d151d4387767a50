/* The inside of a client session, shared by the client_*.c files only. */
#ifndef FT_SECURE_SUM_CLIENT_INTERNAL_H
#define FT_SECURE_SUM_CLIENT_INTERNAL_H

#include "common/secure_sum/bitmap.h"
#include "common/secure_sum/client.h"
#include "common/secure_sum/hash.h"
#include "common/secure_sum/params.h"
#include "common/secure_sum/seal.h"
#include "common/secure_sum/wire.h"

/* A share pair this client holds for a dealer. */
struct held_share {
    uint32_t dealer;
    uint16_t x;
    uint8_t b[32], kappa[32];
};

/* The session's scalar secrets. */
struct client_secret {
    uint8_t b[32], kappa[32];
    uint8_t audit_r[32];
};

/* A server message that was accepted, and the answer it got. */
struct client_exchange {
    struct ft_buf message, answer;
};

struct ft_ss_client {
    struct ft_ss_client_config config;
    uint8_t *identity_sk; /* secret */
    uint32_t universe;    /* N */
    uint8_t root[32];     /* directory root */
    enum ft_ss_client_state state;
    enum ft_ss_abort abort_code;
    enum ft_ss_end end_code;

    /* What this object itself has appended, for the task it last joined: it does not rely on facts alone. */
    uint8_t own_task[32];
    struct ft_ss_journal_view own_journal;

    /* The live session. */
    struct ft_ss_descriptor descriptor;
    uint8_t t[4][32];
    unsigned t_known;  /* T0 .. T{t_known-1} are set */
    uint64_t deadline; /* in now_ms */
    uint64_t word_count;
    uint8_t nu[32];
    uint32_t n, dropouts_max;
    struct ft_ss_params params;
    uint8_t *u1, *s, *u3; /* bitmaps, owned */
    struct client_secret *secret;
    struct ft_ss_escrow_entry *edges; /* secret, (edge_count) active edges */
    size_t edge_count;
    struct held_share *held; /* secret */
    size_t held_count;
    uint64_t *words; /* masked input once MASKED */
    bool awaiting_input, uploaded, has_result;
    struct ft_buf header, trailer; /* of the upload; empty before it exists */
    struct client_exchange exchange[FT_SS_STEP_REPAIR + 1];
    enum ft_ss_step step; /* last one answered */
    bool spent;
    uint8_t result_hash[32];
    struct ft_buf evidence[2];
};

/* Codes of section 4, in client_check.c. */
enum ft_ss_abort client_judge(const struct ft_ss_client *c, struct ft_bytes bytes,
                              const struct ft_ss_facts *facts, struct ft_ss_descriptor *out,
                              struct ft_error *err);

/* One accepted message each; the state moves and `answer` is set. *code is the check that failed, else NONE.
 * The status is a local failure. */
enum ft_status client_deal(struct ft_ss_client *c, const struct ft_ss_down *m, struct ft_buf *answer,
                           enum ft_ss_abort *code);
enum ft_status client_deliver(struct ft_ss_client *c, const struct ft_ss_down *m, enum ft_ss_abort *code);
enum ft_status client_confirm(struct ft_ss_client *c, const struct ft_ss_down *m, struct ft_buf *answer,
                              enum ft_ss_abort *code);
enum ft_status client_reveal(struct ft_ss_client *c, const struct ft_ss_down *m, struct ft_buf *answer,
                             enum ft_ss_abort *code);
enum ft_status client_repair(struct ft_ss_client *c, struct ft_buf *answer);

/* Append to the journal what permits `step`. */
enum ft_status client_journal(struct ft_ss_client *c, enum ft_ss_step step);
/* Sign a message of this client that follows t, and encode it. */
enum ft_status client_seal(const struct ft_ss_client *c, struct ft_ss_up *up, const uint8_t t[32],
                           struct ft_buf *out);
/* Keep a copy of a bitmap. */
enum ft_status client_keep(const struct ft_ss_client *c, uint8_t **out, struct ft_bytes map);
/* Leave with a code: ABORTED, with the Abort message in `answer` if it could be made. */
void client_abort(struct ft_ss_client *c, enum ft_ss_abort code, struct ft_buf *answer);
/* Wipe the session: everything secret, and everything large. Transcript, codes and evidence stay. */
void client_wipe(struct ft_ss_client *c);

#endif
