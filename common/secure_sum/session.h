/*
 * What both sides of a secure-sum session share: steps, closed lists of codes, positions, journal records.
 * Numbers in these lists go on the wire or to disk: they are never changed or used again.
 */
#ifndef FT_SECURE_SUM_SESSION_H
#define FT_SECURE_SUM_SESSION_H

#include "common/base/buf.h"
#include <stdbool.h>
#include <stdint.h>

/* Largest message of either side that is decoded at all (a certificate of 65,535 signatures has 4.5 MB). */
#define FT_SS_MESSAGE_MAX ((size_t)8 << 20)

/* The answers a client gives, in order. A position names the last one given. */
enum ft_ss_step {
    FT_SS_STEP_NONE = 0,
    FT_SS_STEP_JOIN = 1,    /* T0 */
    FT_SS_STEP_SHARES = 2,  /* T1 */
    FT_SS_STEP_MASKED = 3,  /* T2; the upload is complete */
    FT_SS_STEP_CONFIRM = 4, /* T3 */
    FT_SS_STEP_UNMASK = 5,  /* T3 */
    FT_SS_STEP_REPAIR = 6,  /* T3 */
};

/* Where a client stands; all zero when it takes part in no session. Travels as Position (federation.proto).
 */
struct ft_ss_position {
    uint8_t task_hash[32];
    uint64_t round;
    uint32_t attempt;
    uint32_t step;          /* enum ft_ss_step */
    uint8_t transcript[32]; /* T of that step */
};

/* Why a client refuses to join (10 to 39) or leaves a session. Only the number leaves the shop. */
#define FT_SS_ABORT_MAP(X)                                                                                   \
    X(NONE, 0, "nothing wrong")                                                                              \
    X(LOCAL, 1, "local failure: memory, disk or journal")                                                    \
    X(CANCELLED, 2, "the shop withdrew")                                                                     \
    X(DEADLINE, 3, "the session's deadline passed")                                                          \
    X(MALFORMED, 4, "message cannot be decoded")                                                             \
    X(VIEW_SIGNATURE, 5, "not signed by the pinned aggregator key")                                          \
    X(EQUIVOCATION, 6, "two different messages for one step")                                                \
    X(DESCRIPTOR_FORM, 10, "descriptor has a wrong length, version, suite or codec bound")                   \
    X(TASK_UNKNOWN, 11, "not the task this shop has accepted")                                               \
    X(TASK_LIMIT, 12, "a limit differs from the task's")                                                     \
    X(DEPLOYMENT, 13, "another deployment")                                                                  \
    X(EPOCH, 14, "another epoch")                                                                            \
    X(DIRECTORY, 15, "another directory")                                                                    \
    X(DEADLINE_PAST, 16, "deadline is not ahead")                                                            \
    X(DEADLINE_FAR, 17, "deadline is beyond the local limit")                                                \
    X(MODEL, 18, "another model than the one at hand")                                                       \
    X(LINEAGE, 19, "model does not follow from the last round's result")                                     \
    X(N_MIN, 20, "cohort minimum below the local limit")                                                     \
    X(H_MIN, 21, "honest minimum below the local limit, or below 2")                                         \
    X(CORRUPTED, 22, "corruption bound below the roster's or the local limit, or 0")                         \
    X(SIGMA, 23, "statistical security below the local limit")                                               \
    X(DROP_RATE, 24, "tolerated dropouts above the local limit")                                             \
    X(CLIP, 25, "clip above the local limit")                                                                \
    X(ROUND_REPLAYED, 26, "round and attempt do not exceed the journal's last")                              \
    X(ROUND_SPENT, 27, "this shop has already contributed to the round")                                     \
    X(SESSION_LIVE, 28, "another session of the task is live")                                               \
    X(LEDGER, 29, "the ledger cannot pay for another release")                                               \
    X(MODEL_REPEATED, 30, "this model was trained on already")                                               \
    X(SUITE, 31, "mask suite not allowed here")                                                              \
    X(WORDS, 32, "vector longer than the local limit")                                                       \
    X(NOT_ACTIVE, 33, "this shop is not active in the roster")                                               \
    X(NOT_MEMBER, 40, "this shop is not in the cohort it was told")                                          \
    X(MERKLE_PATH, 41, "join is not in the cohort's tree")                                                   \
    X(COHORT_SIZE, 42, "cohort too small, too large or with too few honest members (P1)")                    \
    X(PARAMS, 43, "parameters break P2 to P5")                                                               \
    X(PROFILE, 44, "graph profile not allowed here")                                                         \
    X(MEMBER_INACTIVE, 45, "cohort names a shop that is not active in the roster")                           \
    X(MEMBER_ABSENT, 46, "cohort names a shop without an epoch key")                                         \
    X(PEER_KEY, 47, "a peer's key agrees on nothing")                                                        \
    X(ESCROW_FULL, 48, "more edges than escrow slots")                                                       \
    X(BITMAP, 49, "set of members has a wrong size or spare bits")                                           \
    X(SHARERS_MEMBER, 60, "this shop is not among those that shared keys")                                   \
    X(SHARERS_SUBSET, 61, "sharers are not a subset of the cohort")                                          \
    X(SHARERS_FEW, 62, "fewer sharers than tolerated dropouts allow")                                        \
    X(DELIVERY, 63, "delivered shares name a wrong or repeated dealer")                                      \
    X(SURVIVOR_MEMBER, 70, "this shop is not among the survivors")                                           \
    X(SURVIVOR_SUBSET, 71, "survivors are not a subset of the sharers")                                      \
    X(SURVIVORS_FEW, 72, "too few survivors")                                                                \
    X(CERTIFICATE, 80, "fewer valid confirmations than the quorum")                                          \
    X(REQUEST_SIGNATURE, 81, "repair, result or end not signed by the aggregator")

