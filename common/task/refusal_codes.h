/*
 * Refusal codes: one closed list for policy decisions, enrolment and the protocol. The number is what travels
 * on the wire (no text leaves the shop), the name is what people and manuals use. Numbers are never reused.
 */
#ifndef FT_TASK_REFUSAL_CODES_H
#define FT_TASK_REFUSAL_CODES_H

#include "common/base/refusal.h"
#include "common/base/status.h"
#include <stdint.h>

/* name, number, exit code, remedy (a sentence without its full stop) */
#define FT_REFUSAL_MAP(X)                                                                                    \
    /* the shop's policy */                                                                                  \
    X(POLICY_UNREADABLE, 1, FT_EXIT_CONFIG, "mend policy.yaml; `policy check` lists what is wrong")          \
    X(POLICY_WRITABLE, 2, FT_EXIT_REFUSED, "make policy.yaml and its folder writable by its owner only")     \
    X(POLICY_EXPIRED, 3, FT_EXIT_REFUSED, "review the policy and move review_by on")                         \
    X(TASK_SIGNATURE, 4, FT_EXIT_VERIFY, "ask the central team for a task signed with a pinned key")         \
    X(TASK_FORMAT, 5, FT_EXIT_DATA, "ask the central team for a valid task")                                 \
    X(TASK_EXPIRED, 6, FT_EXIT_VERIFY, "ask the central team for a task with a later expiry")                \
    X(TASK_REVIEW_DUE, 7, FT_EXIT_REFUSED, "ask the central team to review the task and sign it again")      \
    X(TASK_DEPLOYMENT, 8, FT_EXIT_VERIFY, "the task is for another federation: ignore it")                   \
    X(TASK_NOT_APPROVED, 9, FT_EXIT_REFUSED, "read it with `task show` and decide with `task approve`")      \
    X(TASK_DENIED, 10, FT_EXIT_REFUSED, "`task approve` reverses the decision")                              \
    X(PURPOSE_NOT_ALLOWED, 11, FT_EXIT_REFUSED, "add the purpose to purposes in policy.yaml, if you agree")  \
    X(COLUMN_NOT_ALLOWED, 12, FT_EXIT_REFUSED,                                                               \
      "add the column to columns of this purpose in policy.yaml, if you agree")                              \
    X(BASIS_NONE, 13, FT_EXIT_REFUSED, "set training_basis, if there is a legal basis")                      \
    X(BASIS_MISMATCH, 14, FT_EXIT_REFUSED, "only tasks of the unit that training_basis covers can run here") \
    X(UNNOISED_NOT_ALLOWED, 15, FT_EXIT_REFUSED,                                                             \
      "set unnoised: allow, if the officer accepts sums without noise")                                      \
    X(COHORT_TOO_SMALL, 16, FT_EXIT_REFUSED, "ask the central team for a larger cohort.n_min")               \
    X(HONEST_TOO_FEW, 17, FT_EXIT_REFUSED, "ask the central team for a larger cohort.h_min")                 \
    X(CORRUPTED_TOO_FEW, 18, FT_EXIT_REFUSED, "ask the central team for a larger cohort.corrupted")          \
    X(DROPOUT_TOO_HIGH, 19, FT_EXIT_REFUSED, "ask the central team for a smaller cohort.drop_permille")      \
    X(SIGMA_TOO_LOW, 20, FT_EXIT_REFUSED, "ask the central team for a larger cohort.sigma")                  \
    X(GRAPH_NOT_ALLOWED, 21, FT_EXIT_REFUSED, "set graph_profile.allow, if large sparse cohorts are wanted") \
    X(CLIP_TOO_LARGE, 22, FT_EXIT_REFUSED, "ask for a smaller training.clip or raise limits.clip_max")       \
    X(PARAMETERS_TOO_MANY, 23, FT_EXIT_REFUSED, "ask for a smaller model or raise limits.parameters_max")    \
    X(ROUNDS_TOO_MANY, 24, FT_EXIT_REFUSED, "ask for fewer rounds or raise limits.rounds_max")               \
    X(SESSION_TOO_LONG, 25, FT_EXIT_REFUSED, "ask for a shorter schedule or raise limits.session_ms_max")    \
    X(ROWS_TOO_MANY, 26, FT_EXIT_REFUSED, "ask for a smaller rows_max or raise limits.query_rows")           \
    X(CUSTOMERS_TOO_FEW, 27, FT_EXIT_REFUSED,                                                                \
      "wait until more customers have agreed; min_customers is the floor")                                   \
    X(CONSENT_SOURCE_MISSING, 28, FT_EXIT_REFUSED, "set consent in client.yaml and run `consent import`")    \
    X(OUTSIDE_WINDOW, 29, FT_EXIT_LATER, "nothing: the client takes part when the window opens")             \
    X(TOO_SOON, 30, FT_EXIT_LATER, "nothing: the client takes part when participation.min_gap_s has passed") \
    X(MONTH_SPENT, 31, FT_EXIT_LATER, "wait for next month or raise participation.rounds_per_month")         \
    X(METERED_LINK, 32, FT_EXIT_LATER, "connect by an unmetered link or set participation.metered: allow")   \
    X(BUSY, 33, FT_EXIT_LATER, "nothing: the client takes part when the machine is less loaded")             \
    X(CLOCK_BACK, 34, FT_EXIT_REFUSED, "set the clock right; it is behind what was already recorded")        \
    /* the shop's privacy budget: tasks with noise */                                                        \
    X(REFUSED_BUDGET, 35, FT_EXIT_REFUSED,                                                                   \
      "`budget` shows what is left; a budget never refills, a new domain adds to what was spent")            \
    X(BUDGET_MISSING, 36, FT_EXIT_REFUSED, "add a domain for this unit and purpose to budgets, if you agree") \
    X(EPSILON_TOO_LARGE, 37, FT_EXIT_REFUSED, "ask for more noise or fewer rounds, or raise epsilon_task_max") \
    X(DELTA_TOO_LARGE, 38, FT_EXIT_CONFIG, "ask the central team for a smaller privacy.delta")               \
    X(SHARES_TOO_FEW, 39, FT_EXIT_REFUSED, "ask the central team for a larger cohort.h_min")                 \
    X(SAMPLING_TOO_HIGH, 40, FT_EXIT_REFUSED, "ask the central team for fewer privacy.expected_customers")   \
    X(STORES_TOO_FEW, 41, FT_EXIT_REFUSED, "ask the central team to reckon with more shops: privacy.m_stores") \
    X(SHOP_NOT_DECLARED, 42, FT_EXIT_REFUSED, "ask the central team to name this shop in privacy.shops")     \
    X(BAD_PARAMETERS, 43, FT_EXIT_DATA, "ask the central team for a task whose privacy numbers agree")       \
    X(NUMERIC_FAILURE, 44, FT_EXIT_INTERNAL, "ask for other privacy numbers: the accountant has no figure")  \
    X(LEDGER_CORRUPT, 45, FT_EXIT_VERIFY,                                                                    \
      "put the newest copy of ledger.bin back; without one keep the file and ask the privacy officer")       \
    X(LEDGER_ROLLBACK, 46, FT_EXIT_VERIFY, "an older ledger.bin was put back: restore the newest copy")      \
    X(LEDGER_FOREIGN, 47, FT_EXIT_VERIFY, "ledger.bin belongs to another shop: put this shop's back")        \
    X(LEDGER_IO, 48, FT_EXIT_INTERNAL, "free disk space or mend the disk, then start the client again")      \
    X(LEDGER_BUSY, 49, FT_EXIT_LATER, "another process has the ledger: stop it")                             \
    /* the shop's data */                                                                                    \
    X(DATA_UNREADABLE, 50, FT_EXIT_DATA, "run `source check`")                                               \
    X(QUERY_REFUSED, 51, FT_EXIT_REFUSED, "ask the central team for a query the policy allows")              \
    X(QUERY_TOO_LARGE, 52, FT_EXIT_REFUSED, "ask for a smaller query or raise the limits in policy.yaml")    \
    X(QUERY_RESULT, 53, FT_EXIT_DATA, "ask the central team for a query with the declared columns")          \
    X(DATA_NONFINITE, 54, FT_EXIT_DATA,                                                                      \
      "mend the data or the task: a feature, label or update is not a number")                               \
    X(CONSENT_CHANGED, 55, FT_EXIT_LATER, "nothing: the update was discarded and the next round counts")     \
    X(STATE_FULL, 56, FT_EXIT_INTERNAL, "free disk space in the state folder")                               \
    X(INTERNAL, 57, FT_EXIT_INTERNAL, "look at the log and run `doctor`")                                    \
    X(CLUSTERS_TOO_MANY, 58, FT_EXIT_REFUSED, "ask for fewer segments or raise limits.clusters_max")         \
    X(CLUSTERS_TOO_SMALL, 59, FT_EXIT_REFUSED,                                                               \
      "ask for a larger model.min_cluster or lower limits.min_cluster")                                      \
    /* enrolment: 100 + EnrolReply.refusal */                                                                \
    X(TOKEN_UNKNOWN, 101, FT_EXIT_REFUSED, "ask the central team for a new invitation")                      \
    X(TOKEN_USED, 102, FT_EXIT_REFUSED,                                                                      \
      "ask the central team for a new invitation and why this one was used")                                 \
    X(TOKEN_EXPIRED, 103, FT_EXIT_REFUSED, "ask the central team for a new invitation")                      \
    X(TOKEN_FOREIGN, 104, FT_EXIT_REFUSED, "use the invitation that was made for this shop")                 \
    X(ENROL_IDENTITY, 105, FT_EXIT_VERIFY, "enrol again: the identity key's proof does not verify")          \
    X(ENROL_REQUEST, 106, FT_EXIT_VERIFY, "enrol again with a current client")                               \
    X(ENROL_IN_USE, 107, FT_EXIT_REFUSED, "enrol in an empty home folder: the key belongs to another shop")  \
    X(SHOP_REVOKED, 108, FT_EXIT_REFUSED, "ask the central team for a new invitation")                       \
    /* the register */                                                                                       \
    X(SHOP_UNKNOWN, 120, FT_EXIT_VERIFY, "enrol this shop")                                                  \
    X(SHOP_SUSPENDED, 121, FT_EXIT_REFUSED, "ask the central team why the shop is suspended")                \
    X(PROTOCOL_VERSION, 123, FT_EXIT_VERIFY, "update this client")                                           \
    /* the protocol */                                                                                       \
    X(MESSAGE_MALFORMED, 140, FT_EXIT_VERIFY, "update this client; keep its log")                            \
    X(MESSAGE_SIGNATURE, 141, FT_EXIT_VERIFY, "keep the log and tell the central team")                      \
    X(MESSAGE_REPLAYED, 142, FT_EXIT_VERIFY, "keep the log and tell the central team")                       \
    X(MESSAGE_ORDER, 143, FT_EXIT_VERIFY, "keep the log and tell the central team")                          \
    X(MESSAGE_CONFLICT, 144, FT_EXIT_VERIFY, "keep the log: two different answers to one step were sent")    \
    X(SESSION_UNKNOWN, 145, FT_EXIT_LATER, "nothing: the client joins the next round")                       \
    X(SESSION_CLOSED, 146, FT_EXIT_LATER, "nothing: the round has ended and the client joins the next one")  \
    X(TOO_LATE, 147, FT_EXIT_LATER, "look at the link's speed if this happens often")                        \
    X(NOT_A_MEMBER, 148, FT_EXIT_VERIFY, "nothing: the shop is not in this cohort")                          \
    X(UPLOAD_SIZE, 149, FT_EXIT_VERIFY, "update this client; keep its log")                                  \
    X(UPLOAD_DIGEST, 150, FT_EXIT_LATER, "nothing: the upload starts again")                                 \
    X(VIEW_DIFFERS, 151, FT_EXIT_VERIFY, "keep the log: shops were shown different cohorts")                 \
    X(COHORT_SHRUNK, 152, FT_EXIT_VERIFY, "keep the log: the cohort became smaller than the task allows")    \
    X(MODEL_DIFFERS, 153, FT_EXIT_VERIFY, "keep the log: two different models were sent under one round")    \
    X(ROUND_SPENT, 154, FT_EXIT_VERIFY, "nothing: a round takes one contribution")                           \
    X(DESCRIPTOR_WEAKER, 155, FT_EXIT_VERIFY, "keep the log: the round's terms were weaker than the task's") \
    X(BLOB_UNKNOWN, 156, FT_EXIT_LATER, "nothing: the client asks again")                                    \
    X(ROSTER_INVALID, 157, FT_EXIT_VERIFY, "keep the log and tell the central team")                         \
    X(AGGREGATOR_FULL, 158, FT_EXIT_LATER, "free disk space at the aggregator")

enum ft_refusal_code {
#define X(name, number, exit, remedy) FT_REFUSAL_##name = number,
    FT_REFUSAL_MAP(X)
#undef X
};

/* NULL (0 for exit) when the number is not in the list: a peer may send anything. */
const char *ft_refusal_name(uint32_t code);
const char *ft_refusal_remedy(uint32_t code);
int ft_refusal_exit(uint32_t code);
uint32_t ft_refusal_number(const char *name); /* 0: unknown */

/* Add a refusal with the code's own remedy. */
void ft_refuse_code(struct ft_refusals *r, enum ft_refusal_code code, const char *fmt, ...) FT_PRINTF(3, 4);

/* The exit code of a list: verification before configuration, refusal, data, internal; 75 only when all are.
 */
int ft_refusals_exit(const struct ft_refusals *r);

#endif
