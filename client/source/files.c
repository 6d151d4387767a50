#include "client/source/files.h"
#include "client/source/source.h"
#include "common/base/alloc.h"
#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* base_dir/pattern, with what glob(3) would read as a pattern in base_dir escaped. */
static char *
full_pattern(const char *base_dir, const char *pattern)
{
    struct ft_buf text = { 0 };
    char *joined = NULL;
    enum ft_status st = FT_OK;

    if (pattern[0] == '/' || base_dir == NULL || base_dir[0] == '\0')
        return ft_strdup(pattern);
    for (const char *p = base_dir; *p != '\0' && st == FT_OK; p++) {
        if (strchr("*?[]\\", *p) != NULL)
            st = ft_buf_u8(&text, '\\');
        if (st == FT_OK)
            st = ft_buf_u8(&text, (uint8_t)*p);
    }
    if (st == FT_OK)
        st = ft_buf_u8(&text, 0);
    if (st == FT_OK)
        joined = ft_asprintf("%s/%s", (const char *)text.data, pattern);
    ft_buf_clear(&text);
    return joined;
}

static enum ft_status
file_init(struct ft_source_file *file, const char *path, struct ft_error *err)
{
    struct stat info;
    if (stat(path, &info) != 0) {
        const int errnum = errno;
        return ft_fail(err, ft_status_of_errno(errnum), "%s: cannot stat: %s", path, strerror(errnum));
    }
    if (!S_ISREG(info.st_mode))
        return ft_fail(err, FT_ERR_FORMAT, "%s: not a regular file", path);
    file->path = ft_strdup(path);
    if (file->path == NULL)
        return FT_ERR_NOMEM;
    file->device = info.st_dev;
    file->inode = info.st_ino;
    file->size = (uint64_t)info.st_size;
    file->modified_ns = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
    file->changed_ns = (int64_t)info.st_ctim.tv_sec * 1000000000 + info.st_ctim.tv_nsec;
    return FT_OK;
}

enum ft_status
ft_source_files_list(const char *base_dir, const char *pattern, struct ft_source_files *out,
                     struct ft_error *err)
{
    enum ft_status st = FT_OK;
    struct ft_source_files files = { 0 };
    glob_t found = { 0 };
    char *full = full_pattern(base_dir, pattern);

    *out = files;
    if (full == NULL)
        return FT_ERR_NOMEM;
    const int code = glob(full, 0, NULL, &found); /* sorted by name in the C locale */
    if (code == GLOB_NOMATCH) {
        st = ft_fail(err, FT_ERR_NOTFOUND, "no file matches %s", full);
        goto out;
    }
    if (code != 0) {
        st = code == GLOB_NOSPACE ? FT_ERR_NOMEM : ft_fail(err, FT_ERR_IO, "cannot look for files %s", full);
        goto out;
    }
    if (found.gl_pathc > FT_SOURCE_FILES_MAX) {
        st = ft_fail(err, FT_ERR_LIMIT, "%s matches %zu files, more than %d", full, (size_t)found.gl_pathc,
                     FT_SOURCE_FILES_MAX);
        goto out;
    }
    files.list = ft_calloc(found.gl_pathc, sizeof *files.list);
    if (files.list == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    for (; files.count < found.gl_pathc; files.count++)
        FT_TRY(file_init(&files.list[files.count], found.gl_pathv[files.count], err));
    *out = files;
    files = (struct ft_source_files){ 0 };
out:
    ft_source_files_clear(&files);
    globfree(&found);
    ft_free(full);
    return st;
}

void
ft_source_files_clear(struct ft_source_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        ft_free(files->list[i].path);
    ft_free(files->list);
    *files = (struct ft_source_files){ 0 };
}

enum ft_status
ft_source_file_hash(const char *path, uint8_t hash[32], struct ft_error *err)
{
    enum ft_status st = FT_OK;
    crypto_generichash_state state;
    uint8_t *block = NULL;
    ssize_t got;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0) {
        const int errnum = errno;
        return ft_fail(err, ft_status_of_errno(errnum), "%s: cannot open: %s", path, strerror(errnum));
    }
    block = ft_calloc(1, (size_t)64 << 10);
    if (block == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    crypto_generichash_init(&state, NULL, 0, 32);
    while ((got = read(fd, block, (size_t)64 << 10)) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            st = ft_fail(err, FT_ERR_IO, "%s: cannot read: %s", path, strerror(errno));
            goto out;
        }
        crypto_generichash_update(&state, block, (size_t)got);
    }
    crypto_generichash_final(&state, hash, 32);
out:
    ft_free(block);
    close(fd);
    return st;
}

bool
ft_source_files_same(const struct ft_source_files *a, const struct ft_source_files *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        const struct ft_source_file *x = &a->list[i], *y = &b->list[i];
        if (strcmp(x->path, y->path) != 0 || x->device != y->device || x->inode != y->inode ||
            x->size != y->size || x->modified_ns != y->modified_ns || x->changed_ns != y->changed_ns)
            return false;
    }
    return true;
}
