/*
 * Reed-Solomon decoding after Gao (2003): interpolate the received word, run the extended Euclidean algorithm
 * against prod (X - x_i) until the remainder's degree falls below (count + t) / 2, and divide by the
 * cofactor.
 */
#include "common/base/alloc.h"
#include "common/secure_sum/shamir_internal.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

/* A polynomial: coefficient of X^i at c[i]; size is degree + 1, 0 for zero. Storage belongs to the caller. */
struct poly {
    uint8_t (*c)[32];
    size_t size;
};

static void
poly_trim(struct poly *p)
{
    while (p->size > 0 && sodium_is_zero(p->c[p->size - 1], 32))
        p->size--;
}

static void
poly_copy(struct poly *to, const struct poly *from)
{
    memcpy(to->c, from->c, from->size * 32);
    to->size = from->size;
}

/* p(x) for a small x. */
static void
poly_eval(uint8_t out[32], const struct poly *p, uint16_t x)
{
    memset(out, 0, 32);
    for (size_t i = p->size; i-- > 0;)
        ft_ss_scalar_muladd_small(out, out, x, p->c[i]);
}

/* a -= factor X^shift b; a has room for b.size + shift coefficients and those beyond a.size are zero. */
static void
poly_sub_shifted(struct poly *a, const struct poly *b, const uint8_t factor[32], size_t shift)
{
    uint8_t term[32];
    for (size_t i = 0; i < b->size; i++) {
        crypto_core_ristretto255_scalar_mul(term, factor, b->c[i]);
        crypto_core_ristretto255_scalar_sub(a->c[i + shift], a->c[i + shift], term);
    }
    if (a->size < b->size + shift)
        a->size = b->size + shift;
    sodium_memzero(term, sizeof term);
}

/* One division step chain: u = u mod v, and for the cofactors a -= q b, where q is the quotient. With
 * quotient given (room for u.size), q is stored there instead. v is not zero. */
static void
poly_divide(struct poly *u, const struct poly *v, struct poly *a, const struct poly *b, struct poly *quotient)
{
    uint8_t lead_inverse[32], factor[32];
    const int ok = crypto_core_ristretto255_scalar_invert(lead_inverse, v->c[v->size - 1]);
    assert(ok == 0); /* v is trimmed, so its lead is not zero */
    while (u->size >= v->size) {
        const size_t shift = u->size - v->size;
        crypto_core_ristretto255_scalar_mul(factor, u->c[u->size - 1], lead_inverse);
        poly_sub_shifted(u, v, factor, shift);
        if (a != NULL)
            poly_sub_shifted(a, b, factor, shift);
        if (quotient != NULL) {
            memcpy(quotient->c[shift], factor, 32);
            if (quotient->size < shift + 1)
                quotient->size = shift + 1;
        }
        u->size--; /* the lead has cancelled */
        poly_trim(u);
    }
    sodium_memzero(lead_inverse, sizeof lead_inverse);
    sodium_memzero(factor, sizeof factor);
}

/* g0 = prod (X - x_i). */
static void
poly_from_roots(struct poly *g0, const struct ft_ss_share *shares, size_t count)
{
    uint8_t negated[32];
    memset(g0->c[0], 0, 32);
    g0->c[0][0] = 1;
    g0->size = 1;
    for (size_t i = 0; i < count; i++) { /* times (X - x): new[j] = old[j-1] - x old[j] */
        memcpy(g0->c[g0->size], g0->c[g0->size - 1], 32);
        for (size_t j = g0->size; j-- > 0;) {
            const uint8_t zero[32] = { 0 };
            crypto_core_ristretto255_scalar_negate(negated, g0->c[j]);
            ft_ss_scalar_muladd_small(g0->c[j], negated, shares[i].x, j > 0 ? g0->c[j - 1] : zero);
        }
        g0->size++;
    }
}

