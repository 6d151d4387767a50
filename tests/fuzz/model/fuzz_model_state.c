/* A model blob of any bytes: what is accepted keeps its rules and encodes to the same bytes; nothing leaks. */
#include "common/base/alloc.h"
#include "common/model/state.h"

#include <assert.h>
#include <math.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t live = ft_alloc_live();
    struct ft_model_state s;
    struct ft_buf again = { 0 };

    if (ft_model_state_decode(FT_BYTES(data, size), &s, NULL) == FT_OK) {
        for (uint32_t i = 0; i < s.features; i++)
            assert(isfinite(s.means[i]) && isfinite(s.stds[i]) && s.stds[i] > 0);
        for (uint64_t i = 0; i < s.parameters; i++)
            assert(isfinite(s.params[i]));
        assert(s.stage >= FT_STAGE_STATISTICS && s.stage <= FT_STAGE_EVALUATE);
        assert(ft_model_state_encode(&s, &again) == FT_OK);
        assert(again.size == size && memcmp(again.data, data, size) == 0);
    } else {
        assert(s.params == NULL && s.means == NULL && s.stds == NULL);
    }
    ft_model_state_clear(&s);
    ft_buf_clear(&again);
    assert(ft_alloc_live() == live);
    return 0;
}
