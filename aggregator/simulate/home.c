#include "aggregator/simulate/home.h"
#include "aggregator/simulate/rows.h"
#include "client/commands/client_config.h"
#include "client/vault/home.h"
#include "client/vault/shop.h"
#include "common/base/alloc.h"
#include "common/base/file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum ft_status
load_config(const char *home, struct ft_client_config *config, struct ft_error *err)
{
    struct ft_findings *findings = ft_calloc(1, sizeof *findings);
    enum ft_status st;

    if (findings == NULL)
        return FT_ERR_NOMEM;
    st = ft_client_config_load(home, config, findings, err);
    if (st == FT_ERR_CONFIG)
        (void)!ft_findings_status(findings, err);
    ft_free(findings);
    return st;
}

enum ft_status
ft_sim_rows_from_home(const char *home, const struct ft_task *task, struct ft_examples *out, struct ft_error *err)
{
    enum ft_status st;
    struct ft_client_config config = { 0 };
    struct ft_source_config source = { 0 };
    struct ft_shop *shop = NULL;
    const struct ft_examples *rows = NULL;

    memset(out, 0, sizeof *out);
    FT_TRY(load_config(home, &config, err));
    FT_TRY(ft_client_source_config(&config, &source));
    const struct ft_shop_config shop_config = { .env = ft_env_system(), .policy_path = config.policy,
                                                .state_dir = config.state, .source = &source,
                                                .basis = config.consent.basis, .service_uid = geteuid(),
                                                .shop = config.shop }; /* its ledger is looked at, and is this shop's */
    FT_TRY(ft_shop_open(&shop_config, &shop, err));
    st = ft_shop_examples(shop, task, &rows);
    if (st == FT_ERR_LATER) { /* nobody consented, or too few rows: this shop takes no part */
        out->feature_count = task->feature_count;
        st = FT_OK;
        goto out;
    }
    if (st != FT_OK) {
        (void)ft_fail(err, st, "%s: the shop's rows cannot be used; its log says why", home);
        goto out;
    }
    FT_TRY(ft_sim_copy(rows, out));
out:
    ft_shop_close(shop);
    ft_source_config_clear(&source);
    ft_client_config_clear(&config);
    return st;
}

/* A signed task begins with the tag and length of its first field; YAML with text. */
static bool
is_signed(const struct ft_buf *file)
{
    return file->size > 1 && file->data[0] == 0x0a && file->data[1] >= 0x80;
}

static enum ft_status
open_signed(struct ft_bytes bytes, const char *home, struct ft_task *out, struct ft_error *err)
{
    struct ft_client_config config = { 0 };
    struct ft_pinned *pinned = NULL;
    uint8_t hash[FT_TASK_HASH_SIZE];
    enum ft_status st;

    if (home == NULL)
        return ft_fail(err, FT_ERR_CONFIG, "a signed task needs a client's home, whose pinned keys check it");
    FT_TRY(load_config(home, &config, err));
    pinned = ft_calloc(1, sizeof *pinned);
    if (pinned == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    FT_TRY(ft_pinned_load(config.state, pinned, err));
    FT_TRY(ft_task_open(bytes, (const uint8_t(*)[32])pinned->task_keys, pinned->task_key_count, out, hash, err));
out:
    ft_free(pinned);
    ft_client_config_clear(&config);
    return st;
}

enum ft_status
ft_sim_task(const char *path, const char *home, struct ft_task *out, struct ft_error *err)
{
    const uint8_t deployment[16] = { 0 }; /* of no meaning to a baseline */
    struct ft_buf file = { 0 };
    enum ft_status st;

    memset(out, 0, sizeof *out);
    FT_TRY(ft_file_read(path, FT_TASK_BYTES_MAX * 2, &file, err));
    if (is_signed(&file))
        st = open_signed(ft_buf_bytes(&file), home, out, err);
    else
        st = ft_task_from_yaml(ft_buf_bytes(&file), path, deployment, out, err);
out:
    ft_buf_clear(&file);
    return st;
}
