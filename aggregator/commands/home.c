#include "aggregator/commands/home.h"
#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/base/lock.h"
#include "common/base/keyfile.h"
#include "common/secure_sum/roster.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

char *
ft_home_path(const struct ft_home *home, const char *name)
{
    return ft_asprintf("%s/%s", home->folder, name);
}

static enum ft_status
open_folder(const char *folder, struct ft_home *out, struct ft_findings *findings, struct ft_error *err)
{
    enum ft_status st;

    memset(out, 0, sizeof *out);
    out->folder = ft_strdup(folder);
    if (out->folder == NULL)
        return FT_ERR_NOMEM;
    FT_TRY(ft_aggregator_config_load(out->folder, &out->config, findings, err));
    FT_TRY(ft_store_open(out->config.data, &out->store, err));
    ft_store_deployment(out->store, out->deployment);
out:
    if (st != FT_OK)
        ft_home_close(out);
    return st;
}

int
ft_home_open(const struct ft_cli *cli, struct ft_home *out)
{
    struct ft_findings findings = { 0 };
    struct ft_error err = { 0 };
    const enum ft_status st = open_folder(ft_cli_text(cli, "home"), out, &findings, &err);

    if (st == FT_OK)
        return FT_EXIT_OK;
    return findings.total > 0 ? ft_cli_fail_findings(cli, &findings) : ft_cli_fail(cli, st, &err);
}

uint32_t
ft_home_corrupted(const struct ft_home *home)
{
    struct ft_home_trust trust = { 0 };
    struct ft_buf bytes = { 0 };
    struct ft_ss_roster roster = { 0 };
    uint64_t serial;
    uint32_t corrupted = 0;

    if (ft_store_roster(home->store, &serial, &bytes) == FT_OK && ft_home_trust(home, &trust, NULL) == FT_OK &&
        ft_ss_roster_open(ft_buf_bytes(&bytes), trust.trust.registrar_key, home->deployment, 0, &roster, NULL) == FT_OK)
        corrupted = roster.corrupted;
    ft_ss_roster_clear(&roster);
    ft_home_trust_clear(&trust);
    ft_buf_clear(&bytes);
    return corrupted;
}

uint32_t
ft_home_corrupted_at(const char *folder)
{
    struct ft_findings findings = { 0 };
    struct ft_home home;
    uint32_t corrupted = 0;

    if (open_folder(folder, &home, &findings, NULL) == FT_OK) {
        corrupted = ft_home_corrupted(&home);
        ft_home_close(&home);
    }
    return corrupted;
}

void
ft_home_close(struct ft_home *home)
{
    ft_store_close(home->store);
    ft_aggregator_config_clear(&home->config);
    ft_free(home->folder);
    memset(home, 0, sizeof *home);
}

/* One line of hex a key. */
static enum ft_status
read_public_keys(const struct ft_home *home, const char *name, uint8_t (*keys)[32], size_t most, size_t *count,
                 struct ft_error *err)
{
    enum ft_status st;
    struct ft_buf text = { 0 };
    char *path = ft_home_path(home, name);
    char *rest = NULL;

    *count = 0;
    if (path == NULL)
        return FT_ERR_NOMEM;
    FT_TRY(ft_file_read(path, 4096, &text, err));
    for (char *line = strtok_r((char *)text.data, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        if (*count == most || ft_unhex(keys[*count], 32, line) != FT_OK) {
            st = ft_fail(err, FT_ERR_FORMAT, "%s:%zu: expected at most %zu keys of 64 hex digits, one a line", path,
                         *count + 1, most);
            goto out;
        }
        (*count)++;
    }
    if (*count == 0)
        st = ft_fail(err, FT_ERR_FORMAT, "%s: holds no key", path);
out:
    ft_buf_clear(&text);
    ft_free(path);
    return st;
}

enum ft_status
ft_home_trust(const struct ft_home *home, struct ft_home_trust *out, struct ft_error *err)
{
    enum ft_status st;
    size_t count = 0;
    char *ca = ft_home_path(home, "ca.pem"), *signing = ft_home_path(home, "signing.key");

    memset(out, 0, sizeof *out);
    if (ca == NULL || signing == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    FT_TRY(ft_file_read(ca, (size_t)64 << 10, &out->ca_pem, err));
    FT_TRY(ft_keyfile_public(signing, out->trust.aggregator_key, err));
    FT_TRY(read_public_keys(home, "registrar.pub", &out->trust.registrar_key, 1, &count, err));
    FT_TRY(read_public_keys(home, "task-keys.pub", out->task_keys, FT_HOME_TASK_KEYS_MAX, &count, err));
    out->trust.aggregator = home->config.public_address;
    out->trust.ca_pem = ft_buf_bytes(&out->ca_pem);
    out->trust.task_keys = (const uint8_t(*)[32])out->task_keys;
    out->trust.task_key_count = count;
out:
    ft_free(ca);
    ft_free(signing);
    if (st != FT_OK)
        ft_home_trust_clear(out);
    return st;
}

void
ft_home_trust_clear(struct ft_home_trust *t)
{
    ft_buf_clear(&t->ca_pem);
    memset(t, 0, sizeof *t);
}

enum ft_status
ft_home_lock_take(const struct ft_home *home, int *fd, struct ft_error *err)
{
    char *path = ft_home_path(home, "serve.lock");
    const enum ft_status st = path != NULL ? ft_lock_take(path, "another server", fd, err) : FT_ERR_NOMEM;
    ft_free(path);
    return st;
}

bool
ft_home_serving(const struct ft_home *home, long *pid)
{
    char *path = ft_home_path(home, "serve.lock");
    *pid = path != NULL ? ft_lock_holder(path) : 0;
    ft_free(path);
    return *pid > 0;
}

enum ft_status
ft_home_task(const struct ft_home *home, const char *name, struct ft_task_row *out, struct ft_error *err)
{
    enum ft_status st;
    struct ft_task_row *rows = NULL;
    size_t count = 0, matches = 0;
    const size_t size = strlen(name);

    FT_TRY(ft_store_tasks(home->store, &rows, &count));
    for (size_t i = 0; i < count; i++) {
        char hex[65];
        ft_hex(hex, rows[i].hash, 32);
        if (strcmp(rows[i].name, name) == 0) {
            if (matches == 0 || rows[i].published_ms >= out->published_ms)
                *out = rows[i];
            matches = 1;
        } else if (size >= 8 && strncmp(hex, name, size) == 0) {
            *out = rows[i];
            matches += 1;
        }
    }
    if (matches == 0)
        st = ft_fail(err, FT_ERR_NOTFOUND, "no task '%s'; `task list` shows them", name);
    else if (matches > 1)
        st = ft_fail(err, FT_ERR_ARGUMENT, "'%s' means several tasks; give more digits of the hash", name);
out:
    ft_free(rows);
    return st;
}
