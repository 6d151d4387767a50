/*
 * The vault's confinement. Once inside, the process
 *   - has no network: no socket of any family can be made, bound or connected, and none can be handed to it,
 *     because it may not receive descriptors over the socket pair either;
 *   - starts no process and no thread, runs no other program, makes no memory executable;
 *   - opens files below the state folder (read, write), the folders of its data and its own configuration
 *     (read), and nothing else (Landlock);
 *   - cannot be traced, leaves no core file, has no capability.
 *
 * Open and connect what you need before. Where the kernel has no Landlock (before 5.13, or switched off) the
 * file rule is the only one missing: the vault is the owner of the data in any case, so it runs, and `doctor`
 * warns.
 */
#ifndef FT_VAULT_SANDBOX_H
#define FT_VAULT_SANDBOX_H

#include "common/base/status.h"
#include <stdbool.h>
#include <stddef.h>

struct ft_vault_sandbox {
    const char *state_dir;
    const char *const *read_paths; /* data folders, client.yaml, policy.yaml, consent file */
    size_t read_path_count;
};

/* Enter it. *landlock tells whether the file rule is in force. Errors: NOTFOUND (a path), INTERNAL; the
 * process must end then, since part of it may be in force. */
FT_NODISCARD enum ft_status ft_vault_sandbox_enter(const struct ft_vault_sandbox *params, bool *landlock,
                                                   struct ft_error *err);

#endif
