#include "aggregator/simulate/partition/partition.h"
#include "aggregator/simulate/partition/draw.h"
#include "common/base/alloc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TRIES 200

/* owner[i] of each unit that is dealt out, a train row or a customer with all rows; everything else follows from it. */
struct work {
    const struct ft_sim_partition_config *c;
    struct ft_sim_data *data;
    uint32_t clients;
    uint64_t units;
    bool whole; /* customers */
    uint32_t *owner;
    uint64_t *order; /* units as they are dealt out */
    struct sim_draw draw;
    struct ft_error *err;
};

static void
shuffle(struct work *w, uint64_t *list, uint64_t count)
{
    for (uint64_t i = count; i > 1; i--) {
        const uint64_t j = sim_draw_below(&w->draw, i), swap = list[i - 1];
        list[i - 1] = list[j];
        list[j] = swap;
    }
}

static uint32_t
client_of(const struct work *w, uint64_t row)
{
    return w->owner[w->whole ? w->data->customer[row] : row];
}

static void
deal_iid(struct work *w)
{
    shuffle(w, w->order, w->units);
    for (uint64_t i = 0; i < w->units; i++)
        w->owner[w->order[i]] = (uint32_t)(i * w->clients / w->units);
}

static uint32_t
class_of(const struct ft_sim_data *data, uint64_t row)
{
    return data->classes > 0 ? (uint32_t)data->train.y[row] : 0;
}

/* Rows by label, shuffled within each: counting sort. starts has classes + 1 places. */
static enum ft_status
sort_by_label(struct work *w, uint64_t **starts)
{
    const uint64_t rows = w->data->train.rows;
    const uint32_t classes = w->data->classes > 0 ? w->data->classes : 1;
    uint64_t *sorted = ft_calloc(rows, sizeof *sorted), *at = ft_calloc((size_t)classes + 1, sizeof *at);
    *starts = ft_calloc((size_t)classes + 1, sizeof **starts);
    if (sorted == NULL || at == NULL || *starts == NULL) {
        ft_free(sorted);
        ft_free(at);
        return FT_ERR_NOMEM;
    }
    shuffle(w, w->order, rows);
    for (uint64_t i = 0; i < rows; i++)
        (*starts)[class_of(w->data, i) + 1]++;
    for (uint32_t k = 0; k < classes; k++)
        (*starts)[k + 1] += (*starts)[k];
    memcpy(at, *starts, (classes + 1) * sizeof *at);
    for (uint64_t i = 0; i < rows; i++)
        sorted[at[class_of(w->data, w->order[i])]++] = w->order[i];
    ft_free(w->order);
    ft_free(at);
    w->order = sorted;
    return FT_OK;
}

static enum ft_status
deal_shards(struct work *w)
{
    const uint64_t rows = w->data->train.rows, shards = (uint64_t)w->clients * w->c->shards_per_client;
    uint64_t *starts = NULL, *shard = ft_calloc(shards, sizeof *shard);
    enum ft_status st = shard != NULL ? sort_by_label(w, &starts) : FT_ERR_NOMEM;
    for (uint64_t i = 0; st == FT_OK && i < shards; i++)
        shard[i] = i;
    if (st == FT_OK)
        shuffle(w, shard, shards);
    for (uint64_t s = 0; st == FT_OK && s < shards; s++)
        for (uint64_t i = rows * shard[s] / shards; i < rows * (shard[s] + 1) / shards; i++)
            w->owner[w->order[i]] = (uint32_t)(s / w->c->shards_per_client);
    ft_free(starts);
    ft_free(shard);
    return st;
}

/* Give order[from .. to) to clients by shares that add up to one. */
static void
deal_by_shares(struct work *w, const double *shares, uint64_t from, uint64_t to)
{
    double sum = 0;
    uint64_t at = from;
    for (uint32_t k = 0; k < w->clients; k++) {
        sum += shares[k];
        const uint64_t end =
            k + 1 == w->clients ? to : from + (uint64_t)llround(fmin(sum, 1) * (double)(to - from));
        for (; at < end; at++)
            w->owner[w->order[at]] = k;
    }
}

static uint64_t
fewest(const struct work *w, uint64_t *counts)
{
    uint64_t least = UINT64_MAX;
    memset(counts, 0, w->clients * sizeof *counts);
    for (uint64_t i = 0; i < w->data->train.rows; i++)
        counts[client_of(w, i)]++;
    for (uint32_t k = 0; k < w->clients; k++)
        if (counts[k] < least)
            least = counts[k];
    return least;
}

