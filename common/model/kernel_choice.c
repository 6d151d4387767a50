/* Which kernels train small batches: one choice a process, made before threads start. */
#include "common/model/kernel/kernel.h"
#include "common/model/model_internal.h"

#include <string.h>

static const struct model_kernel *chosen;
static bool is_chosen;

enum ft_status
ft_model_use_kernel(const char *name, struct ft_error *err)
{
    const bool best = strcmp(name, "auto") == 0, blas = strcmp(name, "blas") == 0;
    const struct model_kernel *kernel = best ? kernel_best() : blas ? NULL : kernel_by_name(name);

    if (kernel == NULL && !best && !blas)
        return ft_fail(err, FT_ERR_ARGUMENT,
                       "no kernel \"%s\" on this processor; auto, plain, avx2, avx512 and blas are known", name);
    chosen = kernel;
    is_chosen = true;
    return FT_OK;
}

const struct model_kernel *
model_kernel_chosen(void)
{
    return is_chosen ? chosen : kernel_best();
}

const char *
ft_model_kernel(void)
{
    const struct model_kernel *kernel = model_kernel_chosen();
    return kernel != NULL ? kernel->name : "blas";
}
