/* Rows and their nearest centroids: what clients compute. The server's half is kmeans_step.c. */
#include "common/model/kmeans.h"
#include "common/model/model_internal.h"

#include <math.h>
#include <string.h>

#define NUMBER_SHARE 0.5 /* of a customer's clip, for the number */

static size_t
chunk_rows(const struct ft_model *m, size_t rows, size_t from)
{
    return rows - from < m->chunk ? rows - from : m->chunk;
}

static double
square_distance(const float *x, const float *c, uint32_t features)
{
    double sum = 0;
    for (uint32_t j = 0; j < features; j++) {
        const double d = (double)x[j] - (double)c[j];
        sum += d * d;
    }
    return sum;
}

void
ft_kmeans_assign(struct ft_model *m, const float *params, const float *x, size_t rows, uint32_t *nearest,
                 double *distances)
{
    const uint32_t features = m->spec.features, clusters = m->spec.classes;

    for (size_t from = 0, n; from < rows; from += n) {
        const float *z = m->act[0];
        n = chunk_rows(m, rows, from);
        model_forward(m, params, x + from * features, n);
        const bool good = floats_finite(z, n * clusters); /* nearly always: then no row is looked at again */
        for (size_t i = 0; i < n; i++, z += clusters)
            nearest[from + i] = good || floats_finite(z, clusters) ? head_nearest(z, clusters) : FT_KMEANS_NOWHERE;
    }
    for (size_t i = 0; distances != NULL && i < rows; i++)
        distances[i] =
            nearest[i] == FT_KMEANS_NOWHERE
                ? NAN
                : square_distance(x + i * features, params + (size_t)nearest[i] * features, features);
}

enum ft_status
ft_kmeans_sum(struct ft_model *m, const float *params, const float *x, size_t rows, double *block)
{
    const uint32_t features = m->spec.features;
    uint32_t nearest[FT_MODEL_CHUNK];
    enum ft_status st = FT_OK;

    for (size_t from = 0, n; st == FT_OK && from < rows; from += n) {
        n = chunk_rows(m, rows, from);
        ft_kmeans_assign(m, params, x + from * features, n, nearest, NULL);
        for (size_t i = 0; st == FT_OK && i < n; i++) {
            const float *row = x + (from + i) * features;
            if (nearest[i] == FT_KMEANS_NOWHERE) {
                st = FT_ERR_NONFINITE;
                break;
            }
            double *own = block + (size_t)nearest[i] * (features + 1);
            for (uint32_t j = 0; j < features; j++)
                own[j] += (double)row[j];
            own[features] += 1;
        }
    }
    explicit_bzero(nearest, sizeof nearest);
    return st;
}

void
ft_kmeans_customer(const struct ft_model_spec *spec, const float *params, const float *x,
                   const uint32_t *nearest, size_t rows, double clip, float *vector)
{
    const uint32_t features = spec->features;
    const size_t count = (size_t)spec->classes * (features + 1);
    const double number = NUMBER_SHARE * clip, reach = sqrt(1 - NUMBER_SHARE * NUMBER_SHARE) * clip;

    memset(vector, 0, count * sizeof *vector);
    for (size_t i = 0; i < rows; i++) {
        if (nearest[i] == FT_KMEANS_NOWHERE) {
            memset(vector, 0, count * sizeof *vector);
            return;
        }
        const float *row = x + i * features, *c = params + (size_t)nearest[i] * features;
        float *own = vector + (size_t)nearest[i] * (features + 1);
        const double length = sqrt(square_distance(row, c, features));
        const double scale = (length > reach ? reach / length : 1) / (double)rows;
        for (uint32_t j = 0; j < features; j++)
            own[j] += (float)(scale * ((double)row[j] - (double)c[j]));
        own[features] += (float)(number / (double)rows);
    }
}

void
ft_kmeans_from_customers(const struct ft_model_spec *spec, const float *params, double clip, double *block)
{
    for (uint32_t k = 0; k < spec->classes; k++) {
        double *own = block + (size_t)k * (spec->features + 1);
        const double number = own[spec->features] / (NUMBER_SHARE * clip);
        for (uint32_t j = 0; j < spec->features; j++)
            own[j] += number * (double)params[(size_t)k * spec->features + j];
        own[spec->features] = number;
    }
}

void
ft_kmeans_to_units(const struct ft_model_spec *spec, const struct ft_bounds *bounds, const double *means,
                   const double *stds, double *block)
{
    for (uint32_t k = 0; k < spec->classes; k++) {
        double *own = block + (size_t)k * (spec->features + 1);
        const double number = own[spec->features];
        for (uint32_t j = 0; j < spec->features; j++) {
            const double sum =
                (own[j] * stds[j] + number * (means[j] - bounds[j].min)) / (bounds[j].max - bounds[j].min);
            own[j] = sum < 0 ? 0 : sum > number ? number : sum; /* float32 rounded a row at its bound */
        }
    }
}

void
ft_kmeans_from_units(const struct ft_model_spec *spec, const struct ft_bounds *bounds, const double *means,
                     const double *stds, double *block)
{
    for (uint32_t k = 0; k < spec->classes; k++) {
        double *own = block + (size_t)k * (spec->features + 1);
        const double number = own[spec->features];
        for (uint32_t j = 0; j < spec->features; j++)
            own[j] =
                (own[j] * (bounds[j].max - bounds[j].min) + number * (bounds[j].min - means[j])) / stds[j];
    }
}
