/*
 * Rows that were refused: where and why, never what they held. The first FT_QUARANTINE_KEPT are kept with
 * their place, all are counted.
 */
#ifndef FT_SOURCE_QUARANTINE_H
#define FT_SOURCE_QUARANTINE_H

#include "common/base/buf.h"
#include "common/base/status.h"
#include <stddef.h>
#include <stdint.h>

#define FT_QUARANTINE_KEPT 100

struct ft_quarantined {
    char file[128];  /* the file's name without its folder, its end kept when it is long */
    uint64_t line;   /* 1-based physical line on which the row begins */
    char reason[96]; /* "column quantity: expected a number" */
};

struct ft_quarantine {
    struct ft_quarantined first[FT_QUARANTINE_KEPT];
    size_t kept;
    uint64_t count;
};

/* `column` NULL when the row as a whole is at fault. */
void ft_quarantine_add(struct ft_quarantine *q, const char *file, uint64_t line, const char *column,
                       const char *expected);

/* "a.csv:17: column quantity: expected a number; a.csv:19: ..." of at most `most` rows, appended to `out`,
 * which has `size` bytes. Always terminated. */
void ft_quarantine_sentence(const struct ft_quarantine *q, size_t most, char *out, size_t size);

#endif
