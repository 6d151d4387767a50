/* LIBSVM's text: `label index:value index:value ...`, indices from 1, ascending. */
#include "aggregator/simulate/data/readers.h"
#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/base/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX ((size_t)4 << 30)

struct line {
    const char *origin;
    uint64_t number;
    const char *at, *end;
};

static enum ft_status
bad(const struct line *l, struct ft_error *err, const char *found, const char *expected)
{
    return ft_fail(err, FT_ERR_FORMAT, "%s:%llu: %s, expected %s", l->origin, (unsigned long long)l->number, found,
                   expected);
}

static void
blanks(struct line *l)
{
    while (l->at < l->end && (*l->at == ' ' || *l->at == '\t' || *l->at == '\r'))
        l->at++;
}

/* A number in a small copy: strtod needs an end. */
static bool
number(struct line *l, double *out)
{
    char text[64];
    size_t size = 0;
    char *rest;
    while (l->at + size < l->end && size + 1 < sizeof text && strchr("+-.0123456789eE", l->at[size]) != NULL &&
           l->at[size] != '\0')
        size++;
    memcpy(text, l->at, size);
    text[size] = '\0';
    *out = strtod(text, &rest);
    l->at += size;
    return size > 0 && *rest == '\0' && isfinite((float)*out);
}

static enum ft_status
read_label(struct line *l, uint32_t classes, uint32_t base, float *out, struct ft_error *err)
{
    char expected[64];
    double v;
    if (!number(l, &v))
        return bad(l, err, "a label that is no number", "a number");
    if (classes == 0) {
        if (v != -1 && v != 0 && v != 1)
            return bad(l, err, "a label out of range", "-1, 0 or 1, or data.classes in the experiment");
        *out = v > 0 ? 1 : 0;
        return FT_OK;
    }
    if (v != floor(v) || v < (double)base || v > (double)(base + classes - 1)) {
        (void)snprintf(expected, sizeof expected, "a class from %u to %u", base, base + classes - 1);
        return bad(l, err, "a label out of range", expected);
    }
    *out = (float)(v - base);
    return FT_OK;
}

/* x NULL: only the largest index is wanted. */
static enum ft_status
read_values(struct line *l, uint32_t features, float *x, uint32_t *largest, struct ft_error *err)
{
    uint32_t last = 0;
    for (blanks(l); l->at < l->end && *l->at != '#'; blanks(l)) {
        double index, value;
        if (!number(l, &index) || index != floor(index) || l->at == l->end || *l->at != ':')
            return bad(l, err, "a value without its index", "index:value");
        l->at++;
        if (!number(l, &value))
            return bad(l, err, "a value that is no finite number", "index:value");
        if (index < 1 || index > (double)features)
            return bad(l, err, "an index out of range", features == FT_MODEL_WIDTH_MAX ? "1 to 16384" : "1 to data.features");
        if ((uint32_t)index <= last)
            return bad(l, err, "indices that do not ascend", "each index once, ascending");
        last = (uint32_t)index;
        if (x != NULL)
            x[last - 1] = (float)value;
    }
    if (largest != NULL && last > *largest)
        *largest = last;
    return FT_OK;
}

static bool
next_line(struct line *l, const char **rest, const char *end)
{
    const char *newline;
    while (*rest < end) {
        newline = memchr(*rest, '\n', (size_t)(end - *rest));
        l->at = *rest;
        l->end = newline != NULL ? newline : end;
        *rest = newline != NULL ? newline + 1 : end;
        l->number++;
        blanks(l);
        if (l->at < l->end && *l->at != '#')
            return true;
    }
    return false;
}

enum ft_status
sim_parse_libsvm(struct ft_bytes text, const char *origin, uint32_t features, uint32_t classes, uint32_t base,
                 struct ft_sim_part *out, struct ft_error *err)
{
    const char *begin = (const char *)text.data, *end = begin + text.size, *rest = begin;
    struct line l = { .origin = origin };
    uint64_t rows = 0;
    enum ft_status st;

    while (next_line(&l, &rest, end))
        rows++;
    if (rows == 0)
        return ft_fail(err, FT_ERR_FORMAT, "%s: no row, expected `label index:value ...` lines", origin);
    FT_TRY(sim_part_room(out, rows, features, err));
    l.number = 0;
    rest = begin;
    for (uint64_t i = 0; next_line(&l, &rest, end); i++) {
        FT_TRY(read_label(&l, classes, base, &out->y[i], err));
        FT_TRY(read_values(&l, features, out->x + i * features, NULL, err));
    }
out:
    return st;
}

uint32_t
sim_libsvm_base(struct ft_bytes text)
{
    const char *rest = (const char *)text.data, *end = rest + text.size;
    struct line l = { .origin = "" };
    double label;
    while (next_line(&l, &rest, end))
        if (number(&l, &label) && label >= 0 && label < 1)
            return 0;
    return 1;
}

static enum ft_status
largest_index(struct ft_bytes text, const char *origin, uint32_t *largest, struct ft_error *err)
{
    const char *rest = (const char *)text.data, *end = rest + text.size;
    struct line l = { .origin = origin };
    enum ft_status st = FT_OK;
    double label;
    while (st == FT_OK && next_line(&l, &rest, end)) {
        if (!number(&l, &label))
            return bad(&l, err, "a label that is no number", "a number");
        st = read_values(&l, FT_MODEL_WIDTH_MAX, NULL, largest, err);
    }
    return st;
}

enum ft_status
sim_read_libsvm(const struct ft_sim_data_config *c, uint64_t seed, struct ft_sim_data *out, struct ft_error *err)
{
    struct ft_buf train = { 0 }, test = { 0 };
    uint32_t base;
    enum ft_status st;

    FT_TRY(ft_file_read(c->train, FILE_MAX, &train, err));
    if (c->test != NULL)
        FT_TRY(ft_file_read(c->test, FILE_MAX, &test, err));
    out->features = c->features;
    out->classes = c->classes > 0 ? c->classes : 2;
    if (out->features == 0) { /* a feature that only the test rows have says nothing about the model */
        FT_TRY(largest_index(ft_buf_bytes(&train), c->train, &out->features, err));
        if (c->test != NULL)
            FT_TRY(largest_index(ft_buf_bytes(&test), c->test, &out->features, err));
    }
    if (out->features < 1) {
        st = ft_fail(err, FT_ERR_FORMAT, "%s: no row has a feature", c->train);
        goto out;
    }
    base = sim_libsvm_base(ft_buf_bytes(&train));
    FT_TRY(sim_parse_libsvm(ft_buf_bytes(&train), c->train, out->features, c->classes, base, &out->train, err));
    if (c->test != NULL)
        FT_TRY(sim_parse_libsvm(ft_buf_bytes(&test), c->test, out->features, c->classes, base, &out->test, err));
    else
        FT_TRY(sim_set_aside(out, c->test_share, seed, err));
    if (c->standardise)
        sim_standardise(out);
out:
    ft_buf_clear(&train);
    ft_buf_clear(&test);
    return st;
}
