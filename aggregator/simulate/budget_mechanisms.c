#include "aggregator/simulate/budget_mechanisms.h"

#include "common/privacy/accountant/accountant.h"
#include <math.h>
#include <string.h>

/* A whole number of a table, or LIMIT. */
static enum ft_status
whole(double v, double most, uint64_t *out)
{
    if (!(v >= 0) || !(v <= most) || v != floor(v))
        return FT_ERR_LIMIT;
    *out = (uint64_t)v;
    return FT_OK;
}

static enum ft_status
whole32(double v, uint32_t *out)
{
    uint64_t n;
    const enum ft_status st = whole(v, 4294967295.0, &n);
    if (st == FT_OK)
        *out = (uint32_t)n;
    return st;
}

/* The event of a row: q, noise_multiplier, steps. */
static enum ft_status
event_of(double q, double z, double steps, uint32_t m, struct ft_account_event *e)
{
    *e = (struct ft_account_event){ .q = q, .z = z, .m = m };
    return whole(steps, 0x1p52, &e->steps);
}

static enum ft_status
epsilon_rdp(const struct ft_account_event *events, size_t count, double delta, enum ft_rdp_conversion conversion,
            double *value)
{
    struct ft_rdp rdp;
    enum ft_status st;
    FT_TRY(ft_rdp_compose(events, count, &rdp));
    FT_TRY(ft_rdp_epsilon(&rdp, delta, conversion, value, NULL));
out:
    return st;
}

static enum ft_status
epsilon_pld(const struct ft_account_event *events, size_t count, double delta, double *value)
{
    struct ft_pld_answer answer;
    const enum ft_status st = ft_pld_epsilon(events, count, delta, &answer);
    if (st == FT_OK)
        *value = answer.worst;
    return st;
}

/* ---- one function a line of the table below ---- */

static enum ft_status
psg_rdp(const double *f, double *value)
{
    struct ft_account_event e;
    uint32_t order;
    enum ft_status st;
    FT_TRY(event_of(f[FT_BUDGET_Q], f[FT_BUDGET_Z], f[FT_BUDGET_STEPS], 1, &e));
    FT_TRY(whole32(f[FT_BUDGET_ORDER], &order));
    FT_TRY(ft_rdp_at(&e, 1, order, value));
out:
    return st;
}

static enum ft_status
psg_eps_rdp(const double *f, double *value)
{
    struct ft_account_event e;
    enum ft_status st;
    FT_TRY(event_of(f[FT_BUDGET_Q], f[FT_BUDGET_Z], f[FT_BUDGET_STEPS], 1, &e));
    FT_TRY(epsilon_rdp(&e, 1, f[FT_BUDGET_DELTA], FT_RDP_CKS2020, value));
out:
    return st;
}

static enum ft_status
psg_eps_rdp_older(const double *f, double *value)
{
    struct ft_account_event e;
    enum ft_status st;
    FT_TRY(event_of(f[FT_BUDGET_Q], f[FT_BUDGET_Z], f[FT_BUDGET_STEPS], 1, &e));
    FT_TRY(epsilon_rdp(&e, 1, f[FT_BUDGET_DELTA], FT_RDP_MIRONOV2017, value));
out:
    return st;
}

static enum ft_status
psg_eps_pld(const double *f, double *value)
{
    struct ft_account_event e;
    enum ft_status st;
    FT_TRY(event_of(f[FT_BUDGET_Q], f[FT_BUDGET_Z], f[FT_BUDGET_STEPS], 1, &e));
    FT_TRY(epsilon_pld(&e, 1, f[FT_BUDGET_DELTA], value));
out:
    return st;
}

static enum ft_status
psg_delta_pld(const double *f, double *value)
{
    struct ft_account_event e;
    struct ft_pld_answer answer;
    enum ft_status st;
    FT_TRY(event_of(f[FT_BUDGET_Q], f[FT_BUDGET_Z], f[FT_BUDGET_STEPS], 1, &e));
    FT_TRY(ft_pld_delta(&e, 1, f[FT_BUDGET_EPSILON], &answer));
    *value = answer.worst;
out:
    return st;
}

/* The closed forms hold without sampling only. */
static enum ft_status
unsampled(const double *f, struct ft_account_event *e)
{
    return f[FT_BUDGET_Q] == 1 ? event_of(1, f[FT_BUDGET_Z], f[FT_BUDGET_STEPS], 1, e) : FT_ERR_LIMIT;
}

static enum ft_status
gauss_eps_exact(const double *f, double *value)
{
    struct ft_account_event e;
    const enum ft_status st = unsampled(f, &e);
    return st != FT_OK ? st : ft_gauss_epsilon(e.z, e.steps, f[FT_BUDGET_DELTA], value);
}

