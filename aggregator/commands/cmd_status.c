/* fedtill-aggregator status and check-config. */
#include "aggregator/commands/commands.h"
#include "aggregator/commands/home.h"
#include "aggregator/commands/show.h"
#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/base/keyfile.h"
#include "common/rpc/pki.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* A line of /proc/PID/status in kB, as bytes; 0 when it cannot be read. */
static uint64_t
process_bytes(long pid, const char *name)
{
    char path[64], line[256];
    unsigned long long kib = 0;
    const size_t size = strlen(name);
    FILE *file;

    snprintf(path, sizeof path, "/proc/%ld/status", pid);
    file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, size) == 0 && sscanf(line + size, ": %llu kB", &kib) == 1)
            break;
    if (file != NULL)
        fclose(file);
    return (uint64_t)kib * 1024;
}

int
ft_cmd_status(struct ft_cli *cli)
{
    struct ft_home home;
    struct ft_shop *shops = NULL;
    struct ft_task_row *tasks = NULL;
    size_t shop_count = 0, task_count = 0, active = 0, in_roster = 0;
    uint64_t log_size = 0;
    uint8_t head[32];
    char hex[65];
    long pid = 0;
    bool serving;
    enum ft_status st;
    int code = ft_home_open(cli, &home);

    if (code != FT_EXIT_OK)
        return code;
    serving = ft_home_serving(&home, &pid);
    FT_TRY(ft_store_shops(home.store, &shops, &shop_count));
    FT_TRY(ft_store_tasks(home.store, &tasks, &task_count));
    FT_TRY(ft_store_log_head(home.store, &log_size, head));
    for (size_t i = 0; i < shop_count; i++) {
        active += shops[i].state == FT_SHOP_ACTIVE;
        in_roster += shops[i].state == FT_SHOP_ACTIVE && shops[i].roster_index >= 0;
    }
    ft_hex(hex, head, 32);
    if (ft_cli_json(cli)) {
        json_t *list = json_array();
        for (size_t i = 0; i < task_count; i++)
            json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:I}", "task", tasks[i].name, "state",
                                                  ft_task_state_name(tasks[i].state), "trained",
                                                  (int)tasks[i].progress.trained, "last_round",
                                                  (json_int_t)tasks[i].progress.last_round));
        code = ft_cli_print_json(json_pack("{s:b, s:I, s:I, s:I, s:s, s:i, s:i, s:i, s:I, s:s, s:o}", "serving", serving,
                                           "pid", (json_int_t)pid, "rss",
                                           (json_int_t)(serving ? process_bytes(pid, "VmRSS") : 0), "rss_peak",
                                           (json_int_t)(serving ? process_bytes(pid, "VmHWM") : 0), "listen",
                                           home.config.listen, "shops", (int)shop_count, "active", (int)active,
                                           "in_roster", (int)in_roster, "log_size", (json_int_t)log_size, "log_head",
                                           hex, "tasks", list));
    } else {
        if (serving)
            printf("server   running, pid %ld, %.1f MiB\n", pid, (double)process_bytes(pid, "VmRSS") / 1048576);
        else
            printf("server   not running\n");
        printf("listen   %s\nshops    %zu, %zu active, %zu of them in the roster\nlog      %llu rounds, head %.16s\n",
               home.config.listen, shop_count, active, in_roster, (unsigned long long)log_size, hex);
        for (size_t i = 0; i < task_count; i++)
            printf("task     %s: %s, %u training rounds\n", tasks[i].name, ft_task_state_name(tasks[i].state),
                   tasks[i].progress.trained);
    }
out:
    if (st != FT_OK)
        code = ft_cli_fail(cli, st, NULL);
    ft_free(shops);
    ft_free(tasks);
    ft_home_close(&home);
    return code;
}

/* A certificate and its key: readable, belonging together, issued by our CA for this use, valid now. */
static void
check_certificate(const struct ft_home *home, const char *cert_name, const char *key_name,
                  enum ft_pki_purpose purpose, struct ft_findings *findings)
{
    struct ft_buf cert = { 0 }, key = { 0 }, ca = { 0 };
    struct ft_error err = { 0 };
    enum ft_status st;
    char *cert_path = ft_home_path(home, cert_name), *key_path = ft_home_path(home, key_name);
    char *ca_path = ft_home_path(home, "ca.pem");

    if (cert_path == NULL || key_path == NULL || ca_path == NULL) {
        ft_fail(&err, st = FT_ERR_NOMEM, "out of memory");
        goto out;
    }
    FT_TRY(ft_file_read(cert_path, FT_PKI_PEM_MAX, &cert, &err));
    FT_TRY(ft_file_read(key_path, FT_PKI_PEM_MAX, &key, &err));
    FT_TRY(ft_file_read(ca_path, FT_PKI_PEM_MAX, &ca, &err));
    st = ft_pki_match(ft_buf_bytes(&key), ft_buf_bytes(&cert));
    if (st != FT_OK) {
        ft_fail(&err, st, "%s does not belong to %s", key_name, cert_name);
        goto out;
    }
    st = ft_pki_verify(ft_buf_bytes(&cert), ft_buf_bytes(&ca), purpose, (int64_t)time(NULL), &err);
out:
    if (st != FT_OK)
        ft_find(findings, 0, 0, "%s: %s", cert_name, err.text[0] != '\0' ? err.text : ft_status_str(st));
    ft_buf_clear(&cert);
    ft_buf_clear(&key);
    ft_buf_clear(&ca);
    ft_free(cert_path);
    ft_free(key_path);
    ft_free(ca_path);
}

int
ft_home_check(const struct ft_home *home, struct ft_findings *findings)
{
    struct ft_home_trust trust = { 0 };
    struct ft_error err = { 0 };

    check_certificate(home, "ca.pem", "ca.key", FT_PKI_CA, findings);
    check_certificate(home, "server.pem", "server.key", FT_PKI_SERVER, findings);
    if (ft_home_trust(home, &trust, &err) != FT_OK)
        ft_find(findings, 0, 0, "%s", err.text);
    ft_home_trust_clear(&trust);
    err = (struct ft_error){ 0 };
    if (ft_store_log_check(home->store, &err) != FT_OK)
        ft_find(findings, 0, 0, "fedtill.db: %s", err.text);
    return findings->total == 0 ? FT_EXIT_OK : FT_EXIT_CONFIG;
}

int
ft_cmd_check_config(struct ft_cli *cli)
{
    struct ft_home home;
    struct ft_findings findings;
    int code = ft_home_open(cli, &home);

    if (code != FT_EXIT_OK)
        return code;
    ft_findings_init(&findings, home.folder);
    if (ft_home_check(&home, &findings) != FT_EXIT_OK)
        code = ft_cli_fail_findings(cli, &findings);
    else if (ft_cli_json(cli))
        code = ft_cli_print_json(json_pack("{s:b, s:s}", "ok", 1, "home", home.folder));
    else
        printf("%s: configuration, keys, certificates, database and log are in order\n", home.folder);
    ft_home_close(&home);
    return code;
}
