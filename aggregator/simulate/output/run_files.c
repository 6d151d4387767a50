#include "aggregator/simulate/output/run_files.h"
#include "aggregator/simulate/output/yaml_flat.h"
#include "common/base/alloc.h"
#include "common/base/file.h"

#include <ctype.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#define FILE_MAX   ((size_t)1 << 30)
#define FIELDS_MAX 4096

/* ---- CSV of numbers: no quotes but around names ---- */

struct line {
    char *fields[FIELDS_MAX];
    size_t count;
    size_t number; /* from 1 */
};

/* Cut the next line of *at in place; false at the end. */
static bool
next_line(char **at, struct line *line)
{
    char *p = *at;
    if (*p == '\0')
        return false;
    line->number++;
    line->count = 0;
    for (;;) {
        char *start = p, *to = p;
        const bool quoted = *p == '"';
        if (quoted) {
            for (start = to = ++p; *p != '\0' && (*p != '"' || p[1] == '"'); p++) {
                p += *p == '"';
                *to++ = *p;
            }
            p += *p == '"';
        } else {
            while (*p != '\0' && *p != ',' && *p != '\n')
                p++;
            to = p;
        }
        const char end = *p;
        if (!quoted && to > start && to[-1] == '\r')
            to--;
        *to = '\0';
        if (line->count < FIELDS_MAX)
            line->fields[line->count++] = start;
        if (end == '\0') {
            *at = p;
            return true;
        }
        p++;
        if (end != ',') {
            *at = p;
            return true;
        }
    }
}

static bool
number(const char *text, double *out)
{
    char *end;
    *out = NAN;
    if (*text == '\0')
        return true;
    if (text[strspn(text, "+-0123456789.eE")] != '\0')
        return false;
    *out = strtod(text, &end);
    return *end == '\0' && isfinite(*out);
}

static const char *const round_columns[] = {
    "round",    "asked", "came",     "learning_rate", "seconds",
    "bytes_up", "loss",  "accuracy", "auc",           "mask_seconds"
};
#define ROUND_COLUMNS (sizeof round_columns / sizeof round_columns[0])

static enum ft_status
parse_rounds(char *text, const char *path, struct sim_run *run, struct ft_error *err)
{
    _Static_assert(sizeof(struct sim_run_round) == ROUND_COLUMNS * sizeof(double),
                          "a round is its columns");
    struct line *line = ft_calloc(1, sizeof *line);
    size_t at[ROUND_COLUMNS], columns, room = 0;
    enum ft_status st = FT_OK;

    if (line == NULL)
        return FT_ERR_NOMEM;
    if (!next_line(&text, line)) {
        st = ft_fail(err, FT_ERR_FORMAT, "%s:1: empty, expected a header", path);
        goto out;
    }
    columns = line->count;
    for (size_t c = 0; c < ROUND_COLUMNS; c++) {
        for (at[c] = 0; at[c] < columns && strcmp(line->fields[at[c]], round_columns[c]) != 0;)
            at[c]++;
        if (at[c] == columns && c == 0) {
            st = ft_fail(err, FT_ERR_FORMAT, "%s:1: no column 'round' in the header", path);
            goto out;
        }
    }
    while (next_line(&text, line)) {
        if (line->count != columns) {
            st = ft_fail(err, FT_ERR_FORMAT, "%s:%zu: %zu fields, expected %zu as the header has", path,
                         line->number, line->count, columns);
            goto out;
        }
        if (run->round_count == room) {
            room = room > 0 ? 2 * room : 256;
            struct sim_run_round *more = ft_realloc(run->rounds, room * sizeof *more);
            if (more == NULL) {
                st = FT_ERR_NOMEM;
                goto out;
            }
            run->rounds = more;
        }
        double *values = (double *)&run->rounds[run->round_count];
        for (size_t c = 0; c < ROUND_COLUMNS; c++) {
            values[c] = NAN;
            if (at[c] < columns && !number(line->fields[at[c]], &values[c])) {
                st = ft_fail(err, FT_ERR_FORMAT, "%s:%zu: %s is '%.40s', expected a number", path,
                             line->number, round_columns[c], line->fields[at[c]]);
                goto out;
            }
        }
        if (isnan(values[0]) ||
            (run->round_count > 0 && !(values[0] > run->rounds[run->round_count - 1].round))) {
            st = ft_fail(err, FT_ERR_FORMAT,
                         "%s:%zu: round is '%.40s', expected more than the line before has", path,
                         line->number, line->fields[at[0]]);
            goto out;
        }
        run->round_count++;
    }
out:
    ft_free(line);
    return st;
}