static enum ft_status
gauss_delta_exact(const double *f, double *value)
{
    struct ft_account_event e;
    const enum ft_status st = unsampled(f, &e);
    return st != FT_OK ? st : ft_gauss_delta(e.z, e.steps, f[FT_BUDGET_EPSILON], value);
}

static enum ft_status
gauss_eps_rdp(const double *f, double *value)
{
    struct ft_account_event e;
    const enum ft_status st = unsampled(f, &e);
    return st != FT_OK ? st : epsilon_rdp(&e, 1, f[FT_BUDGET_DELTA], FT_RDP_CKS2020, value);
}

static enum ft_status
pair_of(const double *f, struct ft_account_event e[2])
{
    enum ft_status st;
    FT_TRY(event_of(f[FT_BUDGET_Q], f[FT_BUDGET_Z], f[FT_BUDGET_STEPS], 1, &e[0]));
    FT_TRY(event_of(f[FT_BUDGET_P1], f[FT_BUDGET_P2], f[FT_BUDGET_P3], 1, &e[1]));
out:
    return st;
}

static enum ft_status
compose2_eps_rdp(const double *f, double *value)
{
    struct ft_account_event e[2];
    const enum ft_status st = pair_of(f, e);
    return st != FT_OK ? st : epsilon_rdp(e, 2, f[FT_BUDGET_DELTA], FT_RDP_CKS2020, value);
}

static enum ft_status
compose2_eps_pld(const double *f, double *value)
{
    struct ft_account_event e[2];
    const enum ft_status st = pair_of(f, e);
    return st != FT_OK ? st : epsilon_pld(e, 2, f[FT_BUDGET_DELTA], value);
}

/* `split`: the noise in p1 parts, so p1 times the steps at less noise; else the mixture. */
static enum ft_status
stores_of(const double *f, bool split, struct ft_account_event *e)
{
    uint32_t m;
    enum ft_status st;
    FT_TRY(whole32(f[FT_BUDGET_P1], &m));
    if (m < 1)
        return FT_ERR_LIMIT;
    FT_TRY(event_of(f[FT_BUDGET_Q], f[FT_BUDGET_Z], f[FT_BUDGET_STEPS], m, e));
    if (split) {
        e->z /= sqrt(m);
        e->steps *= m;
        e->m = 1;
    }
out:
    return st;
}

static enum ft_status
multistore_split(const double *f, double *value)
{
    struct ft_account_event e;
    const enum ft_status st = stores_of(f, true, &e);
    return st != FT_OK ? st : epsilon_rdp(&e, 1, f[FT_BUDGET_DELTA], FT_RDP_CKS2020, value);
}

static enum ft_status
multistore_mixture(const double *f, double *value)
{
    struct ft_account_event e;
    const enum ft_status st = stores_of(f, false, &e);
    return st != FT_OK ? st : epsilon_rdp(&e, 1, f[FT_BUDGET_DELTA], FT_RDP_CKS2020, value);
}

static enum ft_status
multistore_pld(const double *f, double *value)
{
    struct ft_account_event e;
    const enum ft_status st = stores_of(f, false, &e);
    return st != FT_OK ? st : epsilon_pld(&e, 1, f[FT_BUDGET_DELTA], value);
}

static enum ft_status
calibrate(const double *f, enum ft_account_method method, double *value)
{
    uint64_t steps;
    const enum ft_status st = whole(f[FT_BUDGET_STEPS], 0x1p32, &steps);
    return st != FT_OK ? st
                       : ft_account_noise(f[FT_BUDGET_Q], steps, 1, f[FT_BUDGET_DELTA], f[FT_BUDGET_EPSILON], method,
                                          value);
}

static enum ft_status
calibrate_rdp(const double *f, double *value)
{
    return calibrate(f, FT_ACCOUNT_RDP, value);
}

static enum ft_status
calibrate_pld(const double *f, double *value)
{
    return calibrate(f, FT_ACCOUNT_PLD, value);
}

static enum ft_status
zcdp_optimal(const double *f, double *value)
{
    return ft_zcdp_epsilon(f[FT_BUDGET_P1], f[FT_BUDGET_DELTA], value);
}

static enum ft_status
zcdp_simple(const double *f, double *value)
{
    return ft_zcdp_epsilon_simple(f[FT_BUDGET_P1], f[FT_BUDGET_DELTA], value);
}

static enum ft_status
discrete_rdp(double q, const double *f, double *value)
{
    uint64_t shift;
    uint32_t order;
    enum ft_status st;
    FT_TRY(whole(f[FT_BUDGET_P2], 0x1p52, &shift));
    FT_TRY(whole32(f[FT_BUDGET_ORDER], &order));
    FT_TRY(ft_dgauss_rdp(q, f[FT_BUDGET_P1], shift, order, value));
out:
    return st;
}

