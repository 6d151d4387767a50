#include "client/vault/ledger/ledger_internal.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#define HEAD_SIZE 13 /* length, type, seq */

static const uint8_t payload_sizes[FT_LEDGER_TYPES] = {
    [FT_LEDGER_GENESIS] = 4 + FT_LEDGER_SHOP_MAX + 16,
    [FT_LEDGER_OPEN_DOMAIN] = FT_LEDGER_DOMAIN_MAX + 1 + 1 + 8 + 8 + 4 + 32,
    [FT_LEDGER_RESERVE] = FT_LEDGER_DOMAIN_MAX + 32 + 32 + 8 + 8 + 4 + 4 + 4 + 8,
    [FT_LEDGER_SPEND] = 32 + 8 + 32,
    [FT_LEDGER_SEALED] = 32 + 8 + 32,
    [FT_LEDGER_CLOSE] = 32 + 1,
    [FT_LEDGER_RECOVER] = 32,
};

size_t
ft_ledger_record_size(unsigned type)
{
    if (type == 0 || type >= FT_LEDGER_TYPES)
        return 0;
    return HEAD_SIZE + (size_t)payload_sizes[type] + FT_LEDGER_CHAIN_SIZE;
}

static void
chain_of(const uint8_t key[32], const uint8_t previous[32], const uint8_t *bytes, size_t size, uint8_t chain[32])
{
    crypto_generichash_state h;
    crypto_generichash_init(&h, key, FT_LEDGER_KEY_SIZE, FT_LEDGER_CHAIN_SIZE);
    crypto_generichash_update(&h, previous, FT_LEDGER_CHAIN_SIZE);
    crypto_generichash_update(&h, bytes, size);
    crypto_generichash_final(&h, chain, FT_LEDGER_CHAIN_SIZE);
    sodium_memzero(&h, sizeof h);
}

/* ---- writing ---- */

struct writer {
    uint8_t *at;
};

static void
put(struct writer *w, const void *data, size_t size)
{
    memcpy(w->at, data, size);
    w->at += size;
}

static void
put_u8(struct writer *w, unsigned v)
{
    *w->at++ = (uint8_t)v;
}

static void
put_u32(struct writer *w, uint32_t v)
{
    ft_put_u32(w->at, v);
    w->at += 4;
}

static void
put_u64(struct writer *w, uint64_t v)
{
    ft_put_u64(w->at, v);
    w->at += 8;
}

static void
put_f64(struct writer *w, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    put_u64(w, bits);
}

/* A name in a field of fixed size, the rest zero. */
static void
put_name(struct writer *w, const char *name, size_t size)
{
    memset(w->at, 0, size);
    memcpy(w->at, name, strnlen(name, size));
    w->at += size;
}

static void
put_payload(struct writer *w, const struct ft_ledger_record *r)
{
    const struct ft_ledger_domain *d = &r->domain;
    const struct ft_ledger_reservation *t = &r->reservation;

    switch (r->type) {
    case FT_LEDGER_GENESIS:
        put_u32(w, r->version);
        put_name(w, r->shop, FT_LEDGER_SHOP_MAX);
        put(w, r->ledger_id, 16);
        break;
    case FT_LEDGER_OPEN_DOMAIN:
        put_name(w, d->id, FT_LEDGER_DOMAIN_MAX);
        put_u8(w, d->mode);
        put_u8(w, d->method);
        put_f64(w, d->epsilon_max);
        put_f64(w, d->delta);
        put_u32(w, d->order);
        put(w, d->plan_hash, 32);
        break;
    case FT_LEDGER_RESERVE:
        put_name(w, t->domain, FT_LEDGER_DOMAIN_MAX);
        put(w, t->task, 32);
        put(w, t->manifest, 32);
        put_u64(w, t->q_num);
        put_u64(w, t->delta_int_sq);
        put_u32(w, t->sigma_share);
        put_u32(w, t->t_min);
        put_u32(w, t->m_stores);
        put_u64(w, t->steps);
        break;
    case FT_LEDGER_SPEND:
    case FT_LEDGER_SEALED:
        put(w, r->task, 32);
        put_u64(w, r->round);
        put(w, r->hash, 32);
        break;
    case FT_LEDGER_CLOSE:
        put(w, r->task, 32);
        put_u8(w, r->reason);
        break;
    case FT_LEDGER_RECOVER:
        put(w, r->task, 32);
        break;
    case FT_LEDGER_TYPES:
        assert(0);
    }
}

size_t
ft_ledger_record_write(const struct ft_ledger_record *r, const uint8_t key[32], const uint8_t previous[32],
                       uint8_t out[FT_LEDGER_RECORD_MAX], uint8_t chain[32])
{
    const size_t size = ft_ledger_record_size(r->type);
    struct writer w = { out };

    put_u32(&w, (uint32_t)(size - 4));
    put_u8(&w, r->type);
    put_u64(&w, r->seq);
    put_payload(&w, r);
    assert((size_t)(w.at - out) == size - FT_LEDGER_CHAIN_SIZE);
    chain_of(key, previous, out, size - FT_LEDGER_CHAIN_SIZE, chain);
    put(&w, chain, FT_LEDGER_CHAIN_SIZE);
    return size;
}

/* ---- reading ---- */

/* A padded name: no byte after the first zero, and at least one before it. */
static bool
read_name(struct ft_cursor *c, char *out, size_t size)
{
    ft_read_into(c, out, size);
    out[size] = '\0';
    const size_t length = strlen(out);
    for (size_t i = length; i < size; i++)
        if (out[i] != '\0')
            return false;
    return length > 0;
}

