#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "client/consent/import.h"
#include "tests/support/shop.h"

#define P   "train/propensity"
#define NOW ((uint64_t)1500000000000) /* 2017-07-14 02:40:00 */

struct registry {
    struct test_shop shop;
    char path[256];
    struct ft_consent *consent;
    struct ft_consent_import_config config;
    struct ft_consent_import_summary summary;
    struct ft_error err;
};

static int
setup(void **state)
{
    struct registry *r = calloc(1, sizeof *r);
    shop_init(&r->shop);
    snprintf(r->path, sizeof r->path, "%s/state.db", r->shop.folder);
    if (ft_consent_open(r->path, &r->shop.key, &r->consent, NULL) != FT_OK)
        return -1;
    r->config.file = "consent.csv";
    r->config.base_dir = r->shop.folder;
    *state = r;
    return 0;
}

static int
teardown(void **state)
{
    struct registry *r = *state;
    ft_consent_close(r->consent);
    shop_close(&r->shop);
    free(r);
    return 0;
}

static enum ft_status
import(struct registry *r, const char *text, uint64_t now)
{
    r->err = (struct ft_error){ 0 };
    if (text != NULL)
        shop_text(&r->shop, "consent.csv", text);
    return ft_consent_import(r->consent, &r->config, now, NULL, NULL, &r->summary, &r->err);
}

static enum ft_consent_state
state_of(struct registry *r, const char *id, const char *purpose)
{
    enum ft_consent_state s;
    assert_int_equal(ft_consent_state_of(r->consent, id, purpose, NOW + 10, &s, NULL), FT_OK);
    return s;
}

#define HEADER "customer_id,purpose,decision,time,notice\n"

/* Clear rows become events with the file's own times. */
static void
consent_import_records_decisions(void **state)
{
    struct registry *r = *state;
    assert_int_equal(import(r,
                            HEADER "1," P ",given,2017-01-01 00:00:00,v1\n"
                                   "2," P ",refused,2017-01-01 00:00:00,v1\n"
                                   "3," P ",Yes,2017-01-01,v1\n"
                                   "3," P ",withdrawn,2017-02-01 00:00:00,v1\n"
                                   "4,score/demand,opt-in,2017-01-01 00:00:00,\n",
                            NOW),
                     FT_OK);
    assert_int_equal(r->summary.rows, 5);
    assert_int_equal(r->summary.grants, 3);
    assert_int_equal(r->summary.refusals, 1);
    assert_int_equal(r->summary.withdrawals, 1);
    assert_int_equal(r->summary.ambiguous, 0);
    assert_int_equal(state_of(r, "1", P), FT_CONSENT_GIVEN);
    assert_int_equal(state_of(r, "2", P), FT_CONSENT_REFUSED);
    assert_int_equal(state_of(r, "3", P), FT_CONSENT_WITHDRAWN);
    assert_int_equal(state_of(r, "4", P), FT_CONSENT_UNKNOWN);
    assert_int_equal(state_of(r, "4", "score/demand"), FT_CONSENT_GIVEN);
}

/* What is not clear never grants, and takes back what was granted, wherever in the file it stands. */
static void
consent_import_takes_doubt_for_refusal(void **state)
{
    static const char *const doubts[] = {
        "1," P ",perhaps,2017-01-01 00:00:00,v1\n",
        "1," P ",,2017-01-01 00:00:00,v1\n",
        "1," P ",given,yesterday,v1\n",
        "1," P ",given,,v1\n",
        "1," P ",given,2031-01-01 00:00:00,v1\n",
        "1," P ",refused,31.12.2016,v1\n",
        "1,*,given,2017-01-01 00:00:00,v1\n",
        "1," P ",given,2017-01-01 00:00:00,a notice that is far too long to be a version\n",
        "1," P ",withdrawn,2031-01-01 00:00:00,v1\n",
    };
    for (size_t i = 0; i < sizeof doubts / sizeof doubts[0]; i++) {
        for (int before = 0; before < 2; before++) {
            struct registry *r;
            char text[400];
            assert_int_equal(setup((void **)&r), 0);
            snprintf(text, sizeof text,
                     HEADER "%s"
                            "1," P ",given,2017-01-01 00:00:00,v1\n%s",
                     before ? doubts[i] : "", before ? "" : doubts[i]);
            assert_int_equal(import(r, text, NOW), FT_OK);
            assert_int_equal(r->summary.ambiguous, 1);
            if (state_of(r, "1", P) != FT_CONSENT_REFUSED)
                fail_msg("%s %d", doubts[i], before);
            teardown((void **)&r);
        }
    }
    (void)state;
}

