/*
 * A ledger's file in memory, with a cache that a crash empties: bytes are durable after a sync, before it any prefix of
 * them may be. The n-th operation can fail, or be the last before the process is killed.
 */
#ifndef FT_TEST_LEDGER_DISK_H
#define FT_TEST_LEDGER_DISK_H

#include "client/vault/ledger/ledger.h"
#include "common/base/alloc.h"

#include <stdlib.h>
#include <string.h>

struct disk {
    struct ft_buf durable; /* what a crash leaves */
    struct ft_buf cached;  /* what the process sees */
    uint8_t key[32];
    unsigned operations;    /* done since the ledger was opened: append, truncate, sync */
    unsigned fail_at;       /* the n-th fails; 0 never */
    size_t keep;            /* bytes of a failing append that arrive all the same */
    enum ft_status failure; /* with which it fails */
    bool dead;              /* after a kill nothing is done any more */
    bool opened;
};

static const uint8_t disk_session[32] = { 5, 5, 5 };

static const struct ft_ledger_domain disk_adaptive = { .id = "customers-2026", .mode = FT_LEDGER_ADAPTIVE,
                                                       .method = FT_ACCOUNT_RDP, .epsilon_max = 2.5, .delta = 1e-6,
                                                       .order = 9 };

/* The specification's worked example with another T. */
static inline struct ft_ledger_reservation
disk_task(uint8_t id, uint64_t steps)
{
    return (struct ft_ledger_reservation){ .domain = "customers-2026", .task = { id }, .manifest = { id, 1 },
                                           .q_num = UINT64_C(1) << 25, .delta_int_sq = 16851920, .sigma_share = 776,
                                           .t_min = 28, .m_stores = 1, .steps = steps };
}

static inline void
disk_same(struct ft_buf *to, const struct ft_buf *from, size_t size)
{
    to->size = 0;
    assert_int_equal(ft_buf_append(to, from->data, size), FT_OK);
}

/* True when this operation is the one that fails. */
static inline bool
disk_fails(struct disk *d)
{
    d->operations++;
    if (d->fail_at != 0 && d->operations == d->fail_at)
        d->dead = true;
    return d->dead;
}

static inline enum ft_status
disk_file_open(void *ctx, struct ft_error *err)
{
    struct disk *d = ctx;
    if (d->opened)
        return ft_fail(err, FT_ERR_LATER, "LEDGER_BUSY");
    d->opened = true;
    disk_same(&d->cached, &d->durable, d->durable.size);
    return FT_OK;
}

static inline enum ft_status
disk_file_read(void *ctx, struct ft_buf *out, struct ft_error *err)
{
    const struct disk *d = ctx;
    (void)err;
    return ft_buf_append(out, d->cached.data, d->cached.size);
}

/* Write over what is there, and on behind it. */
static inline void
disk_put(struct ft_buf *b, size_t offset, struct ft_bytes bytes)
{
    const size_t over = b->size - offset < bytes.size ? b->size - offset : bytes.size;
    if (over > 0)
        memcpy(b->data + offset, bytes.data, over);
    assert_int_equal(ft_buf_append(b, bytes.data + over, bytes.size - over), FT_OK);
}

static inline enum ft_status
disk_file_append(void *ctx, uint64_t offset, struct ft_bytes bytes)
{
    struct disk *d = ctx;
    const bool was_dead = d->dead;
    assert_true(offset <= d->cached.size);
    if (disk_fails(d)) { /* a part may be on the disk */
        if (!was_dead) {
            disk_put(&d->cached, (size_t)offset,
                     FT_BYTES(bytes.data, d->keep < bytes.size ? d->keep : bytes.size));
            disk_same(&d->durable, &d->cached, d->cached.size);
        }
        return d->failure != FT_OK ? d->failure : FT_ERR_IO;
    }
    disk_put(&d->cached, (size_t)offset, bytes);
    return FT_OK;
}

static inline enum ft_status
disk_file_truncate(void *ctx, uint64_t size)
{
    static const uint8_t zeros[256];
    struct disk *d = ctx;
    if (disk_fails(d))
        return FT_ERR_IO;
    if (size > d->cached.size)
        disk_put(&d->cached, d->cached.size, FT_BYTES(zeros, (size_t)size - d->cached.size));
    d->cached.size = (size_t)size;
    return FT_OK;
}

static inline enum ft_status
disk_file_sync(void *ctx)
{
    struct disk *d = ctx;
    const bool was_dead = d->dead;
    if (disk_fails(d)) {
        if (!was_dead && d->keep > 0) /* it may have arrived, though it was never said so */
            disk_same(&d->durable, &d->cached, d->cached.size);
        return FT_ERR_IO;
    }
    disk_same(&d->durable, &d->cached, d->cached.size);
    return FT_OK;
}

static inline void
disk_file_close(void *ctx)
{
    struct disk *d = ctx;
    d->opened = false;
    ft_buf_clear(&d->cached);
}

static const struct ft_ledger_file_calls disk_calls = {
    .read = disk_file_read,
    .open = disk_file_open,
    .append = disk_file_append,
    .truncate = disk_file_truncate,
    .sync = disk_file_sync,
    .close = disk_file_close,
};

static inline enum ft_status
disk_try(struct disk *d, const char *shop, struct ft_ledger **l, struct ft_ledger_opened *opened, struct ft_error *err)
{
    static const uint8_t id[16] = { 1, 2, 3 };
    d->operations = 0;
    return ft_ledger_open((struct ft_ledger_file){ &disk_calls, d }, d->key, shop, id, l, opened, err);
}

static inline struct ft_ledger *
disk_open(struct disk *d)
{
    struct ft_ledger *l = NULL;
    assert_int_equal(disk_try(d, "shop-1", &l, NULL, NULL), FT_OK);
    return l;
}

static inline void
disk_copy(struct disk *to, const struct disk *from, size_t size)
{
    memcpy(to->key, from->key, sizeof to->key);
    disk_same(&to->durable, &from->durable, size);
}

static inline void
disk_clear(struct disk *d)
{
    ft_buf_clear(&d->durable);
    ft_buf_clear(&d->cached);
    *d = (struct disk){ 0 };
}

#endif
