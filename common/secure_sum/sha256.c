#include "common/secure_sum/sha256.h"
#include "common/base/alloc.h"

#include <openssl/evp.h>

struct ft_ss_sha256 {
    EVP_MD_CTX *ctx;
};

enum ft_status
ft_ss_sha256_open(struct ft_ss_sha256 **out)
{
    struct ft_ss_sha256 *sha = ft_calloc(1, sizeof *sha);
    *out = NULL;
    if (sha == NULL)
        return FT_ERR_NOMEM;
    sha->ctx = EVP_MD_CTX_new();
    if (sha->ctx == NULL) {
        ft_free(sha);
        return FT_ERR_NOMEM;
    }
    *out = sha;
    return FT_OK;
}

void
ft_ss_sha256_close(struct ft_ss_sha256 *sha)
{
    if (sha == NULL)
        return;
    EVP_MD_CTX_free(sha->ctx);
    ft_free(sha);
}

enum ft_status
ft_ss_sha256_begin(struct ft_ss_sha256 *sha)
{
    return EVP_DigestInit_ex(sha->ctx, EVP_sha256(), NULL) == 1 ? FT_OK : FT_ERR_INTERNAL;
}

enum ft_status
ft_ss_sha256_feed(struct ft_ss_sha256 *sha, struct ft_bytes part)
{
    return EVP_DigestUpdate(sha->ctx, part.data, part.size) == 1 ? FT_OK : FT_ERR_INTERNAL;
}

enum ft_status
ft_ss_sha256_end(struct ft_ss_sha256 *sha, uint8_t digest[32])
{
    unsigned size = 32;
    return EVP_DigestFinal_ex(sha->ctx, digest, &size) == 1 && size == 32 ? FT_OK : FT_ERR_INTERNAL;
}

enum ft_status
ft_ss_sha256(struct ft_bytes bytes, uint8_t digest[32])
{
    struct ft_ss_sha256 *sha;
    enum ft_status st = ft_ss_sha256_open(&sha);
    if (st != FT_OK)
        return st;
    FT_TRY(ft_ss_sha256_begin(sha));
    FT_TRY(ft_ss_sha256_feed(sha, bytes));
    FT_TRY(ft_ss_sha256_end(sha, digest));
out:
    ft_ss_sha256_close(sha);
    return st;
}
