/* client.yaml of any bytes: a configuration that keeps its own rules, or findings with their places. */
#include "client/commands/client_config.h"
#include "common/base/alloc.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t live = ft_alloc_live();
    struct ft_findings *findings = ft_calloc(1, sizeof *findings);
    struct ft_client_config config;
    struct ft_source_config source;

    assert(findings != NULL);
    const enum ft_status st =
        ft_client_config_parse(FT_BYTES(data, size), "client.yaml", "/home", &config, findings);
    assert(st == FT_OK || st == FT_ERR_CONFIG || st == FT_ERR_LIMIT);
    assert((st == FT_ERR_CONFIG) == (findings->count > 0));
    if (st == FT_OK) {
        assert(config.shop[0] != '\0' && strchr(config.aggregator, ':') != NULL && config.state[0] == '/');
        if (ft_client_source_config(&config, &source) == FT_OK)
            ft_source_config_clear(&source);
        ft_client_config_clear(&config);
    }
    ft_free(findings);
    assert(ft_alloc_live() == live);
    return 0;
}
