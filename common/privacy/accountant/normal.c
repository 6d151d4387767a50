#include "common/privacy/accountant/accountant_internal.h"

#include <math.h>

double
ft_normal_tail(double x)
{
    return 0.5 * erfc(fabs(x) * M_SQRT1_2);
}

/* Far below zero by the continued fraction of Mills' ratio, whose error there is below 1e-16. */
double
ft_normal_log_cdf(double x)
{
    if (x > 0)
        return log1p(-ft_normal_tail(x));
    if (x > -20)
        return log(ft_normal_tail(x));
    const double y = -x;
    double fraction = y;
    for (int k = 40; k >= 1; k--)
        fraction = y + k / fraction;
    return -0.5 * y * y - 0.5 * log(2 * M_PI) - log(fraction);
}
