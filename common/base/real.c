#include "common/base/real.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>

/* 2 atanh((m - 1) / (m + 1)) for the fraction m in [0.7, 1.4]. */
double
ft_real_log(double x)
{
    int exponent;
    if (!(x > 0) || isinf(x))
        return log(x); /* minus infinity, NAN, infinity: alike everywhere */
    double m = frexp(x, &exponent), s, square, sum = 0;
    if (m < 0.7071067811865476) {
        m *= 2;
        exponent--;
    }
    s = (m - 1) / (m + 1);
    square = s * s;
    for (int k = 12; k > 0; k--)
        sum = (sum + 1.0 / (2 * k + 1)) * square;
    return exponent * 0.6931471805599453 + 2 * s * (1 + sum);
}

/* 2 atanh(x / (2 + x)). */
double
ft_real_log1p(double x)
{
    const double s = x / (2 + x), square = s * s;
    double sum = 0;
    for (int k = 17; k > 0; k--)
        sum = (sum + 1.0 / (2 * k + 1)) * square;
    return 2 * s * (1 + sum);
}

/* Taylor's sum in [-0.35, 0.35], then a power of two. */
double
ft_real_exp(double x)
{
    static const double inverse_factorials[] = {
        /* of 14 down to 0 */
        0x1.93974a8c07c9dp-37, 0x1.6124613a86d09p-33, 0x1.1eed8eff8d898p-29, 0x1.ae64567f544e4p-26,
        0x1.27e4fb7789f5cp-22, 0x1.71de3a556c734p-19, 0x1.a01a01a01a01ap-16, 0x1.a01a01a01a01ap-13,
        0x1.6c16c16c16c17p-10, 0x1.1111111111111p-7,  0x1.5555555555555p-5,  0x1.5555555555555p-3,
        0x1.0000000000000p-1,  0x1.0000000000000p+0,  0x1.0000000000000p+0,
    };
    double k, r, sum = 0;
    if (isnan(x) || x > 709.78)
        return isnan(x) ? x : INFINITY;
    if (x < -745)
        return 0;
    k = floor(x * 1.4426950408889634 + 0.5);
    r = x - k * 0x1.62e42feep-1 -
        k * 0x1.a39ef35793c76p-33; /* ln 2 in two parts: k times the first is exact */
    for (size_t i = 0; i < sizeof inverse_factorials / sizeof inverse_factorials[0]; i++)
        sum = sum * r + inverse_factorials[i];
    return ldexp(sum, (int)k);
}

/* Taylor's sums in an eighth of a turn around the nearest quarter. */
double
ft_real_cos_turn(double v)
{
    const double quarter = floor(4 * v + 0.5), t = (v - quarter / 4) * 6.283185307179586, square = t * t;
    const int which = (int)(quarter - 4 * floor(quarter / 4));
    const bool sine = which % 2 != 0;
    double sum = 1;
    for (int i = 16 + sine; i > 1; i -= 2)
        sum = 1 - sum * square / (i * (i - 1));
    if (sine)
        sum *= t;
    return which == 1 || which == 2 ? -sum : sum;
}

double
ft_real_power(double base, uint64_t exponent)
{
    double power = 1;
    for (; exponent > 0; exponent >>= 1, base *= base)
        if (exponent & 1)
            power *= base;
    return power;
}
