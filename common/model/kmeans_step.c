/* Centroids: where they start, how they move. Everything here works on public numbers but ft_kmeans_pooled.
 */
#include "common/base/alloc.h"
#include "common/model/kmeans.h"
#include "common/model/model_internal.h"

#include <math.h>
#include <string.h>

#define PLACES    16   /* drawn for each centroid's start */
#define BESIDE    0.25 /* standard deviations in each feature, at most: where a small cluster is put */
#define STEP_SEED UINT64_C(0x6b6d65616e73) /* "kmeans" */

/* Even in (-1, 1), never 0. */
static double
even(uint64_t seed, uint64_t i)
{
    return ((double)(model_splitmix(seed, i) >> 40) + 0.5) * 0x1p-23 - 1;
}

/* Squared distance of a place to the nearest of the first `count` centroids. */
static double
apart(const struct ft_model_spec *spec, const float *params, uint32_t count, const float *place)
{
    double least = INFINITY;
    for (uint32_t k = 0; k < count; k++) {
        double sum = 0;
        for (uint32_t j = 0; j < spec->features; j++) {
            const double d = (double)params[(size_t)k * spec->features + j] - (double)place[j];
            sum += d * d;
        }
        least = sum < least ? sum : least;
    }
    return least;
}

/* Within a standard deviation of the mean in each feature, and apart: of some places drawn for each centroid
 * the one farthest from those before it (to the end that Su et al. 2016 pack spheres). */
void
model_kmeans_init(const struct ft_model_spec *spec, uint64_t seed, float *params)
{
    const uint32_t features = spec->features;

    for (uint32_t k = 0; k < spec->classes; k++) {
        float *place = params + (size_t)k * features;
        uint64_t best = 0;
        double widest = -1;
        for (uint64_t t = 0; t <= PLACES; t++) { /* the last time round: the best once more */
            const uint64_t from = ((uint64_t)k * PLACES + (t < PLACES ? t : best)) * features;
            for (uint32_t j = 0; j < features; j++)
                place[j] = (float)even(seed, from + j);
            const double own = t < PLACES ? apart(spec, params, k, place) : -1;
            if (own > widest) {
                widest = own;
                best = t;
            }
        }
    }
}

bool
ft_kmeans_reseeds(uint64_t version, uint64_t rounds)
{
    return 2 * (version + 1) <= rounds;
}

void
ft_kmeans_clamp(const struct ft_model_spec *spec, const struct ft_bounds *bounds, const double *means,
                const double *stds, float *params)
{
    for (uint32_t k = 0; k < spec->classes; k++)
        for (uint32_t j = 0; j < spec->features; j++) {
            float *c = &params[(size_t)k * spec->features + j];
            const double low = (bounds[j].min - means[j]) / stds[j],
                         high = (bounds[j].max - means[j]) / stds[j];
            if ((double)*c < low)
                *c = (float)low;
            else if ((double)*c > high)
                *c = (float)high;
        }
}

/* James and Stein's factor, its positive part, for a move of this length squared. In one or two dimensions
 * there is none that is always better; there the move must be longer than its noise. */
static double
shrink(double square, uint32_t features, double deviation)
{
    const double dims = features > 2 ? (double)features - 2 : 1;
    const double left = square > 0 ? 1 - dims * deviation * deviation / square : 0;
    return deviation > 0 ? fmax(0, left) : 1;
}

/* Put the small clusters beside the largest ones, each of which counts half from then on. */
static void
put_beside(const struct ft_model_spec *spec, const struct ft_kmeans_rules *rules, double *numbers,
           float *params)
{
    const uint32_t features = spec->features;

    for (uint32_t k = 0; k < spec->classes; k++) {
        uint32_t large = 0;
        if (numbers[k] >= 0)
            continue;
        for (uint32_t i = 1; i < spec->classes; i++)
            large = numbers[i] > numbers[large] ? i : large;
        if (!(numbers[large] > 0))
            return; /* all are small */
        numbers[large] /= 2;
        for (uint32_t j = 0; j < features; j++) {
            const uint64_t at = rules->version * spec->classes * features + (uint64_t)k * features + j;
            params[(size_t)k * features + j] = (float)((double)params[(size_t)large * features + j] +
                                                       BESIDE * even(rules->seed ^ STEP_SEED, at));
        }
        numbers[k] = 0;
    }
}

