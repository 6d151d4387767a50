/* An experiment of any bytes: refused with findings, or it writes YAML that reads back as the same
 * experiment. */
#include "aggregator/simulate/experiment/experiment.h"
#include "common/base/alloc.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t live = ft_alloc_live();
    struct ft_sim_experiment e, again;
    struct ft_findings findings;
    struct ft_error err = { 0 };
    struct ft_buf first = { 0 }, second = { 0 };

    if (ft_sim_experiment_parse(FT_BYTES(data, size), "fuzz", NULL, &e, &findings, &err) == FT_OK) {
        assert(ft_sim_experiment_write(&e, &first) == FT_OK);
        assert(ft_sim_experiment_parse(ft_buf_bytes(&first), "fuzz", NULL, &again, &findings, &err) == FT_OK);
        assert(ft_sim_experiment_write(&again, &second) == FT_OK);
        assert(first.size == second.size && memcmp(first.data, second.data, first.size) == 0);
        ft_sim_experiment_clear(&e);
        ft_sim_experiment_clear(&again);
    } else {
        assert(err.text[0] != '\0');
    }
    ft_buf_clear(&first);
    ft_buf_clear(&second);
    assert(ft_alloc_live() == live);
    return 0;
}
