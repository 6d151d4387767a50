#include "aggregator/commands/statement.h"

#include "common/base/alloc.h"
#include "common/plan/round_plan.h"

#include <string.h>

void
ft_statement_count(const struct ft_round_row *rows, size_t count, struct ft_statement_rounds *out)
{
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < count; i++) {
        const struct ft_round_row *r = &rows[i];
        if (r->state == FT_ROUND_COMMITTED && r->stage <= FT_STAGE_EVALUATE) {
            out->committed[r->stage]++;
            if (out->least_survivors == 0 || r->survivors < out->least_survivors)
                out->least_survivors = r->survivors;
        }
        out->abandoned += r->state == FT_ROUND_ABANDONED;
        out->failed += r->state == FT_ROUND_FAILED;
    }
}

enum ft_status
ft_home_statement(const struct ft_home *home, const struct ft_task_row *row, struct ft_bytes signed_task,
                  const struct ft_model_state *model, const uint8_t model_hash[32], json_t **out,
                  struct ft_error *err)
{
    struct ft_statement_facts facts = { .signed_task = signed_task };
    struct ft_statement_model m = { 0 };
    struct ft_round_row *rounds = NULL;
    size_t count = 0;
    enum ft_status st;

    *out = NULL;
    FT_TRY(ft_store_rounds(home->store, row->hash, 1000000, &rounds, &count));
    ft_statement_count(rounds, count, &facts.rounds);
    if (model != NULL) {
        m = (struct ft_statement_model){ .version = model->version,
                                         .stage = model->stage,
                                         .clip = model->clip };
        memcpy(m.hash, model_hash, sizeof m.hash);
        facts.model = &m;
    }
    FT_TRY(ft_statement_make(&facts, out, err));
out:
    ft_round_rows_free(rounds, count);
    return st;
}

enum ft_status
ft_home_model(const struct ft_home *home, const struct ft_task_row *task, uint64_t version,
              struct ft_model_state *state, uint8_t model_hash[32], struct ft_error *err)
{
    enum ft_status st;
    struct ft_model_row *models = NULL;
    struct ft_buf blob = { 0 };
    size_t count = 0;
    uint8_t hash[32];
    const struct ft_model_row *found = NULL;

    FT_TRY(ft_store_models(home->store, task->hash, &models, &count));
    for (size_t i = 0; i < count; i++)
        if (models[i].version == version)
            found = &models[i]; /* the last one: trained parameters, not the blob of the statistics round */
    if (found == NULL) {
        st = ft_fail(err, FT_ERR_NOTFOUND, "%s has no model version %llu; `model list %s` shows them",
                     task->name, (unsigned long long)version, task->name);
        goto out;
    }
    FT_TRY(ft_store_blob(home->store, found->hash, &blob));
    FT_TRY(ft_model_blob_hash(ft_buf_bytes(&blob), hash));
    if (memcmp(hash, found->hash, sizeof hash) != 0) {
        st = ft_fail(err, FT_ERR_VERIFY, "the stored model of version %llu does not match its hash",
                     (unsigned long long)version);
        goto out;
    }
    memcpy(model_hash, hash, 32);
    FT_TRY(ft_model_state_decode(ft_buf_bytes(&blob), state, err));
    if (state->stage == FT_STAGE_STATISTICS && state->found.count == 0) {
        ft_model_state_clear(state);
        st = ft_fail(err, FT_ERR_NOTFOUND,
                     "%s has no parameters yet: its statistics round has not been committed", task->name);
    }
out:
    ft_free(models);
    ft_buf_clear(&blob);
    return st;
}
