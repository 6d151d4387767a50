/* Any bytes as any message of the secure sum: a status; what is accepted encodes, and decodes to the same
 * again. */
#include "common/base/alloc.h"
#include "common/secure_sum/wire.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
try_down(struct ft_bytes bytes)
{
    struct ft_ss_down m, again;
    struct ft_buf first = { 0 }, second = { 0 };
    enum ft_status st;

    if (ft_ss_down_decode(bytes, &m) != FT_OK)
        return;
    st = ft_ss_down_encode(&m, &first);
    assert(st == FT_OK);
    st = ft_ss_down_decode(ft_buf_bytes(&first), &again);
    assert(st == FT_OK && again.kind == m.kind);
    st = ft_ss_down_encode(&again, &second);
    assert(st == FT_OK && first.size == second.size && memcmp(first.data, second.data, first.size) == 0);
    ft_ss_down_clear(&m);
    ft_ss_down_clear(&again);
    ft_buf_clear(&first);
    ft_buf_clear(&second);
}

static void
try_up(struct ft_bytes bytes)
{
    struct ft_ss_up m, again;
    struct ft_buf first = { 0 }, second = { 0 };
    enum ft_status st;

    if (ft_ss_up_decode(bytes, &m) != FT_OK)
        return;
    st = ft_ss_up_encode(&m, &first);
    assert(st == FT_OK);
    st = ft_ss_up_decode(ft_buf_bytes(&first), &again);
    assert(st == FT_OK && again.kind == m.kind && again.id == m.id);
    st = ft_ss_up_encode(&again, &second);
    assert(st == FT_OK && first.size == second.size && memcmp(first.data, second.data, first.size) == 0);
    ft_ss_up_clear(&m);
    ft_ss_up_clear(&again);
    ft_buf_clear(&first);
    ft_buf_clear(&second);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t live = ft_alloc_live();
    struct ft_ss_header header;
    struct ft_ss_trailer trailer;
    enum ft_status st;

    try_down(FT_BYTES(data, size));
    try_up(FT_BYTES(data, size));
    st = ft_ss_header_decode(FT_BYTES(data, size), &header);
    assert(st == FT_OK || st == FT_ERR_FORMAT || st == FT_ERR_LIMIT);
    st = ft_ss_trailer_decode(FT_BYTES(data, size), &trailer);
    assert(st == FT_OK || st == FT_ERR_FORMAT || st == FT_ERR_LIMIT);
    assert(ft_alloc_live() == live);
    return 0;
}
