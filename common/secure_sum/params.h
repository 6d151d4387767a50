/*
 * Conditions P1 to P5: how many shares, which threshold, what quorum and which edge probability keep a cohort
 * private and connected. The aggregator chooses (for sigma + 1), every client verifies (for sigma) and
 * derives nothing, so that rounding cannot split a cohort. Sums are taken in the log domain. Beyond the
 * specification, the graph profile needs h - D >= 2: with fewer, P4's sum is empty and would admit p = 0, no
 * masks at all. Source: specification section 5.
 */
#ifndef FT_SECURE_SUM_PARAMS_H
#define FT_SECURE_SUM_PARAMS_H

#include "common/base/status.h"
#include "common/secure_sum/derive.h" /* struct ft_ss_params */
#include "common/secure_sum/descriptor.h"
#include <stdbool.h>
#include <stdint.h>

#define FT_SS_COHORT_MAX          65535u /* k and e_max travel as u16 */
#define FT_SS_CLASSICAL_ONLY_UPTO 64u
#define FT_SS_GRAPH_MIN_DEFAULT   512u

enum ft_ss_profile { FT_SS_CLASSICAL, FT_SS_GRAPH };

/* What a task asks of its cohorts. */
struct ft_ss_rules {
    uint32_t n_min, n_cap, h_min;
    uint32_t corrupted; /* F: colluding clients of the whole roster */
    uint16_t drop_permille;
    uint8_t sigma, eta;
};
struct ft_ss_rules ft_ss_rules_of(const struct ft_ss_descriptor *descriptor);

/* D, the tolerated dropouts of a cohort of n. */
uint32_t ft_ss_dropouts_max(uint32_t n, uint16_t drop_permille);

/* The aggregator's choice for a cohort of n. Errors: COHORT (no parameters satisfy the rules; err says which
 * condition and by how much), ARGUMENT. */
FT_NODISCARD enum ft_status ft_ss_params_choose(const struct ft_ss_rules *rules, uint32_t n,
                                                enum ft_ss_profile profile, struct ft_ss_params *out,
                                                struct ft_error *err);

/* What a client allows beside the rules. graph_min counts only with graph_allowed. */
struct ft_ss_params_policy {
    bool graph_allowed;
    uint32_t graph_min; /* least cohort of the graph profile, FT_SS_GRAPH_MIN_DEFAULT */
};

/* The client's check of what it was sent. Errors: COHORT (P1), VERIFY (P2 to P5 and ranges), REFUSED (the
 * graph profile, where policy forbids it); err has the sentence. */
FT_NODISCARD enum ft_status ft_ss_params_check(const struct ft_ss_rules *rules, uint32_t n,
                                               const struct ft_ss_params *params,
                                               const struct ft_ss_params_policy *policy,
                                               struct ft_error *err);

/* Tails, natural logarithms, edge probability p / 2^64; exported for the tests. -INFINITY where it is 0. */
double ft_ss_ln_hypergeometric_tail(uint32_t total, uint32_t bad, uint32_t drawn, int64_t at_least);
double ft_ss_ln_binomial_tail(uint32_t trials, uint64_t p, int64_t at_least);
/* ln of sum_{s=1}^{m/2} C(m,s) (1-p/2^64)^{s(m-s)}: an upper bound on the chance that a graph falls apart. */
double ft_ss_ln_disconnected(uint32_t m, uint64_t p);

#endif
