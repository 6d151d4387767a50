#include "common/base/alloc.h"
#include "common/secure_sum/bitmap.h"
#include "common/secure_sum/key_set_internal.h"

#include <stdlib.h>
#include <string.h>

static int
compare_keys(const void *a, const void *b)
{
    const uint8_t *const *x = a, *const *y = b;
    const int order = memcmp(*x, *y, 32);
    return order != 0 ? order : (*x > *y) - (*x < *y);
}

enum ft_status
ft_ss_key_twice(const uint8_t *keys, size_t stride, uint32_t count, const uint8_t *present, uint32_t *first,
                uint32_t *second)
{
    enum ft_status st = FT_OK;
    const uint8_t **sorted = ft_calloc(count, sizeof *sorted);
    size_t n = 0;

    *first = *second = 0;
    if (sorted == NULL)
        return FT_ERR_NOMEM;
    for (uint32_t i = 0; i < count; i++)
        if (present == NULL || ft_ss_bitmap_has(present, i))
            sorted[n++] = keys + i * stride;
    qsort(sorted, n, sizeof *sorted, compare_keys);
    for (size_t i = 1; i < n && st == FT_OK; i++)
        if (memcmp(sorted[i - 1], sorted[i], 32) == 0) {
            *first = (uint32_t)((size_t)(sorted[i - 1] - keys) / stride);
            *second = (uint32_t)((size_t)(sorted[i] - keys) / stride);
            st = FT_ERR_DUPLICATE;
        }
    ft_free(sorted);
    return st;
}