static enum ft_status
dgauss_rdp(const double *f, double *value)
{
    return discrete_rdp(1, f, value);
}

static enum ft_status
dgauss_sub_rdp(const double *f, double *value)
{
    return discrete_rdp(f[FT_BUDGET_Q], f, value);
}

static enum ft_status
dgauss_delta(const double *f, double *value)
{
    uint64_t shift;
    const enum ft_status st = whole(f[FT_BUDGET_P2], 0x1p52, &shift);
    return st != FT_OK ? st : ft_dgauss_delta(f[FT_BUDGET_P1], shift, f[FT_BUDGET_EPSILON], value);
}

static enum ft_status
ddg_tau(const double *f, double *value)
{
    uint32_t shares;
    const enum ft_status st = whole32(f[FT_BUDGET_P2], &shares);
    return st != FT_OK ? st : ft_ddg_tau(f[FT_BUDGET_P1], shares, value);
}

static enum ft_status
ddg_rdp(const double *f, double *value)
{
    uint32_t shares, order;
    uint64_t dim;
    enum ft_status st;
    FT_TRY(whole32(f[FT_BUDGET_P2], &shares));
    FT_TRY(whole(f[FT_BUDGET_P4], 0x1p52, &dim));
    FT_TRY(whole32(f[FT_BUDGET_ORDER], &order));
    FT_TRY(ft_ddg_rdp(f[FT_BUDGET_P1], shares, f[FT_BUDGET_P3], dim, order, value));
out:
    return st;
}

static enum ft_status
skellam_rdp(const double *f, double *value)
{
    uint32_t order;
    const enum ft_status st = whole32(f[FT_BUDGET_ORDER], &order);
    return st != FT_OK ? st
                       : ft_skellam_rdp(f[FT_BUDGET_P1], f[FT_BUDGET_P2], f[FT_BUDGET_P3], order, value);
}

static enum ft_status
encode_delta(const double *f, double *value)
{
    uint32_t scale, lambda;
    uint64_t dim;
    enum ft_status st;
    FT_TRY(whole32(f[FT_BUDGET_P1], &scale));
    FT_TRY(whole(f[FT_BUDGET_P2], (double)FT_PRIVACY_DIM_MAX, &dim));
    FT_TRY(whole32(f[FT_BUDGET_P3], &lambda));
    if (scale > FT_PRIVACY_SCALE_MAX || lambda > scale)
        return FT_ERR_LIMIT;
    *value = (double)ft_privacy_delta_int_sq(scale, dim, lambda);
out:
    return st;
}

static enum ft_status
encode_rounded(const double *f, double *value)
{
    uint64_t dim;
    const enum ft_status st = whole(f[FT_BUDGET_P2], 0x1p52, &dim);
    return st != FT_OK ? st : ft_rounded_l2_bound(f[FT_BUDGET_P1], dim, value);
}

static enum ft_status
encode_share(const double *f, double *value)
{
    uint64_t delta_int_sq;
    uint32_t t_min, share;
    enum ft_status st;
    FT_TRY(whole(f[FT_BUDGET_P1], 0x1p52, &delta_int_sq));
    FT_TRY(whole32(f[FT_BUDGET_P2], &t_min));
    FT_TRY(ft_privacy_sigma_share(f[FT_BUDGET_Z], delta_int_sq, t_min, &share));
    *value = share;
out:
    return st;
}

static enum ft_status
encode_z_eff(const double *f, double *value)
{
    uint64_t delta_int_sq;
    uint32_t t_min, share;
    enum ft_status st;
    FT_TRY(whole(f[FT_BUDGET_P1], 0x1p52, &delta_int_sq));
    FT_TRY(whole32(f[FT_BUDGET_P2], &t_min));
    FT_TRY(whole32(f[FT_BUDGET_P3], &share));
    *value = ft_privacy_z_eff(delta_int_sq, t_min, share);
out:
    return st;
}

static enum ft_status
onerun(const double *f, double *value)
{
    uint32_t m, r, v;
    enum ft_status st;
    FT_TRY(whole32(f[FT_BUDGET_P1], &m));
    FT_TRY(whole32(f[FT_BUDGET_P2], &r));
    FT_TRY(whole32(f[FT_BUDGET_P3], &v));
    FT_TRY(ft_onerun_epsilon(m, r, v, f[FT_BUDGET_DELTA], f[FT_BUDGET_P4], value));
out:
    return st;
}

static enum ft_status
filter(const double *f, double *value)
{
    uint32_t order;
    const enum ft_status st = whole32(f[FT_BUDGET_ORDER], &order);
    return st != FT_OK ? st : ft_account_filter(f[FT_BUDGET_EPSILON], f[FT_BUDGET_DELTA], order, value);
}

