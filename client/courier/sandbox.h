/*
 * The courier's confinement. Once inside, the process
 *   - opens no file of the shop: not the data, the state folder, any key, the policy. It is given its TLS
 *     certificate and key as bytes before; what is left to open is what name resolution reads (Landlock);
 *   - connects over IPv4 and IPv6 only, by TCP only to the aggregator's port (and DNS over TCP) where the
 * kernel can tell ports apart (Landlock ABI 4) and no proxy is configured; it never listens or accepts;
 *   - may start threads, but no process and no other program; no memory becomes executable;
 *   - cannot be traced, leaves no core file, has no capability.
 *
 * Where the kernel has no Landlock, opening files is switched off altogether by the system call filter: an
 * aggregator named by address works, one named by a host name does not, and `doctor` says so. That is the
 * closed way to fail.
 */
#ifndef FT_COURIER_SANDBOX_H
#define FT_COURIER_SANDBOX_H

#include "common/base/status.h"
#include <stdbool.h>
#include <stdint.h>

struct ft_courier_sandbox {
    uint16_t port; /* of the aggregator */
    bool proxied;  /* a proxy is configured, whose port is not known here */
};

/* Enter it, before any thread exists. Errors: INTERNAL; the process must end then. */
FT_NODISCARD enum ft_status ft_courier_sandbox_enter(const struct ft_courier_sandbox *params, bool *landlock,
                                                     struct ft_error *err);

#endif
