#include "aggregator/round/engine_internal.h"
#include "common/base/alloc.h"
#include "common/base/date.h"
#include "common/base/log.h"

#include <stdio.h>
#include <string.h>

void
engine_task_clear(struct engine_task *t)
{
    ft_task_clear(&t->task);
    engine_blob_unref(t->blob);
    ft_free(t->verdicts);
    ft_free(t->reasons);
    ft_free(t->asked_ms);
    ft_free(t->sizes);
    memset(t, 0, sizeof *t);
}

struct engine_task *
engine_task(struct ft_engine *e, const uint8_t hash[32])
{
    for (size_t i = 0; i < e->task_count; i++)
        if (memcmp(e->tasks[i].row.hash, hash, 32) == 0)
            return &e->tasks[i];
    return NULL;
}

enum ft_status
engine_task_sizes(const struct ft_engine *e, struct engine_task *t)
{
    uint64_t *sizes;

    if (t->task.noise == 0)
        return FT_OK;
    sizes = ft_calloc(e->shop_count + 1, sizeof *sizes);
    if (sizes == NULL)
        return FT_ERR_NOMEM;
    for (size_t i = 0; i < e->shop_count; i++)
        sizes[i] = ft_plan_shop_customers(&t->task, e->shops[i].row.name);
    ft_free(t->sizes);
    t->sizes = sizes;
    return FT_OK;
}

/* FNV-1a: it need only differ when the reasons do. */
static uint32_t
hash_of(const char *codes)
{
    uint32_t hash = 2166136261u;
    for (; *codes != '\0'; codes++)
        hash = (hash ^ (uint8_t)*codes) * 16777619u;
    return hash;
}

static enum ft_status
load_verdicts(struct ft_engine *e, struct engine_task *t)
{
    struct ft_verdict_row *rows = NULL;
    size_t count = 0;
    enum ft_status st = e->config.store.verdicts(e->config.store.ctx, t->row.hash, &rows, &count);

    for (size_t i = 0; st == FT_OK && i < count; i++) {
        const struct engine_shop *shop = engine_shop(e, rows[i].shop);
        /* "Waiting" and "later" are asked about anew. */
        if (shop == NULL || (rows[i].verdict != FT_VERDICT_ACCEPTED && rows[i].verdict != FT_VERDICT_REFUSED))
            continue;
        t->verdicts[engine_shop_slot(e, shop)] = (uint8_t)rows[i].verdict;
        t->reasons[engine_shop_slot(e, shop)] = hash_of(rows[i].codes);
    }
    ft_free(rows);
    return st;
}

