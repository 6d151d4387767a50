#include "client/courier/sandbox.h"

#include "client/sandbox/confine.h"

#include <asm/ioctls.h>
#include <sched.h>
#include <sys/socket.h>

/* What getaddrinfo and gRPC's resolver read; no folder of the shop is among them. */
static const struct ft_confine_path resolver_files[] = {
    { .path = "/etc/resolv.conf", .optional = true },
    { .path = "/etc/hosts", .optional = true },
    { .path = "/etc/host.conf", .optional = true },
    { .path = "/etc/nsswitch.conf", .optional = true },
    { .path = "/etc/gai.conf", .optional = true },
    { .path = "/etc/services", .optional = true },
    { .path = "/etc/ssl/openssl.cnf", .optional = true },
    { .path = "/run/systemd/resolve", .optional = true }, /* where resolv.conf may point to */
    { .path = "/sys/devices/system/cpu", .optional = true },
};

static const char *const network_calls[] = { "connect",         "bind",
                                             "getsockopt",      "setsockopt",
                                             "getsockname",     "getpeername",
                                             "sendto",          "sendmsg",
                                             "sendmmsg",        "recvfrom",
                                             "recvmsg",         "recvmmsg",
                                             "shutdown",        "eventfd2",
                                             "pipe2",           "epoll_create1",
                                             "epoll_ctl",       "epoll_wait",
                                             "epoll_pwait",     "epoll_pwait2",
                                             "timerfd_create",  "timerfd_settime",
                                             "timerfd_gettime", "set_tid_address",
                                             "alarm",           "sched_getscheduler",
                                             "sched_getparam",  NULL };

static const struct ft_confine_rule network_rules[] = {
    { "socket", 0, FT_CONFINE_EQ, 0, AF_INET },
    { "socket", 0, FT_CONFINE_EQ, 0, AF_INET6 },
    { "clone", 0, FT_CONFINE_MASKED, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM },
    { "ioctl", 1, FT_CONFINE_EQ, 0, FIONREAD },
    { "ioctl", 1, FT_CONFINE_EQ, 0, FIONBIO },
};

/* clone3 takes its flags in memory, out of the filter's sight; without it libc uses clone. */
static const char *const absent_calls[] = { "clone3", NULL };

enum ft_status
ft_courier_sandbox_enter(const struct ft_courier_sandbox *params, bool *landlock, struct ft_error *err)
{
    enum ft_status st;
    const uint16_t ports[] = { params->port, 53 };
    const struct ft_confine_paths paths = {
        .list = resolver_files,
        .count = sizeof resolver_files / sizeof resolver_files[0],
        .tcp_ports = ports,
        .tcp_port_count = 2,
        .tcp_free = params->proxied,
    };
    const struct ft_confine_calls calls[] = {
        { .allow = ft_confine_common_calls,
          .rules = ft_confine_common_rules,
          .rule_count = ft_confine_common_rule_count },
        { .allow = network_calls,
          .rules = network_rules,
          .rule_count = sizeof network_rules / sizeof network_rules[0],
          .absent = absent_calls },
        { .allow = ft_confine_file_calls },
    };

    FT_TRY(ft_confine_privileges(err));
    *landlock = ft_landlock_abi() > 0;
    if (*landlock)
        FT_TRY(ft_confine_to_paths(&paths, err));
    FT_TRY(ft_confine_to_calls(calls, *landlock ? 3 : 2, err));
out:
    return st;
}
