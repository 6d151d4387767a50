#include "client/vault/ledger/ledger.h"

#include "common/base/alloc.h"
#include "common/base/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct posix_file {
    int fd; /* -1 until open */
    char path[];
};

static enum ft_status
failed(struct ft_error *err, int errnum, const char *path, const char *what)
{
    const enum ft_status st = ft_status_of_errno(errnum) == FT_ERR_FULL ? FT_ERR_FULL : FT_ERR_IO;
    return ft_fail(err, st, "LEDGER_IO: %s: cannot %s: %s", path, what, strerror(errnum));
}

/* A new name is durable once its folder is. */
static enum ft_status
sync_folder(const char *path, struct ft_error *err)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL ? ft_strdup(".") : ft_asprintf("%.*s", (int)(slash - path + 1), path);
    enum ft_status st = FT_OK;

    if (folder == NULL)
        return FT_ERR_NOMEM;
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        st = failed(err, errno, folder, "sync the folder");
    if (fd >= 0)
        (void)close(fd);
    ft_free(folder);
    return st;
}

static enum ft_status
file_open(void *ctx, struct ft_error *err)
{
    struct posix_file *f = ctx;
    struct stat s;

    f->fd = open(f->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (f->fd < 0)
        return failed(err, errno, f->path, "open");
    if (fstat(f->fd, &s) != 0)
        return failed(err, errno, f->path, "look at");
    if (!S_ISREG(s.st_mode) || s.st_uid != geteuid() || (s.st_mode & 077) != 0)
        return ft_fail(err, FT_ERR_VERIFY, "LEDGER_CORRUPT: %s: not a file of this user with mode 0600", f->path);
    if (flock(f->fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK
                   ? ft_fail(err, FT_ERR_LATER, "LEDGER_BUSY: %s: another process has the privacy ledger", f->path)
                   : failed(err, errno, f->path, "lock");
    return sync_folder(f->path, err);
}

static enum ft_status
file_read(void *ctx, struct ft_buf *out, struct ft_error *err)
{
    struct posix_file *f = ctx;
    struct stat s;
    enum ft_status st;

    if (fstat(f->fd, &s) != 0)
        return failed(err, errno, f->path, "look at");
    if ((uint64_t)s.st_size > FT_LEDGER_SIZE_MAX)
        return ft_fail(err, FT_ERR_LIMIT, "LEDGER_IO: %s: larger than any ledger", f->path);
    const size_t size = (size_t)s.st_size;
    FT_TRY(ft_buf_reserve(out, size + 1));
    for (size_t at = 0; at < size;) {
        const ssize_t n = pread(f->fd, out->data + at, size - at, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return failed(err, n < 0 ? errno : EIO, f->path, "read");
        at += (size_t)n;
        out->size = at;
    }
out:
    return st;
}

static enum ft_status
file_append(void *ctx, uint64_t offset, struct ft_bytes bytes)
{
    const struct posix_file *f = ctx;
    for (size_t at = 0; at < bytes.size;) {
        const ssize_t n = pwrite(f->fd, bytes.data + at, bytes.size - at, (off_t)(offset + at));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? ft_status_of_errno(errno) : FT_ERR_FULL;
        at += (size_t)n;
    }
    return FT_OK;
}

static enum ft_status
file_truncate(void *ctx, uint64_t size)
{
    const struct posix_file *f = ctx;
    return ftruncate(f->fd, (off_t)size) == 0 ? FT_OK : ft_status_of_errno(errno);
}

static enum ft_status
file_sync(void *ctx)
{
    const struct posix_file *f = ctx;
    return fdatasync(f->fd) == 0 ? FT_OK : ft_status_of_errno(errno);
}

static void
file_close(void *ctx)
{
    struct posix_file *f = ctx;
    if (f->fd >= 0)
        (void)close(f->fd);
    ft_free(f);
}

static const struct ft_ledger_file_calls calls = {
    .read = file_read,
    .open = file_open,
    .append = file_append,
    .truncate = file_truncate,
    .sync = file_sync,
    .close = file_close,
};

enum ft_status
ft_ledger_file_posix(const char *path, struct ft_ledger_file *out)
{
    const size_t size = strlen(path) + 1;
    struct posix_file *f = ft_calloc(1, sizeof *f + size);

    if (f == NULL)
        return FT_ERR_NOMEM;
    f->fd = -1;
    memcpy(f->path, path, size);
    *out = (struct ft_ledger_file){ &calls, f };
    return FT_OK;
}
