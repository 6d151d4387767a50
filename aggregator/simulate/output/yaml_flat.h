/* A YAML mapping as a list of paths and values, for showing and comparing: "training.rounds", "100". */
#ifndef FT_SIMULATE_YAML_FLAT_H
#define FT_SIMULATE_YAML_FLAT_H

#include "aggregator/simulate/output/run_files.h"

/* In the file's order. Errors: FORMAT (line), LIMIT, NOMEM. Each path, each value and *out are the caller's.
 */
FT_NODISCARD enum ft_status sim_yaml_flatten(struct ft_bytes yaml, const char *origin,
                                             struct sim_run_key **out, size_t *count, struct ft_error *err);

#endif
