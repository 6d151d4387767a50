/* policy.yaml: strict reading, contradictions, who may change the file, which columns it opens. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "policy_sample.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct ft_findings findings;

static void
expect(const char *from, const char *to, const char *golden)
{
    const char *yaml = policy_with(from, to);
    struct ft_policy policy;
    char told[512];

    assert_int_equal(ft_policy_parse(FT_BYTES(yaml, strlen(yaml)), "policy.yaml", &policy, &findings),
                     FT_ERR_CONFIG);
    snprintf(told, sizeof told, "%u:%u: %s", findings.list[0].line, findings.list[0].column,
             findings.list[0].text);
    assert_string_equal(told, golden);
    assert_int_equal(findings.total, 1);
    assert_null(policy.source);
}

/* Every rule of the file arrives. */
static void
policy_good_file_is_read_whole(void **state)
{
    const size_t live = ft_alloc_live();
    struct ft_policy p;
    (void)state;

    assert_int_equal(policy_read(POLICY_SAMPLE, &p), FT_OK);
    assert_int_equal(p.owner, FT_OWNER_SELF);
    assert_int_equal(p.purpose_count, 2);
    assert_string_equal(p.auto_approve.purposes[0].text, "train/propensity");
    assert_int_equal(p.training_basis, FT_BASIS_CONSENT);
    assert_true(p.unnoised);
    assert_false(p.anonymous_baskets);
    assert_false(p.participation.metered);
    assert_int_equal(p.min_customers, 20);
    assert_int_equal(p.cohort.drop_permille_max, 300);
    assert_true(p.limits.clip_max == 10);
    assert_int_equal(p.limits.query_rows, 500000);
    assert_int_equal(p.exclude_count, 1);
    assert_int_equal(p.exclude[0].kind, FT_EXCLUDE_EQUALS);
    assert_string_equal(p.exclude[0].equals, "0");
    assert_int_equal(p.participation.from_min, 22 * 60);
    assert_int_equal(p.participation.to_min, 6 * 60);
    assert_int_equal(p.participation.days, 0x1f);
    ft_policy_clear(&p);
    assert_int_equal(ft_alloc_live(), live);
}

/* There is no default that weakens privacy: each of these keys must be there. */
static void
policy_privacy_has_no_default(void **state)
{
    (void)state;
    expect("owner: self\n", "", "1:1: missing key 'owner', expected one of root, self");
    expect("unnoised: allow\n", "", "1:1: missing key 'unnoised', expected one of allow, refuse");
    expect("training_basis: consent\n", "",
           "1:1: missing key 'training_basis', expected one of consent, records, none");
    expect("min_customers: 20\n", "",
           "1:1: missing key 'min_customers', expected a whole number from 1 to 1000000000");
    expect("clip_max: 10, ", "",
           "16:1: missing key 'clip_max', expected a number above 0 and at most 1000000");
    expect(", sigma_min: 40", "", "15:1: missing key 'sigma_min', expected a whole number from 30 to 128");
}

/* Contradictions are told where they are. */
static void
policy_contradictions_are_told_at_their_place(void **state)
{
    (void)state;
    expect("window: \"22:00-06:00\"", "window: \"08:00-08:00\"",
           "21:17: the window 08:00-08:00 is empty, expected two different times (all day is 00:00-24:00)");
    expect(
        "window: \"22:00-06:00\"", "window: \"24:00-08:00\"",
        "21:17: the window 24:00-08:00 is ambiguous, expected a start before 24:00 and an end after 00:00");
    expect("window: \"22:00-06:00\"", "window: \"22:00-25:00\"",
           "21:25: 'window' is the text '22:00-25:00', expected local times as HH:MM-HH:MM, such as "
           "22:00-06:00");
    expect("[mon, tue, wed, thu, fri]", "[]", "21:46: 'days' has 0 entries, expected 1 to 7 entries");
    expect("[mon, tue, wed, thu, fri]", "[funday]",
           "21:47: 'funday', expected one of mon, tue, wed, thu, fri, sat, sun");
    expect("  purposes: [train/propensity]", "  purposes: [score/propensity]",
           "7:14: auto_approve names score/propensity, which is not in purposes");
    expect("  train/demand: [transactions.quantity]\n", "",
           "5:30: purpose train/demand has no entry in columns, so no task of it could read anything");
    expect("purposes: [train/propensity, train/demand]", "purposes: [train/propensity]",
           "11:3: columns for train/demand, which is not in purposes");
    expect("purposes: [train/propensity, train/demand]",
           "purposes: [train/propensity, train/demand, train/demand]",
           "5:44: purpose train/demand is listed twice");
    expect("transactions.quantity", "quantity",
           "11:18: 'quantity', expected table.column, such as transactions.week");
    expect("equals: \"0\", ", "", "20:5: an exclusion needs exactly one of equals, one_of and below");
    expect("equals: \"0\"", "equals: \"0\", below: 18",
           "20:5: an exclusion needs exactly one of equals, one_of and below");
    expect("review_by: 2027-12-31", "review_by: 2027-02-30",
           "3:12: 'review_by' is '2027-02-30', expected a day of the calendar as YYYY-MM-DD");
}

