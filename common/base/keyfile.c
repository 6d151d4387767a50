#include "common/base/keyfile.h"
#include "common/base/file.h"

#include <sodium.h>
#include <string.h>
#include <sys/stat.h>

#define KEYFILE_LIMIT 256

enum ft_status
ft_keyfile_make(const char *path, uint8_t public_key[32], struct ft_error *err)
{
    uint8_t secret[64];
    char text[130];
    enum ft_status st;

    crypto_sign_keypair(public_key, secret);
    ft_hex(text, secret, sizeof secret);
    text[128] = '\n';
    st = ft_file_write_new(path, FT_BYTES(text, 129), 0600, err);
    sodium_memzero(secret, sizeof secret);
    sodium_memzero(text, sizeof text);
    return st;
}

enum ft_status
ft_keyfile_read(const char *path, uint8_t secret_key[64], struct ft_error *err)
{
    enum ft_status st;
    struct ft_buf text = { 0 };
    struct stat info;
    uint8_t seed[32], pk[32], again[64];

    FT_TRY(ft_file_read(path, KEYFILE_LIMIT, &text, err));
    if (stat(path, &info) != 0 || (info.st_mode & 077) != 0) {
        st = ft_fail(err, FT_ERR_CONFIG, "%s: others may read it (mode %03o), expected 600; run chmod 600", path,
                     (unsigned)(info.st_mode & 0777));
        goto out;
    }
    while (text.size > 0 && text.data[text.size - 1] == '\n')
        text.data[--text.size] = '\0';
    if (ft_unhex(secret_key, 64, (const char *)text.data) != FT_OK) {
        st = ft_fail(err, FT_ERR_FORMAT, "%s: found %zu characters, expected a key of 128 hex digits", path, text.size);
        goto out;
    }
    crypto_sign_ed25519_sk_to_seed(seed, secret_key);
    crypto_sign_seed_keypair(pk, again, seed);
    if (sodium_memcmp(again, secret_key, sizeof again) != 0)
        st = ft_fail(err, FT_ERR_FORMAT, "%s: the halves of the key do not belong together", path);
out:
    sodium_memzero(seed, sizeof seed);
    sodium_memzero(again, sizeof again);
    if (st != FT_OK)
        sodium_memzero(secret_key, 64);
    ft_buf_clear(&text);
    return st;
}

enum ft_status
ft_keyfile_public(const char *path, uint8_t public_key[32], struct ft_error *err)
{
    uint8_t secret[64];
    const enum ft_status st = ft_keyfile_read(path, secret, err);
    if (st == FT_OK)
        memcpy(public_key, secret + 32, 32);
    sodium_memzero(secret, sizeof secret);
    return st;
}
