#include "common/model/pooled.h"
#include "common/base/alloc.h"
#include "common/base/real.h"
#include "common/model/model_internal.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

#define STEPS_MAX   200
#define LINE_MAX    60
#define BLOCK_ROWS  256
#define CONVERGED   1e-10 /* L2 norm of the gradient, features standardised */
#define NOTHING     1e-14 /* relative decrease that double precision cannot tell from none */
#define HIDDEN      1e-10 /* relative decrease that the rounding of long sums may hide */

/* One Newton problem: d = features + 1 unknowns, the last the bias. */
struct newton {
    const struct ft_dataset *data;
    enum model_head head;
    size_t features, d;
    double weight_decay;
    double *grad;    /* (d) */
    double *hessian; /* (d, d), lower triangle */
    double *factor;  /* (d, d) */
    double *step;    /* (d) */
    double *trial;   /* (d) */
    double *block;   /* (BLOCK_ROWS, d): rows in double with a one at the end, then scaled */
};

static double
row_score(const struct newton *p, const double *w, size_t row)
{
    const float *x = p->data->x + row * p->features;
    double z = w[p->features];
    for (size_t j = 0; j < p->features; j++)
        z += (double)x[j] * w[j];
    return z;
}

static double
row_loss(enum model_head head, double z, double y)
{
    if (head == HEAD_LINEAR)
        return 0.5 * (z - y) * (z - y);
    if (head == HEAD_POISSON)
        return ft_real_exp(z) - y * z;
    return (z > 0 ? z : 0) + ft_real_log1p(ft_real_exp(-fabs(z))) - y * z;
}

/* First and second derivative of the loss by z. */
static void
row_slopes(enum model_head head, double z, double y, double *first, double *second)
{
    if (head == HEAD_LINEAR) {
        *first = z - y;
        *second = 1;
    } else if (head == HEAD_POISSON) {
        *second = ft_real_exp(z);
        *first = *second - y;
    } else {
        const double e = ft_real_exp(-fabs(z)), p = (z >= 0 ? 1 : e) / (1 + e);
        *first = p - y;
        *second = e / ((1 + e) * (1 + e));
    }
}

static double
penalty(const struct newton *p, const double *w)
{
    double sum = 0;
    for (size_t j = 0; j < p->features; j++)
        sum += w[j] * w[j];
    return 0.5 * p->weight_decay * sum;
}

static double
newton_objective(const struct newton *p, const double *w)
{
    double sum = 0;
    for (size_t i = 0; i < p->data->rows; i++)
        sum += row_loss(p->head, row_score(p, w, i), (double)p->data->y[i]);
    return sum / (double)p->data->rows + penalty(p, w);
}

/* Gradient and the Hessian's lower triangle at w; returns the objective. */
static double
newton_derive(struct newton *p, const double *w)
{
    const double scale = 1.0 / (double)p->data->rows;
    const int d = (int)p->d;
    double sum = 0;

    memset(p->grad, 0, p->d * sizeof *p->grad);
    memset(p->hessian, 0, p->d * p->d * sizeof *p->hessian);
    for (size_t from = 0, n; from < p->data->rows; from += n) {
        n = p->data->rows - from < BLOCK_ROWS ? p->data->rows - from : BLOCK_ROWS;
        for (size_t i = 0; i < n; i++) {
            const float *x = p->data->x + (from + i) * p->features;
            const double y = (double)p->data->y[from + i], z = row_score(p, w, from + i);
            double *out = p->block + i * p->d, first, second, root;
            row_slopes(p->head, z, y, &first, &second);
            sum += row_loss(p->head, z, y);
            root = sqrt(second * scale);
            for (size_t j = 0; j < p->features; j++) {
                p->grad[j] += first * scale * (double)x[j];
                out[j] = root * (double)x[j];
            }
            p->grad[p->features] += first * scale;
            out[p->features] = root;
        }
        cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, d, (int)n, 1.0, p->block, d, 1.0, p->hessian, d);
    }
    for (size_t j = 0; j < p->features; j++) {
        p->grad[j] += p->weight_decay * w[j];
        p->hessian[j * p->d + j] += p->weight_decay;
    }
    return sum * scale + penalty(p, w);
}

/* factor = Cholesky of hessian + damping * I; false when that is not positive definite. */
static bool
cholesky(struct newton *p, double damping)
{
    const size_t d = p->d;
    double *a = p->factor;

    memcpy(a, p->hessian, d * d * sizeof *a);
    for (size_t i = 0; i < d; i++) {
        a[i * d + i] += damping;
        for (size_t j = 0; j <= i; j++) {
            const double v = a[i * d + j] - cblas_ddot((int)j, a + i * d, 1, a + j * d, 1);
            if (i != j)
                a[i * d + j] = v / a[j * d + j];
            else if (v > 0 && isfinite(v))
                a[i * d + i] = sqrt(v);
            else
                return false;
        }
    }
    return true;
}

/* step = -(hessian + damping)^-1 grad, the damping raised until the matrix is positive definite. */
static bool
newton_step(struct newton *p)
{
    double damping = 0, trace = 0;

    for (size_t i = 0; i < p->d; i++)
        trace += p->hessian[i * p->d + i];
    while (!cholesky(p, damping)) {
        damping = damping > 0 ? damping * 10 : 1e-12 * trace / (double)p->d;
        if (!(damping < 1e12) || !(damping > 0))
            return false;
    }
    for (size_t i = 0; i < p->d; i++)
        p->step[i] = -p->grad[i];
    cblas_dtrsv(CblasRowMajor, CblasLower, CblasNoTrans, CblasNonUnit, (int)p->d, p->factor, (int)p->d, p->step, 1);
    cblas_dtrsv(CblasRowMajor, CblasLower, CblasTrans, CblasNonUnit, (int)p->d, p->factor, (int)p->d, p->step, 1);
    return true;
}