/* The same file again changes nothing, doubts and all, at any later time. */
static void
consent_import_again_changes_nothing(void **state)
{
    struct registry *r = *state;
    struct ft_consent_totals before, after;
    static const char text[] = HEADER "1," P ",given,2017-01-01 00:00:00,v1\n"
                                      "1," P ",who knows,2017-01-01 00:00:00,v1\n"
                                      "2," P ",given,2017-01-01 00:00:00,v1\n"
                                      "3,all,refused,2017-01-01 00:00:00,v1\n";
    assert_int_equal(import(r, text, NOW), FT_OK);
    assert_int_equal(ft_consent_totals(r->consent, P, NOW, &before, NULL), FT_OK);
    assert_int_equal(before.events, 4);
    assert_int_equal(import(r, NULL, NOW + 5), FT_OK);
    assert_int_equal(r->summary.grants + r->summary.refusals + r->summary.withdrawals, 0);
    assert_int_equal(r->summary.unchanged, 2 + 16 + 1);
    assert_int_equal(ft_consent_totals(r->consent, P, NOW + 5, &after, NULL), FT_OK);
    assert_memory_equal(&before, &after, sizeof before);
}

/* A global opt-out refuses every purpose, whatever else the row says. */
static void
consent_import_honours_a_global_opt_out(void **state)
{
    struct registry *r = *state;
    char purpose[32];
    assert_int_equal(import(r,
                            "customer_id,purpose,decision,time,opt_out\n"
                            "1," P ",given,2017-01-01 00:00:00,1\n"
                            "2," P ",given,2017-01-01 00:00:00,0\n"
                            "3," P ",given,2017-01-01 00:00:00,\n"
                            "4," P ",given,2017-01-01 00:00:00,gpc\n"
                            "5,*,no,2017-01-01 00:00:00,\n",
                            NOW),
                     FT_OK);
    for (size_t i = 0; ft_purpose_at(i, purpose); i++) {
        assert_int_equal(state_of(r, "1", purpose), FT_CONSENT_REFUSED);
        assert_int_equal(state_of(r, "4", purpose), FT_CONSENT_REFUSED);
        assert_int_equal(state_of(r, "5", purpose), FT_CONSENT_REFUSED);
    }
    assert_int_equal(state_of(r, "2", P), FT_CONSENT_GIVEN);
    assert_int_equal(state_of(r, "3", P), FT_CONSENT_GIVEN);
}

/* Rows that name nobody or no known purpose are quarantined; too many, and nothing is recorded. */
static void
consent_import_quarantines(void **state)
{
    struct registry *r = *state;
    static const char text[] = HEADER "1," P ",given,2017-01-01 00:00:00,v1\n"
                                      "," P ",given,2017-01-01 00:00:00,v1\n"
                                      "2,train/everything,given,2017-01-01 00:00:00,v1\n"
                                      "3," P ",given\n";
    assert_int_equal(import(r, text, NOW), FT_ERR_FORMAT);
    assert_non_null(strstr(
        r->err.text, "3 of 4 rows rejected, at most 0 % allowed; nothing was imported. consent.csv:3: "
                     "column customer_id: expected a customer; consent.csv:4: column purpose: expected a "
                     "known purpose; consent.csv:5: "));
    assert_int_equal(state_of(r, "1", P), FT_CONSENT_UNKNOWN);
    r->config.max_reject_ratio = 0.75;
    assert_int_equal(import(r, text, NOW), FT_OK);
    assert_int_equal(r->summary.quarantine.count, 3);
    assert_int_equal(state_of(r, "1", P), FT_CONSENT_GIVEN);
}

