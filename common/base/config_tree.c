#include "common/base/config_internal.h"

#include "common/base/alloc.h"

#include <stdio.h>
#include <string.h>
#include <yaml.h>

struct builder {
    struct ft_config *config;
    struct ft_findings *findings;
    struct config_node *open[FT_CONFIG_DEPTH_MAX]; /* containers begun and not ended, outermost first */
    size_t depth;
    char *key; /* read and still without its value */
    uint32_t key_line, key_column;
    bool key_duplicate;
};

char *
config_show(char out[64], const char *text, size_t size)
{
    const bool cut = size > 48;
    size_t n = cut ? 45 : size;
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?');
    memcpy(out + n, "...", 3);
    out[cut ? n + 3 : n] = '\0';
    return out;
}

const struct config_node *
config_child(const struct config_node *mapping, const char *key, size_t key_size)
{
    if (mapping == NULL || mapping->kind != CONFIG_MAPPING)
        return NULL;
    for (const struct config_node *n = mapping->first; n != NULL; n = n->next)
        if (!n->duplicate && strlen(n->key) == key_size && memcmp(n->key, key, key_size) == 0)
            return n;
    return NULL;
}

static uint32_t
line_of(const yaml_mark_t *mark)
{
    return (uint32_t)mark->line + 1; /* a file has at most FT_CONFIG_BYTES_MAX lines */
}

static uint32_t
column_of(const yaml_mark_t *mark)
{
    return (uint32_t)mark->column + 1;
}

static enum ft_status
refuse(struct builder *b, const yaml_event_t *event, const char *sentence)
{
    ft_find(b->findings, line_of(&event->start_mark), column_of(&event->start_mark), "%s", sentence);
    return FT_ERR_CONFIG;
}

/* Hang a node into the innermost open container, or make it the root. */
static enum ft_status
add_node(struct builder *b, const yaml_event_t *event, enum config_kind kind, struct config_node **out)
{
    struct config_node *parent = b->depth > 0 ? b->open[b->depth - 1] : NULL;
    struct config_node *node;

    if (b->config->nodes == FT_CONFIG_NODES_MAX)
        return refuse(b, event, "too many values for a configuration file");
    if (parent == NULL && b->config->root != NULL)
        return refuse(b, event, "a second document, expected one");
    if ((node = ft_calloc(1, sizeof *node)) == NULL)
        return FT_ERR_NOMEM;
    b->config->nodes++;
    node->older = b->config->newest;
    b->config->newest = node;
    node->kind = kind;
    node->line = line_of(&event->start_mark);
    node->column = column_of(&event->start_mark);
    node->key = b->key; /* ownership moves */
    node->key_line = b->key_line;
    node->key_column = b->key_column;
    node->duplicate = b->key_duplicate;
    b->key = NULL;
    if (parent == NULL) {
        b->config->root = node;
    } else {
        if (parent->last != NULL)
            parent->last->next = node;
        else
            parent->first = node;
        parent->last = node;
        parent->count++;
    }
    *out = node;
    return FT_OK;
}

static bool
key_expected(const struct builder *b)
{
    return b->depth > 0 && b->open[b->depth - 1]->kind == CONFIG_MAPPING && b->key == NULL;
}

static char *
copy_text(const char *text, size_t size)
{
    char *copy = ft_calloc(size + 1, 1);
    if (copy != NULL && size > 0)
        memcpy(copy, text, size);
    return copy;
}

static enum ft_status
on_scalar(struct builder *b, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    const size_t size = event->data.scalar.length;
    struct config_node *node;
    enum ft_status st;
    char shown[64];

    if (event->data.scalar.anchor != NULL)
        return refuse(b, event,
                      "an anchor (&), expected a plain value: anchors and aliases are not accepted");
    if (event->data.scalar.tag != NULL)
        return refuse(b, event, "a tag (!), expected a plain value: tags are not accepted");
    if (memchr(text, '\0', size) != NULL)
        return refuse(b, event, "a NUL character, expected text without one");
    if (key_expected(b)) {
        struct config_node *mapping = b->open[b->depth - 1];
        if (size == 0)
            return refuse(b, event, "an empty key, expected a name");
        if (mapping->count == CONFIG_KEYS_MAX)
            return refuse(b, event, "too many keys in one mapping");
        b->key_line = line_of(&event->start_mark);
        b->key_column = column_of(&event->start_mark);
        const struct config_node *first = config_child(mapping, text, size);
        b->key_duplicate = first != NULL;
        if (first != NULL)
            ft_find(b->findings, b->key_line, b->key_column, "duplicate key '%s', first given on line %u",
                    config_show(shown, text, size), first->key_line);
        b->key = copy_text(text, size);
        return b->key != NULL ? FT_OK : FT_ERR_NOMEM;
    }
    if ((st = add_node(b, event, CONFIG_SCALAR, &node)) != FT_OK)
        return st;
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->size = size;
    node->text = copy_text(text, size);
    return node->text != NULL ? FT_OK : FT_ERR_NOMEM;
}

static enum ft_status
on_container(struct builder *b, const yaml_event_t *event, enum config_kind kind, const yaml_char_t *anchor,
             const yaml_char_t *tag)
{
    struct config_node *node;
    enum ft_status st;

    if (anchor != NULL)
        return refuse(b, event,
                      "an anchor (&), expected a plain value: anchors and aliases are not accepted");
    if (tag != NULL)
        return refuse(b, event, "a tag (!), expected a plain value: tags are not accepted");
    if (key_expected(b))
        return refuse(b, event, "a list or mapping as a key, expected a name");
    if (b->depth == FT_CONFIG_DEPTH_MAX)
        return refuse(b, event, "nested too deeply for a configuration file");
    if ((st = add_node(b, event, kind, &node)) != FT_OK)
        return st;
    b->open[b->depth++] = node;
    return FT_OK;
}

