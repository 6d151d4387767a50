/* The mechanisms a table may name, what each needs, and how its figure is computed. */
#ifndef FT_SIMULATE_BUDGET_MECHANISMS_H
#define FT_SIMULATE_BUDGET_MECHANISMS_H

#include "aggregator/simulate/budget_table.h"

struct ft_budget_mechanism {
    const char *mechanism, *quantity;
    const char *conversion; /* NULL: none is asked for */
    uint32_t needs;         /* bit 1 << field */
    enum ft_status (*run)(const double *field, double *value);
};

/* NULL when there is none. `known` says whether the mechanism exists, with another quantity or conversion. */
const struct ft_budget_mechanism *ft_budget_mechanism_find(const char *mechanism, const char *quantity,
                                                           const char *conversion, bool *known);

#endif
