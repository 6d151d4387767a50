#include "client/commands/client_config.h"

#include "client/source/schema.h"
#include "common/base/alloc.h"
#include "common/base/config.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/nearest.h"

#include <stdio.h>
#include <string.h>

struct config_file {
    struct ft_client_config config;
    uint32_t version;
};

#define R                          FT_CONFIG_REQUIRED
#define C(member, name, kind, ...) FT_CFG(struct ft_client_config, member, name, kind, __VA_ARGS__)
#define T(member, name, kind, ...) FT_CFG(struct ft_client_table, member, name, kind, __VA_ARGS__)

static const char *
is_shop(const char *text)
{
    const size_t size = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return size > 0 && size <= 64 && text[size] == '\0' && text[0] != '-'
               ? NULL
               : "the shop's name in its invitation: 1 to 64 small letters, digits and hyphens";
}

static const char *
is_delimiter(const char *text)
{
    return (text[0] == '\t' || (text[0] > ' ' && text[0] < 0x7f && strchr("\"\\", text[0]) == NULL)) &&
                   text[1] == '\0'
               ? NULL
               : "one character, such as \",\" or \";\" or \"\\t\"";
}

static const char *
is_decimal(const char *text)
{
    return strcmp(text, ".") == 0 || strcmp(text, ",") == 0 ? NULL : "\".\" or \",\"";
}

static const struct ft_config_choice types[] = { { "csv", FT_SOURCE_CSV }, { 0 } };
static const struct ft_config_choice encodings[] = {
    { "utf-8", FT_ENCODING_UTF8 },       { "utf-16le", FT_ENCODING_UTF16LE },
    { "utf-16be", FT_ENCODING_UTF16BE }, { "latin-1", FT_ENCODING_LATIN1 },
    { "auto", FT_ENCODING_AUTO },        { 0 }
};
static const struct ft_config_choice bases[] = {
    { "consent", FT_BASIS_CONSENT }, { "records", FT_BASIS_RECORDS }, { "none", FT_BASIS_NONE }, { 0 }
};
static const struct ft_config_choice metered[] = {
    { "auto", FT_METERED_AUTO }, { "always", FT_METERED_ALWAYS }, { "never", FT_METERED_NEVER }, { 0 }
};
static const struct ft_config_choice levels[] = { { "debug", FT_LOG_DEBUG },
                                                  { "info", FT_LOG_INFO },
                                                  { "warn", FT_LOG_WARN },
                                                  { "error", FT_LOG_ERROR },
                                                  { 0 } };

static const struct ft_config_field column_item =
    FT_CFG(struct ft_column_map, source, "column", TEXT, .most = 256);
static const struct ft_config_field table_fields[] = {
    T(files, "files", TEXT, .flags = R, .most = 1024),
    T(delimiter, "delimiter", TEXT, .most = 1, .check = is_delimiter),
    T(encoding, "encoding", CHOICE, .choices = encodings),
    T(decimal, "decimal", TEXT, .most = 1, .check = is_decimal),
    T(timestamp, "timestamp", TEXT, .most = 64),
    T(columns, "columns", DICT, .flags = R, .most = FT_SOURCE_COLUMNS_MAX, .item = &column_item,
      .item_size = sizeof(struct ft_column_map),
      .count_offset = offsetof(struct ft_client_table, column_count),
      .key_offset = offsetof(struct ft_column_map, standard)),
    FT_CONFIG_END,
};
static const struct ft_config_field source_fields[] = {
    C(source.type, "type", CHOICE, .flags = R, .choices = types),
    C(source.transactions, "transactions", MAP, .flags = R, .fields = table_fields),
    C(source.customers, "customers", MAP, .fields = table_fields),
    C(source.products, "products", MAP, .fields = table_fields),
    C(source.max_reject_ratio, "max_reject_ratio", REAL, .min = 0, .max = 1),
    FT_CONFIG_END,
};
static const struct ft_config_field consent_fields[] = {
    C(consent.basis, "basis", CHOICE, .flags = R, .choices = bases),
    C(consent.file, "file", TEXT, .most = 1024),
    FT_CONFIG_END,
};
static const struct ft_config_field interface_item = { .key = "interface",
                                                       .type = FT_CONFIG_TEXT,
                                                       .most = 31 };
