/*
 * Findings: everything wrong with one file, each with its line and column, so that a person mends the file
 * once. Printed as `origin:line:column: what was found, what was expected`.
 */
#ifndef FT_BASE_FINDINGS_H
#define FT_BASE_FINDINGS_H

#include "common/base/status.h"
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define FT_FINDINGS_MAX 48

struct ft_finding {
    uint32_t line, column; /* 1-based; 0 when the finding is about the whole file */
    char text[400];
};

/* Zero-initialise and set origin, or use ft_findings_init. */
struct ft_findings {
    char origin[200];
    struct ft_finding list[FT_FINDINGS_MAX]; /* in the order of the file */
    size_t count;                            /* kept in list */
    size_t total;                            /* found, kept or not */
};

void ft_findings_init(struct ft_findings *f, const char *origin);
void ft_find(struct ft_findings *f, uint32_t line, uint32_t column, const char *fmt, ...) FT_PRINTF(4, 5);
void ft_findings_print(const struct ft_findings *f, FILE *out);

/* FT_OK without findings; else FT_ERR_CONFIG, with as many of them in *err as fit, one a line. */
FT_NODISCARD enum ft_status ft_findings_status(const struct ft_findings *f, struct ft_error *err);

typedef struct json_t json_t;                          /* jansson */
json_t *ft_findings_json(const struct ft_findings *f); /* a new array of {"file","line","column","text"} */

#endif
