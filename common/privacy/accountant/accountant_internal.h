/* What the accountant's files share. */
#ifndef FT_PRIVACY_ACCOUNTANT_INTERNAL_H
#define FT_PRIVACY_ACCOUNTANT_INTERNAL_H

#include "common/privacy/accountant/accountant.h"

#define FT_ACCOUNT_ORDER_MAX 1024u

/* delta within its range, epsilon at least 0. Errors: LIMIT. */
FT_NODISCARD enum ft_status ft_account_delta_check(double delta);
FT_NODISCARD enum ft_status ft_account_events_check(const struct ft_account_event *events, size_t count);

/* P(N(0,1) < -|x|), and ln P(N(0,1) < x) that does not underflow. */
double ft_normal_tail(double x);
double ft_normal_log_cdf(double x);

/* ln of the Binomial(m, q) weights, m + 1 of them; -infinity where q is 1. */
void ft_binomial_log_weights(uint32_t m, double q, double *out);
/* ln of the likelihood ratio r(x) of the mixture against N(0, z^2). */
double ft_mixture_log_ratio(const double *log_w, uint32_t m, double z, double x);
/* R of one step with m > 1 at each of these orders; the mixture is worked out once for all. Errors: NONFINITE, NOMEM. */
FT_NODISCARD enum ft_status ft_mixture_rdp(double q, double z, uint32_t m, const uint16_t *orders, size_t count,
                                           double *r);

/*
 * Complex Fourier transforms of 2^log2 points without reordering: forward leaves the frequencies in an order of its
 * own, which inverse takes back. Pointwise work between the two needs no order.
 */
struct ft_fft;
struct ft_complex {
    double re, im;
};
struct ft_fft *ft_fft_new(unsigned log2); /* NULL without memory */
void ft_fft_free(struct ft_fft *f);
void ft_fft_forward(const struct ft_fft *f, struct ft_complex *x);
void ft_fft_inverse(const struct ft_fft *f, struct ft_complex *x); /* times the number of points */

/* The privacy loss of one step on the grid g = (first + i) * step, both directions. */
struct ft_pld_law {
    double *mass; /* (count) */
    size_t count;
    int64_t first;
    double infinite; /* mass at +infinity */
};
struct ft_pld_event {
    struct ft_pld_law law[2]; /* remove, add */
    uint64_t steps;
};
/* Spread of one step's loss: what the grid must resolve, and how far it must reach. */
void ft_pld_spread(const struct ft_account_event *e, double *deviation, double *low, double *high);
FT_NODISCARD enum ft_status ft_pld_event_make(const struct ft_account_event *e, double step, struct ft_pld_event *out);
void ft_pld_event_clear(struct ft_pld_event *e);

/* The sum over events in one direction: a tilt, the window it needs, and the tail. */
FT_NODISCARD enum ft_status ft_pld_solve(const struct ft_pld_event *events, size_t count, int direction, double step,
                                         double delta, double *epsilon);
FT_NODISCARD enum ft_status ft_pld_tail(const struct ft_pld_event *events, size_t count, int direction, double step,
                                        double epsilon, double *delta);

#endif