static bool
decline(void *ctx, const struct ft_consent_import_summary *summary)
{
    *(uint64_t *)ctx = summary->grants;
    return false;
}

/* The summary comes before the commit; who says no to it has changed nothing. */
static void
consent_import_asks_before_it_commits(void **state)
{
    struct registry *r = *state;
    uint64_t grants = 0;
    shop_text(&r->shop, "consent.csv", HEADER "1," P ",given,2017-01-01 00:00:00,v1\n");
    assert_int_equal(ft_consent_import(r->consent, &r->config, NOW, decline, &grants, &r->summary, NULL),
                     FT_ERR_CANCELLED);
    assert_int_equal(grants, 1);
    assert_int_equal(state_of(r, "1", P), FT_CONSENT_UNKNOWN);
    assert_int_equal(import(r, NULL, NOW), FT_OK);
    assert_int_equal(state_of(r, "1", P), FT_CONSENT_GIVEN);
}

/* A CRM's own column names, one purpose for the whole file, another delimiter and date format. */
static void
consent_import_maps_a_foreign_export(void **state)
{
    struct registry *r = *state;
    static const struct ft_source_column columns[] = { { (char *)"customer_id", (char *)"Kundennummer" },
                                                       { (char *)"decision", (char *)"Einwilligung" },
                                                       { (char *)"time", (char *)"Datum" } };
    r->config.columns = columns;
    r->config.column_count = 3;
    r->config.delimiter = ';';
    r->config.purpose = P;
    r->config.time_format = "%d.%m.%Y";
    assert_int_equal(
        import(r, "Name;Kundennummer;Einwilligung;Datum\nSomebody;906;1;31.01.2017\nElse;907;ja;31.01.2017\n",
               NOW),
        FT_OK);
    assert_int_equal(state_of(r, "906", P), FT_CONSENT_GIVEN);
    assert_int_equal(state_of(r, "907", P), FT_CONSENT_UNKNOWN); /* a word nobody defined is no grant */
    assert_int_equal(import(r, "Kundennummer;Datum\n906;31.01.2017\n", NOW), FT_ERR_FORMAT);
    assert_non_null(strstr(r->err.text, "Einwilligung is missing"));
    r->config.column_count = 1;
    assert_int_equal(import(r, NULL, NOW), FT_ERR_CONFIG);
    r->config.columns = NULL;
    r->config.purpose = "train/everything";
    assert_int_equal(import(r, NULL, NOW), FT_ERR_CONFIG);
}

/* Each of the demo's shops has people who said yes and people who said no, and imports without a doubt. */
static void
consent_import_reads_the_demo_files(void **state)
{
    struct registry *r = *state;
    FILE *list = fopen("deploy/demo/shops/largest.txt", "r");
    char name[64], file[128];
    int shops = 0;
    assert_non_null(list);
    r->config.base_dir = NULL;
    while (fscanf(list, "%63s", name) == 1) {
        struct ft_consent_totals t;
        struct registry *own;
        assert_int_equal(setup((void **)&own), 0);
        snprintf(file, sizeof file, "deploy/demo/consent/%s.csv", name);
        own->config.file = file;
        own->config.base_dir = NULL;
        assert_int_equal(import(own, NULL, NOW), FT_OK);
        assert_int_equal(own->summary.ambiguous, 0);
        assert_int_equal(ft_consent_totals(own->consent, P, NOW, &t, NULL), FT_OK);
        assert_true(t.given >= 40 && t.refused > 0);
        teardown((void **)&own);
        shops++;
    }
    fclose(list);
    assert_int_equal(shops, 12);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(consent_import_records_decisions),     TEST(consent_import_takes_doubt_for_refusal),
        TEST(consent_import_again_changes_nothing), TEST(consent_import_honours_a_global_opt_out),
        TEST(consent_import_quarantines),           TEST(consent_import_asks_before_it_commits),
        TEST(consent_import_maps_a_foreign_export), TEST(consent_import_reads_the_demo_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
