/*
 * aggregator.yaml: where the aggregator listens and keeps its data. Strict; file names are relative to the
 * file's folder.
 */
#ifndef FT_AGGREGATOR_CONFIG_H
#define FT_AGGREGATOR_CONFIG_H

#include "common/base/buf.h"
#include "common/base/findings.h"
#include <stdint.h>

struct ft_aggregator_config {
    char *home;
    char *listen;               /* host:port to bind */
    char *public_address;       /* host:port that shops are told; key `public` */
    char *data;                 /* database file, joined with home */
    uint32_t uploads_in_flight; /* staging slots, 1 .. 64; default 8 */
    uint32_t threads;           /* 1 .. 64; default 2 */
    uint32_t log_level;         /* enum ft_log_level; default info */
    uint32_t min_group;         /* figures about fewer rows are withheld from reports; default FT_MIN_GROUP */
    uint32_t shops_max;         /* most shops in the register that may call; default 4096 */
};

/* Read HOME/aggregator.yaml. Errors: NOTFOUND, IO, LIMIT, CONFIG (findings), NOMEM. */
FT_NODISCARD enum ft_status ft_aggregator_config_load(const char *home, struct ft_aggregator_config *out,
                                                      struct ft_findings *findings, struct ft_error *err);
FT_NODISCARD enum ft_status ft_aggregator_config_parse(struct ft_bytes yaml, const char *origin,
                                                       const char *home, struct ft_aggregator_config *out,
                                                       struct ft_findings *findings);
void ft_aggregator_config_clear(struct ft_aggregator_config *config);

/* The text of a new aggregator.yaml, for `init`. Free with ft_free; NULL without memory. */
char *ft_aggregator_config_text(const char *listen, const char *public_address);

#endif
