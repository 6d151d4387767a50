/*
 * Double-precision transforms of powers of two, radix 4 and depth first, so that a part that fits the cache is done
 * before the next is begun. Debian ships kissfft as single precision only (7 digits; a delta of 1e-12 needs 16).
 */
#include "common/privacy/accountant/accountant_internal.h"

#include "common/base/alloc.h"
#include <math.h>

struct ft_fft {
    unsigned log2;
    struct ft_complex *roots; /* for each length n, 4 | n, from the longest on: w^j, w^2j, w^3j for j < n/4 */
};

static inline struct ft_complex
add(struct ft_complex a, struct ft_complex b)
{
    return (struct ft_complex){ a.re + b.re, a.im + b.im };
}

static inline struct ft_complex
sub(struct ft_complex a, struct ft_complex b)
{
    return (struct ft_complex){ a.re - b.re, a.im - b.im };
}

static inline struct ft_complex
mul(struct ft_complex a, struct ft_complex b)
{
    return (struct ft_complex){ a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re };
}

static inline struct ft_complex
mul_conj(struct ft_complex a, struct ft_complex w)
{
    return (struct ft_complex){ a.re * w.re + a.im * w.im, a.im * w.re - a.re * w.im };
}

/* e^(-2 pi i j / n) for all j of a longest transform, as products of a coarse and a fine table. */
#define FINE 1024u

static void
fill_roots(struct ft_complex *r, size_t points, const struct ft_complex *coarse, const struct ft_complex *fine)
{
    for (size_t n = points; n >= 4; n /= 4)
        for (size_t j = 0; j < n / 4; j++) {
            const size_t index = j * (points / n);
            const struct ft_complex w = mul(coarse[index / FINE], fine[index % FINE]);
            const struct ft_complex w2 = mul(w, w);
            *r++ = w;
            *r++ = w2;
            *r++ = mul(w2, w);
        }
}

static void
fill_table(struct ft_complex *table, size_t count, double angle)
{
    for (size_t j = 0; j < count; j++)
        table[j] = (struct ft_complex){ cos(angle * (double)j), sin(angle * (double)j) };
}

struct ft_fft *
ft_fft_new(unsigned log2)
{
    const size_t points = (size_t)1 << log2, coarse = points / 4 / FINE + 1;
    struct ft_fft *f = ft_calloc(1, sizeof *f);
    struct ft_complex *tables = ft_calloc(FINE + coarse, sizeof *tables);

    if (f != NULL) {
        f->log2 = log2;
        f->roots = ft_big_alloc((points + 4) * sizeof *f->roots);
    }
    if (f == NULL || tables == NULL || f->roots == NULL) {
        ft_free(tables);
        ft_fft_free(f);
        return NULL;
    }
    fill_table(tables, FINE, -2 * M_PI / (double)points);
    fill_table(tables + FINE, coarse, -2 * M_PI / (double)points * FINE);
    fill_roots(f->roots, points, tables + FINE, tables);
    ft_free(tables);
    return f;
}

void
ft_fft_free(struct ft_fft *f)
{
    if (f != NULL)
        ft_big_free(f->roots, (((size_t)1 << f->log2) + 4) * sizeof *f->roots);
    ft_free(f);
}

/* Times -i. */
static inline struct ft_complex
quarter(struct ft_complex a)
{
    return (struct ft_complex){ a.im, -a.re };
}

static void
forward(struct ft_complex *restrict x, size_t n, const struct ft_complex *restrict roots)
{
    if (n == 1)
        return;
    if (n == 2) {
        const struct ft_complex a = x[0], b = x[1];
        x[0] = add(a, b);
        x[1] = sub(a, b);
        return;
    }
    const size_t q = n / 4;
    for (size_t j = 0; j < q; j++) {
        const struct ft_complex *w = roots + 3 * j;
        const struct ft_complex a = x[j], b = x[j + q], c = x[j + 2 * q], d = x[j + 3 * q];
        const struct ft_complex ac = add(a, c), bd = add(b, d), a_c = sub(a, c), b_d = quarter(sub(b, d));
        x[j] = add(ac, bd);
        x[j + q] = mul(sub(ac, bd), w[1]);
        x[j + 2 * q] = mul(add(a_c, b_d), w[0]);
        x[j + 3 * q] = mul(sub(a_c, b_d), w[2]);
    }
    for (size_t part = 0; part < 4; part++)
        forward(x + part * q, q, roots + 3 * q);
}

static void
inverse(struct ft_complex *restrict x, size_t n, const struct ft_complex *restrict roots)
{
    if (n == 1)
        return;
    if (n == 2) {
        const struct ft_complex a = x[0], b = x[1];
        x[0] = add(a, b);
        x[1] = sub(a, b);
        return;
    }
    const size_t q = n / 4;
    for (size_t part = 0; part < 4; part++)
        inverse(x + part * q, q, roots + 3 * q);
    for (size_t j = 0; j < q; j++) {
        const struct ft_complex *w = roots + 3 * j;
        const struct ft_complex s = x[j], t = mul_conj(x[j + q], w[1]);
        const struct ft_complex u = mul_conj(x[j + 2 * q], w[0]), v = mul_conj(x[j + 3 * q], w[2]);
        const struct ft_complex ac = add(s, t), bd = sub(s, t), a_c = add(u, v), b_d = quarter(sub(v, u));
        x[j] = add(ac, a_c);
        x[j + 2 * q] = sub(ac, a_c);
        x[j + q] = add(bd, b_d);
        x[j + 3 * q] = sub(bd, b_d);
    }
}

void
ft_fft_forward(const struct ft_fft *f, struct ft_complex *x)
{
    forward(x, (size_t)1 << f->log2, f->roots);
}

void
ft_fft_inverse(const struct ft_fft *f, struct ft_complex *x)
{
    inverse(x, (size_t)1 << f->log2, f->roots);
}
