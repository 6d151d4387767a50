#include "client/vault/budget.h"

#include "client/vault/home.h"
#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/plan/privacy_plan.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

_Static_assert((int)FT_BUDGET_PLANNED == (int)FT_LEDGER_PLANNED &&
                   (int)FT_BUDGET_ADAPTIVE == (int)FT_LEDGER_ADAPTIVE,
               "the policy's modes are the ledger's");

struct ft_budget {
    struct ft_ledger *ledger;
    struct ft_vault_store *store; /* NULL: nothing is remembered */
    uint32_t fault; /* enum ft_refusal_code */
    char text[200];
};

/* The code at the start of a ledger's sentence, else one for the status. */
static uint32_t
code_of(enum ft_status st, const struct ft_error *err)
{
    static const uint32_t known[] = { FT_REFUSAL_REFUSED_BUDGET,  FT_REFUSAL_LEDGER_CORRUPT,
                                      FT_REFUSAL_LEDGER_ROLLBACK, FT_REFUSAL_LEDGER_FOREIGN,
                                      FT_REFUSAL_LEDGER_IO,       FT_REFUSAL_LEDGER_BUSY,
                                      FT_REFUSAL_NUMERIC_FAILURE, FT_REFUSAL_BAD_PARAMETERS };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const char *name = ft_refusal_name(known[i]);
        if (strncmp(err->text, name, strlen(name)) == 0)
            return known[i];
    }
    return st == FT_ERR_VERIFY || st == FT_ERR_FORMAT ? FT_REFUSAL_LEDGER_CORRUPT
           : st == FT_ERR_STATE                       ? FT_REFUSAL_REFUSED_BUDGET
                                                      : FT_REFUSAL_LEDGER_IO;
}

static void
set_fault(struct ft_budget *b, enum ft_status st, const struct ft_error *err)
{
    b->fault = code_of(st, err);
    snprintf(b->text, sizeof b->text, "%.199s", err->text[0] != '\0' ? err->text : ft_status_str(st));
    ft_log(FT_LOG_ERROR, "ledger.fault", "code=%s reason=%s", ft_refusal_name(b->fault), b->text);
}

static enum ft_status
keep(struct ft_budget *b, const char *path, const char *shop, const uint8_t key[32], const struct ft_env *env,
     struct ft_error *err)
{
    struct ft_ledger_opened opened = { 0 };
    struct ft_ledger_file file;
    uint8_t id[16];
    enum ft_status st;

    env->random(env->ctx, id, sizeof id);
    FT_TRY(ft_ledger_file_posix(path, &file));
    FT_TRY(ft_ledger_open(file, key, shop, id, &b->ledger, &opened, err));
    if (opened.torn > 0)
        ft_log(FT_LOG_WARN, "ledger.recovered",
               "bytes=%llu tasks=%zu effect=one contribution charged to each open task",
               (unsigned long long)opened.torn, opened.recovered);
out:
    return st;
}

static enum ft_status
look(struct ft_budget *b, const char *path, const char *shop, const uint8_t key[32])
{
    struct ft_buf bytes = { 0 };
    struct ft_error err = { 0 };
    enum ft_status st = ft_file_read(path, FT_LEDGER_SIZE_MAX, &bytes, &err);

    if (st == FT_OK && bytes.size > 0)
        st = ft_ledger_view(ft_buf_bytes(&bytes), key, shop, &b->ledger, &err);
    ft_buf_clear(&bytes);
    if (st == FT_ERR_NOMEM)
        return st;
    if (st != FT_OK && st != FT_ERR_NOTFOUND)
        set_fault(b, st, &err);
    return FT_OK;
}

/* `who` has seen this head: ours must hold it. */
static enum ft_status
check_head(struct ft_budget *b, const struct ft_ledger_head *seen, const char *who, struct ft_error *err)
{
    struct ft_error own = { 0 };
    if (b->fault != 0)
        return FT_OK;
    const enum ft_status st =
        b->ledger != NULL
            ? ft_ledger_check_head(b->ledger, seen, who, &own)
            : ft_fail(&own, FT_ERR_VERIFY,
                      "LEDGER_ROLLBACK: there is no ledger, but %s has seen its record %llu; put its newest "
                      "copy back",
                      who, (unsigned long long)seen->seq);
    if (st != FT_OK) {
        set_fault(b, st, &own);
        (void)!ft_fail(err, st, "%s", own.text);
    }
    return st;
}

