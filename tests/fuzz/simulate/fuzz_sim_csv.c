/* A CSV of any bytes as train rows, and as lines of shops to be split: refused without a trace, or rows that
 * are finite and owned. */
#include "aggregator/simulate/data/readers.h"
#include "aggregator/simulate/data/shops.h"
#include "common/base/alloc.h"
#include "common/base/file.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char path[] = "/tmp/fuzz_sim_csv.XXXXXX";

static void
forget(void)
{
    (void)unlink(path);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char label[] = "y", by[] = "shop", positive[] = "yes";
    static int fd = -1;
    size_t live;

    if (fd < 0) {
        fd = mkstemp(path);
        assert(fd >= 0 && atexit(forget) == 0);
    }
    assert(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
    live = ft_alloc_live();
    for (int named = 0; named < 2; named++) {
        const struct ft_sim_data_config c = { .source = FT_SIM_CSV,
                                              .train = path,
                                              .label = label,
                                              .by = named ? by : NULL,
                                              .positive = named ? positive : NULL,
                                              .test_share = 0.5,
                                              .standardise = named == 1 };
        struct ft_sim_data d;
        struct ft_error err = { 0 };
        if (ft_sim_data_open(&c, 1, &d, &err) == FT_OK) {
            for (uint64_t i = 0; i < d.train.rows * d.features; i++)
                assert(isfinite(d.train.x[i]));
            for (uint64_t i = 0; named && i < d.train.rows; i++)
                assert(d.owner[i] < d.owners);
        } else {
            assert(err.text[0] != '\0');
        }
        ft_sim_data_clear(&d);
    }
    struct sim_shops shops;
    struct ft_error err = { 0 };
    if (sim_shops_split(path, by, &shops, &err) == FT_OK)
        assert(shops.count > 0);
    else
        assert(err.text[0] != '\0');
    sim_shops_clear(&shops);
    assert(ft_alloc_live() == live);
    return 0;
}
