/* IDX of any bytes, as images and as three labels: refused with a sentence, or every value in its range. */
#include "aggregator/simulate/data/readers.h"
#include "common/base/alloc.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t live = ft_alloc_live();
    float y[3] = { -1, -1, -1 };
    struct ft_sim_part images = { 0 }, labels = { .y = y, .rows = 3 };
    struct ft_error err = { 0 };
    uint32_t values = 0;

    if (sim_parse_idx(FT_BYTES(data, size), "fuzz", false, &images, &values, &err) == FT_OK) {
        assert(images.rows * values + 16 == size);
        for (uint64_t i = 0; i < images.rows * values; i++)
            assert(images.x[i] >= 0 && images.x[i] <= 1);
    } else {
        assert(err.text[0] != '\0');
    }
    ft_free(images.x);
    ft_free(images.y);
    if (sim_parse_idx(FT_BYTES(data, size), "fuzz", true, &labels, &values, &err) == FT_OK)
        for (int i = 0; i < 3; i++)
            assert(y[i] >= 0 && y[i] <= 255);
    assert(ft_alloc_live() == live);
    return 0;
}
