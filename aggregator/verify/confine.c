#include "aggregator/verify/confine.h"

#include <errno.h>
#include <seccomp.h>
#include <stddef.h>

static const char *const calls[] = {
    "read",           "write",        "writev",
    "close",          "lseek",        "fstat",
    "newfstatat",     "fcntl",        "ioctl",
    "mmap",           "munmap",       "mremap",
    "mprotect",       "madvise",      "brk",
    "futex",          "getrandom",    "rt_sigaction",
    "rt_sigprocmask", "rt_sigreturn", "sigaltstack",
    "clock_gettime",  "gettimeofday", "getpid",
    "gettid",         "sched_yield",  "sched_getaffinity",
    "rseq",           "exit",         "exit_group",
    "getrusage",      "sysinfo",      "set_robust_list",
};

enum ft_status
ft_verify_confine(struct ft_error *err)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int failed = filter == NULL ? -ENOMEM : 0;

    for (size_t i = 0; failed == 0 && i < sizeof calls / sizeof *calls; i++) {
        const int number = seccomp_syscall_resolve_name(calls[i]);
        if (number != __NR_SCMP_ERROR)
            failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
    }
    if (failed == 0)
        failed = seccomp_load(filter);
    if (filter != NULL)
        seccomp_release(filter);
    return failed == 0
               ? FT_OK
               : ft_fail(err, FT_ERR_INTERNAL, "this program cannot confine itself (error %d)", -failed);
}