/* Budgets: strict, each fault at its place, and no two pay for the same task. */
static void
policy_budgets_are_strict(void **state)
{
    (void)state;
#define WITH(text) "budgets:\n" text "exclude:\n"
#define MAIN       "  main: {unit: customer, epsilon_max: 8, delta: 1.0e-6}\n"
    expect("exclude:\n", WITH("  main: {unit: customer, delta: 1.0e-6}\n"),
           "20:3: missing key 'epsilon_max', expected a number from 1e-06 to 1000000");
    expect("exclude:\n", WITH("  main: {unit: customer, epsilon_max: 8}\n"),
           "20:3: missing key 'delta', expected a number from 1e-12 to 0.001");
    expect("exclude:\n", WITH("  main: {epsilon_max: 8, delta: 1.0e-6}\n"),
           "20:3: missing key 'unit', expected one of customer, record, store");
    expect("exclude:\n", WITH("  main: {unit: customer, epsilon_max: 0, delta: 1.0e-6}\n"),
           "20:39: 'epsilon_max' is '0', expected a number from 1e-06 to 1000000");
    expect("exclude:\n", WITH("  main: {unit: customer, epsilon_max: .nan, delta: 1.0e-6}\n"),
           "20:39: 'epsilon_max' is '.nan', expected a number from 1e-06 to 1000000");
    expect("exclude:\n", WITH("  main: {unit: customer, epsilon_max: 8, delta: 0.5}\n"),
           "20:49: 'delta' is '0.5', expected a number from 1e-12 to 0.001");
    expect("exclude:\n", WITH("  main: {unit: customer, epsilon_max: 8, delta: 1.0e-6, q_max: 2}\n"),
           "20:64: 'q_max' is '2', expected a number from 1e-09 to 1");
    expect("exclude:\n", WITH("  Main!: {unit: customer, epsilon_max: 8, delta: 1.0e-6}\n"),
           "20:3: key 'Main!', expected a name of 1 to 48 of a-z, 0-9, _ and -");
    expect("exclude:\n", WITH(MAIN "  more: {unit: customer, epsilon_max: 8, delta: 1.0e-6}\n"),
           "21:3: budgets main and more both cover every purpose of unit customer");
    expect("exclude:\n", WITH("  main: {unit: store, epsilon_max: 8, delta: 1.0e-3, m_stores: 2}\n"),
           "20:3: m_stores is 2, expected 1 or no such key: with unit store a unit is this shop");
    expect("exclude:\n", WITH("  main: {unit: store, epsilon_max: 8, delta: 1.0e-3, q_max: 0.5}\n"),
           "20:3: q_max is 0.5, expected 1 or no such key: with unit store there is no sampling");
    expect("exclude:\n", WITH("  main: {unit: customer, epsilon_max: 8, delta: 1.0e-6, purposes: [train/segmentation]}\n"),
           "20:3: the budget names train/segmentation, which is not in purposes");
    expect("exclude:\n", WITH("  main: {unit: customer, epsilon_max: 8, delta: 1.0e-6, mode: planned}\n"),
           "20:3: a planned budget needs plan, and no order");
    expect("exclude:\n", WITH("  main: {unit: customer, epsilon_max: 8, delta: 1.0e-6, method: pld}\n"),
           "20:3: plan and method are for mode planned only");
    expect("exclude:\n", WITH("  main: {unit: customer, epsilon_max: 8, delta: 1.0e-6, epsilon_task_max: 9}\n"),
           "20:3: epsilon_task_max 9 is above epsilon_max 8");
}

/* The value of an exclusion may be a customer's id: no message repeats it. */
static void
policy_excluded_values_are_never_echoed(void **state)
{
    char yaml[400], long_value[300];
    (void)state;
    memset(long_value, '7', sizeof long_value - 1);
    long_value[sizeof long_value - 1] = '\0';
    snprintf(yaml, sizeof yaml, "equals: \"%s\"", long_value);
    expect("equals: \"0\"", yaml, "20:56: 'equals' is another value, expected text of at most 256 bytes");
}

