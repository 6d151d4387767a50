#include "common/base/config_internal.h"

#include "common/base/alloc.h"
#include "common/base/date.h"
#include "common/base/nearest.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* One reading of one file. */
struct reader {
    struct ft_findings *findings;
    bool no_memory;
};

static void *
at(void *base, size_t offset)
{
    return (char *)base + offset;
}

static bool
is_nothing(const struct config_node *node)
{
    return node->kind == CONFIG_SCALAR && node->plain &&
           (node->size == 0 || strcmp(node->text, "~") == 0 || strcasecmp(node->text, "null") == 0);
}

/* ---- what was expected, what was found ---- */

static void
duration_text(char out[32], uint64_t ms)
{
    static const struct {
        uint64_t ms;
        const char *unit;
    } units[] = { { 86400000, "d" }, { 3600000, "h" }, { 60000, "m" }, { 1000, "s" }, { 1, "ms" } };
    size_t i = 0;
    while (i < 4 && (ms == 0 || ms % units[i].ms != 0))
        i++;
    snprintf(out, 32, "%llu%s", (unsigned long long)(ms / units[i].ms), units[i].unit);
}

static char *
expected(char out[256], const struct ft_config_field *f)
{
    char low[32], high[32];
    size_t used;

    switch (f->type) {
    case FT_CONFIG_TEXT:
        snprintf(out, 256, "text");
        break;
    case FT_CONFIG_CHOICE:
        used = (size_t)snprintf(out, 256, "%s", f->choices[1].text != NULL ? "one of " : "");
        for (const struct ft_config_choice *c = f->choices; c->text != NULL && used < 256; c++)
            used += (size_t)snprintf(out + used, 256 - used, "%s%s", c == f->choices ? "" : ", ", c->text);
        break;
    case FT_CONFIG_UINT32:
    case FT_CONFIG_UINT64:
        if (f->least == f->most)
            snprintf(out, 256, "%llu", (unsigned long long)f->least);
        else
            snprintf(out, 256, "a whole number from %llu to %llu", (unsigned long long)f->least,
                     (unsigned long long)f->most);
        break;
    case FT_CONFIG_REAL:
        if (f->min > 0 && f->min <= DBL_MIN)
            snprintf(out, 256, "a number above 0 and at most %.9g", f->max);
        else if (f->min <= -1e300 && f->max >= 1e300)
            snprintf(out, 256, "a number");
        else
            snprintf(out, 256, "a number from %.9g to %.9g", f->min, f->max);
        break;
    case FT_CONFIG_BOOL:
        snprintf(out, 256, "true or false");
        break;
    case FT_CONFIG_DURATION:
        duration_text(low, f->least);
        duration_text(high, f->most);
        snprintf(out, 256, "a duration from %s to %s with its unit, such as 500ms, 5s or 2m", low, high);
        break;
    case FT_CONFIG_MAP:
    case FT_CONFIG_DICT:
        snprintf(out, 256, "a mapping of keys");
        break;
    case FT_CONFIG_LIST:
        snprintf(out, 256, "a list");
        break;
    }
    return out;
}

static char *
found(char out[96], const struct config_node *node, unsigned flags)
{
    char shown[64];
    if (node->kind == CONFIG_MAPPING)
        snprintf(out, 96, "a mapping");
    else if (node->kind == CONFIG_SEQUENCE)
        snprintf(out, 96, "a list");
    else if (is_nothing(node))
        snprintf(out, 96, "nothing");
    else if (flags & FT_CONFIG_PRIVATE)
        snprintf(out, 96, "another value");
    else
        snprintf(out, 96, "%s'%s'", node->plain ? "" : "the text ",
                 config_show(shown, node->text, node->size));
    return out;
}

/* "'key' is X, expected Y"; for entries of a list without a key "X, expected Y". */
static void
wrong(struct reader *r, const struct config_node *node, const struct ft_config_field *f,
      const char *expectation)
{
    char what[96], want[256], key[64];
    found(what, node, f->flags);
    if (expectation == NULL)
        expectation = expected(want, f);
    if (node->key != NULL)
        ft_find(r->findings, node->line, node->column, "'%s' is %s, expected %s",
                config_show(key, node->key, strlen(node->key)), what, expectation);
    else
        ft_find(r->findings, node->line, node->column, "%s, expected %s", what, expectation);
}

/* ---- scalars ---- */

static bool
digits(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (text[i] < '0' || text[i] > '9')
            return false;
    return size > 0 && (size == 1 || text[0] != '0'); /* 010 is eight to some readers: refuse it */
}

