/* What a run's folder says of the data that the run read. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregator/simulate/run/run.h"
#include "common/base/alloc.h"
#include "common/base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/fedtill-run.XXXXXX";

/* A data file that is replaced as its rows begin to be read, and a run that is stopped after its first round.
 */
struct swap {
    char *path;
    volatile sig_atomic_t stop;
    bool done;
};

static void
put_rows(const char *path, unsigned rows)
{
    struct ft_buf text = { 0 };
    assert_int_equal(ft_buf_str(&text, "a,b,y\n"), FT_OK);
    for (unsigned i = 0; i < rows; i++)
        assert_int_equal(ft_buf_printf(&text, "%u,%u,%u\n", i % 7, i % 5, i % 2), FT_OK);
    assert_int_equal(ft_file_write(path, ft_buf_bytes(&text), 0600, NULL), FT_OK);
    ft_buf_clear(&text);
}

static void
swap_and_stop(void *ctx, const struct ft_sim_progress *p)
{
    struct swap *s = ctx;
    if (p->stage == FT_SIM_READING && !s->done) {
        put_rows(s->path, 300);
        s->done = true;
    }
    s->stop = p->stage == FT_SIM_ROUNDS;
}

/* The rows are those after the swap, the hash is that of the file before it: to go on is refused by the
 * file's name and both hashes, and what the run recorded is never taken for the new file's. */
static void
data_replaced_before_their_rows_are_read_are_not_gone_on_with(void **state)
{
    char *path = ft_asprintf("%s/rows.csv", folder), *dir = ft_asprintf("%s/run", folder);
    char *yaml = ft_asprintf(
        "name: t\nseed: 1\ndata: {source: csv, train: %s, label: y, classes: 2, test_share: 0.2}\n"
        "partition: {kind: iid, clients: 10}\nmodel: {kind: mlp, hidden: [4]}\n"
        "algorithm: {name: fedavg}\ntraining: {rounds: 50, learning_rate: 0.1}\n"
        "clients: {fraction: 0.5}\nevaluation: {pooled: false, local: false}\n",
        path);
    struct swap s = { .path = path };
    const struct ft_sim_run_options options = {
        .dir = dir, .threads = 1, .resume = true, .stop = &s.stop, .progress = swap_and_stop, .ctx = &s
    };
    struct ft_sim_experiment e;
    struct ft_sim_result result;
    struct ft_findings findings;
    struct ft_error err = { 0 };
    (void)state;
    put_rows(path, 200);
    if (ft_sim_experiment_parse(FT_BYTES(yaml, strlen(yaml)), "e.yaml", NULL, &e, &findings, &err) != FT_OK)
        fail_msg("%s", err.text);
    if (ft_sim_run(&e, &options, &result, &err) != FT_ERR_CANCELLED)
        fail_msg("%s", err.text);
    assert_true(s.done);
    assert_int_equal(result.train_rows + result.test_rows, 300);
    s.stop = 0;
    err = (struct ft_error){ 0 };
    assert_int_equal(ft_sim_run(&e, &options, &result, &err), FT_ERR_CONFIG);
    assert_non_null(strstr(err.text, "the data have changed"));
    assert_non_null(strstr(err.text, path));
    ft_sim_experiment_clear(&e);
    ft_free(yaml);
    ft_free(dir);
    ft_free(path);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_replaced_before_their_rows_are_read_are_not_gone_on_with),
    };
    char command[64];
    int failed;
    if (mkdtemp(folder) == NULL)
        return 1;
    failed = cmocka_run_group_tests_name("simulate_run", tests, NULL, NULL);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) != 0 || failed;
}
