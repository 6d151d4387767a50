/* A task told to a person: what would be computed and what would leave the shop. */
#ifndef FT_CLIENT_TASK_TEXT_H
#define FT_CLIENT_TASK_TEXT_H

#include "client/vault/store.h"
#include "common/task/task.h"

#include <stdio.h>

typedef struct json_t json_t;

void ft_task_print(const struct ft_task *task, const struct ft_vault_task *record, FILE *out);
json_t *ft_task_json(const struct ft_task *task, const struct ft_vault_task *record); /* a new object */
json_t *ft_codes_json(const uint32_t *codes, size_t count); /* a new array of names */

#endif
