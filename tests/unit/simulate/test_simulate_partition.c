#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregator/simulate/partition/draw.h"
#include "aggregator/simulate/partition/partition.h"
#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "tests/support/approx.h"

#include <sodium.h>
#include <string.h>

enum { ROWS = 6000, CLASSES = 10, OWNERS = 7 };

/* Row i holds its own number; labels go round. */
static void
make_rows(struct ft_sim_data *d, uint64_t rows)
{
    *d = (struct ft_sim_data){ .features = 1, .classes = CLASSES, .owners = OWNERS };
    d->train.rows = rows;
    d->train.x = ft_calloc(rows, sizeof(float));
    d->train.y = ft_calloc(rows, sizeof(float));
    d->owner = ft_calloc(rows, sizeof *d->owner);
    for (uint64_t i = 0; i < rows; i++) {
        d->train.x[i] = (float)i;
        d->train.y[i] = (float)(i * 7 % CLASSES);
        d->owner[i] = (uint32_t)(i * i % OWNERS);
    }
}

static void
split(const struct ft_sim_partition_config *c, uint64_t seed, struct ft_sim_data *d,
      struct ft_sim_clients *clients)
{
    struct ft_error err = { 0 };
    make_rows(d, ROWS);
    if (ft_sim_partition(c, seed, d, clients, &err) != FT_OK)
        fail_msg("%s", err.text);
}

static void
clear(struct ft_sim_data *d, struct ft_sim_clients *clients)
{
    ft_sim_data_clear(d);
    ft_sim_clients_clear(clients);
}

static const struct ft_sim_partition_config all[] = {
    { .kind = FT_SIM_COLUMN },
    { .kind = FT_SIM_IID, .clients = 100 },
    { .kind = FT_SIM_DIRICHLET, .clients = 30, .alpha = 0.3 },
    { .kind = FT_SIM_SHARDS, .clients = 100, .shards_per_client = 2 },
    { .kind = FT_SIM_QUANTITY, .clients = 30, .alpha = 0.5 },
};
enum { KINDS = sizeof all / sizeof all[0] };

/* Customers stay whole where they are dealt out, and are numbered from 0 within each client; where rows are dealt out, or the
 * rows have owners, it is told at how many clients one customer's rows are at most. */
static void
customers_stay_whole_or_are_counted(void **state)
{
    enum { PEOPLE = 500 };
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        struct ft_sim_data d;
        struct ft_sim_clients clients;
        struct ft_error err = { 0 };
        uint32_t at[PEOPLE] = { 0 }, last[PEOPLE], most = 0;
        const bool whole = all[k].kind == FT_SIM_IID || all[k].kind == FT_SIM_QUANTITY;
        make_rows(&d, ROWS);
        d.customers = PEOPLE;
        d.customer = ft_calloc(ROWS, sizeof *d.customer);
        for (uint64_t i = 0; i < ROWS; i++)
            d.customer[i] = (uint32_t)(i % PEOPLE);
        if (ft_sim_partition(&all[k], 3, &d, &clients, &err) != FT_OK)
            fail_msg("%s", err.text);
        memset(last, 0xff, sizeof last);
        for (uint32_t c = 0; c < clients.count; c++) {
            uint32_t own = 0, number[PEOPLE];
            memset(number, 0xff, sizeof number);
            for (uint64_t i = clients.offsets[c]; i < clients.offsets[c + 1]; i++) {
                const uint32_t who = (uint32_t)d.train.x[i] % PEOPLE;
                assert_true(i == clients.offsets[c] || d.train.x[i] > d.train.x[i - 1]); /* in the order they were in */
                if (last[who] != c) {
                    last[who] = c;
                    most = ++at[who] > most ? at[who] : most;
                    number[who] = own++;
                }
                assert_int_equal(d.customer[i], number[who]);
            }
        }
        assert_int_equal(d.customer_clients, most);
        assert_true(whole ? most == 1 : most > 1);
        clear(&d, &clients);
    }
}

/* More clients than customers cannot be. */
static void
fewer_customers_than_clients_are_refused(void **state)
{
    struct ft_sim_data d;
    struct ft_sim_clients clients;
    struct ft_error err = { 0 };
    (void)state;
    make_rows(&d, ROWS);
    d.customers = 60;
    d.customer = ft_calloc(ROWS, sizeof *d.customer);
    assert_int_equal(ft_sim_partition(&all[1], 3, &d, &clients, &err), FT_ERR_CONFIG);
    assert_string_equal(err.text, "partition: 100 clients of 60 customers, expected 1 to that number");
    clear(&d, &clients);
}