static bool
whole_number(const char *text, size_t size, uint64_t *out)
{
    uint64_t v = 0;
    if (!digits(text, size) || size > 20)
        return false;
    for (size_t i = 0; i < size; i++)
        if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(text[i] - '0'), &v))
            return false;
    *out = v;
    return true;
}

/* -?digits(.digits)?([eE][+-]?digits)? and nothing of hex, infinity or NaN. */
static bool
real_number(const char *text, double *out)
{
    const char *p = text;
    size_t n;
    p += *p == '-';
    n = strspn(p, "0123456789");
    if (n == 0 || (n > 1 && *p == '0'))
        return false;
    p += n;
    if (*p == '.') {
        n = strspn(p + 1, "0123456789");
        if (n == 0)
            return false;
        p += 1 + n;
    }
    if (*p == 'e' || *p == 'E') {
        p++;
        p += *p == '-' || *p == '+';
        n = strspn(p, "0123456789");
        if (n == 0)
            return false;
        p += n;
    }
    if (*p != '\0')
        return false;
    *out = strtod(text, NULL);
    return isfinite(*out);
}

static bool
duration(const char *text, uint64_t *out)
{
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 } };
    const size_t size = strspn(text, "0123456789");
    uint64_t v;

    if (!whole_number(text, size, &v))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(text + size, units[i].unit) == 0)
            return !__builtin_mul_overflow(v, units[i].ms, out);
    return false;
}

static void
read_text(struct reader *r, const struct config_node *node, const struct ft_config_field *f, char **out)
{
    char limit[64];
    if (is_nothing(node) || (node->size == 0 && !(f->flags & FT_CONFIG_EMPTY_OK))) {
        wrong(r, node, f, NULL);
        return;
    }
    if (node->size > f->most) {
        snprintf(limit, sizeof limit, "text of at most %llu bytes", (unsigned long long)f->most);
        wrong(r, node, f, limit);
        return;
    }
    const char *fault = f->check != NULL ? f->check(node->text) : NULL;
    if (fault != NULL) {
        wrong(r, node, f, fault);
        return;
    }
    ft_free(*out); /* the caller's default */
    *out = ft_strdup(node->text);
    if (*out == NULL)
        r->no_memory = true;
}

static void
read_scalar(struct reader *r, const struct config_node *node, const struct ft_config_field *f, void *place)
{
    uint64_t u = 0;
    double d = 0;

    if (node->kind != CONFIG_SCALAR) {
        wrong(r, node, f, NULL);
        return;
    }
    switch (f->type) {
    case FT_CONFIG_TEXT:
        read_text(r, node, f, place);
        return;
    case FT_CONFIG_CHOICE:
        for (const struct ft_config_choice *c = f->choices; c->text != NULL; c++) {
            if (strcmp(c->text, node->text) == 0) {
                *(uint32_t *)place = c->value;
                return;
            }
        }
        break;
    case FT_CONFIG_UINT32:
        if (node->plain && whole_number(node->text, node->size, &u) && u >= f->least && u <= f->most &&
            u <= UINT32_MAX) {
            *(uint32_t *)place = (uint32_t)u;
            return;
        }
        break;
    case FT_CONFIG_UINT64:
        if (node->plain && whole_number(node->text, node->size, &u) && u >= f->least && u <= f->most) {
            *(uint64_t *)place = u;
            return;
        }
        break;
    case FT_CONFIG_REAL:
        if (node->plain && real_number(node->text, &d) && d >= f->min && d <= f->max) {
            *(double *)place = d;
            return;
        }
        break;
    case FT_CONFIG_BOOL:
        if (node->plain && (strcmp(node->text, "true") == 0 || strcmp(node->text, "false") == 0)) {
            *(bool *)place = node->text[0] == 't';
            return;
        }
        break;
    case FT_CONFIG_DURATION:
        if (node->plain && duration(node->text, &u) && u >= f->least && u <= f->most) {
            *(uint64_t *)place = u;
            return;
        }
        break;
    default:
        break;
    }
    wrong(r, node, f, NULL);
}

/* ---- containers ---- */

static void read_value(struct reader *r, const struct config_node *node, const struct ft_config_field *f,
                       void *base);

