#include "aggregator/registry/registrar.h"
#include "aggregator/registry/registrar_internal.h"
#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/secure_sum/hash.h"
#include "common/secure_sum/roster.h"

#include <string.h>
#include <sys/stat.h>

enum ft_status
registrar_key_read(const char *folder, uint8_t secret[64], struct ft_error *err)
{
    enum ft_status st;
    struct ft_buf text = { 0 };
    struct stat info;
    char *path = ft_asprintf("%s/" FT_REGISTRAR_KEY_FILE, folder);

    if (path == NULL)
        return FT_ERR_NOMEM;
    FT_TRY(ft_file_read(path, 4096, &text, err));
    if (stat(path, &info) == 0 && (info.st_mode & 077) != 0) {
        st = ft_fail(err, FT_ERR_CONFIG, "%s: mode %03o lets others in; run chmod 600", path,
                     (unsigned)(info.st_mode & 0777));
        goto out;
    }
    while (text.size > 0 && text.data[text.size - 1] == '\n')
        text.data[--text.size] = '\0';
    st = ft_unhex(secret, 64, (const char *)text.data);
    if (st != FT_OK)
        ft_fail(err, st, "%s: not a registrar key", path);
out:
    ft_buf_clear(&text);
    ft_free(path);
    return st;
}

enum ft_status
ft_registrar_public(const char *folder, uint8_t public_key[32], struct ft_error *err)
{
    uint8_t secret[64];
    const enum ft_status st = registrar_key_read(folder, secret, err);

    if (st == FT_OK)
        memcpy(public_key, secret + 32, 32); /* libsodium keeps the public half behind the seed */
    sodium_memzero(secret, sizeof secret);
    return st;
}

enum ft_status
ft_registrar_init(const char *folder, uint8_t public_key[32], struct ft_error *err)
{
    enum ft_status st;
    uint8_t secret[64];
    char text[130];
    char *path = ft_asprintf("%s/" FT_REGISTRAR_KEY_FILE, folder);

    if (path == NULL)
        return FT_ERR_NOMEM;
    crypto_sign_keypair(public_key, secret);
    ft_hex(text, secret, sizeof secret);
    text[128] = '\n';
    FT_TRY(ft_dir_make(folder, 0700, err));
    FT_TRY(ft_file_write_new(path, FT_BYTES(text, 129), 0600, err));
out:
    sodium_memzero(secret, sizeof secret);
    sodium_memzero(text, sizeof text);
    ft_free(path);
    return st;
}

enum ft_status
ft_roster_import(struct ft_store *store, const uint8_t registrar_key[32], struct ft_bytes signed_roster,
                 uint64_t now_ms, uint64_t *serial, uint32_t *members, struct ft_error *err)
{
    enum ft_status st;
    struct ft_ss_roster roster = { 0 };
    uint8_t deployment[16];
    uint8_t(*keys)[32] = NULL;

    ft_store_deployment(store, deployment);
    FT_TRY(ft_ss_roster_open(signed_roster, registrar_key, deployment, 0, &roster, err));
    keys = ft_calloc(roster.count, sizeof *keys);
    if (keys == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    for (uint32_t i = 0; i < roster.count; i++)
        memcpy(keys[i], roster.members[i].ed25519_pk, sizeof keys[i]);
    st = ft_store_roster_put(store, roster.serial, signed_roster, (const uint8_t(*)[32])keys, roster.count,
                             now_ms);
    if (st == FT_ERR_DUPLICATE)
        ft_fail(err, st, "roster %llu is not newer than the one in the register",
                (unsigned long long)roster.serial);
    else if (st == FT_ERR_VERIFY)
        ft_fail(err, st, "roster %llu gives a shop another place than it has: refused",
                (unsigned long long)roster.serial);
    else if (st != FT_OK)
        ft_fail(err, st, "cannot store the roster: %s", ft_status_str(st));
    *serial = roster.serial;
    *members = roster.count;
out:
    ft_free(keys);
    ft_ss_roster_clear(&roster);
    return st;
}
