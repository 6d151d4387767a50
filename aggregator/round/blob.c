#include "aggregator/round/engine_internal.h"
#include "common/base/alloc.h"

#include <string.h>

struct ft_blob *
engine_blob_new(const uint8_t hash[32], struct ft_buf *bytes)
{
    struct ft_blob *blob = ft_calloc(1, sizeof *blob);

    if (blob == NULL)
        return NULL;
    blob->refs = 1;
    memcpy(blob->hash, hash, sizeof blob->hash);
    blob->bytes = *bytes;
    *bytes = (struct ft_buf){ 0 };
    return blob;
}

struct ft_blob *
engine_blob_ref(struct ft_blob *blob)
{
    if (blob != NULL)
        blob->refs++;
    return blob;
}

void
engine_blob_unref(struct ft_blob *blob)
{
    if (blob == NULL || --blob->refs > 0)
        return;
    ft_buf_clear(&blob->bytes);
    ft_free(blob);
}

static bool
is(const struct ft_blob *blob, const uint8_t hash[32])
{
    return blob != NULL && memcmp(blob->hash, hash, 32) == 0;
}

enum ft_status
ft_engine_blob(struct ft_engine *e, const uint8_t hash[32], struct ft_blob **out)
{
    enum ft_status st;
    struct ft_buf bytes = { 0 };

    *out = NULL;
    if (is(e->model, hash))
        *out = engine_blob_ref(e->model);
    else if (e->directory != NULL && is(e->directory->blob, hash))
        *out = engine_blob_ref(e->directory->blob);
    for (size_t i = 0; *out == NULL && i < e->task_count; i++)
        if (is(e->tasks[i].blob, hash))
            *out = engine_blob_ref(e->tasks[i].blob);
    if (*out != NULL)
        return FT_OK;
    /* An older model, say: a shop that fell behind. */
    st = e->config.store.blob(e->config.store.ctx, hash, &bytes);
    if (st != FT_OK)
        return st;
    *out = engine_blob_new(hash, &bytes);
    ft_buf_clear(&bytes);
    return *out != NULL ? FT_OK : FT_ERR_NOMEM;
}

struct ft_bytes
ft_blob_bytes(const struct ft_blob *blob)
{
    return ft_buf_bytes(&blob->bytes);
}

void
ft_engine_blob_release(struct ft_engine *e, struct ft_blob *blob)
{
    (void)e;
    engine_blob_unref(blob);
}

void
ft_engine_sent(struct ft_engine *e, uint64_t size)
{
    if (e->session != NULL)
        e->session->bytes_out += size;
}
