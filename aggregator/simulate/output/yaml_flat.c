#include "aggregator/simulate/output/yaml_flat.h"
#include "common/base/alloc.h"

#include <string.h>
#include <yaml.h>

#define DEPTH_MAX 12
#define KEYS_MAX  4096

struct flat {
    yaml_document_t document;
    struct sim_run_key *keys;
    size_t count;
};

/* A scalar, or a list in flow style. */
static enum ft_status
write_value(struct flat *f, const yaml_node_t *n, int depth, struct ft_buf *out)
{
    enum ft_status st = FT_OK;
    if (n == NULL || depth > DEPTH_MAX)
        return FT_ERR_LIMIT;
    if (n->type == YAML_SCALAR_NODE)
        return ft_buf_append(out, n->data.scalar.value, n->data.scalar.length);
    if (n->type != YAML_SEQUENCE_NODE)
        return ft_buf_str(out, "{...}");
    FT_TRY(ft_buf_u8(out, '['));
    for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top; i++) {
        if (i > n->data.sequence.items.start)
            FT_TRY(ft_buf_str(out, ", "));
        FT_TRY(write_value(f, yaml_document_get_node(&f->document, *i), depth + 1, out));
    }
    st = ft_buf_u8(out, ']');
out:
    return st;
}

static enum ft_status
add_key(struct flat *f, char *path, const yaml_node_t *n)
{
    struct ft_buf value = { 0 };
    struct sim_run_key *more = NULL;
    enum ft_status st = path != NULL ? FT_OK : FT_ERR_NOMEM;
    FT_TRY(st);
    if (f->count == KEYS_MAX) {
        st = FT_ERR_LIMIT;
        goto out;
    }
    FT_TRY(write_value(f, n, 0, &value));
    FT_TRY(ft_buf_u8(&value, 0));
    more = ft_realloc(f->keys, (f->count + 1) * sizeof *more);
    if (more == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    f->keys = more;
    f->keys[f->count] = (struct sim_run_key){ path, ft_strdup((const char *)value.data) };
    if (f->keys[f->count].value == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    f->count++;
    path = NULL;
out:
    ft_free(path);
    ft_buf_clear(&value);
    return st;
}

static enum ft_status
walk(struct flat *f, const yaml_node_t *mapping, const char *prefix, int depth)
{
    enum ft_status st = FT_OK;
    if (depth > DEPTH_MAX)
        return FT_ERR_LIMIT;
    for (yaml_node_pair_t *p = mapping->data.mapping.pairs.start;
         st == FT_OK && p < mapping->data.mapping.pairs.top; p++) {
        const yaml_node_t *key = yaml_document_get_node(&f->document, p->key);
        const yaml_node_t *value = yaml_document_get_node(&f->document, p->value);
        if (key == NULL || value == NULL || key->type != YAML_SCALAR_NODE)
            return FT_ERR_FORMAT;
        char *path = ft_asprintf("%s%s%.*s", prefix, *prefix != '\0' ? "." : "", (int)key->data.scalar.length,
                                 (const char *)key->data.scalar.value);
        if (path != NULL && value->type == YAML_MAPPING_NODE) {
            st = walk(f, value, path, depth + 1);
            ft_free(path);
        } else {
            st = add_key(f, path, value);
        }
    }
    return st;
}

enum ft_status
sim_yaml_flatten(struct ft_bytes yaml, const char *origin, struct sim_run_key **out, size_t *count,
                 struct ft_error *err)
{
    struct flat f = { .keys = NULL };
    yaml_parser_t parser;
    const yaml_node_t *root;
    enum ft_status st;

    *out = NULL;
    *count = 0;
    if (!yaml_parser_initialize(&parser))
        return FT_ERR_NOMEM;
    yaml_parser_set_input_string(&parser, yaml.data, yaml.size);
    if (!yaml_parser_load(&parser, &f.document)) {
        st = ft_fail(err, FT_ERR_FORMAT, "%s:%zu: %s", origin, parser.problem_mark.line + 1,
                     parser.problem != NULL ? parser.problem : "no YAML");
        yaml_parser_delete(&parser);
        return st;
    }
    root = yaml_document_get_root_node(&f.document);
    st = root != NULL && root->type == YAML_MAPPING_NODE ? walk(&f, root, "", 0) : FT_ERR_FORMAT;
    yaml_document_delete(&f.document);
    yaml_parser_delete(&parser);
    if (st == FT_ERR_FORMAT || st == FT_ERR_LIMIT)
        (void)ft_fail(err, st, "%s: expected one mapping of keys and values, %d levels and %d values at most",
                      origin, DEPTH_MAX, KEYS_MAX);
    *out = f.keys;
    *count = f.count;
    return st;
}