static enum ft_status
deal_dirichlet(struct work *w, bool by_class)
{
    const uint32_t groups = by_class && w->data->classes > 0 ? w->data->classes : 1;
    double *shares = ft_calloc(w->clients, sizeof *shares);
    uint64_t *starts = NULL, *counts = ft_calloc(w->clients, sizeof *counts), least = 0;
    enum ft_status st = shares != NULL && counts != NULL ? FT_OK : FT_ERR_NOMEM;
    if (st == FT_OK && !w->whole)
        st = sort_by_label(w, &starts);
    else if (st == FT_OK && (starts = ft_calloc(2, sizeof *starts)) == NULL)
        st = FT_ERR_NOMEM;
    if (st == FT_OK && !by_class) {
        shuffle(w, w->order, w->units);
        starts[1] = w->units; /* one group of all */
    }
    for (int tried = 0; st == FT_OK; tried++) {
        for (uint32_t g = 0; g < groups; g++) {
            sim_draw_dirichlet(&w->draw, w->c->alpha, w->clients, shares);
            deal_by_shares(w, shares, starts[g], starts[g + 1]);
        }
        least = fewest(w, counts);
        if (least >= w->c->rows_least)
            break;
        if (tried == TRIES)
            st = ft_fail(w->err, FT_ERR_CONFIG,
                         "partition: after %d draws a client still has %llu rows, expected rows_least %u; use fewer clients or "
                         "a larger alpha",
                         TRIES, (unsigned long long)least, w->c->rows_least);
    }
    ft_free(shares);
    ft_free(starts);
    ft_free(counts);
    return st;
}

static enum ft_status
check(struct work *w)
{
    const struct ft_sim_partition_config *c = w->c;
    const uint64_t rows = w->data->train.rows;
    if (c->kind == FT_SIM_COLUMN)
        return w->data->owner != NULL
                   ? FT_OK
                   : ft_fail(w->err, FT_ERR_CONFIG,
                             "partition: column needs rows that belong to somebody: data.by, or data.source task");
    if (c->clients < 1 || c->clients > w->units)
        return ft_fail(w->err, FT_ERR_CONFIG, "partition: %u clients of %llu %s, expected 1 to that number", c->clients,
                       (unsigned long long)w->units, w->whole ? "customers" : "rows");
    if (c->kind == FT_SIM_SHARDS &&
        (c->shards_per_client < 1 || (uint64_t)c->clients * c->shards_per_client > rows))
        return ft_fail(w->err, FT_ERR_CONFIG, "partition: %llu shards of %llu rows, expected 1 a client to that number",
                       (unsigned long long)c->clients * c->shards_per_client, (unsigned long long)rows);
    if ((c->kind == FT_SIM_DIRICHLET || c->kind == FT_SIM_QUANTITY) && !(c->alpha > 0))
        return ft_fail(w->err, FT_ERR_CONFIG, "partition: alpha is %g, expected above 0", c->alpha);
    if (c->kind == FT_SIM_DIRICHLET && w->data->classes == 0)
        return ft_fail(w->err, FT_ERR_CONFIG, "partition: dirichlet needs classes, and the labels are numbers");
    return FT_OK;
}

static enum ft_status
deal(struct work *w)
{
    switch (w->c->kind) {
    case FT_SIM_COLUMN:
        memcpy(w->owner, w->data->owner, w->data->train.rows * sizeof *w->owner);
        return FT_OK;
    case FT_SIM_IID:
        deal_iid(w);
        return FT_OK;
    case FT_SIM_SHARDS:
        return deal_shards(w);
    case FT_SIM_DIRICHLET:
        return deal_dirichlet(w, true);
    case FT_SIM_QUANTITY:
        return deal_dirichlet(w, false);
    }
    return FT_ERR_ARGUMENT;
}

static void
swap_rows(struct ft_sim_data *d, float *room, uint64_t i, uint64_t j)
{
    float *a = d->train.x + i * d->features, *b = d->train.x + j * d->features;
    const float y = d->train.y[i];
    const size_t size = d->features * sizeof *room;
    memcpy(room, a, size);
    memcpy(a, b, size);
    memcpy(b, room, size);
    d->train.y[i] = d->train.y[j];
    d->train.y[j] = y;
    if (d->customer != NULL) {
        const uint32_t who = d->customer[i];
        d->customer[i] = d->customer[j];
        d->customer[j] = who;
    }
}

/* Rows in the clients' order; within a client as they were. In place: the rows are most of the memory there is. */
static enum ft_status
reorder(struct work *w, uint64_t *offsets)
{
    const uint64_t rows = w->data->train.rows;
    uint64_t *at = ft_calloc((size_t)w->clients + 1, sizeof *at), *to = ft_calloc(rows, sizeof *to);
    float *room = ft_calloc(w->data->features, sizeof *room);
    enum ft_status st = at != NULL && to != NULL && room != NULL ? FT_OK : FT_ERR_NOMEM;

    if (st != FT_OK)
        goto out;
    for (uint64_t i = 0; i < rows; i++)
        offsets[client_of(w, i) + 1]++;
    for (uint32_t k = 0; k < w->clients; k++)
        offsets[k + 1] += offsets[k];
    memcpy(at, offsets, ((size_t)w->clients + 1) * sizeof *at);
    for (uint64_t i = 0; i < rows; i++)
        to[i] = at[client_of(w, i)]++;
    for (uint64_t i = 0; i < rows; i++)
        while (to[i] != i) { /* each swap brings one row home */
            const uint64_t home = to[i];
            swap_rows(w->data, room, i, home);
            to[i] = to[home];
            to[home] = home;
        }
    ft_free(w->data->owner); /* it speaks of the former order */
    w->data->owner = NULL;
out:
    ft_free(at);
    ft_free(to);
    ft_free(room);
    return st;
}