static bool
read_payload(struct ft_cursor *c, struct ft_ledger_record *r)
{
    struct ft_ledger_domain *d = &r->domain;
    struct ft_ledger_reservation *t = &r->reservation;
    bool named = true;

    switch (r->type) {
    case FT_LEDGER_GENESIS:
        r->version = ft_read_u32(c);
        named = read_name(c, r->shop, FT_LEDGER_SHOP_MAX);
        ft_read_into(c, r->ledger_id, 16);
        break;
    case FT_LEDGER_OPEN_DOMAIN:
        named = read_name(c, d->id, FT_LEDGER_DOMAIN_MAX);
        d->mode = ft_read_u8(c);
        d->method = ft_read_u8(c);
        d->epsilon_max = ft_read_f64(c);
        d->delta = ft_read_f64(c);
        d->order = ft_read_u32(c);
        ft_read_into(c, d->plan_hash, 32);
        break;
    case FT_LEDGER_RESERVE:
        named = read_name(c, t->domain, FT_LEDGER_DOMAIN_MAX);
        ft_read_into(c, t->task, 32);
        ft_read_into(c, t->manifest, 32);
        t->q_num = ft_read_u64(c);
        t->delta_int_sq = ft_read_u64(c);
        t->sigma_share = ft_read_u32(c);
        t->t_min = ft_read_u32(c);
        t->m_stores = ft_read_u32(c);
        t->steps = ft_read_u64(c);
        break;
    case FT_LEDGER_SPEND:
    case FT_LEDGER_SEALED:
        ft_read_into(c, r->task, 32);
        r->round = ft_read_u64(c);
        ft_read_into(c, r->hash, 32);
        break;
    case FT_LEDGER_CLOSE:
        ft_read_into(c, r->task, 32);
        r->reason = ft_read_u8(c);
        break;
    case FT_LEDGER_RECOVER:
        ft_read_into(c, r->task, 32);
        break;
    case FT_LEDGER_TYPES:
        return false;
    }
    return named && ft_cursor_done(c);
}

static bool
all_zero(const uint8_t *p, size_t size)
{
    return size == 0 || (p[0] == 0 && memcmp(p, p + 1, size - 1) == 0);
}

/* Could these bytes, too few for a record, be the beginning of the next one? A file system that lost the end of an
 * append may also have left zeros there. */
static bool
is_beginning(struct ft_bytes bytes, uint64_t seq)
{
    uint8_t number[8];

    if (all_zero(bytes.data, bytes.size))
        return bytes.size < FT_LEDGER_RECORD_MAX;
    for (unsigned type = 1; type < FT_LEDGER_TYPES; type++) {
        uint8_t head[HEAD_SIZE];
        const size_t size = ft_ledger_record_size(type);
        ft_put_u32(head, (uint32_t)(size - 4));
        head[4] = (uint8_t)type;
        ft_put_u64(number, seq);
        memcpy(head + 5, number, 8);
        const size_t known = bytes.size < HEAD_SIZE ? bytes.size : HEAD_SIZE;
        size_t same = 0;
        while (same < known && bytes.data[same] == head[same])
            same++;
        if (bytes.size < size && same == known)
            return true;
        if (same > 0 && bytes.size <= size + 1 && all_zero(bytes.data + same, bytes.size - same))
            return true;
    }
    return false;
}

/* Is this the last record, whose own end never reached the disk: its chain as far as it goes, and zeros? Where eight of them
 * and more are missing, what they stood behind may be missing too. A zero may follow the record (recover). */
static bool
lost_end(struct ft_bytes bytes, size_t whole, const uint8_t chain[FT_LEDGER_CHAIN_SIZE])
{
    const uint8_t *found = bytes.data + whole - FT_LEDGER_CHAIN_SIZE;
    size_t same = 0;

    if (bytes.size > whole + 1 || !all_zero(bytes.data + whole, bytes.size - whole))
        return false;
    while (same < FT_LEDGER_CHAIN_SIZE && found[same] == chain[same])
        same++;
    return all_zero(found + same, FT_LEDGER_CHAIN_SIZE - same) ||
           all_zero(found + FT_LEDGER_CHAIN_SIZE - 8, 8);
}

enum ft_ledger_read
ft_ledger_record_read(struct ft_bytes bytes, const uint8_t key[32], const uint8_t previous[32], uint64_t seq,
                      struct ft_ledger_record *r, uint8_t chain[32], size_t *size)
{
    struct ft_cursor c = ft_cursor_of(bytes);

    *r = (struct ft_ledger_record){ 0 };
    *size = 0;
    if (bytes.size == 0)
        return FT_LEDGER_READ_END;
    if (bytes.size < HEAD_SIZE)
        return is_beginning(bytes, seq) ? FT_LEDGER_READ_TORN : FT_LEDGER_READ_BAD;
    const uint32_t length = ft_read_u32(&c);
    const unsigned type = ft_read_u8(&c);
    const size_t whole = ft_ledger_record_size(type);
    r->seq = ft_read_u64(&c);
    if (whole == 0 || length != whole - 4 || r->seq != seq || bytes.size < whole)
        return is_beginning(bytes, seq) ? FT_LEDGER_READ_TORN : FT_LEDGER_READ_BAD;
    chain_of(key, previous, bytes.data, whole - FT_LEDGER_CHAIN_SIZE, chain);
    if (sodium_memcmp(chain, bytes.data + whole - FT_LEDGER_CHAIN_SIZE, FT_LEDGER_CHAIN_SIZE) != 0)
        return lost_end(bytes, whole, chain) ? FT_LEDGER_READ_TORN : FT_LEDGER_READ_BAD;
    c.left = whole - HEAD_SIZE - FT_LEDGER_CHAIN_SIZE;
    r->type = (enum ft_ledger_type)type;
    if (!read_payload(&c, r))
        return FT_LEDGER_READ_BAD;
    *size = whole;
    return FT_LEDGER_READ_OK;
}
