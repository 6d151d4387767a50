/* The tree of a configuration file: built by config_tree.c from libyaml's events, read by config_read.c. */
#ifndef FT_BASE_CONFIG_INTERNAL_H
#define FT_BASE_CONFIG_INTERNAL_H

#include "common/base/config.h"

#define CONFIG_KEYS_MAX 1024 /* of one mapping; the check for duplicates is quadratic */

enum config_kind { CONFIG_SCALAR, CONFIG_MAPPING, CONFIG_SEQUENCE };

struct config_node {
    enum config_kind kind;
    uint32_t line, column; /* of the value, 1-based */
    char *text;            /* scalars: terminated, without NUL inside */
    size_t size;
    bool plain;                    /* not in quotes and no block scalar */
    char *key;                     /* in a mapping */
    uint32_t key_line, key_column; /* of the key */
    bool duplicate;                /* its key was there before: reported, and not read */
    struct config_node *first, *last, *next;
    size_t count;
    struct config_node *older; /* every node of the tree in one chain, for close */
};

struct ft_config {
    struct config_node *root;
    struct config_node *newest;
    size_t nodes;
};

/* The value under a key, or NULL. */
const struct config_node *config_child(const struct config_node *mapping, const char *key, size_t key_size);

/* A value as it may be shown to a person: cut, and with odd bytes as '?'. Returns out. */
char *config_show(char out[64], const char *text, size_t size);

#endif