/* Three kinds of exclusions. */
static void
policy_exclusions_have_three_kinds(void **state)
{
    struct ft_policy p;
    (void)state;
    assert_int_equal(policy_read(policy_with("equals: \"0\"", "one_of: [a, \"\", b]"), &p), FT_OK);
    assert_int_equal(p.exclude[0].kind, FT_EXCLUDE_ONE_OF);
    assert_int_equal(p.exclude[0].one_of_count, 3);
    ft_policy_clear(&p);
    assert_int_equal(policy_read(policy_with("equals: \"0\"", "below: 18"), &p), FT_OK);
    assert_int_equal(p.exclude[0].kind, FT_EXCLUDE_BELOW);
    assert_true(p.exclude[0].below == 18);
    ft_policy_clear(&p);
    assert_int_equal(policy_read(policy_with("equals: \"0\"", "below: 0"), &p),
                     FT_OK); /* zero is a bound too */
    assert_int_equal(p.exclude[0].kind, FT_EXCLUDE_BELOW);
    ft_policy_clear(&p);
}

/* A column is open for exactly the purposes that list it; SQL's names ignore case. */
static void
policy_columns_are_open_by_exact_purpose(void **state)
{
    struct ft_policy p;
    (void)state;
    assert_int_equal(policy_read(POLICY_SAMPLE, &p), FT_OK);
    assert_true(ft_policy_column_allowed(&p, "train/propensity", "transactions", "week"));
    assert_true(ft_policy_column_allowed(&p, "train/propensity", "Transactions", "WEEK"));
    assert_true(ft_policy_column_allowed(&p, "train/demand", "transactions", "quantity"));
    assert_false(ft_policy_column_allowed(&p, "train/demand", "transactions", "week"));
    assert_false(ft_policy_column_allowed(&p, "score/propensity", "transactions", "week"));
    assert_false(ft_policy_column_allowed(&p, "train/propensity", "transactions", "wee"));
    assert_false(ft_policy_column_allowed(&p, "train/propensity", "transactions", "weekly"));
    assert_false(ft_policy_column_allowed(&p, "train/propensity", "transaction", "s.week"));
    assert_false(ft_policy_column_allowed(&p, "train/propensity", "", "week"));
    assert_false(ft_policy_column_allowed(&p, "train/propensity", "customers", "week"));
    ft_policy_clear(&p);
}

/* ctx: the mapped columns, as table.column, up to NULL. */
static bool
one_of_these(const void *ctx, const char *table, const char *column)
{
    char name[160];
    snprintf(name, sizeof name, "%s.%s", table, column);
    for (const char *const *mapped = ctx; *mapped != NULL; mapped++)
        if (strcmp(*mapped, name) == 0)
            return true;
    return false;
}

/* An exclusion that names an unmapped column is bad configuration, with its place. */
static void
policy_exclusion_of_an_unmapped_column_is_told(void **state)
{
    static const char *const mapped[] = { "transactions.week", "transactions.customer_id", NULL },
                             *const without[] = { "transactions.week", NULL };
    struct ft_policy p;
    (void)state;
    assert_int_equal(policy_read(POLICY_SAMPLE, &p), FT_OK);
    ft_findings_init(&findings, "policy.yaml");
    assert_int_equal(ft_policy_check_mapping(&p, (struct ft_policy_mapping){ one_of_these, mapped }, &findings), FT_OK);
    assert_int_equal(ft_policy_check_mapping(&p, (struct ft_policy_mapping){ one_of_these, without }, &findings),
                     FT_ERR_CONFIG);
    assert_int_equal(findings.list[0].line, 20);
    assert_string_equal(
        findings.list[0].text,
        "the exclusion 'test card' names transactions.customer_id, which is not mapped in client.yaml");
    ft_policy_clear(&p);
}

