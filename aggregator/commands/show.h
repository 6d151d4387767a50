/* Rounds as people and programs read them. */
#ifndef FT_AGGREGATOR_SHOW_H
#define FT_AGGREGATOR_SHOW_H

#include "aggregator/storage/storage.h"
#include <stdio.h>

typedef struct json_t json_t;

const char *ft_show_stage(uint32_t stage); /* "statistics", "train", "evaluate" */
json_t *ft_round_json(const struct ft_round_row *row);
/* A table, oldest first: stage, state, shops, loss, AUC, bytes, seconds. */
void ft_rounds_print(const struct ft_round_row *rows, size_t count, FILE *out);

#endif
