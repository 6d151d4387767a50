/*
 * The privacy ledger of one shop: an append-only file of what its customers' data have cost, from which alone the
 * shop decides whether a task may still be paid for. It holds public parameters and counters, no personal data.
 *
 *   RESERVE charges a task's T steps to its domain; each contribution is a SPEND of one of them; CLOSE lets the charge
 *   fall to what was spent.
 *
 *   domain: (none) --open_domain--> OPEN                       a domain never refills and never closes
 *   task:   (none) --reserve--> OPEN --spend...--> OPEN --close_task--> CLOSED
 *
 * Invariants
 *   1. A call that writes is durable when it returns FT_OK: written and fdatasynced, the folder too when the file is
 *      new. SPEND comes before the first masked byte leaves.
 *   2. After a write or sync that failed, whole or in part, nothing more is written until the ledger is opened anew.
 *   3. Every record carries its sequence number and chain[32] = BLAKE2b-256(key; previous chain, all bytes before it).
 *      A torn last record is cut off when the ledger is opened and costs every open task one step (RECOVER), since it
 *      may have been durable. Any other difference is LEDGER_CORRUPT: no ledger is handed out.
 *   4. The charge of a domain is recomputed from whole counts whenever it is asked for, never accumulated.
 *   5. No (task, round) is spent twice, no task beyond its T, no closed task at all.
 *   6. A PLANNED domain's first SPEND finds exactly the reservations that its plan hash names; none is added later.
 *   7. One process has the ledger: it holds an exclusive lock.
 *
 * Backups: the newest copy goes on where it was. An older one does not: the shop's state and the aggregator know a later
 * record (LEDGER_ROLLBACK), and what was spent since cannot be known, so no command takes it back into use. A shop that has
 * lost its newest ledger begins anew under another name, with its budgets to be agreed anew.
 *
 * Refusals are told by status and by the code at the start of err->text:
 *   REFUSED  REFUSED_BUDGET       the numbers are in the sentence and in struct ft_ledger_quote
 *   VERIFY   LEDGER_CORRUPT, LEDGER_ROLLBACK, LEDGER_FOREIGN (another shop's)
 *   IO, FULL LEDGER_IO            also for every write after a failed one
 *   LATER    LEDGER_BUSY          another process has it
 *   STATE    LEDGER_ORDER         a double spend, a closed or unknown task: our own caller's fault, nothing written
 *   NONFINITE NUMERIC_FAILURE     the accountant has no number: nothing written
 * Not thread-safe.
 */
#ifndef FT_LEDGER_H
#define FT_LEDGER_H

#include "common/base/buf.h"
#include "common/privacy/accountant/accountant.h"
#include <stdbool.h>
#include <stdint.h>

#define FT_LEDGER_VERSION     1u
#define FT_LEDGER_SHOP_MAX    64
#define FT_LEDGER_DOMAIN_MAX  48
#define FT_LEDGER_KEY_SIZE    32
#define FT_LEDGER_CHAIN_SIZE  32
#define FT_LEDGER_SIZE_MAX    ((size_t)1 << 28)
#define FT_LEDGER_DOMAINS_MAX 256u
#define FT_LEDGER_TASKS_MAX   4096u /* in one domain */

/* ---- the file, as calls that a test can fail ---- */

struct ft_ledger_file_calls {
    /* Everything the file holds; empty when it does not exist. Errors: IO, LIMIT, NOMEM, VERIFY (owner or mode). */
    enum ft_status (*read)(void *ctx, struct ft_buf *out, struct ft_error *err);
    /* Make the file when it is not there and sync the folder, take the exclusive lock. Errors: LATER, IO, FULL. */
    enum ft_status (*open)(void *ctx, struct ft_error *err);
    /* Append all bytes at `offset`, the file's end. Errors: IO, FULL. */
    enum ft_status (*append)(void *ctx, uint64_t offset, struct ft_bytes bytes);
    enum ft_status (*truncate)(void *ctx, uint64_t size);
    enum ft_status (*sync)(void *ctx);
    void (*close)(void *ctx);
};
struct ft_ledger_file {
    const struct ft_ledger_file_calls *calls;
    void *ctx;
};

/* The real one: mode 0600, our owner, never followed through a symbolic link. `path` is copied; the ledger that is
 * opened with it closes it. */
