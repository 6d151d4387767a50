/* What a ledger, a report and a planner ask. */
#include "common/privacy/accountant/accountant_internal.h"

#include <math.h>

enum ft_status
ft_account_cost_rdp(const struct ft_account_event *events, size_t count, double delta, double *epsilon,
                    uint32_t *order)
{
    struct ft_rdp rdp;
    enum ft_status st;
    bool any = false;

    FT_TRY(ft_account_delta_check(delta));
    FT_TRY(ft_rdp_compose(events, count, &rdp));
    for (size_t i = 0; i < count; i++)
        any = any || events[i].steps > 0;
    double e = 0;
    uint32_t at = 0;
    if (any) {
        FT_TRY(ft_rdp_epsilon(&rdp, delta, FT_RDP_CKS2020, &e, &at));
        e += FT_ACCOUNT_SLACK;
    }
    *epsilon = e;
    if (order != NULL)
        *order = at;
out:
    return st;
}

/* Where every customer is in every round, the sums are one Gaussian of strength sqrt(sum of steps (m/z)^2): exact, and
 * at once. Errors: LIMIT (sampling, or a strength that the closed form is not asked about). */
static enum ft_status
without_sampling(const struct ft_account_event *events, size_t count, double delta, double *epsilon)
{
    double square = 0, steps = 0;

    for (size_t i = 0; i < count; i++) {
        const double each = events[i].m / events[i].z;
        if (events[i].q < 1)
            return FT_ERR_LIMIT;
        square += (double)events[i].steps * each * each;
        steps += (double)events[i].steps;
    }
    if (!(square > 0) || !(steps < 1e15))
        return FT_ERR_LIMIT;
    return ft_gauss_epsilon(sqrt(steps / square), (uint64_t)steps, delta, epsilon);
}

enum ft_status
ft_account_cost(const struct ft_account_event *events, size_t count, double delta, struct ft_account_cost *cost)
{
    struct ft_account_cost c = { 0 };
    struct ft_pld_answer pld;
    enum ft_status st;

    FT_TRY(ft_account_cost_rdp(events, count, delta, &c.rdp, &c.rdp_order));
    c.pld = c.rdp;
    st = without_sampling(events, count, delta, &pld.worst);
    if (st == FT_ERR_LIMIT)
        st = ft_pld_epsilon(events, count, delta, &pld);
    if (st != FT_OK && st != FT_ERR_LIMIT && st != FT_ERR_NONFINITE)
        goto out;
    c.pld_is_rdp = st != FT_OK || pld.worst + FT_ACCOUNT_SLACK >= c.rdp; /* both are bounds: the lower one holds */
    if (!c.pld_is_rdp)
        c.pld = pld.worst + FT_ACCOUNT_SLACK;
    *cost = c;
    st = FT_OK;
out:
    return st;
}
