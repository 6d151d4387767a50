#include "aggregator/simulate/engine/private_internal.h"

#include "common/base/alloc.h"

#include <math.h>
#include <string.h>

static uint64_t
rows_of(const struct ft_sim_engine *g, uint32_t client)
{
    return g->in.clients->offsets[client + 1] - g->in.clients->offsets[client];
}

/* ---- customers ---- */

static bool
is_store(const struct ft_sim_engine *g)
{
    return g->in.e->privacy.unit == FT_SIM_UNIT_STORE;
}

/* A client's rows by whose they are; every row its own when the data does not know, all one with unit store. */
static enum ft_status
index_client(const struct ft_sim_engine *g, struct sim_private *p, uint32_t client)
{
    const uint64_t from = g->in.clients->offsets[client], rows = rows_of(g, client);
    const uint32_t *whose = g->in.e->privacy.unit == FT_SIM_UNIT_CUSTOMER ? g->in.data->customer : NULL;
    uint64_t count = whose != NULL ? 0 : is_store(g) ? rows > 0 : rows, *at;

    for (uint64_t i = 0; whose != NULL && i < rows; i++)
        count = whose[from + i] + UINT64_C(1) > count ? whose[from + i] + UINT64_C(1) : count;
    at = ft_calloc(count + 1, sizeof *at);
    if (at == NULL)
        return FT_ERR_NOMEM;
    for (uint64_t i = 0; i < rows; i++)
        at[(whose != NULL ? whose[from + i] : is_store(g) ? 0 : i) + 1]++;
    for (uint64_t c = 0, base = from; c < count; c++) {
        const uint64_t own = at[c + 1];
        p->most_rows = own > p->most_rows ? own : p->most_rows;
        at[c] = base;
        base += own;
        if (own > 0) /* one without rows in this split is nobody here */
            p->first[p->customers++] = base;
    }
    for (uint64_t i = 0; i < rows; i++)
        p->order[at[whose != NULL ? whose[from + i] : is_store(g) ? 0 : i]++] = from + i;
    ft_free(at);
    return FT_OK;
}

static enum ft_status
index_customers(struct ft_sim_engine *g, struct sim_private *p)
{
    const uint32_t clients = g->in.clients->count;
    const uint64_t rows = g->in.data->train.rows;
    enum ft_status st = FT_ERR_NOMEM;

    p->order = ft_calloc(rows, sizeof *p->order);
    p->first = ft_calloc(rows + 1, sizeof *p->first);
    p->of_client = ft_calloc((size_t)clients + 1, sizeof *p->of_client);
    p->declared = ft_calloc(clients, sizeof *p->declared);
    if (p->order == NULL || p->first == NULL || p->of_client == NULL || p->declared == NULL)
        goto out;
    p->first++; /* ends first: shifted back below */
    for (uint32_t k = 0; k < clients; k++) {
        st = index_client(g, p, k);
        if (st != FT_OK) {
            p->first--;
            goto out;
        }
        p->of_client[k + 1] = p->customers;
        const uint64_t own = p->customers - p->of_client[k];
        p->declared[k] = is_store(g) ? 1 : (own + 9) / 10 * 10;
        p->most_customers = own > p->most_customers ? own : p->most_customers;
    }
    p->first--;
    st = FT_OK;
out:
    return st;
}

/* ---- parameters ---- */

static uint64_t
declared_all(const struct ft_sim_engine *g, const struct sim_private *p)
{
    uint64_t sum = 0;
    for (uint32_t k = 0; k < g->in.clients->count; k++)
        sum += p->declared[k];
    return sum;
}

static enum ft_status
find_noise(const struct ft_sim_engine *g, struct sim_private *p, struct ft_error *err)
{
    const struct ft_sim_experiment *e = g->in.e;
    const uint64_t n = declared_all(g, p);
    const double expected = is_store(g) ? (double)n : e->privacy.expected_customers;
    enum ft_status st = FT_OK;

    if (expected > (double)n)
        return ft_fail(err, FT_ERR_CONFIG, "privacy.expected_customers: %g of %llu customers",
                       e->privacy.expected_customers, (unsigned long long)n);
    if (e->privacy.delta * 10 * (double)n > 1 + 1e-9)
        return ft_fail(err, FT_ERR_CONFIG, "privacy.delta: %g is above 1/(10 n) = %.3g for %llu %s",
                       e->privacy.delta, 0.1 / (double)n, (unsigned long long)n, is_store(g) ? "clients" : "customers");
    p->params.q_num = ft_privacy_q_num(expected, (double)n);
    p->q = ft_privacy_q(p->params.q_num);
    p->z = e->privacy.noise_multiplier;
    if (e->privacy.epsilon > 0)
        st = ft_account_noise(p->q, e->training.rounds, e->privacy.m_stores, e->privacy.delta, e->privacy.epsilon,
                              e->privacy.method, &p->z);
    if (st != FT_OK)
        return ft_fail(err, FT_ERR_CONFIG, "privacy.epsilon: no noise multiplier up to 1000 reaches %g",
                       e->privacy.epsilon);
    return FT_OK;
}

