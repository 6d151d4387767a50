/*
 * The shop's own policy: policy.yaml, and the one function that decides by it.
 *
 * Nothing the aggregator sends can loosen it: the decision takes the policy, the signed task and facts of
 * this machine, and no message. ft_policy_decide and ft_policy_explain run the same rules in the same order;
 * explain keeps the ones that pass as well. Purposes match exactly: train/propensity never implies
 * score/propensity.
 */
#ifndef FT_POLICY_POLICY_H
#define FT_POLICY_POLICY_H

#include "common/base/findings.h"
#include "common/base/refusal.h"
#include "common/task/refusal_codes.h"
#include "common/task/task.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum ft_basis { FT_BASIS_NONE = 1, FT_BASIS_CONSENT = 2, FT_BASIS_RECORDS = 3 };
enum ft_policy_owner { FT_OWNER_ROOT = 1, FT_OWNER_SELF = 2 };
enum ft_exclusion_kind { FT_EXCLUDE_EQUALS = 1, FT_EXCLUDE_ONE_OF = 2, FT_EXCLUDE_BELOW = 3 };

struct ft_policy_text {
    char *text;
};

/* purpose -> the columns it may read, each "table.column" */
struct ft_policy_columns {
    char *purpose;
    struct ft_policy_text *columns;
    uint32_t column_count;
};

/* Rows that are left out before anything else. The values may be customer ids: never log or print them. */
struct ft_policy_exclusion {
    char *table, *column, *reason;
    enum ft_exclusion_kind kind;
    char *equals;                  /* EQUALS: compared as text */
    struct ft_policy_text *one_of; /* ONE_OF: compared as text */
    uint32_t one_of_count;
    double below; /* BELOW: compared as a number; a value that is no number is left out too */
    bool hold;    /* a legal hold: these customers are not erased either (dsr delete) */
};

enum ft_budget_mode { FT_BUDGET_PLANNED = 1, FT_BUDGET_ADAPTIVE = 2 }; /* as in vault/ledger/ledger.h */
enum ft_budget_method { FT_BUDGET_RDP = 1, FT_BUDGET_PLD = 2 };

/* A budget domain: what the customers' data may cost in all tasks of its purposes together. */
struct ft_policy_budget {
    char *domain;   /* its name, in the ledger for good */
    char where[64]; /* its key in policy.yaml */
    enum ft_unit unit;
    double epsilon_max, delta;
    double epsilon_task_max; /* of one task; 0: no bound of its own */
    uint32_t t_min;          /* a task credits at least so many honest shops' noise */
    double q_max;            /* ... samples at most this share of customers a round */
    uint32_t m_stores;       /* ... reckons with a customer in at least so many shops */
    enum ft_budget_mode mode;
    uint32_t order;               /* ADAPTIVE: a*; 0: the first task's best */
    char *plan;                   /* PLANNED: the plan's hash as 64 hex digits */
    enum ft_budget_method method; /* PLANNED: which accountant admits */
    struct ft_policy_text *purposes; /* none: all of the policy's */
    uint32_t purpose_count;
    char *opened; /* with home_store.since: who came to this shop later is in another shop's share of the budget */
};

/* Of a customer who is known in several shops, one shop alone uses the data: the one that the loyalty system
 * names in a column of `customers` (P-01; a bound m_stores of 1 rests on it). */
struct ft_policy_home {
    char *column; /* NULL: no such rule */
    char *is;     /* what it says of customers of this shop */
    char *since;  /* column with the date from which it holds, YYYY-MM-DD; NULL: nobody moves */
};

struct ft_policy {
    char *origin;     /* the file's name, for messages */
    uint8_t hash[32]; /* BLAKE2b-256 H("policy"; file), for the participation records */

