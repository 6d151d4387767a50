/* The shops of a task's source: one CSV each, or one CSV with a column that says whose each line is. */
#ifndef FT_SIMULATE_SHOPS_H
#define FT_SIMULATE_SHOPS_H

#include "common/base/status.h"
#include <stddef.h>

struct sim_shops {
    size_t count;
    char **paths; /* one CSV of transactions a shop, in byte order of their names */
    char **names;
    char *folder; /* of files that were written here, which clear removes; NULL: none */
};

/* Every file that the glob matches. Errors: NOTFOUND, NOMEM. */
FT_NODISCARD enum ft_status sim_shops_find(const char *glob_pattern, struct sim_shops *out,
                                           struct ft_error *err);

/* One file a value of the column `by` of the CSV at `path`, in a folder of their own below TMPDIR; they hold
 * the standard columns of transactions. Errors: NOTFOUND, FORMAT (file, line, column), LIMIT (too many
 * shops), IO, FULL, NOMEM. */
FT_NODISCARD enum ft_status sim_shops_split(const char *path, const char *by, struct sim_shops *out,
                                            struct ft_error *err);

void sim_shops_clear(struct sim_shops *shops);

#endif
