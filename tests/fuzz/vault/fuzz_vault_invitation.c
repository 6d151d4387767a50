/* An invitation and a trust.json: what is accepted is formatted to what is accepted again. */
#include "client/vault/home.h"
#include "common/base/alloc.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t live = ft_alloc_live();
    struct ft_token_file file;
    struct ft_pinned pinned, again;
    struct ft_buf text = { 0 };

    if (ft_token_file_parse(FT_BYTES(data, size), "token.json", &file, NULL) == FT_OK) {
        assert(file.pinned.task_key_count >= 1 && file.pinned.task_key_count <= FT_PINNED_TASK_KEYS_MAX);
        assert(file.ca_pem.size > 0);
        ft_token_file_clear(&file);
    }
    if (ft_pinned_parse(FT_BYTES(data, size), "trust.json", &pinned, NULL) == FT_OK) {
        assert(ft_pinned_format(&pinned, &text) == FT_OK);
        assert(ft_pinned_parse(ft_buf_bytes(&text), "trust.json", &again, NULL) == FT_OK);
        assert(memcmp(&pinned, &again, sizeof pinned) == 0);
    }
    ft_buf_clear(&text);
    assert(ft_alloc_live() == live);
    return 0;
}
