#include "client/vault/ledger/ledger_internal.h"

#include "common/base/alloc.h"
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* ---- writing one record ---- */

static enum ft_status
io_failed(struct ft_ledger *l, enum ft_status st, struct ft_error *err)
{
    l->broken = true;
    if (st != FT_ERR_FULL)
        st = FT_ERR_IO;
    return ft_fail(err, st, "LEDGER_IO: the privacy ledger could not be written (%s); nothing more is spent until the "
                            "client is started again", ft_status_str(st));
}

/* Check, write, sync, and only then count. */
static enum ft_status
add(struct ft_ledger *l, struct ft_ledger_record *r, struct ft_error *err)
{
    static const uint8_t none[FT_LEDGER_CHAIN_SIZE];
    uint8_t bytes[FT_LEDGER_RECORD_MAX], chain[FT_LEDGER_CHAIN_SIZE];
    enum ft_status st;

    if (l->view)
        return ft_fail(err, FT_ERR_STATE, "LEDGER_ORDER: this ledger was opened to be looked at");
    if (l->broken)
        return ft_fail(err, FT_ERR_IO, "LEDGER_IO: an earlier write failed; start the client again");
    FT_TRY(ft_ledger_state_check(l, r, err));
    FT_TRY(ft_ledger_state_room(l, r));
    r->seq = l->records;
    const size_t size =
        ft_ledger_record_write(r, l->key, l->records > 0 ? l->chains[l->records - 1] : none, bytes, chain);
    if (l->size + size > FT_LEDGER_SIZE_MAX)
        return ft_fail(err, FT_ERR_FULL, "LEDGER_IO: the privacy ledger is full");
    st = l->file.calls->append(l->file.ctx, l->size, FT_BYTES(bytes, size));
    if (st == FT_OK)
        st = l->file.calls->sync(l->file.ctx);
    if (st != FT_OK)
        return io_failed(l, st, err);
    l->size += size;
    ft_ledger_state_apply(l, r, chain);
out:
    return st;
}

/* ---- opening ---- */

static enum ft_status
corrupt(struct ft_error *err, uint64_t seq, uint64_t offset, const char *what)
{
    return ft_fail(err, FT_ERR_VERIFY,
                   "LEDGER_CORRUPT: record %llu of the privacy ledger, at byte %llu, %s; this shop takes no part until "
                   "the ledger is restored",
                   (unsigned long long)seq, (unsigned long long)offset, what);
}

/* Take all whole records; *torn counts the bytes of a last one that is not. */
static enum ft_status
replay(struct ft_ledger *l, struct ft_bytes bytes, uint64_t *torn, struct ft_error *err)
{
    uint8_t previous[FT_LEDGER_CHAIN_SIZE] = { 0 }, chain[FT_LEDGER_CHAIN_SIZE];
    struct ft_ledger_record r;
    size_t size;
    enum ft_status st = FT_OK;

    *torn = 0;
    for (;;) {
        const struct ft_bytes rest = FT_BYTES(bytes.data + l->size, bytes.size - (size_t)l->size);
        struct ft_error why = { 0 };
        switch (ft_ledger_record_read(rest, l->key, previous, l->records, &r, chain, &size)) {
        case FT_LEDGER_READ_END:
            return FT_OK;
        case FT_LEDGER_READ_TORN:
            *torn = rest.size;
            return FT_OK;
        case FT_LEDGER_READ_BAD:
            return corrupt(err, l->records, l->size, "is damaged");
        case FT_LEDGER_READ_OK:
            break;
        }
        st = ft_ledger_state_check(l, &r, &why);
        if (st == FT_ERR_NOMEM)
            return st;
        if (st != FT_OK)
            return corrupt(err, l->records, l->size, "could not follow those before it");
        FT_TRY(ft_ledger_state_room(l, &r));
        ft_ledger_state_apply(l, &r, chain);
        memcpy(previous, chain, sizeof previous);
        l->size += size;
    }
out:
    return st;
}

