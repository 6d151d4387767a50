/*
 * What the vault must remember over a crash, as a table of functions: SQLite in production (state_sqlite.c),
 * memory in the simulation (store_memory.c), and a test can fail any call.
 *
 * Invariants
 *   1. A call that writes is durable when it returns FT_OK. What it allows (a message, an upload) comes
 * after. Three are durable with the next one only, at the cost of a weaker check after a power cut and of
 * nothing else: previous_put and ledger_put (journal_put follows them before anything is sent) and clock_put.
 *   2. A round once spent stays spent; the newest (round, attempt) of a task and the newest roster serial
 * never fall.
 *   3. Nothing here is derived from a row: hashes, numbers, times and the tasks themselves.
 */
#ifndef FT_VAULT_STORE_H
#define FT_VAULT_STORE_H

#include "common/base/buf.h"
#include "common/base/status.h"
#include "common/secure_sum/client.h"
#include <stdbool.h>
#include <stdint.h>

/* A person's word on a task. */
enum ft_vault_approval { FT_VAULT_OPEN = 0, FT_VAULT_APPROVED = 1, FT_VAULT_DENIED = 2 };

#define FT_VAULT_CODES_MAX 32
#define FT_VAULT_DAY_SIZE  11 /* YYYY-MM-DD and its end */

struct ft_vault_task {
    uint8_t hash[32];
    struct ft_buf signed_task;
    char name[49], purpose[49];
    uint64_t seen_ms;
    enum ft_vault_approval approval;
    uint32_t verdict; /* of the last decision: enum ft_verdict; 0 none yet */
    uint32_t codes[FT_VAULT_CODES_MAX];
    size_t code_count;
    uint64_t decided_ms;
};
void ft_vault_task_clear(struct ft_vault_task *record);

struct ft_vault_store;
struct ft_vault_store_calls {
    /* Journal (secure-aggregation.md section 8). put inserts a session's record, or moves it on; it never
     * takes `spent` back. A spent record is a participation too, in the same transaction. Errors of all: IO,
     * FULL, NOMEM. */
    enum ft_status (*journal_put)(struct ft_vault_store *s, const struct ft_ss_journal_record *record,
                                  int64_t at_s);
    enum ft_status (*journal_view)(struct ft_vault_store *s, const uint8_t task[32],
                                   struct ft_ss_journal_view *out);

    /* The newest roster accepted. put refuses a lower serial (STATE). get: NOTFOUND when there is none. */
    enum ft_status (*roster_put)(struct ft_vault_store *s, uint64_t serial, struct ft_bytes signed_roster);
    enum ft_status (*roster_get)(struct ft_vault_store *s, uint64_t *serial, struct ft_buf *signed_roster);

    /* Tasks. put keeps what is there. get: NOTFOUND. list is newest first; stops when `each` returns false.
     */
    enum ft_status (*task_put)(struct ft_vault_store *s, const uint8_t hash[32], struct ft_bytes signed_task,
                               const char *name, const char *purpose, uint64_t seen_ms);
    enum ft_status (*task_get)(struct ft_vault_store *s, const uint8_t hash[32], struct ft_vault_task *out);
    enum ft_status (*task_list)(struct ft_vault_store *s,
                                bool (*each)(void *ctx, const struct ft_vault_task *record), void *ctx);
    enum ft_status (*task_approve)(struct ft_vault_store *s, const uint8_t hash[32],
                                   enum ft_vault_approval approval, uint64_t at_ms);
    enum ft_status (*task_decided)(struct ft_vault_store *s, const uint8_t hash[32], uint32_t verdict,
                                   const uint32_t *codes, size_t code_count, uint64_t at_ms);
    /* Rises when a person approved or denied anything: cheap, for polling. */
    enum ft_status (*approvals_changed)(struct ft_vault_store *s, uint64_t *generation);

    /* Rounds whose upload began since a time, and the latest of all (0: none). */
    enum ft_status (*participations)(struct ft_vault_store *s, int64_t since_s, uint32_t *count,
                                     int64_t *last_s);
    /* The latest of one task; 0: none. */
    enum ft_status (*last_of_task)(struct ft_vault_store *s, const uint8_t task[32], int64_t *last_s);

    /* The last round of a task this shop contributed to; put keeps a later round. get: `any` is false without
     * one. */
    enum ft_status (*previous_put)(struct ft_vault_store *s, const uint8_t task[32],
                                   const struct ft_ss_previous *previous);
    enum ft_status (*previous_get)(struct ft_vault_store *s, const uint8_t task[32],
                                   struct ft_ss_previous *out);
    /* Is this the model of any previous_put of the task, however long ago? */
    enum ft_status (*trained_on)(struct ft_vault_store *s, const uint8_t task[32], const uint8_t model[32],
                                 bool *out);

    /* The latest wall clock seen, so that a clock set back is noticed. put never lowers it. */
    enum ft_status (*clock_put)(struct ft_vault_store *s, int64_t wall_s);
    enum ft_status (*clock_get)(struct ft_vault_store *s, int64_t *wall_s);

    /* The highest head of the privacy ledger that was written, so that an older ledger put back, or one that is gone, is
     * noticed whatever the aggregator remembers. put keeps a higher one. get: NOTFOUND without one. */
    enum ft_status (*ledger_put)(struct ft_vault_store *s, uint64_t seq, const uint8_t chain[32]);
    enum ft_status (*ledger_get)(struct ft_vault_store *s, uint64_t *seq, uint8_t chain[32]);

    /* The date (YYYY-MM-DD) that policy.yaml gave as a budget's `opened` when its first task was charged. put
     * keeps what is there. get: NOTFOUND without one. */
    enum ft_status (*opened_put)(struct ft_vault_store *s, const char *domain, const char *day);
    enum ft_status (*opened_get)(struct ft_vault_store *s, const char *domain, char day[FT_VAULT_DAY_SIZE]);

    void (*close)(struct ft_vault_store *s);
};
struct ft_vault_store {
    const struct ft_vault_store_calls *calls;
};

/*
 * Open or make `state.db` at path: WAL, synchronous=FULL (read back, else STATE), mode 0600, our owner, the
 * schema's version, quick_check. A damaged file is told, never mended: restore it from a backup, or enrol
 * anew. Errors: IO, FULL, VERIFY (damaged; another owner or mode), STATE (WAL or FULL not to be had), NOMEM.
 */
FT_NODISCARD enum ft_status ft_vault_store_sqlite(const char *path, struct ft_vault_store **out,
                                                  struct ft_error *err);

/* Everything in memory; `close` forgets it. For the simulation, which keeps it over a simulated crash. */
FT_NODISCARD enum ft_status ft_vault_store_memory(struct ft_vault_store **out);

static inline void
ft_vault_store_close(struct ft_vault_store *s)
{
    if (s != NULL)
        s->calls->close(s);
}

#endif