/* Every row is in exactly one client's range, with its own label. */
static void
every_row_has_one_owner(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        struct ft_sim_data d;
        struct ft_sim_clients clients;
        uint8_t seen[ROWS] = { 0 };
        split(&all[k], 3, &d, &clients);
        assert_int_equal(clients.offsets[0], 0);
        assert_int_equal(clients.offsets[clients.count], ROWS);
        for (uint32_t c = 0; c < clients.count; c++)
            assert_true(clients.offsets[c] <= clients.offsets[c + 1]);
        for (uint64_t i = 0; i < ROWS; i++) {
            const uint64_t row = (uint64_t)d.train.x[i];
            assert_int_equal(seen[row]++, 0);
            assert_true(d.train.y[i] == (float)(row * 7 % CLASSES));
        }
        clear(&d, &clients);
    }
}

static void
hash_of(const struct ft_sim_partition_config *c, uint64_t seed, uint8_t out[32])
{
    struct ft_sim_data d;
    struct ft_sim_clients clients;
    crypto_generichash_state h;
    split(c, seed, &d, &clients);
    (void)crypto_generichash_init(&h, NULL, 0, 32);
    (void)crypto_generichash_update(&h, (const uint8_t *)d.train.x, ROWS * sizeof(float));
    (void)crypto_generichash_update(&h, (const uint8_t *)clients.offsets,
                                    (clients.count + 1) * sizeof(uint64_t));
    (void)crypto_generichash_final(&h, out, 32);
    clear(&d, &clients);
}

/* The same seed gives the same bytes, here and (by these hashes) on every machine; another seed gives others.
 */
static void
the_seed_decides_every_byte(void **state)
{
    static const char *const golden[KINDS] = {
        "d4da7ddf773fb38423bdd139f2e3ea30842a09a2d85bd3f8aea85a65dc29c71c",
        "b06719436c5bb9dd178ad5dd237f9f222809fa50f3b839bcc09bb7e4cd60a332",
        "e90775cb5b3941fc21cd49ef151c3826cf3fe28007a920f6104da75e96856d1d",
        "bab2eac3fdaf6c3ab8427659c2913741a3547b7ddd48f76e9f97e078a6658b7b",
        "f0abc2d4902b681d7d99c8a22cb865b86f322442f70647b1a191d4de5aedbe3b"
    };
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        uint8_t a[32], b[32], other[32];
        char hex[65];
        hash_of(&all[k], 3, a);
        hash_of(&all[k], 3, b);
        hash_of(&all[k], 4, other);
        assert_memory_equal(a, b, 32);
        if (all[k].kind != FT_SIM_COLUMN)
            assert_memory_not_equal(a, other, 32);
        assert_string_equal(ft_hex(hex, a, 32), golden[k]);
    }
}

/* Columns: client k has the rows of owner k, in their order. */
static void
a_column_is_taken_as_it_is(void **state)
{
    struct ft_sim_data d;
    struct ft_sim_clients clients;
    (void)state;
    split(&all[0], 1, &d, &clients);
    assert_int_equal(clients.count, OWNERS);
    for (uint32_t c = 0; c < clients.count; c++)
        for (uint64_t i = clients.offsets[c]; i < clients.offsets[c + 1]; i++) {
            const uint64_t row = (uint64_t)d.train.x[i];
            assert_int_equal(row * row % OWNERS, c);
            assert_true(i == clients.offsets[c] || d.train.x[i - 1] < d.train.x[i]);
        }
    clear(&d, &clients);
}

/* IID: 60 rows each, and labels near the mix of all: with 60 rows of 10 even classes the mean distance is
 * about 0.5 * 10 * E|n/60 - 0.1| = 5 * sqrt(2/pi * 0.09/60) = 0.155. */
static void
iid_deals_evenly(void **state)
{
    struct ft_sim_data d;
    struct ft_sim_clients clients;
    struct ft_sim_spread spread;
    (void)state;
    split(&all[1], 5, &d, &clients);
    assert_int_equal(ft_sim_describe(&d, &clients, &spread), FT_OK);
    assert_int_equal(spread.rows_least, 60);
    assert_int_equal(spread.rows_most, 60);
    assert_approx(spread.label_distance, 0.155, 0.02);
    clear(&d, &clients);
}

/* Shards: 200 pieces of 30 rows, each of one label (600 rows a label are 20 pieces), two a client: 60 rows of
 * one or two labels. Of 100 clients 100 * 19/199 = 9.5 get two of the same. */