    enum ft_policy_owner owner; /* who may own the file: root, or self (the service's own user) */
    char *review_by;
    uint32_t grace_days;
    struct ft_policy_text *purposes;
    uint32_t purpose_count;
    struct {
        struct ft_policy_text *purposes;
        uint32_t purpose_count;
        uint32_t rounds_max;
    } auto_approve; /* absent: nothing is approved by itself */
    struct ft_policy_columns *columns;
    uint32_t columns_count;
    enum ft_basis training_basis;
    bool unnoised;          /* sums without noise are accepted */
    bool anonymous_baskets; /* baskets without a customer are included */
    uint32_t min_customers;
    struct {
        uint32_t n_min, h_min, corrupted, drop_permille_max, sigma_min;
    } cohort;
    struct {
        double clip_max;
        uint64_t parameters_max;
        uint32_t clusters_max; /* segments that a k-means task may make; 32 where the file says nothing */
        uint32_t min_cluster;  /* ... each of at least so many customers or records; 10 where it says nothing */
        uint32_t rounds_max;
        uint64_t session_ms_max;
        uint32_t query_ms, query_rows, query_memory_mib;
    } limits;
    struct {
        bool allow;
        uint32_t cohort_min;
    } graph_profile;
    struct ft_policy_exclusion *exclude;
    uint32_t exclude_count;
    struct ft_policy_home home;
    struct ft_policy_budget *budgets;
    uint32_t budget_count;
    struct {
        char *window; /* as written */
        uint32_t from_min,
            to_min;         /* minutes of the local day; to < from: past midnight; 0 and 1440: always */
        uint32_t days;      /* bit 0 Monday .. bit 6 Sunday: days on which a window may open */
        uint32_t *day_list; /* as written */
        uint32_t day_count;
        uint64_t min_gap_s;
        uint32_t rounds_per_month;
        bool metered;    /* also on a metered link */
        double load_max; /* 1-minute load average; 0: any */
    } participation;

    struct ft_config *source; /* positions, for explain */
};

/* Parse and check the text of a policy. Errors: CONFIG (findings, initialised here, hold every reason),
 * NOMEM. */
FT_NODISCARD enum ft_status ft_policy_parse(struct ft_bytes yaml, const char *origin, struct ft_policy *out,
                                            struct ft_findings *findings);

/* Who could change the file while the service runs. */
enum ft_policy_guard {
    FT_GUARD_OK = 0,   /* not the service's user, nor anybody but the owner */
    FT_GUARD_SELF,     /* owner: self was chosen, or the service runs as root: the service could; a WARN */
    FT_GUARD_WRITABLE, /* group or others may write the file or its folder: no participation */
    FT_GUARD_OWNER,    /* owner: root was chosen, and the file or its folder belongs to somebody else: none */
};
/* Which standard columns client.yaml maps: ft_source_config_maps over a struct ft_source_config. */
struct ft_policy_mapping {
    bool (*maps)(const void *ctx, const char *table, const char *column);
    const void *ctx;
};
/* Read policy.yaml from disk: ft_policy_parse, ft_policy_check_mapping (maps NULL: not asked) and the guard. The
 * file is opened once, so what was checked is what was read. service_uid is the user the vault runs as. Errors:
 * NOTFOUND, IO, LIMIT, CONFIG, NOMEM. */
FT_NODISCARD enum ft_status ft_policy_load(const char *path, uid_t service_uid, struct ft_policy_mapping mapping,
                                           struct ft_policy *out, enum ft_policy_guard *guard,
                                           struct ft_findings *findings, struct ft_error *err);
/* The guard's rule alone, on what stat said: testable without being root. */
enum ft_policy_guard ft_policy_guard_of(enum ft_policy_owner owner, uid_t service_uid, uid_t file_uid,
                                        mode_t file_mode, uid_t folder_uid, mode_t folder_mode);
const char *ft_policy_guard_text(enum ft_policy_guard guard);

void ft_policy_clear(struct ft_policy *policy);

/* One column a query reads, as SQLite's authorizer names it. */
struct ft_policy_use {
    const char *table, *column;
};

/* Findings (78) for each exclusion rule, and for home_store, that names a column which is not mapped. `policy`
 * must be parsed; findings are added. */
FT_NODISCARD enum ft_status ft_policy_check_mapping(const struct ft_policy *policy,
                                                    struct ft_policy_mapping mapping,
                                                    struct ft_findings *findings);

/* May a task of this purpose read table.column? Exact match of purpose; names compare without case, as in
 * SQL. */
bool ft_policy_column_allowed(const struct ft_policy *policy, const char *purpose, const char *table,
                              const char *column);

/* The domain that pays for a task with noise; NULL: none does. No two cover the same task. */
const struct ft_policy_budget *ft_policy_budget_of(const struct ft_policy *policy, const struct ft_task *task);

/* What the shop's ledger says of a task with noise. Zero-initialised it refuses. */
struct ft_policy_ledger {
    uint32_t fault; /* LEDGER_* or NUMERIC_FAILURE, BAD_PARAMETERS; 0: none */
    char text[200]; /* ... in words */
    bool answered;  /* the numbers below are there */
    bool reserved;  /* the task's steps are charged already */
    bool closed;    /* ... and the task is over here */
    bool admitted;
    double epsilon_now, epsilon_after; /* of the domain, by the accountant that decides */
    double epsilon_max;                /* at its opening; a budget never refills */
    double epsilon_task;               /* of this task alone, at the domain's delta */
    double delta;                      /* of the domain at its opening */
    uint64_t steps, spent;             /* of this task: contributions at most, and made */
};

