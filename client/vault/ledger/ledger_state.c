/* The rules of the file: which record may follow, and what it does to the counts. */
#include "client/vault/ledger/ledger_internal.h"

#include "common/base/alloc.h"
#include <math.h>
#include <string.h>

bool
ft_ledger_domain_valid(const struct ft_ledger_domain *d)
{
    const bool planned = d->mode == FT_LEDGER_PLANNED, adaptive = d->mode == FT_LEDGER_ADAPTIVE;
    const size_t length = strnlen(d->id, sizeof d->id);

    if (length == 0 || length > FT_LEDGER_DOMAIN_MAX || !(planned || adaptive))
        return false;
    if (d->method != FT_ACCOUNT_RDP && !(planned && d->method == FT_ACCOUNT_PLD))
        return false;
    if (!(d->epsilon_max > 0) || !isfinite(d->epsilon_max))
        return false;
    if (!(d->delta >= FT_PRIVACY_DELTA_MIN) || !(d->delta <= FT_PRIVACY_DELTA_MAX))
        return false;
    return planned ? d->order == 0 : d->order >= 2 && d->order <= 1024;
}

bool
ft_ledger_reservation_valid(const struct ft_ledger_reservation *t)
{
    const struct ft_account_event e = ft_ledger_event(t, t->steps);
    const size_t length = strnlen(t->domain, sizeof t->domain);

    return length > 0 && length <= FT_LEDGER_DOMAIN_MAX && t->q_num >= 1 && t->q_num <= FT_PRIVACY_Q_ONE &&
           t->steps >= 1 && t->sigma_share <= FT_PRIVACY_SHARE_MAX && ft_account_event_check(&e, NULL) == FT_OK;
}

struct ft_account_event
ft_ledger_event(const struct ft_ledger_reservation *t, uint64_t steps)
{
    return (struct ft_account_event){ .q = ft_privacy_q(t->q_num),
                                      .z = ft_privacy_z_eff(t->delta_int_sq, t->t_min, t->sigma_share),
                                      .steps = steps,
                                      .m = t->m_stores };
}

struct ft_ledger_entry *
ft_ledger_entry_find(const struct ft_ledger *l, const uint8_t task[32])
{
    for (size_t i = 0; i < l->task_count; i++)
        if (memcmp(l->tasks[i].task.reserved.task, task, 32) == 0)
            return &l->tasks[i];
    return NULL;
}

const struct ft_ledger_domain *
ft_ledger_domain_find(const struct ft_ledger *l, const char *id)
{
    for (size_t i = 0; i < l->domain_count; i++)
        if (strcmp(l->domains[i].id, id) == 0)
            return &l->domains[i];
    return NULL;
}

