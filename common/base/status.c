#include "common/base/status.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
    const char *name;
    const char *text;
    int code;
} statuses[FT_STATUS_COUNT] = {
#define X(name, text, code) { #name, text, code },
    FT_STATUS_MAP(X)
#undef X
};

const char *
ft_status_str(enum ft_status st)
{
    return (unsigned)st < FT_STATUS_COUNT ? statuses[st].text : "unknown status";
}

const char *
ft_status_name(enum ft_status st)
{
    return (unsigned)st < FT_STATUS_COUNT ? statuses[st].name : "UNKNOWN";
}

int
ft_status_exit(enum ft_status st)
{
    return (unsigned)st < FT_STATUS_COUNT ? statuses[st].code : FT_EXIT_INTERNAL;
}

enum ft_status
ft_fail(struct ft_error *err, enum ft_status st, const char *fmt, ...)
{
    va_list args;
    if (err == NULL || err->status != FT_OK)
        return st;
    err->status = st;
    va_start(args, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, args);
    va_end(args);
    return st;
}
