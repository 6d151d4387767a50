#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregator/export/export.h"
#include "aggregator/verify/verify.h"
#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/plan/round_plan.h"
#include "common/statement/statement.h"
#include "common/task/task.h"

#include <jansson.h>
#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define OK(call) assert_int_equal((call), FT_OK)

static struct ft_buf signed_task, signed_plain, signed_store;
static struct ft_task task, plain, store;

static void
sign(const char *path, struct ft_task *out, struct ft_buf *bytes)
{
    static const uint8_t deployment[16] = { 7 };
    struct ft_buf yaml = { 0 };
    struct ft_error err = { 0 };
    uint8_t pk[32], sk[64];

    OK(ft_file_read(path, FT_TASK_BYTES_MAX, &yaml, &err));
    if (ft_task_from_yaml(ft_buf_bytes(&yaml), path, deployment, out, &err) != FT_OK ||
        ft_plan_privacy_derive(out, &err) != FT_OK)
        fail_msg("%s", err.text);
    crypto_sign_keypair(pk, sk);
    OK(ft_task_sign(out, sk, bytes));
    ft_buf_clear(&yaml);
}

static int
setup(void **state)
{
    (void)state;
    assert_true(sodium_init() >= 0);
    sign("deploy/tasks/cj_return_private.yaml", &task, &signed_task);
    sign("deploy/tasks/cj_return.yaml", &plain, &signed_plain);
    sign("deploy/tasks/cj_return_store.yaml", &store, &signed_store);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    ft_buf_clear(&signed_task);
    ft_buf_clear(&signed_plain);
    ft_buf_clear(&signed_store);
    ft_task_clear(&task);
    ft_task_clear(&plain);
    ft_task_clear(&store);
    return 0;
}

static json_t *
make(const struct ft_buf *bytes, const struct ft_statement_model *model)
{
    const struct ft_statement_facts facts = {
        .signed_task = ft_buf_bytes(bytes),
        .rounds = { .committed = { 0, 1, 30, 1 }, .abandoned = 1, .failed = 4, .least_survivors = 11 },
        .model = model
    };
    struct ft_error err = { 0 };
    json_t *s = NULL;

    if (ft_statement_make(&facts, &s, &err) != FT_OK)
        fail_msg("%s", err.text);
    return s;
}

static double
number(const json_t *object, const char *a, const char *b, const char *c)
{
    const json_t *v = json_object_get(json_object_get(object, a), b);
    return json_number_value(c != NULL ? json_object_get(v, c) : v);
}

/* The numbers are the accountant's for the rounds that are charged, abandoned ones among them and failed ones
 * not; all that a claim must be stated with is there, in the words too. */
static void
statement_claims_what_the_accountant_finds(void **state)
{
    struct ft_account_event event = ft_plan_privacy_event(&task, 33);
    json_t *s = make(&signed_task, NULL);
    const char *text = ft_statement_text(s);
    double epsilon;
    uint32_t order;

    (void)state;
    OK(ft_account_cost_rdp(&event, 1, 1e-5, &epsilon, &order));
    assert_true(number(s, "rounds", "charged", NULL) == 33);
    assert_true(fabs(number(s, "guarantee", "epsilon", NULL) - epsilon) < 1e-12);
    assert_true(number(s, "guarantee", "planned", "rdp") <= 8);
    assert_true(number(s, "guarantee", "charged", "pld") < epsilon);
    assert_true(number(s, "mechanism", "t_min", NULL) == 8);
    assert_true(number(s, "mechanism", "m_stores", NULL) == 4);
    assert_non_null(strstr(text, "delta 1e-05"));
    assert_non_null(strstr(text, "add or remove one customer with all their transactions"));
    assert_non_null(strstr(text, "t_min = 8"));
    assert_non_null(strstr(text, "q = 1"));
    assert_non_null(strstr(text, "33 rounds"));
    OK(ft_statement_check(s, NULL));
    json_decref(s);
}

