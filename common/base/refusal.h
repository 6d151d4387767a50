/*
 * Refusals: every reason at once, each `refused[CODE]: sentence. What to do: sentence.` or, in JSON,
 * {"code","reason","remedy"}. Codes are stable and listed in the manual.
 */
#ifndef FT_BASE_REFUSAL_H
#define FT_BASE_REFUSAL_H

#include "common/base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define FT_REFUSALS_MAX 64

struct ft_refusal {
    char code[40];    /* e.g. "PURPOSE_NOT_ALLOWED" */
    char reason[360]; /* without a final full stop */
    char remedy[240];
};

struct ft_refusals {
    struct ft_refusal list[FT_REFUSALS_MAX];
    size_t count; /* reasons kept; further ones are dropped, the first FT_REFUSALS_MAX stand */
};

/* Add one reason. `remedy` may hold no conversions; `fmt` gives the reason. */
void ft_refuse(struct ft_refusals *r, const char *code, const char *remedy, const char *fmt, ...)
    FT_PRINTF(4, 5);
void ft_refusals_print(const struct ft_refusals *r, FILE *out);
typedef struct json_t json_t; /* jansson */
json_t *ft_refusals_json(const struct ft_refusals *r); /* a new array */

#endif
