/* Uploads: staged and hashed slot by slot, added to the sum whole or not at all. */
#include "common/base/alloc.h"
#include "common/base/plant.h"
#include "common/secure_sum/server_internal.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "masked words are staged as they come from the wire");

static uint64_t
vector_size(const struct ft_ss_server *s)
{
    return s->codec.words * sizeof *s->sum;
}

enum ft_status
server_slots_open(struct ft_ss_server *s)
{
    s->slots = ft_calloc(s->config.slots, sizeof *s->slots);
    if (s->slots == NULL)
        return FT_ERR_NOMEM;
    for (uint32_t i = 0; i < s->config.slots; i++) {
        pthread_mutex_init(&s->slots[i].lock, NULL);
        s->slots[i].generation = 1; /* a zeroed reference is never valid */
    }
    return FT_OK;
}

/* With the slot's lock held: its owner's references stop working. */
static void
free_slot(struct server_slot *slot)
{
    slot->taken = false;
    slot->generation++;
    slot->received = 0;
}

static void
drop_memory(struct ft_ss_server *s, struct server_slot *slot)
{
    if (slot->words != NULL) {
        sodium_memzero(slot->words, vector_size(s));
        ft_big_pool_give(s->config.pool, slot->words, vector_size(s));
    }
    slot->words = NULL;
    ft_ss_sha256_close(slot->sha);
    slot->sha = NULL;
}

void
server_slots_release(struct ft_ss_server *s)
{
    for (uint32_t i = 0; i < s->config.slots; i++) {
        struct server_slot *slot = &s->slots[i];
        pthread_mutex_lock(&slot->lock);
        free_slot(slot);
        drop_memory(s, slot);
        pthread_mutex_unlock(&slot->lock);
    }
}

void
server_slots_close(struct ft_ss_server *s)
{
    if (s->slots == NULL)
        return;
    server_slots_release(s);
    for (uint32_t i = 0; i < s->config.slots; i++)
        pthread_mutex_destroy(&s->slots[i].lock);
    ft_free(s->slots);
    s->slots = NULL;
}

/* When a taken slot is given up: without progress, or with so little that all slots together would be too
 * slow. */
static uint64_t
slot_end(const struct ft_ss_server *s, const struct server_slot *slot)
{
    const uint64_t fair_ms =
        s->config.slot_idle_ms + s->config.slots * (vector_size(s) / s->config.upload_bytes_per_ms);
    const uint64_t idle = slot->touched + s->config.slot_idle_ms, slow = slot->taken_at + 2 * fair_ms;
    return idle < slow ? idle : slow;
}

void
server_slots_expire(struct ft_ss_server *s)
{
    const uint64_t now = server_now(s);
    for (uint32_t i = 0; i < s->config.slots; i++) {
        struct server_slot *slot = &s->slots[i];
        pthread_mutex_lock(&slot->lock);
        if (slot->taken && now >= slot_end(s, slot)) {
            free_slot(slot);
            s->version++; /* somebody who waits for a slot may have it */
        }
        pthread_mutex_unlock(&slot->lock);
    }
}

uint64_t
server_slots_deadline(const struct ft_ss_server *s)
{
    uint64_t next = UINT64_MAX;
    for (uint32_t i = 0; i < s->config.slots; i++) {
        struct server_slot *slot = &s->slots[i];
        pthread_mutex_lock(&slot->lock);
        if (slot->taken && slot_end(s, slot) < next)
            next = slot_end(s, slot);
        pthread_mutex_unlock(&slot->lock);
    }
    return next;
}

uint32_t
server_slots_used(const struct ft_ss_server *s)
{
    uint32_t used = 0;
    for (uint32_t i = 0; i < s->config.slots; i++) {
        pthread_mutex_lock(&s->slots[i].lock);
        used += s->slots[i].taken;
        pthread_mutex_unlock(&s->slots[i].lock);
    }
    return used;
}