enum ft_approval { FT_APPROVAL_NONE = 0, FT_APPROVAL_GIVEN = 1, FT_APPROVAL_DENIED = 2 };

/* What the vault knows at the time of the decision. Zero-initialised facts refuse. */
struct ft_policy_facts {
    int64_t now_s;         /* wall clock, seconds since 1970 */
    int32_t utc_offset_s;  /* local time minus UTC, for the participation window */
    int64_t latest_seen_s; /* latest wall time already recorded; 0 none. More than 300 s ahead of now:
                              CLOCK_BACK */
    enum ft_policy_guard guard;
    enum ft_basis data_basis;    /* client.yaml: consent.basis */
    bool consent_ready;          /* a consent source was imported and can be read */
    bool customers_counted;      /* eligible_customers is known; until then the rule is left open */
    uint64_t eligible_customers; /* customers (unit customer) with an active consent for the purpose */
    uint32_t rounds_this_month;  /* participations in the local calendar month */
    int64_t last_round_s;        /* latest participation; 0 never */
    bool metered;
    double load;               /* 1-minute load average */
    enum ft_approval approval; /* by a person, for this task hash */
    uint8_t deployment[16];    /* this shop's federation */
    const char *shop;          /* its name there; NULL: not known, the rule is left open */
    struct ft_policy_ledger ledger;
    const struct ft_policy_use
        *uses; /* columns the task's query reads; NULL: not compiled yet, rule left open */
    size_t use_count;
};

enum ft_verdict {
    FT_VERDICT_ACCEPTED = 1,
    FT_VERDICT_WAITING = 2,
    FT_VERDICT_REFUSED = 3,
    FT_VERDICT_LATER = 4
};

struct ft_policy_decision {
    enum ft_verdict verdict;
    struct ft_refusals reasons;      /* every reason at once; empty when accepted */
    uint32_t codes[FT_REFUSALS_MAX]; /* the wire numbers of reasons, without repeats */
    size_t code_count;
    int64_t next_s;    /* LATER: the earliest time at which time alone no longer stands against it; else 0 */
    size_t open_count; /* rules left open for want of facts: before data are touched it must be 0 */
    bool automatic;    /* ACCEPTED without a person's approval, by auto_approve */
};

/* Decide. `task` is validated, its signature verified by the caller (ft_task_open). */
void ft_policy_decide(const struct ft_policy *policy, const struct ft_task *task,
                      const struct ft_policy_facts *facts, struct ft_policy_decision *out);

enum ft_rule_result { FT_RULE_PASS, FT_RULE_FAIL, FT_RULE_LATER, FT_RULE_WAITING, FT_RULE_OPEN };

/* One rule of an explanation. */
struct ft_policy_line {
    const char *rule;      /* stable name, e.g. "purpose" */
    const char *path;      /* key in policy.yaml, e.g. "limits.clip_max" */
    uint32_t line, column; /* where it is in the file; 0 when the rule has no key (built in) */
    enum ft_rule_result result;
    uint32_t code;  /* enum ft_refusal_code when not PASS or OPEN */
    char text[360]; /* what the policy says, what the task or the facts say */
};
#define FT_POLICY_LINES_MAX 96

/* The same rules, each with its outcome. Returns the number of lines written (at most FT_POLICY_LINES_MAX).
 * decision may be NULL. */
size_t ft_policy_explain(const struct ft_policy *policy, const struct ft_task *task,
                         const struct ft_policy_facts *facts,
                         struct ft_policy_line lines[FT_POLICY_LINES_MAX],
                         struct ft_policy_decision *decision);
const char *ft_rule_result_name(enum ft_rule_result result); /* "pass", "FAIL", "later", "waiting", "open" */
const char *ft_verdict_name(enum ft_verdict verdict);        /* "accepted", "waiting", "refused", "later" */

/* Is the purpose in the policy's list? Exact match. */
bool ft_policy_purpose_allowed(const struct ft_policy *policy, const char *purpose);

/* The participation window alone: is local time inside, and if not, when (wall seconds) does it open next? */
bool ft_policy_window_open(const struct ft_policy *policy, int64_t now_s, int32_t utc_offset_s,
                           int64_t *next_s);

#endif
