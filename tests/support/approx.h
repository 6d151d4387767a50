/* CMocka 1.1.5 compares floats only; this compares doubles within an absolute tolerance. A NaN equals nothing. */
#ifndef FT_TEST_APPROX_H
#define FT_TEST_APPROX_H

#include <math.h>

static inline void
approx_check(double a, double b, double tolerance, const char *text, const char *file, int line)
{
    if (fabs(a - b) <= tolerance)
        return;
    print_error("%s: %.17g is not within %g of %.17g\n", text, a, tolerance, b);
    _fail(file, line);
}
#define assert_approx(a, b, tolerance) approx_check((a), (b), (tolerance), #a, __FILE__, __LINE__)

#endif
