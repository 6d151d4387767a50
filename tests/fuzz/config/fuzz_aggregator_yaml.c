/* aggregator.yaml of any bytes: a configuration within its ranges, or findings with their places. */
#include "aggregator/commands/aggregator_config.h"
#include "common/base/alloc.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t live = ft_alloc_live();
    struct ft_findings *findings = ft_calloc(1, sizeof *findings);
    struct ft_aggregator_config config;

    assert(findings != NULL);
    const enum ft_status st =
        ft_aggregator_config_parse(FT_BYTES(data, size), "aggregator.yaml", "/home", &config, findings);
    assert(st == FT_OK || st == FT_ERR_CONFIG || st == FT_ERR_LIMIT);
    assert((st == FT_ERR_CONFIG) == (findings->count > 0));
    if (st == FT_OK) {
        assert(strchr(config.listen, ':') != NULL && strchr(config.public_address, ':') != NULL);
        assert(config.uploads_in_flight >= 1 && config.uploads_in_flight <= 64);
        assert(config.threads >= 1 && config.threads <= 64 && config.data[0] == '/');
        ft_aggregator_config_clear(&config);
    }
    ft_free(findings);
    assert(ft_alloc_live() == live);
    return 0;
}
