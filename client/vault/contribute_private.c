/*
 * A contribution with noise (privacy-accounting.md, section 3): noise first, then customers drawn in secret,
 * each customer's vector through the encoder's gate. What a vector holds in each stage is in
 * common/plan/privacy_plan.h.
 *
 * Invariants
 *   1. A customer's vector depends on that customer's rows, the model and the task only. A vector that cannot
 * be computed counts as zero: no error, size or message tells anything about the rows.
 *   2. A shop without rows, or one whose coins drew nobody, makes a contribution like any other.
 *   3. With unit store the shop is the one customer, of all its rows and in every round; without rows it is none, so
 * that it adds exactly zero to every coordinate, counts and indicator too.
 *   4. The rows stay raw: those drawn are standardised in a copy, which is wiped.
 */
#include "client/vault/contribute_internal.h"

#include "common/base/log.h"
#include "common/privacy/sampler.h"

#include <math.h>
#include <sodium.h>
#include <string.h>

#define BLOCK_ROWS      2048 /* rows that are looked at together; a customer's rows are never parted */
#define BLOCK_CUSTOMERS 512

/* The split at hand, and where its vectors go. */
struct pass {
    struct ft_contributor *c;
    const struct ft_work *work;
    const struct ft_bounds *bounds;
    const float *x, *y;
    size_t rows, customers, most_rows; /* most_rows: of one customer */
    uint32_t *first, *order, *drawn;
    struct ft_encoder *encoder;
    struct ft_measure_plan measures; /* of a statistics task */
    struct ft_error *err;
};

/* A block of drawn customers, standardised but for statistics. */
struct block {
    struct ft_customer_rows rows;
    uint64_t number; /* of the first, in this contribution */
};

/* ---- one customer's vector ---- */

/* Mean of (w, w^2, 1) over the rows, w = 2 u - 1, scaled to length 1 at most. */
static void
statistics_vector(const struct pass *p, const float *x, size_t rows, double *sums)
{
    const uint32_t n = p->work->task->feature_count;
    const double unit = 1 / (sqrt(2.0 * n + 1) * (double)rows);

    for (size_t r = 0; r < rows; r++)
        for (uint32_t j = 0; j < n; j++) {
            const double u =
                ((double)x[r * n + j] - p->bounds[j].min) / (p->bounds[j].max - p->bounds[j].min);
            const double w = 2 * (u < 0 ? 0 : u > 1 ? 1 : u) - 1;
            sums[j] += w * unit;
            sums[n + j] += w * w * unit;
        }
    sums[2 * n] = unit * (double)rows;
}

static uint32_t
bin_of(float z)
{
    const double at = FT_PRIVATE_BINS / (1 + exp(-(double)z / 2));
    return !(at >= 1) ? 0 /* a NaN too */ : at >= FT_PRIVATE_BINS ? FT_PRIVATE_BINS - 1 : (uint32_t)at;
}

static bool
is_right(const struct ft_model_spec *spec, const float *z, float y)
{
    uint32_t best = 0;
    if (ft_model_is_regression(spec))
        return false;
    if (ft_model_is_binary(spec))
        return (z[0] > 0) == (y > 0.5f);
    for (uint32_t k = 1; k < ft_model_outputs(spec); k++)
        best = z[k] > z[best] ? k : best;
    return (float)best == y;
}

/* Mean of (1, right, loss/cap, bins of positives, bins of negatives) / 2 over the rows. */
static void
evaluation_vector(const struct pass *p, const float *z, const double *losses, const float *y, size_t rows,
                  double *sums)
{
    const struct ft_model_spec *spec = &p->work->plan->model;
    const double cap = p->work->plan->privacy.loss_cap, unit = 0.5 / (double)rows;
    const uint32_t outputs = ft_model_outputs(spec);

    for (size_t r = 0; r < rows; r++) {
        double loss = losses[r];
        if (spec->kind == FT_MODEL_POISSON && y[r] > 0) /* half the deviance: never negative */
            loss += (double)y[r] * log((double)y[r]) - (double)y[r];
        sums[0] += unit;
        sums[1] += is_right(spec, z + r * outputs, y[r]) ? unit : 0;
        sums[2] += unit * (loss < cap ? (loss > 0 ? loss : 0) : cap) / cap;
        if (ft_model_is_binary(spec))
            sums[3 + (y[r] > 0.5f ? 0u : FT_PRIVATE_BINS) + bin_of(z[r])] += unit;
    }
}

