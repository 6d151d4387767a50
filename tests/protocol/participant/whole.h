/*
 * A whole shop, with files, consent registry, policy, privacy ledger and training, in a federation with four others that
 * only add numbers: the real participant, the real engine, virtual time. What it hands out is looked at byte by byte.
 */
#ifndef TEST_PARTICIPANT_WHOLE_H
#define TEST_PARTICIPANT_WHOLE_H

#include "rig.h"

#include "client/consent/consent.h"
#include "client/vault/audit.h"
#include "client/vault/shop.h"
#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/secure_sum/wire.h"
#include "common/task/refusal_codes.h"

#define CUSTOMERS 24
#define PURPOSE   "train/propensity"
#define AMOUNT    "73.519" /* every amount of the shop: planted */
#define BASKET    "BASKETCANARY7"

#define POLICY_HEAD "version: 1\nowner: self\nreview_by: 2027-12-31\ngrace_days: 0\n"
#define POLICY_PURPOSES                                                                                      \
    "purposes: [train/propensity]\nauto_approve:\n  purposes: [train/propensity]\n  rounds_max: 100\n"
#define POLICY_COLUMNS                                                                                       \
    "columns:\n  train/propensity: [transactions.customer_id, transactions.week, transactions.amount, "      \
    "transactions.quantity, transactions.coupon]\n"
#define POLICY_TAIL                                                                                          \
    "cohort: {n_min: 3, h_min: 2, corrupted: 1, drop_permille_max: 300, sigma_min: 40}\n"                    \
    "limits: {clip_max: 10, parameters_max: 1000, rounds_max: 500, session_ms_max: 600000, query_ms: "       \
    "20000, "                                                                                                \
    "query_rows: 500000, query_memory_mib: 64}\n"                                                            \
    "graph_profile: {allow: false, cohort_min: 512}\nexclude: []\n"                                          \
    "participation: {window: \"00:00-24:00\", days: [mon, tue, wed, thu, fri, sat, sun], min_gap_s: 0, "     \
    "rounds_per_month: 1000}\n"
#define POLICY_REST "training_basis: consent\nunnoised: allow\nmin_customers: 10\n"
#define POLICY      POLICY_HEAD POLICY_PURPOSES POLICY_COLUMNS POLICY_REST POLICY_TAIL

struct whole {
    struct rig rig;
    uint8_t task[32];
    char folder[64], state[80], policy[96], db[96], log[96];
    struct ft_source_config source;
    struct ft_node_key key;
    struct ft_consent *consent;
    bool heads_forgotten; /* the aggregator tells nothing of the ledger's heads */
    struct ft_shop *shop;
    struct ft_participant_world inner, outer;
    struct ft_audit *audit;
    struct ft_buf sizes; /* one byte a message: its kind, and the size of its frame */
    struct ft_buf handed; /* every byte handed out, masked input included */
    struct ft_error error; /* of the last start */
    uint64_t contributions;
    uint64_t last_weight;
    uint32_t verdict, code; /* reported last */
    bool kinds[8];          /* enum ft_ss_up_kind seen */
    uint64_t uploads;
    void (*look)(struct whole *w, const struct ft_out *message); /* at each message, before it goes; NULL */
    bool no_spend; /* the ledger cannot be written */
    void (*during)(struct whole *w, const struct ft_work *work); /* between contribution and sealing */
    struct ft_vault_store_calls calls;
    uint32_t fail_step; /* journal records of this step fail */
};

/* The shop's data, consents and policy; it is up when this returns. */
void whole_open(struct whole *w, const char *policy, int consents);
/* Its process ends, whatever it was doing, and starts again. False: it does not start; w->error says why. */
void whole_kill(struct whole *w);
bool whole_start(struct whole *w);
void whole_publish(struct whole *w); /* w->rig.task, as w->task */
void whole_close(struct whole *w);

void whole_customer(int i, char out[32]);
void whole_record(struct whole *w, int customer, enum ft_consent_state state);
void whole_write(const char *path, const char *text);

#endif
