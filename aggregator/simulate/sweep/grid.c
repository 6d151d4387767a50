#include "aggregator/simulate/sweep/grid.h"
#include "aggregator/simulate/output/yaml_flat.h"
#include "common/base/alloc.h"
#include "common/base/config.h"
#include "common/base/file.h"

#include <libgen.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define VALUES_MAX 1000
#define SETS_MAX   64

static const char *
is_key(const char *text)
{
    const size_t size = strlen(text);
    return size > 0 && size < 100 && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_.") == size &&
                   text[0] != '.' && text[size - 1] != '.' && strstr(text, "..") == NULL
               ? NULL
               : "a key of the experiment, as training.learning_rate";
}

static const struct ft_config_choice metrics[] = {
    { "accuracy", SIM_ACCURACY }, { "auc", SIM_AUC }, { "loss", SIM_LOSS }, { NULL, 0 }
};
static const struct ft_config_field text_item = { .key = "value", .type = FT_CONFIG_TEXT, .most = 4000 };
static const struct ft_config_field axis_item = { .key = "values",
                                                  .type = FT_CONFIG_LIST,
                                                  .offset = offsetof(struct sim_axis, values),
                                                  .most = VALUES_MAX,
                                                  .item = &text_item,
                                                  .item_size = sizeof(char *),
                                                  .count_offset = offsetof(struct sim_axis, count) };
static const struct ft_config_field grid_fields[] = {
    FT_CFG(struct sim_grid, experiment, "experiment", TEXT, .flags = FT_CONFIG_REQUIRED, .most = 4000),
    FT_CFG(struct sim_grid, sets, "set", LIST, .flags = FT_CONFIG_EMPTY_OK, .most = SETS_MAX,
           .item = &text_item, .item_size = sizeof(char *),
           .count_offset = offsetof(struct sim_grid, set_count)),
    FT_CFG(struct sim_grid, axes, "grid", DICT, .flags = FT_CONFIG_REQUIRED, .most = SIM_AXES_MAX,
           .item = &axis_item, .item_size = sizeof(struct sim_axis),
           .count_offset = offsetof(struct sim_grid, axis_count),
           .key_offset = offsetof(struct sim_axis, key), .key_check = is_key),
    FT_CFG(struct sim_grid, metric, "metric", CHOICE, .choices = metrics),
    FT_CFG(struct sim_grid, target, "target", REAL, .min = -1e12, .max = 1e12),
    FT_CONFIG_END,
};

enum ft_status
sim_grid_is_sweep(const char *path, bool *sweep, struct ft_error *err)
{
    struct ft_buf yaml = { 0 };
    struct sim_run_key *keys = NULL;
    struct ft_error ignored = { 0 };
    size_t count = 0;
    enum ft_status st;

    *sweep = false;
    FT_TRY(ft_file_read(path, FT_CONFIG_BYTES_MAX, &yaml, err));
    if (sim_yaml_flatten(ft_buf_bytes(&yaml), path, &keys, &count, &ignored) != FT_OK)
        count = 0; /* whoever reads it in earnest tells what is wrong */
    for (size_t i = 0; i < count; i++)
        *sweep = *sweep || strcmp(keys[i].path, "experiment") == 0 || strncmp(keys[i].path, "grid", 4) == 0;
out:
    for (size_t i = 0; keys != NULL && i < count; i++) {
        ft_free(keys[i].path);
        ft_free(keys[i].value);
    }
    ft_free(keys);
    ft_buf_clear(&yaml);
    return st;
}

enum ft_status
sim_grid_load(const char *path, struct sim_grid *out, struct ft_findings *findings, struct ft_error *err)
{
    struct ft_buf yaml = { 0 };
    char *copy = ft_strdup(path);
    enum ft_status st = FT_ERR_NOMEM;

    *out = (struct sim_grid){ .target = NAN };
    ft_findings_init(findings, path);
    if (copy == NULL)
        goto out;
    FT_TRY(ft_file_read(path, FT_CONFIG_BYTES_MAX, &yaml, err));
    FT_TRY(ft_config_load(ft_buf_bytes(&yaml), path, grid_fields, out, findings, err));
    st = ft_config_join(dirname(copy), &out->experiment);
out:
    ft_buf_clear(&yaml);
    ft_free(copy);
    if (st != FT_OK)
        sim_grid_clear(out);
    return st;
}

static enum ft_status
append(char ***list, uint32_t *count, char *text)
{
    char **more = text != NULL ? ft_realloc(*list, (*count + 1) * sizeof *more) : NULL;
    if (more == NULL) {
        ft_free(text);
        return FT_ERR_NOMEM;
    }
    *list = more;
    more[(*count)++] = text;
    return FT_OK;
}

enum ft_status
sim_grid_set(struct sim_grid *grid, const char *assignment)
{
    return append(&grid->sets, &grid->set_count, ft_strdup(assignment));
}

static void
axis_clear(struct sim_axis *a)
{
    for (uint32_t i = 0; a->values != NULL && i < a->count; i++)
        ft_free(a->values[i]);
    ft_free(a->values);
    ft_free(a->key);
    *a = (struct sim_axis){ 0 };
}

