#include "common/base/findings.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

void
ft_findings_init(struct ft_findings *f, const char *origin)
{
    *f = (struct ft_findings){ 0 };
    snprintf(f->origin, sizeof f->origin, "%s", origin);
}

static bool
before(uint32_t line, uint32_t column, const struct ft_finding *other)
{
    return line < other->line || (line == other->line && column < other->column);
}

void
ft_find(struct ft_findings *f, uint32_t line, uint32_t column, const char *fmt, ...)
{
    size_t at = f->count;
    va_list args;

    f->total++;
    if (f->count == FT_FINDINGS_MAX)
        return;
    while (at > 0 && before(line, column, &f->list[at - 1]))
        at--;
    memmove(&f->list[at + 1], &f->list[at], (f->count - at) * sizeof f->list[0]);
    f->count++;
    f->list[at] = (struct ft_finding){ .line = line, .column = column };
    va_start(args, fmt);
    vsnprintf(f->list[at].text, sizeof f->list[at].text, fmt, args);
    va_end(args);
}

static void
format(const struct ft_findings *f, const struct ft_finding *one, char *out, size_t size)
{
    if (one->line > 0)
        snprintf(out, size, "%s:%u:%u: %s", f->origin, one->line, one->column, one->text);
    else
        snprintf(out, size, "%s: %s", f->origin, one->text);
}

void
ft_findings_print(const struct ft_findings *f, FILE *out)
{
    char line[sizeof f->origin + sizeof f->list[0].text + 32];
    for (size_t i = 0; i < f->count; i++) {
        format(f, &f->list[i], line, sizeof line);
        fprintf(out, "%s\n", line);
    }
    if (f->total > f->count)
        fprintf(out, "%s: and %zu more\n", f->origin, f->total - f->count);
}

enum ft_status
ft_findings_status(const struct ft_findings *f, struct ft_error *err)
{
    char text[sizeof err->text], line[sizeof f->origin + sizeof f->list[0].text + 32];
    size_t used = 0, told = 0;

    if (f->total == 0)
        return FT_OK;
    text[0] = '\0';
    for (size_t i = 0; i < f->count; i++) {
        format(f, &f->list[i], line, sizeof line);
        size_t size = strlen(line);
        /* Whole findings only, with room for the count of the rest; the first one is told whatever its
         * length. */
        if (i > 0 && used + size + 1 > sizeof text - 24)
            break;
        int n = snprintf(text + used, sizeof text - used, "%s%s", i > 0 ? "\n" : "", line);
        used += (size_t)n < sizeof text - used ? (size_t)n : sizeof text - used - 1;
        told++;
    }
    if (f->total > told && used < sizeof text - 1)
        snprintf(text + used, sizeof text - used, "\nand %zu more", f->total - told);
    return ft_fail(err, FT_ERR_CONFIG, "%s", text);
}

json_t *
ft_findings_json(const struct ft_findings *f)
{
    json_t *array = json_array();
    for (size_t i = 0; array != NULL && i < f->count; i++) {
        json_t *text = json_string(f->list[i].text); /* NULL when a cut went through a character */
        json_array_append_new(array, json_pack("{s:s, s:i, s:i, s:o}", "file", f->origin, "line",
                                               (int)f->list[i].line, "column", (int)f->list[i].column, "text",
                                               text != NULL ? text : json_string("(not text)")));
    }
    return array;
}