static void
add_sums(const struct pass *p, const double *sums, uint64_t number)
{
    float *v = p->c->people.vector.data;
    for (size_t i = 0; i < p->work->plan->privacy.coordinates; i++)
        v[i] = (float)sums[i];
    ft_encoder_add(p->encoder, number, v);
}

/* ---- a block in each stage ---- */

static size_t
rows_of(const struct block *b, size_t i)
{
    return b->rows.first[i + 1] - b->rows.first[i];
}

static enum ft_status
add_statistics(const struct pass *p, const struct block *b)
{
    const uint32_t n = p->work->task->feature_count;
    double *sums = p->c->people.sums.data;

    for (size_t i = 0; i < b->rows.customers; i++) {
        memset(sums, 0, p->work->plan->privacy.coordinates * sizeof *sums);
        statistics_vector(p, b->rows.x + (size_t)b->rows.first[i] * n, rows_of(b, i), sums);
        add_sums(p, sums, b->number + i);
    }
    return FT_OK;
}

static enum ft_status
add_measures(const struct pass *p, const struct block *b)
{
    const uint32_t n = p->work->task->feature_count;
    double *values = p->c->people.sums.data;
    float *v = p->c->people.vector.data;

    for (size_t i = 0; i < b->rows.customers; i++) {
        ft_measure_values(&p->measures, b->rows.x + (size_t)b->rows.first[i] * n, rows_of(b, i), values);
        ft_measure_vector(&p->measures, values, v);
        ft_encoder_add(p->encoder, b->number + i, v);
    }
    return FT_OK;
}

static enum ft_status
add_evaluation(const struct pass *p, const struct block *b)
{
    struct people *a = &p->c->people;
    const struct ft_model_spec *spec = &p->work->plan->model;
    const uint32_t n = p->work->task->feature_count, outputs = ft_model_outputs(spec);
    struct ft_model *m = ft_trainer_model(p->c->trainer);
    float *z = contributor_room(&a->z, p->most_rows * outputs, sizeof *z);
    double *losses = contributor_room(&a->losses, p->most_rows, sizeof *losses), *sums = a->sums.data;

    if (z == NULL || losses == NULL)
        return FT_ERR_NOMEM;
    for (size_t i = 0; i < b->rows.customers; i++) {
        const float *x = b->rows.x + (size_t)b->rows.first[i] * n, *y = b->rows.y + b->rows.first[i];
        const size_t rows = rows_of(b, i);
        memset(sums, 0, p->work->plan->privacy.coordinates * sizeof *sums);
        if (ft_model_scores(m, p->work->model->params, x, rows, z) == FT_OK) {
            ft_model_losses(m, z, y, rows, losses);
            evaluation_vector(p, z, losses, y, rows, sums);
        }
        add_sums(p, sums, b->number + i);
    }
    return FT_OK;
}

struct taking {
    struct ft_encoder *encoder;
    uint64_t number;
    size_t parameters;
};

static void
take_gradients(void *ctx, size_t first, const float *vectors, const double *lengths, size_t count)
{
    const struct taking *t = ctx;
    (void)lengths;
    ft_encoder_add_rows(t->encoder, t->number + first, vectors, count, t->parameters);
}

static enum ft_status
add_gradients(const struct pass *p, const struct block *b)
{
    struct taking taking = { p->encoder, b->number, p->work->plan->privacy.coordinates };
    ft_per_customer_gradients(p->c->gradients, p->work->model->params, &b->rows, take_gradients, &taking);
    return FT_OK;
}

static enum ft_status
add_deltas(const struct pass *p, const struct block *b)
{
    const uint32_t n = p->work->task->feature_count;
    const size_t parameters = p->work->plan->privacy.coordinates;
    float *v = p->c->people.vector.data;

    for (size_t i = 0; i < b->rows.customers; i++) {
        const struct ft_dataset own = { b->rows.x + (size_t)b->rows.first[i] * n,
                                        b->rows.y + b->rows.first[i], rows_of(b, i) };
        if (ft_train_local(p->c->trainer, &own, p->c->env, p->work->model->params, v) != FT_OK)
            memset(v, 0, parameters * sizeof *v);
        ft_encoder_add(p->encoder, b->number + i, v);
    }
    return FT_OK;
}

static enum ft_status
add_block(const struct pass *p, const struct block *b)
{
    if (ft_model_is_clusters(&p->work->plan->model) && p->work->plan->stage != FT_STAGE_STATISTICS)
        return contribute_cluster_customers(p->c, p->work, &b->rows, b->number, p->encoder);
    switch (p->work->plan->stage) {
    case FT_STAGE_STATISTICS:
        return p->work->task->kind == FT_TASK_STATISTICS ? add_measures(p, b) : add_statistics(p, b);
    case FT_STAGE_EVALUATE:
        return add_evaluation(p, b);
    default:
        return p->work->task->privacy.contribution == FT_CONTRIBUTION_DELTA ? add_deltas(p, b)
                                                                            : add_gradients(p, b);
    }
}

