#include "client/source/decode.h"

#include <string.h>

static size_t
put_code(uint8_t *out, uint32_t code)
{
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (uint8_t)(0xC0 | code >> 6);
        out[1] = (uint8_t)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (uint8_t)(0xE0 | code >> 12);
        out[1] = (uint8_t)(0x80 | (code >> 6 & 0x3F));
        out[2] = (uint8_t)(0x80 | (code & 0x3F));
        return 3;
    }
    out[0] = (uint8_t)(0xF0 | code >> 18);
    out[1] = (uint8_t)(0x80 | (code >> 12 & 0x3F));
    out[2] = (uint8_t)(0x80 | (code >> 6 & 0x3F));
    out[3] = (uint8_t)(0x80 | (code & 0x3F));
    return 4;
}

static uint32_t
unit(const struct ft_decoder *d, const uint8_t *p)
{
    return d->encoding == FT_ENCODING_UTF16LE ? (uint32_t)(p[0] | p[1] << 8) : (uint32_t)(p[1] | p[0] << 8);
}

/* Decode whole code points from `p`; returns the bytes used, the rest is the start of one. */
static size_t
utf16_run(const struct ft_decoder *d, const uint8_t *p, size_t size, uint8_t *out, size_t *written)
{
    size_t at = 0;
    while (size - at >= 2) {
        const uint32_t first = unit(d, p + at);
        if (first >= 0xD800 && first <= 0xDBFF) {
            if (size - at < 4)
                break;
            const uint32_t second = unit(d, p + at + 2);
            if (second >= 0xDC00 && second <= 0xDFFF) {
                *written += put_code(out + *written, 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00));
                at += 4;
                continue;
            }
        }
        if (first >= 0xD800 && first <= 0xDFFF)
            out[(*written)++] = 0xFF;
        else
            *written += put_code(out + *written, first);
        at += 2;
    }
    return at;
}

static size_t
utf16(struct ft_decoder *d, const uint8_t *in, size_t size, bool last, uint8_t *out)
{
    size_t written = 0, used;

    while (d->carry_size > 0 && size > 0) { /* finish the unit that the last block cut */
        d->carry[d->carry_size++] = *in++;
        size--;
        used = utf16_run(d, d->carry, d->carry_size, out, &written);
        memmove(d->carry, d->carry + used, d->carry_size - used);
        d->carry_size -= used;
    }
    used = utf16_run(d, in, size, out, &written);
    if (size > used) { /* then the carry is empty, and less than one pair is left */
        memcpy(d->carry, in + used, size - used);
        d->carry_size = size - used;
    }
    if (last && d->carry_size > 0) {
        out[written++] = 0xFF;
        d->carry_size = 0;
    }
    return written;
}

static bool
begins(const uint8_t *in, size_t size, const char *mark, size_t mark_size)
{
    return size >= mark_size && memcmp(in, mark, mark_size) == 0;
}

size_t
ft_decode(struct ft_decoder *d, const uint8_t *in, size_t size, bool last, uint8_t *out)
{
    size_t written = 0;

    if (!d->started) {
        const bool automatic = d->encoding == FT_ENCODING_AUTO;
        d->started = true;
        if (automatic)
            d->encoding = begins(in, size, "\xFF\xFE", 2)   ? FT_ENCODING_UTF16LE
                          : begins(in, size, "\xFE\xFF", 2) ? FT_ENCODING_UTF16BE
                                                            : FT_ENCODING_UTF8;
        size_t mark = 0;
        if (d->encoding == FT_ENCODING_UTF8 && begins(in, size, "\xEF\xBB\xBF", 3))
            mark = 3;
        if ((d->encoding == FT_ENCODING_UTF16LE && begins(in, size, "\xFF\xFE", 2)) ||
            (d->encoding == FT_ENCODING_UTF16BE && begins(in, size, "\xFE\xFF", 2)))
            mark = 2;
        in += mark;
        size -= mark;
    }
    switch (d->encoding) {
    case FT_ENCODING_UTF16LE:
    case FT_ENCODING_UTF16BE:
        return utf16(d, in, size, last, out);
    case FT_ENCODING_LATIN1:
        for (size_t i = 0; i < size; i++)
            written += put_code(out + written, in[i]);
        return written;
    case FT_ENCODING_UTF8:
    case FT_ENCODING_AUTO:
        break;
    }
    if (size > 0)
        memcpy(out, in, size);
    return size;
}