/* Place of the first round that is not below `round`. */
static size_t
round_place(const struct ft_ledger_entry *e, uint64_t round)
{
    size_t low = 0, high = (size_t)e->task.spent;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (e->rounds[middle].round < round)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct ft_ledger_round *
ft_ledger_round_find(const struct ft_ledger_entry *e, uint64_t round)
{
    const size_t place = round_place(e, round);
    return place < e->task.spent && e->rounds[place].round == round ? &e->rounds[place] : NULL;
}

/* ---- may it come next? ---- */

static uint64_t
used(const struct ft_ledger_task *t)
{
    return t->spent + t->recovered;
}

/* A plan is complete, and exactly what was hashed, when its first step is spent. */
static enum ft_status
check_plan(const struct ft_ledger *l, const struct ft_ledger_domain *d, struct ft_error *err)
{
    struct ft_ledger_reservation *plan = ft_calloc(l->task_count + 1, sizeof *plan);
    uint8_t hash[32];
    size_t count = 0;

    if (plan == NULL)
        return FT_ERR_NOMEM;
    for (size_t i = 0; i < l->task_count; i++)
        if (strcmp(l->tasks[i].task.reserved.domain, d->id) == 0)
            plan[count++] = l->tasks[i].task.reserved;
    ft_ledger_plan_hash(plan, count, hash);
    ft_free(plan);
    if (memcmp(hash, d->plan_hash, 32) == 0)
        return FT_OK;
    return ft_fail(err, FT_ERR_STATE, "LEDGER_ORDER: the %zu tasks of domain \"%s\" are not the plan it was opened for",
                   count, d->id);
}

static bool
domain_spent(const struct ft_ledger *l, const char *id)
{
    for (size_t i = 0; i < l->task_count; i++)
        if (l->tasks[i].task.spent > 0 && strcmp(l->tasks[i].task.reserved.domain, id) == 0)
            return true;
    return false;
}

static enum ft_status
check_reserve(const struct ft_ledger *l, const struct ft_ledger_reservation *t, struct ft_error *err)
{
    const struct ft_ledger_domain *d = ft_ledger_domain_find(l, t->domain);

    if (!ft_ledger_reservation_valid(t))
        return ft_fail(err, FT_ERR_LIMIT, "BAD_PARAMETERS: a reservation outside the accountant's limits");
    if (d == NULL)
        return ft_fail(err, FT_ERR_NOTFOUND, "LEDGER_ORDER: no budget domain \"%s\" is open", t->domain);
    if (ft_ledger_entry_find(l, t->task) != NULL)
        return ft_fail(err, FT_ERR_STATE, "LEDGER_ORDER: the task has a reservation already");
    if (l->task_count == FT_LEDGER_TASKS_MAX)
        return ft_fail(err, FT_ERR_LIMIT, "the ledger has %u tasks already", FT_LEDGER_TASKS_MAX);
    if (d->mode == FT_LEDGER_PLANNED && domain_spent(l, d->id))
        return ft_fail(err, FT_ERR_REFUSED,
                       "REFUSED_BUDGET: domain \"%s\" follows a plan that was fixed before its first step", d->id);
    return FT_OK;
}

static enum ft_status
check_spend(const struct ft_ledger *l, const struct ft_ledger_record *r, struct ft_error *err)
{
    const struct ft_ledger_entry *e = ft_ledger_entry_find(l, r->task);
    const unsigned long long round = (unsigned long long)r->round;

    if (e == NULL)
        return ft_fail(err, FT_ERR_NOTFOUND, "LEDGER_ORDER: the task has no reservation");
    if (ft_ledger_round_find(e, r->round) != NULL)
        return ft_fail(err, FT_ERR_STATE, "LEDGER_ORDER: round %llu of the task is spent already", round);
    if (!e->task.open)
        return ft_fail(err, FT_ERR_STATE, "LEDGER_ORDER: the task is closed");
    if (used(&e->task) >= e->task.reserved.steps)
        return ft_fail(err, FT_ERR_REFUSED, "REFUSED_BUDGET: all %llu steps of the task are used",
                       (unsigned long long)e->task.reserved.steps);
    const struct ft_ledger_domain *d = ft_ledger_domain_find(l, e->task.reserved.domain);
    return d->mode == FT_LEDGER_PLANNED && !domain_spent(l, d->id) ? check_plan(l, d, err) : FT_OK;
}

static enum ft_status
check_seal(const struct ft_ledger *l, const struct ft_ledger_record *r, struct ft_error *err)
{
    const struct ft_ledger_entry *e = ft_ledger_entry_find(l, r->task);
    const struct ft_ledger_round *round = e != NULL ? ft_ledger_round_find(e, r->round) : NULL;

    if (round == NULL)
        return ft_fail(err, FT_ERR_STATE, "LEDGER_ORDER: round %llu of the task was never spent",
                       (unsigned long long)r->round);
    if (round->is_sealed)
        return ft_fail(err, FT_ERR_STATE, "LEDGER_ORDER: round %llu of the task is sealed already",
                       (unsigned long long)r->round);
    return FT_OK;
}

enum ft_status
ft_ledger_state_check(const struct ft_ledger *l, const struct ft_ledger_record *r, struct ft_error *err)
{
    const struct ft_ledger_entry *e;

    if ((r->type == FT_LEDGER_GENESIS) != (l->records == 0))
        return ft_fail(err, FT_ERR_STATE, "LEDGER_ORDER: a ledger begins with its one GENESIS");
    switch (r->type) {
    case FT_LEDGER_GENESIS:
        if (r->version != FT_LEDGER_VERSION)
            return ft_fail(err, FT_ERR_FORMAT, "version %u of the ledger's format, this program knows %u", r->version,
                           FT_LEDGER_VERSION);
        return FT_OK;
    case FT_LEDGER_OPEN_DOMAIN:
        if (!ft_ledger_domain_valid(&r->domain))
            return ft_fail(err, FT_ERR_LIMIT, "BAD_PARAMETERS: a budget domain outside the accountant's limits");
        if (ft_ledger_domain_find(l, r->domain.id) != NULL)
            return ft_fail(err, FT_ERR_DUPLICATE, "LEDGER_ORDER: domain \"%s\" is open already", r->domain.id);
        if (l->domain_count == FT_LEDGER_DOMAINS_MAX)
            return ft_fail(err, FT_ERR_LIMIT, "the ledger has %u domains already", FT_LEDGER_DOMAINS_MAX);
        return FT_OK;
    case FT_LEDGER_RESERVE:
        return check_reserve(l, &r->reservation, err);
    case FT_LEDGER_SPEND:
        return check_spend(l, r, err);
    case FT_LEDGER_SEALED:
        return check_seal(l, r, err);
    case FT_LEDGER_CLOSE:
    case FT_LEDGER_RECOVER:
        e = ft_ledger_entry_find(l, r->task);
        if (e == NULL)
            return ft_fail(err, FT_ERR_NOTFOUND, "LEDGER_ORDER: the task has no reservation");
        if (!e->task.open)
            return ft_fail(err, FT_ERR_STATE, "LEDGER_ORDER: the task is closed");
        if (r->type == FT_LEDGER_CLOSE && (r->reason < FT_LEDGER_FINISHED || r->reason > FT_LEDGER_RESTORED))
            return ft_fail(err, FT_ERR_LIMIT, "BAD_PARAMETERS: a task is closed for one of four reasons");
        return FT_OK;
    case FT_LEDGER_TYPES:
        break;
    }
    return ft_fail(err, FT_ERR_FORMAT, "a record of no known type");
}

/* ---- taking it ---- */

static bool
room(void *list, size_t *have, size_t count, size_t size)
{
    void **items = list;
    if (count < *have)
        return true;
    const size_t more = *have > 0 ? 2 * *have : 8;
    void *p = ft_realloc(*items, more * size);
    if (p == NULL)
        return false;
    *items = p;
    *have = more;
    return true;
}

enum ft_status
ft_ledger_state_room(struct ft_ledger *l, const struct ft_ledger_record *r)
{
    if (!room(&l->chains, &l->chain_room, l->records, sizeof *l->chains))
        return FT_ERR_NOMEM;
    if (r->type == FT_LEDGER_OPEN_DOMAIN && !room(&l->domains, &l->domain_room, l->domain_count, sizeof *l->domains))
        return FT_ERR_NOMEM;
    if (r->type == FT_LEDGER_RESERVE && !room(&l->tasks, &l->task_room, l->task_count, sizeof *l->tasks))
        return FT_ERR_NOMEM;
    if (r->type == FT_LEDGER_SPEND) {
        struct ft_ledger_entry *e = ft_ledger_entry_find(l, r->task);
        if (e != NULL && !room(&e->rounds, &e->room, (size_t)e->task.spent, sizeof *e->rounds))
            return FT_ERR_NOMEM;
    }
    return FT_OK;
}

static void
charge(struct ft_ledger_task *t)
{
    const uint64_t steps = t->reserved.steps;
    const bool whole = t->open || t->reason == FT_LEDGER_FAILED_AUDIT || t->reason == FT_LEDGER_RESTORED;
    t->charged = whole && used(t) < steps ? steps : used(t);
}

void
ft_ledger_state_apply(struct ft_ledger *l, const struct ft_ledger_record *r, const uint8_t chain[32])
{
    struct ft_ledger_entry *e = NULL;

    switch (r->type) {
    case FT_LEDGER_GENESIS:
        memcpy(l->shop, r->shop, sizeof l->shop);
        memcpy(l->id, r->ledger_id, sizeof l->id);
        break;
    case FT_LEDGER_OPEN_DOMAIN:
        l->domains[l->domain_count++] = r->domain;
        break;
    case FT_LEDGER_RESERVE:
        e = &l->tasks[l->task_count++];
        *e = (struct ft_ledger_entry){ .task = { .reserved = r->reservation, .open = true } };
        break;
    case FT_LEDGER_SPEND: {
        e = ft_ledger_entry_find(l, r->task);
        const size_t place = round_place(e, r->round);
        memmove(&e->rounds[place + 1], &e->rounds[place], ((size_t)e->task.spent - place) * sizeof *e->rounds);
        e->rounds[place] = (struct ft_ledger_round){ .round = r->round };
        memcpy(e->rounds[place].session, r->hash, 32);
        e->task.spent++;
        break;
    }
    case FT_LEDGER_SEALED: {
        struct ft_ledger_round *round = ft_ledger_round_find(ft_ledger_entry_find(l, r->task), r->round);
        round->is_sealed = true;
        memcpy(round->sealed, r->hash, 32);
        break;
    }
    case FT_LEDGER_CLOSE:
        e = ft_ledger_entry_find(l, r->task);
        e->task.open = false;
        e->task.reason = r->reason;
        break;
    case FT_LEDGER_RECOVER:
        e = ft_ledger_entry_find(l, r->task);
        e->task.recovered++;
        break;
    case FT_LEDGER_TYPES:
        break;
    }
    if (e != NULL)
        charge(&e->task);
    memcpy(l->chains[l->records++], chain, FT_LEDGER_CHAIN_SIZE);
}