static const struct ft_config_field link_fields[] = {
    C(link.metered, "metered", CHOICE, .choices = metered),
    C(link.interfaces, "interfaces", LIST, .most = 16, .item = &interface_item, .item_size = sizeof(char *),
      .count_offset = offsetof(struct ft_client_config, link.interface_count)),
    FT_CONFIG_END,
};
static const struct ft_config_field fields[] = {
    FT_CFG(struct config_file, version, "version", UINT32, .flags = R, .least = 1, .most = 1),
    C(shop, "shop", TEXT, .flags = R, .most = 64, .check = is_shop),
    C(aggregator, "aggregator", TEXT, .flags = R, .most = 270, .check = ft_config_is_host_port),
    C(state, "state", TEXT, .flags = R, .most = 1024),
    C(policy, "policy", TEXT, .flags = R, .most = 1024),
    { .key = "source", .type = FT_CONFIG_MAP, .flags = R, .fields = source_fields },
    { .key = "consent", .type = FT_CONFIG_MAP, .flags = R, .fields = consent_fields },
    { .key = "link", .type = FT_CONFIG_MAP, .fields = link_fields },
    C(log_level, "log", CHOICE, .choices = levels),
    FT_CONFIG_END,
};
_Static_assert(offsetof(struct config_file, config) == 0,
               "the tables name offsets in struct ft_client_config");

/* ---- what a table of ranges cannot see ---- */

static void
check_columns(const struct ft_config *tree, const struct ft_schema_table *schema,
              const struct ft_client_table *table, struct ft_findings *findings)
{
    enum ft_column_type type;
    char path[192];

    for (uint32_t i = 0; i < table->column_count; i++) {
        const char *standard = table->columns[i].standard;
        struct ft_nearest nearest = { 0 };
        if (ft_schema_column_type(schema, standard, &type))
            continue;
        for (size_t j = 0; j < schema->column_count; j++)
            ft_nearest_offer(&nearest, standard, schema->columns[j].name);
        snprintf(path, sizeof path, "source.%s.columns.%.100s", schema->name, standard);
        ft_config_find(
            tree, findings, path, "'%.64s' is no column of %s%s%s%s", standard, schema->name,
            nearest.word != NULL ? ", did you mean '" : "", nearest.word != NULL ? nearest.word : "",
            nearest.word != NULL ? "'?" : "; standard names are small letters, digits and underscores");
    }
    snprintf(path, sizeof path, "source.%s.decimal", schema->name);
    if (table->decimal != NULL &&
        strcmp(table->decimal, table->delimiter != NULL ? table->delimiter : ",") == 0)
        ft_config_find(tree, findings, path,
                       "'decimal' and 'delimiter' are both '%s', expected two different characters",
                       table->decimal);
}

static bool
maps_customers(const struct ft_client_config *c)
{
    if (c->source.customers.files != NULL)
        return true;
    for (uint32_t i = 0; i < c->source.transactions.column_count; i++)
        if (strcmp(c->source.transactions.columns[i].standard, "customer_id") == 0)
            return true;
    return false;
}

static void
check_config(const struct ft_config *tree, const struct ft_client_config *c, struct ft_findings *findings)
{
    check_columns(tree, &ft_schema[FT_TABLE_TRANSACTIONS], &c->source.transactions, findings);
    check_columns(tree, &ft_schema[FT_TABLE_CUSTOMERS], &c->source.customers, findings);
    check_columns(tree, &ft_schema[FT_TABLE_PRODUCTS], &c->source.products, findings);
    if (c->consent.basis == FT_BASIS_CONSENT && !maps_customers(c))
        ft_config_find(
            tree, findings, "consent.basis",
            "'basis' is consent, but no column is mapped to customer_id, so no customer could be known");
    if (c->consent.basis == FT_BASIS_RECORDS && maps_customers(c))
        ft_config_find(tree, findings, "consent.basis",
                       "'basis' is records, which is data without people, but customers are mapped");
    if (c->consent.basis != FT_BASIS_CONSENT && c->consent.file != NULL)
        ft_config_find(tree, findings, "consent.file",
                       "'file' is given, but only basis consent reads consents");
    if (c->link.interface_count > 0 && c->link.metered != FT_METERED_AUTO)
        ft_config_find(tree, findings, "link.interfaces",
                       "'interfaces' is given, but only metered: auto looks at the interface");
    if (strcmp(strrchr(c->aggregator, ':'), ":0") == 0)
        ft_config_find(tree, findings, "aggregator",
                       "'aggregator' has port 0, expected the port it serves on");
}

/* ---- reading ---- */

