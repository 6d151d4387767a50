#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "look.h"
#include "whole.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void
whole_customer(int i, char out[32])
{
    snprintf(out, 32, "CANARYCUST-%04d", i);
}

void
whole_write(const char *path, const char *text)
{
    struct ft_error err = { 0 };
    if (ft_file_write(path, FT_BYTES(text, strlen(text)), 0600, &err) != FT_OK)
        fail_msg("%s", err.text);
}

static void
write_data(struct whole *w)
{
    char path[112];
    struct ft_buf b = { 0 };
    snprintf(path, sizeof path, "%s/data.csv", w->folder);
    assert_int_equal(ft_buf_str(&b, "customer_id,basket_id,week,amount,quantity,coupon,secret\n"), FT_OK);
    for (int i = 0; i < CUSTOMERS; i++)
        for (int week = 1; week <= 2; week++) {
            char id[32];
            whole_customer(i, id);
            assert_int_equal(
                ft_buf_printf(&b, "%s," BASKET ",%d," AMOUNT ",%d,%d,never read\n", id, week, i % 7, i % 2),
                FT_OK);
        }
    assert_int_equal(ft_file_write(path, ft_buf_bytes(&b), 0600, NULL), FT_OK);
    ft_buf_clear(&b);
}

static void
map_column(struct ft_source_table *t, const char *name)
{
    t->columns[t->column_count].name = ft_strdup(name);
    t->columns[t->column_count++].source = ft_strdup(name);
}

void
whole_record(struct whole *w, int customer, enum ft_consent_state state)
{
    char id[32];
    struct ft_error err = { 0 };
    struct ft_consent_event e = { .purpose = PURPOSE,
                                  .state = state,
                                  .notice = "1",
                                  .method = "desk",
                                  .at_ms = w->rig.env.wall - (state == FT_CONSENT_GIVEN ? 1000 : 0) };
    whole_customer(customer, id);
    if (ft_consent_record(w->consent, id, &e, w->rig.env.wall, NULL, &err) != FT_OK)
        fail_msg("%s", err.text);
}

/* ---- what the shop hands out ---- */

static void
tap(struct rig_shop *s, const struct ft_out *message)
{
    struct whole *w = s->tap_ctx;
    struct ft_buf frame = { 0 };
    if (w->look != NULL)
        w->look(w, message);
    assert_int_equal(ft_out_encode(message, &frame), FT_OK);
    assert_int_equal(ft_audit_append(w->audit, ft_out_kind_name(message->kind), frame.size, ft_buf_bytes(&frame),
                                     false),
                     FT_OK);
    assert_int_equal(ft_buf_append(&w->handed, frame.data, frame.size), FT_OK);
    w->uploads += message->kind == FT_OUT_UPLOAD;
    assert_int_equal(ft_buf_printf(&w->sizes, "%d:%zu ", (int)message->kind, frame.size), FT_OK);
    if (message->kind == FT_OUT_SYNC) {
        struct look seen;
        assert_true(look_at_sync(message->request, &seen));
        if (seen.has_verdict) {
            w->verdict = seen.verdict;
            w->code = seen.code;
        }
        w->kinds[seen.answer] = true;
    }
    ft_buf_clear(&frame);
}

static void
decide(void *ctx, const struct ft_task *task, const uint8_t hash[32], enum ft_vault_approval approval,
       struct ft_decision *out)
{
    struct whole *w = ctx;
    w->inner.decide(w->inner.ctx, task, hash, approval, out);
}

static enum ft_status
contribute(void *ctx, const struct ft_work *work, uint64_t **words, uint32_t *code)
{
    struct whole *w = ctx;
    int64_t *z = ft_calloc(work->plan->layout.dim, sizeof *z);
    const enum ft_status st = w->inner.contribute(w->inner.ctx, work, words, code);
    w->contributions++;
    if (st == FT_OK)
        assert_int_equal(ft_ss_unpack(&work->plan->codec, *words, 1, z, &w->last_weight), FT_OK);
    if (w->during != NULL)
        w->during(w, work);
    ft_free(z);
    return st;
}

static bool
unchanged(void *ctx)
{
    struct whole *w = ctx;
    return w->inner.unchanged(w->inner.ctx);
}

/* ---- the federation around it ---- */

static bool
can_pay(void *ctx, const uint8_t task[32], uint64_t round)
{
    struct whole *w = ctx;
    return w->inner.can_pay(w->inner.ctx, task, round);
}

static enum ft_status
spend(void *ctx, const uint8_t task[32], uint64_t round, const uint8_t session[32])
{
    struct whole *w = ctx;
    if (w->no_spend)
        return FT_ERR_IO;
    return w->inner.spend(w->inner.ctx, task, round, session);
}

static void
task_over(void *ctx, const uint8_t task[32])
{
    struct whole *w = ctx;
    w->inner.task_over(w->inner.ctx, task);
}

