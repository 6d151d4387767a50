#include "client/vault/store.h"

void
ft_vault_task_clear(struct ft_vault_task *record)
{
    ft_buf_clear(&record->signed_task);
    *record = (struct ft_vault_task){ 0 };
}
