/* A shop's rows from its client's home: the demonstration's own files, its policy and its consent file. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregator/simulate/home.h"
#include "aggregator/simulate/rows.h"
#include "client/consent/import.h"
#include "client/vault/budget.h"
#include "client/vault/home.h"
#include "common/base/file.h"
#include "tests/support/approx.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char home[] = "/tmp/fedtill-home-XXXXXX";
static const struct ft_node_key key = { { 1, 2, 3 } };
static struct ft_task task;

static void
must(enum ft_status st, const struct ft_error *err)
{
    if (st != FT_OK)
        fail_msg("%s: %s", ft_status_name(st), err != NULL ? err->text : "");
}

static void
shell(const char *format)
{
    char command[1024];
    (void)snprintf(command, sizeof command, "H=%s; %s", home, format);
    assert_int_equal(system(command), 0);
}

static void
import_consent(void)
{
    const struct ft_consent_import_config config = { .file = "deploy/demo/consent/store-367.csv" };
    struct ft_consent_import_summary *summary = calloc(1, sizeof *summary);
    struct ft_consent *consent = NULL;
    struct ft_error err = { 0 };
    char path[64];

    (void)snprintf(path, sizeof path, "%s/state/state.db", home);
    must(ft_consent_open(path, &key, &consent, &err), &err);
    must(ft_consent_import(consent, &config, 1800000000000u, NULL, NULL, summary, &err), &err);
    assert_true(summary->grants > 0 && summary->refusals > 0);
    ft_consent_close(consent);
    free(summary);
}

static double
total(const float *v, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)v[i];
    return sum;
}

/* Before consent is imported nobody is eligible, and the shop's own minimum refuses; afterwards exactly those who agreed and did not withdraw: the same
 * rows as from a file that holds only their lines. */
static void
rows_are_those_of_consenting_customers(void **state)
{
    struct ft_examples rows, agreed;
    struct ft_error err = { 0 };
    char path[64];

    (void)state;
    assert_int_equal(ft_sim_rows_from_home(home, &task, &rows, &err), FT_ERR_REFUSED);
    assert_int_equal(rows.rows_train + rows.rows_test, 0);

    memset(&err, 0, sizeof err);
    import_consent();
    shell("awk -F, 'NR == FNR { if ($3 != \"\") state[$1] = $3; next } FNR == 1 || state[$1] == \"given\"' "
          "deploy/demo/consent/store-367.csv deploy/demo/shops/store-367.csv > $H/agreed.csv && "
          "[ $(wc -l < $H/agreed.csv) -lt $(wc -l < deploy/demo/shops/store-367.csv) ]");
    (void)snprintf(path, sizeof path, "%s/agreed.csv", home);
    must(ft_sim_rows_from_csv(path, &task, &agreed, &err), &err);
    must(ft_sim_rows_from_home(home, &task, &rows, &err), &err);
    assert_true(rows.rows_train > 20);
    assert_int_equal(rows.rows_train, agreed.rows_train);
    assert_int_equal(rows.rows_test, agreed.rows_test);
    assert_approx(total(rows.x_train, rows.rows_train * rows.feature_count),
                  total(agreed.x_train, agreed.rows_train * agreed.feature_count), 1e-9);
    assert_approx(total(rows.y_test, rows.rows_test), total(agreed.y_test, agreed.rows_test), 0);
    ft_examples_clear(&rows);
    ft_examples_clear(&agreed);
}

/* The shop's policy holds here too: without the column `week` in its list, no rows and a sentence that names the
 * shop's home. */
static void
policy_of_the_shop_is_obeyed(void **state)
{
    struct ft_examples rows;
    struct ft_error err = { 0 };

    (void)state;
    shell("sed -i '/transactions.week/d' $H/policy.yaml");
    assert_int_equal(ft_sim_rows_from_home(home, &task, &rows, &err), FT_ERR_REFUSED);
    assert_non_null(strstr(err.text, home));
    assert_null(rows.x_train);
    shell("cp deploy/demo/policy.yaml $H/policy.yaml");
}

/* What opening the home says goes to a file instead. */
static void
rows_with_what_is_said(const char *path)
{
    struct ft_examples rows;
    struct ft_error err = { 0 };
    const int before = dup(STDERR_FILENO), file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    enum ft_status st;

    assert_true(before >= 0 && file >= 0 && dup2(file, STDERR_FILENO) >= 0);
    st = ft_sim_rows_from_home(home, &task, &rows, &err);
    (void)dup2(before, STDERR_FILENO);
    (void)close(before);
    (void)close(file);
    must(st, &err);
    ft_examples_clear(&rows);
}