/* Customers from 0 within each client, as they come; and the most clients that one of them is at. */
static enum ft_status
number_customers(struct ft_sim_data *d, const struct ft_sim_clients *clients)
{
    uint32_t *seen = ft_calloc(d->customers, sizeof *seen), *number = ft_calloc(d->customers, sizeof *number),
             *times = ft_calloc(d->customers, sizeof *times);
    const enum ft_status st = seen != NULL && number != NULL && times != NULL ? FT_OK : FT_ERR_NOMEM;

    for (uint32_t k = 0; st == FT_OK && k < clients->count; k++) {
        uint32_t own = 0;
        for (uint64_t i = clients->offsets[k]; i < clients->offsets[k + 1]; i++) {
            const uint32_t who = d->customer[i];
            if (seen[who] != k + 1) {
                seen[who] = k + 1;
                number[who] = own++;
                if (++times[who] > d->customer_clients)
                    d->customer_clients = times[who];
            }
            d->customer[i] = number[who];
        }
    }
    ft_free(seen);
    ft_free(number);
    ft_free(times);
    return st;
}

enum ft_status
ft_sim_partition(const struct ft_sim_partition_config *config, uint64_t seed, struct ft_sim_data *data,
                 struct ft_sim_clients *out, struct ft_error *err)
{
    struct work w = { .c = config, .data = data, .err = err };
    enum ft_status st;

    *out = (struct ft_sim_clients){ 0 };
    sim_draw_init(&w.draw, seed, UINT64_C(0x7061727469)); /* "parti" */
    w.whole = data->customer != NULL && (config->kind == FT_SIM_IID || config->kind == FT_SIM_QUANTITY);
    w.units = w.whole ? data->customers : data->train.rows;
    FT_TRY(check(&w));
    w.clients = config->kind == FT_SIM_COLUMN ? data->owners : config->clients;
    w.owner = ft_calloc(w.units, sizeof *w.owner);
    w.order = ft_calloc(w.units, sizeof *w.order);
    out->offsets = ft_calloc((size_t)w.clients + 1, sizeof *out->offsets);
    if (w.owner == NULL || w.order == NULL || out->offsets == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    for (uint64_t i = 0; i < w.units; i++)
        w.order[i] = i;
    FT_TRY(deal(&w));
    FT_TRY(reorder(&w, out->offsets));
    out->count = w.clients;
    if (data->customer != NULL)
        FT_TRY(number_customers(data, out));
out:
    ft_free(w.owner);
    ft_free(w.order);
    if (st != FT_OK)
        ft_sim_clients_clear(out);
    return st;
}

void
ft_sim_clients_clear(struct ft_sim_clients *clients)
{
    ft_free(clients->offsets);
    *clients = (struct ft_sim_clients){ 0 };
}

static int
compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

enum ft_status
ft_sim_describe(const struct ft_sim_data *data, const struct ft_sim_clients *clients, struct ft_sim_spread *out)
{
    const uint32_t classes = data->classes;
    uint64_t *sizes = ft_calloc(clients->count, sizeof *sizes);
    double *all = ft_calloc((size_t)classes + 1, sizeof *all), *own = ft_calloc((size_t)classes + 1, sizeof *own);
    double distance = 0, different = 0;
    uint32_t counted = 0;
    enum ft_status st = FT_ERR_NOMEM;

    *out = (struct ft_sim_spread){ .classes_mean = NAN, .label_distance = NAN };
    if (sizes == NULL || all == NULL || own == NULL)
        goto out;
    st = FT_OK;
    for (uint64_t i = 0; classes > 0 && i < data->train.rows; i++)
        all[class_of(data, i)] += 1.0 / (double)data->train.rows;
    for (uint32_t k = 0; k < clients->count; k++) {
        sizes[k] = clients->offsets[k + 1] - clients->offsets[k];
        if (classes == 0 || sizes[k] == 0)
            continue;
        memset(own, 0, classes * sizeof *own);
        for (uint64_t i = clients->offsets[k]; i < clients->offsets[k + 1]; i++)
            own[class_of(data, i)] += 1.0 / (double)sizes[k];
        for (uint32_t c = 0; c < classes; c++) {
            distance += fabs(own[c] - all[c]) / 2;
            different += own[c] > 0;
        }
        counted++;
    }
    if (counted > 0) {
        out->classes_mean = different / counted;
        out->label_distance = distance / counted;
    }
    qsort(sizes, clients->count, sizeof *sizes, compare);
    out->rows_least = sizes[0];
    out->rows_median = sizes[clients->count / 2];
    out->rows_most = sizes[clients->count - 1];
out:
    ft_free(sizes);
    ft_free(all);
    ft_free(own);
    return st;
}
