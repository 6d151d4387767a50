/* Reading policy.yaml from disk, and who could change it there. */
#include "client/policy/policy.h"

#include "common/base/config.h"
#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum ft_policy_guard
ft_policy_guard_of(enum ft_policy_owner owner, uid_t service_uid, uid_t file_uid, mode_t file_mode,
                   uid_t folder_uid, mode_t folder_mode)
{
    const mode_t others = S_IWGRP | S_IWOTH;
    const bool roots = file_uid == 0 && folder_uid == 0;

    /* In a sticky folder (such as /tmp) others cannot replace a file that is not theirs. */
    if ((file_mode & others) != 0 || ((folder_mode & others) != 0 && (folder_mode & S_ISVTX) == 0))
        return FT_GUARD_WRITABLE;
    if (owner == FT_OWNER_ROOT && !roots)
        return FT_GUARD_OWNER;
    if ((file_uid != 0 && file_uid != service_uid) || (folder_uid != 0 && folder_uid != service_uid))
        return FT_GUARD_OWNER;
    return roots && service_uid != 0 ? FT_GUARD_OK : FT_GUARD_SELF;
}

const char *
ft_policy_guard_text(enum ft_policy_guard guard)
{
    switch (guard) {
    case FT_GUARD_OK:
        return "only its owner can change the policy, and the service cannot";
    case FT_GUARD_SELF:
        return "the service's own user could change the policy";
    case FT_GUARD_WRITABLE:
        return "group or others can write the policy or its folder";
    case FT_GUARD_OWNER:
        return "the policy or its folder belongs to somebody it should not";
    }
    return "unknown";
}

static enum ft_status
read_all(int fd, const char *path, struct ft_buf *out, struct ft_error *err)
{
    enum ft_status st;
    for (;;) {
        ssize_t got;
        FT_TRY(ft_buf_reserve(out, 4096));
        got = read(fd, out->data + out->size, out->capacity - out->size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return ft_fail(err, FT_ERR_IO, "%s: cannot read: %s", path, strerror(errno));
        if (got == 0)
            return FT_OK;
        out->size += (size_t)got;
        if (out->size > FT_CONFIG_BYTES_MAX)
            return ft_fail(err, FT_ERR_LIMIT, "%s: larger than %zu bytes", path, FT_CONFIG_BYTES_MAX);
    }
out:
    return st;
}

enum ft_status
ft_policy_load(const char *path, uid_t service_uid, struct ft_policy_mapping mapping, struct ft_policy *out,
               enum ft_policy_guard *guard, struct ft_findings *findings, struct ft_error *err)
{
    enum ft_status st;
    char folder_name[PATH_MAX], file_name[PATH_MAX];
    struct ft_buf text = { 0 };
    struct stat folder_info, file_info;
    int folder = -1, file = -1;

    *out = (struct ft_policy){ 0 };
    *guard = FT_GUARD_WRITABLE;
    ft_findings_init(findings, path);
    if (strlen(path) >= sizeof folder_name)
        return ft_fail(err, FT_ERR_ARGUMENT, "the policy's path is too long");
    strcpy(folder_name, path);
    strcpy(file_name, path);
    /* The file is opened inside the folder that was looked at, so no rename in between can slip another one
     * in. */
    folder = open(dirname(folder_name), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0)
        file = openat(folder, basename(file_name), O_RDONLY | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (file < 0 || fstat(folder, &folder_info) != 0 || fstat(file, &file_info) != 0) {
        st = ft_fail(err, errno == ELOOP ? FT_ERR_IO : ft_status_of_errno(errno), "%s: cannot open: %s", path,
                     errno == ELOOP ? "it is a symbolic link" : strerror(errno));
        goto out;
    }
    if (!S_ISREG(file_info.st_mode)) {
        st = ft_fail(err, FT_ERR_IO, "%s: not a regular file", path);
        goto out;
    }
    FT_TRY(read_all(file, path, &text, err));
    st = ft_policy_parse(ft_buf_bytes(&text), path, out, findings);
    if (st == FT_OK && mapping.maps != NULL)
        st = ft_policy_check_mapping(out, mapping, findings);
    if (st == FT_ERR_CONFIG)
        st = ft_findings_status(findings, err);
    if (st == FT_OK)
        *guard = ft_policy_guard_of(out->owner, service_uid, file_info.st_uid, file_info.st_mode,
                                    folder_info.st_uid, folder_info.st_mode);
out:
    if (st != FT_OK)
        ft_policy_clear(out);
    if (file >= 0)
        close(file);
    if (folder >= 0)
        close(folder);
    ft_buf_clear(&text);
    return st;
}