/* May this client's vector still be taken? */
static enum ft_status
upload_awaited(const struct ft_ss_server *s, uint32_t client)
{
    if (s->t_known < 3)
        return FT_ERR_STATE;
    if (!ft_ss_bitmap_has(s->s, client))
        return FT_ERR_NOTFOUND;
    if (ft_ss_bitmap_has(s->counted, client) && !FT_PLANT(NO_DUPLICATE_CHECK))
        return FT_ERR_DUPLICATE;
    if (s->phase == FT_SS_COLLECTING)
        return s->chosen || ft_ss_bitmap_has(s->gone, client) ? FT_ERR_STATE : FT_OK;
    if (s->phase != FT_SS_CONFIRMING && s->phase != FT_SS_REVEALING && s->phase != FT_SS_REPAIRING)
        return FT_ERR_STATE;
    return ft_ss_bitmap_has(s->u3, client) ? FT_OK : FT_ERR_NOTFOUND;
}

/* The client's own slot, or a free one; NULL when all are taken. Only calls under the caller's lock take or
 * free slots, so `taken` and `client` hold still. */
static struct server_slot *
find_slot(struct ft_ss_server *s, uint32_t client)
{
    struct server_slot *free = NULL;
    for (uint32_t i = 0; i < s->config.slots; i++) {
        if (s->slots[i].taken && s->slots[i].client == client)
            return &s->slots[i];
        if (!s->slots[i].taken && (free == NULL || (free->words == NULL && s->slots[i].words != NULL)))
            free = &s->slots[i]; /* one with memory already, if there is one */
    }
    return free;
}

/* With the slot's lock held: the first bytes are awaited. */
static enum ft_status
start_slot(struct ft_ss_server *s, struct server_slot *slot, uint32_t client)
{
    enum ft_status st;
    if (slot->words == NULL && (slot->words = ft_big_pool_take(s->config.pool, vector_size(s))) == NULL)
        return FT_ERR_NOMEM;
    if (slot->sha == NULL && (st = ft_ss_sha256_open(&slot->sha)) != FT_OK)
        return st;
    st = ft_ss_sha256_begin(slot->sha);
    if (st != FT_OK)
        return st;
    slot->taken = true;
    slot->client = client;
    slot->received = 0;
    slot->taken_at = server_now(s);
    return FT_OK;
}

enum ft_status
ft_ss_server_upload_begin(struct ft_ss_server *s, uint32_t client, struct ft_bytes header,
                          struct ft_ss_slot_ref *ref, uint64_t *offset)
{
    struct ft_ss_header h;
    struct server_slot *slot;
    enum ft_status st;

    *ref = (struct ft_ss_slot_ref){ 0 };
    *offset = 0;
    if (client >= s->universe)
        return FT_ERR_NOTFOUND;
    st = ft_ss_header_decode(header, &h);
    if (st != FT_OK)
        return st == FT_ERR_LIMIT ? FT_ERR_FORMAT : st;
    if (h.id != client || h.words != s->codec.words)
        return FT_ERR_FORMAT;
    if (s->t_known < 3 || memcmp(h.t0, s->t[0], 32) != 0 || memcmp(h.t2, s->t[2], 32) != 0)
        return FT_ERR_STATE;
    st = upload_awaited(s, client);
    if (st != FT_OK)
        return st;
    slot = find_slot(s, client);
    if (slot == NULL)
        return FT_ERR_LATER;
    pthread_mutex_lock(&slot->lock);
    if (slot->taken)
        slot->generation++; /* resumed: a stream left behind loses its hold */
    else
        st = start_slot(s, slot, client);
    slot->touched = server_now(s);
    ref->index = (uint32_t)(slot - s->slots);
    ref->generation = slot->generation;
    *offset = slot->received;
    pthread_mutex_unlock(&slot->lock);
    return st;
}

/* Lock the slot a reference is to. NULL, with nothing locked, when the reference is stale. */
static struct server_slot *
hold(struct ft_ss_server *s, struct ft_ss_slot_ref ref)
{
    struct server_slot *slot;
    if (ref.index >= s->config.slots)
        return NULL;
    slot = &s->slots[ref.index];
    pthread_mutex_lock(&slot->lock);
    if (slot->taken && slot->generation == ref.generation)
        return slot;
    pthread_mutex_unlock(&slot->lock);
    return NULL;
}

enum ft_status
ft_ss_server_upload_chunk(struct ft_ss_server *s, struct ft_ss_slot_ref ref, uint64_t offset,
                          struct ft_bytes chunk)
{
    struct server_slot *slot = hold(s, ref);
    enum ft_status st;

