#include "common/base/file.h"
#include "common/base/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum ft_status
ft_status_of_errno(int errnum)
{
    switch (errnum) {
    case ENOSPC:
    case EDQUOT:
        return FT_ERR_FULL;
    case ENOENT:
    case ENOTDIR:
        return FT_ERR_NOTFOUND;
    case ENOMEM:
        return FT_ERR_NOMEM;
    case EEXIST:
        return FT_ERR_DUPLICATE;
    default:
        return FT_ERR_IO;
    }
}

static enum ft_status
fail_errno(struct ft_error *err, const char *what, const char *path)
{
    const int errnum = errno;
    return ft_fail(err, ft_status_of_errno(errnum), "%s: %s: %s", path, what, strerror(errnum));
}

enum ft_status
ft_file_read(const char *path, size_t limit, struct ft_buf *out, struct ft_error *err)
{
    enum ft_status st = FT_OK;
    struct ft_buf content = { 0 };
    struct stat info;
    ssize_t got;
    int fd;

    *out = content;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return fail_errno(err, "cannot open", path);
    if (fstat(fd, &info) != 0) {
        st = fail_errno(err, "cannot stat", path);
        goto out;
    }
    if (!S_ISREG(info.st_mode)) {
        st = ft_fail(err, FT_ERR_FORMAT, "%s: not a regular file", path);
        goto out;
    }
    FT_TRY(ft_buf_reserve(&content, (size_t)info.st_size < limit ? (size_t)info.st_size + 1 : limit + 1));
    for (;;) {
        FT_TRY(ft_buf_reserve(&content, 1));
        got = read(fd, content.data + content.size, content.capacity - content.size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            st = fail_errno(err, "cannot read", path);
            goto out;
        }
        if (got == 0)
            break;
        content.size += (size_t)got;
        if (content.size > limit) {
            st = ft_fail(err, FT_ERR_LIMIT, "%s: larger than the limit of %zu bytes", path, limit);
            goto out;
        }
    }
    FT_TRY(ft_buf_u8(&content, 0)); /* a terminator behind the end, for those who read text */
    content.size--;
    *out = content;
    content = (struct ft_buf){ 0 };
out:
    close(fd);
    ft_buf_clear(&content);
    return st;
}

static enum ft_status
sync_folder_of(const char *path, struct ft_error *err)
{
    char copy[PATH_MAX];
    int fd, rc;

    snprintf(copy, sizeof copy, "%s", path);
    fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(err, "cannot open the folder of", path);
    rc = fsync(fd);
    close(fd);
    return rc == 0 ? FT_OK : fail_errno(err, "cannot sync the folder of", path);
}

static enum ft_status
write_whole(const char *path, struct ft_bytes bytes, mode_t mode, bool replace, struct ft_error *err)
{
    enum ft_status st = FT_OK;
    char temporary[PATH_MAX];
    int fd;

    if (snprintf(temporary, sizeof temporary, "%s.XXXXXX", path) >= (int)sizeof temporary)
        return ft_fail(err, FT_ERR_LIMIT, "%s: path too long", path);
    fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return fail_errno(err, "cannot create a file beside", path);
    if (fchmod(fd, mode) != 0) {
        st = fail_errno(err, "cannot set the mode of", path);
        goto out;
    }
    while (bytes.size > 0) {
        ssize_t put = write(fd, bytes.data, bytes.size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0) {
            st = fail_errno(err, "cannot write", path);
            goto out;
        }
        bytes.data += put;
        bytes.size -= (size_t)put;
    }
    if (fsync(fd) != 0) {
        st = fail_errno(err, "cannot sync", path);
        goto out;
    }
    if ((replace ? rename(temporary, path) : link(temporary, path)) != 0) {
        st = fail_errno(err, replace ? "cannot replace" : "cannot create", path);
        goto out;
    }
    if (!replace)
        (void)unlink(temporary);
    temporary[0] = '\0';
    st = sync_folder_of(path, err);
out:
    close(fd);
    if (temporary[0] != '\0')
        (void)unlink(temporary);
    return st;
}

enum ft_status
ft_file_write(const char *path, struct ft_bytes bytes, mode_t mode, struct ft_error *err)
{
    return write_whole(path, bytes, mode, true, err);
}

enum ft_status
ft_file_write_new(const char *path, struct ft_bytes bytes, mode_t mode, struct ft_error *err)
{
    return write_whole(path, bytes, mode, false, err);
}

enum ft_status
ft_dir_make(const char *path, mode_t mode, struct ft_error *err)
{
    char copy[PATH_MAX];
    size_t size = strlen(path);

    if (size == 0 || size >= sizeof copy)
        return ft_fail(err, FT_ERR_ARGUMENT, "folder name has %zu bytes", size);
    memcpy(copy, path, size + 1);
    for (char *p = copy + 1; *p != '\0'; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        if (mkdir(copy, mode) != 0 && errno != EEXIST)
            return fail_errno(err, "cannot make folder", copy);
        *p = '/';
    }
    if (mkdir(copy, mode) != 0 && errno != EEXIST)
        return fail_errno(err, "cannot make folder", copy);
    return FT_OK;
}