enum ft_ss_abort {
#define X(name, number, text) FT_SS_ABORT_##name = (number),
    FT_SS_ABORT_MAP(X)
#undef X
};
const char *ft_ss_abort_text(uint32_t code); /* for the shop's own log; "unknown code" outside the list */
const char *ft_ss_abort_name(uint32_t code); /* "VIEW_SIGNATURE" */

/* Why the aggregator ends a session for a client (SumEnded) or leaves it out. */
#define FT_SS_END_MAP(X)                                                                                     \
    X(NONE, 0, "still in")                                                                                   \
    X(FAILED_JOIN, 1, "too few shops joined")                                                                \
    X(FAILED_SHARES, 2, "too few shops shared keys")                                                         \
    X(FAILED_INPUTS, 3, "too few masked inputs arrived")                                                     \
    X(FAILED_CONFIRM, 4, "too few shops confirmed the survivors")                                            \
    X(FAILED_UNMASK, 5, "a self mask could not be rebuilt")                                                  \
    X(FAILED_SUM, 6, "the check lanes are wrong after repair")                                               \
    X(FAILED_RESEND, 7, "a masked input was lost and did not come again")                                    \
    X(FAILED_DEADLINE, 8, "the session's deadline passed")                                                   \
    X(FAILED_CANCELLED, 9, "the aggregator gave the session up")                                             \
    X(FAILED_LOCAL, 10, "the aggregator failed: memory, disk")                                               \
    X(LATE_JOIN, 20, "did not join in time")                                                                 \
    X(LATE_SHARES, 21, "did not share keys in time")                                                         \
    X(LATE_INPUT, 22, "masked input not complete in time")                                                   \
    X(LATE_CONFIRM, 23, "did not confirm in time")                                                           \
    X(LATE_UNMASK, 24, "did not answer the unmasking in time")                                               \
    X(ABORTED, 25, "aborted")                                                                                \
    X(COHORT_FULL, 26, "the cohort was full")                                                                \
    X(UNKNOWN_SESSION, 27, "no such session")                                                                \
    X(OVER, 28, "the session is over")

enum ft_ss_end {
#define X(name, number, text) FT_SS_END_##name = (number),
    FT_SS_END_MAP(X)
#undef X
};
const char *ft_ss_end_text(uint32_t code);
const char *ft_ss_end_name(uint32_t code);

/* One line of a client's journal, durable before the message that depends on it is handed out. */
struct ft_ss_journal_record {
    uint8_t task_hash[32];
    uint64_t round;
    uint32_t attempt;
    uint32_t step;    /* enum ft_ss_step this record permits */
    uint8_t t[4][32]; /* T0 to T3, zeros where not known yet */
    bool spent;       /* the round has had, or may have had, this client's contribution */
};

/* What a journal says about one task. Fold the records of that task in, in any order. Zero-initialise. */
struct ft_ss_journal_view {
    bool any;
    uint64_t round; /* the highest (round, attempt) */
    uint32_t attempt;
    bool any_spent;
    uint64_t spent_round; /* highest spent round */
};
void ft_ss_journal_fold(struct ft_ss_journal_view *view, const struct ft_ss_journal_record *record);

#endif