/* client,name,rows,label_0,... */
static enum ft_status
parse_clients(char *text, const char *path, struct sim_run *run, struct ft_error *err)
{
    struct line *line = ft_calloc(1, sizeof *line);
    size_t room = 0, columns;
    enum ft_status st = FT_OK;

    if (line == NULL)
        return FT_ERR_NOMEM;
    if (!next_line(&text, line) || line->count < 3 || strcmp(line->fields[0], "client") != 0 ||
        strcmp(line->fields[1], "name") != 0 || strcmp(line->fields[2], "rows") != 0) {
        st = ft_fail(err, FT_ERR_FORMAT, "%s:1: expected a header client,name,rows and one column a label",
                     path);
        goto out;
    }
    columns = line->count;
    run->label_count = columns - 3;
    while (next_line(&text, line)) {
        if (line->count != columns) {
            st = ft_fail(err, FT_ERR_FORMAT, "%s:%zu: %zu fields, expected %zu as the header has", path,
                         line->number, line->count, columns);
            goto out;
        }
        if (run->client_count == room) {
            room = room > 0 ? 2 * room : 128;
            struct sim_run_client *more = ft_realloc(run->clients, room * sizeof *more);
            if (more != NULL)
                run->clients = more;
            double *labels = ft_realloc(run->labels, (room * run->label_count + 1) * sizeof *labels);
            if (labels != NULL)
                run->labels = labels;
            if (more == NULL || labels == NULL) {
                st = FT_ERR_NOMEM;
                goto out;
            }
        }
        struct sim_run_client *c = &run->clients[run->client_count];
        *c = (struct sim_run_client){ 0 };
        for (size_t i = 2; i < columns; i++) {
            double v;
            if (!number(line->fields[i], &v) || !(v >= 0)) {
                st = ft_fail(err, FT_ERR_FORMAT, "%s:%zu: field %zu is '%.40s', expected a count", path,
                             line->number, i + 1, line->fields[i]);
                goto out;
            }
            if (i == 2)
                c->rows = v;
            else
                run->labels[run->client_count * run->label_count + i - 3] = v;
        }
        if (line->fields[1][0] != '\0' && (c->name = ft_strdup(line->fields[1])) == NULL) {
            st = FT_ERR_NOMEM;
            goto out;
        }
        run->client_count++;
    }
out:
    ft_free(line);
    return st;
}

/* ---- the folder ---- */

/* A file's text with its end marked; no file: *out stays NULL when it may be absent. */
static enum ft_status
read_text(const char *path, bool may_miss, char **out, struct ft_error *err)
{
    struct ft_buf file = { 0 };
    struct ft_error ignored = { 0 };
    enum ft_status st = ft_file_read(path, FILE_MAX, &file, may_miss ? &ignored : err);
    if (st == FT_ERR_NOTFOUND && may_miss)
        st = FT_OK;
    else if (st == FT_OK && memchr(file.data, 0, file.size) != NULL)
        st = ft_fail(err, FT_ERR_FORMAT, "%s: a byte 0, expected text", path);
    else if (st == FT_OK) {
        st = ft_buf_u8(&file, 0);
        if (st == FT_OK && (*out = ft_strdup((const char *)file.data)) == NULL)
            st = FT_ERR_NOMEM;
    }
    ft_buf_clear(&file);
    return st;
}

static enum ft_status
read_summary(const char *path, struct sim_run *run, struct ft_error *err)
{
    json_error_t why;
    char *text = NULL;
    enum ft_status st = read_text(path, false, &text, err);
    if (st == FT_ERR_NOTFOUND)
        return ft_fail(err, st, "%s: there is no such file, expected the folder of a run that is complete",
                       path);
    if (st != FT_OK)
        return st;
    run->summary = json_loads(text, JSON_REJECT_DUPLICATES, &why);
    if (run->summary == NULL)
        st = ft_fail(err, FT_ERR_FORMAT, "%s:%d: %s", path, why.line, why.text);
    else if (!json_is_object(run->summary) || !json_is_object(json_object_get(run->summary, "metrics")))
        st = ft_fail(err, FT_ERR_FORMAT, "%s: no object with 'metrics', expected a run's summary", path);
    ft_free(text);
    return st;
}

