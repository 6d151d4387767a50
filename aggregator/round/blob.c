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
    if (blob->place != NULL)
        *blob->place = NULL;
    ft_buf_clear(&blob->bytes);
    ft_free(blob);
}

static bool
is(const struct ft_blob *blob, const uint8_t hash[32])
{
    return blob != NULL && memcmp(blob->hash, hash, 32) == 0;
}

/* One that is in memory, with a reference; NULL when none is. */
static struct ft_blob *
at_hand(struct ft_engine *e, const uint8_t hash[32])
{
    if (is(e->model, hash))
        return engine_blob_ref(e->model);
    if (e->directory != NULL && is(e->directory->blob, hash))
        return engine_blob_ref(e->directory->blob);
    for (size_t i = 0; i < e->task_count; i++)
        if (is(e->tasks[i].blob, hash))
            return engine_blob_ref(e->tasks[i].blob);
    for (size_t i = 0; i < ENGINE_OLD_BLOBS; i++)
        if (is(e->old[i], hash))
            return engine_blob_ref(e->old[i]);
    return NULL;
}

enum ft_status
engine_blob_read(struct ft_engine *e, const uint8_t hash[32], struct ft_blob **out)
{
    enum ft_status st;
    struct ft_buf bytes = { 0 };

    *out = at_hand(e, hash);
    if (*out != NULL)
        return FT_OK;
    st = e->config.store.blob(e->config.store.ctx, hash, &bytes);
    if (st != FT_OK)
        return st;
    *out = engine_blob_new(hash, &bytes);
    ft_buf_clear(&bytes);
    return *out != NULL ? FT_OK : FT_ERR_NOMEM;
}

/* What is not at hand is an older model, say, for a shop that fell behind. However many ask, few are in
 * memory. */
enum ft_status
ft_engine_blob(struct ft_engine *e, const uint8_t hash[32], struct ft_blob **out)
{
    enum ft_status st;
    size_t free = 0;

    *out = at_hand(e, hash);
    if (*out != NULL)
        return FT_OK;
    while (free < ENGINE_OLD_BLOBS && e->old[free] != NULL)
        free++;
    if (free == ENGINE_OLD_BLOBS)
        return FT_ERR_LATER;
    st = engine_blob_read(e, hash, out);
    if (st != FT_OK)
        return st;
    e->old[free] = *out;
    (*out)->place = &e->old[free];
    return FT_OK;
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
