/* LIBSVM text of any bytes, as binary rows and as rows of three classes: refused without a trace, or finite
 * rows whose labels are classes. */
#include "aggregator/simulate/data/readers.h"
#include "common/base/alloc.h"

#include <assert.h>
#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t live = ft_alloc_live();
    const struct ft_bytes text = FT_BYTES(data, size);
    for (uint32_t classes = 0; classes < 4; classes += 3) {
        struct ft_sim_part part = { 0 };
        struct ft_error err = { 0 };
        const enum ft_status st =
            sim_parse_libsvm(text, "fuzz", 8, classes, sim_libsvm_base(text), &part, &err);
        assert(st == FT_OK || st == FT_ERR_FORMAT);
        assert((st == FT_OK) == (err.text[0] == '\0'));
        for (uint64_t i = 0; st == FT_OK && i < part.rows; i++) {
            assert(part.y[i] >= 0 && part.y[i] <= 2 && part.y[i] == floorf(part.y[i]));
            for (int k = 0; k < 8; k++)
                assert(isfinite(part.x[i * 8 + (uint64_t)k]));
        }
        ft_free(part.x);
        ft_free(part.y);
    }
    assert(ft_alloc_live() == live);
    return 0;
}