FT_NODISCARD enum ft_status ft_ledger_file_posix(const char *path, struct ft_ledger_file *out);

/* ---- what it holds ---- */

enum ft_ledger_mode {
    FT_LEDGER_PLANNED = 1,  /* the whole list of tasks was fixed and hashed before the first spend */
    FT_LEDGER_ADAPTIVE = 2, /* tasks may be chosen after seeing results: a Renyi filter at one order */
};

struct ft_ledger_domain {
    char id[FT_LEDGER_DOMAIN_MAX + 1];
    enum ft_ledger_mode mode;
    enum ft_account_method method; /* PLANNED: which accountant admits; ADAPTIVE: RDP */
    double epsilon_max, delta;
    uint32_t order;        /* ADAPTIVE: a*, else 0 */
    uint8_t plan_hash[32]; /* PLANNED, else zero */
};

struct ft_ledger_reservation {
    char domain[FT_LEDGER_DOMAIN_MAX + 1];
    uint8_t task[32];     /* the task's hash: its id here */
    uint8_t manifest[32]; /* hash of the parameters it was admitted with */
    uint64_t q_num, delta_int_sq;
    uint32_t sigma_share, t_min, m_stores;
    uint64_t steps; /* T */
};

enum ft_ledger_close_reason {
    FT_LEDGER_FINISHED = 1,
    FT_LEDGER_WITHDRAWN = 2, /* by the shop or the aggregator */
    FT_LEDGER_FAILED_AUDIT = 3, /* its whole reservation stays charged */
    FT_LEDGER_RESTORED = 4,     /* the ledger came from a backup: the whole reservation stays charged */
};

struct ft_ledger_task {
    struct ft_ledger_reservation reserved;
    uint64_t spent;     /* SPEND records */
    uint64_t recovered; /* RECOVER records */
    uint64_t charged;   /* steps that count: open max(T, spent + recovered), closed spent + recovered */
    bool open;
    enum ft_ledger_close_reason reason; /* once closed */
};

struct ft_ledger_head {
    uint64_t seq; /* of the last record; GENESIS is 0 */
    uint8_t chain[FT_LEDGER_CHAIN_SIZE];
};

/* ---- use ---- */

struct ft_ledger;

struct ft_ledger_opened {
    bool created;      /* the file was made */
    uint64_t torn;     /* bytes cut off */
    size_t recovered;  /* tasks charged one step for it */
};

/*
 * Open the ledger of `shop`, making it when the file is empty. ledger_id (16 random bytes) is used for a new one only.
 * `file` is closed with the ledger, also when opening fails. Errors: as above, LIMIT (shop's name), NOMEM.
 */
FT_NODISCARD enum ft_status ft_ledger_open(struct ft_ledger_file file, const uint8_t key[FT_LEDGER_KEY_SIZE],
                                           const char *shop, const uint8_t ledger_id[16], struct ft_ledger **out,
                                           struct ft_ledger_opened *opened, struct ft_error *err);

/* The same from bytes, to look at only: no lock, nothing is cut, a torn tail counts as its RECOVER would. shop may be
 * NULL. Every writing call is STATE. */
FT_NODISCARD enum ft_status ft_ledger_view(struct ft_bytes bytes, const uint8_t key[FT_LEDGER_KEY_SIZE],
                                           const char *shop, struct ft_ledger **out, struct ft_error *err);
void ft_ledger_close(struct ft_ledger *l); /* NULL is allowed; wipes the key */

/* Start a budget. Errors: DUPLICATE when the id is taken with other terms (the same terms again are FT_OK and write
 * nothing), LIMIT. */
FT_NODISCARD enum ft_status ft_ledger_open_domain(struct ft_ledger *l, const struct ft_ledger_domain *domain,
                                                  struct ft_error *err);

/* The hash of a plan: its reservations in the order in which they will be made (their domain field is left out). */
void ft_ledger_plan_hash(const struct ft_ledger_reservation *plan, size_t count, uint8_t hash[32]);

/* What admitting a task would come to. */
struct ft_ledger_quote {
    bool admitted;
    double epsilon_now, epsilon_after, epsilon_max; /* by the accountant that decides */
    double rdp_now, rdp_after, rdp_budget;          /* ADAPTIVE: RDP totals at a*; else 0 */
};
FT_NODISCARD enum ft_status ft_ledger_quote(const struct ft_ledger *l, const struct ft_ledger_reservation *task,
                                            struct ft_ledger_quote *quote, struct ft_error *err);