/* Without noise there is no epsilon anywhere, and the words say that nothing is claimed. */
static void
statement_without_noise_claims_nothing_of_the_sums(void **state)
{
    json_t *s = make(&signed_plain, NULL);

    (void)state;
    assert_string_equal(json_string_value(json_object_get(json_object_get(s, "guarantee"), "kind")), "none");
    assert_null(strstr(ft_statement_text(s), "epsilon"));
    assert_non_null(strstr(ft_statement_text(s), "no bound is claimed"));
    OK(ft_statement_check(s, NULL));
    json_decref(s);
}

/* Every leaf in turn is changed a little; each change is found, and called by its path. */
static size_t
change_each(json_t *root, json_t *at, const char *path)
{
    const char *key;
    json_t *value;
    size_t changed = 0;

    json_object_foreach(at, key, value)
    {
        char here[200];
        struct ft_error err = { 0 };
        json_t *before;
        enum ft_status st;

        snprintf(here, sizeof here, "%s%s%s", path, *path != '\0' ? "." : "", key);
        if (strcmp(here, "rounds.failed") == 0) /* told, and without any consequence */
            continue;
        if (json_is_object(value)) {
            changed += change_each(root, value, here);
            continue;
        }
        before = json_incref(value);
        if (json_is_string(value))
            json_object_set_new(at, key, json_sprintf("%s ", json_string_value(value)));
        else if (json_is_real(value))
            json_object_set_new(at, key, json_real(json_real_value(value) * 0.99 + 1e-3));
        else
            json_object_set_new(at, key, json_integer(json_integer_value(value) + 1));
        st = ft_statement_check(root, &err);
        if (st != FT_ERR_VERIFY && st != FT_ERR_FORMAT)
            fail_msg("a changed %s is not found", here);
        if (st == FT_ERR_VERIFY && strstr(err.text, key) == NULL && strstr(here, "rounds.") == NULL)
            fail_msg("a changed %s is called: %s", here, err.text);
        json_object_set_new(at, key, before);
        changed++;
    }
    return changed;
}

static void
statement_with_any_number_changed_is_refused_by_its_name(void **state)
{
    json_t *s = make(&signed_task, NULL);

    (void)state;
    assert_true(change_each(s, s, "") > 45);
    OK(ft_statement_check(s, NULL));
    json_object_set_new(s, "extra", json_true());
    assert_int_equal(ft_statement_check(s, NULL), FT_ERR_VERIFY);
    json_decref(s);
}

static json_t *
make_of_store(void)
{
    const struct ft_statement_facts facts = {
        .signed_task = ft_buf_bytes(&signed_store),
        .rounds = { .committed = { 0, 1, 1, 1 }, .failed = 2, .least_survivors = 10 },
    };
    struct ft_error err = { 0 };
    json_t *s = NULL;

    if (ft_statement_make(&facts, &s, &err) != FT_OK)
        fail_msg("%s", err.text);
    return s;
}

static bool
lists(const json_t *statement, const char *list, const char *words)
{
    const json_t *all = json_object_get(statement, list);
    bool found = false;
    for (size_t i = 0; i < json_array_size(all); i++)
        found = found || strstr(json_string_value(json_array_get(all, i)), words) != NULL;
    return found;
}

/* Unit store claims a shop's data, by zero-out, in numbers and words: not that it takes part, for it takes its noise with
 * it, and nothing of a customer's own. Each changed number is found here too. */
