/*
 * Secure-sum session, client side: a state machine without I/O. It takes the aggregator's messages, checks
 * every one against configuration that the aggregator cannot change, and hands out this client's answers.
 *
 *   IDLE --join--> JOINED --Cohort--> DEALT --Deliver, mask--> MASKED --Survivors--> CONFIRMED
 *        --Certificate--> REVEALED --Result, Ended, deadline--> IDLE        any live state --> ABORTED
 *
 * Invariants:
 *  1. A journal record is durable (the callback returned FT_OK) before the message that depends on it exists.
 *  2. Under one T1 the client deals once, masks once, confirms one T3, reveals once. A resend of a server
 * message gives the stored answer byte for byte; a different one for the same step is equivocation: both are
 * kept and the session aborted. A message of another session, or out of order, is ignored.
 *  3. For one peer either the b-share or the kappa-share is revealed; the other is wiped before the answer
 * exists.
 *  4. Secrets live in secret memory and are wiped on leaving the session, whatever the way out.
 *  5. A local failure (NOMEM, IO of the journal) aborts the session: the client is a dropout, never a liar.
 *
 * One object serves the sessions of one task under one epoch, one at a time. Not thread-safe.
 * Source: secure aggregation specification, sections 4, 6, 7 and 8.
 *
 * A session, from the caller's side:
 *   ft_ss_client_check(announce)     is it worth training for? (codes 10 to 39)
 *   ... train ...
 *   ft_ss_client_join(announce)      -> Join to send
 *   ft_ss_client_handle(message)     -> FT_SS_ANSWER: send `answer` for the position
 *                                       FT_SS_NEED_INPUT: call ft_ss_client_mask with the packed contribution
 *                                       FT_SS_UPLOAD: (re)send what ft_ss_client_upload shows
 *                                       FT_SS_ENDED, FT_SS_ABORTED: `answer` holds the Abort to send, if any
 *   ft_ss_client_uploaded()          the aggregator has the whole upload
 *   ft_ss_client_tick()              often: it ends what is past its deadline
 */
#ifndef FT_SECURE_SUM_CLIENT_H
#define FT_SECURE_SUM_CLIENT_H

#include "common/base/env.h"
#include "common/base/status.h"
#include "common/secure_sum/codec.h"
#include "common/secure_sum/descriptor.h"
#include "common/secure_sum/pair.h"
#include "common/secure_sum/roster.h"
#include "common/secure_sum/session.h"

/* The shop's own limits, from its policy. */
struct ft_ss_limits {
    uint32_t n_min, h_min, corrupted; /* descriptor's must be at least these; h_min also at least 2 */
    uint8_t sigma;                    /* at least */
    uint16_t drop_permille;           /* at most */
    double clip;                      /* at most */
    uint64_t deadline_ms_max;         /* the deadline lies at most this far ahead */
    uint64_t words_max;               /* longest packed vector */
    bool graph_allowed;               /* the experimental graph profile */
    uint32_t graph_min;               /* only in cohorts above this, e.g. FT_SS_GRAPH_MIN_DEFAULT */
    bool suites[3];                   /* index enum ft_ss_suite */
    bool results_visible;             /* clients see results, so F >= 1 */
    bool repeat_model_unnoised;       /* contribute again after a round that failed, without noise */
};

struct ft_ss_client_config {
    const struct ft_env *env;
    /* Checked (ft_ss_directory_check); unchanged while the client is open. */
    const struct ft_ss_directory *directory;
    struct ft_ss_pairs *pairs;  /* of the same epoch; borrowed, used only inside calls */
    uint32_t id;                /* own position in the roster */
    const uint8_t *identity_sk; /* Ed25519, 64 bytes; copied to secret memory */
    uint8_t aggregator_pk[32];  /* pinned; signs the views */
    struct ft_ss_limits limits;
    bool audit;       /* commit to the input in the trailer */
    unsigned threads; /* for masking; 0 and 1: the caller's */
    /* Append to the journal and sync. For the step MASKED the same transaction charges the ledger. */
    enum ft_status (*journal)(void *ctx, const struct ft_ss_journal_record *record);
    void *journal_ctx;
};

