/*
 * Secret Poisson sampling: each customer enters a round by a coin of their own with probability q_num / 2^32,
 * drawn anew for every contribution from a cryptographic generator. Who was drawn and how many never leaves the
 * vault. The privacy of a q below 1 rests on exactly this.
 */
#ifndef FT_PRIVACY_SAMPLER_H
#define FT_PRIVACY_SAMPLER_H

#include "common/base/env.h"
#include "common/base/status.h"
#include <stddef.h>
#include <stdint.h>

/* Write the indices of the customers drawn from 0 .. customers-1, ascending, to `drawn` (customers places). Returns how many.
 * Every customer takes the same time. `drawn` is secret: wipe it. */
size_t ft_sample_customers(const struct ft_env *env, uint64_t q_num, size_t customers, uint32_t *drawn);

#endif
