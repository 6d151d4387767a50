#include "client/vault/participant_internal.h"

#include "common/base/log.h"

#include <string.h>

#define RETHINK_MS 60000u /* a verdict other than accepted is looked at again, whatever happens */

struct known_task *
participant_find_task(struct ft_participant *p, const uint8_t hash[32])
{
    for (size_t i = 0; i < FT_PARTICIPANT_TASKS_MAX; i++)
        if (p->tasks[i].used && memcmp(p->tasks[i].hash, hash, 32) == 0)
            return &p->tasks[i];
    return NULL;
}

/* A free place, or that of the task seen longest ago; never the one of the session. */
static struct known_task *
take_place(struct ft_participant *p, const uint8_t hash[32])
{
    struct known_task *oldest = NULL;
    for (size_t i = 0; i < FT_PARTICIPANT_TASKS_MAX; i++) {
        struct known_task *k = &p->tasks[i];
        if (p->session.open && p->session.task == i)
            continue;
        if (!k->used) {
            oldest = k;
            break;
        }
        if (oldest == NULL || k->touched_ms < oldest->touched_ms)
            oldest = k;
    }
    if (oldest->used && oldest->valid)
        ft_task_clear(&oldest->task);
    *oldest = (struct known_task){ .used = true, .touched_ms = now_of(p) };
    memcpy(oldest->hash, hash, 32);
    return oldest;
}

static bool
same_decision(const struct ft_decision *a, const struct ft_decision *b)
{
    return a->verdict == b->verdict && a->code_count == b->code_count &&
           (a->code_count == 0 || memcmp(a->codes, b->codes, a->code_count * sizeof a->codes[0]) == 0);
}

/* Put a decision in force: remember it, report it when it is new. */
static enum ft_status
decided(struct ft_participant *p, struct known_task *k, const struct ft_decision *d)
{
    struct ft_vault_store *store = p->config.world.store;
    const bool is_new = !k->decided || !same_decision(&k->decision, d);
    const uint64_t wall = wall_of(p), now = now_of(p);
    enum ft_status st = FT_OK;

    k->decision = *d;
    k->decided = true;
    k->decide_at = now + RETHINK_MS;
    if (d->next_ms > wall && d->next_ms - wall < RETHINK_MS)
        k->decide_at = now + (d->next_ms - wall);
    if (is_new) {
        k->report = true;
        st = store->calls->task_decided(store, k->hash, d->verdict, d->codes, d->code_count, wall);
        ft_log(FT_LOG_INFO, "task.verdict", "task=%s verdict=%u code=%u", k->valid ? k->task.name : "-",
               d->verdict, d->code_count > 0 ? d->codes[0] : 0);
    }
    return st;
}

void
participant_note(struct ft_participant *p, struct known_task *k, uint32_t verdict, uint32_t code)
{
    struct ft_decision d = { .verdict = verdict, .codes = { code }, .code_count = 1 };
    if (decided(p, k, &d) != FT_OK)
        ft_log(FT_LOG_WARN, "task.verdict.unsaved", "code=%u", code);
}

enum ft_status
participant_decide(struct ft_participant *p, struct known_task *k)
{
    struct ft_vault_store *store = p->config.world.store;
    struct ft_vault_task record;
    struct ft_decision d = { .verdict = FT_WORD_REFUSED, .codes = { FT_REFUSAL_INTERNAL }, .code_count = 1 };
    if (!k->valid)
        return FT_OK;
    k->touched_ms = now_of(p);
    const enum ft_status st = store->calls->task_get(store, k->hash, &record);
    if (st != FT_OK) {
        d.verdict = FT_WORD_LATER; /* our disk's fault, not the task's: it is looked at again */
    } else {
        d = (struct ft_decision){ 0 };
        p->config.world.decide(p->config.world.ctx, &k->task, k->hash, record.approval, &d);
        if (d.verdict < FT_WORD_ACCEPTED || d.verdict > FT_WORD_LATER)
            d = (struct ft_decision){ .verdict = FT_WORD_REFUSED,
                                      .codes = { FT_REFUSAL_INTERNAL },
                                      .code_count = 1 };
    }
    ft_vault_task_clear(&record);
    return decided(p, k, &d);
}

