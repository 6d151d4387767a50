/*
 * The accountant: what a list of noisy sums costs one customer. Pure functions of public numbers: no clock, no
 * file, no data.
 *
 * An event is `steps` sums, each of a secret Poisson sample of probability q under Gaussian noise of multiplier z.
 * A customer who is in m shops is sampled by each of them apart. What comes back is an upper bound on epsilon or
 * delta for adding or removing one customer; both directions are covered.
 *
 *   RDP   Renyi divergence at whole orders, where the sum below is exact. Cheap; decides admission.
 *         Mironov, Talwar, Zhang, "Renyi differential privacy of the sampled Gaussian mechanism", 2019;
 *         conversion of Canonne, Kamath, Steinke, "The discrete Gaussian for differential privacy", 2020.
 *   PLD   The privacy loss' own distribution on a grid, added up by Fourier transform under an exponential tilt, so
 *         that rounding stays below delta. Tight (7 to 30 % below RDP), rounded towards a larger epsilon.
 *         Doroshenko et al., "Connect the dots", PETS 2022.
 *
 * Every function refuses instead of answering when it cannot: LIMIT for arguments outside their range (also z below
 * FT_PRIVACY_Z_MIN and delta outside FT_PRIVACY_DELTA_MIN..MAX), NONFINITE where a result is not a finite number (the
 * specification's NUMERIC_FAILURE), NOMEM. Results are written only on FT_OK. Thread-safe.
 */
#ifndef FT_PRIVACY_ACCOUNTANT_H
#define FT_PRIVACY_ACCOUNTANT_H

#include "common/base/status.h"
#include "common/privacy/parameters.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FT_ACCOUNT_STORES_MAX 64u  /* shops of one customer; beyond it a bound is not worth claiming */
#define FT_ACCOUNT_EVENTS_MAX 4096 /* in one call */
#define FT_ACCOUNT_Z_MAX      1e6
#define FT_ACCOUNT_SLACK      1e-9 /* added to epsilon: discrete noise and the sum of shares (section 5) */

struct ft_account_event {
    double q; /* 0 < q <= 1 */
    double z; /* FT_PRIVACY_Z_MIN .. FT_ACCOUNT_Z_MAX */
    uint64_t steps;
    uint32_t m; /* 1 .. FT_ACCOUNT_STORES_MAX */
};

/* Every bound above; err names the field. Errors: LIMIT. */
FT_NODISCARD enum ft_status ft_account_event_check(const struct ft_account_event *e, struct ft_error *err);

/* ---- answers: what a ledger, a report and a planner ask; FT_ACCOUNT_SLACK is in them ---- */

struct ft_account_cost {
    double rdp;         /* epsilon by RDP */
    uint32_t rdp_order; /* at which it is least */
    double pld;         /* epsilon by PLD (q = 1: exactly), at most rdp; rdp itself where PLD would need too fine a grid */
    bool pld_is_rdp;
};
FT_NODISCARD enum ft_status ft_account_cost(const struct ft_account_event *events, size_t count, double delta,
                                            struct ft_account_cost *cost);
FT_NODISCARD enum ft_status ft_account_cost_rdp(const struct ft_account_event *events, size_t count, double delta,
                                                double *epsilon, uint32_t *order);

enum ft_account_method { FT_ACCOUNT_RDP, FT_ACCOUNT_PLD };

/* Least z in [0.3, 1000] with epsilon <= target, rounded up in its ninth digit (RDP) or within 2e-5 (PLD). LIMIT when
 * even z = 1000 costs more; the least z itself when z = 0.3 costs less. */
FT_NODISCARD enum ft_status ft_account_noise(double q, uint64_t steps, uint32_t m, double delta, double target,
                                             enum ft_account_method method, double *z);

/* A Renyi filter: the most that the RDP total at `order` may be, with (epsilon, delta) still holding when tasks are
 * chosen in the light of earlier results. May be negative: nothing fits. */
FT_NODISCARD enum ft_status ft_account_filter(double epsilon, double delta, uint32_t order, double *rdp_budget);
/* The order at which a filter for (epsilon, delta) admits most, for noise of multiplier about 1 and q < 0.1. */
uint32_t ft_account_filter_order(double epsilon, double delta);

/* ---- RDP ---- */