static enum ft_status
check_shop(const struct ft_ledger *l, const char *shop, struct ft_error *err)
{
    if (shop == NULL || l->records == 0 || strcmp(l->shop, shop) == 0)
        return FT_OK;
    return ft_fail(err, FT_ERR_VERIFY, "LEDGER_FOREIGN: the privacy ledger is of shop \"%s\", not of \"%s\"", l->shop,
                   shop);
}

/* The file ends `beyond` bytes behind the last record; what is new there is zero. */
static enum ft_status
end_at(struct ft_ledger *l, size_t beyond, struct ft_error *err)
{
    enum ft_status st = l->file.calls->truncate(l->file.ctx, l->size + beyond);
    if (st == FT_OK)
        st = l->file.calls->sync(l->file.ctx);
    return st == FT_OK ? FT_OK : io_failed(l, st, err);
}

/* Charge one step more to every open task for the torn end. Until the last of these records is durable the
 * file has an end that is torn, of zeros: a power cut in between charges them again, and never forgets one.
 */
static enum ft_status
recover(struct ft_ledger *l, struct ft_ledger_opened *opened, struct ft_error *err)
{
    static const uint8_t zero[1];
    size_t open = 0;
    enum ft_status st;

    for (size_t i = 0; i < l->task_count; i++)
        open += l->tasks[i].task.open;
    FT_TRY(end_at(l, open > 0, err)); /* its first byte is torn yet */
    if (open > 0) {
        st = l->file.calls->append(l->file.ctx, l->size, FT_BYTES(zero, 1));
        if (st != FT_OK) {
            st = io_failed(l, st, err);
            goto out;
        }
    }
    for (size_t i = 0; i < l->task_count; i++) {
        struct ft_ledger_record r = { .type = FT_LEDGER_RECOVER };
        if (!l->tasks[i].task.open)
            continue;
        memcpy(r.task, l->tasks[i].task.reserved.task, 32);
        if (++opened->recovered < open)
            FT_TRY(end_at(l, ft_ledger_record_size(FT_LEDGER_RECOVER) + 1, err));
        FT_TRY(add(l, &r, err));
    }
out:
    return st;
}

static struct ft_ledger *
made(const uint8_t key[FT_LEDGER_KEY_SIZE])
{
    struct ft_ledger *l = ft_calloc(1, sizeof *l);
    if (l != NULL)
        memcpy(l->key, key, sizeof l->key);
    return l;
}

enum ft_status
ft_ledger_open(struct ft_ledger_file file, const uint8_t key[FT_LEDGER_KEY_SIZE], const char *shop,
               const uint8_t ledger_id[16], struct ft_ledger **out, struct ft_ledger_opened *opened,
               struct ft_error *err)
{
    struct ft_ledger_opened what = { 0 };
    struct ft_buf bytes = { 0 };
    struct ft_ledger *l = made(key);
    const size_t length = strnlen(shop, FT_LEDGER_SHOP_MAX + 1);
    enum ft_status st = FT_ERR_NOMEM;

    *out = NULL;
    if (l == NULL) {
        file.calls->close(file.ctx);
        return st;
    }
    l->file = file;
    l->has_file = true;
    if (length == 0 || length > FT_LEDGER_SHOP_MAX) {
        st = FT_ERR_LIMIT;
        goto out;
    }
    FT_TRY(file.calls->open(file.ctx, err));
    FT_TRY(file.calls->read(file.ctx, &bytes, err));
    FT_TRY(replay(l, ft_buf_bytes(&bytes), &what.torn, err));
    FT_TRY(check_shop(l, shop, err));
    if (what.torn > 0)
        FT_TRY(recover(l, &what, err));
    if (l->records == 0) {
        struct ft_ledger_record r = { .type = FT_LEDGER_GENESIS, .version = FT_LEDGER_VERSION };
        memcpy(r.shop, shop, length);
        memcpy(r.ledger_id, ledger_id, sizeof r.ledger_id);
        FT_TRY(add(l, &r, err));
        what.created = true;
    }
    *out = l;
    l = NULL;
    if (opened != NULL)
        *opened = what;
out:
    ft_buf_clear(&bytes);
    ft_ledger_close(l);
    return st;
}

