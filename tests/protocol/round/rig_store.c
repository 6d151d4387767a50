#include "rig.h"

#include <string.h>

/* One wrapper a call: reads fail only after the crash; writes are counted. */
static bool
gone(struct rig_store *s)
{
    return s->crashed;
}

static enum ft_status
before_write(struct rig_store *s)
{
    if (s->crashed)
        return FT_ERR_IO;
    s->writes++;
    if (s->lose && s->writes == s->crash_at) {
        s->crashed = true;
        return FT_ERR_IO;
    }
    return s->writes == s->fail_at ? FT_ERR_IO : FT_OK;
}

static enum ft_status
after_write(struct rig_store *s, enum ft_status st)
{
    /* The write is in the database, but nobody hears of it. */
    if (s->crash_at != 0 && s->writes >= s->crash_at) {
        s->crashed = true;
        return FT_ERR_IO;
    }
    return st;
}

#define READ(name, params, args)                                                                             \
    static enum ft_status on_##name params                                                                   \
    {                                                                                                        \
        struct rig_store *s = ctx;                                                                           \
        return gone(s) ? FT_ERR_IO : s->table.name args;                                                     \
    }
#define WRITE(name, params, args)                                                                            \
    static enum ft_status on_##name params                                                                   \
    {                                                                                                        \
        struct rig_store *s = ctx;                                                                           \
        const enum ft_status st = before_write(s);                                                           \
        return st != FT_OK ? st : after_write(s, s->table.name args);                                        \
    }

READ(shops, (void *ctx, struct ft_shop **out, size_t *count), (s->table.ctx, out, count))
READ(roster, (void *ctx, uint64_t *serial, struct ft_buf *b), (s->table.ctx, serial, b))
READ(ledger_heads, (void *ctx, struct ft_ledger_row **out, size_t *count), (s->table.ctx, out, count))
WRITE(ledger_heads_put, (void *ctx, const struct ft_ledger_row *rows, size_t count), (s->table.ctx, rows, count))
READ(epoch, (void *ctx, uint32_t *epoch, uint64_t *started), (s->table.ctx, epoch, started))
WRITE(epoch_set, (void *ctx, uint32_t epoch, uint64_t started), (s->table.ctx, epoch, started))
WRITE(epoch_key_put, (void *ctx, uint32_t epoch, uint32_t index, struct ft_bytes m),
      (s->table.ctx, epoch, index, m))
READ(epoch_keys, (void *ctx, uint32_t epoch, ft_epoch_key_visit *visit, void *vctx),
     (s->table.ctx, epoch, visit, vctx))
WRITE(directory_put, (void *ctx, const uint8_t hash[32], struct ft_bytes b), (s->table.ctx, hash, b))
READ(directory, (void *ctx, uint8_t hash[32], struct ft_buf *out), (s->table.ctx, hash, out))
READ(blob, (void *ctx, const uint8_t hash[32], struct ft_buf *out), (s->table.ctx, hash, out))
READ(tasks, (void *ctx, struct ft_task_row **out, size_t *count), (s->table.ctx, out, count))
READ(task_signed, (void *ctx, const uint8_t hash[32], uint8_t signed_hash[32], struct ft_buf *out),
     (s->table.ctx, hash, signed_hash, out))
WRITE(verdict_put,
      (void *ctx, const uint8_t task[32], int64_t shop, uint32_t verdict, const char *codes, uint64_t now),
      (s->table.ctx, task, shop, verdict, codes, now))
READ(verdicts, (void *ctx, const uint8_t task[32], struct ft_verdict_row **out, size_t *count),
     (s->table.ctx, task, out, count))
WRITE(session_begin, (void *ctx, const struct ft_session_row *row, struct ft_bytes d), (s->table.ctx, row, d))
WRITE(session_append, (void *ctx, const struct ft_session_record *records, size_t count),
      (s->table.ctx, records, count))
READ(session, (void *ctx, struct ft_session_row *out, struct ft_buf *d), (s->table.ctx, out, d))
READ(session_records, (void *ctx, ft_record_visit *visit, void *vctx), (s->table.ctx, visit, vctx))
WRITE(round_end, (void *ctx, const struct ft_round_row *row, const struct ft_task_progress *p),
      (s->table.ctx, row, p))
WRITE(round_commit,
      (void *ctx, const struct ft_round_row *row, const struct ft_task_progress *p,
       const struct ft_model_put *m, struct ft_bytes optimiser, bool done),
      (s->table.ctx, row, p, m, optimiser, done))
READ(round_find,
     (void *ctx, const uint8_t task[32], uint64_t round, uint32_t attempt, struct ft_round_row *out),
     (s->table.ctx, task, round, attempt, out))
WRITE(model_first,
      (void *ctx, const uint8_t task[32], const uint8_t hash[32], struct ft_bytes blob,
       const struct ft_task_progress *p),
      (s->table.ctx, task, hash, blob, p))
READ(optimiser, (void *ctx, const uint8_t task[32], struct ft_buf *out), (s->table.ctx, task, out))

void
rig_store_over(struct rig_store *s, struct ft_store *db, struct ft_round_store *out)
{
    memset(s, 0, sizeof *s);
    s->db = db;
    ft_round_store_over(db, &s->table);
    *out = (struct ft_round_store){
        .ctx = s,
        .shops = on_shops,
        .roster = on_roster,
        .epoch = on_epoch,
        .epoch_set = on_epoch_set,
        .epoch_key_put = on_epoch_key_put,
        .epoch_keys = on_epoch_keys,
        .directory_put = on_directory_put,
        .directory = on_directory,
        .blob = on_blob,
        .tasks = on_tasks,
        .task_signed = on_task_signed,
        .verdict_put = on_verdict_put,
        .verdicts = on_verdicts,
        .session_begin = on_session_begin,
        .session_append = on_session_append,
        .session = on_session,
        .session_records = on_session_records,
        .round_end = on_round_end,
        .round_commit = on_round_commit,
        .round_find = on_round_find,
        .model_first = on_model_first,
        .optimiser = on_optimiser,
        .ledger_heads = on_ledger_heads,
        .ledger_heads_put = on_ledger_heads_put,
    };
}
