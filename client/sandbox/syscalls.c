#include "client/sandbox/confine.h"

#include <asm/termbits.h>
#include <asm/ioctls.h>
#include <errno.h>
#include <linux/prctl.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>

const char *const ft_confine_common_calls[] = {
    /* open descriptors */
    "read", "readv", "write", "writev", "pread64", "pwrite64", "close", "close_range", "lseek", "fcntl",
    "fstat", "poll", "ppoll", "select", "pselect6", "dup",
    /* memory */
    "munmap", "mremap", "madvise", "brk", "mlock", "mlock2", "munlock", "membarrier",
    /* time and randomness */
    "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "times",
    "getrandom",
    /* itself */
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait", "sigaltstack", "restart_syscall",
    "futex", "set_robust_list", "get_robust_list", "rseq", "sched_yield", "sched_getaffinity", "gettid",
    "getpid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getrusage", "getrlimit", "getcpu",
    "uname", "sysinfo", "exit", "exit_group", "wait4", "waitid", NULL
};

const struct ft_confine_rule ft_confine_common_rules[] = {
    /* Nothing becomes code after the start. */
    { "mmap", 2, FT_CONFINE_MASKED, PROT_EXEC, 0 },
    { "mprotect", 2, FT_CONFINE_MASKED, PROT_EXEC, 0 },
    { "ioctl", 1, FT_CONFINE_EQ, 0, TCGETS }, /* isatty */
    { "prctl", 0, FT_CONFINE_EQ, 0, PR_SET_NAME },
    { "prlimit64", 2, FT_CONFINE_EQ, 0, 0 }, /* reading a limit, not setting one */
};
const size_t ft_confine_common_rule_count =
    sizeof ft_confine_common_rules / sizeof ft_confine_common_rules[0];

const char *const ft_confine_file_calls[] = {
    "open",     "openat", "stat",      "lstat",           "newfstatat", "statx",      "statfs",
    "fstatfs",  "access", "faccessat", "faccessat2",      "readlink",   "readlinkat", "getdents64",
    "getcwd",   "fsync",  "fdatasync", "sync_file_range", "ftruncate",  "fallocate",  "unlink",
    "unlinkat", "rename", "renameat",  "renameat2",       "mkdir",      "mkdirat",    "rmdir",
    "chmod",    "fchmod", "fchmodat",  "fchown",          "umask",      "fadvise64",  "utimensat",
    "flock",    NULL
};

/* What no honest client ever calls: an attempt is an attack and ends the process. */
static const char *const fatal_calls[] = { "ptrace",
                                           "process_vm_readv",
                                           "process_vm_writev",
                                           "process_madvise",
                                           "kcmp",
                                           "pidfd_getfd",
                                           "bpf",
                                           "perf_event_open",
                                           "userfaultfd",
                                           "io_uring_setup",
                                           "io_uring_enter",
                                           "io_uring_register",
                                           "mount",
                                           "umount2",
                                           "move_mount",
                                           "open_tree",
                                           "fsopen",
                                           "fsmount",
                                           "pivot_root",
                                           "chroot",
                                           "setns",
                                           "unshare",
                                           "keyctl",
                                           "add_key",
                                           "request_key",
                                           "init_module",
                                           "finit_module",
                                           "delete_module",
                                           "kexec_load",
                                           "kexec_file_load",
                                           "reboot",
                                           "swapon",
                                           "swapoff",
                                           "open_by_handle_at",
                                           "name_to_handle_at",
                                           "iopl",
                                           "ioperm",
                                           "modify_ldt",
                                           "personality",
                                           "quotactl",
                                           "acct",
                                           "settimeofday",
                                           "clock_settime",
                                           "adjtimex",
                                           "sethostname",
                                           "setdomainname",
                                           "vhangup",
                                           "memfd_create",
                                           "memfd_secret",
                                           NULL };

static enum ft_status
add_names(scmp_filter_ctx filter, uint32_t action, const char *const *names, struct ft_error *err)
{
    for (; names != NULL && *names != NULL; names++) {
        const int nr = seccomp_syscall_resolve_name(*names);
        if (nr < 0) /* unknown here, or only a pseudo number of another architecture */
            continue;
        const int rc = seccomp_rule_add(filter, action, nr, 0);
        if (rc != 0)
            return ft_fail(err, FT_ERR_INTERNAL, "sandbox: seccomp rule for %s: %s", *names, strerror(-rc));
    }
    return FT_OK;
}

static enum ft_status
add_rules(scmp_filter_ctx filter, const struct ft_confine_rule *rules, size_t count, struct ft_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct ft_confine_rule *r = &rules[i];
        const int nr = seccomp_syscall_resolve_name(r->name);
        struct scmp_arg_cmp cmp = { .arg = r->arg };
        if (nr < 0)
            continue;
        if (r->test == FT_CONFINE_EQ) {
            cmp.op = SCMP_CMP_EQ;
            cmp.datum_a = r->value;
        } else {
            cmp.op = SCMP_CMP_MASKED_EQ;
            cmp.datum_a = r->mask;
            cmp.datum_b = r->value;
        }
        const int rc = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, nr, 1, &cmp);
        if (rc != 0)
            return ft_fail(err, FT_ERR_INTERNAL, "sandbox: seccomp rule for %s: %s", r->name, strerror(-rc));
    }
    return FT_OK;
}

bool
ft_seccomp_available(void)
{
    return seccomp_api_get() >= 2;
}

enum ft_status
ft_confine_to_calls(const struct ft_confine_calls *parts, size_t part_count, struct ft_error *err)
{
    enum ft_status st;
    int rc;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (filter == NULL)
        return ft_fail(err, FT_ERR_NOMEM, "sandbox: seccomp_init failed");
    FT_TRY(add_names(filter, SCMP_ACT_KILL_PROCESS, fatal_calls, err));
    for (size_t i = 0; i < part_count; i++) {
        FT_TRY(add_names(filter, SCMP_ACT_ALLOW, parts[i].allow, err));
        FT_TRY(add_rules(filter, parts[i].rules, parts[i].rule_count, err));
        FT_TRY(add_names(filter, SCMP_ACT_ERRNO(ENOSYS), parts[i].absent, err));
    }
    rc = seccomp_load(filter);
    st = rc == 0 ? FT_OK : ft_fail(err, FT_ERR_INTERNAL, "sandbox: seccomp_load: %s", strerror(-rc));
out:
    seccomp_release(filter);
    return st;
}
