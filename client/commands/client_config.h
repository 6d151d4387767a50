/*
 * client.yaml: what this shop is called, where its state, policy and data are. Strict; file names are
 * relative to the file's own folder and come out absolute or relative to the process as `home` was.
 */
#ifndef FT_CLIENT_CONFIG_H
#define FT_CLIENT_CONFIG_H

#include "client/policy/policy.h"
#include "client/source/source.h" /* enum ft_encoding, and struct ft_source_config that the vault fills from this */
#include "client/vault/metered.h"
#include "common/base/findings.h"
#include <stdint.h>

enum ft_source_type { FT_SOURCE_CSV = 1 };

/* One standard column and the source column it is read from. */
struct ft_column_map {
    char *standard;
    char *source;
};

/* One table of the source, as written; ft_client_source_config turns all of it into a struct
 * ft_source_config. `files` is NULL when the table is not configured. */
struct ft_client_table {
    char *files;     /* glob, joined with home */
    char *delimiter; /* one byte; "\t" is a tab */
    enum ft_encoding encoding;
    char *decimal;   /* "." or "," */
    char *timestamp; /* strptime format; NULL: ISO 8601 */
    struct ft_column_map *columns;
    uint32_t column_count;
};

struct ft_client_config {
    char *home; /* the folder of client.yaml */
    char *shop;
    char *aggregator; /* host:port */
    char *state;      /* folder, joined with home */
    char *policy;     /* file, joined with home */
    struct {
        enum ft_source_type type;
        double max_reject_ratio; /* default 0.01 */
        struct ft_client_table transactions, customers, products;
    } source;
    struct {
        enum ft_basis basis;
        char *file; /* joined with home, or NULL */
    } consent;
    struct {
        enum ft_metered_mode metered; /* default auto */
        char **interfaces;            /* shell patterns of metered interfaces; none: the usual ones */
        uint32_t interface_count;
    } link;
    uint32_t log_level; /* enum ft_log_level; default info */
};

/* Read HOME/client.yaml. Errors: NOTFOUND, IO, LIMIT, CONFIG (findings), NOMEM. */
FT_NODISCARD enum ft_status ft_client_config_load(const char *home, struct ft_client_config *out,
                                                  struct ft_findings *findings, struct ft_error *err);
FT_NODISCARD enum ft_status ft_client_config_parse(struct ft_bytes yaml, const char *origin, const char *home,
                                                   struct ft_client_config *out,
                                                   struct ft_findings *findings);
/* The source as client/source takes it; clear with ft_source_config_clear. Errors: NOMEM. */
FT_NODISCARD enum ft_status ft_client_source_config(const struct ft_client_config *config,
                                                    struct ft_source_config *out);
void ft_client_config_clear(struct ft_client_config *config);

#endif
