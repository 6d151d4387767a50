#include "aggregator/round/store.h"

/* One line each: the table's void * is the database. */
static enum ft_status
store_shops(void *ctx, struct ft_shop **out, size_t *count)
{
    return ft_store_shops(ctx, out, count);
}

static enum ft_status
store_roster(void *ctx, uint64_t *serial, struct ft_buf *signed_roster)
{
    return ft_store_roster(ctx, serial, signed_roster);
}

static enum ft_status
store_epoch(void *ctx, uint32_t *epoch, uint64_t *started_ms)
{
    return ft_store_epoch(ctx, epoch, started_ms);
}

static enum ft_status
store_epoch_set(void *ctx, uint32_t epoch, uint64_t started_ms)
{
    return ft_store_epoch_set(ctx, epoch, started_ms);
}

static enum ft_status
store_epoch_key_put(void *ctx, uint32_t epoch, uint32_t index, struct ft_bytes message)
{
    return ft_store_epoch_key_put(ctx, epoch, index, message);
}

static enum ft_status
store_epoch_keys(void *ctx, uint32_t epoch, ft_epoch_key_visit *visit, void *visit_ctx)
{
    return ft_store_epoch_keys(ctx, epoch, visit, visit_ctx);
}

static enum ft_status
store_directory_put(void *ctx, const uint8_t hash[32], struct ft_bytes bytes)
{
    return ft_store_directory_put(ctx, hash, bytes);
}

static enum ft_status
store_directory(void *ctx, uint8_t hash[32], struct ft_buf *out)
{
    return ft_store_directory(ctx, hash, out);
}

static enum ft_status
store_blob(void *ctx, const uint8_t hash[32], struct ft_buf *out)
{
    return ft_store_blob(ctx, hash, out);
}

static enum ft_status
store_tasks(void *ctx, struct ft_task_row **out, size_t *count)
{
    return ft_store_tasks(ctx, out, count);
}

static enum ft_status
store_task_signed(void *ctx, const uint8_t hash[32], uint8_t signed_hash[32], struct ft_buf *out)
{
    return ft_store_task_signed(ctx, hash, signed_hash, out);
}

static enum ft_status
store_verdict_put(void *ctx, const uint8_t task[32], int64_t shop, uint32_t verdict, const char *codes,
                  uint64_t now_ms)
{
    return ft_store_verdict_put(ctx, task, shop, verdict, codes, now_ms);
}

static enum ft_status
store_verdicts(void *ctx, const uint8_t task[32], struct ft_verdict_row **out, size_t *count)
{
    return ft_store_verdicts(ctx, task, out, count);
}

static enum ft_status
store_session_begin(void *ctx, const struct ft_session_row *row, struct ft_bytes descriptor)
{
    return ft_store_session_begin(ctx, row, descriptor);
}

static enum ft_status
store_session_append(void *ctx, const struct ft_session_record *records, size_t count)
{
    return ft_store_session_append(ctx, records, count);
}

static enum ft_status
store_session(void *ctx, struct ft_session_row *out, struct ft_buf *descriptor)
{
    return ft_store_session(ctx, out, descriptor);
}

static enum ft_status
store_session_records(void *ctx, ft_record_visit *visit, void *visit_ctx)
{
    return ft_store_session_records(ctx, visit, visit_ctx);
}

static enum ft_status
store_round_end(void *ctx, const struct ft_round_row *row, const struct ft_task_progress *progress)
{
    return ft_store_round_end(ctx, row, progress);
}

static enum ft_status
store_round_commit(void *ctx, const struct ft_round_row *row, const struct ft_task_progress *progress,
                   const struct ft_model_put *model, struct ft_bytes optimiser, bool task_done)
{
    return ft_store_round_commit(ctx, row, progress, model, optimiser, task_done);
}

static enum ft_status
store_round_find(void *ctx, const uint8_t task[32], uint64_t round, uint32_t attempt,
                 struct ft_round_row *out)
{
    return ft_store_round_find(ctx, task, round, attempt, out);
}

static enum ft_status
store_model_first(void *ctx, const uint8_t task[32], const uint8_t hash[32], struct ft_bytes blob,
                  const struct ft_task_progress *progress)
{
    return ft_store_model_first(ctx, task, hash, blob, progress);
}

static enum ft_status
store_optimiser(void *ctx, const uint8_t task[32], struct ft_buf *out)
{
    return ft_store_optimiser(ctx, task, out);
}

static enum ft_status
store_ledger_heads(void *ctx, struct ft_ledger_row **out, size_t *count)
{
    return ft_store_ledger_heads(ctx, out, count);
}

static enum ft_status
store_ledger_heads_put(void *ctx, const struct ft_ledger_row *rows, size_t count)
{
    return ft_store_ledger_heads_put(ctx, rows, count);
}

void
ft_round_store_over(struct ft_store *store, struct ft_round_store *out)
{
    *out = (struct ft_round_store){
        .ctx = store,
        .shops = store_shops,
        .roster = store_roster,
        .epoch = store_epoch,
        .epoch_set = store_epoch_set,
        .epoch_key_put = store_epoch_key_put,
        .epoch_keys = store_epoch_keys,
        .directory_put = store_directory_put,
        .directory = store_directory,
        .blob = store_blob,
        .tasks = store_tasks,
        .task_signed = store_task_signed,
        .verdict_put = store_verdict_put,
        .verdicts = store_verdicts,
        .session_begin = store_session_begin,
        .session_append = store_session_append,
        .session = store_session,
        .session_records = store_session_records,
        .round_end = store_round_end,
        .round_commit = store_round_commit,
        .round_find = store_round_find,
        .model_first = store_model_first,
        .optimiser = store_optimiser,
        .ledger_heads = store_ledger_heads,
        .ledger_heads_put = store_ledger_heads_put,
    };
}
