/* The demo's task and the rows of its shops, read by the code that shops run, in a folder of the test's own. */
#ifndef TEST_SIMULATE_DEMO_SHOPS_H
#define TEST_SIMULATE_DEMO_SHOPS_H

#include "aggregator/simulate/baseline.h"
#include "common/base/file.h"
#include "common/model/model.h"

#include <glob.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define SHOPS 12

static struct ft_task task;
static struct ft_examples shops[SHOPS];

/* `folder` is a template for mkdtemp. False, with what was wrong printed, when the shops are not there. */
static bool
demo_shops_open(char *folder)
{
    const uint8_t deployment[16] = { 0 };
    struct ft_error err = { 0 };
    struct ft_buf yaml = { 0 };
    char command[512];
    glob_t found;

    ft_model_setup();
    if (sodium_init() < 0 || mkdtemp(folder) == NULL)
        return false;
    (void)snprintf(command, sizeof command,
                   "tests/data/split.sh tests/data/completejourney/transactions.csv.gz %s 1 %d", folder, SHOPS);
    if (system(command) != 0)
        return false;
    (void)snprintf(command, sizeof command, "%s/store-*.csv", folder);
    if (ft_file_read("deploy/tasks/cj_return.yaml", FT_TASK_BYTES_MAX, &yaml, &err) != FT_OK ||
        ft_task_from_yaml(ft_buf_bytes(&yaml), "cj_return.yaml", deployment, &task, &err) != FT_OK ||
        glob(command, 0, NULL, &found) != 0 || found.gl_pathc != SHOPS) {
        print_error("%s\n", err.text);
        return false;
    }
    for (size_t i = 0; i < SHOPS; i++)
        if (ft_sim_rows_from_csv(found.gl_pathv[i], &task, &shops[i], &err) != FT_OK) {
            print_error("%s\n", err.text);
            return false;
        }
    globfree(&found);
    ft_buf_clear(&yaml);
    return true;
}

static int
demo_shops_close(const char *folder)
{
    char command[128];

    for (size_t i = 0; i < SHOPS; i++)
        ft_examples_clear(&shops[i]);
    ft_task_clear(&task);
    (void)snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

#endif
