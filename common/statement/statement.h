/*
 * The privacy statement of a model: what was promised to whom, in numbers a program reads and words a person
 * reads. It follows from two things only, the signed task (which is in it) and the list of rounds, so that
 * anybody can work it out again without keys and without network: ft_statement_check does, and names the
 * first number that differs.
 *
 * A task without noise has a statement too. It claims what holds (secure aggregation) and says that nothing
 * else does.
 *
 * Charged are all rounds whose vectors may have left a shop: committed and abandoned ones. A round that
 * failed before anything could be uploaded costs nothing. Epsilon is by RDP, which is what shops admit by;
 * PLD beside it is tighter.
 */
#ifndef FT_STATEMENT_STATEMENT_H
#define FT_STATEMENT_STATEMENT_H

#include "common/base/buf.h"
#include "common/base/kinds.h"
#include "common/model/state.h"
#include "common/privacy/accountant/accountant.h"
#include "common/task/task.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct json_t json_t;

#define FT_STATEMENT_KIND      "fedtill-privacy-statement"
#define FT_STATEMENT_VERSION   1
#define FT_STATEMENT_BYTES_MAX ((size_t)8 << 20)

/* The first difference between what is said and what was found, under `path` (room for 512 bytes, "" or a name).
 * Reals may differ in their last digits. Errors: VERIFY. */
FT_NODISCARD enum ft_status ft_statement_compare(const json_t *said, const json_t *found, char *path,
                                                 struct ft_error *err);

/* What the rounds of a task came to. */
struct ft_statement_rounds {
    uint32_t committed[4]; /* by enum ft_stage; [0] is 0 */
    uint32_t abandoned, failed;
    uint32_t least_survivors; /* of the committed ones; 0 without */
};

/* The model it speaks of, or a statistics task's result (stage STATISTICS, version 1); its blob's hash binds every number of the model to the statement. */
struct ft_statement_model {
    uint64_t version;
    uint8_t hash[32];
    enum ft_stage stage;
    double clip;
};

struct ft_statement_facts {
    struct ft_bytes signed_task; /* verified by the key it names, not against pins */
    struct ft_statement_rounds rounds;
    const struct ft_statement_model *model; /* NULL: about the task as a whole */
};

/* Errors: VERIFY (signature), FORMAT, CONFIG, NONFINITE, LIMIT (more rounds than the task allows), NOMEM. */
FT_NODISCARD enum ft_status ft_statement_make(const struct ft_statement_facts *facts, json_t **out,
                                              struct ft_error *err);

/* Work it out again from its own records. Errors: FORMAT (no statement), VERIFY with the path of the first
 * difference, what is said there and what follows; NOMEM. */
FT_NODISCARD enum ft_status ft_statement_check(const json_t *statement, struct ft_error *err);

/* Does it speak of this model? Errors: VERIFY, FORMAT, NOMEM. state->stage and clip are taken from the
 * statement. */
FT_NODISCARD enum ft_status ft_statement_check_model(const json_t *statement, struct ft_model_state *state,
                                                     struct ft_error *err);

/*
 * A report of the model its statement speaks of: the numbers under "numbers" are those of the statement and
 * of its task. ft_statement_numbers makes them. Errors of check: VERIFY with the first difference, FORMAT,
 * NOMEM.
 */
FT_NODISCARD enum ft_status ft_statement_numbers(const json_t *statement, json_t **out, struct ft_error *err);
FT_NODISCARD enum ft_status ft_statement_check_report(const json_t *report, const json_t *statement,
                                                      struct ft_error *err);

/* The task it rests on, opened by the key it names. Errors: FORMAT, VERIFY, CONFIG, NOMEM. */
FT_NODISCARD enum ft_status ft_statement_task(const json_t *statement, struct ft_task *task,
                                              struct ft_error *err);

/*
 * The claim in words, for whoever has worked out its numbers: statements of tasks, and simulations, which have no signed
 * task. One sentence form for all, so that a bound is never told without its unit, relation, delta and mechanism.
 */
struct ft_statement_claim {
    enum ft_unit unit;
    bool figures;  /* it is about figures; else about a model */
    bool segments; /* whose centres are what it holds */
    double delta, q, z, clip;
    bool adaptive_clip;
    uint32_t t_min, m_stores;
    uint64_t charged, planned; /* rounds; planned 0: nothing is said of rounds to come */
    struct ft_account_cost spent, whole;
};
FT_NODISCARD enum ft_status ft_statement_say(const struct ft_statement_claim *claim, struct ft_buf *out);
const char *ft_statement_relation(enum ft_unit unit);

/* What no such claim covers, whoever makes it. */
#define FT_STATEMENT_POPULATION                                                                                   \
    "facts about a whole population that the model learns and that also fit people who did not take part"
#define FT_STATEMENT_SHOPS "a shop as a whole: its size, and that it took part, are no secret"
/* Of unit store, in place of the last. */
#define FT_STATEMENT_SHOP_COVERED "all rows of one shop, whosever and however many they are, and how many they are"
#define FT_STATEMENT_SHOP_LEAVES                                                                                  \
    "that a shop takes part: one that leaves takes its noise with it, so who takes part is no secret"
#define FT_STATEMENT_SHOP_CUSTOMER                                                                                \
    "a customer as such: their rows are protected as part of their shop's and have no claim of their own; with or " \
    "without one customer, a shop's vector differs by at most twice what zeroing the shop out changes, and so again " \
    "in each further shop they are in"
#define FT_STATEMENT_NO_NOISE                                                                                     \
    "what the sums themselves tell about one person: no noise was added, so no bound is claimed"

/* The words in it, ending in a line end; NULL when there are none. Borrowed. */
const char *ft_statement_text(const json_t *statement);
/* Canonical bytes of a JSON value: compact, sorted, reals with 17 digits. NULL without memory; free(). */
char *ft_statement_dump(const json_t *value);

#endif