/* Where one centroid goes; its share of the square of the whole move. */
static double
move(const struct ft_model_spec *spec, const struct ft_kmeans_rules *rules, const double *own, float *c)
{
    const double number = own[spec->features];
    double square = 0;

    for (uint32_t j = 0; j < spec->features; j++) {
        const double d = own[j] / number - (double)c[j];
        square += d * d;
    }
    const double part = shrink(square, spec->features, rules->noise / number);
    for (uint32_t j = 0; j < spec->features; j++)
        c[j] = (float)((double)c[j] + part * (own[j] / number - (double)c[j]));
    return part * part * square;
}

enum ft_status
ft_kmeans_step(const struct ft_model_spec *spec, const struct ft_kmeans_rules *rules, const double *block,
               float *params, struct ft_kmeans_moved *moved)
{
    double numbers[FT_MODEL_CLUSTERS_MAX];
    struct ft_kmeans_moved own = { 0 };

    for (size_t i = 0; i < (size_t)spec->classes * (spec->features + 1); i++)
        if (!(fabs(block[i]) <= 1e30)) /* NaN too; what follows stays a float32 */
            return FT_ERR_NONFINITE;
    for (uint32_t k = 0; k < spec->classes; k++) {
        const double *sums = block + (size_t)k * (spec->features + 1);
        const double number = sums[spec->features];
        const bool small =
            !(number >= fmax(1, rules->least) - 1e-3); /* a count that floats rounded is still one */
        numbers[k] = small ? -1 : number;
        own.small += small;
        if (!small)
            own.length += move(spec, rules, sums, params + (size_t)k * spec->features);
    }
    if (rules->reseed && own.small > 0)
        put_beside(spec, rules, numbers, params);
    own.length = sqrt(own.length);
    if (moved != NULL)
        *moved = own;
    return FT_OK;
}

enum ft_status
ft_kmeans_pooled(struct ft_model *m, const float *x, size_t rows, uint64_t rounds, double least,
                 uint64_t seed, float *params)
{
    const struct ft_model_spec *spec = ft_model_shape(m);
    const size_t count = (size_t)spec->classes * (spec->features + 1);
    double *block = ft_calloc(count, sizeof *block);
    enum ft_status st = block != NULL ? FT_OK : FT_ERR_NOMEM;

    for (uint64_t r = 0; st == FT_OK && r < rounds; r++) {
        const struct ft_kmeans_rules rules = {
            .least = least, .reseed = ft_kmeans_reseeds(r, rounds), .seed = seed, .version = r
        };
        memset(block, 0, count * sizeof *block);
        st = ft_kmeans_sum(m, params, x, rows, block);
        if (st == FT_OK)
            st = ft_kmeans_step(spec, &rules, block, params, NULL);
    }
    if (block != NULL)
        explicit_bzero(block, count * sizeof *block);
    ft_free(block);
    return st;
}

enum ft_status
ft_adjusted_rand(const uint32_t *a, const uint32_t *b, size_t rows, uint32_t clusters, double *index)
{
    const size_t cells = (size_t)clusters * clusters;
    double *table = ft_calloc(cells + 2 * (size_t)clusters, sizeof *table), *in_a, *in_b;
    double both = 0, pairs_a = 0, pairs_b = 0;

    *index = NAN;
    if (table == NULL)
        return FT_ERR_NOMEM;
    in_a = table + cells;
    in_b = in_a + clusters;
    for (size_t i = 0; i < rows; i++) {
        table[(size_t)a[i] * clusters + b[i]]++;
        in_a[a[i]]++;
        in_b[b[i]]++;
    }
    for (size_t i = 0; i < cells; i++)
        both += table[i] * (table[i] - 1) / 2;
    for (uint32_t k = 0; k < clusters; k++) {
        pairs_a += in_a[k] * (in_a[k] - 1) / 2;
        pairs_b += in_b[k] * (in_b[k] - 1) / 2;
    }
    if (rows > 1) {
        const double all = (double)rows * ((double)rows - 1) / 2, chance = pairs_a * pairs_b / all;
        const double most = (pairs_a + pairs_b) / 2;
        *index = most - chance > 0 ? (both - chance) / (most - chance)
                                   : 1; /* one cluster each, or all rows alone */
    }
    ft_free(table);
    return FT_OK;
}
