#include "client/vault/store.h"

#include "common/base/alloc.h"

#include <string.h>

struct participation {
    uint8_t task[32];
    uint64_t round;
    int64_t at_s;
};
struct opened {
    char domain[49], day[FT_VAULT_DAY_SIZE];
};
struct task_previous {
    uint8_t task[32];
    struct ft_ss_previous previous;
};

/* Growing arrays, searched from their ends: a simulation has few of each. */
struct memory_store {
    struct ft_vault_store base;
    struct ft_ss_journal_record *journal;
    size_t journal_count;
    struct ft_vault_task *tasks;
    size_t task_count;
    struct participation *participation;
    size_t participation_count;
    struct task_previous *previous;
    size_t previous_count;
    uint8_t (*trained)[64]; /* task and model */
    size_t trained_count;
    struct opened *opened;
    size_t opened_count;
    uint64_t roster_serial, approvals;
    struct ft_buf roster;
    bool has_roster;
    int64_t clock_s;
    bool has_head;
    uint64_t head_seq;
    uint8_t head_chain[32];
};

static struct memory_store *
of(struct ft_vault_store *s)
{
    return (struct memory_store *)s;
}

/* Room for one more; NULL without memory. The new item is zeroed. */
static void *
grow(void *array, size_t *count, size_t size)
{
    void **list = array;
    uint8_t *bigger = ft_realloc(*list, (*count + 1) * size);
    if (bigger == NULL)
        return NULL;
    *list = bigger;
    memset(bigger + *count * size, 0, size);
    return bigger + (*count)++ * size;
}

static enum ft_status
participated(struct memory_store *m, const uint8_t task[32], uint64_t round, int64_t at_s)
{
    for (size_t i = 0; i < m->participation_count; i++)
        if (memcmp(m->participation[i].task, task, 32) == 0 && m->participation[i].round == round)
            return FT_OK;
    struct participation *p = grow(&m->participation, &m->participation_count, sizeof *p);
    if (p == NULL)
        return FT_ERR_NOMEM;
    memcpy(p->task, task, 32);
    p->round = round;
    p->at_s = at_s;
    return FT_OK;
}

static enum ft_status
journal_put(struct ft_vault_store *s, const struct ft_ss_journal_record *r, int64_t at_s)
{
    struct memory_store *m = of(s);
    struct ft_ss_journal_record *slot = NULL;
    for (size_t i = m->journal_count; i-- > 0 && slot == NULL;)
        if (memcmp(m->journal[i].task_hash, r->task_hash, 32) == 0 && m->journal[i].round == r->round &&
            m->journal[i].attempt == r->attempt)
            slot = &m->journal[i];
    if (slot == NULL)
        slot = grow(&m->journal, &m->journal_count, sizeof *slot);
    if (slot == NULL)
        return FT_ERR_NOMEM;
    const bool spent = slot->spent || r->spent;
    const uint32_t step = slot->step > r->step ? slot->step : r->step;
    *slot = *r;
    slot->spent = spent;
    slot->step = step;
    return r->spent ? participated(m, r->task_hash, r->round, at_s) : FT_OK;
}

static enum ft_status
journal_view(struct ft_vault_store *s, const uint8_t task[32], struct ft_ss_journal_view *out)
{
    const struct memory_store *m = of(s);
    *out = (struct ft_ss_journal_view){ 0 };
    for (size_t i = 0; i < m->journal_count; i++)
        if (memcmp(m->journal[i].task_hash, task, 32) == 0)
            ft_ss_journal_fold(out, &m->journal[i]);
    return FT_OK;
}

static enum ft_status
roster_put(struct ft_vault_store *s, uint64_t serial, struct ft_bytes bytes)
{
    struct memory_store *m = of(s);
    struct ft_buf copy = { 0 };
    if (m->has_roster && serial < m->roster_serial)
        return FT_ERR_STATE;
    const enum ft_status st = ft_buf_append(&copy, bytes.data, bytes.size);
    if (st != FT_OK)
        return st;
    ft_buf_clear(&m->roster);
    m->roster = copy;
    m->roster_serial = serial;
    m->has_roster = true;
    return FT_OK;
}

static enum ft_status
roster_get(struct ft_vault_store *s, uint64_t *serial, struct ft_buf *bytes)
{
    const struct memory_store *m = of(s);
    if (!m->has_roster)
        return FT_ERR_NOTFOUND;
    *serial = m->roster_serial;
    return ft_buf_append(bytes, m->roster.data, m->roster.size);
}

static struct ft_vault_task *
find_task(struct memory_store *m, const uint8_t hash[32])
{
    for (size_t i = 0; i < m->task_count; i++)
        if (memcmp(m->tasks[i].hash, hash, 32) == 0)
            return &m->tasks[i];
    return NULL;
}

