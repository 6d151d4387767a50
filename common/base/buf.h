/*
 * Byte buffers: a growing one to write, and a cursor that reads without ever running past the end.
 * Integers are little-endian.
 */
#ifndef FT_BASE_BUF_H
#define FT_BASE_BUF_H

#include "common/base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A borrowed run of bytes. */
struct ft_bytes {
    const uint8_t *data;
    size_t size;
};
#define FT_BYTES(ptr, n) ((struct ft_bytes){ (const uint8_t *)(ptr), (n) })

/* An owned, growing buffer; zero-initialise to start. */
struct ft_buf {
    uint8_t *data;
    size_t size;
    size_t capacity;
};

FT_NODISCARD enum ft_status ft_buf_reserve(struct ft_buf *b, size_t more); /* room for `more` beyond size */
FT_NODISCARD enum ft_status ft_buf_append(struct ft_buf *b, const void *data, size_t size);
FT_NODISCARD enum ft_status ft_buf_u8(struct ft_buf *b, uint8_t v);
FT_NODISCARD enum ft_status ft_buf_u16(struct ft_buf *b, uint16_t v);
FT_NODISCARD enum ft_status ft_buf_u32(struct ft_buf *b, uint32_t v);
FT_NODISCARD enum ft_status ft_buf_u64(struct ft_buf *b, uint64_t v);
FT_NODISCARD enum ft_status ft_buf_f64(struct ft_buf *b, double v);
FT_NODISCARD enum ft_status ft_buf_str(struct ft_buf *b, const char *s);             /* no terminator */
FT_NODISCARD enum ft_status ft_buf_printf(struct ft_buf *b, const char *fmt, ...) FT_PRINTF(2, 3);
struct ft_bytes ft_buf_bytes(const struct ft_buf *b);
void ft_buf_clear(struct ft_buf *b); /* wipes and frees; the buffer can be used again */

/* A read cursor. Once a read fails, `failed` stays set and every later read gives zero, so that a decoder
 * may read all its fields and check once. */
struct ft_cursor {
    const uint8_t *at;
    size_t left;
    bool failed;
};
struct ft_cursor ft_cursor_of(struct ft_bytes bytes);
uint8_t ft_read_u8(struct ft_cursor *c);
uint16_t ft_read_u16(struct ft_cursor *c);
uint32_t ft_read_u32(struct ft_cursor *c);
uint64_t ft_read_u64(struct ft_cursor *c);
double ft_read_f64(struct ft_cursor *c);
void ft_read_into(struct ft_cursor *c, void *out, size_t size);      /* zeroes out on failure */
struct ft_bytes ft_read_bytes(struct ft_cursor *c, size_t size);     /* borrowed; empty on failure */
bool ft_cursor_done(const struct ft_cursor *c);                      /* all read and nothing failed */

/* Store and load at a place that is known to be large enough. */
void ft_put_u16(uint8_t *p, uint16_t v);
void ft_put_u32(uint8_t *p, uint32_t v);
void ft_put_u64(uint8_t *p, uint64_t v);
uint16_t ft_get_u16(const uint8_t *p);
uint32_t ft_get_u32(const uint8_t *p);
uint64_t ft_get_u64(const uint8_t *p);

/* Lower-case hex; `out` has 2 * size + 1 bytes. Returns out. */
char *ft_hex(char *out, const void *data, size_t size);
/* Exactly 2 * size hex digits into `out`, else ERR_FORMAT. */
FT_NODISCARD enum ft_status ft_unhex(void *out, size_t size, const char *hex);

#endif
