/* The sources, each in its own file; dataset.c chooses. Whatever they leave in *out after an error is cleared by it. */
#ifndef FT_SIMULATE_READERS_H
#define FT_SIMULATE_READERS_H

#include "aggregator/simulate/data/dataset.h"
#include "common/base/buf.h"

#define FT_SIM_ROWS_MAX   ((uint64_t)1 << 31)
#define FT_SIM_VALUES_MAX ((uint64_t)1 << 33)

FT_NODISCARD enum ft_status sim_read_synthetic(const struct ft_sim_data_config *c, uint64_t seed,
                                               struct ft_sim_data *out, struct ft_error *err);
FT_NODISCARD enum ft_status sim_read_idx(const struct ft_sim_data_config *c, struct ft_sim_data *out,
                                         struct ft_error *err);
FT_NODISCARD enum ft_status sim_read_libsvm(const struct ft_sim_data_config *c, uint64_t seed, struct ft_sim_data *out,
                                            struct ft_error *err);
FT_NODISCARD enum ft_status sim_read_csv(const struct ft_sim_data_config *c, uint64_t seed, struct ft_sim_data *out,
                                         struct ft_error *err);
FT_NODISCARD enum ft_status sim_read_task(const struct ft_sim_data_config *c, struct ft_sim_data *out,
                                          struct ft_error *err);

/* Room for `rows` rows of out->features. Errors: LIMIT, NOMEM. */
FT_NODISCARD enum ft_status sim_part_room(struct ft_sim_part *part, uint64_t rows, uint32_t features,
                                          struct ft_error *err);

/* Set a share of the train rows aside as test rows, drawn by the seed, order kept; where customers are known they
 * are taken whole, and those who are left are numbered from 0 on. Errors: CONFIG, NOMEM. */
FT_NODISCARD enum ft_status sim_set_aside(struct ft_sim_data *data, double share, uint64_t seed, struct ft_error *err);

/* Every feature to mean 0 and deviation 1 of the train rows; one that never changes becomes 0. */
void sim_standardise(struct ft_sim_data *data);

/* The files of an IDX folder, in the order in which they are read: train images and labels, test images and labels. */
#define SIM_IDX_FILES 4
/* The path of one of them, as it is there: NAME-idx3-ubyte, as published, or NAME.idx3-ubyte, as some archives have it; plain
 * or with .gz behind it. *path is the caller's. Errors: NOTFOUND (what was looked for), NOMEM. */
FT_NODISCARD enum ft_status sim_idx_find(const char *folder, int which, char **path, struct ft_error *err);

/* One IDX file's bytes (decompressed): *out is (rows, values a row) for images, (rows) for labels. `origin` is for
 * messages. Errors: FORMAT (magic, sizes, what was found and expected), LIMIT, NOMEM. */
FT_NODISCARD enum ft_status sim_parse_idx(struct ft_bytes bytes, const char *origin, bool labels, struct ft_sim_part *out,
                                          uint32_t *values, struct ft_error *err);
/* LIBSVM text. classes 0: labels -1 and 1, or 0 and 1, become 0 and 1; else base .. base + classes - 1 become 0 and up.
 * Errors: FORMAT (line, found and expected), LIMIT, NOMEM. */
FT_NODISCARD enum ft_status sim_parse_libsvm(struct ft_bytes text, const char *origin, uint32_t features,
                                             uint32_t classes, uint32_t base, struct ft_sim_part *out,
                                             struct ft_error *err);
/* Where the classes of the train rows start: 0 when a row has it, else 1. The test rows follow. */
uint32_t sim_libsvm_base(struct ft_bytes text);

#endif