static enum ft_status
task_put(struct ft_vault_store *s, const uint8_t hash[32], struct ft_bytes signed_task, const char *name,
         const char *purpose, uint64_t seen_ms)
{
    struct memory_store *m = of(s);
    struct ft_buf copy = { 0 };
    if (find_task(m, hash) != NULL)
        return FT_OK;
    const enum ft_status st = ft_buf_append(&copy, signed_task.data, signed_task.size);
    if (st != FT_OK)
        return st;
    struct ft_vault_task *r = grow(&m->tasks, &m->task_count, sizeof *r);
    if (r == NULL) {
        ft_buf_clear(&copy);
        return FT_ERR_NOMEM;
    }
    memcpy(r->hash, hash, 32);
    r->signed_task = copy;
    strncpy(r->name, name, sizeof r->name - 1);
    strncpy(r->purpose, purpose, sizeof r->purpose - 1);
    r->seen_ms = seen_ms;
    return FT_OK;
}

static enum ft_status
copy_task(const struct ft_vault_task *from, struct ft_vault_task *to)
{
    *to = *from;
    to->signed_task = (struct ft_buf){ 0 };
    return ft_buf_append(&to->signed_task, from->signed_task.data, from->signed_task.size);
}

static enum ft_status
task_get(struct ft_vault_store *s, const uint8_t hash[32], struct ft_vault_task *out)
{
    const struct ft_vault_task *r = find_task(of(s), hash);
    *out = (struct ft_vault_task){ 0 };
    return r == NULL ? FT_ERR_NOTFOUND : copy_task(r, out);
}

static enum ft_status
task_list(struct ft_vault_store *s, bool (*each)(void *ctx, const struct ft_vault_task *record), void *ctx)
{
    const struct memory_store *m = of(s);
    for (size_t i = m->task_count; i-- > 0;)
        if (!each(ctx, &m->tasks[i]))
            break;
    return FT_OK;
}

static enum ft_status
task_approve(struct ft_vault_store *s, const uint8_t hash[32], enum ft_vault_approval approval,
             uint64_t at_ms)
{
    struct ft_vault_task *r = find_task(of(s), hash);
    (void)at_ms;
    if (r == NULL)
        return FT_ERR_NOTFOUND;
    r->approval = approval;
    of(s)->approvals++;
    return FT_OK;
}

static enum ft_status
task_decided(struct ft_vault_store *s, const uint8_t hash[32], uint32_t verdict, const uint32_t *codes,
             size_t code_count, uint64_t at_ms)
{
    struct ft_vault_task *r = find_task(of(s), hash);
    if (r == NULL)
        return FT_OK;
    r->verdict = verdict;
    r->code_count = code_count < FT_VAULT_CODES_MAX ? code_count : FT_VAULT_CODES_MAX;
    if (r->code_count > 0)
        memcpy(r->codes, codes, r->code_count * sizeof *codes);
    r->decided_ms = at_ms;
    return FT_OK;
}

static enum ft_status
approvals_changed(struct ft_vault_store *s, uint64_t *generation)
{
    *generation = of(s)->approvals;
    return FT_OK;
}

static enum ft_status
participations(struct ft_vault_store *s, int64_t since_s, uint32_t *count, int64_t *last_s)
{
    const struct memory_store *m = of(s);
    *count = 0;
    *last_s = 0;
    for (size_t i = 0; i < m->participation_count; i++) {
        *count += m->participation[i].at_s >= since_s;
        if (m->participation[i].at_s > *last_s)
            *last_s = m->participation[i].at_s;
    }
    return FT_OK;
}

static enum ft_status
last_of_task(struct ft_vault_store *s, const uint8_t task[32], int64_t *last_s)
{
    const struct memory_store *m = of(s);
    *last_s = 0;
    for (size_t i = 0; i < m->participation_count; i++)
        if (memcmp(m->participation[i].task, task, 32) == 0 && m->participation[i].at_s > *last_s)
            *last_s = m->participation[i].at_s;
    return FT_OK;
}

static struct task_previous *
find_previous(struct memory_store *m, const uint8_t task[32])
{
    for (size_t i = 0; i < m->previous_count; i++)
        if (memcmp(m->previous[i].task, task, 32) == 0)
            return &m->previous[i];
    return NULL;
}

static enum ft_status
trained_on(struct ft_vault_store *s, const uint8_t task[32], const uint8_t model[32], bool *out)
{
    const struct memory_store *m = of(s);
    *out = false;
    for (size_t i = 0; i < m->trained_count && !*out; i++)
        *out = memcmp(m->trained[i], task, 32) == 0 && memcmp(m->trained[i] + 32, model, 32) == 0;
    return FT_OK;
}

