#include "aggregator/commands/cmd_task_privacy.h"

#include "common/plan/private_sum.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static void
lanes(const struct ft_task *task, struct ft_task_privacy_answer *a)
{
    const struct ft_task_privacy *p = &task->privacy;
    const double variance = (double)p->sigma_share * p->sigma_share;
    const double margin = ft_ss_noise_margin(p->dim, task->n_cap, variance);

    a->quant_max = ft_ss_quant_max(task->lane_bits, task->n_cap, margin);
    a->quant_need = ft_plan_quant_need(task);
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

/* Noise must hide one of the shops' few vectors (privacy-accounting.md, section 8). */
static enum ft_status
look_at_store(const struct ft_task *task, struct ft_task_privacy_answer *a)
{
    const struct ft_task_privacy *p = &task->privacy;

    if (task->unit != FT_UNIT_STORE)
        return FT_OK;
    a->clear_shops = ceil(a->n_pub / a->signal);
    a->too_few_shops = p->shop_count < FT_STORE_MANY_SHOPS && task->rounds > FT_STORE_FEW_ROUNDS;
    return ft_account_noise(1, FT_STORE_FEW_STEPS, 1, p->delta, p->epsilon > 0 ? p->epsilon : a->cost.rdp, FT_ACCOUNT_RDP,
                            &a->few_rounds_noise);
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
    FT_TRY(look_at_store(task, out));
out:
    return st == FT_OK
               ? FT_OK
               : ft_fail(err, st, "the accountant has no number for this task: %s", ft_status_str(st));
}

static void
print_store(const struct ft_task *task, const struct ft_task_privacy_answer *a)
{
    const struct ft_task_privacy *p = &task->privacy;

    if (task->kind == FT_TASK_STATISTICS) {
        printf("  unit store   noise hides one of %u shops, each of which counts once with the mean of its rows; a customer "
               "has\n"
               "               no claim of their own beyond their shop's\n",
               p->shop_count);
        return;
    }
    printf("  %s noise hides one of %u shops, so unit store is for hundreds of shops or few rounds: T = %llu sums at\n"
           "               this epsilon take a multiplier of %.4g by RDP, %.4g by PLD; one training round (T = %d) takes %.4g\n",
           a->too_few_shops ? "WARNING     " : "unit store  ", p->shop_count, (unsigned long long)p->steps, a->noise_rdp, a->noise_pld,
           FT_STORE_FEW_STEPS, a->few_rounds_noise);
    printf("               and about %.0f shops would bring a mean update of one clip to the length of its noise; a customer "
           "has\n"
           "               no claim of their own beyond their shop's\n",
           a->clear_shops);
}

void
ft_task_privacy_print(const struct ft_task *task, const struct ft_task_privacy_answer *a)
{
    const struct ft_task_privacy *p = &task->privacy;
    const bool store = task->unit == FT_UNIT_STORE;

    if (task->noise == 0) {
        printf("  privacy      none: no noise, so no claim; only shops whose policy says so take part\n");
        return;
    }
    printf("  privacy      epsilon %.6g by RDP (order %u), %.6g by PLD, at delta %g (at most 1/(10 n_pub) = "
           "%.3g)\n",
           a->cost.rdp, a->cost.rdp_order, a->cost.pld, p->delta, a->delta_limit);
    if (store)
        printf("               for one shop zeroed out (it still takes part and adds its noise), over T = %llu rounds of noise "
               "z_eff %.6g\n",
               (unsigned long long)p->steps, a->z_eff);
    else
        printf("               for one %s with all their transactions in up to %u shops, over T = %llu rounds of "
               "noise z_eff "
               "%.6g\n",
               ft_unit_name(task->unit), p->m_stores, (unsigned long long)p->steps, a->z_eff);
    printf(
        "  noise        that epsilon takes a multiplier of %.6g by RDP, %.6g by PLD; the shares give %.6g\n",
        a->noise_rdp, a->noise_pld, a->z_eff);
    if (store)
        printf("  sampling     none, q = 1: each of the %u named shops in every round, with one vector\n", p->shop_count);
    else
        printf("  sampling     q = %.6g: %.6g of %.0f declared customers a round\n", a->q, a->q * a->n_pub,
               a->n_pub);
    printf("  shares       sigma_share %u from each shop, t_min %u counted; a sum has at least %u shops, or "
           "is not revealed\n",
           p->sigma_share, p->t_min, a->least_shops);
    printf("  bits         lanes of %u, %.1f needed; Q = %.0f for one shop, its sum needs %.0f\n",
           task->lane_bits, a->bits_needed, a->quant_max, a->quant_need);
    if (task->kind != FT_TASK_STATISTICS)
        printf("  signal       noise of a coordinate of the mean %.3g clips (%u shops) to %.3g (%u); a mean "
           "update of one clip is "
           "%.3g times its noise\n",
           a->mean_noise_low, a->least_shops, a->mean_noise_high, task->n_cap, a->signal);
    if (store)
        print_store(task, a);
}

json_t *
ft_task_privacy_json(const struct ft_task *task, const struct ft_task_privacy_answer *a)
{
    const struct ft_task_privacy *p = &task->privacy;

    if (task->noise == 0)
        return json_null();
    json_t *all = json_pack("{s:f, s:i, s:f, s:f, s:f, s:s, s:i, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:i, s:i, s:i, "
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
    if (all != NULL && task->unit == FT_UNIT_STORE)
        json_object_set_new(all, "unit_store",
                            json_pack("{s:i, s:f, s:i, s:f, s:b}", "shops", (int)p->shop_count, "noise_for_few_rounds",
                                      a->few_rounds_noise, "few_rounds_steps", FT_STORE_FEW_STEPS, "shops_for_signal_1",
                                      a->clear_shops, "too_few_shops", (int)a->too_few_shops));
    return all;
}
