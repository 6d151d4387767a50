/*
 * Functions of real numbers with the same bits on every machine. The C library's exp, log and cos differ in their last
 * bits from one processor to another (glibc chooses by what the processor has), and a last bit can move a row or a model:
 * these are sums and products of a fixed order instead.
 *
 * Within 4 units in the last place of 1 or of the result, whichever is larger.
 */
#ifndef FT_BASE_REAL_H
#define FT_BASE_REAL_H

#include <stdint.h>

double ft_real_exp(double x); /* infinity above 709.78; NAN for NAN */
double ft_real_log(double x); /* x > 0 and finite; else as log() */
double ft_real_log1p(double x); /* 0 <= x <= 1; exact also where 1 + x is not */
double ft_real_cos_turn(double v); /* cos(2 pi v) */
double ft_real_power(double base, uint64_t exponent);

#endif
