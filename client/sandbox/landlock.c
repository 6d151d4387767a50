/*
 * Landlock by its raw system calls: the C library has no wrappers, and headers older than the kernel lack the
 * newer rights. Each ABI level handles everything it knows; what a level does not know stays as it was.
 * Source: Documentation/userspace-api/landlock.rst of the Linux kernel.
 */
#include "client/sandbox/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule       445
#define SYS_landlock_restrict_self  446
#endif

#define CREATE_VERSION 1u
enum { RULE_PATH_BENEATH = 1, RULE_NET_PORT = 2 };

#define FS_EXECUTE      (1ULL << 0)
#define FS_WRITE_FILE   (1ULL << 1)
#define FS_READ_FILE    (1ULL << 2)
#define FS_READ_DIR     (1ULL << 3)
#define FS_REMOVE_DIR   (1ULL << 4)
#define FS_REMOVE_FILE  (1ULL << 5)
#define FS_MAKE_DIR     (1ULL << 7)
#define FS_MAKE_REG     (1ULL << 8)
#define FS_ALL_V1       ((1ULL << 13) - 1)
#define FS_REFER        (1ULL << 13) /* ABI 2 */
#define FS_TRUNCATE     (1ULL << 14) /* ABI 3 */
#define FS_IOCTL_DEV    (1ULL << 15) /* ABI 5 */
#define NET_BIND_TCP    (1ULL << 0)  /* ABI 4 */
#define NET_CONNECT_TCP (1ULL << 1)
/* ABI 6. Its scope for signals is left alone: kill is not on the system call list anyway, and the kernel
 * would hold back the signal that ends the courier when the vault dies (PR_SET_PDEATHSIG) too. */
#define SCOPE_ABSTRACT_UNIX (1ULL << 0)

#define FS_READ      (FS_READ_FILE | FS_READ_DIR)
#define FS_CHANGE    (FS_WRITE_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG | FS_TRUNCATE)
#define FS_OF_A_FILE (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)

struct ruleset_attr {
    uint64_t fs, net, scoped;
};
struct __attribute__((packed)) path_beneath_attr {
    uint64_t allowed;
    int32_t parent_fd;
};
struct net_port_attr {
    uint64_t allowed, port;
};

int
ft_landlock_abi(void)
{
    const long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_VERSION);
    return abi < 0 ? 0 : (int)abi;
}

/* Allow one path. A file can't carry the rights of a folder. */
static enum ft_status
allow_path(int ruleset, uint64_t handled, const struct ft_confine_path *p, struct ft_error *err)
{
    struct path_beneath_attr attr = { .allowed = FS_READ, .parent_fd = -1 };
    struct stat sb;
    enum ft_status st = FT_OK;

    attr.parent_fd = open(p->path, O_PATH | O_CLOEXEC);
    if (attr.parent_fd < 0) {
        if (p->optional && (errno == ENOENT || errno == EACCES))
            return FT_OK;
        return ft_fail(err, errno == ENOENT ? FT_ERR_NOTFOUND : FT_ERR_INTERNAL, "sandbox: %s: %s", p->path,
                       strerror(errno));
    }
    if (p->write)
        attr.allowed |= FS_CHANGE;
    if (fstat(attr.parent_fd, &sb) != 0 || !S_ISDIR(sb.st_mode))
        attr.allowed &= FS_OF_A_FILE;
    attr.allowed &= handled;
    if (syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &attr, 0) != 0)
        st = ft_fail(err, FT_ERR_INTERNAL, "sandbox: landlock_add_rule(%s): %s", p->path, strerror(errno));
    close(attr.parent_fd);
    return st;
}

enum ft_status
ft_confine_to_paths(const struct ft_confine_paths *paths, struct ft_error *err)
{
    const int abi = ft_landlock_abi();
    struct ruleset_attr attr = { .fs = FS_ALL_V1 };
    size_t attr_size = sizeof attr.fs;
    enum ft_status st = FT_OK;
    int ruleset;

    if (abi < 1)
        return ft_fail(err, FT_ERR_STATE, "sandbox: this kernel has no Landlock");
    if (abi >= 2)
        attr.fs |= FS_REFER;
    if (abi >= 3)
        attr.fs |= FS_TRUNCATE;
    if (abi >= 4) {
        attr_size = 2 * sizeof attr.fs;
        attr.net = paths->tcp_free ? 0 : NET_CONNECT_TCP | (paths->tcp_port_count == 0 ? NET_BIND_TCP : 0);
    }
    if (abi >= 5)
        attr.fs |= FS_IOCTL_DEV;
    if (abi >= 6) {
        attr_size = sizeof attr;
        attr.scoped = SCOPE_ABSTRACT_UNIX;
    }
    ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, attr_size, 0);
    if (ruleset < 0)
        return ft_fail(err, FT_ERR_INTERNAL, "sandbox: landlock_create_ruleset: %s", strerror(errno));
    for (size_t i = 0; i < paths->count; i++)
        FT_TRY(allow_path(ruleset, attr.fs, &paths->list[i], err));
    for (size_t i = 0; i < paths->tcp_port_count && attr.net != 0; i++) {
        const struct net_port_attr port = { .allowed = NET_CONNECT_TCP, .port = paths->tcp_ports[i] };
        if (syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &port, 0) != 0) {
            /* A kernel without TCP knows the level but not the rule; then there is nothing to connect to. */
            if (errno == EAFNOSUPPORT)
                break;
            st = ft_fail(err, FT_ERR_INTERNAL, "sandbox: landlock_add_rule(port): %s", strerror(errno));
            goto out;
        }
    }
    if (syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        st = ft_fail(err, FT_ERR_INTERNAL, "sandbox: landlock_restrict_self: %s", strerror(errno));
out:
    close(ruleset);
    return st;
}
