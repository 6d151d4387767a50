#include "aggregator/simulate/engine/pool.h"
#include "aggregator/simulate/retail/retail_internal.h"
#include "common/base/alloc.h"
#include "common/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TASK_WEEKS 52 /* what the task looks at */

struct work {
    const struct ft_retail_job *job;
    const struct retail_world *w;
    struct retail_counts *counts; /* (stores) */
    atomic_uint next, done;
    atomic_int failed;
    struct ft_error err; /* of whoever fails first */
};

/* Each thread takes the next shop; what a shop holds depends on nothing else. */
static void
make_stores(void *ctx, unsigned number)
{
    struct work *k = ctx;
    struct ft_error err = { 0 };
    int none = FT_OK;
    for (uint32_t store;
         atomic_load(&k->failed) == FT_OK && (store = atomic_fetch_add(&k->next, 1)) < k->w->s->stores;) {
        enum ft_status st = retail_store_write(k->w, store, k->job->dir, &k->counts[store], &err);
        if (st == FT_OK)
            st = retail_consent_write(k->w, store, k->job->dir, &err);
        if (st != FT_OK && atomic_compare_exchange_strong(&k->failed, &none, (int)st))
            k->err = err;
        (void)atomic_fetch_add(&k->done, 1);
        if (number == 0 && k->job->progress != NULL)
            k->job->progress(k->job->ctx, atomic_load(&k->done));
    }
}

static enum ft_status
add_up(const struct work *k, struct ft_retail_totals *out)
{
    for (uint32_t s = 0; s < k->w->s->stores; s++) {
        out->rows += k->counts[s].rows;
        out->baskets += k->counts[s].baskets;
        out->rows_with_card += k->counts[s].rows_with_card;
        out->promoted_rows += k->counts[s].promoted_rows;
        out->bytes += k->counts[s].bytes;
        out->baskets_expected += k->counts[s].baskets_expected;
    }
    out->customers = k->w->s->customers;
    for (uint32_t i = 0; i < k->w->s->customers; i++) {
        const struct retail_customer *c = &k->w->customers[i];
        out->cards += c->card;
        out->given += c->card && c->decision == RETAIL_GIVEN;
        out->refused += c->card && c->decision == RETAIL_REFUSED;
        out->withdrawn += c->card && c->decision == RETAIL_WITHDRAWN;
        out->unasked += c->card && c->decision == RETAIL_UNASKED;
    }
    return FT_OK;
}

/* ---- the folder ---- */

static enum ft_status
in_folder(const char *dir, const char *name, const char *text, struct ft_error *err)
{
    char *path = ft_asprintf("%s/%s", dir, name);
    const enum ft_status st = path == NULL   ? FT_ERR_NOMEM
                              : text == NULL ? ft_dir_make(path, 0755, err)
                                             : ft_file_write(path, FT_BYTES(text, strlen(text)), 0644, err);
    ft_free(path);
    return st;
}

/* Shops of a former world would be taken for shops of this one. */
static enum ft_status
remove_files(const char *dir, const char *name, struct ft_error *err)
{
    char *path = ft_asprintf("%s/%s", dir, name);
    DIR *list = path != NULL ? opendir(path) : NULL;
    enum ft_status st = path != NULL ? FT_OK : FT_ERR_NOMEM;
    for (struct dirent *e; list != NULL && st == FT_OK && (e = readdir(list)) != NULL;)
        if (strncmp(e->d_name, "store-", 6) == 0 && unlinkat(dirfd(list), e->d_name, 0) != 0)
            st = ft_fail(err, ft_status_of_errno(errno), "%s/%s: %s", path, e->d_name, strerror(errno));
    if (list != NULL)
        (void)closedir(list);
    ft_free(path);
    return st;
}

static enum ft_status
make_folder(const struct ft_retail_job *job, struct ft_error *err)
{
    static const char *const names[] = { "truth.json", "shops", "consent", "truth" };
    enum ft_status st = FT_OK;
    for (size_t i = 0; st == FT_OK && i < sizeof names / sizeof names[0]; i++) {
        char *path = ft_asprintf("%s/%s", job->dir, names[i]);
        if (path == NULL)
            st = FT_ERR_NOMEM;
        else if (access(path, F_OK) == 0 && !job->force)
            st = ft_fail(err, FT_ERR_CONFIG,
                         "%s is there already, expected a folder without data; --force replaces them", path);
        else if (i == 0 && job->force && unlink(path) != 0 && errno != ENOENT)
            st = ft_fail(err, ft_status_of_errno(errno), "%s: %s", path, strerror(errno));
        ft_free(path);
    }
    FT_TRY(st);
    FT_TRY(remove_files(job->dir, "shops", err));
    FT_TRY(remove_files(job->dir, "consent", err));
    FT_TRY(in_folder(job->dir, "shops", NULL, err));
    FT_TRY(in_folder(job->dir, "consent", NULL, err));
    st = in_folder(job->dir, "truth", NULL, err);
out:
    return st;
}

static enum ft_status
write_experiment(const struct ft_retail_settings *s, const char *dir, struct ft_error *err)
{
    static const char text[] =
        "# An experiment on these shops: fedtill-simulate run experiment.yaml --out RUN\n"
        "name: retail\n"
        "seed: 1\n"
        "data: {source: task, task: task.yaml, files: \"shops/*.csv\"}\n"
        "partition: {kind: column}\n"
        "model: {kind: logistic}\n"
        "algorithm: {name: fedavg}\n"
        "training: {rounds: 20, local_epochs: 1, batch_size: 32, learning_rate: 0.05}\n"
        "clients: {fraction: 1}\n";
    enum ft_status st;
    if (s->weeks < TASK_WEEKS)
        return FT_OK;
    FT_TRY(in_folder(dir, "task.yaml", retail_task_yaml, err));
    st = in_folder(dir, "experiment.yaml", text, err);
out:
    return st;
}

enum ft_status
ft_retail_make(const struct ft_retail_job *job, struct ft_retail_totals *out, struct ft_error *err)
{
    struct retail_world w = { 0 };
    struct work k = { .job = job, .w = &w };
    struct sim_pool *pool = NULL;
    enum ft_status st;

    *out = (struct ft_retail_totals){ 0 };
    FT_TRY(ft_retail_check(job->settings, err));
    FT_TRY(make_folder(job, err));
    FT_TRY(retail_world_open(job->settings, &w, err));
    k.counts = ft_calloc(w.s->stores, sizeof *k.counts);
    if (k.counts == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    FT_TRY(sim_pool_open(job->threads, &pool));
    sim_pool_run(pool, make_stores, &k);
    st = (enum ft_status)atomic_load(&k.failed);
    if (st != FT_OK) {
        if (k.err.status != FT_OK)
            *err = k.err;
        goto out;
    }
    FT_TRY(add_up(&k, out));
    FT_TRY(retail_customers_write(&w, job->dir, err));
    FT_TRY(write_experiment(w.s, job->dir, err));
    st = retail_truth_write(&w, out, job->dir, err);
out:
    sim_pool_close(pool);
    ft_free(k.counts);
    retail_world_close(&w);
    return st;
}
