/* The files a glob names, and whether they changed since they were read. */
#ifndef FT_SOURCE_FILES_H
#define FT_SOURCE_FILES_H

#include "common/base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ft_source_file {
    char *path;
    uint64_t device, inode, size;
    int64_t modified_ns, changed_ns;
    uint8_t hash[32]; /* BLAKE2b-256 of the content, once it was read */
    bool duplicate;   /* same content as an earlier file */
};

struct ft_source_files {
    struct ft_source_file *list; /* by path */
    size_t count;
};

/* What the glob matches now, with sizes and times; no content is read. A relative pattern is under base_dir.
 * Errors: NOTFOUND (nothing matches), FORMAT (a match is no regular file), LIMIT, IO, NOMEM. */
FT_NODISCARD enum ft_status ft_source_files_list(const char *base_dir, const char *pattern,
                                                 struct ft_source_files *out, struct ft_error *err);
void ft_source_files_clear(struct ft_source_files *files);

/* Hash a file's content. Errors: NOTFOUND, IO. */
FT_NODISCARD enum ft_status ft_source_file_hash(const char *path, uint8_t hash[32], struct ft_error *err);

/* True when both lists name the same files with the same sizes and times. */
bool ft_source_files_same(const struct ft_source_files *a, const struct ft_source_files *b);

#endif
