#include "client/vault/examples_internal.h"
#include "common/base/alloc.h"

#include <sodium.h>
#include <string.h>

static struct id_count *
find(struct id_count *slots, size_t capacity, const uint8_t id[16])
{
    size_t at;
    memcpy(&at, id, sizeof at); /* a hash already */
    for (at &= capacity - 1; slots[at].used; at = (at + 1) & (capacity - 1))
        if (memcmp(slots[at].id, id, 16) == 0)
            break;
    return &slots[at];
}

static bool
grow(struct id_counts *ids)
{
    const size_t capacity = ids->capacity ? ids->capacity * 2 : 256;
    struct id_count *slots = ft_calloc(capacity, sizeof *slots);
    if (slots == NULL)
        return false;
    for (size_t i = 0; i < ids->capacity; i++)
        if (ids->slots[i].used)
            *find(slots, capacity, ids->slots[i].id) = ids->slots[i];
    ft_free(ids->slots);
    ids->slots = slots;
    ids->capacity = capacity;
    return true;
}

struct id_count *
id_counts_add(struct id_counts *ids, const char *text, size_t size)
{
    uint8_t id[16];
    if (ids->count * 2 >= ids->capacity && !grow(ids))
        return NULL;
    crypto_generichash(id, sizeof id, (const unsigned char *)text, size, NULL, 0);
    struct id_count *entry = find(ids->slots, ids->capacity, id);
    if (!entry->used) {
        *entry = (struct id_count){ .used = true };
        memcpy(entry->id, id, sizeof id);
        ids->count++;
    }
    return entry;
}

struct id_count *
id_counts_find(struct id_counts *ids, const char *text, size_t size)
{
    uint8_t id[16];
    if (ids->count == 0)
        return NULL;
    crypto_generichash(id, sizeof id, (const unsigned char *)text, size, NULL, 0);
    struct id_count *entry = find(ids->slots, ids->capacity, id);
    return entry->used ? entry : NULL;
}

void
id_counts_clear(struct id_counts *ids)
{
    if (ids->slots != NULL)
        sodium_memzero(ids->slots, ids->capacity * sizeof *ids->slots);
    ft_free(ids->slots);
    *ids = (struct id_counts){ 0 };
}