/* Lanes in which the largest shop's sum has room; else those of 64 bits. */
static enum ft_status
find_lanes(const struct ft_sim_engine *g, struct sim_private *p, struct ft_error *err)
{
    const double sample = p->q * (double)p->most_customers, share = p->params.sigma_share;
    struct ft_ss_codec_choice choice = { .lane_bits = 32,
                                         .dim = g->vector,
                                         .n_cap = g->in.clients->count < 2 ? 2 : g->in.clients->count,
                                         .clip = p->params.clip,
                                         .noise_var = share * share,
                                         .quant_step =
                                             ft_privacy_quant_step(p->params.clip, p->params.scale) };
    if (ft_ss_codec_init(&choice, &p->codec, err) == FT_OK &&
        (double)p->codec.quant_max >= p->params.scale * (sample + 8 * sqrt(sample)))
        return FT_OK;
    choice.lane_bits = 64;
    return ft_ss_codec_init(&choice, &p->codec, err);
}

static enum ft_status
find_parameters(struct ft_sim_engine *g, struct sim_private *p, struct ft_error *err)
{
    const struct ft_sim_experiment *e = g->in.e;
    const uint32_t clients = g->in.clients->count, away = (uint32_t)ceil(e->clients.dropout * clients);
    const uint32_t credited = e->privacy.t_min > 0 ? e->privacy.t_min
                              : clients > away + 1 ? clients - away - 1
                                                   : 1;
    enum ft_status st;

    if (credited > clients - away)
        return ft_fail(err, FT_ERR_CONFIG, "privacy.t_min: %u shares of %u shops of which %u may drop out",
                       credited, clients, away);
    FT_TRY(find_noise(g, p, err));
    p->params.dim = g->vector;
    p->params.clip = e->privacy.clip;
    p->params.scale = ft_privacy_scale(g->vector);
    p->params.t_min = credited;
    p->params.m_stores = e->privacy.m_stores;
    p->params.steps = e->training.rounds;
    p->params.delta_int_sq = ft_privacy_delta_int_sq(p->params.scale, g->vector, 0);
    st = ft_privacy_sigma_share(p->z, p->params.delta_int_sq, credited, &p->params.sigma_share);
    if (st != FT_OK || p->params.scale == 0) {
        st =
            ft_fail(err, FT_ERR_CONFIG,
                    "privacy: a noise multiplier of %g from %u shops needs too large shares", p->z, credited);
        goto out;
    }
    if (p->params.sigma_share < FT_PRIVACY_SHARE_MIN)
        p->params.sigma_share = FT_PRIVACY_SHARE_MIN;
    FT_TRY(ft_privacy_params_check(&p->params, err));
    st = find_lanes(g, p, err);
out:
    return st;
}

static enum ft_status
open_worker(struct ft_sim_engine *g, struct sim_private *p, struct private_worker *w, struct ft_error *err)
{
    const size_t most = p->central ? p->customers : p->most_customers, rows = g->in.data->train.rows;
    const size_t together = most < PRIVATE_BLOCK ? most : PRIVATE_BLOCK; /* with unit store one, but of many rows */
    const size_t block = together * p->most_rows < rows ? together * p->most_rows : rows;

    w->drawn = ft_calloc(most + 1, sizeof *w->drawn);
    w->x = ft_calloc(block + 1, g->in.data->features * sizeof *w->x);
    w->y = ft_calloc(block + 1, sizeof *w->y);
    w->first = ft_calloc(PRIVATE_BLOCK + 1, sizeof *w->first);
    w->vector = ft_calloc(g->vector, sizeof *w->vector);
    w->nearest = ft_model_is_clusters(g->in.spec) ? ft_calloc(block + 1, sizeof *w->nearest) : NULL;
    w->z = ft_calloc(g->vector, sizeof *w->z);
    w->words = ft_calloc(p->codec.words, sizeof *w->words);
    w->total = ft_calloc(p->codec.words, sizeof *w->total);
    if (w->drawn == NULL || w->x == NULL || w->y == NULL || w->first == NULL || w->vector == NULL ||
        w->z == NULL || w->words == NULL || w->total == NULL ||
        (ft_model_is_clusters(g->in.spec) && w->nearest == NULL))
        return FT_ERR_NOMEM;
    return p->by_gradient ? ft_per_customer_open(g->in.spec, &w->gradients, err) : FT_OK;
}

