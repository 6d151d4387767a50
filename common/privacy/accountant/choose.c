#include "common/privacy/accountant/choose.h"

#include <math.h>

static enum ft_status
check(const struct ft_choose_wish *w, struct ft_error *err)
{
    const int goals = (w->epsilon != 0) + (w->z != 0) + (w->sigma_share != 0);

    if (w->q_num < 1 || w->q_num > FT_PRIVACY_Q_ONE)
        return ft_fail(err, FT_ERR_LIMIT, "q is %g, expected above 0 and at most 1", ft_privacy_q(w->q_num));
    if (w->steps < 1 || w->steps > FT_PRIVACY_STEPS_MAX)
        return ft_fail(err, FT_ERR_LIMIT, "%llu rounds, expected 1 to 4294967296", (unsigned long long)w->steps);
    if (w->m_stores < 1 || w->m_stores > FT_ACCOUNT_STORES_MAX)
        return ft_fail(err, FT_ERR_LIMIT, "%u shops of one customer, expected 1 to %u", w->m_stores,
                       FT_ACCOUNT_STORES_MAX);
    if (!(w->delta >= FT_PRIVACY_DELTA_MIN) || !(w->delta <= FT_PRIVACY_DELTA_MAX))
        return ft_fail(err, FT_ERR_LIMIT, "delta is %g, expected %g to %g", w->delta, FT_PRIVACY_DELTA_MIN,
                       FT_PRIVACY_DELTA_MAX);
    if (w->n_pub > 0 && w->delta * 10 * (double)w->n_pub > 1 + 1e-9)
        return ft_fail(err, FT_ERR_LIMIT, "delta is %g, but for %llu customers it is at most 1/(10 n_pub) = %.3g",
                       w->delta, (unsigned long long)w->n_pub, 1 / (10 * (double)w->n_pub));
    if (goals != 1)
        return ft_fail(err, FT_ERR_LIMIT, "one of epsilon, noise multiplier and share is needed, not %d", goals);
    if (w->epsilon != 0 && (!(w->epsilon > 0) || !(w->epsilon <= 1000)))
        return ft_fail(err, FT_ERR_LIMIT, "epsilon is %g, expected above 0 and at most 1000", w->epsilon);
    if (w->z != 0 && (!(w->z >= FT_PRIVACY_Z_MIN) || !(w->z <= FT_ACCOUNT_Z_MAX)))
        return ft_fail(err, FT_ERR_LIMIT, "noise multiplier is %g, expected %g to %g", w->z, FT_PRIVACY_Z_MIN,
                       FT_ACCOUNT_Z_MAX);
    if (w->shops == 0)
        return w->sigma_share == 0 ? FT_OK
                                   : ft_fail(err, FT_ERR_LIMIT, "a share of %u needs the number of shops", w->sigma_share);
    if (w->shops > 65535 || (uint64_t)w->dropouts + w->corrupted >= w->shops)
        return ft_fail(err, FT_ERR_LIMIT, "%u shops less %u dropouts and %u corrupted ones leave no share to credit",
                       w->shops, w->dropouts, w->corrupted);
    if (w->corrupted < 1)
        return ft_fail(err, FT_ERR_LIMIT, "0 corrupted shops, expected 1 and more: every shop knows its own share");
    if (w->dim < 1 || w->dim > FT_PRIVACY_DIM_MAX || ft_privacy_scale(w->dim) == 0)
        return ft_fail(err, FT_ERR_LIMIT, "dim is %llu, expected 1 to %llu", (unsigned long long)w->dim,
                       (unsigned long long)FT_PRIVACY_DIM_MAX);
    if (w->cap != 0 && w->cap < w->shops)
        return ft_fail(err, FT_ERR_LIMIT, "at most %u inputs a sum, fewer than the %u shops", w->cap, w->shops);
    if (w->lane_bits != 0 && (w->lane_bits < 16 || w->lane_bits > 64))
        return ft_fail(err, FT_ERR_LIMIT, "%u bits a lane, expected 16 to 64", w->lane_bits);
    if (w->sigma_share != 0 && (w->sigma_share < FT_PRIVACY_SHARE_MIN || w->sigma_share > FT_PRIVACY_SHARE_MAX))
        return ft_fail(err, FT_ERR_LIMIT, "sigma_share is %u, expected %u to %u", w->sigma_share,
                       FT_PRIVACY_SHARE_MIN, FT_PRIVACY_SHARE_MAX);
    return FT_OK;
}

