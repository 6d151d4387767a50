/* Whether a budget can pay for one more task. Everything is recomputed from whole counts each time. */
#include "client/vault/ledger/ledger_internal.h"

#include "common/base/alloc.h"
#include <math.h>
#include <sodium.h>
#include <string.h>

void
ft_ledger_plan_hash(const struct ft_ledger_reservation *plan, size_t count, uint8_t hash[32])
{
    static const char label[] = "fedtill/ledger-plan/1";
    crypto_generichash_state h;
    uint8_t numbers[8 + 8 + 4 + 4 + 4 + 8];

    crypto_generichash_init(&h, NULL, 0, 32);
    crypto_generichash_update(&h, (const uint8_t *)label, sizeof label);
    for (size_t i = 0; i < count; i++) {
        const struct ft_ledger_reservation *t = &plan[i];
        ft_put_u64(numbers, t->q_num);
        ft_put_u64(numbers + 8, t->delta_int_sq);
        ft_put_u32(numbers + 16, t->sigma_share);
        ft_put_u32(numbers + 20, t->t_min);
        ft_put_u32(numbers + 24, t->m_stores);
        ft_put_u64(numbers + 28, t->steps);
        crypto_generichash_update(&h, t->task, 32);
        crypto_generichash_update(&h, t->manifest, 32);
        crypto_generichash_update(&h, numbers, sizeof numbers);
    }
    crypto_generichash_final(&h, hash, 32);
}

enum ft_status
ft_ledger_events(const struct ft_ledger *l, const char *domain, bool spent_only, struct ft_account_event **events,
                 size_t *count)
{
    struct ft_account_event *list = ft_calloc(l->task_count + 1, sizeof *list); /* one more: quote adds it */
    size_t n = 0;

    if (list == NULL)
        return FT_ERR_NOMEM;
    for (size_t i = 0; i < l->task_count; i++) {
        const struct ft_ledger_task *t = &l->tasks[i].task;
        const uint64_t steps = spent_only ? t->spent + t->recovered : t->charged;
        if (steps > 0 && (domain == NULL || strcmp(t->reserved.domain, domain) == 0))
            list[n++] = ft_ledger_event(&t->reserved, steps);
    }
    *events = list;
    *count = n;
    return FT_OK;
}

/* ADAPTIVE: the RDP total at a* against what a Renyi filter lets through. */
static enum ft_status
quote_filter(const struct ft_ledger_domain *d, const struct ft_account_event *events, size_t count,
             struct ft_ledger_quote *q)
{
    enum ft_status st;
    FT_TRY(ft_account_filter(d->epsilon_max, d->delta, d->order, &q->rdp_budget));
    q->rdp_budget -= FT_ACCOUNT_SLACK;
    FT_TRY(ft_rdp_at(events, count - 1, d->order, &q->rdp_now));
    FT_TRY(ft_rdp_at(events, count, d->order, &q->rdp_after));
    const double constant = d->epsilon_max - q->rdp_budget;
    q->epsilon_now = q->rdp_now > 0 ? fmax(q->rdp_now + constant, 0) : 0;
    q->epsilon_after = fmax(q->rdp_after + constant, 0);
    q->admitted = q->rdp_after <= q->rdp_budget;
out:
    return st;
}

static enum ft_status
cost(const struct ft_ledger_domain *d, const struct ft_account_event *events, size_t count, double *epsilon)
{
    struct ft_account_cost c;
    if (d->method == FT_ACCOUNT_RDP)
        return ft_account_cost_rdp(events, count, d->delta, epsilon, NULL);
    const enum ft_status st = ft_account_cost(events, count, d->delta, &c);
    if (st == FT_OK)
        *epsilon = c.pld;
    return st;
}

/* The order at which the new task costs least: what the first task of an adaptive domain fixes. */
static enum ft_status
choose_order(struct ft_ledger_domain *d, const struct ft_account_event *task)
{
    double epsilon;
    if (d->mode != FT_LEDGER_ADAPTIVE || d->order != 0)
        return FT_OK;
    return ft_account_cost_rdp(task, 1, d->delta, &epsilon, &d->order);
}

enum ft_status
ft_ledger_quote_in(const struct ft_ledger *l, const struct ft_ledger_domain *domain,
                   const struct ft_ledger_reservation *task, struct ft_ledger_quote *quote, uint32_t *order,
                   struct ft_error *err)
{
    struct ft_ledger_domain d = *domain;
    struct ft_ledger_quote q = { 0 };
    struct ft_account_event *events = NULL;
    size_t count = 0;
    enum ft_status st;

    if (!ft_ledger_reservation_valid(task))
        return ft_fail(err, FT_ERR_LIMIT, "BAD_PARAMETERS: a reservation outside the accountant's limits");
    if (l != NULL)
        FT_TRY(ft_ledger_events(l, d.id, false, &events, &count));
    else if ((events = ft_calloc(1, sizeof *events)) == NULL)
        return FT_ERR_NOMEM;
    events[count++] = ft_ledger_event(task, task->steps);
    FT_TRY(choose_order(&d, &events[count - 1]));
    q.epsilon_max = d.epsilon_max;
    if (d.mode == FT_LEDGER_ADAPTIVE) {
        FT_TRY(quote_filter(&d, events, count, &q));
    } else {
        FT_TRY(cost(&d, events, count - 1, &q.epsilon_now));
        FT_TRY(cost(&d, events, count, &q.epsilon_after));
        q.admitted = q.epsilon_after <= d.epsilon_max;
    }
    if (!isfinite(q.epsilon_after) || !isfinite(q.epsilon_now)) {
        st = FT_ERR_NONFINITE;
        goto out;
    }
    *quote = q;
    if (order != NULL)
        *order = d.order;
out:
    ft_free(events);
    if (st == FT_ERR_NONFINITE || st == FT_ERR_LIMIT)
        return ft_fail(err, FT_ERR_NONFINITE, "NUMERIC_FAILURE: the accountant has no figure for domain \"%s\"", d.id);
    return st;
}

enum ft_status
ft_ledger_quote(const struct ft_ledger *l, const struct ft_ledger_reservation *task, struct ft_ledger_quote *quote,
                struct ft_error *err)
{
    const struct ft_ledger_domain *d = ft_ledger_domain_find(l, task->domain);
    if (!ft_ledger_reservation_valid(task))
        return ft_fail(err, FT_ERR_LIMIT, "BAD_PARAMETERS: a reservation outside the accountant's limits");
    if (d == NULL)
        return ft_fail(err, FT_ERR_NOTFOUND, "LEDGER_ORDER: no budget domain \"%s\" is open", task->domain);
    return ft_ledger_quote_in(l, d, task, quote, NULL, err);
}

enum ft_status
ft_ledger_charged(const struct ft_ledger *l, const struct ft_ledger_domain *d, double *epsilon)
{
    struct ft_account_event *events = NULL;
    double budget, total;
    size_t count = 0;
    enum ft_status st;

    *epsilon = 0;
    FT_TRY(ft_ledger_events(l, d->id, false, &events, &count));
    if (count == 0)
        goto out;
    if (d->mode == FT_LEDGER_PLANNED) {
        FT_TRY(cost(d, events, count, epsilon));
        goto out;
    }
    FT_TRY(ft_account_filter(d->epsilon_max, d->delta, d->order, &budget));
    FT_TRY(ft_rdp_at(events, count, d->order, &total));
    *epsilon = fmax(total + d->epsilon_max - budget + FT_ACCOUNT_SLACK, 0);
out:
    ft_free(events);
    return st;
}
