#include "common/base/pb_lift.h"

#include <string.h>

enum { VARINT = 0, EIGHT = 1, COUNTED = 2, FOUR = 5 };

static bool
read_varint(struct ft_cursor *c, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        const uint8_t byte = ft_read_u8(c);
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return !c->failed;
    }
    return false;
}

/* Step over one field's value; that of a counted one is handed out. */
static bool
step(struct ft_cursor *c, unsigned type, struct ft_bytes *counted)
{
    uint64_t value;
    switch (type) {
    case VARINT:
        return read_varint(c, &value);
    case EIGHT:
        return ft_read_bytes(c, 8).size == 8;
    case FOUR:
        return ft_read_bytes(c, 4).size == 4;
    case COUNTED:
        if (!read_varint(c, &value) || value > c->left)
            return false;
        *counted = FT_BYTES(c->at, (size_t)value);
        (void)ft_read_bytes(c, (size_t)value);
        return !c->failed;
    default:
        return false;
    }
}

bool
ft_pb_lift(struct ft_bytes message, uint32_t number, struct ft_pb_lift *out)
{
    struct ft_cursor c = ft_cursor_of(message);
    bool found = false;

    out->rest_size = 0;
    if (message.size < FT_PB_LIFT_MIN)
        return false;
    while (!ft_cursor_done(&c)) {
        const uint8_t *from = c.at;
        struct ft_bytes counted = { 0 };
        uint64_t tag;
        if (!read_varint(&c, &tag) || !step(&c, (unsigned)(tag & 7), &counted))
            return false;
        if (tag >> 3 == number) {
            if (found || (tag & 7) != COUNTED || counted.size < FT_PB_LIFT_MIN)
                return false;
            out->field = counted;
            found = true;
            continue;
        }
        const size_t size = (size_t)(c.at - from);
        if (size > sizeof out->rest - out->rest_size)
            return false;
        memcpy(out->rest + out->rest_size, from, size);
        out->rest_size += size;
    }
    return found;
}

static enum ft_status
write_varint(struct ft_buf *out, uint64_t value)
{
    enum ft_status st = FT_OK;
    for (; st == FT_OK && value >= 0x80; value >>= 7)
        st = ft_buf_u8(out, (uint8_t)(value | 0x80));
    return st == FT_OK ? ft_buf_u8(out, (uint8_t)value) : st;
}

enum ft_status
ft_pb_tail(struct ft_buf *out, uint32_t number, size_t size)
{
    const enum ft_status st = write_varint(out, (uint64_t)number << 3 | COUNTED);
    return st == FT_OK ? write_varint(out, size) : st;
}