enum ft_status
sim_private_open(struct ft_sim_engine *g, struct ft_error *err)
{
    struct sim_private *p = ft_calloc(1, sizeof *p);
    enum ft_status st;

    g->private = p;
    if (p == NULL)
        return FT_ERR_NOMEM;
    if (g->in.e->privacy.unit == FT_SIM_UNIT_CUSTOMER && g->in.data->customer == NULL)
        return ft_fail(err, FT_ERR_CONFIG,
                       "privacy.unit: customer, but nothing says whose rows are whose; expected data.customer with source "
                       "csv, source task, or row where each row is a customer");
    if (g->in.e->privacy.unit == FT_SIM_UNIT_CUSTOMER && g->in.data->customer_clients > g->in.e->privacy.m_stores)
        return ft_fail(err, FT_ERR_CONFIG,
                       "privacy.m_stores: %u, but there is a customer with rows at %u clients, expected that number or more, or "
                       "a partition that keeps customers whole (iid, quantity)",
                       g->in.e->privacy.m_stores, g->in.data->customer_clients);
    p->central = g->in.e->privacy.central;
    p->by_gradient = !ft_model_is_clusters(g->in.spec) && g->algorithm->kind == FT_SIM_FEDSGD && g->in.spec->kind != FT_MODEL_CNN;
    p->sum = ft_calloc(g->vector, sizeof *p->sum);
    if (p->sum == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    FT_TRY(index_customers(g, p));
    FT_TRY(find_parameters(g, p, err));
    for (unsigned i = 0; i < sim_pool_threads(g->pool); i++)
        FT_TRY(open_worker(g, p, &p->workers[i], err));
out:
    return st;
}

void
sim_private_close(struct ft_sim_engine *g)
{
    struct sim_private *p = g->private;
    if (p == NULL)
        return;
    for (unsigned i = 0; i < SIM_THREADS_MAX; i++) {
        struct private_worker *w = &p->workers[i];
        ft_per_customer_close(w->gradients);
        ft_free(w->drawn);
        ft_free(w->x);
        ft_free(w->y);
        ft_free(w->first);
        ft_free(w->nearest);
        ft_free(w->vector);
        ft_free(w->z);
        ft_free(w->words);
        ft_free(w->total);
    }
    ft_free(p->sum);
    ft_free(p->order);
    ft_free(p->first);
    ft_free(p->of_client);
    ft_free(p->declared);
    ft_free(p);
    g->private = NULL;
}

uint64_t
sim_private_bytes(const struct ft_sim_engine *g)
{
    return g->private->codec.words * sizeof(uint64_t);
}

enum ft_status
ft_sim_engine_privacy(const struct ft_sim_engine *g, struct ft_sim_privacy *out)
{
    const struct sim_private *p = g->private;
    const struct ft_privacy_params *k;
    enum ft_status st;

    *out = (struct ft_sim_privacy){ 0 };
    if (p == NULL)
        return FT_OK;
    k = &p->params;
    /* When a run ends is read off what its rounds told: it has paid for all it might have had. */
    const uint64_t steps = g->in.e->stop.metric != 0 ? k->steps : g->rounds;
    const struct ft_account_event event = { p->q, ft_privacy_z_eff(k->delta_int_sq, k->t_min, k->sigma_share),
                                            steps, g->in.e->privacy.m_stores };
    struct ft_account_cost cost;
    FT_TRY(ft_account_cost(&event, 1, g->in.e->privacy.delta, &cost));
    *out = (struct ft_sim_privacy){ .on = true,
                                    .epsilon_rdp = cost.rdp,
                                    .order = cost.rdp_order,
                                    .epsilon_pld = cost.pld,
                                    .noise_multiplier = event.z,
                                    .q = p->q,
                                    .steps = steps,
                                    .customers = p->customers,
                                    .declared = declared_all(g, p),
                                    .t_min = k->t_min,
                                    .sigma_share = k->sigma_share,
                                    .scale = k->scale,
                                    .lane_bits = p->codec.lane_bits };
out:
    return st;
}
