/* A task's privacy statement and the model it speaks of, from the records of a home. */
#ifndef FT_AGGREGATOR_STATEMENT_H
#define FT_AGGREGATOR_STATEMENT_H

#include "aggregator/commands/home.h"
#include "common/model/state.h"
#include "common/statement/statement.h"

void ft_statement_count(const struct ft_round_row *rows, size_t count, struct ft_statement_rounds *out);

/* `model` NULL: about the task as a whole. Errors: as ft_statement_make, the store's. */
FT_NODISCARD enum ft_status ft_home_statement(const struct ft_home *home, const struct ft_task_row *row,
                                              struct ft_bytes signed_task, const struct ft_model_state *model,
                                              const uint8_t model_hash[32], json_t **out,
                                              struct ft_error *err);

/* The model of a version (of a statistics task: its result), and its blob's hash. Errors: NOTFOUND, VERIFY. */
FT_NODISCARD enum ft_status ft_home_model(const struct ft_home *home, const struct ft_task_row *task,
                                          uint64_t version, struct ft_model_state *state,
                                          uint8_t model_hash[32], struct ft_error *err);

#endif
