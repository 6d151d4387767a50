#include "client/vault/home.h"

#include "common/base/alloc.h"
#include "common/base/file.h"

#include <errno.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_MAX ((size_t)64 << 10)

char *
ft_home_path(const char *state_dir, const char *name)
{
    return ft_asprintf("%s/%s", state_dir, name);
}

static enum ft_status
read_private(const char *state_dir, const char *name, struct ft_buf *out, struct ft_error *err)
{
    struct stat sb;
    char *path = ft_home_path(state_dir, name);
    enum ft_status st;
    if (path == NULL)
        return FT_ERR_NOMEM;
    if (lstat(path, &sb) != 0)
        st = ft_fail(err, ft_status_of_errno(errno), "%s: %s", path, strerror(errno));
    else if (!S_ISREG(sb.st_mode) || sb.st_uid != geteuid() || (sb.st_mode & 077) != 0)
        st = ft_fail(err, FT_ERR_VERIFY,
                     "%s: must be a file of the user that runs the client, with mode 0600", path);
    else
        st = ft_file_read(path, TEXT_MAX, out, err);
    ft_free(path);
    return st;
}

enum ft_status
ft_home_secret(const char *state_dir, const char *name, uint8_t *out, size_t size, struct ft_error *err)
{
    struct ft_buf b = { 0 };
    enum ft_status st = read_private(state_dir, name, &b, err);
    if (st == FT_OK && b.size != size)
        st = ft_fail(err, FT_ERR_FORMAT, "%s/%s: %zu bytes, expected %zu", state_dir, name, b.size, size);
    if (st == FT_OK)
        memcpy(out, b.data, size);
    ft_buf_clear(&b);
    return st;
}

enum ft_status
ft_home_secret_text(const char *state_dir, const char *name, struct ft_buf *out, struct ft_error *err)
{
    return read_private(state_dir, name, out, err);
}

/* Reads members one by one and counts them, so that a member nobody asked for is noticed. */
struct reader {
    json_t *object;
    const char *origin;
    size_t taken;
    enum ft_status st;
    struct ft_error *err;
};

static const char *
take_text(struct reader *r, const char *key, size_t most)
{
    const char *text = json_string_value(json_object_get(r->object, key));
    if (r->st != FT_OK)
        return "";
    if (text == NULL || strlen(text) == 0 || strlen(text) > most) {
        r->st = ft_fail(r->err, FT_ERR_FORMAT, "%s: \"%s\" must be a text of 1 to %zu bytes", r->origin, key,
                        most);
        return "";
    }
    r->taken++;
    return text;
}

static void
take_hex(struct reader *r, const char *key, uint8_t *out, size_t size)
{
    const char *text = take_text(r, key, 2 * size);
    if (r->st == FT_OK && ft_unhex(out, size, text) != FT_OK)
        r->st = ft_fail(r->err, FT_ERR_FORMAT, "%s: \"%s\" must be %zu hex digits", r->origin, key, 2 * size);
}

static uint64_t
take_number(struct reader *r, const char *key, uint64_t most, bool optional)
{
    const json_t *v = json_object_get(r->object, key);
    if (r->st != FT_OK || (v == NULL && optional))
        return 0;
    if (!json_is_integer(v) || json_integer_value(v) < 0 || (uint64_t)json_integer_value(v) > most) {
        r->st = ft_fail(r->err, FT_ERR_FORMAT, "%s: \"%s\" must be a whole number from 0 on", r->origin, key);
        return 0;
    }
    r->taken++;
    return (uint64_t)json_integer_value(v);
}

static void
take_keys(struct reader *r, struct ft_pinned *out)
{
    const json_t *keys = json_object_get(r->object, "task_keys");
    const size_t count = json_array_size(keys);
    if (r->st != FT_OK)
        return;
    r->taken++;
    for (size_t i = 0; i < count && i < FT_PINNED_TASK_KEYS_MAX; i++) {
        const char *text = json_string_value(json_array_get(keys, i));
        if (text == NULL || ft_unhex(out->task_keys[i], 32, text) != FT_OK)
            r->st = FT_ERR_FORMAT;
    }
    out->task_key_count = count;
    if (count == 0 || count > FT_PINNED_TASK_KEYS_MAX || r->st != FT_OK)
        r->st = ft_fail(r->err, FT_ERR_FORMAT, "%s: \"task_keys\" must be 1 to %d keys of 64 hex digits",
                        r->origin, FT_PINNED_TASK_KEYS_MAX);
}