static char *
last_name(const char *dir)
{
    size_t end = strlen(dir), begin;
    while (end > 1 && dir[end - 1] == '/')
        end--;
    for (begin = end; begin > 0 && dir[begin - 1] != '/'; begin--)
        ;
    return ft_asprintf("%.*s", (int)(end - begin), dir + begin);
}

enum ft_status
sim_run_open(const char *dir, struct sim_run *out, struct ft_error *err)
{
    static const char *const names[] = { "summary.json", "rounds.csv", "experiment.yaml", "partition.csv" };
    char *path = NULL, *text = NULL;
    enum ft_status st = FT_ERR_NOMEM;

    *out = (struct sim_run){ .dir = ft_strdup(dir), .label = last_name(dir) };
    if (out->dir == NULL || out->label == NULL)
        goto out;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ft_free(path);
        ft_free(text);
        text = NULL;
        path = ft_asprintf("%s/%s", dir, names[i]);
        if (path == NULL) {
            st = FT_ERR_NOMEM;
            goto out;
        }
        if (i == 0) {
            FT_TRY(read_summary(path, out, err));
            continue;
        }
        FT_TRY(read_text(path, i == 3, &text, err));
        if (i == 1)
            FT_TRY(parse_rounds(text, path, out, err));
        if (i == 2) {
            FT_TRY(ft_buf_append(&out->yaml, text, strlen(text)));
            FT_TRY(sim_yaml_flatten(ft_buf_bytes(&out->yaml), path, &out->keys, &out->key_count, err));
        }
        if (i == 3 && text != NULL)
            FT_TRY(parse_clients(text, path, out, err));
    }
    st = FT_OK;
out:
    ft_free(path);
    ft_free(text);
    if (st != FT_OK)
        sim_run_close(out);
    return st;
}

void
sim_run_close(struct sim_run *run)
{
    for (size_t i = 0; run->keys != NULL && i < run->key_count; i++) {
        ft_free(run->keys[i].path);
        ft_free(run->keys[i].value);
    }
    for (size_t i = 0; run->clients != NULL && i < run->client_count; i++)
        ft_free(run->clients[i].name);
    ft_free(run->dir);
    ft_free(run->label);
    ft_free(run->keys);
    ft_free(run->rounds);
    ft_free(run->clients);
    ft_free(run->labels);
    ft_buf_clear(&run->yaml);
    json_decref(run->summary);
    *run = (struct sim_run){ 0 };
}

/* ---- questions ---- */

static const json_t *
at_path(const struct sim_run *run, const char *path)
{
    const json_t *at = run->summary;
    while (at != NULL) {
        const size_t size = strcspn(path, ".");
        at = json_object_getn(at, path, size);
        if (path[size] == '\0')
            break;
        path += size + 1;
    }
    return at;
}

double
sim_run_number(const struct sim_run *run, const char *path)
{
    const json_t *value = at_path(run, path);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

const char *
sim_run_text(const struct sim_run *run, const char *path)
{
    const json_t *value = at_path(run, path);
    return json_is_string(value) ? json_string_value(value) : "";
}

const char *
sim_run_key(const struct sim_run *run, const char *path)
{
    for (size_t i = 0; i < run->key_count; i++)
        if (strcmp(run->keys[i].path, path) == 0)
            return run->keys[i].value;
    return NULL;
}

enum sim_metric
sim_run_metric(const struct sim_run *run)
{
    if (isfinite(sim_run_number(run, "metrics.auc")))
        return SIM_AUC;
    return isfinite(sim_run_number(run, "metrics.accuracy")) ? SIM_ACCURACY : SIM_LOSS;
}

double
sim_round_metric(const struct sim_run_round *round, enum sim_metric metric)
{
    return metric == SIM_ACCURACY ? round->accuracy : metric == SIM_AUC ? round->auc : round->loss;
}

double
sim_run_rounds_to(const struct sim_run *run, enum sim_metric metric, double target)
{
    struct sim_reach reach;
    sim_reach_begin(&reach);
    for (size_t i = 0; i < run->round_count; i++)
        if (sim_reach_add(&reach, metric, target, run->rounds[i].round, sim_round_metric(&run->rounds[i], metric)))
            break;
    return reach.rounds_to;
}
