/*
 * The pieces both processes of the client confine themselves with. Every step is one way: nothing here can be
 * undone by the process or by what it runs.
 *
 *   privileges   no core file, not traceable, no new privileges, empty capability sets
 *   paths        Landlock: only the named files and folders can be opened (kernel 5.13 and later)
 *   system calls seccomp: an allow list; what is not listed fails with EPERM, what no honest client would
 * ever try kills the process
 *
 * Applied in that order, before the first byte from outside is read.
 */
#ifndef FT_SANDBOX_CONFINE_H
#define FT_SANDBOX_CONFINE_H

#include "common/base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Landlock's ABI level in this kernel; 0 where there is none. */
int ft_landlock_abi(void);

/* Does the kernel have seccomp filters? */
bool ft_seccomp_available(void);

struct ft_confine_path {
    const char *path;
    bool write;    /* may be written, created in and removed from too */
    bool optional; /* a path that does not exist is left out instead of failing */
};

struct ft_confine_paths {
    const struct ft_confine_path *list;
    size_t count;
    /* TCP ports that may be connected to (ABI 4). No port at all: no TCP. Ignored when tcp_free. */
    const uint16_t *tcp_ports;
    size_t tcp_port_count;
    bool tcp_free; /* leave TCP to the system call filter */
};

/* Errors: INTERNAL (the sentence names the call). */
FT_NODISCARD enum ft_status ft_confine_privileges(struct ft_error *err);

/* Errors: STATE (no Landlock in this kernel; nothing was changed), NOTFOUND (a path that must exist),
 * INTERNAL. */
FT_NODISCARD enum ft_status ft_confine_to_paths(const struct ft_confine_paths *paths, struct ft_error *err);

/* One system call that is allowed only with certain arguments. */
enum ft_confine_test { FT_CONFINE_EQ, FT_CONFINE_MASKED };
struct ft_confine_rule {
    const char *name;
    unsigned arg;
    enum ft_confine_test test; /* EQ: argument == value; MASKED: (argument & mask) == value */
    uint64_t mask;
    uint64_t value;
};

struct ft_confine_calls {
    const char *const *allow; /* names, NULL-terminated; one unknown to this architecture is left out */
    const struct ft_confine_rule *rules;
    size_t rule_count;
    const char *const *absent; /* names that answer ENOSYS, so that libc takes its older way; may be NULL */
};

/* What both processes need: memory, files already open, clocks, signals to itself, leaving. */
extern const char *const ft_confine_common_calls[];
extern const struct ft_confine_rule ft_confine_common_rules[];
extern const size_t ft_confine_common_rule_count;
/* Opening files by name and changing them; access is still Landlock's to give. */
extern const char *const ft_confine_file_calls[];

/* Install one filter made of several parts. Errors: INTERNAL, NOMEM. */
FT_NODISCARD enum ft_status ft_confine_to_calls(const struct ft_confine_calls *parts, size_t part_count,
                                                struct ft_error *err);

#endif