enum ft_status
ft_budget_open(const char *state_dir, const char *shop, const struct ft_node_key *key,
               const struct ft_env *env, enum ft_budget_use use, struct ft_vault_store *store,
               struct ft_budget **out, struct ft_error *err)
{
    static const char label[] = "fedtill/ledger-key/1";
    uint8_t ledger_key[FT_LEDGER_KEY_SIZE];
    struct ft_ledger_head known = { 0 };
    struct ft_error own = { 0 };
    /* before the ledger: what is spent in between makes that the newer one */
    enum ft_status told =
        store != NULL ? store->calls->ledger_get(store, &known.seq, known.chain) : FT_ERR_NOTFOUND;
    struct ft_budget *b = ft_calloc(1, sizeof *b);
    char *path = ft_home_path(state_dir, FT_HOME_LEDGER);
    enum ft_status st = FT_ERR_NOMEM;

    *out = NULL;
    if (b == NULL || path == NULL)
        goto out;
    crypto_generichash(ledger_key, sizeof ledger_key, (const uint8_t *)label, sizeof label, key->bytes,
                       sizeof key->bytes);
    b->store = store;
    FT_TRY(use == FT_BUDGET_KEEP ? keep(b, path, shop, ledger_key, env, err)
                                 : look(b, path, shop, ledger_key));
    if (told == FT_OK)
        told = check_head(b, &known, "this shop's own state", &own);
    else if (told != FT_ERR_NOTFOUND)
        (void)!ft_fail(&own, told, "the state cannot say how far the privacy ledger has come");
    /* with LOOK the fault is there to be looked at */
    if (use == FT_BUDGET_KEEP && told != FT_OK && told != FT_ERR_NOTFOUND) {
        st = ft_fail(err, told, "%s", own.text);
        goto out;
    }
    *out = b;
    b = NULL;
out:
    sodium_memzero(ledger_key, sizeof ledger_key);
    ft_free(path);
    ft_budget_close(b);
    return st;
}

void
ft_budget_close(struct ft_budget *b)
{
    if (b == NULL)
        return;
    ft_ledger_close(b->ledger);
    ft_free(b);
}

uint32_t
ft_budget_fault(const struct ft_budget *b, const char **text)
{
    if (text != NULL)
        *text = b->text;
    return b->fault;
}

const struct ft_ledger *
ft_budget_ledger(const struct ft_budget *b)
{
    return b->fault == 0 ? b->ledger : NULL;
}

/* ---- asking ---- */

void
ft_budget_reservation(const struct ft_task *task, const uint8_t task_hash[32],
                      struct ft_ledger_reservation *out)
{
    const struct ft_task_privacy *p = &task->privacy;
    *out = (struct ft_ledger_reservation){ .q_num = p->q_num,
                                           .delta_int_sq = p->delta_int_sq,
                                           .sigma_share = p->sigma_share,
                                           .t_min = p->t_min,
                                           .m_stores = p->m_stores,
                                           .steps = p->steps };
    memcpy(out->task, task_hash, 32);
    memcpy(out->manifest, task_hash, 32); /* the task's bytes hold every parameter */
}

/* The domain as it was opened, or as the policy would open it. */
static enum ft_status
domain_of(const struct ft_budget *b, const struct ft_policy_budget *from, struct ft_ledger_domain *out)
{
    const struct ft_ledger_domain *open =
        b->ledger != NULL ? ft_ledger_domain_find(b->ledger, from->domain) : NULL;

    if (open != NULL) {
        *out = *open;
        return FT_OK;
    }
    *out =
        (struct ft_ledger_domain){ .mode = (enum ft_ledger_mode)from->mode,
                                   .method = from->method == FT_BUDGET_PLD ? FT_ACCOUNT_PLD : FT_ACCOUNT_RDP,
                                   .epsilon_max = from->epsilon_max,
                                   .delta = from->delta,
                                   .order = from->order };
    snprintf(out->id, sizeof out->id, "%.48s", from->domain);
    return from->plan == NULL ? FT_OK : ft_unhex(out->plan_hash, sizeof out->plan_hash, from->plan);
}

static void
tell(struct ft_policy_ledger *out, enum ft_status st, const struct ft_error *err)
{
    out->fault = code_of(st, err);
    snprintf(out->text, sizeof out->text, "%.199s", err->text[0] != '\0' ? err->text : ft_status_str(st));
}

/* ---- when a domain was opened ---- */

enum ft_status
ft_budget_check_opened(struct ft_vault_store *store, const struct ft_policy_budget *from,
                       struct ft_error *err)
{
    char day[FT_VAULT_DAY_SIZE];
    const enum ft_status st =
        store != NULL ? store->calls->opened_get(store, from->domain, day) : FT_ERR_NOTFOUND;

    if (st == FT_ERR_NOTFOUND)
        return FT_OK;
    if (st != FT_OK)
        return ft_fail(err, st, "the state cannot say when budget %s was opened", from->domain);
    if (from->opened != NULL && strcmp(from->opened, day) <= 0)
        return FT_OK;
    return ft_fail(
        err, FT_ERR_REFUSED,
        "budget %s was opened for who came by %s; policy.yaml says opened: %s now, and another shop may have "
        "charged who came after",
        from->domain, day, from->opened != NULL ? from->opened : "nothing");
}

