/* Both directions of the socket pair and every reply of the aggregator, from the same bytes: what decodes
 * keeps its limits, and nothing is left behind. */
#include "client/link/federation.h"
#include "client/vault/outbox.h"
#include "common/base/alloc.h"
#include "common/secure_sum/roster.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct ft_bytes bytes = FT_BYTES(data, size);
    const size_t live = ft_alloc_live();
    struct ft_out out;
    struct ft_in in;
    struct ft_fed_reply reply;
    struct ft_fed_directory directory;
    struct ft_fed_upload_reply upload;
    struct ft_fed_chunk chunk;
    struct ft_fed_enrolled enrolled;

    if (ft_out_decode(bytes, &out) == FT_OK) {
        assert(out.kind >= FT_OUT_SYNC && out.kind <= FT_OUT_STOP);
        assert(out.kind != FT_OUT_DATA || (out.data.size > 0 && out.data.size <= FT_CHUNK_MAX));
        ft_out_clear(&out);
    }
    if (ft_in_decode(bytes, &in) == FT_OK) {
        assert(in.kind >= FT_IN_REPLY && in.kind <= FT_IN_RESTED);
        assert(in.kind != FT_IN_CHUNK || in.offset + in.data.size <= in.total);
        assert(in.kind != FT_IN_WANT || (in.size > 0 && in.size <= FT_CHUNK_MAX));
        ft_in_clear(&in);
    }
    if (ft_fed_reply_decode(bytes, &reply) == FT_OK) {
        assert(reply.kind >= FT_FED_WAIT && reply.kind <= FT_FED_RETRY);
        ft_fed_reply_clear(&reply);
    }
    if (ft_fed_directory_decode(bytes, &directory) == FT_OK) {
        for (size_t i = 0; i < directory.key_count; i++)
            assert(directory.keys[i].size == FT_SS_EPOCH_KEY_SIZE);
        ft_fed_directory_clear(&directory);
    }
    if (ft_fed_upload_reply_decode(bytes, &upload) == FT_OK)
        assert(upload.kind >= FT_FED_UPLOAD_START && upload.kind <= FT_FED_UPLOAD_RETRY);
    if (ft_fed_chunk_decode(bytes, &chunk) == FT_OK) {
        assert(chunk.data.size <= FT_CHUNK_MAX && chunk.offset + chunk.data.size <= chunk.total);
        ft_fed_chunk_clear(&chunk);
    }
    if (ft_fed_enrolled_decode(bytes, &enrolled) == FT_OK) {
        assert(enrolled.refusal != 0 || enrolled.certificate_pem.size > 0);
        ft_fed_enrolled_clear(&enrolled);
    }
    assert(ft_alloc_live() == live);
    return 0;
}