static bool
ledger_head(void *ctx, uint8_t head[FT_FED_LEDGER_HEAD_SIZE])
{
    struct whole *w = ctx;
    return w->inner.ledger_head(w->inner.ctx, head);
}

static enum ft_status
ledger_seen(void *ctx, const uint8_t head[FT_FED_LEDGER_HEAD_SIZE])
{
    struct whole *w = ctx;
    return w->heads_forgotten ? FT_OK : w->inner.ledger_seen(w->inner.ctx, head);
}

bool
whole_start(struct whole *w)
{
    struct rig_shop *s = &w->rig.shops[0];
    struct ft_shop_config config = { .env = &s->env.env,
                                     .store = s->store,
                                     .policy_path = w->policy,
                                     .state_dir = w->state,
                                     .source = &w->source,
                                     .basis = FT_BASIS_CONSENT,
                                     .service_uid = geteuid(),
                                     .shop = "shop-0",
                                     .budget = FT_BUDGET_KEEP };
    memcpy(config.deployment, w->rig.deployment, 16);
    w->error = (struct ft_error){ 0 };
    if (ft_shop_open(&config, &w->shop, &w->error) != FT_OK)
        return false;
    ft_shop_world(w->shop, &w->inner);
    w->outer = (struct ft_participant_world){ .env = &s->env.env,
                                              .store = s->store,
                                              .ctx = w,
                                              .decide = decide,
                                              .contribute = contribute,
                                              .unchanged = unchanged,
                                              .can_pay = can_pay,
                                              .spend = spend,
                                              .task_over = task_over,
                                              .ledger_head = ledger_head,
                                              .ledger_seen = ledger_seen };
    if (s->participant != NULL)
        rig_shop_down(&w->rig, 0);
    s->world = &w->outer;
    s->tap = tap;
    s->tap_ctx = w;
    rig_shop_up(&w->rig, 0);
    return true;
}

void
whole_kill(struct whole *w)
{
    if (w->rig.shops[0].participant != NULL)
        rig_shop_down(&w->rig, 0);
    ft_shop_close(w->shop);
    w->shop = NULL;
}

void
whole_open(struct whole *w, const char *policy, int consents)
{
    struct ft_error err = { 0 };
    char path[96];

    memset(w, 0, sizeof *w);
    rig_open(&w->rig, 5);
    strcpy(w->folder, "/tmp/fedtill-whole.XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    snprintf(w->state, sizeof w->state, "%s/state", w->folder);
    snprintf(w->policy, sizeof w->policy, "%s/policy.yaml", w->folder);
    snprintf(w->db, sizeof w->db, "%s/state.db", w->state);
    snprintf(w->log, sizeof w->log, "%s/log", w->folder);
    assert_int_equal(mkdir(w->state, 0700), 0);
    ft_log_open("test", FT_LOG_DEBUG, open(w->log, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    memset(w->key.bytes, 7, sizeof w->key.bytes);
    snprintf(path, sizeof path, "%s/" FT_HOME_NODE, w->state);
    assert_int_equal(ft_file_write(path, FT_BYTES(w->key.bytes, 32), 0600, NULL), FT_OK);
    whole_write(w->policy, policy);
    write_data(w);
    ft_source_config_init(&w->source);
    w->source.base_dir = ft_strdup(w->folder);
    w->source.transactions.files = ft_strdup("data.csv");
    w->source.transactions.columns = ft_calloc(8, sizeof *w->source.transactions.columns);
    static const char *const columns[] = {
        "customer_id", "basket_id", "week", "amount", "quantity", "coupon"
    };
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++)
        map_column(&w->source.transactions, columns[i]);
    if (ft_consent_open(w->db, &w->key, &w->consent, &err) != FT_OK)
        fail_msg("%s", err.text);
    for (int i = 0; i < consents; i++)
        whole_record(w, i, FT_CONSENT_GIVEN);
    assert_int_equal(ft_audit_open(w->state, &w->rig.env.env, FT_AUDIT_ROTATE_SIZE, &w->audit, &err), FT_OK);

    if (!whole_start(w))
        fail_msg("%s", w->error.text);

    w->rig.task.sql =
        (char *)(uintptr_t) "SELECT customer_id, CASE WHEN week = 1 THEN 'train' ELSE 'test' END AS split,"
                            " coupon AS label, amount / 100 AS x, quantity / 10 AS y FROM transactions";
}

void
whole_publish(struct whole *w)
{
    rig_publish(&w->rig, "first", true, w->task);
}

void
whole_close(struct whole *w)
{
    char command[100];
    rig_close(&w->rig);
    ft_shop_close(w->shop);
    ft_consent_close(w->consent);
    ft_audit_close(w->audit);
    ft_source_config_clear(&w->source);
    ft_buf_clear(&w->handed);
    ft_buf_clear(&w->sizes);
    snprintf(command, sizeof command, "rm -rf '%s'", w->folder);
    assert_int_equal(system(command), 0);
}

