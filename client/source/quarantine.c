#include "client/source/quarantine.h"

#include <stdio.h>
#include <string.h>

/* The name without its folder; of a long one the end, which tells files apart. */
static const char *
short_name(const char *file, size_t size_max)
{
    const char *slash = strrchr(file, '/');
    const char *name = slash != NULL ? slash + 1 : file;
    const size_t size = strlen(name);
    return size < size_max ? name : name + (size - size_max + 1);
}

void
ft_quarantine_add(struct ft_quarantine *q, const char *file, uint64_t line, const char *column,
                  const char *expected)
{
    q->count++;
    if (q->kept == FT_QUARANTINE_KEPT)
        return;
    struct ft_quarantined *row = &q->first[q->kept++];
    snprintf(row->file, sizeof row->file, "%s", short_name(file, sizeof row->file));
    row->line = line;
    if (column != NULL)
        snprintf(row->reason, sizeof row->reason, "column %.48s: expected %s", column, expected);
    else
        snprintf(row->reason, sizeof row->reason, "expected %s", expected);
}

void
ft_quarantine_sentence(const struct ft_quarantine *q, size_t most, char *out, size_t size)
{
    size_t at = 0;
    if (size == 0)
        return;
    out[0] = '\0';
    for (size_t i = 0; i < q->kept && i < most && at < size; i++) {
        const struct ft_quarantined *row = &q->first[i];
        const int n = snprintf(out + at, size - at, "%s%s:%llu: %s", i > 0 ? "; " : "", row->file,
                               (unsigned long long)row->line, row->reason);
        if (n < 0)
            return;
        at += (size_t)n;
    }
}