/* The one shop that uses a customer: a column and what it says, a date only where a budget says which counts. */
static void
policy_home_store_is_strict(void **state)
{
    static const char *const mapped[] = { "transactions.customer_id", "customers.home", NULL };
    struct ft_policy p;
    (void)state;
#define HOME(keys) "home_store: {" keys "}\nexclude:\n"
    assert_int_equal(policy_read(policy_with("exclude:\n", HOME("column: home, is: store-3, since: moved")), &p), FT_OK);
    assert_string_equal(p.home.column, "home");
    assert_string_equal(p.home.is, "store-3");
    ft_findings_init(&findings, "policy.yaml");
    assert_int_equal(ft_policy_check_mapping(&p, (struct ft_policy_mapping){ one_of_these, mapped }, &findings),
                     FT_ERR_CONFIG);
    assert_int_equal(findings.total, 1);
    assert_string_equal(findings.list[0].text,
                        "home_store names customers.moved, which is not mapped in client.yaml");
    ft_policy_clear(&p);
    expect("exclude:\n", HOME("column: home"), "19:1: missing key 'is', expected text");
    expect("exclude:\n", HOME("column: \"a b\", is: x"),
           "19:22: 'column' is the text 'a b', expected a name of letters, digits and underscores");
    expect("training_basis: consent\n", "training_basis: records\nhome_store: {column: home, is: x}\n",
           "13:1: home_store is for data with customers; training_basis is records");
#define BUDGET(keys) "budgets:\n  main: {unit: customer, epsilon_max: 8, delta: 1.0e-6" keys "}\n"
    expect("exclude:\n", BUDGET("") HOME("column: home, is: x, since: moved"),
           "20:3: home_store.since lets customers move, so the budget needs opened: the date after which who comes to "
           "this shop is not used by it");
    expect("exclude:\n", BUDGET(", opened: 2027-01-31") HOME("column: home, is: x"),
           "20:3: opened says which customers came later, and needs home_store.since to tell");
    expect("exclude:\n", BUDGET(", opened: 2027-02-30") HOME("column: home, is: x, since: moved"),
           "20:65: 'opened' is '2027-02-30', expected a day of the calendar as YYYY-MM-DD");
    assert_int_equal(
        policy_read(policy_with("exclude:\n", BUDGET(", opened: 2027-01-31") HOME("column: home, is: x, since: moved")),
                    &p),
        FT_OK);
    assert_string_equal(p.budgets[0].opened, "2027-01-31");
    ft_policy_clear(&p);
#undef HOME
#undef BUDGET
}

