#include "client/vault/sandbox.h"

#include "client/sandbox/confine.h"
#include "common/base/alloc.h"

enum ft_status
ft_vault_sandbox_enter(const struct ft_vault_sandbox *params, bool *landlock, struct ft_error *err)
{
    enum ft_status st;
    struct ft_confine_paths paths = { .count = params->read_path_count + 1 };
    struct ft_confine_path *list = ft_calloc(paths.count, sizeof *list);
    const struct ft_confine_calls calls[] = {
        { .allow = ft_confine_common_calls,
          .rules = ft_confine_common_rules,
          .rule_count = ft_confine_common_rule_count },
        { .allow = ft_confine_file_calls },
    };

    if (list == NULL)
        return ft_fail(err, FT_ERR_NOMEM, "sandbox: out of memory");
    list[0] = (struct ft_confine_path){ .path = params->state_dir, .write = true };
    for (size_t i = 0; i < params->read_path_count; i++)
        list[1 + i] = (struct ft_confine_path){ .path = params->read_paths[i] };
    paths.list = list;

    FT_TRY(ft_confine_privileges(err));
    *landlock = ft_landlock_abi() > 0;
    if (*landlock)
        FT_TRY(ft_confine_to_paths(&paths, err));
    FT_TRY(ft_confine_to_calls(calls, sizeof calls / sizeof calls[0], err));
out:
    ft_free(list);
    return st;
}