/* Where the value that begins at `text` ends: at a comma outside brackets and quotes, or at the end. */
static size_t
value_size(const char *text)
{
    int depth = 0;
    char quote = '\0';
    size_t i = 0;
    for (; text[i] != '\0' && (text[i] != ',' || depth > 0 || quote != '\0'); i++) {
        if (quote != '\0')
            quote = text[i] == quote ? '\0' : quote;
        else if (text[i] == '"' || text[i] == '\'')
            quote = text[i];
        else
            depth += (text[i] == '[' || text[i] == '{') - (text[i] == ']' || text[i] == '}');
    }
    return i;
}

enum ft_status
sim_grid_add(struct sim_grid *grid, const char *text, struct ft_error *err)
{
    const char *equals = strchr(text, '='), *at;
    struct sim_axis axis = { 0 };
    uint32_t place = 0;
    enum ft_status st = FT_OK;

    if (equals == NULL || equals == text || equals[1] == '\0')
        return ft_fail(err, FT_ERR_CONFIG,
                       "--grid %s: expected KEY=A,B,C, as training.learning_rate=0.01,0.1", text);
    axis.key = ft_asprintf("%.*s", (int)(equals - text), text);
    if (axis.key == NULL)
        return FT_ERR_NOMEM;
    if (is_key(axis.key) != NULL) {
        st = ft_fail(err, FT_ERR_CONFIG, "--grid %s: '%s' is no key, expected %s", text, axis.key,
                     is_key(axis.key));
        goto out;
    }
    for (at = equals + 1;; at++) {
        const size_t size = value_size(at);
        if (size == 0) {
            st = ft_fail(err, FT_ERR_CONFIG, "--grid %s: an empty value, expected KEY=A,B,C", text);
            goto out;
        }
        FT_TRY(append(&axis.values, &axis.count, ft_asprintf("%.*s", (int)size, at)));
        at += size;
        if (*at == '\0')
            break;
    }
    while (place < grid->axis_count && strcmp(grid->axes[place].key, axis.key) != 0)
        place++;
    if (place == grid->axis_count) {
        struct sim_axis *more = ft_realloc(grid->axes, (place + 1) * sizeof *more);
        if (more == NULL) {
            st = FT_ERR_NOMEM;
            goto out;
        }
        grid->axes = more;
        grid->axis_count++;
    } else {
        axis_clear(&grid->axes[place]);
    }
    grid->axes[place] = axis;
    axis = (struct sim_axis){ 0 };
out:
    axis_clear(&axis);
    return st;
}

enum ft_status
sim_grid_check(const struct sim_grid *grid, struct ft_error *err)
{
    uint64_t cells = 1;
    if (grid->axis_count < 1 || grid->axis_count > SIM_AXES_MAX)
        return ft_fail(err, FT_ERR_CONFIG, "%u keys in the grid, expected 1 to %d", grid->axis_count,
                       SIM_AXES_MAX);
    for (uint32_t a = 0; a < grid->axis_count; a++) {
        const struct sim_axis *axis = &grid->axes[a];
        cells *= axis->count;
        if (cells > SIM_CELLS_MAX)
            return ft_fail(err, FT_ERR_CONFIG, "the grid has more than %d cells", SIM_CELLS_MAX);
        for (uint32_t i = 0; i < axis->count; i++)
            for (uint32_t j = 0; j < i; j++)
                if (strcmp(axis->values[i], axis->values[j]) == 0)
                    return ft_fail(err, FT_ERR_CONFIG, "grid: %s has the value %s twice", axis->key,
                                   axis->values[i]);
    }
    return FT_OK;
}

void
sim_grid_clear(struct sim_grid *grid)
{
    ft_config_clear(grid_fields, grid);
    *grid = (struct sim_grid){ .target = NAN };
}

uint32_t
sim_grid_cells(const struct sim_grid *grid)
{
    uint32_t cells = 1;
    for (uint32_t a = 0; a < grid->axis_count; a++)
        cells *= grid->axes[a].count;
    return cells;
}

uint32_t
sim_grid_place(const struct sim_grid *grid, uint32_t cell, uint32_t axis)
{
    for (uint32_t a = grid->axis_count; a-- > axis + 1;)
        cell /= grid->axes[a].count;
    return cell % grid->axes[axis].count;
}

char **
sim_grid_sets(const struct sim_grid *grid, uint32_t cell)
{
    char **sets = ft_calloc((size_t)grid->set_count + grid->axis_count + 1, sizeof *sets);
    uint32_t n = 0;
    for (uint32_t i = 0; sets != NULL && i < grid->set_count; i++)
        if ((sets[n++] = ft_strdup(grid->sets[i])) == NULL)
            goto failed;
    for (uint32_t a = 0; sets != NULL && a < grid->axis_count; a++)
        if ((sets[n++] = ft_asprintf("%s=%s", grid->axes[a].key,
                                     grid->axes[a].values[sim_grid_place(grid, cell, a)])) == NULL)
            goto failed;
    return sets;
failed:
    sim_grid_sets_free(sets);
    return NULL;
}

void
sim_grid_sets_free(char **sets)
{
    for (size_t i = 0; sets != NULL && sets[i] != NULL; i++)
        ft_free(sets[i]);
    ft_free(sets);
}