/* A shop that has a privacy ledger is no stranger to it: nothing is said of a foreign one, and the ledger stays as it was. */
static void
the_shops_own_ledger_is_no_foreign_one(void **state)
{
    struct ft_budget *budget;
    struct ft_error err = { 0 };
    char folder[64], path[64];

    (void)state;
    (void)snprintf(folder, sizeof folder, "%s/state", home);
    (void)snprintf(path, sizeof path, "%s/said", home);
    must(ft_budget_open(folder, "store-367", &key, ft_env_system(), FT_BUDGET_KEEP, NULL, &budget, &err), &err);
    ft_budget_close(budget);
    shell("sha256sum $H/state/ledger.bin > $H/ledger.sha256");
    rows_with_what_is_said(path);
    shell("! grep -i ledger $H/said && sha256sum --quiet -c $H/ledger.sha256");
}

/* A folder that is no home, a task file that is none: not found, with the path. */
static void
missing_files_are_named(void **state)
{
    struct ft_examples rows;
    struct ft_task other;
    struct ft_error err = { 0 };

    (void)state;
    assert_int_equal(ft_sim_rows_from_home("/nonexistent/shop", &task, &rows, &err), FT_ERR_NOTFOUND);
    assert_non_null(strstr(err.text, "/nonexistent/shop"));
    memset(&err, 0, sizeof err);
    assert_int_equal(ft_sim_task("/nonexistent/task.yaml", NULL, &other, &err), FT_ERR_NOTFOUND);
    assert_non_null(strstr(err.text, "/nonexistent/task.yaml"));
}

/* A signed task is checked by the keys that the shop pinned, and refused without a shop or with another key. */
static void
signed_task_needs_a_pinned_key(void **state)
{
    uint8_t public_key[32], secret_key[64];
    char path[64], hex[65], command[256];
    struct ft_buf bytes = { 0 };
    struct ft_task other;
    struct ft_error err = { 0 };

    (void)state;
    (void)snprintf(path, sizeof path, "%s/cj.task", home);
    assert_int_equal(crypto_sign_keypair(public_key, secret_key), 0);
    must(ft_task_sign(&task, secret_key, &bytes), NULL);
    must(ft_file_write(path, ft_buf_bytes(&bytes), 0600, &err), &err);
    assert_int_equal(ft_sim_task(path, NULL, &other, &err), FT_ERR_CONFIG);
    ft_hex(hex, public_key, 32);
    (void)snprintf(command, sizeof command, "sed \"s/TASK_KEY/%s/\" $H/trust.template > $H/state/trust.json && "
                                            "chmod 600 $H/state/trust.json", hex);
    shell(command);
    memset(&err, 0, sizeof err);
    must(ft_sim_task(path, home, &other, &err), &err);
    assert_string_equal(other.name, "cj_return");
    ft_task_clear(&other);
    hex[0] = hex[0] == '0' ? '1' : '0';
    (void)snprintf(command, sizeof command, "sed \"s/TASK_KEY/%s/\" $H/trust.template > $H/state/trust.json", hex);
    shell(command);
    assert_int_equal(ft_sim_task(path, home, &other, NULL), FT_ERR_VERIFY);
    ft_buf_clear(&bytes);
}

/* trust.json with a mark where the task key goes. */
static void
write_template(void)
{
    static struct ft_pinned pinned = { .shop = "store-367", .aggregator = "127.0.0.1:7443", .shop_id = 1,
                                       .task_key_count = 1 };
    struct ft_buf text = { 0 };
    char path[64];

    memset(pinned.task_keys[0], 0xee, 32);
    must(ft_pinned_format(&pinned, &text), NULL);
    (void)snprintf(path, sizeof path, "%s/trust.template", home);
    must(ft_file_write(path, ft_buf_bytes(&text), 0600, NULL), NULL);
    shell("sed -i s/eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee/TASK_KEY/ $H/trust.template && "
          "grep -q TASK_KEY $H/trust.template");
    ft_buf_clear(&text);
}

static int
setup(void **state)
{
    struct ft_error err = { 0 };
    char path[64];

    (void)state;
    if (sodium_init() < 0 || mkdtemp(home) == NULL || chmod(home, 0700) != 0)
        return 1;
    shell("mkdir -m 700 $H/state $H/data && cp deploy/demo/policy.yaml $H/policy.yaml && "
          "cp deploy/demo/shops/store-367.csv $H/data/ && "
          "sed 's/@SHOP@/store-367/; s/@PORT@/7443/' deploy/demo/client.yaml > $H/client.yaml");
    (void)snprintf(path, sizeof path, "%s/state/node.key", home);
    must(ft_file_write(path, FT_BYTES(key.bytes, sizeof key.bytes), 0600, &err), &err);
    write_template();
    must(ft_sim_task("deploy/tasks/cj_return.yaml", NULL, &task, &err), &err);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    ft_task_clear(&task);
    shell("rm -r $H");
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_those_of_consenting_customers),
        cmocka_unit_test(policy_of_the_shop_is_obeyed),
        cmocka_unit_test(the_shops_own_ledger_is_no_foreign_one),
        cmocka_unit_test(missing_files_are_named),
        cmocka_unit_test(signed_task_needs_a_pinned_key),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