enum ft_status
ft_ledger_view(struct ft_bytes bytes, const uint8_t key[FT_LEDGER_KEY_SIZE], const char *shop, struct ft_ledger **out,
               struct ft_error *err)
{
    struct ft_ledger *l = made(key);
    uint64_t torn;
    enum ft_status st = FT_ERR_NOMEM;

    *out = NULL;
    if (l == NULL)
        return st;
    l->view = true;
    FT_TRY(replay(l, bytes, &torn, err));
    FT_TRY(check_shop(l, shop, err));
    if (l->records == 0) {
        st = ft_fail(err, FT_ERR_NOTFOUND, "the privacy ledger is empty");
        goto out;
    }
    for (size_t i = 0; torn > 0 && i < l->task_count; i++) {
        struct ft_ledger_record r = { .type = FT_LEDGER_RECOVER };
        uint8_t chain[FT_LEDGER_CHAIN_SIZE], unused[FT_LEDGER_RECORD_MAX];
        if (!l->tasks[i].task.open)
            continue;
        memcpy(r.task, l->tasks[i].task.reserved.task, 32);
        r.seq = l->records;
        FT_TRY(ft_ledger_state_room(l, &r));
        (void)ft_ledger_record_write(&r, l->key, l->chains[l->records - 1], unused, chain);
        ft_ledger_state_apply(l, &r, chain);
    }
    *out = l;
    l = NULL;
out:
    ft_ledger_close(l);
    return st;
}

void
ft_ledger_close(struct ft_ledger *l)
{
    if (l == NULL)
        return;
    if (l->has_file)
        l->file.calls->close(l->file.ctx);
    for (size_t i = 0; i < l->task_count; i++)
        ft_free(l->tasks[i].rounds);
    ft_free(l->tasks);
    ft_free(l->domains);
    ft_free(l->chains);
    sodium_memzero(l->key, sizeof l->key);
    ft_free(l);
}

/* ---- use ---- */

static bool
same_domain(const struct ft_ledger_domain *a, const struct ft_ledger_domain *b)
{
    return strcmp(a->id, b->id) == 0 && a->mode == b->mode && a->method == b->method &&
           a->epsilon_max == b->epsilon_max && a->delta == b->delta && a->order == b->order &&
           memcmp(a->plan_hash, b->plan_hash, sizeof a->plan_hash) == 0;
}

enum ft_status
ft_ledger_open_domain(struct ft_ledger *l, const struct ft_ledger_domain *domain, struct ft_error *err)
{
    const struct ft_ledger_domain *there = ft_ledger_domain_find(l, domain->id);
    struct ft_ledger_record r = { .type = FT_LEDGER_OPEN_DOMAIN, .domain = *domain };

    if (there != NULL && same_domain(there, domain))
        return FT_OK;
    return add(l, &r, err);
}

static bool
same_reservation(const struct ft_ledger_reservation *a, const struct ft_ledger_reservation *b)
{
    return strcmp(a->domain, b->domain) == 0 && memcmp(a->task, b->task, 32) == 0 &&
           memcmp(a->manifest, b->manifest, 32) == 0 && a->q_num == b->q_num && a->delta_int_sq == b->delta_int_sq &&
           a->sigma_share == b->sigma_share && a->t_min == b->t_min && a->m_stores == b->m_stores &&
           a->steps == b->steps;
}

enum ft_status
ft_ledger_reserve(struct ft_ledger *l, const struct ft_ledger_reservation *task, struct ft_ledger_quote *quote,
                  struct ft_error *err)
{
    struct ft_ledger_record r = { .type = FT_LEDGER_RESERVE, .reservation = *task };
    const struct ft_ledger_entry *e = ft_ledger_entry_find(l, task->task);
    struct ft_ledger_quote q;
    enum ft_status st;

    if (e != NULL && same_reservation(&e->task.reserved, task) && e->task.open)
        return FT_OK;
    FT_TRY(ft_ledger_state_check(l, &r, err));
    FT_TRY(ft_ledger_quote(l, task, &q, err));
    if (quote != NULL)
        *quote = q;
    if (!q.admitted) {
        st = ft_fail(err, FT_ERR_REFUSED,
                     "REFUSED_BUDGET: domain \"%s\" has spent epsilon %.4g of %.4g; with this task it would be %.4g",
                     task->domain, q.epsilon_now, q.epsilon_max, q.epsilon_after);
        goto out;
    }
    FT_TRY(add(l, &r, err));
out:
    return st;
}

