#include "aggregator/commands/aggregator_config.h"

#include "common/base/alloc.h"
#include "common/base/config.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/model/metrics.h"

#include <string.h>

struct config_file {
    struct ft_aggregator_config config;
    uint32_t version;
};

#define A(member, name, kind, ...) FT_CFG(struct ft_aggregator_config, member, name, kind, __VA_ARGS__)

static const struct ft_config_choice levels[] = { { "debug", FT_LOG_DEBUG },
                                                  { "info", FT_LOG_INFO },
                                                  { "warn", FT_LOG_WARN },
                                                  { "error", FT_LOG_ERROR },
                                                  { 0 } };
static const struct ft_config_field fields[] = {
    FT_CFG(struct config_file, version, "version", UINT32, .flags = FT_CONFIG_REQUIRED, .least = 1,
           .most = 1),
    A(listen, "listen", TEXT, .flags = FT_CONFIG_REQUIRED, .most = 270, .check = ft_config_is_host_port),
    A(public_address, "public", TEXT, .flags = FT_CONFIG_REQUIRED, .most = 270,
      .check = ft_config_is_host_port),
    A(data, "data", TEXT, .flags = FT_CONFIG_REQUIRED, .most = 1024),
    A(uploads_in_flight, "uploads_in_flight", UINT32, .least = 1, .most = 64),
    A(threads, "threads", UINT32, .least = 1, .most = 64),
    A(log_level, "log", CHOICE, .choices = levels),
    A(min_group, "min_group", UINT32, .least = FT_MIN_GROUP_LEAST, .most = 1000000),
    A(shops_max, "shops_max", UINT32, .least = 1, .most = 65535),
    FT_CONFIG_END,
};
_Static_assert(offsetof(struct config_file, config) == 0,
               "the table names offsets in struct ft_aggregator_config");

enum ft_status
ft_aggregator_config_parse(struct ft_bytes yaml, const char *origin, const char *home,
                           struct ft_aggregator_config *out, struct ft_findings *findings)
{
    enum ft_status st;
    struct ft_config *tree = NULL;
    struct config_file file = {
        .config = { .uploads_in_flight = 8, .threads = 2, .log_level = FT_LOG_INFO, .min_group = FT_MIN_GROUP,
                    .shops_max = 4096 }
    };
    struct ft_aggregator_config *c = &file.config;

    *out = (struct ft_aggregator_config){ 0 };
    ft_findings_init(findings, origin);
    FT_TRY(ft_config_open(yaml, findings, &tree));
    FT_TRY(ft_config_read(tree, fields, &file, findings));
    if (strcmp(strrchr(c->public_address, ':'), ":0") == 0) {
        ft_config_find(tree, findings, "public",
                       "'public' has port 0, expected the port that shops connect to");
        st = FT_ERR_CONFIG;
        goto out;
    }
    FT_TRY(ft_config_join(home, &c->data));
    if ((c->home = ft_strdup(home)) == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    *out = *c;
    *c = (struct ft_aggregator_config){ 0 };
out:
    ft_aggregator_config_clear(c);
    ft_config_close(tree);
    return st;
}

enum ft_status
ft_aggregator_config_load(const char *home, struct ft_aggregator_config *out, struct ft_findings *findings,
                          struct ft_error *err)
{
    enum ft_status st;
    struct ft_buf text = { 0 };
    char *path = ft_asprintf("%s/aggregator.yaml", home);

    *out = (struct ft_aggregator_config){ 0 };
    ft_findings_init(findings, "aggregator.yaml");
    if (path == NULL)
        return ft_fail(err, FT_ERR_NOMEM, "%s", ft_status_str(FT_ERR_NOMEM));
    FT_TRY(ft_file_read(path, FT_CONFIG_BYTES_MAX, &text, err));
    st = ft_aggregator_config_parse(ft_buf_bytes(&text), path, home, out, findings);
    if (st == FT_ERR_CONFIG)
        st = ft_findings_status(findings, err);
out:
    ft_buf_clear(&text);
    ft_free(path);
    return st;
}

void
ft_aggregator_config_clear(struct ft_aggregator_config *config)
{
    struct config_file file = { .config = *config };
    ft_config_clear(fields, &file);
    ft_free(config->home);
    *config = (struct ft_aggregator_config){ 0 };
}

char *
ft_aggregator_config_text(const char *listen, const char *public_address)
{
    return ft_asprintf("# The aggregator's settings. An unknown key is an error.\n"
                       "version: 1\n"
                       "listen: \"%s\"          # address and port to serve on\n"
                       "public: \"%s\"          # address and port that shops are told\n"
                       "data: fedtill.db       # the register, the log and the models\n"
                       "uploads_in_flight: 8   # masked inputs staged at a time, 64 KiB each\n"
                       "threads: 2             # for unmasking\n"
                       "min_group: 10          # no report has a figure about fewer rows\n"
                       "log: info              # debug, info, warn or error\n",
                       listen, public_address);
}