/* The last round of the task this client contributed to. */
struct ft_ss_previous {
    bool any;
    uint64_t round;
    uint8_t model_hash[32], lineage_hash[32];
    bool result_known; /* a Result arrived */
    uint8_t result_hash[32];
};

/* What the client knows for judging a descriptor. Only used inside the call. */
struct ft_ss_facts {
    /* The accepted task, written as the descriptor should have it: task_hash, suite, dim, lanes and codec
     * fields, clip, noise, n_cap, n_min, h_min, corrupted, drop_permille, sigma, eta are compared exactly. */
    struct ft_ss_descriptor expected;
    uint8_t model_hash[32]; /* of the model at hand */
    struct ft_ss_previous previous;
    bool model_trained_on; /* in some earlier round of the task, `previous` or one before it */
    struct ft_ss_journal_view journal;
    bool ledger_can_pay;
};

enum ft_ss_client_state {
    FT_SS_CLIENT_IDLE,
    FT_SS_CLIENT_JOINED,
    FT_SS_CLIENT_DEALT,
    FT_SS_CLIENT_MASKED,
    FT_SS_CLIENT_CONFIRMED,
    FT_SS_CLIENT_REVEALED,
    FT_SS_CLIENT_ABORTED,
};

/* What to do after a call. */
enum ft_ss_action {
    FT_SS_IGNORED,    /* another session or out of order: nothing changed */
    FT_SS_ANSWER,     /* send `answer` */
    FT_SS_NEED_INPUT, /* Deliver is accepted: ft_ss_client_mask is awaited */
    FT_SS_UPLOAD,     /* send, or send again, the masked input */
    FT_SS_RESULT,     /* the session is done: ft_ss_client_result */
    FT_SS_ENDED,      /* the session ended without a result for this client; back to IDLE */
    FT_SS_ABORTED, /* a check failed: ft_ss_client_abort_code; `answer` is the Abort message when not empty */
};

struct ft_ss_client;

/* *out is NULL unless FT_OK. Errors: ARGUMENT, NOMEM. */
FT_NODISCARD enum ft_status ft_ss_client_open(const struct ft_ss_client_config *config,
                                              struct ft_ss_client **out);
void ft_ss_client_close(struct ft_ss_client *client); /* wipes and frees; NULL is allowed */

/* Judge an Announce (section 4) without joining. Returns the code, NONE when it may be joined; *descriptor
 * (may be NULL) is filled when it decodes. err gets the sentence. Changes nothing. */
FT_NODISCARD enum ft_ss_abort ft_ss_client_check(const struct ft_ss_client *client, struct ft_bytes announce,
                                                 const struct ft_ss_facts *facts,
                                                 struct ft_ss_descriptor *descriptor, struct ft_error *err);
/* The descriptor alone, e.g. one found in a blob: all checks but the view's signature. */
FT_NODISCARD enum ft_ss_abort ft_ss_client_check_descriptor(const struct ft_ss_client *client,
                                                            struct ft_bytes descriptor_bytes,
                                                            const struct ft_ss_facts *facts,
                                                            struct ft_ss_descriptor *descriptor,
                                                            struct ft_error *err);

/*
 * Check again and join: draws nu, journals T0, and writes the Join message. Call it once the contribution is
 * ready. The Announce of the live session gives the stored Join again; a different Announce for the same
 * round and attempt is equivocation. A refused one leaves the state as it was and gives an Abort message with
 * action ABORTED. Errors: NOMEM, IO and whatever the journal returned.
 */
FT_NODISCARD enum ft_status ft_ss_client_join(struct ft_ss_client *client, struct ft_bytes announce,
                                              const struct ft_ss_facts *facts, struct ft_buf *answer,
                                              enum ft_ss_action *action);