#define FT_RDP_ORDER_COUNT 260
extern const uint16_t ft_rdp_orders[FT_RDP_ORDER_COUNT]; /* 2..256, 320, 384, 512, 768, 1024 */

struct ft_rdp {
    double total[FT_RDP_ORDER_COUNT]; /* one for each of ft_rdp_orders; +infinity where it overflows */
};

/* R(order) of one step; order 2 .. 1024. */
FT_NODISCARD enum ft_status ft_rdp_step(double q, double z, uint32_t m, uint32_t order, double *r);
/* steps * R summed over events at one order, and at all of them. */
FT_NODISCARD enum ft_status ft_rdp_at(const struct ft_account_event *events, size_t count, uint32_t order,
                                      double *total);
FT_NODISCARD enum ft_status ft_rdp_compose(const struct ft_account_event *events, size_t count, struct ft_rdp *rdp);

enum ft_rdp_conversion {
    FT_RDP_CKS2020,     /* use this one */
    FT_RDP_MIRONOV2017, /* for comparison: valid, 9 to 18 % larger */
};
FT_NODISCARD enum ft_status ft_rdp_epsilon(const struct ft_rdp *rdp, double delta, enum ft_rdp_conversion conversion,
                                           double *epsilon, uint32_t *order);

/* Epsilon of rho-zCDP: over all real orders, and by the simple bound rho + 2 sqrt(rho ln(1/delta)). */
FT_NODISCARD enum ft_status ft_zcdp_epsilon(double rho, double delta, double *epsilon);
FT_NODISCARD enum ft_status ft_zcdp_epsilon_simple(double rho, double delta, double *epsilon);

/* ---- PLD ---- */

struct ft_pld_answer {
    double remove, add; /* the two directions; epsilon or delta */
    double worst;
};
FT_NODISCARD enum ft_status ft_pld_epsilon(const struct ft_account_event *events, size_t count, double delta,
                                           struct ft_pld_answer *epsilon);
FT_NODISCARD enum ft_status ft_pld_delta(const struct ft_account_event *events, size_t count, double epsilon,
                                         struct ft_pld_answer *delta);

/* ---- closed forms ---- */

/* q = 1: `steps` Gaussian sums, exactly. */
FT_NODISCARD enum ft_status ft_gauss_delta(double z, uint64_t steps, double epsilon, double *delta);
FT_NODISCARD enum ft_status ft_gauss_epsilon(double z, uint64_t steps, double delta, double *epsilon);

/* One discrete Gaussian of parameter sigma moved by a whole number: RDP at a whole order (subsampled when q < 1),
 * and delta at epsilon. */
FT_NODISCARD enum ft_status ft_dgauss_rdp(double q, double sigma, uint64_t shift, uint32_t order, double *r);
FT_NODISCARD enum ft_status ft_dgauss_delta(double sigma, uint64_t shift, double epsilon, double *delta);

/* The sum of `shares` discrete Gaussians of parameter sigma_share. tau: how far its law is from one discrete Gaussian;
 * rdp: Kairouz et al. 2021, proposition 14, with L1 sensitivity sqrt(dim) * l2. */
FT_NODISCARD enum ft_status ft_ddg_tau(double sigma_share, uint32_t shares, double *tau);
FT_NODISCARD enum ft_status ft_ddg_rdp(double sigma_share, uint32_t shares, double l2, uint64_t dim, uint32_t order,
                                       double *r);

/* Skellam noise, for comparison: Agarwal, Kairouz, Liu 2021, theorem 3.5. */
FT_NODISCARD enum ft_status ft_skellam_rdp(double variance, double l2_squared, double l1, uint32_t order, double *r);

/* L2 norm that stochastic rounding of a vector of norm S stays below with probability 1 - exp(-1/2) a try. */
FT_NODISCARD enum ft_status ft_rounded_l2_bound(double scale, uint64_t dim, double *bound);

/* One-run audit: of m canaries, r were guessed and v guessed right. The epsilon that is refuted at significance p
 * (anything below it is), 0 when none is. Steinke, Nasr, Jagielski 2023. */
FT_NODISCARD enum ft_status ft_onerun_epsilon(uint32_t m, uint32_t r, uint32_t v, double delta, double p,
                                              double *epsilon);

#endif