/* Decide again where a person has spoken, or where time may have changed the answer. */
enum ft_status
participant_decide_due(struct ft_participant *p)
{
    struct ft_vault_store *store = p->config.world.store;
    uint64_t generation = p->approvals;
    enum ft_status st = store->calls->approvals_changed(store, &generation);
    const bool spoken = generation != p->approvals;
    if (st != FT_OK)
        return st;
    p->approvals = generation;
    for (size_t i = 0; i < FT_PARTICIPANT_TASKS_MAX && st == FT_OK; i++) {
        struct known_task *k = &p->tasks[i];
        if (!k->used || !k->valid || !k->decided)
            continue;
        if (spoken || (k->decision.verdict != FT_WORD_ACCEPTED && now_of(p) >= k->decide_at))
            st = participant_decide(p, k);
    }
    return st;
}

/* A task offered: verify, keep, decide. One that does not verify is refused by its hash and not fetched
 * again. */
enum ft_status
participant_task(struct ft_participant *p, const uint8_t hash[32], struct ft_bytes signed_task)
{
    struct ft_vault_store *store = p->config.world.store;
    struct ft_error err = { 0 };
    struct ft_task task;
    uint8_t found[32];
    uint32_t code = FT_REFUSAL_TASK_FORMAT;
    struct known_task *k = take_place(p, hash);
    enum ft_status st = ft_task_open(signed_task, p->config.pins.task_keys, p->config.pins.task_key_count,
                                     &task, found, &err);

    if (st == FT_ERR_NOMEM)
        return st;
    if (st == FT_OK && memcmp(found, hash, 32) != 0) {
        ft_task_clear(&task);
        st = ft_fail(&err, FT_ERR_VERIFY, "it is not the task that was offered");
    } else if (st == FT_ERR_VERIFY) {
        code = FT_REFUSAL_TASK_SIGNATURE;
    }
    if (st != FT_OK) {
        ft_log(FT_LOG_ERROR, "task.refused", "reason=%s", err.text);
        participant_note(p, k, FT_WORD_REFUSED, code);
        participant_stumble(p);
        return FT_OK;
    }
    k->task = task;
    k->valid = true;
    st = store->calls->task_put(store, hash, signed_task, task.name, task.purpose, wall_of(p));
    if (st != FT_OK) { /* not kept, so not known: it is fetched again when it is offered again */
        ft_task_clear(&k->task);
        *k = (struct known_task){ 0 };
        return st;
    }
    return participant_decide(p, k);
}

/* A task from before a restart. */
enum ft_status
participant_load_task(struct ft_participant *p, const uint8_t hash[32], struct known_task **out)
{
    struct ft_vault_store *store = p->config.world.store;
    struct ft_vault_task record;
    *out = participant_find_task(p, hash);
    if (*out != NULL)
        return FT_OK;
    enum ft_status st = store->calls->task_get(store, hash, &record);
    if (st == FT_OK) {
        st = participant_task(p, hash, ft_buf_bytes(&record.signed_task));
        *out = participant_find_task(p, hash);
    }
    ft_vault_task_clear(&record);
    return st == FT_ERR_NOTFOUND ? FT_OK : st;
}

struct restoring {
    uint8_t hashes[FT_PARTICIPANT_TASKS_MAX][32];
    size_t count;
};

static bool
note_hash(void *ctx, const struct ft_vault_task *record)
{
    struct restoring *r = ctx;
    memcpy(r->hashes[r->count++], record->hash, 32);
    return r->count < FT_PARTICIPANT_TASKS_MAX;
}

/* After a start the policy, the data or the person's word may be others: decide on every task anew and say
 * so. */
enum ft_status
participant_tasks_restore(struct ft_participant *p)
{
    struct ft_vault_store *store = p->config.world.store;
    struct restoring r = { .count = 0 };
    enum ft_status st = store->calls->task_list(store, note_hash, &r);
    for (size_t i = r.count; i-- > 0 && st == FT_OK;) { /* the newest last, so that it keeps its place */
        struct known_task *k = NULL;
        st = participant_load_task(p, r.hashes[i], &k);
        if (k != NULL)
            k->report = true;
    }
    return st;
}
