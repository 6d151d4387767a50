/*
 * Bytes of a file into UTF-8, a block at a time. Written out here because iconv(3) opens and maps its
 * converter modules when it first needs them, which the vault's sandbox forbids; a test compares the two.
 *
 * UTF-8 passes unchanged (fields are validated where they are used). An unpaired surrogate or a cut-off unit
 * becomes the byte 0xFF, which no UTF-8 text holds, so its row is refused where the column is used.
 */
#ifndef FT_SOURCE_DECODE_H
#define FT_SOURCE_DECODE_H

#include "client/source/source.h"

struct ft_decoder {
    enum ft_encoding encoding;
    bool started;     /* the byte order mark has been looked for */
    uint8_t carry[4]; /* bytes of a unit cut by a block's end */
    size_t carry_size;
};

#define FT_DECODE_ROOM(size) (2 * (size) + 8) /* bytes of output for `size` bytes of input, at most */

/* Decode a block into `out`, which has FT_DECODE_ROOM(size) bytes; returns the bytes written. The first block
 * has at least 3 bytes unless the file is shorter. `last`: no more blocks follow. */
size_t ft_decode(struct ft_decoder *d, const uint8_t *in, size_t size, bool last, uint8_t *out);

#endif