/*
 * Take one message of the aggregator. An Announce of the live session gives the stored Join again, any other
 * is IGNORED here: to join is a decision of its own. `answer` is replaced: it holds the bytes to send with
 * ANSWER, and with ABORTED. Any bytes are safe. Errors: NOMEM, IO or the journal's, after which the session
 * is ABORTED.
 */
FT_NODISCARD enum ft_status ft_ss_client_handle(struct ft_ss_client *client, struct ft_bytes message,
                                                struct ft_buf *answer, enum ft_ss_action *action);

/*
 * After NEED_INPUT: mask the packed contribution in place. `words` is from ft_big_alloc (count * 8 bytes) and
 * changes hands whatever the outcome; it is freed when the session ends. Journals `spent` before masking. On
 * FT_OK the upload is ready (UPLOAD). Errors: ARGUMENT (count is not the session's), STATE, NOMEM, the
 * journal's; the session is then ABORTED (with STATE only the words are freed).
 */
FT_NODISCARD enum ft_status ft_ss_client_mask(struct ft_ss_client *client, uint64_t *words, size_t count);

/* The masked input, for sending in any chunks; borrowed until the session ends. A resend has the same bytes.
 */
struct ft_ss_upload {
    struct ft_bytes header;  /* SumUploadHeader */
    struct ft_bytes words;   /* little-endian u64 words */
    struct ft_bytes trailer; /* SumUploadTrailer */
};
/* False when there is none. */
bool ft_ss_client_upload(const struct ft_ss_client *client, struct ft_ss_upload *out);
/* The aggregator has all of it: the position moves to MASKED. */
void ft_ss_client_uploaded(struct ft_ss_client *client);

/* Give the memory of an upload back before the session ends, when the aggregator has it and will never ask for it
 * again: one in the same process, which cannot be restarted alone. ft_ss_client_upload is false from here on. */
void ft_ss_client_drop_upload(struct ft_ss_client *client);

/* Withdraw: state ABORTED, secrets wiped; `answer` gets the Abort message (empty when no session is live). */
FT_NODISCARD enum ft_status ft_ss_client_cancel(struct ft_ss_client *client, struct ft_buf *answer);

/* Leave at the deadline: RESULT and ANSWER never come from here; ENDED (was REVEALED), ABORTED or IGNORED. */
enum ft_ss_action ft_ss_client_tick(struct ft_ss_client *client);

enum ft_ss_client_state ft_ss_client_state(const struct ft_ss_client *client);
enum ft_ss_abort
ft_ss_client_abort_code(const struct ft_ss_client *client);              /* of the last abort or refusal */
enum ft_ss_end ft_ss_client_end_code(const struct ft_ss_client *client); /* of the last ENDED */
/* Zeros when idle or aborted. */
void ft_ss_client_position(const struct ft_ss_client *client, struct ft_ss_position *out);
/* The live session's descriptor; NULL when idle or aborted. */
const struct ft_ss_descriptor *ft_ss_client_descriptor(const struct ft_ss_client *client);
/* Transcript hashes of the current or last session (zeros where not reached), for records. */
void ft_ss_client_transcript(const struct ft_ss_client *client, uint8_t t[4][32]);
/* After RESULT: T3 and H("result"; T3, SHA-256(result)). False otherwise. */
bool ft_ss_client_result(const struct ft_ss_client *client, uint8_t t3[32], uint8_t result_hash[32]);
/* After EQUIVOCATION: the two conflicting messages, until the next join. False when there are none. */
bool ft_ss_client_evidence(const struct ft_ss_client *client, struct ft_bytes *first,
                           struct ft_bytes *second);
/* With audits on, after mask: the r of the commitment, for the shop's own record. */
bool ft_ss_client_audit_opening(const struct ft_ss_client *client, uint8_t r[32]);

#endif
