/*
 * Strict configuration: YAML read against a table of fields into a plain struct.
 *
 * An unknown key, a duplicate key, a wrong type, a value out of range or a missing key is a finding with its
 * line and column, what was found and what was expected; all findings of a file are listed at once. Hostile
 * YAML is bounded: at most FT_CONFIG_BYTES_MAX bytes, FT_CONFIG_NODES_MAX nodes and FT_CONFIG_DEPTH_MAX
 * levels, one document, no anchors, aliases or tags, no NUL or other control byte, UTF-8 only.
 *
 * Why libyaml and not libcyaml: libcyaml 1.3.1 was tried. It stops at the first error, takes the position
 * from the event after the fault (a missing key is reported on its neighbour), knows no ranges, reads "nan"
 * and "0x10" as numbers, and keeps no positions for the checks that come after parsing (`min` above `max`,
 * contradictory windows, `policy explain`). So libyaml's events make a small tree with positions, and the
 * tables below read it.
 *
 * A schema is a table of struct ft_config_field ended by FT_CONFIG_END. Optional fields keep what the caller
 * put in the struct before the call. Text, lists and dictionaries are owned by the struct: ft_config_clear.
 */
#ifndef FT_BASE_CONFIG_H
#define FT_BASE_CONFIG_H

#include "common/base/buf.h"
#include "common/base/findings.h"

#define FT_CONFIG_BYTES_MAX ((size_t)1 << 20)
#define FT_CONFIG_NODES_MAX 65536
#define FT_CONFIG_DEPTH_MAX 12

enum ft_config_type {
    FT_CONFIG_TEXT,     /* char *; at most `most` bytes, not empty unless FT_CONFIG_EMPTY_OK */
    FT_CONFIG_CHOICE,   /* uint32_t (or an enum): the value of one of `choices` */
    FT_CONFIG_UINT32,   /* decimal digits, least .. most */
    FT_CONFIG_UINT64,   /* the same */
    FT_CONFIG_REAL,     /* double, finite, min .. max */
    FT_CONFIG_BOOL,     /* bool: true or false and nothing else */
    FT_CONFIG_DURATION, /* uint64_t milliseconds, least .. most: digits and one of ms, s, m, h, d */
    FT_CONFIG_MAP,      /* a nested struct at offset, read by `fields` */
    FT_CONFIG_LIST,     /* array of `item`s; pointer at offset, uint32_t count at count_offset */
    FT_CONFIG_DICT, /* as LIST, from a mapping whose keys are the user's; the key is a char * at key_offset */
};

enum {
    FT_CONFIG_REQUIRED = 1,
    FT_CONFIG_PRIVATE = 2,  /* the value may be personal data or a secret: never echoed in a finding */
    FT_CONFIG_EMPTY_OK = 4, /* TEXT: may be ""; LIST, DICT: may have no entry */
    FT_CONFIG_INLINE = 8,   /* LIST of numbers: the array lies in the struct, `most` entries long */
};

struct ft_config_choice {
    const char *text; /* NULL ends the table */
    uint32_t value;
};

/* NULL when the text is good, else what was expected ("a date as YYYY-MM-DD"). */
typedef const char *ft_config_check(const char *text);

struct ft_config_field {
    const char *key;
    enum ft_config_type type;
    unsigned flags;
    size_t offset;
    uint64_t least, most; /* UINT32, UINT64, DURATION (ms): range; TEXT: bytes; LIST, DICT: entries */
    double min, max;      /* REAL */
    const struct ft_config_choice *choices;
    const struct ft_config_field *fields; /* MAP */
    const struct ft_config_field
        *item; /* LIST, DICT: how one element is read; its offset is inside the element */
    size_t item_size, count_offset, key_offset;
    ft_config_check *check;     /* TEXT */
    ft_config_check *key_check; /* DICT */
};

/* FT_CFG(struct, member, KEY, TYPE, ...designated initialisers...) spares the offsetof. */
#define FT_CFG(strukt, member, name, kind, ...)                                                              \
    {                                                                                                        \
        .key = name, .type = FT_CONFIG_##kind, .offset = offsetof(strukt, member), __VA_ARGS__               \
    }
#define FT_CONFIG_END                                                                                        \
    {                                                                                                        \
        .key = NULL                                                                                          \
    }

/* A file's tree. It stays open for as long as positions are wanted. */
struct ft_config;

/* Parse YAML into a tree. `origin` names the file in findings and is copied. *out is NULL unless FT_OK.
 * Errors: CONFIG (the text is no acceptable YAML; findings hold why), NOMEM. */
FT_NODISCARD enum ft_status ft_config_open(struct ft_bytes yaml, struct ft_findings *findings,
                                           struct ft_config **out);

/* Read the tree into `data` by `fields`. Whatever is wrong goes to findings; `data` is then partly filled and
 * must still be cleared. Errors: CONFIG, NOMEM. */
FT_NODISCARD enum ft_status ft_config_read(const struct ft_config *config,
                                           const struct ft_config_field *fields, void *data,
                                           struct ft_findings *findings);

/* Where a key is: path as "cohort.n_min" or "examples.features[3].min". When the path is absent, the nearest
 * parent that exists (true is returned only for an exact hit). */
bool ft_config_where(const struct ft_config *config, const char *path, uint32_t *line, uint32_t *column);

/* Add a finding at a path. */
void ft_config_find(const struct ft_config *config, struct ft_findings *findings, const char *path,
                    const char *fmt, ...) FT_PRINTF(4, 5);

/* A key that must be there only where another one says so: the finding for a missing key, of the table `fields` whose
 * mapping lies at `parent`. Nothing where the mapping itself is missing, which was told. */
void ft_config_need(const struct ft_config *config, struct ft_findings *findings, const char *parent,
                    const struct ft_config_field *fields, const char *key);

void ft_config_close(struct ft_config *config); /* NULL is allowed */

/* Free every text, list and dictionary that `fields` name in `data`, and set them to NULL and 0. */
void ft_config_clear(const struct ft_config_field *fields, void *data);

/* open, read and close in one: for files whose positions are not needed afterwards. `findings` and err may be
 * NULL. On error `data` is cleared by `fields`. Errors: CONFIG (every finding that fits in err->text), NOMEM.
 */
FT_NODISCARD enum ft_status ft_config_load(struct ft_bytes yaml, const char *origin,
                                           const struct ft_config_field *fields, void *data,
                                           struct ft_findings *findings, struct ft_error *err);

/* Name a file relative to a folder: *path becomes folder/path unless it is absolute or NULL. Errors: NOMEM.
 */
FT_NODISCARD enum ft_status ft_config_join(const char *folder, char **path);

/* Checks for TEXT fields. */
const char *ft_config_is_date(const char *text);      /* YYYY-MM-DD, a day that exists */
const char *ft_config_is_name(const char *text);      /* [a-z0-9_-]{1,48} */
const char *ft_config_is_host_port(const char *text); /* host:port, [v6]:port */

#endif