enum ft_status
ft_ledger_spend(struct ft_ledger *l, const uint8_t task[32], uint64_t round, const uint8_t session[32],
                struct ft_error *err)
{
    struct ft_ledger_record r = { .type = FT_LEDGER_SPEND, .round = round };
    memcpy(r.task, task, 32);
    memcpy(r.hash, session, 32);
    return add(l, &r, err);
}

enum ft_status
ft_ledger_seal(struct ft_ledger *l, const uint8_t task[32], uint64_t round, const uint8_t hash[32],
               struct ft_error *err)
{
    const struct ft_ledger_entry *e = ft_ledger_entry_find(l, task);
    const struct ft_ledger_round *there = e != NULL ? ft_ledger_round_find(e, round) : NULL;
    struct ft_ledger_record r = { .type = FT_LEDGER_SEALED, .round = round };

    if (there != NULL && there->is_sealed && memcmp(there->sealed, hash, 32) == 0)
        return FT_OK;
    memcpy(r.task, task, 32);
    memcpy(r.hash, hash, 32);
    return add(l, &r, err);
}

enum ft_status
ft_ledger_close_task(struct ft_ledger *l, const uint8_t task[32], enum ft_ledger_close_reason reason,
                     struct ft_error *err)
{
    struct ft_ledger_record r = { .type = FT_LEDGER_CLOSE, .reason = reason };
    memcpy(r.task, task, 32);
    return add(l, &r, err);
}

void
ft_ledger_head(const struct ft_ledger *l, struct ft_ledger_head *head)
{
    head->seq = l->records - 1;
    memcpy(head->chain, l->chains[l->records - 1], sizeof head->chain);
}

enum ft_status
ft_ledger_check_head(const struct ft_ledger *l, const struct ft_ledger_head *seen, const char *who,
                     struct ft_error *err)
{
    if (seen->seq >= l->records)
        return ft_fail(
            err, FT_ERR_VERIFY,
            "LEDGER_ROLLBACK: %s has seen record %llu of this shop's privacy ledger, but it ends at %llu: an "
            "older copy was put back",
            who, (unsigned long long)seen->seq, (unsigned long long)(l->records - 1));
    if (sodium_memcmp(l->chains[seen->seq], seen->chain, FT_LEDGER_CHAIN_SIZE) != 0)
        return ft_fail(
            err, FT_ERR_VERIFY,
            "LEDGER_ROLLBACK: record %llu of this shop's privacy ledger is not the one that %s has seen",
            (unsigned long long)seen->seq, who);
    return FT_OK;
}

/* ---- reports ---- */

const char *
ft_ledger_shop(const struct ft_ledger *l)
{
    return l->shop;
}

bool
ft_ledger_writable(const struct ft_ledger *l)
{
    return !l->broken && !l->view;
}

size_t
ft_ledger_domain_count(const struct ft_ledger *l)
{
    return l->domain_count;
}

const struct ft_ledger_domain *
ft_ledger_domain_at(const struct ft_ledger *l, size_t index)
{
    return index < l->domain_count ? &l->domains[index] : NULL;
}

size_t
ft_ledger_task_count(const struct ft_ledger *l)
{
    return l->task_count;
}

const struct ft_ledger_task *
ft_ledger_task_at(const struct ft_ledger *l, size_t index)
{
    return index < l->task_count ? &l->tasks[index].task : NULL;
}

const struct ft_ledger_task *
ft_ledger_task_find(const struct ft_ledger *l, const uint8_t task[32])
{
    const struct ft_ledger_entry *e = ft_ledger_entry_find(l, task);
    return e != NULL ? &e->task : NULL;
}

bool
ft_ledger_round_spent(const struct ft_ledger *l, const uint8_t task[32], uint64_t round)
{
    const struct ft_ledger_entry *e = ft_ledger_entry_find(l, task);
    return e != NULL && ft_ledger_round_find(e, round) != NULL;
}
