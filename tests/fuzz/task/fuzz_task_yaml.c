/* A task's YAML: whatever is accepted is valid, encodes, and decodes to the same bytes; nothing leaks. */
#include "common/base/alloc.h"
#include "common/task/task.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t deployment[16] = { 1 };
    static struct ft_findings findings;
    const size_t live = ft_alloc_live();
    struct ft_task task, back;
    struct ft_buf bytes = { 0 }, again = { 0 };
    enum ft_status st = ft_task_from_yaml_all(FT_BYTES(data, size), "f", deployment, &task, &findings);

    assert((st == FT_OK) == (findings.total == 0));
    if (st == FT_OK) {
        assert(ft_task_validate(&task, NULL) == FT_OK);
        assert(ft_task_encode(&task, &bytes) == FT_OK);
        assert(ft_task_decode(ft_buf_bytes(&bytes), &back, NULL) == FT_OK);
        assert(ft_task_encode(&back, &again) == FT_OK);
        assert(again.size == bytes.size && memcmp(again.data, bytes.data, bytes.size) == 0);
        ft_task_clear(&back);
        ft_task_clear(&task);
    }
    ft_buf_clear(&bytes);
    ft_buf_clear(&again);
    assert(ft_alloc_live() == live);
    return 0;
}