static enum ft_status
previous_put(struct ft_vault_store *s, const uint8_t task[32], const struct ft_ss_previous *previous)
{
    struct task_previous *p = find_previous(of(s), task);
    if (p == NULL)
        p = grow(&of(s)->previous, &of(s)->previous_count, sizeof *p);
    if (p == NULL)
        return FT_ERR_NOMEM;
    if (p->previous.any && p->previous.round > previous->round)
        return FT_OK;
    bool known = true;
    (void)trained_on(s, task, previous->model_hash, &known);
    if (!known) {
        uint8_t *pair = grow(&of(s)->trained, &of(s)->trained_count, sizeof *of(s)->trained);
        if (pair == NULL)
            return FT_ERR_NOMEM;
        memcpy(pair, task, 32);
        memcpy(pair + 32, previous->model_hash, 32);
    }
    memcpy(p->task, task, 32);
    p->previous = *previous;
    p->previous.any = true;
    return FT_OK;
}

static enum ft_status
previous_get(struct ft_vault_store *s, const uint8_t task[32], struct ft_ss_previous *out)
{
    const struct task_previous *p = find_previous(of(s), task);
    *out = p != NULL ? p->previous : (struct ft_ss_previous){ 0 };
    return FT_OK;
}

static enum ft_status
clock_put(struct ft_vault_store *s, int64_t wall_s)
{
    if (wall_s > of(s)->clock_s)
        of(s)->clock_s = wall_s;
    return FT_OK;
}

static enum ft_status
clock_get(struct ft_vault_store *s, int64_t *wall_s)
{
    *wall_s = of(s)->clock_s;
    return FT_OK;
}

static enum ft_status
ledger_put(struct ft_vault_store *s, uint64_t seq, const uint8_t chain[32])
{
    struct memory_store *m = of(s);
    if (m->has_head && seq <= m->head_seq)
        return FT_OK;
    m->has_head = true;
    m->head_seq = seq;
    memcpy(m->head_chain, chain, 32);
    return FT_OK;
}

static enum ft_status
ledger_get(struct ft_vault_store *s, uint64_t *seq, uint8_t chain[32])
{
    const struct memory_store *m = of(s);
    if (!m->has_head)
        return FT_ERR_NOTFOUND;
    *seq = m->head_seq;
    memcpy(chain, m->head_chain, 32);
    return FT_OK;
}

static enum ft_status
opened_get(struct ft_vault_store *s, const char *domain, char day[FT_VAULT_DAY_SIZE])
{
    const struct memory_store *m = of(s);
    for (size_t i = 0; i < m->opened_count; i++)
        if (strcmp(m->opened[i].domain, domain) == 0) {
            memcpy(day, m->opened[i].day, FT_VAULT_DAY_SIZE);
            return FT_OK;
        }
    return FT_ERR_NOTFOUND;
}

static enum ft_status
opened_put(struct ft_vault_store *s, const char *domain, const char *day)
{
    char there[FT_VAULT_DAY_SIZE];
    if (opened_get(s, domain, there) == FT_OK)
        return FT_OK;
    struct opened *o = grow(&of(s)->opened, &of(s)->opened_count, sizeof *o);
    if (o == NULL)
        return FT_ERR_NOMEM;
    strncpy(o->domain, domain, sizeof o->domain - 1);
    strncpy(o->day, day, sizeof o->day - 1);
    return FT_OK;
}

static void
store_close(struct ft_vault_store *s)
{
    struct memory_store *m = of(s);
    for (size_t i = 0; i < m->task_count; i++)
        ft_vault_task_clear(&m->tasks[i]);
    ft_free(m->tasks);
    ft_free(m->journal);
    ft_free(m->participation);
    ft_free(m->previous);
    ft_free(m->trained);
    ft_free(m->opened);
    ft_buf_clear(&m->roster);
    ft_free(m);
}

static const struct ft_vault_store_calls calls = {
    .journal_put = journal_put,
    .journal_view = journal_view,
    .roster_put = roster_put,
    .roster_get = roster_get,
    .task_put = task_put,
    .task_get = task_get,
    .task_list = task_list,
    .task_approve = task_approve,
    .task_decided = task_decided,
    .approvals_changed = approvals_changed,
    .participations = participations,
    .last_of_task = last_of_task,
    .previous_put = previous_put,
    .previous_get = previous_get,
    .trained_on = trained_on,
    .clock_put = clock_put,
    .clock_get = clock_get,
    .ledger_put = ledger_put,
    .ledger_get = ledger_get,
    .opened_put = opened_put,
    .opened_get = opened_get,
    .close = store_close,
};

enum ft_status
ft_vault_store_memory(struct ft_vault_store **out)
{
    struct memory_store *m = ft_calloc(1, sizeof *m);
    *out = m != NULL ? &m->base : NULL;
    if (m == NULL)
        return FT_ERR_NOMEM;
    m->base.calls = &calls;
    return FT_OK;
}