/* Q of a lane width: what is left for one of `cap` inputs beside the noise, which exceeds the margin in one sum of
 * 2^40. */
static double
quant_max(const struct ft_choose_answer *a, double cap, double dim, uint32_t bits)
{
    const double margin = a->sigma_share * sqrt(cap * 2 * log(2 * dim * 0x1p40));
    return fmax(floor((ldexp(1, (int)bits - 1) - 1 - margin) / cap), 0);
}

static double
padded(uint64_t dim)
{
    uint64_t p = 1;
    while (p < dim)
        p *= 2;
    return (double)p;
}

static void
lanes(const struct ft_choose_wish *w, struct ft_choose_answer *a)
{
    const double q = ft_privacy_q(w->q_num), dim = (double)w->dim;
    const double cap = w->cap > 0 ? w->cap : w->shops;
    const double sample = w->largest > 0 ? w->largest : q * (double)w->n_pub / w->shops;

    a->quant_need = a->scale * (sample + 8 * sqrt(sample));
    if (w->rotated)
        a->quant_need *= fmin(1, 8 / sqrt(padded(w->dim)));
    a->lane_bits = w->lane_bits;
    if (a->lane_bits == 0)
        a->lane_bits = quant_max(a, cap, dim, 32) >= a->quant_need ? 32 : 64;
    a->quant_max = quant_max(a, cap, dim, a->lane_bits);
    const double margin = a->sigma_share * sqrt(cap * 2 * log(2 * dim * 0x1p40));
    a->bits_needed = log2(a->quant_need * cap + margin + 1) + 1;
    if (w->n_pub > 0) {
        const double unit = a->sigma_share / (a->scale * (1 - 0x1p-20) * q * (double)w->n_pub);
        a->mean_noise_low = unit * sqrt(a->t_min);
        a->mean_noise_high = unit * sqrt(w->shops);
    }
}

enum ft_status
ft_choose(const struct ft_choose_wish *w, struct ft_choose_answer *answer, struct ft_error *err)
{
    const double q = ft_privacy_q(w->q_num);
    struct ft_choose_answer a = { .z = w->z };
    enum ft_status st;

    FT_TRY(check(w, err));
    if (w->epsilon > 0) {
        st = ft_account_noise(q, w->steps, w->m_stores, w->delta, w->epsilon, w->method, &a.z);
        if (st == FT_ERR_LIMIT) {
            (void)ft_fail(err, st, "no noise multiplier up to 1000 reaches epsilon %g", w->epsilon);
            goto out;
        }
        if (st != FT_OK)
            goto out;
    }
    a.z_eff = a.z;
    if (w->shops > 0) {
        a.t_min = w->shops - w->dropouts - w->corrupted;
        a.scale = ft_privacy_scale(w->dim);
        a.lambda = w->adaptive ? a.scale / 16 : 0;
        a.delta_int_sq = ft_privacy_delta_int_sq(a.scale, w->dim, a.lambda);
        a.sigma_share = w->sigma_share;
        if (w->sigma_share == 0) {
            st = ft_privacy_sigma_share(a.z, a.delta_int_sq, a.t_min, &a.sigma_share);
            if (st != FT_OK) {
                (void)ft_fail(err, st, "noise multiplier %g needs a share above %u from each of %u shops", a.z,
                              FT_PRIVACY_SHARE_MAX, a.t_min);
                goto out;
            }
        }
        a.z_eff = ft_privacy_z_eff(a.delta_int_sq, a.t_min, a.sigma_share);
        if (w->sigma_share != 0)
            a.z = a.z_eff;
        if (!(a.z_eff >= FT_PRIVACY_Z_MIN)) {
            st = ft_fail(err, FT_ERR_LIMIT, "%u shares of %u make a noise multiplier of %.3f, below %g", a.t_min,
                         a.sigma_share, a.z_eff, FT_PRIVACY_Z_MIN);
            goto out;
        }
        lanes(w, &a);
    }
    const struct ft_account_event e = { q, a.z_eff, w->steps, w->m_stores };
    FT_TRY(ft_account_cost(&e, 1, w->delta, &a.cost));
    *answer = a;
out:
    return st;
}
