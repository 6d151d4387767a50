/* The file an aggregator hands the registrar: it may hold anything, on the machine with the key that matters
 * most. */
#include "aggregator/registry/roster_request.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ft_roster_wish wish;
    struct ft_error err = { 0 };

    if (ft_roster_wish_read(FT_BYTES(data, size), &wish, &err) != FT_OK)
        return 0;
    assert(wish.count > 0 && wish.count <= FT_SS_ROSTER_MAX && wish.members != NULL);
    for (uint32_t i = 0; i < wish.count; i++)
        assert(wish.members[i].status >= FT_SS_ACTIVE && wish.members[i].status <= FT_SS_REVOKED);
    ft_roster_wish_clear(&wish);
    return 0;
}
