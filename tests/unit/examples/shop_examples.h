/* A small shop for the tests of examples: five customers, of whom three are eligible, and a task to vary. */
#ifndef FT_TESTS_SHOP_EXAMPLES_H
#define FT_TESTS_SHOP_EXAMPLES_H

#include "client/vault/examples.h"
#include "common/task/refusal_codes.h"
#include "tests/support/shop.h"

/* Everything of the standard schema but transactions.amount, brand and customers.income is allowed. */
__attribute__((unused)) static bool
most_allowed(void *ctx, const char *table, const char *column)
{
    (void)ctx;
    return !(strcmp(table, "transactions") == 0 &&
             (strcmp(column, "amount") == 0 || strcmp(column, "brand") == 0)) &&
           strcmp(column, "income") != 0;
}

__attribute__((unused)) static bool
all_allowed(void *ctx, const char *table, const char *column)
{
    (void)ctx;
    (void)table;
    (void)column;
    return true;
}

struct example_shop {
    struct test_shop shop;
    struct ft_task_feature features[8];
    struct ft_task task;
    struct ft_examples_rules rules;
    struct ft_examples out;
    struct ft_refusals refusals;
    struct ft_error err;
};

static const char *const eligible_ids[] = { "101", "102", "103", NULL };

__attribute__((unused)) static int
example_setup(void **state)
{
    struct example_shop *s = calloc(1, sizeof *s);
    struct test_shop *shop = &s->shop;
    shop_init(shop);
    shop_map(&shop->config.transactions, "lines.csv",
             "customer_id basket_id ts product_id amount brand quantity week");
    shop_map(&shop->config.customers, "customers.csv", "customer_id age income");
    shop_map(&shop->config.products, "products.csv", "product_id category");
    shop_text(shop, "lines.csv",
              "customer_id,basket_id,ts,product_id,amount,brand,quantity,week\n"
              "101,b1,2017-01-01 08:00:00,p1,1.5,N,1,1\n"
              "101,b1,2017-01-01 08:00:00,p2,2.5,N,2,1\n"
              "102,b2,2017-01-02 08:00:00,p1,3.5,P,3,2\n"
              "103,b3,2017-01-03 08:00:00,p3,4.5,P,4,3\n"
              "104,b4,2017-01-04 08:00:00,p1,1000,P,500,4\n" /* not eligible */
              "105,b5,2017-01-05 08:00:00,p2,2000,P,600,5\n" /* not eligible */
              ",b6,2017-01-06 08:00:00,p2,3000,P,700,6\n");  /* nobody's */
    shop_text(shop, "customers.csv",
              "customer_id,age,income\n101,30,1\n102,17,2\n103,60,3\n104,50,4\n105,,5\n");
    shop_text(shop, "products.csv", "product_id,category\np1,FOOD\np2,TOBACCO\np3,FOOD\n");
    if (shop_open(shop) != FT_OK)
        return -1;
    shop_eligible(shop, eligible_ids);
    s->features[0] = (struct ft_task_feature){ (char *)"f", 0, 1000 };
    s->task = (struct ft_task){ .purpose = (char *)"train/propensity",
                                .label = (char *)"y",
                                .features = s->features,
                                .feature_count = 1,
                                .rows_per_customer = 1,
                                .rows_max = 1000,
                                .label_min = 0,
                                .label_max = 1,
                                .model = FT_MODEL_LOGISTIC,
                                .unit = FT_UNIT_CUSTOMER };
    s->rules = (struct ft_examples_rules){ .basis = FT_EXAMPLES_CONSENT,
                                           .consent_source = true,
                                           .allowed = most_allowed,
                                           .key = &shop->key,
                                           .env = ft_env_system() };
    *state = s;
    return 0;
}

__attribute__((unused)) static int
example_teardown(void **state)
{
    struct example_shop *s = *state;
    ft_examples_clear(&s->out);
    shop_close(&s->shop);
    free(s);
    return 0;
}

/* Build with this SQL; the former result is cleared. */
__attribute__((unused)) static enum ft_status
example_build(struct example_shop *s, const char *sql)
{
    ft_examples_clear(&s->out);
    s->err = (struct ft_error){ 0 };
    s->refusals.count = 0;
    s->task.sql = (char *)sql;
    return ft_examples_build(s->shop.db, &s->task, &s->rules, &s->out, &s->refusals, &s->err);
}

/* A query over the transactions whose one feature is `expression`, one row a customer. */
__attribute__((unused)) static const char *
feature_sql(const char *expression)
{
    static char sql[4096];
    snprintf(sql, sizeof sql,
             "SELECT customer_id, 'train' AS split, 0 AS y, %s AS f FROM transactions GROUP BY customer_id",
             expression);
    return sql;
}

#endif
