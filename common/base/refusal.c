#include "common/base/refusal.h"

#include <jansson.h>
#include <stdarg.h>

void
ft_refuse(struct ft_refusals *r, const char *code, const char *remedy, const char *fmt, ...)
{
    struct ft_refusal *one;
    va_list args;

    if (r == NULL || r->count == FT_REFUSALS_MAX)
        return;
    one = &r->list[r->count++];
    snprintf(one->code, sizeof one->code, "%s", code);
    snprintf(one->remedy, sizeof one->remedy, "%s", remedy);
    va_start(args, fmt);
    vsnprintf(one->reason, sizeof one->reason, fmt, args);
    va_end(args);
}

void
ft_refusals_print(const struct ft_refusals *r, FILE *out)
{
    for (size_t i = 0; i < r->count; i++)
        fprintf(out, "refused[%s]: %s. What to do: %s.\n", r->list[i].code, r->list[i].reason,
                r->list[i].remedy);
}

json_t *
ft_refusals_json(const struct ft_refusals *r)
{
    json_t *array = json_array();
    for (size_t i = 0; array != NULL && i < r->count; i++)
        json_array_append_new(array, json_pack("{s:s, s:s, s:s}", "code", r->list[i].code, "reason",
                                               r->list[i].reason, "remedy", r->list[i].remedy));
    return array;
}