static void
shards_give_two_labels_a_client(void **state)
{
    struct ft_sim_data d;
    struct ft_sim_clients clients;
    struct ft_sim_spread spread;
    uint32_t of_one = 0;
    (void)state;
    split(&all[3], 5, &d, &clients);
    for (uint32_t c = 0; c < clients.count; c++) {
        uint32_t labels = 0;
        bool has[CLASSES] = { false };
        for (uint64_t i = clients.offsets[c]; i < clients.offsets[c + 1]; i++) {
            labels += !has[(int)d.train.y[i]];
            has[(int)d.train.y[i]] = true;
        }
        assert_true(labels == 1 || labels == 2);
        of_one += labels == 1;
    }
    assert_in_range(of_one, 2, 20);
    assert_int_equal(ft_sim_describe(&d, &clients, &spread), FT_OK);
    assert_int_equal(spread.rows_least, 60);
    assert_int_equal(spread.rows_most, 60);
    assert_approx(spread.classes_mean, 2 - of_one / 100.0, 1e-9);
    clear(&d, &clients);
}

/* Shares of Dirichlet(alpha) over K clients have mean 1/K and variance (1/K)(1 - 1/K) / (K alpha + 1): here K
 * = 20. */
static void
dirichlet_shares_have_the_right_moments(void **state)
{
    static const double alphas[] = { 0.05, 0.5, 2, 50 };
    enum { K = 20, DRAWS = 4000 };
    (void)state;
    for (size_t a = 0; a < 4; a++) {
        const double mean = 1.0 / K, variance = mean * (1 - mean) / (K * alphas[a] + 1);
        double squares = 0, first = 0, shares[K];
        struct sim_draw d;
        sim_draw_init(&d, 1, a);
        for (int i = 0; i < DRAWS; i++) {
            double sum = 0;
            sim_draw_dirichlet(&d, alphas[a], K, shares);
            for (int k = 0; k < K; k++) {
                sum += shares[k];
                squares += (shares[k] - mean) * (shares[k] - mean);
            }
            assert_approx(sum, 1, 1e-12);
            first += shares[0];
        }
        assert_approx(first / DRAWS, mean, 5 * sqrt(variance / DRAWS));
        assert_approx(squares / ((double)DRAWS * K) / variance, 1, 0.06);
    }
}

/* A small alpha leaves few labels a client, a large one the mix of all; rows_least is kept. */
static void
dirichlet_skews_labels_by_alpha(void **state)
{
    struct ft_sim_partition_config c = {
        .kind = FT_SIM_DIRICHLET, .clients = 20, .alpha = 0.1, .rows_least = 5
    };
    struct ft_sim_data d;
    struct ft_sim_clients clients;
    struct ft_sim_spread narrow, wide;
    (void)state;
    split(&c, 2, &d, &clients);
    assert_int_equal(ft_sim_describe(&d, &clients, &narrow), FT_OK);
    assert_true(narrow.rows_least >= 5);
    clear(&d, &clients);
    c.alpha = 1000;
    split(&c, 2, &d, &clients);
    assert_int_equal(ft_sim_describe(&d, &clients, &wide), FT_OK);
    clear(&d, &clients);
    assert_true(narrow.label_distance > 0.5);
    assert_true(wide.label_distance < 0.1);
    assert_true(narrow.classes_mean < 7);
    assert_true(wide.classes_mean > 9.9);
}

/* Quantity: sizes differ, labels do not. */
static void
quantity_skews_sizes_only(void **state)
{
    const struct ft_sim_partition_config c = {
        .kind = FT_SIM_QUANTITY, .clients = 10, .alpha = 0.5, .rows_least = 100
    };
    struct ft_sim_data d;
    struct ft_sim_clients clients;
    struct ft_sim_spread spread;
    (void)state;
    split(&c, 2, &d, &clients);
    assert_int_equal(ft_sim_describe(&d, &clients, &spread), FT_OK);
    assert_true(spread.rows_least >= 100);
    assert_true(spread.rows_most > 3 * spread.rows_least);
    assert_true(spread.label_distance < 0.15);
    clear(&d, &clients);
}

static void
refuses(struct ft_sim_partition_config c, uint64_t rows, uint32_t classes, bool owned, const char *why)
{
    struct ft_sim_data d;
    struct ft_sim_clients clients;
    struct ft_error err = { 0 };
    make_rows(&d, rows);
    d.classes = classes;
    if (!owned) {
        ft_free(d.owner);
        d.owner = NULL;
    }
    assert_int_equal(ft_sim_partition(&c, 1, &d, &clients, &err), FT_ERR_CONFIG);
    assert_string_equal(err.text, why);
    assert_null(clients.offsets);
    ft_sim_data_clear(&d);
}