/* ---- rows by customer ---- */

/* Whose row a row is. */
static uint32_t
owner_of(const struct pass *p, const uint32_t *whose, size_t row)
{
    return whose != NULL ? whose[row] : p->work->task->unit == FT_UNIT_STORE ? 0 : (uint32_t)row;
}

/* `first` and `order` from whose row each row is; without `whose` every row is a person of its own, or all are the
 * shop's. */
static enum ft_status
index_rows(struct pass *p, const uint32_t *whose)
{
    struct people *a = &p->c->people;
    uint32_t *first = contributor_room(&a->first, p->customers + 1, sizeof *first);
    uint32_t *order = contributor_room(&a->order, p->rows, sizeof *order);

    if (first == NULL || order == NULL)
        return FT_ERR_NOMEM;
    memset(first, 0, (p->customers + 1) * sizeof *first);
    for (size_t r = 0; r < p->rows; r++)
        first[owner_of(p, whose, r) + 1]++;
    for (size_t i = 0; i < p->customers; i++) {
        p->most_rows = first[i + 1] > p->most_rows ? first[i + 1] : p->most_rows;
        first[i + 1] += first[i];
    }
    for (size_t r = 0; r < p->rows; r++) /* first[i] moves to first[i + 1] while i's rows are placed */
        order[first[owner_of(p, whose, r)]++] = (uint32_t)r;
    memmove(first + 1, first, p->customers * sizeof *first);
    first[0] = 0;
    p->first = first;
    p->order = order;
    return FT_OK;
}

static enum ft_status
choose_split(struct pass *p, const struct ft_examples *e)
{
    const bool test = p->work->plan->stage == FT_STAGE_EVALUATE;
    const enum ft_unit unit = p->work->task->unit;
    const bool by_customer = unit == FT_UNIT_CUSTOMER;
    const uint32_t *whose = !by_customer ? NULL : test ? e->customer_test : e->customer_train;

    p->x = test ? e->x_test : e->x_train;
    p->y = test ? e->y_test : e->y_train;
    p->rows = test ? e->rows_test : e->rows_train;
    p->customers = unit == FT_UNIT_STORE ? (p->rows > 0 ? 1 : 0)
                   : by_customer         ? (size_t)(test ? e->customers_test : e->customers_train)
                                         : p->rows;
    if (by_customer && whose == NULL)
        p->rows = p->customers = 0;
    return index_rows(p, whose);
}

/* Copy the rows of the drawn customers from number `from` on, as many as fit; returns how many customers. */
static size_t
gather(const struct pass *p, size_t from, size_t drawn_count, struct block *b)
{
    struct people *a = &p->c->people;
    const uint32_t n = p->work->task->feature_count;
    const struct ft_model_state *model = p->work->model;
    float *x = a->x.data, *y = a->y.data;
    uint32_t *first = a->block_first.data;
    size_t rows = 0, count = 0;

    first[0] = 0;
    while (from + count < drawn_count && count < BLOCK_CUSTOMERS) {
        const uint32_t who = p->drawn[from + count];
        const size_t own = p->first[who + 1] - p->first[who];
        if (count > 0 && rows + own > BLOCK_ROWS)
            break;
        for (size_t i = 0; i < own; i++) {
            const size_t row = p->order[p->first[who] + i];
            memcpy(x + (rows + i) * n, p->x + row * n, n * sizeof *x);
            y[rows + i] = p->y[row];
        }
        if (p->work->plan->stage != FT_STAGE_STATISTICS &&
            ft_standardise(x + rows * n, own, n, p->bounds, model->means, model->stds, x + rows * n, NULL) !=
                FT_OK)
            for (size_t i = 0; i < own * n; i++)
                x[rows * n + i] = NAN; /* the vector counts as zero */
        rows += own;
        first[++count] = (uint32_t)rows;
    }
    *b = (struct block){ { x, y, first, count }, from };
    return count;
}

