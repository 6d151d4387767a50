/* The pipeline under audit: a task with noise, shops with synthetic customers, and rounds of it. */
#ifndef FT_SIMULATE_AUDIT_FEDERATION_H
#define FT_SIMULATE_AUDIT_FEDERATION_H

#include "aggregator/simulate/audit/audit.h"
#include "client/vault/examples.h"
#include "common/model/state.h"
#include "common/plan/round_plan.h"

/* What differs from test to test. */
struct audit_setting {
    enum ft_model_kind model;
    uint32_t features, hidden; /* hidden units, one layer; 0: none */
    double least, range;       /* features lie in least .. range */
    double label_max;          /* linear only */
    uint64_t customers;        /* declared, all shops together */
    uint64_t rounds;
    double learning_rate;
};

struct audit_federation;

/* A derived, checked task for the wish, and a federation around it. Errors: CONFIG, NOMEM and those of
 * session.h. */
FT_NODISCARD enum ft_status audit_open(const struct ft_audit_wish *wish, const struct audit_setting *setting,
                                       struct audit_federation **out, struct ft_error *err);
void audit_close(struct audit_federation *f); /* NULL is allowed */

const struct ft_task *audit_task(const struct audit_federation *f);
size_t audit_parameters(const struct audit_federation *f);
/* Shops that hold customers and send noise, t_min of them, the first ones. */
uint32_t audit_honest(const struct audit_federation *f);

/* Room for `rows` customers of one row each at an honest shop; fill x and y. Errors: NOMEM. */
FT_NODISCARD enum ft_status audit_give_customers(struct audit_federation *f, uint32_t shop, size_t rows,
                                                 struct ft_examples **out);

/*
 * A training round from `params` (NULL: zeros): the honest contribute, the corrupted add zeros without noise,
 * the rest leave in the middle. *z (plan's dim) is the sum of integers as decoded, borrowed until the next
 * round. Errors: those of ft_contribute and session.h.
 */
FT_NODISCARD enum ft_status audit_round(struct audit_federation *f, const float *params, const int64_t **z,
                                        struct ft_error *err);
/* The sum in the vector's own unit, (parameters), as the aggregator reads it. Errors: those of
 * ft_private_sum_init. */
FT_NODISCARD enum ft_status audit_values(struct audit_federation *f, const int64_t *z, double *values,
                                         struct ft_error *err);
size_t audit_dim(const struct audit_federation *f);

/* What is stated for `rounds` sums. Errors: those of the accountant. */
FT_NODISCARD enum ft_status audit_claim(const struct audit_federation *f, uint64_t rounds,
                                        struct ft_audit_claim *out);

/* Pr[Bin(n, p) >= k], exactly but for rounding; the p at which it is `chance` (0 for k = 0). */
double audit_binomial_tail(uint64_t n, double p, uint64_t k);
double audit_least_rate(uint64_t n, uint64_t k, double chance);
/* Upper quantile of chi-square over its degrees, by Wilson and Hilferty; deviations of the normal law,
 * negative: lower. */
double audit_chi_square(double degrees, double deviations);

#endif