static uint32_t
code_of_opened(enum ft_status st)
{
    return st == FT_ERR_REFUSED ? FT_REFUSAL_BUDGET_MISSING : FT_REFUSAL_LEDGER_IO;
}

/* Durable before the task is told to be accepted. */
static enum ft_status
note_opened(struct ft_budget *b, const struct ft_policy_budget *from, struct ft_error *err)
{
    if (b->store == NULL || from->opened == NULL)
        return FT_OK;
    const enum ft_status st = b->store->calls->opened_put(b->store, from->domain, from->opened);
    return st == FT_OK ? FT_OK
                       : ft_fail(err, st, "the state cannot note when budget %s was opened", from->domain);
}

void
ft_budget_ask(const struct ft_budget *b, const struct ft_policy_budget *from, const struct ft_task *task,
              const uint8_t task_hash[32], struct ft_policy_ledger *out)
{
    const struct ft_ledger_task *there = b->ledger != NULL ? ft_ledger_task_find(b->ledger, task_hash) : NULL;
    struct ft_ledger_reservation reservation;
    struct ft_ledger_domain domain;
    struct ft_ledger_quote quote = { 0 };
    struct ft_account_event event;
    struct ft_error err = { 0 };
    enum ft_status st;

    *out = (struct ft_policy_ledger){ .fault = b->fault };
    memcpy(out->text, b->text, sizeof out->text);
    if (b->fault != 0)
        return;
    st = ft_budget_check_opened(b->store, from, &err);
    if (st != FT_OK) {
        tell(out, st, &err);
        out->fault = code_of_opened(st);
        return;
    }
    st = ft_plan_privacy_check(task, &err);
    if (st != FT_OK) {
        tell(out, st, &err);
        out->fault = st == FT_ERR_CONFIG ? FT_REFUSAL_BAD_PARAMETERS : FT_REFUSAL_NUMERIC_FAILURE;
        return;
    }
    ft_budget_reservation(task, task_hash, &reservation);
    FT_TRY(domain_of(b, from, &domain));
    memcpy(reservation.domain, domain.id, sizeof reservation.domain);
    event = ft_plan_privacy_event(task, task->privacy.steps);
    FT_TRY(ft_account_cost_rdp(&event, 1, domain.delta, &out->epsilon_task, NULL));
    out->epsilon_max = domain.epsilon_max;
    out->delta = domain.delta;
    out->steps = reservation.steps;
    if (there != NULL) {
        out->reserved = true;
        out->closed = !there->open;
        out->spent = there->spent + there->recovered;
    } else {
        FT_TRY(ft_ledger_quote_in(b->ledger, &domain, &reservation, &quote, NULL, &err));
        out->admitted = quote.admitted;
        out->epsilon_now = quote.epsilon_now;
        out->epsilon_after = quote.epsilon_after;
    }
    out->answered = true;
    return;
out:
    tell(out, st, &err);
    if (st == FT_ERR_NONFINITE || st == FT_ERR_LIMIT)
        out->fault = FT_REFUSAL_NUMERIC_FAILURE;
}

/* ---- writing ---- */

/* A write or sync that failed leaves the ledger read-only: a fault until the next start. */
static void
note_failure(struct ft_budget *b, enum ft_status st, const struct ft_error *err)
{
    if (st == FT_ERR_IO || st == FT_ERR_FULL)
        set_fault(b, st, err);
}

static enum ft_status
usable(const struct ft_budget *b, struct ft_error *err)
{
    if (b->fault != 0)
        return ft_fail(err, FT_ERR_REFUSED, "%s", b->text);
    return b->ledger != NULL ? FT_OK
                             : ft_fail(err, FT_ERR_STATE, "LEDGER_IO: the ledger is not open for writing");
}