static enum ft_status
load_task(struct ft_engine *e, const struct ft_task_row *row, struct engine_task *t)
{
    enum ft_status st;
    struct ft_buf bytes = { 0 };
    struct ft_error err = { 0 };
    uint8_t hash[32];

    memset(t, 0, sizeof *t);
    t->row = *row;
    t->verdicts = ft_calloc(e->shop_count + 1, sizeof *t->verdicts);
    t->reasons = ft_calloc(e->shop_count + 1, sizeof *t->reasons);
    t->asked_ms = ft_calloc(e->shop_count + 1, sizeof *t->asked_ms);
    if (t->verdicts == NULL || t->reasons == NULL || t->asked_ms == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    FT_TRY(e->config.store.task_signed(e->config.store.ctx, row->hash, t->signed_hash, &bytes));
    FT_TRY(ft_task_open(ft_buf_bytes(&bytes), e->config.task_keys, e->config.task_key_count, &t->task, hash,
                        &err));
    if (memcmp(hash, row->hash, 32) != 0) {
        st = FT_ERR_VERIFY;
        goto out;
    }
    FT_TRY(engine_task_sizes(e, t));
    t->blob = engine_blob_new(t->signed_hash, &bytes);
    st = t->blob != NULL ? load_verdicts(e, t) : FT_ERR_NOMEM;
out:
    if (st != FT_OK) {
        engine_task_clear(t);
        ft_log(FT_LOG_ERROR, "round.task_unusable", "task=%s status=%s reason=%s", row->name,
               ft_status_name(st), engine_words(&err));
    }
    ft_buf_clear(&bytes);
    return st;
}

static bool
unfinished(const struct ft_task_row *row)
{
    return row->state == FT_TASK_PUBLISHED || row->state == FT_TASK_RUNNING || row->state == FT_TASK_PAUSED;
}

bool
engine_tasks_left(const struct ft_engine *e)
{
    for (size_t i = 0; i < e->task_count; i++)
        if (unfinished(&e->tasks[i].row))
            return true;
    return false;
}

/* New ones are loaded first, which may fail; a task that cannot be used (a key that is not pinned any more)
 * is left out and told of. */
static enum ft_status
load_new(struct ft_engine *e, const struct ft_task_row *rows, size_t count, struct engine_task *list,
         size_t *n)
{
    for (size_t i = 0; i < count && *n < ENGINE_TASKS_MAX; i++) {
        enum ft_status st = FT_OK;
        if (!unfinished(&rows[i]))
            continue;
        if (engine_task(e, rows[i].hash) != NULL)
            list[*n].row = rows[i]; /* its place; the rest is moved in by the caller */
        else
            st = load_task(e, &rows[i], &list[*n]);
        if (st == FT_ERR_NOMEM || st == FT_ERR_IO || st == FT_ERR_LATER)
            return st;
        *n += st == FT_OK;
    }
    return FT_OK;
}

/* Known tasks keep what shops said about them; finished ones go; new ones come. The list is replaced only
 * when all of it is at hand. */
enum ft_status
engine_load_tasks(struct ft_engine *e)
{
    enum ft_status st;
    struct ft_task_row *rows = NULL;
    size_t count = 0, n = 0;
    struct engine_task *list = NULL;

    FT_TRY(e->config.store.tasks(e->config.store.ctx, &rows, &count));
    list = ft_calloc(ENGINE_TASKS_MAX, sizeof *list);
    if (list == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    st = load_new(e, rows, count, list, &n);
    if (st != FT_OK) {
        for (size_t i = 0; i < n; i++)
            engine_task_clear(&list[i]);
        ft_free(list);
        goto out;
    }
    for (size_t i = 0; i < n; i++) {
        struct engine_task *known = engine_task(e, list[i].row.hash);
        const struct ft_task_row row = list[i].row;
        if (known == NULL)
            continue;
        list[i] = *known;
        list[i].row = row;
        memset(known, 0, sizeof *known); /* moved */
    }
    for (size_t i = 0; i < e->task_count; i++)
        engine_task_clear(&e->tasks[i]);
    ft_free(e->tasks);
    e->tasks = list;
    e->task_count = n;
    e->version++;
out:
    ft_free(rows);
    return st;
}

enum ft_status
engine_task_row(struct ft_engine *e, const uint8_t hash[32], struct ft_task_row *out)
{
    struct ft_task_row *rows = NULL;
    size_t count = 0;
    enum ft_status st = e->config.store.tasks(e->config.store.ctx, &rows, &count);

    if (st != FT_OK)
        return st;
    st = FT_ERR_NOTFOUND;
    for (size_t i = 0; i < count; i++) {
        if (memcmp(rows[i].hash, hash, 32) != 0)
            continue;
        *out = rows[i];
        st = FT_OK;
    }
    ft_free(rows);
    return st;
}

struct engine_task *
engine_running_task(struct ft_engine *e)
{
    const int64_t today = ft_date_of_seconds((int64_t)(engine_wall(e) / 1000));

    for (size_t i = 0; i < e->task_count; i++) {
        struct engine_task *t = &e->tasks[i];
        if (t->row.state != FT_TASK_RUNNING)
            continue;
        if (today <= ft_task_expires_day(&t->task))
            return t;
        if (!t->expired_told)
            ft_log(FT_LOG_WARN, "round.task_expired", "task=%s expires=%s", t->row.name, t->task.expires);
        t->expired_told = true;
    }
    return NULL;
}

void
engine_verdict_forget(struct engine_task *t, size_t slot)
{
    t->verdicts[slot] = FT_VERDICT_NONE;
    t->asked_ms[slot] = 0;
}

/* A verdict is a write: so many at once, and then so many a second. */
static bool
may_speak(const struct ft_engine *e, struct engine_shop *shop)
{
    const uint64_t now = engine_now(e), earned = (now - shop->words_ms) / ENGINE_WORD_MS;

    if (earned > 0) {
        shop->words -= earned < shop->words ? (uint32_t)earned : shop->words;
        shop->words_ms = now;
    }
    if (shop->words >= ENGINE_WORDS_MAX)
        return false;
    shop->words++;
    return true;
}

enum ft_status
engine_verdict(struct ft_engine *e, struct engine_shop *shop, const struct ft_sync_verdict *v)
{
    struct engine_task *t = engine_task(e, v->task_hash);
    const size_t slot = engine_shop_slot(e, shop);
    char codes[160] = "";
    size_t size = 0;
    enum ft_status st;

    if (t == NULL)
        return FT_OK;
    for (uint32_t i = 0; i < v->code_count && size < sizeof codes - 12; i++)
        size += (size_t)snprintf(codes + size, sizeof codes - size, "%s%u", i > 0 ? "," : "", v->codes[i]);
    if (t->verdicts[slot] == v->verdict && t->reasons[slot] == hash_of(codes))
        return FT_OK;
    if (!may_speak(e, shop))
        return FT_ERR_LATER;
    t->verdicts[slot] = (uint8_t)v->verdict;
    t->reasons[slot] = hash_of(codes);
    if (v->verdict != FT_VERDICT_ACCEPTED && shop->idle)
        shop->announced = false; /* it was told of a session and cannot take part: not waited for */
    shop->refused_until_ms = 0;
    st = e->config.store.verdict_put(e->config.store.ctx, t->row.hash, shop->row.id, v->verdict, codes,
                                     engine_wall(e));
    if (st != FT_OK) /* only `task status` is poorer for it; the shop would be asked again after a restart */
        ft_log(FT_LOG_WARN, "round.verdict_not_stored", "shop=%lld status=%s", (long long)shop->row.id,
               ft_status_name(st));
    ft_log(FT_LOG_INFO, "round.verdict", "shop=%lld task=%s verdict=%u codes=%s", (long long)shop->row.id,
           t->row.name, v->verdict, codes);
    e->version++;
    return FT_OK;
}