static void
statement_of_unit_store_is_about_zeroed_shops(void **state)
{
    struct ft_account_event event = ft_plan_privacy_event(&store, 3);
    json_t *s = make_of_store(), *numbers = NULL;
    const char *text = ft_statement_text(s), *relation = json_string_value(json_object_get(s, "relation"));
    double epsilon;
    uint32_t order;

    (void)state;
    OK(ft_account_cost_rdp(&event, 1, 1e-3, &epsilon, &order));
    assert_string_equal(json_string_value(json_object_get(s, "unit")), "store");
    assert_non_null(strstr(relation, "zero out one shop: it still takes part and adds its noise"));
    assert_true(fabs(number(s, "guarantee", "epsilon", NULL) - epsilon) < 1e-12);
    assert_true(epsilon < 7 && number(s, "guarantee", "planned", "rdp") > 7.9); /* one of four is left */
    assert_true(number(s, "mechanism", "q", NULL) == 1);
    assert_true(number(s, "mechanism", "n_pub", NULL) == 12);
    assert_non_null(strstr(text, "for shop (zero out one shop"));
    assert_non_null(strstr(text, "had that shop never been in the data and taken part all the same"));
    assert_non_null(strstr(text, "each shop is in each round (q = 1) with one vector"));
    assert_non_null(strstr(text, "one that leaves takes its noise with it; a claim of one customer's own, beyond that of their shop"));
    assert_null(strstr(text, "shops a customer"));
    assert_true(lists(s, "covered", "all rows of one shop, whosever and however many they are"));
    assert_true(lists(s, "not_covered", "one that leaves takes its noise with it"));
    assert_true(lists(s, "not_covered", "a customer as such"));
    assert_false(lists(s, "not_covered", "a shop as a whole"));
    assert_false(lists(s, "assumptions", "no customer's data lies in more than"));
    OK(ft_statement_check(s, NULL));
    assert_true(change_each(s, s, "") > 45);
    OK(ft_statement_numbers(s, &numbers, NULL));
    assert_true(json_is_null(json_object_get(numbers, "customers_at_most_about"))); /* nobody declared any */
    assert_int_equal(json_integer_value(json_object_get(numbers, "shops_named")), 12);
    assert_non_null(strstr(json_string_value(json_object_get(numbers, "data")), "one vector a shop"));
    json_decref(numbers);
    json_decref(s);
}

/* With or without one customer a shop's vector lies within twice its bound, so a customer's event has half the noise. */
static void
statement_of_unit_store_costs_a_customer_half_the_noise(void **state)
{
    (void)state;
    assert_true(ft_plan_customer_event(&store, 4).z == ft_plan_privacy_event(&store, 4).z / 2);
    assert_true(ft_plan_customer_event(&task, 4).z == ft_plan_privacy_event(&task, 4).z);
}

/* More rounds than the task has, or sums of fewer shops, are no rounds of this task. */
static void
statement_of_rounds_that_the_task_does_not_allow_is_not_made(void **state)
{
    struct ft_statement_facts facts = { .signed_task = ft_buf_bytes(&signed_task),
                                        .rounds = { .committed = { 0, 1, 31, 1 } } };
    json_t *s = NULL;

    (void)state;
    assert_int_equal(ft_statement_make(&facts, &s, NULL), FT_ERR_LIMIT);
    assert_null(s);
    facts.rounds = (struct ft_statement_rounds){ .committed = { 0, 1, 30, 1 }, .least_survivors = 9 };
    assert_int_equal(ft_statement_make(&facts, &s, NULL), FT_ERR_LIMIT); /* t_min 8 and 2 corrupted */
}

/* A model of version v comes from v training rounds: a statement that counts fewer, and so claims a smaller
 * epsilon, is neither made nor believed, though all its other numbers agree. */
static void
statement_counts_the_rounds_its_model_took(void **state)
{
    const struct ft_statement_model of = { .version = 30, .stage = FT_STAGE_EVALUATE };
    struct ft_statement_facts facts = { .signed_task = ft_buf_bytes(&signed_task),
                                        .rounds = { .committed = { 0, 1, 3, 1 }, .least_survivors = 11 } };
    struct ft_error err = { 0 };
    json_t *s = NULL;
    (void)state;

    OK(ft_statement_make(&facts, &s, &err));
    assert_int_equal(
        json_object_set_new(s, "model",
                            json_pack("{s:I, s:s, s:i, s:f}", "version", (json_int_t)30, "hash",
                                      "0000000000000000000000000000000000000000000000000000000000000000",
                                      "stage", FT_STAGE_EVALUATE, "clip", 0.0)),
        0);
    assert_int_equal(ft_statement_check(s, &err), FT_ERR_VERIFY);
    assert_non_null(strstr(err.text, "version 30 after 3 training rounds"));
    json_decref(s);
    s = NULL;
    facts.model = &of;
    assert_int_equal(ft_statement_make(&facts, &s, &err), FT_ERR_LIMIT);
    assert_null(s);
}