/* g1: the polynomial of degree < count through every share. */
static enum ft_status
poly_interpolate(struct poly *g1, const struct poly *g0, const struct ft_ss_share *shares, uint16_t count)
{
    enum ft_status st = FT_OK;
    uint8_t weight[32], term[32], quotient[32];
    uint16_t *xs = ft_calloc(count, sizeof *xs);
    uint8_t(*weights)[32] = ft_calloc(count, sizeof *weights);

    if (xs == NULL || weights == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    for (size_t i = 0; i < count; i++)
        xs[i] = shares[i].x;
    FT_TRY(ft_ss_shamir_weights(xs, count, false, weights));
    memset(g1->c, 0, (size_t)count * 32);
    g1->size = count;
    for (size_t i = 0; i < count; i++) {
        crypto_core_ristretto255_scalar_mul(weight, weights[i], shares[i].y);
        memset(quotient, 0, sizeof quotient);
        for (size_t j = count; j-- > 0;) { /* g0 / (X - x) from the top by synthetic division */
            ft_ss_scalar_muladd_small(quotient, quotient, shares[i].x, g0->c[j + 1]);
            crypto_core_ristretto255_scalar_mul(term, weight, quotient);
            crypto_core_ristretto255_scalar_add(g1->c[j], g1->c[j], term);
        }
    }
    poly_trim(g1);
out:
    sodium_memzero(term, sizeof term);
    sodium_memzero(weight, sizeof weight);
    ft_free(weights);
    ft_free(xs);
    return st;
}

static void
swap_polys(struct poly *a, struct poly *b)
{
    const struct poly t = *a;
    *a = *b;
    *b = t;
}

enum ft_status
ft_ss_shamir_decode(const struct ft_ss_share *shares, uint16_t count, uint16_t t, uint8_t secret[32],
                    bool *lies)
{
    enum ft_status st;
    const size_t room = (size_t)count + 2;
    uint8_t(*storage)[32] = NULL; /* secret: six polynomials */
    struct poly r0, r1, v0, v1, f, rest;
    uint32_t lie_count = 0;
    uint8_t at_x[32];

    memset(secret, 0, 32);
    if (t < 1 || count < t)
        return FT_ERR_ARGUMENT;
    st = ft_ss_shares_check(shares, count);
    if (st != FT_OK)
        return st;
    storage = ft_secret_alloc(6 * room * 32);
    if (storage == NULL)
        return FT_ERR_NOMEM;
    r0 = (struct poly){ storage, 0 };
    r1 = (struct poly){ storage + room, 0 };
    v0 = (struct poly){ storage + 2 * room, 0 }; /* r = u g0 + v g1; v of g0 is 0, of g1 is 1 */
    v1 = (struct poly){ storage + 3 * room, 1 };
    f = (struct poly){ storage + 4 * room, 0 };
    rest = (struct poly){ storage + 5 * room, 0 };
    v1.c[0][0] = 1;
    poly_from_roots(&r0, shares, count);
    FT_TRY(poly_interpolate(&r1, &r0, shares, count));

    /* Until 2 deg(r1) < count + t; the degree of zero is below every bound. */
    while (r1.size > 0 && 2 * (r1.size - 1) >= (size_t)count + t) {
        poly_divide(&r0, &r1, &v0, &v1, NULL);
        poly_trim(&v0);
        swap_polys(&r0, &r1);
        swap_polys(&v0, &v1);
    }
    poly_copy(&rest, &r1);
    poly_divide(&rest, &v1, NULL, NULL, &f); /* v1 is never zero: det of the cofactors is +-1 */
    poly_trim(&f);
    if (rest.size > 0 || f.size > t) {
        st = FT_ERR_VERIFY;
        goto out;
    }
    for (size_t i = 0; i < count; i++) {
        poly_eval(at_x, &f, shares[i].x);
        if (sodium_memcmp(at_x, shares[i].y, 32) != 0)
            lie_count++;
    }
    if (lie_count > ((uint32_t)count - t) / 2) {
        st = FT_ERR_VERIFY;
        goto out;
    }
    for (size_t i = 0; lies != NULL && i < count; i++) {
        poly_eval(at_x, &f, shares[i].x);
        lies[i] = sodium_memcmp(at_x, shares[i].y, 32) != 0;
    }
    if (f.size > 0)
        memcpy(secret, f.c[0], 32);
out:
    sodium_memzero(at_x, sizeof at_x);
    ft_secret_free(storage);
    return st;
}