/* Start: weights zero, the bias at the optimum of a constant model, which keeps Poisson's e^z in range. */
static double
constant_bias(const struct newton *p)
{
    double mean = 0;
    for (size_t i = 0; i < p->data->rows; i++)
        mean += (double)p->data->y[i];
    mean /= (double)p->data->rows;
    if (p->head == HEAD_LINEAR)
        return mean;
    if (p->head == HEAD_POISSON)
        return mean > 0 ? ft_real_log(mean) : -20;
    return mean > 0 && mean < 1 ? ft_real_log(mean / (1 - mean)) : 0;
}

static enum ft_status
newton_solve(struct newton *p, double *w, struct ft_pooled_result *result)
{
    memset(w, 0, p->d * sizeof *w);
    w[p->features] = constant_bias(p);
    for (uint32_t steps = 0; steps < STEPS_MAX; steps++) {
        const double objective = newton_derive(p, w), norm = cblas_dnrm2((int)p->d, p->grad, 1);
        double slope, reached, reach = 1;
        int tries = 0;

        if (!isfinite(objective) || !isfinite(norm))
            return FT_ERR_NONFINITE;
        *result = (struct ft_pooled_result){ objective, norm, steps };
        if (norm <= CONVERGED)
            return FT_OK;
        if (!newton_step(p))
            return FT_ERR_NONFINITE;
        slope = cblas_ddot((int)p->d, p->grad, 1, p->step, 1);
        if (-slope <= NOTHING * (1 + fabs(objective))) /* twice what the step could still gain */
            return FT_OK;
        for (; tries < LINE_MAX; tries++, reach *= 0.5) { /* Armijo's rule; a NaN objective fails it */
            for (size_t j = 0; j < p->d; j++)
                p->trial[j] = w[j] + reach * p->step[j];
            reached = newton_objective(p, p->trial);
            if (reached < objective && reached <= objective + 1e-4 * reach * slope)
                break;
        }
        if (tries == LINE_MAX) /* the sums' own rounding hides what is left */
            return -slope <= HIDDEN * (1 + fabs(objective)) ? FT_OK : FT_ERR_LATER;
        memcpy(w, p->trial, p->d * sizeof *w);
    }
    return FT_ERR_LATER;
}

enum ft_status
ft_pooled_optimum(const struct ft_model_spec *spec, const struct ft_dataset *data, double weight_decay,
                  double *params, struct ft_pooled_result *result)
{
    enum ft_status st;
    struct newton p = { .data = data, .weight_decay = weight_decay };
    struct model_shape shape;

    FT_TRY(ft_model_spec_check(spec, NULL));
    model_shape_of(spec, &shape);
    if (ft_model_is_network(spec) || spec->kind == FT_MODEL_SOFTMAX || data->rows == 0 || !(weight_decay >= 0))
        return FT_ERR_ARGUMENT;
    p.head = shape.head;
    p.features = spec->features;
    p.d = p.features + 1;
    p.grad = ft_calloc(p.d, sizeof *p.grad);
    p.hessian = ft_calloc(p.d * p.d, sizeof *p.hessian);
    p.factor = ft_calloc(p.d * p.d, sizeof *p.factor);
    p.step = ft_calloc(p.d, sizeof *p.step);
    p.trial = ft_calloc(p.d, sizeof *p.trial);
    p.block = ft_calloc(BLOCK_ROWS * p.d, sizeof *p.block);
    if (p.grad == NULL || p.hessian == NULL || p.factor == NULL || p.step == NULL || p.trial == NULL ||
        p.block == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    FT_TRY(newton_solve(&p, params, result));
out:
    ft_free(p.grad);
    ft_free(p.hessian);
    ft_free(p.factor);
    ft_free(p.step);
    ft_free(p.trial);
    ft_free(p.block);
    return st;
}

enum ft_status
ft_pooled_sgd(const struct ft_model_spec *spec, const struct ft_dataset *data, const struct ft_train_config *config,
              uint32_t epochs, const struct ft_env *env, float *params, struct ft_pooled_result *result)
{
    enum ft_status st;
    struct ft_trainer *t = NULL;
    struct ft_train_config one = *config;
    float *delta = NULL;
    const uint64_t parameters = ft_model_parameters(spec);

    one.local_epochs = 1;
    delta = ft_calloc(parameters, sizeof *delta);
    if (delta == NULL)
        return FT_ERR_NOMEM;
    FT_TRY(ft_trainer_open(spec, &one, data->rows, &t, NULL));
    for (uint32_t epoch = 0; epoch < epochs; epoch++) {
        const double rate = 0.5 * config->learning_rate * (1 + ft_real_cos_turn(0.5 * epoch / epochs));
        ft_trainer_set_rate(t, rate);
        FT_TRY(ft_train_local(t, data, env, params, delta));
        for (uint64_t i = 0; i < parameters; i++)
            params[i] += delta[i];
    }
    FT_TRY(ft_model_loss(ft_trainer_model(t), params, data, &result->objective));
    result->objective += ft_model_penalty(spec, params, config->weight_decay);
    result->gradient_norm = 0;
    result->steps = epochs;
out:
    ft_trainer_close(t);
    ft_free(delta);
    return st;
}
