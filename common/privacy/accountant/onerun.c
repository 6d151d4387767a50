/* How unlikely v right guesses of r are under (epsilon, delta), and the epsilon at which they become credible. */
#include "common/privacy/accountant/accountant_internal.h"

#include "common/base/alloc.h"
#include <math.h>

#define CANARIES_MAX 10000000u

/* at_least[i] = Pr[Bin(r, s) >= i] for i = 0..r, summed from the far end. */
static void
binomial_tails(uint32_t r, double s, double *at_least)
{
    int sign;
    const double all = lgamma_r(r + 1.0, &sign), log_s = log(s), log_1s = log1p(-s);
    double sum = 0;
    for (uint32_t i = r;; i--) {
        sum += exp(all - lgamma_r(i + 1.0, &sign) - lgamma_r((double)(r - i) + 1.0, &sign) + i * log_s +
                   (double)(r - i) * log_1s);
        at_least[i] = sum;
        if (i == 0)
            break;
    }
}

static double
chance(uint32_t m, uint32_t r, uint32_t v, double delta, double epsilon, double *at_least)
{
    double worst = 0;
    binomial_tails(r, 1 / (1 + exp(-epsilon)), at_least);
    for (uint32_t i = 1; delta > 0 && i <= v; i++)
        worst = fmax(worst, (at_least[v - i] - at_least[v]) / i);
    return at_least[v] + 2.0 * m * delta * worst;
}

enum ft_status
ft_onerun_epsilon(uint32_t m, uint32_t r, uint32_t v, double delta, double p, double *epsilon)
{
    double low = 0, high = 1, *at_least;

    if (m == 0 || m > CANARIES_MAX || r == 0 || r > m || v > r || !(delta >= 0) || !(delta <= FT_PRIVACY_DELTA_MAX) ||
        !(p > 0) || !(p < 1))
        return FT_ERR_LIMIT;
    at_least = ft_calloc((size_t)r + 1, sizeof *at_least);
    if (at_least == NULL)
        return FT_ERR_NOMEM;
    if (chance(m, r, v, delta, 0, at_least) >= p) {
        ft_free(at_least);
        *epsilon = 0;
        return FT_OK;
    }
    while (high < 512 && chance(m, r, v, delta, high, at_least) < p)
        high *= 2;
    for (int i = 0; i < 100 && high - low > 1e-12 * high; i++) {
        const double middle = low + (high - low) / 2;
        if (chance(m, r, v, delta, middle, at_least) < p)
            low = middle;
        else
            high = middle;
    }
    ft_free(at_least);
    if (!isfinite(low) || low >= 500)
        return FT_ERR_NONFINITE;
    *epsilon = low;
    return FT_OK;
}
