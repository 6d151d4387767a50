/* Every message a shop can send the aggregator, and the directory it reads back from its database. The first
 * byte says which; the rest is the message. What decodes is within its limits. */
#include "aggregator/registry/wire_enrol.h"
#include "aggregator/round/wire_federation.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
sync_request(struct ft_bytes bytes)
{
    struct ft_sync_request r;

    if (ft_sync_request_decode(bytes, &r) != FT_OK)
        return;
    assert(r.verdict_count <= FT_SYNC_VERDICTS_MAX && r.answer.size <= FT_SS_MESSAGE_MAX);
    assert(r.position.step <= FT_SS_STEP_REPAIR);
    for (size_t i = 0; i < r.verdict_count; i++)
        assert(r.verdicts[i].code_count <= FT_SYNC_CODES_MAX);
    ft_sync_request_clear(&r);
}

static void
upload_frame(struct ft_bytes bytes)
{
    struct ft_upload_frame f;

    if (ft_upload_frame_decode(bytes, &f) != FT_OK)
        return;
    assert(f.bytes.size > 0 && f.bytes.size <= bytes.size);
    ft_upload_frame_clear(&f);
}

static void
directory(struct ft_bytes bytes)
{
    struct ft_buf roster = { 0 }, keys = { 0 };
    uint32_t epoch = 0, count = 0;

    if (ft_directory_decode(bytes, &roster, &epoch, &keys, &count) != FT_OK)
        return;
    assert(keys.size == (size_t)count * FT_SS_EPOCH_KEY_SIZE);
    ft_buf_clear(&roster);
    ft_buf_clear(&keys);
}

static void
enrol_request(struct ft_bytes bytes)
{
    struct ft_enrol_request r;

    if (ft_enrol_request_decode(bytes, &r) != FT_OK)
        return;
    assert(strlen(r.shop) < sizeof r.shop && r.csr_der.size <= bytes.size);
    ft_enrol_request_clear(&r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t hash[32];
    uint64_t offset;
    struct ft_bytes rest;

    if (size == 0)
        return 0;
    rest = FT_BYTES(data + 1, size - 1);
    switch (data[0] % 5) {
    case 0:
        sync_request(rest);
        break;
    case 1:
        upload_frame(rest);
        break;
    case 2:
        if (ft_download_request_decode(rest, hash, &offset) != FT_OK)
            return 0;
        break;
    case 3:
        directory(rest);
        break;
    default:
        enrol_request(rest);
    }
    return 0;
}