static enum ft_status
make_rooms(struct pass *p)
{
    struct people *a = &p->c->people;
    const size_t coordinates = p->work->plan->privacy.coordinates, n = p->work->task->feature_count;
    const size_t block = BLOCK_ROWS + p->most_rows;

    p->drawn = contributor_room(&a->drawn, p->customers, sizeof *p->drawn);
    return p->drawn != NULL && contributor_room(&a->x, block, n * sizeof(float)) != NULL &&
                   contributor_room(&a->y, block, sizeof(float)) != NULL &&
                   contributor_room(&a->block_first, BLOCK_CUSTOMERS + 1, sizeof(uint32_t)) != NULL &&
                   contributor_room(&a->vector, coordinates, sizeof(float)) != NULL &&
                   contributor_room(&a->sums, coordinates, sizeof(double)) != NULL
               ? FT_OK
               : FT_ERR_NOMEM;
}

/* What the stage computes with, made once a task. */
static enum ft_status
make_tools(struct pass *p)
{
    struct ft_contributor *c = p->c;
    const struct ft_task *task = p->work->task;
    const enum ft_stage stage = p->work->plan->stage;

    if (task->kind == FT_TASK_STATISTICS)
        return ft_measure_plan_init(&p->measures, task);
    if (stage == FT_STAGE_STATISTICS)
        return FT_OK;
    if (stage == FT_STAGE_EVALUATE || task->privacy.contribution == FT_CONTRIBUTION_DELTA ||
        ft_model_is_clusters(&p->work->plan->model))
        return contributor_trainer(c, p->work, p->most_rows, p->err);
    if (c->gradients != NULL && memcmp(c->gradients_task, p->work->task_hash, 32) == 0)
        return FT_OK;
    ft_per_customer_close(c->gradients);
    c->gradients = NULL;
    memcpy(c->gradients_task, p->work->task_hash, 32);
    return ft_per_customer_open(&p->work->plan->model, &c->gradients, p->err);
}

/* Nothing of the rows, of who was drawn or of a vector is left. */
static void
wipe(struct people *a)
{
    struct room *const rooms[] = { &a->first, &a->order,  &a->drawn, &a->x,      &a->y,
                                   &a->sums,  &a->vector, &a->z,     &a->losses, &a->block_first };
    for (size_t i = 0; i < sizeof rooms / sizeof rooms[0]; i++)
        if (rooms[i]->data != NULL)
            sodium_memzero(rooms[i]->data, rooms[i]->size);
}

enum ft_status
contribute_private(struct ft_contributor *c, const struct ft_work *work, const struct ft_examples *e,
                   int64_t *z, struct ft_error *err)
{
    const struct ft_privacy_plan *plan = &work->plan->privacy;
    struct pass p = { .c = c, .work = work, .bounds = contributor_bounds(c, work->task), .err = err };
    const struct ft_encoder_config config = { .params = plan->params,
                                              .clip = plan->clip,
                                              .coordinates = plan->coordinates,
                                              .rotation_seed =
                                                  plan->rotated ? work->task->privacy.rotation_seed : NULL,
                                              .indicator = plan->indicator,
                                              .coordinate_max = work->plan->codec.quant_max };
    struct ft_noise *noise = NULL;
    enum ft_status st;

    FT_TRY(
        ft_noise_draw(c->env, plan->dim, plan->params.sigma_share, &noise)); /* before any row is looked at */
    FT_TRY(ft_encoder_open(&config, c->env, &noise, &p.encoder, err));
    if (p.bounds == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    FT_TRY(choose_split(&p, e));
    FT_TRY(make_rooms(&p));
    FT_TRY(make_tools(&p));
    const size_t drawn = ft_sample_customers(c->env, plan->params.q_num, p.customers, p.drawn);
    for (size_t from = 0; from < drawn;) {
        struct block block;
        from += gather(&p, from, drawn, &block);
        FT_TRY(add_block(&p, &block));
    }
    if (ft_encoder_faults(p.encoder) > 0) /* for the shop's own eyes: the machine computes wrongly */
        ft_log(FT_LOG_WARN, "contribution.gate_fault", "vectors=%llu", (unsigned long long)ft_encoder_faults(p.encoder));
    c->faults += ft_encoder_faults(p.encoder);
    FT_TRY(ft_encoder_finish(p.encoder, z));
out:
    ft_measure_plan_clear(&p.measures);
    ft_encoder_close(p.encoder);
    ft_noise_close(noise);
    wipe(&c->people);
    return st;
}

void
contribute_private_clear(struct ft_contributor *c)
{
    struct people *a = &c->people;
    struct room *const rooms[] = { &a->first,       &a->order,  &a->drawn, &a->x, &a->y,
                                   &a->block_first, &a->vector, &a->sums,  &a->z, &a->losses };
    for (size_t i = 0; i < sizeof rooms / sizeof rooms[0]; i++)
        contributor_room_clear(rooms[i]);
    ft_per_customer_close(c->gradients);
    c->gradients = NULL;
}