    if (slot == NULL)
        return FT_ERR_STATE;
    if (offset != slot->received)
        st = FT_ERR_ARGUMENT;
    else if (chunk.size > vector_size(s) - slot->received)
        st = FT_ERR_LIMIT;
    else
        st = ft_ss_sha256_feed(slot->sha, chunk);
    if (st == FT_OK && chunk.size > 0) {
        memcpy((uint8_t *)slot->words + slot->received, chunk.data, chunk.size);
        slot->received += chunk.size;
        slot->touched = server_now(s);
    }
    pthread_mutex_unlock(&slot->lock);
    return st;
}

static void
add_to_sum(struct ft_ss_server *s, const uint64_t *words)
{
    uint64_t *sum = s->sum;
    for (uint64_t i = 0; i < s->codec.words; i++)
        sum[i] += words[i];
}

/* Verify a complete vector. A client signs one vector a round: another one later is refused for good. */
static enum ft_status
verify_upload(struct ft_ss_server *s, struct server_slot *slot, const struct ft_ss_trailer *trailer)
{
    const struct server_client *c = &s->clients[slot->client];
    const struct ft_ss_member *member = &s->config.directory->roster->members[slot->client];
    uint8_t digest[32];
    enum ft_status st = ft_ss_sha256_end(slot->sha, digest);

    if (st != FT_OK)
        return st;
    if (memcmp(digest, trailer->digest, sizeof digest) != 0 ||
        !ft_ss_trailer_verify(trailer, s->t[2], slot->client, member->ed25519_pk))
        return FT_ERR_VERIFY;
    return c->signed_vector && memcmp(c->vector_digest, digest, sizeof digest) != 0 ? FT_ERR_DUPLICATE
                                                                                    : FT_OK;
}

static enum ft_status
store_trailer(struct ft_ss_server *s, uint32_t client, const struct ft_ss_trailer *trailer)
{
    uint8_t record[4 + 32];
    ft_put_u32(record, client);
    memcpy(record + 4, trailer->digest, 32);
    return server_store(s, FT_SS_RECORD_TRAILER, FT_BYTES(record, sizeof record), false);
}

/* With the slot's lock held, everything received. */
static enum ft_status
count_upload(struct ft_ss_server *s, struct server_slot *slot, struct ft_bytes trailer_bytes)
{
    const uint32_t client = slot->client;
    struct ft_ss_trailer trailer;
    enum ft_status st = ft_ss_trailer_decode(trailer_bytes, &trailer);

    if (st != FT_OK)
        return st == FT_ERR_LIMIT ? FT_ERR_FORMAT : st;
    st = upload_awaited(s, client);
    if (st != FT_OK)
        return st == FT_ERR_NOTFOUND ? FT_ERR_STATE : st;
    st = verify_upload(s, slot, &trailer);
    if (st != FT_OK)
        return st;
    if (s->sum == NULL) {
        s->sum = ft_big_pool_take(s->config.pool, vector_size(s));
        if (s->sum == NULL)
            return FT_ERR_NOMEM;
        memset(s->sum, 0, vector_size(s));
    }
    st = store_trailer(s, client, &trailer);
    if (st != FT_OK)
        return st;
    memcpy(s->clients[client].vector_digest, trailer.digest, sizeof trailer.digest);
    s->clients[client].signed_vector = true;
    add_to_sum(s, slot->words);
    ft_ss_bitmap_add(s->counted, client);
    return FT_OK;
}

enum ft_status
ft_ss_server_upload_end(struct ft_ss_server *s, struct ft_ss_slot_ref ref, struct ft_bytes trailer)
{
    struct server_slot *slot = hold(s, ref);
    enum ft_status st;

    if (slot == NULL)
        return FT_ERR_STATE;
    if (slot->received != vector_size(s)) {
        pthread_mutex_unlock(&slot->lock);
        return FT_ERR_STATE; /* the stream may be resumed */
    }
    st = count_upload(s, slot, trailer);
    free_slot(slot);
    pthread_mutex_unlock(&slot->lock);
    s->version++;
    return st == FT_OK ? server_advance(s) : st;
}

void
ft_ss_server_upload_drop(struct ft_ss_server *s, struct ft_ss_slot_ref ref, bool give_up)
{
    struct server_slot *slot = hold(s, ref);
    if (slot == NULL)
        return;
    if (give_up) {
        free_slot(slot);
        s->version++;
    }
    pthread_mutex_unlock(&slot->lock);
}