static enum ft_status
reader_open(struct reader *r, struct ft_bytes json, const char *origin, struct ft_error *err)
{
    json_error_t e;
    *r = (struct reader){ .origin = origin, .err = err };
    r->object = json_loadb((const char *)json.data, json.size, JSON_REJECT_DUPLICATES, &e);
    if (!json_is_object(r->object)) {
        json_decref(r->object);
        r->object = NULL;
        r->st =
            ft_fail(err, FT_ERR_FORMAT, "%s: not a JSON object: line %d column %d", origin, e.line, e.column);
    }
    return r->st;
}

/* The members both files have. */
static void
take_pins(struct reader *r, struct ft_pinned *out)
{
    if (take_number(r, "version", 1, false) != 1 && r->st == FT_OK)
        r->st = ft_fail(r->err, FT_ERR_FORMAT, "%s: \"version\" must be 1", r->origin);
    strcpy(out->shop, take_text(r, "shop", sizeof out->shop - 1));
    strcpy(out->aggregator, take_text(r, "aggregator", sizeof out->aggregator - 1));
    take_hex(r, "deployment", out->deployment, sizeof out->deployment);
    take_hex(r, "registrar_key", out->registrar_key, sizeof out->registrar_key);
    take_hex(r, "aggregator_key", out->aggregator_key, sizeof out->aggregator_key);
    take_keys(r, out);
}

static enum ft_status
reader_close(struct reader *r)
{
    if (r->st == FT_OK && json_object_size(r->object) != r->taken)
        r->st = ft_fail(r->err, FT_ERR_FORMAT, "%s: has a member that is not known here", r->origin);
    json_decref(r->object);
    return r->st;
}

enum ft_status
ft_pinned_parse(struct ft_bytes json, const char *origin, struct ft_pinned *out, struct ft_error *err)
{
    struct reader r;
    *out = (struct ft_pinned){ 0 };
    if (reader_open(&r, json, origin, err) != FT_OK)
        return r.st;
    take_pins(&r, out);
    take_hex(&r, "ca_fingerprint", out->ca_fingerprint, sizeof out->ca_fingerprint);
    out->shop_id = (uint32_t)take_number(&r, "shop_id", UINT32_MAX, false);
    return reader_close(&r);
}

enum ft_status
ft_token_file_parse(struct ft_bytes json, const char *origin, struct ft_token_file *out, struct ft_error *err)
{
    struct reader r;
    *out = (struct ft_token_file){ 0 };
    if (reader_open(&r, json, origin, err) != FT_OK)
        return r.st;
    take_pins(&r, &out->pinned);
    take_hex(&r, "token", out->token, sizeof out->token);
    out->expires_ms = take_number(&r, "expires_ms", INT64_MAX, true);
    const char *pem = take_text(&r, "ca_pem", TEXT_MAX);
    if (r.st == FT_OK)
        r.st = ft_buf_str(&out->ca_pem, pem);
    if (reader_close(&r) != FT_OK)
        ft_token_file_clear(out);
    return r.st;
}

void
ft_token_file_clear(struct ft_token_file *file)
{
    ft_buf_clear(&file->ca_pem);
    sodium_memzero(file, sizeof *file);
}

enum ft_status
ft_pinned_format(const struct ft_pinned *p, struct ft_buf *out)
{
    char a[65], b[65], c[65], d[65], key[65];
    json_t *keys = json_array(), *o;
    enum ft_status st = FT_ERR_NOMEM;
    for (size_t i = 0; keys != NULL && i < p->task_key_count; i++)
        json_array_append_new(keys, json_string(ft_hex(key, p->task_keys[i], 32)));
    o = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:I}", "version", 1, "shop", p->shop,
                  "aggregator", p->aggregator, "deployment", ft_hex(a, p->deployment, 16), "registrar_key",
                  ft_hex(b, p->registrar_key, 32), "aggregator_key", ft_hex(c, p->aggregator_key, 32),
                  "ca_fingerprint", ft_hex(d, p->ca_fingerprint, 32), "task_keys", keys, "shop_id",
                  (json_int_t)p->shop_id);
    char *text = json_dumps(o, JSON_INDENT(2));
    if (text != NULL)
        st = ft_buf_printf(out, "%s\n", text);
    free(text);
    json_decref(o);
    return st;
}

enum ft_status
ft_pinned_load(const char *state_dir, struct ft_pinned *out, struct ft_error *err)
{
    struct ft_buf b = { 0 };
    char *path = ft_home_path(state_dir, FT_HOME_TRUST);
    enum ft_status st = FT_ERR_NOMEM;
    if (path != NULL)
        st = ft_file_read(path, TEXT_MAX, &b, err);
    if (st == FT_OK)
        st = ft_pinned_parse(ft_buf_bytes(&b), path, out, err);
    ft_buf_clear(&b);
    ft_free(path);
    return st;
}
