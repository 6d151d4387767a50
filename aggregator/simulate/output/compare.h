/* Runs side by side: what they reached, at what cost, and in which keys their experiments differ. */
#ifndef FT_SIMULATE_COMPARE_H
#define FT_SIMULATE_COMPARE_H

#include "aggregator/simulate/output/run_files.h"

struct sim_compare {
    struct sim_run *runs;
    size_t count;
    enum sim_metric metric; /* what all of them have */
    double target;          /* NAN: none */
    char **differing;       /* paths of the experiments' keys that are not the same in all */
    size_t differing_count;
};

/* metric 0: the one of the first run that all have. Two folders of one name are told apart by their paths.
 * Errors: as sim_run_open; CONFIG (no metric in common). Close *out. */
FT_NODISCARD enum ft_status sim_compare_open(const char *const *dirs, size_t count, enum sim_metric metric,
                                             double target, struct sim_compare *out, struct ft_error *err);
void sim_compare_close(struct sim_compare *c);

/* A page: table, differences, curves by round, by bytes and by time. title NULL: the runs' number. */
FT_NODISCARD enum ft_status sim_compare_page(const struct sim_compare *c, const char *title,
                                             struct ft_buf *out);

/* {"metric","target","runs":[{...}],"differing":{"key":[value of each run]}}; NULL without memory. */
json_t *sim_compare_json(const struct sim_compare *c);

double sim_compare_final(const struct sim_compare *c, size_t run);     /* the metric of the finished model */
double sim_compare_rounds_to(const struct sim_compare *c, size_t run); /* NAN: no target, or never */

#endif
