#include "client/sandbox/confine.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum ft_status
ft_confine_privileges(struct ft_error *err)
{
    const struct rlimit none = { 0, 0 };
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3, .pid = 0 };
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

    if (setrlimit(RLIMIT_CORE, &none) != 0)
        return ft_fail(err, FT_ERR_INTERNAL, "sandbox: setrlimit(RLIMIT_CORE): %s", strerror(errno));
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return ft_fail(err, FT_ERR_INTERNAL, "sandbox: prctl(PR_SET_DUMPABLE): %s", strerror(errno));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return ft_fail(err, FT_ERR_INTERNAL, "sandbox: prctl(PR_SET_NO_NEW_PRIVS): %s", strerror(errno));

    /* The bounding set can only be emptied by who holds CAP_SETPCAP; without it there is nothing to gain. */
    for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
        (void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    memset(data, 0, sizeof data);
    if (syscall(SYS_capset, &head, data) != 0)
        return ft_fail(err, FT_ERR_INTERNAL, "sandbox: capset: %s", strerror(errno));
    return FT_OK;
}
