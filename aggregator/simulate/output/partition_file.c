#include "aggregator/simulate/output/partition_file.h"
#include "common/base/alloc.h"
#include "common/base/file.h"

#include <string.h>

static enum ft_status
write_name(struct ft_buf *out, const char *name)
{
    enum ft_status st = FT_OK;
    if (name == NULL)
        return FT_OK;
    FT_TRY(ft_buf_u8(out, '"'));
    for (; *name != '\0'; name++) {
        if (*name == '"')
            FT_TRY(ft_buf_u8(out, '"'));
        FT_TRY(ft_buf_u8(out, (uint8_t)*name));
    }
    st = ft_buf_u8(out, '"');
out:
    return st;
}

enum ft_status
ft_sim_write_partition(const char *dir, const struct ft_sim_data *data, const struct ft_sim_clients *clients,
                       bool owners, struct ft_error *err)
{
    const uint32_t labels = data->classes <= SIM_PARTITION_LABELS_MAX ? data->classes : 0;
    uint64_t counts[SIM_PARTITION_LABELS_MAX];
    struct ft_buf file = { 0 };
    char *path = ft_asprintf("%s/partition.csv", dir);
    enum ft_status st = path != NULL ? FT_OK : FT_ERR_NOMEM;

    FT_TRY(st);
    FT_TRY(ft_buf_str(&file, "client,name,rows"));
    for (uint32_t c = 0; c < labels; c++)
        FT_TRY(ft_buf_printf(&file, ",label_%u", c));
    for (uint32_t k = 0; k < clients->count; k++) {
        memset(counts, 0, sizeof counts);
        for (uint64_t i = clients->offsets[k]; labels > 0 && i < clients->offsets[k + 1]; i++)
            counts[(uint32_t)data->train.y[i]]++; /* in range: checked when it was read */
        FT_TRY(ft_buf_printf(&file, "\n%u,", k));
        if (owners && data->owner_names != NULL)
            FT_TRY(write_name(&file, data->owner_names[k]));
        FT_TRY(ft_buf_printf(&file, ",%llu",
                             (unsigned long long)(clients->offsets[k + 1] - clients->offsets[k])));
        for (uint32_t c = 0; c < labels; c++)
            FT_TRY(ft_buf_printf(&file, ",%llu", (unsigned long long)counts[c]));
    }
    FT_TRY(ft_buf_u8(&file, '\n'));
    st = ft_file_write(path, ft_buf_bytes(&file), 0644, err);
out:
    ft_free(path);
    ft_buf_clear(&file);
    return st;
}