/* What cannot be done is said with what was found and what was expected. */
static void
impossible_partitions_are_refused(void **state)
{
    (void)state;
    refuses((struct ft_sim_partition_config){ .kind = FT_SIM_COLUMN }, 10, 2, false,
            "partition: column needs rows that belong to somebody: data.by, or data.source task");
    refuses((struct ft_sim_partition_config){ .kind = FT_SIM_IID, .clients = 11 }, 10, CLASSES, true,
            "partition: 11 clients of 10 rows, expected 1 to that number");
    refuses((struct ft_sim_partition_config){ .kind = FT_SIM_SHARDS, .clients = 6, .shards_per_client = 2 },
            10, CLASSES, true, "partition: 12 shards of 10 rows, expected 1 a client to that number");
    refuses((struct ft_sim_partition_config){ .kind = FT_SIM_DIRICHLET, .clients = 2, .alpha = 1 }, 10, 0,
            true, "partition: dirichlet needs classes, and the labels are numbers");
    refuses((struct ft_sim_partition_config){ .kind = FT_SIM_DIRICHLET, .clients = 2 }, 10, CLASSES, true,
            "partition: alpha is 0, expected above 0");
}

/* rows_least that cannot be met ends after 200 draws, with the number that was left. */
static void
a_least_that_is_never_met_ends(void **state)
{
    const struct ft_sim_partition_config c = {
        .kind = FT_SIM_QUANTITY, .clients = 10, .alpha = 1, .rows_least = 2
    };
    struct ft_sim_data d;
    struct ft_sim_clients clients;
    struct ft_error err = { 0 };
    (void)state;
    make_rows(&d, 10);
    assert_int_equal(ft_sim_partition(&c, 1, &d, &clients, &err), FT_ERR_CONFIG);
    assert_non_null(strstr(err.text, "expected rows_least 2"));
    ft_sim_data_clear(&d);
}

/* Against the C library's, over the ranges that draws and schedules use. */
static void
own_functions_are_those_of_the_library(void **state)
{
    struct sim_draw d;
    (void)state;
    sim_draw_init(&d, 9, 9);
    for (int i = 0; i < 100000; i++) {
        const double u = 1 - sim_draw_uniform(&d), x = (sim_draw_uniform(&d) - 0.6) * 900;
        assert_approx(ft_real_log(u), log(u), 1e-15 * fmax(1, fabs(log(u))));
        assert_approx(ft_real_log(1e5 * u), log(1e5 * u), 1e-15 * fmax(1, fabs(log(1e5 * u))));
        assert_approx(ft_real_exp(x) / exp(x), 1, exp(x) > 1e-300 ? 4e-15 : 1);
        assert_approx(ft_real_cos_turn(4 * u - 2), cos(6.283185307179586 * (4 * u - 2)), 4e-15);
    }
    assert_approx(ft_real_cos_turn(0.25), 0, 1e-16);
    assert_approx(ft_real_cos_turn(-0.5), -1, 0);
    assert_approx(ft_real_exp(0), 1, 0);
    for (double e = 1; e > 1e-300; e /= 7)
        assert_approx(ft_real_log1p(e) / log1p(e), 1, 1e-15);
    assert_true(ft_real_log1p(0) == 0 && isinf(ft_real_exp(710)) && isnan(ft_real_exp(NAN)) && isnan(ft_real_log(NAN)));
    assert_true(isinf(ft_real_log(0)) && ft_real_log(0) < 0 && isnan(ft_real_log(-1)) && isinf(ft_real_log(INFINITY)));
    assert_approx(ft_real_exp(-800), 0, 0);
    assert_approx(ft_real_power(0.5, 10), 1.0 / 1024, 0);
    assert_approx(ft_real_power(0.99, 1000), pow(0.99, 1000), 1e-18);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_has_one_owner),
        cmocka_unit_test(customers_stay_whole_or_are_counted),
        cmocka_unit_test(fewer_customers_than_clients_are_refused),
        cmocka_unit_test(the_seed_decides_every_byte),
        cmocka_unit_test(a_column_is_taken_as_it_is),
        cmocka_unit_test(iid_deals_evenly),
        cmocka_unit_test(shards_give_two_labels_a_client),
        cmocka_unit_test(dirichlet_shares_have_the_right_moments),
        cmocka_unit_test(dirichlet_skews_labels_by_alpha),
        cmocka_unit_test(quantity_skews_sizes_only),
        cmocka_unit_test(impossible_partitions_are_refused),
        cmocka_unit_test(a_least_that_is_never_met_ends),
        cmocka_unit_test(own_functions_are_those_of_the_library),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests_name("simulate_partition", tests, NULL, NULL);
}
