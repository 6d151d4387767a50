#include "aggregator/simulate/data/dataset.h"
#include "aggregator/simulate/data/readers.h"
#include "common/base/alloc.h"
#include "common/base/env.h"

#include <math.h>
#include <string.h>

enum ft_status
sim_part_room(struct ft_sim_part *part, uint64_t rows, uint32_t features, struct ft_error *err)
{
    if (rows > FT_SIM_ROWS_MAX || rows * (features > 0 ? features : 1) > FT_SIM_VALUES_MAX)
        return ft_fail(err, FT_ERR_LIMIT, "%llu rows of %u features are too many", (unsigned long long)rows, features);
    part->x = ft_calloc((size_t)rows, features * sizeof *part->x);
    part->y = ft_calloc((size_t)rows, sizeof *part->y);
    part->rows = rows;
    return part->x != NULL && part->y != NULL ? FT_OK : FT_ERR_NOMEM;
}

static void
part_clear(struct ft_sim_part *part)
{
    ft_free(part->x);
    ft_free(part->y);
    *part = (struct ft_sim_part){ 0 };
}

void
ft_sim_data_clear(struct ft_sim_data *data)
{
    part_clear(&data->train);
    part_clear(&data->test);
    ft_free(data->owner);
    ft_free(data->customer);
    for (uint32_t i = 0; data->owner_names != NULL && i < data->owners; i++)
        ft_free(data->owner_names[i]);
    ft_free(data->owner_names);
    *data = (struct ft_sim_data){ 0 };
}

/* Move row `from` of the train part to place `to` of `part`. */
static void
move_row(const struct ft_sim_data *data, uint64_t from, struct ft_sim_part *part, uint64_t to)
{
    memmove(part->x + to * data->features, data->train.x + from * data->features, data->features * sizeof *part->x);
    part->y[to] = data->train.y[from];
}

/* Which of `count` rows or customers: selection sampling, Knuth, volume 2, algorithm 3.4.2 S. */
static void
draw_test(bool *test, uint64_t count, uint64_t wanted, uint64_t seed)
{
    struct ft_env_seeded env;
    uint64_t taken = 0;
    ft_env_seeded_init(&env, seed, UINT64_C(0x7465737400000000)); /* "test" */
    for (uint64_t i = 0; i < count; i++) {
        test[i] = ft_random_below(&env.env, count - i) < wanted - taken;
        taken += test[i];
    }
}

/* Those who are left, from 0 on: nobody deals out a customer without rows. */
static enum ft_status
renumber(struct ft_sim_data *data, const bool *test)
{
    uint32_t *number = ft_calloc(data->customers, sizeof *number), left = 0;
    if (number == NULL)
        return FT_ERR_NOMEM;
    for (uint32_t c = 0; c < data->customers; c++)
        number[c] = test[c] ? 0 : left++;
    for (uint64_t i = 0; i < data->train.rows; i++)
        data->customer[i] = number[data->customer[i]];
    data->customers = left;
    ft_free(number);
    return FT_OK;
}

enum ft_status
sim_set_aside(struct ft_sim_data *data, double share, uint64_t seed, struct ft_error *err)
{
    const uint64_t rows = data->train.rows, count = data->customer != NULL ? data->customers : rows;
    const uint64_t wanted = (uint64_t)(share * (double)count);
    uint64_t kept = 0, taken = 0;
    bool *test = ft_calloc(count, sizeof *test); /* by row, or by customer: nobody is on both sides */
    enum ft_status st = test != NULL ? FT_OK : FT_ERR_NOMEM;

    if (wanted == 0 || wanted >= count)
        st = ft_fail(err, FT_ERR_CONFIG, "a test share of %g of %llu %s leaves %s", share, (unsigned long long)count,
                     data->customer != NULL ? "customers" : "rows", wanted == 0 ? "no test rows" : "no train rows");
    FT_TRY(st);
    draw_test(test, count, wanted, seed);
    for (uint64_t i = 0; i < rows; i++)
        taken += test[data->customer != NULL ? data->customer[i] : i];
    FT_TRY(sim_part_room(&data->test, taken, data->features, err));
    taken = 0;
    for (uint64_t i = 0; i < rows; i++) {
        if (test[data->customer != NULL ? data->customer[i] : i]) {
            move_row(data, i, &data->test, taken++);
            continue;
        }
        move_row(data, i, &data->train, kept);
        if (data->owner != NULL)
            data->owner[kept] = data->owner[i];
        if (data->customer != NULL)
            data->customer[kept] = data->customer[i];
        kept++;
    }
    data->train.rows = kept;
    if (data->customer != NULL)
        st = renumber(data, test);
out:
    ft_free(test);
    return st;
}

void
sim_standardise(struct ft_sim_data *data)
{
    const double rows = (double)data->train.rows;
    for (uint32_t k = 0; k < data->features; k++) {
        double sum = 0, squares = 0, mean, scale;
        for (uint64_t i = 0; i < data->train.rows; i++)
            sum += (double)data->train.x[i * data->features + k];
        mean = sum / rows;
        for (uint64_t i = 0; i < data->train.rows; i++) {
            const double d = (double)data->train.x[i * data->features + k] - mean;
            squares += d * d;
        }
        scale = squares > 0 ? 1 / sqrt(squares / rows) : 0;
        for (int p = 0; p < 2; p++) {
            const struct ft_sim_part *part = p == 0 ? &data->train : &data->test;
            for (uint64_t i = 0; i < part->rows; i++) {
                float *v = &part->x[i * data->features + k];
                *v = (float)(((double)*v - mean) * scale);
            }
        }
    }
}

static enum ft_status
check(const struct ft_sim_data *data, struct ft_error *err)
{
    if (data->train.rows == 0 || data->features == 0)
        return ft_fail(err, FT_ERR_FORMAT, "there are no train rows");
    for (int p = 0; p < 2; p++) {
        const struct ft_sim_part *part = p == 0 ? &data->train : &data->test;
        for (uint64_t i = 0; i < part->rows; i++)
            if (data->classes > 0 && !(part->y[i] >= 0 && part->y[i] < (float)data->classes))
                return ft_fail(err, FT_ERR_FORMAT, "label %g of row %llu, expected 0 to %u", (double)part->y[i],
                               (unsigned long long)i + 1, data->classes - 1);
        for (uint64_t i = 0; i < part->rows * data->features; i++)
            if (!isfinite(part->x[i]))
                return ft_fail(err, FT_ERR_FORMAT, "a feature of row %llu is no finite number",
                               (unsigned long long)(i / data->features) + 1);
    }
    return FT_OK;
}

enum ft_status
ft_sim_data_open(const struct ft_sim_data_config *c, uint64_t seed, struct ft_sim_data *out, struct ft_error *err)
{
    enum ft_status st = FT_ERR_CONFIG;

    *out = (struct ft_sim_data){ 0 };
    switch (c->source) {
    case FT_SIM_SYNTHETIC:
        st = sim_read_synthetic(c, seed, out, err);
        break;
    case FT_SIM_IDX:
        st = sim_read_idx(c, out, err);
        break;
    case FT_SIM_LIBSVM:
        st = sim_read_libsvm(c, seed, out, err);
        break;
    case FT_SIM_CSV:
        st = sim_read_csv(c, seed, out, err);
        break;
    case FT_SIM_TASK:
        st = sim_read_task(c, out, err);
        break;
    }
    if (st == FT_OK)
        st = check(out, err);
    if (st != FT_OK)
        ft_sim_data_clear(out);
    return st;
}