enum ft_status
ft_budget_reserve(struct ft_budget *b, const struct ft_policy_budget *from, const struct ft_task *task,
                  const uint8_t task_hash[32], uint32_t *code, struct ft_error *err)
{
    struct ft_ledger_reservation reservation;
    struct ft_ledger_domain domain;
    struct ft_ledger_quote quote;
    struct ft_error own = { 0 };
    enum ft_status st;

    err = err != NULL ? err : &own; /* the code is read from it */
    *code = b->fault != 0 ? b->fault : FT_REFUSAL_LEDGER_IO;
    FT_TRY(usable(b, err));
    st = ft_budget_check_opened(b->store, from, err);
    if (st != FT_OK) {
        *code = code_of_opened(st);
        return st;
    }
    ft_budget_reservation(task, task_hash, &reservation);
    FT_TRY(domain_of(b, from, &domain));
    memcpy(reservation.domain, domain.id, sizeof reservation.domain);
    if (ft_ledger_task_find(b->ledger, task_hash) == NULL) {
        FT_TRY(ft_ledger_quote_in(b->ledger, &domain, &reservation, &quote, &domain.order, err));
        if (!quote.admitted || quote.epsilon_after > from->epsilon_max) {
            st = ft_fail(err, FT_ERR_REFUSED,
                         "REFUSED_BUDGET: domain \"%s\" has spent epsilon %.4g of %.4g; with this task it "
                         "would be %.4g",
                         domain.id, quote.epsilon_now,
                         from->epsilon_max < quote.epsilon_max ? from->epsilon_max : quote.epsilon_max,
                         quote.epsilon_after);
            goto out;
        }
        FT_TRY(ft_ledger_open_domain(b->ledger, &domain, err));
    }
    FT_TRY(ft_ledger_reserve(b->ledger, &reservation, NULL, err));
out:
    if (st != FT_OK) {
        note_failure(b, st, err);
        *code = b->fault != 0 ? b->fault : code_of(st, err);
        return st;
    }
    *code = FT_REFUSAL_LEDGER_IO;
    return note_opened(b, from, err);
}

bool
ft_budget_can_pay(const struct ft_budget *b, const uint8_t task_hash[32], uint64_t round)
{
    const struct ft_ledger_task *t = b->ledger != NULL ? ft_ledger_task_find(b->ledger, task_hash) : NULL;
    return b->fault == 0 && t != NULL && t->open && t->spent + t->recovered < t->reserved.steps &&
           ft_ledger_writable(b->ledger) && !ft_ledger_round_spent(b->ledger, task_hash, round);
}

enum ft_status
ft_budget_spend(struct ft_budget *b, const uint8_t task_hash[32], uint64_t round, const uint8_t session[32],
                struct ft_error *err)
{
    struct ft_error own = { 0 };
    enum ft_status st = usable(b, err = err != NULL ? err : &own);
    if (st != FT_OK)
        return st;
    st = ft_ledger_spend(b->ledger, task_hash, round, session, err);
    note_failure(b, st, err);
    return st;
}

enum ft_status
ft_budget_end_task(struct ft_budget *b, const uint8_t task_hash[32], enum ft_ledger_close_reason reason,
                   struct ft_error *err)
{
    const struct ft_ledger_task *t = b->ledger != NULL ? ft_ledger_task_find(b->ledger, task_hash) : NULL;
    struct ft_error own = { 0 };
    if (t == NULL || !t->open || b->fault != 0)
        return FT_OK;
    err = err != NULL ? err : &own;
    const enum ft_status st = ft_ledger_close_task(b->ledger, task_hash, reason, err);
    note_failure(b, st, err);
    return st;
}

bool
ft_budget_head(const struct ft_budget *b, struct ft_ledger_head *head)
{
    if (b->ledger == NULL)
        return false;
    ft_ledger_head(b->ledger, head);
    return true;
}

enum ft_status
ft_budget_seen(struct ft_budget *b, const struct ft_ledger_head *seen, struct ft_error *err)
{
    return check_head(b, seen, "the aggregator", err);
}

/* ---- what it tells of customers ---- */

bool
ft_budget_of_store(enum ft_unit unit, const struct ft_ledger_reservation *r)
{
    return unit == FT_UNIT_STORE || (unit == 0 && r->q_num == FT_PRIVACY_Q_ONE && r->m_stores == 1);
}

struct ft_account_event
ft_budget_customer_event(const struct ft_ledger_task *t, enum ft_unit unit)
{
    const struct ft_ledger_reservation *r = &t->reserved;
    const double z = ft_privacy_z_eff(r->delta_int_sq, r->t_min, r->sigma_share);
    return (struct ft_account_event){ ft_privacy_q(r->q_num), ft_budget_of_store(unit, r) ? z / 2 : z,
                                      t->spent + t->recovered, r->m_stores };
}

bool
ft_budget_customer_bound(const struct ft_ledger_task *t, enum ft_unit unit, double delta, uint64_t customers,
                         double *epsilon)
{
    struct ft_account_event event = ft_budget_customer_event(t, unit);
    const bool store = ft_budget_of_store(unit, &t->reserved); /* in whose one vector all of them are */
    struct ft_account_cost cost;
    double each = 0;

    if (event.steps == 0 || customers < 1)
        return false;
    if (unit == 0 && store && customers > 1 &&
        !ft_budget_customer_bound(t, FT_UNIT_CUSTOMER, delta, customers, &each))
        return false;
    if (!store && customers > FT_ACCOUNT_STORES_MAX / event.m)
        return false;
    event.m = store ? 1 : (uint32_t)customers * event.m;
    if (ft_account_cost(&event, 1, delta, &cost) != FT_OK)
        return false;
    *epsilon = cost.pld > each ? cost.pld : each;
    return true;
}
