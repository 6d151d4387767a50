/* What `task check` says of a statistics task: how far each figure may be off, before anything is measured.
 */
#ifndef FT_CMD_TASK_MEASURES_H
#define FT_CMD_TASK_MEASURES_H

#include "common/task/task.h"

typedef struct json_t json_t;

void ft_task_measures_print(const struct ft_task *task);
json_t *ft_task_measures_json(const struct ft_task *task); /* list; NULL without memory */

#endif