static void
unknown_key(struct reader *r, const struct config_node *node, const struct ft_config_field *fields)
{
    struct ft_nearest nearest = { 0 };
    char key[64], list[256] = "";
    size_t used = 0;

    config_show(key, node->key, strlen(node->key));
    for (const struct ft_config_field *f = fields; f->key != NULL; f++) {
        ft_nearest_offer(&nearest, node->key, f->key);
        if (used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", used > 0 ? ", " : "", f->key);
    }
    if (nearest.word != NULL)
        ft_find(r->findings, node->key_line, node->key_column, "unknown key '%s', did you mean '%s'?", key,
                nearest.word);
    else
        ft_find(r->findings, node->key_line, node->key_column, "unknown key '%s', expected %s%s", key,
                strchr(list, ',') != NULL ? "one of " : "", list);
}

static void
read_map(struct reader *r, const struct config_node *node, const struct ft_config_field *fields, void *base)
{
    char want[256];

    for (const struct config_node *n = node->first; n != NULL; n = n->next) {
        const struct ft_config_field *f = fields;
        while (f->key != NULL && strcmp(f->key, n->key) != 0)
            f++;
        if (n->duplicate)
            continue;
        if (f->key == NULL)
            unknown_key(r, n, fields);
        else
            read_value(r, n, f, base);
    }
    for (const struct ft_config_field *f = fields; f->key != NULL; f++)
        if ((f->flags & FT_CONFIG_REQUIRED) && config_child(node, f->key, strlen(f->key)) == NULL)
            ft_find(r->findings, node->key != NULL ? node->key_line : node->line,
                    node->key != NULL ? node->key_column : node->column, "missing key '%s', expected %s",
                    f->key, expected(want, f));
}

void
ft_config_need(const struct ft_config *config, struct ft_findings *findings, const char *parent,
               const struct ft_config_field *fields, const char *key)
{
    const struct ft_config_field *f = fields;
    uint32_t line, column;
    char path[128], want[256];

    while (f->key != NULL && strcmp(f->key, key) != 0)
        f++;
    snprintf(path, sizeof path, "%s.%s", parent, key);
    if (f->key == NULL || ft_config_where(config, path, &line, &column) ||
        !ft_config_where(config, parent, &line, &column))
        return;
    ft_find(findings, line, column, "missing key '%s', expected %s", key, expected(want, f));
}

/* LIST and DICT: one element a child. */
static void
read_elements(struct reader *r, const struct config_node *node, const struct ft_config_field *f, void *base)
{
    char want[128];
    char *elements;
    size_t index = 0;

    if (node->kind != (f->type == FT_CONFIG_DICT ? CONFIG_MAPPING : CONFIG_SEQUENCE)) {
        wrong(r, node, f, NULL);
        return;
    }
    if (node->count > f->most || node->count < f->least ||
        (node->count == 0 && !(f->flags & FT_CONFIG_EMPTY_OK))) {
        snprintf(want, sizeof want, "%llu to %llu entries",
                 (unsigned long long)(f->least > 0 || (f->flags & FT_CONFIG_EMPTY_OK) ? f->least : 1),
                 (unsigned long long)f->most);
        ft_find(r->findings, node->line, node->column, "'%s' has %zu entries, expected %s", f->key,
                node->count, want);
        return;
    }
    if (f->flags & FT_CONFIG_INLINE) {
        elements = at(base, f->offset);
    } else {
        ft_config_clear((const struct ft_config_field[]){ *f, FT_CONFIG_END },
                        base); /* the caller's default */
        if (node->count == 0)
            return;
        if ((elements = ft_calloc(node->count, f->item_size)) == NULL) {
            r->no_memory = true;
            return;
        }
        *(void **)at(base, f->offset) = elements;
    }
    *(uint32_t *)at(base, f->count_offset) = (uint32_t)node->count;
    for (const struct config_node *n = node->first; n != NULL && !r->no_memory; n = n->next, index++) {
        void *element = elements + index * f->item_size;
        if (f->type == FT_CONFIG_DICT) {
            const char *fault = f->key_check != NULL ? f->key_check(n->key) : NULL;
            char key[64];
            if (fault != NULL)
                ft_find(r->findings, n->key_line, n->key_column, "key '%s', expected %s",
                        config_show(key, n->key, strlen(n->key)), fault);
            if ((*(char **)at(element, f->key_offset) = ft_strdup(n->key)) == NULL)
                r->no_memory = true;
        }
        if (!n->duplicate)
            read_value(r, n, f->item, element);
    }
}

static void
read_value(struct reader *r, const struct config_node *node, const struct ft_config_field *f, void *base)
{
    if (r->no_memory)
        return;
    switch (f->type) {
    case FT_CONFIG_MAP:
        if (node->kind == CONFIG_MAPPING)
            read_map(r, node, f->fields, at(base, f->offset));
        else
            wrong(r, node, f, NULL);
        break;
    case FT_CONFIG_LIST:
    case FT_CONFIG_DICT:
        read_elements(r, node, f, base);
        break;
    default:
        read_scalar(r, node, f, at(base, f->offset));
        break;
    }
}

enum ft_status
ft_config_read(const struct ft_config *config, const struct ft_config_field *fields, void *data,
               struct ft_findings *findings)
{
    struct reader r = { .findings = findings };

    if (config->root->kind != CONFIG_MAPPING) {
        char what[96];
        ft_find(findings, config->root->line, config->root->column, "%s, expected a mapping of keys",
                found(what, config->root, 0));
        return FT_ERR_CONFIG;
    }
    read_map(&r, config->root, fields, data);
    if (r.no_memory)
        return FT_ERR_NOMEM;
    return findings->total == 0 ? FT_OK : FT_ERR_CONFIG;
}

void
ft_config_find(const struct ft_config *config, struct ft_findings *findings, const char *path,
               const char *fmt, ...)
{
    char text[sizeof findings->list[0].text];
    uint32_t line, column;
    va_list args;

    (void)ft_config_where(config, path, &line, &column); /* the nearest parent serves as well */
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    ft_find(findings, line, column, "%s", text);
}

static void
clear_one(const struct ft_config_field *f, void *base)
{
    switch (f->type) {
    case FT_CONFIG_TEXT:
        ft_free(*(char **)at(base, f->offset));
        *(char **)at(base, f->offset) = NULL;
        break;
    case FT_CONFIG_MAP:
        ft_config_clear(f->fields, at(base, f->offset));
        break;
    case FT_CONFIG_LIST:
    case FT_CONFIG_DICT: {
        uint32_t *count = at(base, f->count_offset);
        if (!(f->flags & FT_CONFIG_INLINE)) {
            char *elements = *(char **)at(base, f->offset);
            for (uint32_t i = 0; elements != NULL && i < *count; i++) {
                clear_one(f->item, elements + i * f->item_size);
                if (f->type == FT_CONFIG_DICT)
                    ft_free(*(char **)at(elements + i * f->item_size, f->key_offset));
            }
            ft_free(elements);
            *(void **)at(base, f->offset) = NULL;
        }
        *count = 0;
        break;
    }
    default:
        break;
    }
}

void
ft_config_clear(const struct ft_config_field *fields, void *data)
{
    for (const struct ft_config_field *f = fields; f->key != NULL; f++)
        clear_one(f, data);
}

enum ft_status
ft_config_load(struct ft_bytes yaml, const char *origin, const struct ft_config_field *fields, void *data,
               struct ft_findings *findings, struct ft_error *err)
{
    enum ft_status st;
    struct ft_config *config = NULL;
    struct ft_findings *own = NULL;

    if (findings == NULL && (findings = own = ft_calloc(1, sizeof *own)) == NULL)
        return ft_fail(err, FT_ERR_NOMEM, "out of memory");
    ft_findings_init(findings, origin);
    FT_TRY(ft_config_open(yaml, findings, &config));
    FT_TRY(ft_config_read(config, fields, data, findings));
out:
    if (st == FT_ERR_CONFIG)
        st = ft_findings_status(findings, err);
    else if (st != FT_OK)
        (void)ft_fail(err, st, "%s: %s", origin, ft_status_str(st));
    if (st != FT_OK)
        ft_config_clear(fields, data);
    ft_config_close(config);
    ft_free(own);
    return st;
}

enum ft_status
ft_config_join(const char *folder, char **path)
{
    char *joined;
    if (*path == NULL || (*path)[0] == '/')
        return FT_OK;
    if ((joined = ft_asprintf("%s/%s", folder, *path)) == NULL)
        return FT_ERR_NOMEM;
    ft_free(*path);
    *path = joined;
    return FT_OK;
}

/* ---- checks ---- */

const char *
ft_config_is_date(const char *text)
{
    int64_t days;
    return ft_date_parse(text, &days) ? NULL : "a day of the calendar as YYYY-MM-DD";
}

const char *
ft_config_is_name(const char *text)
{
    const size_t size = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    return size > 0 && size <= 48 && text[size] == '\0'
               ? NULL
               : "1 to 48 small letters, digits, hyphens and underscores";
}

const char *
ft_config_is_host_port(const char *text)
{
    static const char want[] = "host:port, or [address]:port for IPv6";
    const char *colon = strrchr(text, ':');
    uint64_t port;

    if (colon == NULL || colon == text || colon - text > 253 ||
        !whole_number(colon + 1, strlen(colon + 1), &port) || port > 65535)
        return want;
    if (text[0] == '[')
        return colon[-1] == ']' && colon - text > 3 &&
                       strspn(text + 1, "0123456789abcdefABCDEF:.") == (size_t)(colon - text) - 2
                   ? NULL
                   : want;
    return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") ==
                   (size_t)(colon - text)
               ? NULL
               : want;
}
