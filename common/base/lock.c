#include "common/base/lock.h"

#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

long
ft_lock_holder(const char *path)
{
    char text[32] = "";
    long pid = 0;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return 0;
    if (flock(fd, LOCK_SH | LOCK_NB) != 0 && read(fd, text, sizeof text - 1) > 0)
        pid = strtol(text, NULL, 10);
    close(fd);
    return pid > 0 ? pid : 0;
}

enum ft_status
ft_lock_take(const char *path, const char *who, int *fd, struct ft_error *err)
{
    enum ft_status st = FT_OK;

    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*fd < 0)
        return ft_fail(err, ft_status_of_errno(errno), "%s: %s", path, strerror(errno));
    if (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
        const long pid = ft_lock_holder(path);
        st = pid > 0 ? ft_fail(err, FT_ERR_LATER, "%s: %s works on this home, process %ld", path, who, pid)
                     : ft_fail(err, FT_ERR_LATER, "%s: %s works on this home", path, who);
    } else if (ftruncate(*fd, 0) != 0) {
        st = ft_fail(err, ft_status_of_errno(errno), "%s: %s", path, strerror(errno));
    }
    if (st != FT_OK) {
        close(*fd);
        *fd = -1;
    }
    return st;
}

enum ft_status
ft_lock_announce(int fd, struct ft_error *err)
{
    if (dprintf(fd, "%ld\n", (long)getpid()) < 0)
        return ft_fail(err, ft_status_of_errno(errno), "lock file: %s", strerror(errno));
    return FT_OK;
}
