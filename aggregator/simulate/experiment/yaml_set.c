/* `--set training.rounds=5`: one value of a YAML text replaced, added, or (null) taken out, by libyaml's
 * document. */
#include "aggregator/simulate/experiment/experiment.h"
#include "common/base/alloc.h"

#include <stdbool.h>
#include <string.h>
#include <yaml.h>

static int
write_out(void *ctx, unsigned char *data, size_t size)
{
    return ft_buf_append(ctx, data, size) == FT_OK;
}

/* The value of a key in a mapping node; 0: none. *pair points to it. */
static int
value_of(yaml_document_t *document, int mapping, const char *key, size_t size, yaml_node_pair_t **pair)
{
    yaml_node_t *node = yaml_document_get_node(document, mapping);
    *pair = NULL;
    if (node == NULL || node->type != YAML_MAPPING_NODE)
        return 0;
    for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
        const yaml_node_t *name = yaml_document_get_node(document, p->key);
        if (name != NULL && name->type == YAML_SCALAR_NODE && name->data.scalar.length == size &&
            memcmp(name->data.scalar.value, key, size) == 0) {
            *pair = p;
            return p->value;
        }
    }
    return 0;
}

/* The value's own YAML, e.g. a list. */
static int
copy_node(yaml_document_t *to, yaml_document_t *from, int index)
{
    yaml_node_t *n = yaml_document_get_node(from, index);
    int made = 0;
    if (n == NULL)
        return 0;
    if (n->type == YAML_SCALAR_NODE)
        return yaml_document_add_scalar(to, NULL, n->data.scalar.value, (int)n->data.scalar.length,
                                        n->data.scalar.style);
    if (n->type == YAML_SEQUENCE_NODE) {
        made = yaml_document_add_sequence(to, NULL, YAML_FLOW_SEQUENCE_STYLE);
        for (yaml_node_item_t *i = n->data.sequence.items.start; made != 0 && i < n->data.sequence.items.top;
             i++) {
            const int item = copy_node(to, from, *i);
            if (item == 0 || !yaml_document_append_sequence_item(to, made, item))
                return 0;
        }
        return made;
    }
    made = yaml_document_add_mapping(to, NULL, YAML_FLOW_MAPPING_STYLE);
    for (yaml_node_pair_t *p = n->data.mapping.pairs.start; made != 0 && p < n->data.mapping.pairs.top; p++) {
        const int key = copy_node(to, from, p->key), value = copy_node(to, from, p->value);
        if (key == 0 || value == 0 || !yaml_document_append_mapping_pair(to, made, key, value))
            return 0;
    }
    return made;
}

static int
parse_value(yaml_document_t *document, const char *text)
{
    yaml_parser_t parser;
    yaml_document_t value;
    int node = 0;
    if (!yaml_parser_initialize(&parser))
        return 0;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
    if (yaml_parser_load(&parser, &value)) {
        if (yaml_document_get_root_node(&value) != NULL)
            node = copy_node(document, &value, 1);
        yaml_document_delete(&value);
    }
    yaml_parser_delete(&parser);
    return node;
}

/* "null" and "~" take a key out. */
static bool
is_nothing(const char *value)
{
    return strcmp(value, "null") == 0 || strcmp(value, "~") == 0;
}

static void
take_out(yaml_document_t *document, int mapping, const yaml_node_pair_t *pair)
{
    yaml_node_t *node = yaml_document_get_node(document, mapping);
    const size_t behind = (size_t)(node->data.mapping.pairs.top - pair) - 1;
    yaml_node_pair_t *at = node->data.mapping.pairs.top - behind - 1;
    memmove(at, at + 1, behind * sizeof *at);
    node->data.mapping.pairs.top--;
}

static enum ft_status
assign(yaml_document_t *document, const char *assignment, struct ft_error *err)
{
    const char *equals = strchr(assignment, '='), *at = assignment;
    yaml_node_pair_t *pair;
    int mapping = 1, value;

    if (equals == NULL || equals == assignment || equals[1] == '\0')
        return ft_fail(err, FT_ERR_CONFIG, "--set %s: expected KEY=VALUE, as training.rounds=5", assignment);
    for (;;) {
        const char *dot = memchr(at, '.', (size_t)(equals - at));
        const size_t size = (size_t)((dot != NULL ? dot : equals) - at);
        int inside = value_of(document, mapping, at, size, &pair);
        yaml_node_t *node = yaml_document_get_node(document, mapping);
        if (size == 0 || node == NULL || node->type != YAML_MAPPING_NODE)
            return ft_fail(err, FT_ERR_CONFIG, "--set %s: '%.*s' is no mapping, expected a path of keys",
                           assignment, (int)(at > assignment ? at - assignment - 1 : 0), assignment);
        if (dot == NULL && is_nothing(equals + 1)) {
            if (pair != NULL)
                take_out(document, mapping, pair);
            return FT_OK;
        }
        if (dot == NULL) {
            value = parse_value(document, equals + 1);
            if (value == 0)
                return ft_fail(err, FT_ERR_CONFIG, "--set %s: the value is no YAML", assignment);
            (void)value_of(document, mapping, at, size, &pair); /* nodes may have moved */
            if (pair != NULL) {
                pair->value = value;
                return FT_OK;
            }
        } else if (inside == 0) {
            value = yaml_document_add_mapping(document, NULL, YAML_BLOCK_MAPPING_STYLE);
        } else {
            mapping = inside;
            at = dot + 1;
            continue;
        }
        const int key = yaml_document_add_scalar(document, NULL, (const unsigned char *)at, (int)size,
                                                 YAML_PLAIN_SCALAR_STYLE);
        if (key == 0 || value == 0 || !yaml_document_append_mapping_pair(document, mapping, key, value))
            return FT_ERR_NOMEM;
        if (dot == NULL)
            return FT_OK;
        mapping = value;
        at = dot + 1;
    }
}

enum ft_status
ft_sim_yaml_set(const struct ft_buf *yaml, const char *assignment, struct ft_buf *out, struct ft_error *err)
{
    yaml_parser_t parser;
    yaml_emitter_t emitter;
    yaml_document_t document;
    enum ft_status st = FT_OK;

    if (!yaml_parser_initialize(&parser))
        return FT_ERR_NOMEM;
    yaml_parser_set_input_string(&parser, yaml->data, yaml->size);
    if (!yaml_parser_load(&parser, &document)) {
        st = ft_fail(err, FT_ERR_CONFIG, "line %zu: %s", parser.problem_mark.line + 1,
                     parser.problem != NULL ? parser.problem : "no YAML");
        yaml_parser_delete(&parser);
        return st;
    }
    yaml_parser_delete(&parser);
    st = assign(&document, assignment, err);
    if (st != FT_OK) {
        yaml_document_delete(&document);
        return st;
    }
    if (!yaml_emitter_initialize(&emitter)) {
        yaml_document_delete(&document);
        return FT_ERR_NOMEM;
    }
    yaml_emitter_set_output(&emitter, write_out, out);
    yaml_emitter_set_width(&emitter, -1);
    if (!yaml_emitter_open(&emitter) || !yaml_emitter_dump(&emitter, &document) ||
        !yaml_emitter_close(&emitter))
        st = FT_ERR_NOMEM; /* dump takes the document away, whatever happens */
    yaml_emitter_delete(&emitter);
    return st;
}
