#include "common/base/buf.h"
#include "common/base/alloc.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum ft_status
ft_buf_reserve(struct ft_buf *b, size_t more)
{
    size_t capacity;
    uint8_t *data;

    if (more > SIZE_MAX / 2 - b->size)
        return FT_ERR_LIMIT;
    if (b->size + more <= b->capacity)
        return FT_OK;
    capacity = b->capacity ? b->capacity * 2 : 64;
    if (capacity < b->size + more)
        capacity = b->size + more;
    data = ft_realloc(NULL, capacity); /* a block of its own: the old one may hold a secret and must be wiped */
    if (data == NULL)
        return FT_ERR_NOMEM;
    if (b->size > 0)
        memcpy(data, b->data, b->size);
    if (b->data != NULL)
        sodium_memzero(b->data, b->capacity);
    ft_free(b->data);
    b->data = data;
    b->capacity = capacity;
    return FT_OK;
}

enum ft_status
ft_buf_append(struct ft_buf *b, const void *data, size_t size)
{
    enum ft_status st = ft_buf_reserve(b, size);
    if (st != FT_OK || size == 0)
        return st;
    memcpy(b->data + b->size, data, size);
    b->size += size;
    return FT_OK;
}

enum ft_status
ft_buf_u8(struct ft_buf *b, uint8_t v)
{
    return ft_buf_append(b, &v, 1);
}

enum ft_status
ft_buf_u16(struct ft_buf *b, uint16_t v)
{
    uint8_t raw[2];
    ft_put_u16(raw, v);
    return ft_buf_append(b, raw, sizeof raw);
}

enum ft_status
ft_buf_u32(struct ft_buf *b, uint32_t v)
{
    uint8_t raw[4];
    ft_put_u32(raw, v);
    return ft_buf_append(b, raw, sizeof raw);
}

enum ft_status
ft_buf_u64(struct ft_buf *b, uint64_t v)
{
    uint8_t raw[8];
    ft_put_u64(raw, v);
    return ft_buf_append(b, raw, sizeof raw);
}

enum ft_status
ft_buf_f64(struct ft_buf *b, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return ft_buf_u64(b, bits);
}

enum ft_status
ft_buf_str(struct ft_buf *b, const char *s)
{
    return ft_buf_append(b, s, strlen(s));
}

enum ft_status
ft_buf_printf(struct ft_buf *b, const char *fmt, ...)
{
    va_list args;
    enum ft_status st;
    int size;

    va_start(args, fmt);
    size = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (size < 0)
        return FT_ERR_INTERNAL;
    st = ft_buf_reserve(b, (size_t)size + 1);
    if (st != FT_OK)
        return st;
    va_start(args, fmt);
    vsnprintf((char *)b->data + b->size, (size_t)size + 1, fmt, args);
    va_end(args);
    b->size += (size_t)size; /* the terminator stays outside the size */
    return FT_OK;
}

struct ft_bytes
ft_buf_bytes(const struct ft_buf *b)
{
    return (struct ft_bytes){ b->data, b->size };
}

void
ft_buf_clear(struct ft_buf *b)
{
    if (b->data != NULL)
        sodium_memzero(b->data, b->capacity);
    ft_free(b->data);
    *b = (struct ft_buf){ 0 };
}

struct ft_cursor
ft_cursor_of(struct ft_bytes bytes)
{
    return (struct ft_cursor){ bytes.data, bytes.size, false };
}

struct ft_bytes
ft_read_bytes(struct ft_cursor *c, size_t size)
{
    struct ft_bytes run = { c->at, size };
    if (c->failed || size > c->left) {
        c->failed = true;
        return (struct ft_bytes){ NULL, 0 };
    }
    if (size > 0) /* an empty cursor may hold no pointer to move */
        c->at += size;
    c->left -= size;
    return run;
}

void
ft_read_into(struct ft_cursor *c, void *out, size_t size)
{
    struct ft_bytes run = ft_read_bytes(c, size);
    if (size == 0)
        return;
    if (c->failed)
        memset(out, 0, size);
    else
        memcpy(out, run.data, size);
}

uint8_t
ft_read_u8(struct ft_cursor *c)
{
    uint8_t v;
    ft_read_into(c, &v, 1);
    return v;
}

uint16_t
ft_read_u16(struct ft_cursor *c)
{
    uint8_t raw[2];
    ft_read_into(c, raw, sizeof raw);
    return ft_get_u16(raw);
}

uint32_t
ft_read_u32(struct ft_cursor *c)
{
    uint8_t raw[4];
    ft_read_into(c, raw, sizeof raw);
    return ft_get_u32(raw);
}

uint64_t
ft_read_u64(struct ft_cursor *c)
{
    uint8_t raw[8];
    ft_read_into(c, raw, sizeof raw);
    return ft_get_u64(raw);
}

double
ft_read_f64(struct ft_cursor *c)
{
    uint64_t bits = ft_read_u64(c);
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

bool
ft_cursor_done(const struct ft_cursor *c)
{
    return !c->failed && c->left == 0;
}

void
ft_put_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

void
ft_put_u32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

void
ft_put_u64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

uint16_t
ft_get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | (uint16_t)p[1] << 8);
}

uint32_t
ft_get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint64_t
ft_get_u64(const uint8_t *p)
{
    return (uint64_t)ft_get_u32(p) | (uint64_t)ft_get_u32(p + 4) << 32;
}

char *
ft_hex(char *out, const void *data, size_t size)
{
    return sodium_bin2hex(out, 2 * size + 1, data, size);
}

enum ft_status
ft_unhex(void *out, size_t size, const char *hex)
{
    size_t got = 0;
    const char *end = NULL;
    if (strlen(hex) != 2 * size)
        return FT_ERR_FORMAT;
    if (sodium_hex2bin(out, size, hex, 2 * size, NULL, &got, &end) != 0 || got != size)
        return FT_ERR_FORMAT;
    return FT_OK;
}
