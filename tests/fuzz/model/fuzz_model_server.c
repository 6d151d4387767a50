/* Optimiser state of any bytes for each kind of optimiser: refused without a trace, or it steps and encodes to the
 * same bytes. */
#include "common/base/alloc.h"
#include "common/model/server.h"

#include <assert.h>
#include <math.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
try_kind(enum ft_server_kind kind, const uint8_t *data, size_t size)
{
    const struct ft_server_config config = { .kind = kind, .learning_rate = 0.5, .momentum = 0.9, .beta2 = 0.99,
                                             .epsilon = 1e-3 };
    const double sum[3] = { 1, -2, 3 };
    float params[3] = { 0 };
    struct ft_server *s = NULL;
    struct ft_buf before = { 0 }, after = { 0 };

    assert(ft_server_open(&config, 3, &s, NULL) == FT_OK);
    assert(ft_server_encode(s, &before) == FT_OK);
    if (ft_server_decode(s, FT_BYTES(data, size)) == FT_OK) {
        assert(ft_server_encode(s, &after) == FT_OK);
        assert(after.size == size && memcmp(after.data, data, size) == 0);
        if (ft_server_step(s, sum, 2, params) == FT_OK)
            assert(isfinite(params[0]) && isfinite(params[1]) && isfinite(params[2]));
    } else {
        assert(ft_server_encode(s, &after) == FT_OK);
        assert(after.size == before.size && memcmp(after.data, before.data, after.size) == 0);
    }
    ft_buf_clear(&before);
    ft_buf_clear(&after);
    ft_server_close(s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t live = ft_alloc_live();
    for (int kind = FT_SERVER_FEDAVG; kind <= FT_SERVER_FEDADAM; kind++)
        try_kind((enum ft_server_kind)kind, data, size);
    assert(ft_alloc_live() == live);
    return 0;
}