/* The same in a domain that need not be open yet; ledger NULL: nothing has been spent. One with order 0 takes the order at
 * which the task itself costs least, which is what opening it should fix: *order (NULL allowed). */
FT_NODISCARD enum ft_status ft_ledger_quote_in(const struct ft_ledger *l, const struct ft_ledger_domain *domain,
                                               const struct ft_ledger_reservation *task, struct ft_ledger_quote *quote,
                                               uint32_t *order, struct ft_error *err);

/* Charge a task's T steps. The same reservation again is FT_OK and writes nothing; the same task with other
 * parameters is STATE. `quote` may be NULL. Errors: REFUSED, NOTFOUND (domain), STATE, LIMIT, NONFINITE, IO, FULL. */
FT_NODISCARD enum ft_status ft_ledger_reserve(struct ft_ledger *l, const struct ft_ledger_reservation *task,
                                              struct ft_ledger_quote *quote, struct ft_error *err);

/* Use one step for (task, round): before noise is drawn and before a byte leaves. Errors: NOTFOUND, STATE (twice,
 * closed, or not the plan), REFUSED (beyond T), IO, FULL. */
FT_NODISCARD enum ft_status ft_ledger_spend(struct ft_ledger *l, const uint8_t task[32], uint64_t round,
                                            const uint8_t session[32], struct ft_error *err);
/* The masked bytes of a spent round, kept for sending again, have this hash. The vault does not keep them: after a crash the
 * round is lost for the shop and stays charged, for masked bytes on a disk, beside the keys that unmask them, would be one
 * more thing to lose. The record is part of the format, so that a ledger with it opens. Errors: STATE (not spent, or sealed with
 * another hash), IO, FULL. */
FT_NODISCARD enum ft_status ft_ledger_seal(struct ft_ledger *l, const uint8_t task[32], uint64_t round,
                                           const uint8_t hash[32], struct ft_error *err);
FT_NODISCARD enum ft_status ft_ledger_close_task(struct ft_ledger *l, const uint8_t task[32],
                                                 enum ft_ledger_close_reason reason, struct ft_error *err);

/* The head goes with every update; the aggregator gives back the highest it has seen of this shop, and the
 * shop's own state keeps it too. `who` has seen this one, for the sentence: VERIFY (LEDGER_ROLLBACK) when
 * ours is older, or another record stands at that number. */
void ft_ledger_head(const struct ft_ledger *l, struct ft_ledger_head *head);
FT_NODISCARD enum ft_status ft_ledger_check_head(const struct ft_ledger *l, const struct ft_ledger_head *seen,
                                                 const char *who, struct ft_error *err);

/* ---- reports ---- */

const char *ft_ledger_shop(const struct ft_ledger *l);
bool ft_ledger_writable(const struct ft_ledger *l);
size_t ft_ledger_domain_count(const struct ft_ledger *l);
const struct ft_ledger_domain *ft_ledger_domain_at(const struct ft_ledger *l, size_t index);
const struct ft_ledger_domain *ft_ledger_domain_find(const struct ft_ledger *l, const char *id);
size_t ft_ledger_task_count(const struct ft_ledger *l);
const struct ft_ledger_task *ft_ledger_task_at(const struct ft_ledger *l, size_t index);
const struct ft_ledger_task *ft_ledger_task_find(const struct ft_ledger *l, const uint8_t task[32]);
bool ft_ledger_round_spent(const struct ft_ledger *l, const uint8_t task[32], uint64_t round);

/* A domain's events for the accountant; domain NULL: of all domains. ft_free *events. With `spent_only` the steps
 * that were contributed, else the charged ones. Errors: LIMIT, NOMEM. */
FT_NODISCARD enum ft_status ft_ledger_events(const struct ft_ledger *l, const char *domain, bool spent_only,
                                             struct ft_account_event **events, size_t *count);

/* What counts against a domain's epsilon_max now, by what decides in it: a quote's epsilon_now. Errors: as quote. */
FT_NODISCARD enum ft_status ft_ledger_charged(const struct ft_ledger *l, const struct ft_ledger_domain *domain,
                                              double *epsilon);

#endif
