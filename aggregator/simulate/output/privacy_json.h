/* What a run's privacy is, for its summary and its page: the numbers, and the words of common/statement. */
#ifndef FT_SIMULATE_PRIVACY_JSON_H
#define FT_SIMULATE_PRIVACY_JSON_H

#include "aggregator/simulate/engine/engine.h"

typedef struct json_t json_t; /* jansson */

/* Epsilon by both accountants and everything it follows from, then `text`, `covered`, `not_covered` and
 * `assumptions` as in a model's privacy statement: a claim is never told without. NULL without memory. */
json_t *sim_privacy_json(const struct ft_sim_experiment *e, const struct ft_sim_privacy *p);

#endif
