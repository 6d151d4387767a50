/* A task's rows of many shops, made by the code that runs in each of them; every shop owns its own. */
#include "aggregator/simulate/data/readers.h"
#include "aggregator/simulate/data/shops.h"
#include "aggregator/simulate/rows.h"
#include "common/base/alloc.h"
#include "common/base/file.h"

static enum ft_status
load_task(const char *path, struct ft_task *task, struct ft_error *err)
{
    static const uint8_t no_deployment[16];
    struct ft_buf yaml = { 0 };
    enum ft_status st;
    FT_TRY(ft_file_read(path, FT_TASK_BYTES_MAX, &yaml, err));
    FT_TRY(ft_task_from_yaml(ft_buf_bytes(&yaml), path, no_deployment, task, err));
    if (task->kind == FT_TASK_STATISTICS)
        st = ft_fail(err, FT_ERR_CONFIG,
                     "%s: a task of kind statistics trains nothing; `fedtill-simulate baseline --task %s` has its pooled "
                     "figures",
                     path, path);
out:
    ft_buf_clear(&yaml);
    return st;
}

/* The pooled rows become the data's; they are allocated alike. */
static enum ft_status
hand_over(struct ft_examples *pool, const struct ft_examples *shops, struct sim_shops *files, struct ft_sim_data *out)
{
    const size_t count = files->count;
    uint64_t at = 0;
    uint32_t own = 0; /* customers of a shop */
    out->features = (uint32_t)pool->feature_count;
    out->train = (struct ft_sim_part){ pool->x_train, pool->y_train, pool->rows_train };
    out->test = (struct ft_sim_part){ pool->x_test, pool->y_test, pool->rows_test };
    *pool = (struct ft_examples){ 0 };
    out->owner = ft_calloc(out->train.rows, sizeof *out->owner);
    out->owner_names = ft_calloc(count, sizeof *out->owner_names);
    out->customer = ft_calloc(out->train.rows, sizeof *out->customer);
    if (out->owner == NULL || out->owner_names == NULL || out->customer == NULL)
        return FT_ERR_NOMEM;
    out->owners = (uint32_t)count;
    for (size_t s = 0; s < count; s++) {
        own = 0;
        for (size_t i = 0; i < shops[s].rows_train; i++) {
            const uint32_t who = shops[s].customer_train != NULL ? shops[s].customer_train[i] : (uint32_t)i;
            own = who >= own ? who + 1 : own;
            out->customer[at] = out->customers + who;
            out->owner[at++] = (uint32_t)s;
        }
        out->customers += own;
        out->owner_names[s] = files->names[s];
        files->names[s] = NULL;
    }
    return FT_OK;
}

static enum ft_status
standardise(const struct ft_task *task, bool declared, struct ft_examples *pool)
{
    struct ft_bounds *bounds = ft_sim_bounds(task);
    double *means = ft_calloc(2 * (size_t)task->feature_count, sizeof *means);
    enum ft_status st = FT_ERR_NOMEM;
    if (bounds == NULL || means == NULL)
        goto out;
    for (uint32_t i = 0; declared && i < task->feature_count; i++) {
        means[i] = (bounds[i].min + bounds[i].max) / 2;
        means[task->feature_count + i] = (bounds[i].max - bounds[i].min) / 2;
    }
    if (!declared)
        FT_TRY(ft_sim_statistics(pool, bounds, means, means + task->feature_count));
    FT_TRY(ft_sim_standardise(pool, bounds, means, means + task->feature_count));
out:
    ft_free(bounds);
    ft_free(means);
    return st;
}

enum ft_status
sim_read_task(const struct ft_sim_data_config *c, struct ft_sim_data *out, struct ft_error *err)
{
    struct ft_task task = { 0 };
    struct ft_examples *shops = NULL, pool = { 0 };
    struct sim_shops files = { 0 };
    enum ft_status st;

    FT_TRY(load_task(c->task, &task, err));
    FT_TRY(c->by != NULL ? sim_shops_split(c->files, c->by, &files, err) : sim_shops_find(c->files, &files, err));
    shops = ft_calloc(files.count, sizeof *shops);
    if (shops == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    for (size_t i = 0; i < files.count; i++)
        FT_TRY(ft_sim_rows_from_csv(files.paths[i], &task, &shops[i], err));
    FT_TRY(ft_sim_pool(shops, files.count, &pool));
    FT_TRY(standardise(&task, c->declared_ranges, &pool));
    FT_TRY(hand_over(&pool, shops, &files, out));
    out->classes = task.model == FT_MODEL_KMEANS || task.model == FT_MODEL_LINEAR || task.model == FT_MODEL_POISSON ? 0
                   : task.classes > 2                                              ? task.classes
                                                                                   : 2;
out:
    for (size_t i = 0; shops != NULL && i < files.count; i++)
        ft_examples_clear(&shops[i]);
    ft_free(shops);
    ft_examples_clear(&pool);
    sim_shops_clear(&files);
    ft_task_clear(&task);
    return st;
}