static enum ft_status
on_event(struct builder *b, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return on_scalar(b, event);
    case YAML_MAPPING_START_EVENT:
        return on_container(b, event, CONFIG_MAPPING, event->data.mapping_start.anchor,
                            event->data.mapping_start.tag);
    case YAML_SEQUENCE_START_EVENT:
        return on_container(b, event, CONFIG_SEQUENCE, event->data.sequence_start.anchor,
                            event->data.sequence_start.tag);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        b->depth--; /* libyaml pairs starts and ends */
        return FT_OK;
    case YAML_ALIAS_EVENT:
        return refuse(b, event, "an alias (*), expected a plain value: anchors and aliases are not accepted");
    default:
        return FT_OK;
    }
}

/* libyaml refuses most of this too, but names a byte offset; NUL would end its idea of a line. */
static enum ft_status
check_bytes(struct ft_bytes yaml, struct ft_findings *findings)
{
    uint32_t line = 1, column = 1;

    if (yaml.size > FT_CONFIG_BYTES_MAX) {
        ft_find(findings, 0, 0, "%zu bytes, expected at most %zu", yaml.size, FT_CONFIG_BYTES_MAX);
        return FT_ERR_CONFIG;
    }
    for (size_t i = 0; i < yaml.size; i++) {
        const uint8_t c = yaml.data[i];
        if ((c < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7f) {
            ft_find(findings, line, column, "byte 0x%02x, expected text in UTF-8", c);
            return FT_ERR_CONFIG;
        }
        if (c == '\n') {
            line++;
            column = 1;
        } else if ((c & 0xc0) != 0x80) {
            column++;
        }
    }
    return FT_OK;
}

static enum ft_status
parser_failed(struct builder *b, const yaml_parser_t *parser)
{
    const char *problem = parser->problem != NULL ? parser->problem : "unreadable";
    if (parser->error == YAML_MEMORY_ERROR)
        return FT_ERR_NOMEM;
    if (parser->error == YAML_READER_ERROR)
        ft_find(b->findings, 0, 0, "not UTF-8 at byte %zu (%s), expected text in UTF-8",
                parser->problem_offset, problem);
    else if (parser->context != NULL)
        ft_find(b->findings, line_of(&parser->problem_mark), column_of(&parser->problem_mark),
                "not valid YAML: %s, %s that began on line %u", problem, parser->context,
                line_of(&parser->context_mark));
    else
        ft_find(b->findings, line_of(&parser->problem_mark), column_of(&parser->problem_mark),
                "not valid YAML: %s", problem);
    return FT_ERR_CONFIG;
}

enum ft_status
ft_config_open(struct ft_bytes yaml, struct ft_findings *findings, struct ft_config **out)
{
    enum ft_status st;
    struct builder b = { .findings = findings };
    yaml_parser_t parser;
    yaml_event_t event;
    bool parsing = false, done = false;

    *out = NULL;
    FT_TRY(check_bytes(yaml, findings));
    if ((b.config = ft_calloc(1, sizeof *b.config)) == NULL || !yaml_parser_initialize(&parser)) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    parsing = true;
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, yaml.size > 0 ? yaml.data : (const uint8_t *)"", yaml.size);
    while (!done) {
        if (!yaml_parser_parse(&parser, &event)) {
            st = parser_failed(&b, &parser);
            goto out;
        }
        done = event.type == YAML_STREAM_END_EVENT;
        st = on_event(&b, &event);
        yaml_event_delete(&event);
        if (st != FT_OK)
            goto out;
    }
    if (b.config->root == NULL) {
        ft_find(findings, 1, 1, "an empty file, expected a mapping of keys");
        st = FT_ERR_CONFIG;
        goto out;
    }
    *out = b.config;
    b.config = NULL;
out:
    if (parsing)
        yaml_parser_delete(&parser);
    ft_free(b.key);
    ft_config_close(b.config);
    return st;
}

void
ft_config_close(struct ft_config *config)
{
    if (config == NULL)
        return;
    while (config->newest != NULL) {
        struct config_node *node = config->newest;
        config->newest = node->older;
        ft_free(node->key);
        ft_free(node->text);
        ft_free(node);
    }
    ft_free(config);
}

bool
ft_config_where(const struct ft_config *config, const char *path, uint32_t *line, uint32_t *column)
{
    const struct config_node *node = config != NULL ? config->root : NULL;

    *line = *column = 0;
    if (node == NULL)
        return false;
    *line = node->line;
    *column = node->column;
    while (*path != '\0') {
        const struct config_node *next;
        if (*path == '[') {
            size_t index = 0;
            for (path++; *path >= '0' && *path <= '9'; path++)
                index = index * 10 + (size_t)(*path - '0');
            path += *path == ']';
            next = node->kind == CONFIG_SEQUENCE ? node->first : NULL;
            while (next != NULL && index-- > 0)
                next = next->next;
        } else {
            path += *path == '.';
            size_t size = strcspn(path, ".[");
            next = config_child(node, path, size);
            path += size;
        }
        if (next == NULL)
            return false;
        node = next;
        *line = node->key != NULL ? node->key_line : node->line;
        *column = node->key != NULL ? node->key_column : node->column;
    }
    return true;
}
