/* Shared by the files of this folder only. */
#ifndef FT_STATEMENT_INTERNAL_H
#define FT_STATEMENT_INTERNAL_H

#include "common/plan/privacy_plan.h"
#include "common/statement/statement.h"
#include "common/task/task.h"

#include <jansson.h>

struct statement {
    const struct ft_statement_facts *facts;
    const struct ft_task *task;
    uint8_t hash[32], signer[32];
    uint64_t charged, planned;           /* rounds */
    struct ft_account_event event;       /* of one round */
    struct ft_account_cost spent, whole; /* of charged and of planned rounds */
};

/* The words, statement_words.c. NULL without memory. */
const char *statement_relation(const struct statement *s);
json_t *statement_covered(const struct statement *s);
json_t *statement_not_covered(const struct statement *s);
json_t *statement_assumptions(const struct statement *s);
json_t *statement_words(const struct statement *s);

#endif