/* Who could change the file: every combination of owner, user and modes that matters. */
static void
policy_guard_decision_table(void **state)
{
    static const struct {
        enum ft_policy_owner owner;
        uid_t service, file, folder;
        mode_t file_mode, folder_mode;
        enum ft_policy_guard guard;
    } cases[] = {
        { FT_OWNER_ROOT, 1000, 0, 0, 0644, 0755, FT_GUARD_OK },
        { FT_OWNER_SELF, 1000, 0, 0, 0644, 0755, FT_GUARD_OK },
        { FT_OWNER_SELF, 1000, 1000, 1000, 0600, 0700, FT_GUARD_SELF },
        { FT_OWNER_ROOT, 1000, 1000, 0, 0600, 0755, FT_GUARD_OWNER },
        { FT_OWNER_ROOT, 1000, 0, 1000, 0600, 0755,
          FT_GUARD_OWNER }, /* the folder's owner may put another file there */
        { FT_OWNER_SELF, 1000, 1001, 1000, 0600, 0700, FT_GUARD_OWNER },
        { FT_OWNER_SELF, 1000, 1000, 1001, 0600, 0700, FT_GUARD_OWNER },
        { FT_OWNER_ROOT, 0, 0, 0, 0600, 0700,
          FT_GUARD_SELF }, /* the service runs as root and can do anything */
        { FT_OWNER_ROOT, 1000, 0, 0, 0664, 0755, FT_GUARD_WRITABLE },
        { FT_OWNER_ROOT, 1000, 0, 0, 0646, 0755, FT_GUARD_WRITABLE },
        { FT_OWNER_ROOT, 1000, 0, 0, 0644, 0775, FT_GUARD_WRITABLE },
        { FT_OWNER_ROOT, 1000, 0, 0, 0644, 0757, FT_GUARD_WRITABLE },
        { FT_OWNER_ROOT, 1000, 0, 0, 0644, 01777, FT_GUARD_OK }, /* sticky: others cannot replace it */
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(ft_policy_guard_of(cases[i].owner, cases[i].service, cases[i].file,
                                            cases[i].file_mode, cases[i].folder, cases[i].folder_mode),
                         cases[i].guard);
}

/* From disk: what the modes say is found, a symbolic link is refused, a missing file is told apart. */
static void
policy_load_reads_the_file_and_its_guard(void **state)
{
    char folder[] = "/tmp/fedtill-policy-XXXXXX", path[64], link_path[64];
    enum ft_policy_guard guard;
    struct ft_policy p;
    struct ft_error err = { 0 };
    (void)state;

    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/policy.yaml", folder);
    snprintf(link_path, sizeof link_path, "%s/link.yaml", folder);
    assert_int_equal(ft_policy_load(path, getuid(), (struct ft_policy_mapping){ 0 }, &p, &guard, &findings, NULL), FT_ERR_NOTFOUND);
    assert_int_equal(ft_file_write(path, FT_BYTES(POLICY_SAMPLE, strlen(POLICY_SAMPLE)), 0600, NULL), FT_OK);
    assert_int_equal(ft_policy_load(path, getuid(), (struct ft_policy_mapping){ 0 }, &p, &guard, &findings, NULL), FT_OK);
    assert_int_equal(guard, FT_GUARD_SELF);
    ft_policy_clear(&p);
    assert_int_equal(chmod(path, 0620), 0);
    assert_int_equal(ft_policy_load(path, getuid(), (struct ft_policy_mapping){ 0 }, &p, &guard, &findings, NULL), FT_OK);
    assert_int_equal(guard, FT_GUARD_WRITABLE);
    ft_policy_clear(&p);
    assert_int_equal(symlink(path, link_path), 0);
    assert_int_equal(ft_policy_load(link_path, getuid(), (struct ft_policy_mapping){ 0 }, &p, &guard, &findings, &err), FT_ERR_IO);
    assert_non_null(strstr(err.text, "symbolic link"));
    const char *next_version = policy_with("version: 1", "version: 2");
    assert_int_equal(ft_file_write(path, FT_BYTES(next_version, strlen(next_version)), 0600, NULL), FT_OK);
    err = (struct ft_error){ 0 };
    assert_int_equal(ft_policy_load(path, getuid(), (struct ft_policy_mapping){ 0 }, &p, &guard, &findings, &err), FT_ERR_CONFIG);
    assert_non_null(strstr(err.text, "policy.yaml:1:10: 'version' is '2', expected 1"));
    unlink(link_path);
    unlink(path);
    rmdir(folder);
}

/* Another text, even by a comment, has another hash. */
static void
policy_hash_covers_every_byte(void **state)
{
    struct ft_policy a, b;
    (void)state;
    assert_int_equal(policy_read(POLICY_SAMPLE, &a), FT_OK);
    assert_int_equal(policy_read(POLICY_SAMPLE "#\n", &b), FT_OK);
    assert_memory_not_equal(a.hash, b.hash, sizeof a.hash);
    ft_policy_clear(&b);
    assert_int_equal(policy_read(POLICY_SAMPLE, &b), FT_OK);
    assert_memory_equal(a.hash, b.hash, sizeof a.hash);
    ft_policy_clear(&a);
    ft_policy_clear(&b);
}

/* Fail each allocation in turn: a clean status and nothing left behind. */
static void
policy_parse_survives_any_failed_allocation(void **state)
{
    const size_t live = ft_alloc_live();
    struct ft_policy p;
    enum ft_status st = FT_OK;
    uint64_t nth;
    (void)state;
    for (nth = 1; nth < 3000; nth++) {
        ft_alloc_fail_at(nth, false);
        st = policy_read(POLICY_SAMPLE, &p);
        const bool fired = ft_alloc_fault_fired();
        ft_alloc_fail_at(0, false);
        if (!fired)
            break;
        assert_int_equal(st, FT_ERR_NOMEM);
        assert_int_equal(ft_alloc_live(), live);
    }
    assert_in_range(nth, 20, 2999);
    assert_int_equal(st, FT_OK);
    ft_policy_clear(&p);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(policy_good_file_is_read_whole),
        cmocka_unit_test(policy_privacy_has_no_default),
        cmocka_unit_test(policy_contradictions_are_told_at_their_place),
        cmocka_unit_test(policy_budgets_are_strict),
        cmocka_unit_test(policy_home_store_is_strict),
        cmocka_unit_test(policy_excluded_values_are_never_echoed),
        cmocka_unit_test(policy_exclusions_have_three_kinds),
        cmocka_unit_test(policy_columns_are_open_by_exact_purpose),
        cmocka_unit_test(policy_exclusion_of_an_unmapped_column_is_told),
        cmocka_unit_test(policy_guard_decision_table),
        cmocka_unit_test(policy_load_reads_the_file_and_its_guard),
        cmocka_unit_test(policy_hash_covers_every_byte),
        cmocka_unit_test(policy_parse_survives_any_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