static enum ft_status
join_paths(struct ft_client_config *c)
{
    enum ft_status st;
    FT_TRY(ft_config_join(c->home, &c->state));
    FT_TRY(ft_config_join(c->home, &c->policy));
    FT_TRY(ft_config_join(c->home, &c->consent.file));
    FT_TRY(ft_config_join(c->home, &c->source.transactions.files));
    FT_TRY(ft_config_join(c->home, &c->source.customers.files));
    FT_TRY(ft_config_join(c->home, &c->source.products.files));
out:
    return st;
}

enum ft_status
ft_client_config_parse(struct ft_bytes yaml, const char *origin, const char *home,
                       struct ft_client_config *out, struct ft_findings *findings)
{
    enum ft_status st;
    struct ft_config *tree = NULL;
    struct config_file file = { .config = { .log_level = FT_LOG_INFO,
                                            .source = { .max_reject_ratio = 0.01 } } };
    struct ft_client_config *c = &file.config;

    *out = (struct ft_client_config){ 0 };
    c->source.transactions.encoding = c->source.customers.encoding = c->source.products.encoding =
        FT_ENCODING_UTF8;
    ft_findings_init(findings, origin);
    FT_TRY(ft_config_open(yaml, findings, &tree));
    FT_TRY(ft_config_read(tree, fields, &file, findings));
    check_config(tree, c, findings);
    if (findings->total > 0) {
        st = FT_ERR_CONFIG;
        goto out;
    }
    if ((c->home = ft_strdup(home)) == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    FT_TRY(join_paths(c));
    *out = *c;
    *c = (struct ft_client_config){ 0 };
out:
    ft_client_config_clear(c);
    ft_config_close(tree);
    return st;
}

enum ft_status
ft_client_config_load(const char *home, struct ft_client_config *out, struct ft_findings *findings,
                      struct ft_error *err)
{
    enum ft_status st;
    struct ft_buf text = { 0 };
    char *path = ft_asprintf("%s/client.yaml", home);

    *out = (struct ft_client_config){ 0 };
    ft_findings_init(findings, "client.yaml");
    if (path == NULL)
        return ft_fail(err, FT_ERR_NOMEM, "%s", ft_status_str(FT_ERR_NOMEM));
    FT_TRY(ft_file_read(path, FT_CONFIG_BYTES_MAX, &text, err));
    st = ft_client_config_parse(ft_buf_bytes(&text), path, home, out, findings);
    if (st == FT_ERR_CONFIG)
        st = ft_findings_status(findings, err);
out:
    ft_buf_clear(&text);
    ft_free(path);
    return st;
}

void
ft_client_config_clear(struct ft_client_config *config)
{
    struct config_file file = { .config = *config };
    ft_config_clear(fields, &file);
    ft_free(config->home);
    *config = (struct ft_client_config){ 0 };
}

/* ---- for the source ---- */

static enum ft_status
copy_text(char **out, const char *text)
{
    if (text != NULL && (*out = ft_strdup(text)) == NULL)
        return FT_ERR_NOMEM;
    return FT_OK;
}

static enum ft_status
convert_table(const struct ft_client_table *table, struct ft_source_table *out)
{
    enum ft_status st = FT_OK;

    if (table->files == NULL)
        return FT_OK;
    FT_TRY(copy_text(&out->files, table->files));
    FT_TRY(copy_text(&out->timestamp, table->timestamp));
    if (table->delimiter != NULL)
        out->delimiter = table->delimiter[0];
    if (table->decimal != NULL)
        out->decimal = table->decimal[0];
    out->encoding = table->encoding;
    if ((out->columns = ft_calloc(table->column_count, sizeof *out->columns)) == NULL)
        return FT_ERR_NOMEM;
    out->column_count = table->column_count;
    for (uint32_t i = 0; i < table->column_count; i++) {
        FT_TRY(copy_text(&out->columns[i].name, table->columns[i].standard));
        FT_TRY(copy_text(&out->columns[i].source, table->columns[i].source));
    }
out:
    return st;
}

enum ft_status
ft_client_source_config(const struct ft_client_config *config, struct ft_source_config *out)
{
    enum ft_status st;

    ft_source_config_init(out);
    out->max_reject_ratio = config->source.max_reject_ratio;
    FT_TRY(convert_table(&config->source.transactions,
                         &out->transactions)); /* files are joined with home already */
    FT_TRY(convert_table(&config->source.customers, &out->customers));
    FT_TRY(convert_table(&config->source.products, &out->products));
out:
    if (st != FT_OK)
        ft_source_config_clear(out);
    return st;
}