static enum ft_status
adaptclip(const double *f, double *value)
{
    const struct ft_privacy_adapt adapt = { f[FT_BUDGET_P3], f[FT_BUDGET_P4], 0, HUGE_VAL };
    *value = ft_privacy_next_clip(&adapt, f[FT_BUDGET_P1], f[FT_BUDGET_P2]);
    return FT_OK;
}

#define Q     (1u << FT_BUDGET_Q)
#define Z     (1u << FT_BUDGET_Z)
#define T     (1u << FT_BUDGET_STEPS)
#define DELTA (1u << FT_BUDGET_DELTA)
#define EPS   (1u << FT_BUDGET_EPSILON)
#define ORDER (1u << FT_BUDGET_ORDER)
#define P1    (1u << FT_BUDGET_P1)
#define P2    (P1 | 1u << FT_BUDGET_P2)
#define P3    (P2 | 1u << FT_BUDGET_P3)
#define P4    (P3 | 1u << FT_BUDGET_P4)

static const struct ft_budget_mechanism mechanisms[] = {
    { "psg", "rdp", NULL, Q | Z | T | ORDER, psg_rdp },
    { "psg", "eps_rdp", "cks2020_prop12", Q | Z | T | DELTA, psg_eps_rdp },
    { "psg", "eps_rdp", "mironov2017", Q | Z | T | DELTA, psg_eps_rdp_older },
    { "psg", "eps_pld", "pld_hockey_stick", Q | Z | T | DELTA, psg_eps_pld },
    { "psg", "delta_pld", "pld_hockey_stick", Q | Z | T | EPS, psg_delta_pld },
    { "gauss", "eps_exact", "gdp_closed_form", Q | Z | T | DELTA, gauss_eps_exact },
    { "gauss", "delta_exact", "gdp_closed_form", Q | Z | T | EPS, gauss_delta_exact },
    { "gauss", "eps_rdp", "cks2020_prop12", Q | Z | T | DELTA, gauss_eps_rdp },
    { "compose2", "eps_rdp", "cks2020_prop12", Q | Z | T | DELTA | P3, compose2_eps_rdp },
    { "compose2", "eps_pld", "pld_hockey_stick", Q | Z | T | DELTA | P3, compose2_eps_pld },
    { "multistore", "eps_rdp_split", "cks2020_prop12", Q | Z | T | DELTA | P1, multistore_split },
    { "multistore", "eps_rdp_mixture", "cks2020_prop12", Q | Z | T | DELTA | P1, multistore_mixture },
    { "multistore", "eps_pld_mixture", "pld_hockey_stick", Q | Z | T | DELTA | P1, multistore_pld },
    { "calibrate", "noise_multiplier", "cks2020_prop12", Q | T | DELTA | EPS, calibrate_rdp },
    { "calibrate", "noise_multiplier", "pld_hockey_stick", Q | T | DELTA | EPS, calibrate_pld },
    { "zcdp", "eps_zcdp", "cks2020_optimal", DELTA | P1, zcdp_optimal },
    { "zcdp", "eps_zcdp", "bun_steinke2016", DELTA | P1, zcdp_simple },
    { "dgauss", "rdp", NULL, ORDER | P2, dgauss_rdp },
    { "dgauss", "delta_exact", "cks2020_thm7", EPS | P2, dgauss_delta },
    { "dgauss_sub", "rdp", NULL, Q | ORDER | P2, dgauss_sub_rdp },
    { "ddg", "tau", NULL, P2, ddg_tau },
    { "ddg", "rdp_bound", "kairouz2021_prop14", ORDER | P4, ddg_rdp },
    { "skellam", "rdp_bound", "agarwal2021_thm3.5", ORDER | P3, skellam_rdp },
    { "encode", "delta_int_sq", NULL, P3, encode_delta },
    { "encode", "rounded_l2_bound", "kairouz2021_beta_exp_minus_half", P2, encode_rounded },
    { "encode", "sigma_share", NULL, Z | P2, encode_share },
    { "encode", "z_eff", NULL, P3, encode_z_eff },
    { "onerun", "eps_lower", "steinke2023", DELTA | P4, onerun },
    { "filter", "rdp_budget", "cks2020_prop12", EPS | DELTA | ORDER, filter },
    { "adaptclip", "clip_next", NULL, P4, adaptclip },
};

const struct ft_budget_mechanism *
ft_budget_mechanism_find(const char *mechanism, const char *quantity, const char *conversion, bool *known)
{
    *known = false;
    for (size_t i = 0; i < sizeof mechanisms / sizeof mechanisms[0]; i++) {
        const struct ft_budget_mechanism *m = &mechanisms[i];
        if (strcmp(m->mechanism, mechanism) != 0)
            continue;
        *known = true;
        if (strcmp(m->quantity, quantity) == 0 && strcmp(m->conversion != NULL ? m->conversion : "", conversion) == 0)
            return m;
    }
    return NULL;
}
