/* What the examples_*.c files share; nobody else includes this. */
#ifndef FT_VAULT_EXAMPLES_INTERNAL_H
#define FT_VAULT_EXAMPLES_INTERNAL_H

#include "client/source/db_internal.h"
#include "client/vault/examples.h"
#include "common/task/refusal_codes.h"

struct sqlite3_stmt;

/* What the authorizer does with a column or function that is not allowed. */
enum guard_mode {
    GUARD_FIND,  /* every column counts as allowed, and is noted */
    GUARD_CHECK, /* note it and go on, so that all are named; the statement is never run */
    GUARD_RUN,   /* refuse */
};

#define GUARD_DENIED_MAX 32

/*
 * The guard around one query: SQLite's authorizer while it is prepared, the progress handler while it runs.
 *
 *   off --on--> on --off--> off
 */
struct guard {
    struct ft_db *db;
    const struct ft_examples_rules *rules;
    const char *purpose;
    enum guard_mode mode;
    bool ours; /* a statement of this file runs, not the task's: SQLite asks about it again, once */
    bool (*mapped)(void *ctx, const char *table, const char *column);
    void *mapped_ctx;
    struct ft_examples_uses *uses; /* GUARD_FIND */

    struct {
        enum ft_refusal_code code;
        char text[160];
    } denied[GUARD_DENIED_MAX];
    size_t denied_count;

    uint64_t deadline_ms; /* on the rules' monotonic clock */
    int64_t memory_max;   /* by sqlite3_memory_used() */
    uint64_t own_memory;  /* bytes of the result's matrices, counted with it */
    uint64_t own_steps;   /* one_by_one: progress calls left to the customer at hand */
    bool own_limits;      /* one_by_one: customers are under way; nothing that grows with their number is limited */
    bool out_of_time, out_of_memory, out_of_steps;
    int old_length, old_like, old_ops, old_compound; /* limits to put back */
};

void guard_begin(struct guard *g); /* the rules' time and memory count from here */
void guard_on(struct guard *g);
void guard_off(struct guard *g);
bool guard_expired(struct guard *g); /* time or memory is over; remembers which */
/* one_by_one: the next customer's run has its own steps, and memory that an earlier one took is given back.
 */
void guard_next_customer(struct guard *g);
void guard_deny(struct guard *g, enum ft_refusal_code code, const char *fmt, ...) FT_PRINTF(3, 4);

/* Which standard columns a view shows. */
struct views {
    struct ft_db *db;
    bool mapped[FT_TABLE_COUNT][64]; /* standard columns, by ft_schema's order */
    bool table[FT_TABLE_COUNT];      /* the source has this table */
    bool narrow; /* only what is allowed and mapped; otherwise the rest is there as NULL, for the authorizer
                    to name */
};

/* What the source maps. Errors: NOMEM, INTERNAL. */
FT_NODISCARD enum ft_status views_init(struct views *v, struct ft_db *db, struct ft_error *err);
bool views_mapped(void *views, const char *table, const char *column);
/* Who is visible: eligible, less excluded. Errors: CONFIG, NOMEM, INTERNAL. */
FT_NODISCARD enum ft_status
views_choose_customers(const struct views *v, const struct ft_examples_rules *rules, struct ft_error *err);
/* (Re)make the three views. `allowed` NULL: every column. Errors: CONFIG, NOMEM, INTERNAL. */
FT_NODISCARD enum ft_status views_make(const struct views *v, const struct ft_examples_rules *rules,
                                       struct ft_error *err);
void views_drop(struct ft_db *db);

/* A set of ids with how often each was seen in both splits. */
struct id_count {
    uint8_t id[16]; /* BLAKE2b of the text */
    uint32_t seen[2];
    uint32_t number[2]; /* among the customers of a split, once seen there */
    bool used;
};
struct id_counts {
    struct id_count *slots;
    size_t capacity, count;
};
/* The entry of an id, added with zero counts when it is new; NULL without memory. Valid until the next call.
 */
struct id_count *id_counts_add(struct id_counts *ids, const char *text, size_t size);
/* The entry of an id, or NULL when it was never added. */
struct id_count *id_counts_find(struct id_counts *ids, const char *text, size_t size);
void id_counts_clear(struct id_counts *ids);

#endif