/* ---- exported ---- */

static struct ft_buf
release(bool json, json_t **statement)
{
    float params[13];
    double means[12], stds[12];
    struct ft_model_state model;
    struct ft_statement_model of = { .version = 30, .stage = FT_STAGE_EVALUATE };
    struct ft_buf blob = { 0 }, file = { 0 };
    uint8_t hash[32];
    struct ft_buf canonical = { 0 };

    for (int i = 0; i < 13; i++)
        params[i] = 0.1f * (float)i;
    for (int i = 0; i < 12; i++) {
        means[i] = 0.5 * i;
        stds[i] = 1 + i;
    }
    OK(ft_task_encode(&task, &canonical));
    ft_task_hash(ft_buf_bytes(&canonical), hash);
    OK(ft_model_state_init(&model, hash, FT_STAGE_EVALUATE, 30, means, stds, 12, params, 13));
    OK(ft_model_state_encode(&model, &blob));
    OK(ft_model_blob_hash(ft_buf_bytes(&blob), of.hash));
    *statement = make(&signed_task, &of);
    const struct ft_export e = { &task, &model, *statement };
    OK(json ? ft_export_json(&e, &file, NULL) : ft_export_safetensors(&e, &file, NULL));
    ft_model_state_clear(&model);
    ft_buf_clear(&blob);
    ft_buf_clear(&canonical);
    return file;
}

/* Both formats verify as they are; a changed parameter, mean, bound or version does not, and neither does a
 * file without its statement or signed by another key than expected. */
static void
release_verifies_and_a_changed_one_does_not(void **state)
{
    const uint8_t stranger[32] = { 1 };
    struct ft_error err = { 0 };

    (void)state;
    for (int json = 0; json < 2; json++) {
        json_t *s, *found = NULL;
        struct ft_buf file = release(json == 1, &s);
        OK(ft_verify(ft_buf_bytes(&file), FT_VERIFY_RELEASE, NULL, &found, &err));
        assert_true(json_equal(s, found));
        json_decref(found);
        assert_int_equal(ft_verify(ft_buf_bytes(&file), FT_VERIFY_RELEASE, stranger, &found, NULL),
                         FT_ERR_VERIFY);
        if (json == 0) { /* the last byte is of the last bias, before it come the bounds */
            file.data[file.size - 1] ^= 0x20;
            assert_int_equal(ft_verify(ft_buf_bytes(&file), FT_VERIFY_RELEASE, NULL, &found, &err),
                             FT_ERR_VERIFY);
            assert_non_null(strstr(err.text, "model.hash"));
            file.data[file.size - 1] ^= 0x20;
            file.data[file.size - 13 * 4 - 1] ^= 0x01; /* a maximum */
            err = (struct ft_error){ 0 };
            assert_int_equal(ft_verify(ft_buf_bytes(&file), FT_VERIFY_RELEASE, NULL, &found, &err),
                             FT_ERR_VERIFY);
            assert_non_null(strstr(err.text, "features."));
        }
        for (size_t size = 0; size < file.size; size += 97)
            assert_int_not_equal(ft_verify(FT_BYTES(file.data, size), FT_VERIFY_RELEASE, NULL, &found, NULL),
                                 FT_OK);
        json_decref(s);
        ft_buf_clear(&file);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statement_claims_what_the_accountant_finds),
        cmocka_unit_test(statement_counts_the_rounds_its_model_took),
        cmocka_unit_test(statement_without_noise_claims_nothing_of_the_sums),
        cmocka_unit_test(statement_with_any_number_changed_is_refused_by_its_name),
        cmocka_unit_test(statement_of_unit_store_is_about_zeroed_shops),
        cmocka_unit_test(statement_of_unit_store_costs_a_customer_half_the_noise),
        cmocka_unit_test(statement_of_rounds_that_the_task_does_not_allow_is_not_made),
        cmocka_unit_test(release_verifies_and_a_changed_one_does_not),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
