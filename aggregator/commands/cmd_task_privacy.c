#include "aggregator/commands/cmd_task_privacy.h"

#include "common/plan/private_sum.h"
#include "common/privacy/rotate.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static uint64_t
largest_shop(const struct ft_task *task)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < task->privacy.shop_count; i++)
        most = task->privacy.shops[i].customers > most ? task->privacy.shops[i].customers : most;
    return most;
}

static void
lanes(const struct ft_task *task, struct ft_task_privacy_answer *a)
{
    const struct ft_task_privacy *p = &task->privacy;
    const double variance = (double)p->sigma_share * p->sigma_share,
                 sample = a->q * (double)largest_shop(task);
    const double margin = ft_ss_noise_margin(p->dim, task->n_cap, variance);

    a->quant_max = ft_ss_quant_max(task->lane_bits, task->n_cap, margin);
    a->quant_need = p->scale * (sample + 8 * sqrt(sample));
    if (p->rotated)
        a->quant_need *= fmin(1, 8 / sqrt((double)ft_rotate_padded((size_t)p->dim)));
    a->bits_needed = log2(a->quant_need * task->n_cap + margin) + 1;
}

/* The epsilon that was asked for, the other way round: the least noise by either accountant. */
static enum ft_status
noise_for(const struct ft_task *task, struct ft_task_privacy_answer *a)
{
    const struct ft_task_privacy *p = &task->privacy;
    const double epsilon = p->epsilon > 0 ? p->epsilon : a->cost.rdp;
    enum ft_status st;

    FT_TRY(ft_account_noise(a->q, p->steps, p->m_stores, p->delta, epsilon, FT_ACCOUNT_RDP, &a->noise_rdp));
    FT_TRY(ft_account_noise(a->q, p->steps, p->m_stores, p->delta, epsilon, FT_ACCOUNT_PLD, &a->noise_pld));
out:
    return st;
}

enum ft_status
ft_task_privacy_answer(const struct ft_task *task, const struct ft_round_plan *train,
                       struct ft_task_privacy_answer *out, struct ft_error *err)
{
    const struct ft_account_event event = ft_plan_privacy_event(task, task->privacy.steps);
    enum ft_status st;

    memset(out, 0, sizeof *out);
    if (task->noise == 0)
        return FT_OK;
    out->q = event.q;
    out->z_eff = event.z;
    out->n_pub = (double)ft_plan_customers(task);
    out->delta_limit = fmin(FT_PRIVACY_DELTA_MAX, 0.1 / out->n_pub);
    out->least_shops = ft_private_least_shops(task);
    FT_TRY(ft_account_cost(&event, 1, task->privacy.delta, &out->cost));
    FT_TRY(noise_for(task, out));
    lanes(task, out);
    out->mean_noise_low = ft_plan_mean_noise(task, out->least_shops, out->n_pub);
    out->mean_noise_high = ft_plan_mean_noise(task, task->n_cap, out->n_pub);
    out->signal = 1 / (out->mean_noise_high * sqrt((double)train->privacy.coordinates));
out:
    return st == FT_OK
               ? FT_OK
               : ft_fail(err, st, "the accountant has no number for this task: %s", ft_status_str(st));
}

void
ft_task_privacy_print(const struct ft_task *task, const struct ft_task_privacy_answer *a)
{
    const struct ft_task_privacy *p = &task->privacy;

    if (task->noise == 0) {
        printf("  privacy      none: no noise, so no claim; only shops whose policy says so take part\n");
        return;
    }
    printf("  privacy      epsilon %.6g by RDP (order %u), %.6g by PLD, at delta %g (at most 1/(10 n_pub) = "
           "%.3g)\n",
           a->cost.rdp, a->cost.rdp_order, a->cost.pld, p->delta, a->delta_limit);
    printf("               for one %s with all their transactions in up to %u shops, over T = %llu rounds of "
           "noise z_eff "
           "%.6g\n",
           ft_unit_name(task->unit), p->m_stores, (unsigned long long)p->steps, a->z_eff);
    printf(
        "  noise        that epsilon takes a multiplier of %.6g by RDP, %.6g by PLD; the shares give %.6g\n",
        a->noise_rdp, a->noise_pld, a->z_eff);
    printf("  sampling     q = %.6g: %.6g of %.0f declared customers a round\n", a->q, a->q * a->n_pub,
           a->n_pub);
    printf("  shares       sigma_share %u from each shop, t_min %u counted; a sum has at least %u shops, or "
           "is not revealed\n",
           p->sigma_share, p->t_min, a->least_shops);
    printf("  bits         lanes of %u, %.1f needed; Q = %.0f for one shop, its sum needs %.0f\n",
           task->lane_bits, a->bits_needed, a->quant_max, a->quant_need);
    printf("  signal       noise of a coordinate of the mean %.3g clips (%u shops) to %.3g (%u); a mean "
           "update of one clip is "
           "%.3g times its noise\n",
           a->mean_noise_low, a->least_shops, a->mean_noise_high, task->n_cap, a->signal);
}

json_t *
ft_task_privacy_json(const struct ft_task *task, const struct ft_task_privacy_answer *a)
{
    const struct ft_task_privacy *p = &task->privacy;

    if (task->noise == 0)
        return json_null();
    return json_pack("{s:f, s:i, s:f, s:f, s:f, s:s, s:i, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:i, s:i, s:i, "
                     "s:i, s:I, s:i, s:f, s:f, s:f,"
                     " s:f, s:f, s:f}",
                     "epsilon_rdp", a->cost.rdp, "rdp_order", (int)a->cost.rdp_order, "epsilon_pld",
                     a->cost.pld, "delta", p->delta, "delta_limit", a->delta_limit, "unit",
                     ft_unit_name(task->unit), "m_stores", (int)p->m_stores, "steps", (json_int_t)p->steps,
                     "z_eff", a->z_eff, "noise_for_epsilon_rdp", a->noise_rdp, "noise_for_epsilon_pld",
                     a->noise_pld, "q", a->q, "expected_customers", a->q * a->n_pub, "n_pub", a->n_pub,
                     "sigma_share", (int)p->sigma_share, "t_min", (int)p->t_min, "least_shops",
                     (int)a->least_shops, "scale", (int)p->scale, "delta_int_sq", (json_int_t)p->delta_int_sq,
                     "lane_bits", (int)task->lane_bits, "bits_needed", a->bits_needed, "quant_max",
                     a->quant_max, "quant_need", a->quant_need, "mean_noise_low", a->mean_noise_low,
                     "mean_noise_high", a->mean_noise_high, "signal_to_noise", a->signal);
}
