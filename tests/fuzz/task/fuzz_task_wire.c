/* A task's bytes, canonical or signed: what decodes encodes to the same bytes; nothing opens without a pinned
 * key. */
#include "common/base/alloc.h"
#include "common/task/task.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t key[1][32] = { { 7 } };
    const size_t live = ft_alloc_live();
    struct ft_task task;
    struct ft_buf again = { 0 };
    uint8_t hash[FT_TASK_HASH_SIZE];

    if (ft_task_decode(FT_BYTES(data, size), &task, NULL) == FT_OK) {
        assert(ft_task_validate(&task, NULL) == FT_OK);
        assert(ft_task_encode(&task, &again) == FT_OK);
        assert(again.size == size && memcmp(again.data, data, size) == 0);
        ft_task_clear(&task);
    }
    ft_buf_clear(&again);
    assert(ft_task_open(FT_BYTES(data, size), key, 1, &task, hash, NULL) != FT_OK);
    assert(ft_alloc_live() == live);
    return 0;
}
