/* An exported model of any bytes: what is accepted is a whole model that can be scored; nothing of ours leaks. */
#include "aggregator/export/export.h"
#include "common/base/alloc.h"

#include <assert.h>
#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t live = ft_alloc_live();
    struct ft_exported_model m;

    if (ft_export_read_json(FT_BYTES(data, size), &m, NULL) == FT_OK) {
        assert(m.state.features == m.spec.features && m.state.parameters == ft_model_parameters(&m.spec));
        assert(ft_model_spec_check(&m.spec, NULL) == FT_OK);
        for (uint32_t i = 0; i < m.state.features; i++)
            assert(m.names[i] != NULL && m.bounds[i].min < m.bounds[i].max && m.state.stds[i] > 0);
        for (uint64_t i = 0; i < m.state.parameters; i++)
            assert(isfinite(m.state.params[i]));
    } else {
        assert(m.state.params == NULL && m.names == NULL);
    }
    ft_exported_model_clear(&m);
    assert(ft_alloc_live() == live);
    return 0;
}
