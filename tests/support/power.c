#include "tests/support/power.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES_MAX 16
#define SECTOR    512
#define REGIONS   8

struct bytes {
    uint8_t *data;
    size_t size, room;
};

/* A write (data != NULL) or a truncation to `at` that no sync has made durable. */
struct change {
    size_t at, size;
    uint8_t *data;
};

struct file {
    bool used;
    char name[256];
    struct bytes now, durable;
    struct change *changes;
    size_t count, room;
    void *regions[REGIONS];
};

struct handle {
    sqlite3_file base;
    struct file *file;
};

static struct {
    sqlite3_vfs vfs, *real;
    struct file files[FILES_MAX];
    uint64_t events, end, lost, dice;
    bool off;
} power;

static uint64_t
draw(uint64_t bound) /* SplitMix64 */
{
    uint64_t z = power.dice += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (z ^ z >> 31) % bound;
}

static void *
grown(void *p, size_t size)
{
    void *bigger = realloc(p, size);
    if (bigger == NULL)
        abort();
    return bigger;
}

static void
resize(struct bytes *b, size_t size)
{
    if (size > b->room) {
        b->room = 2 * size;
        b->data = grown(b->data, b->room);
    }
    if (size > b->size)
        memset(b->data + b->size, 0, size - b->size);
    b->size = size;
}

static void
put(struct bytes *b, size_t at, const uint8_t *data, size_t size)
{
    if (at + size > b->size)
        resize(b, at + size);
    if (size > 0)
        memcpy(b->data + at, data, size);
}

/* One more event; true when the power goes with it. */
static bool
goes(void)
{
    power.events++;
    if (power.end != 0 && power.events >= power.end)
        power.off = true;
    return power.off;
}

static void
forget_changes(struct file *f)
{
    for (size_t i = 0; i < f->count; i++)
        free(f->changes[i].data);
    f->count = 0;
}

static void
remember(struct file *f, size_t at, const void *data, size_t size)
{
    if (f->count == f->room) {
        f->room = f->room > 0 ? 2 * f->room : 64;
        f->changes = grown(f->changes, f->room * sizeof *f->changes);
    }
    struct change *c = &f->changes[f->count++];
    *c = (struct change){ .at = at, .size = size };
    if (data != NULL) {
        c->data = grown(NULL, size);
        memcpy(c->data, data, size);
    }
}

static struct file *
find(const char *name)
{
    for (size_t i = 0; i < FILES_MAX; i++)
        if (power.files[i].used && strcmp(power.files[i].name, name) == 0)
            return &power.files[i];
    return NULL;
}

static void
drop(struct file *f)
{
    forget_changes(f);
    free(f->changes);
    free(f->now.data);
    free(f->durable.data);
    for (size_t i = 0; i < REGIONS; i++)
        free(f->regions[i]);
    memset(f, 0, sizeof *f);
}

/* ---- files ---- */

static struct file *
of(sqlite3_file *f)
{
    return ((struct handle *)f)->file;
}

static int
on_close(sqlite3_file *f)
{
    (void)f;
    return SQLITE_OK;
}

static int
on_read(sqlite3_file *handle, void *out, int size, sqlite3_int64 at)
{
    const struct file *f = of(handle);
    if (power.off)
        return SQLITE_IOERR_READ;
    const size_t have = (size_t)at < f->now.size ? f->now.size - (size_t)at : 0;
    const size_t take = have < (size_t)size ? have : (size_t)size;
    if (take > 0)
        memcpy(out, f->now.data + at, take);
    memset((uint8_t *)out + take, 0, (size_t)size - take);
    return take == (size_t)size ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int
on_write(sqlite3_file *handle, const void *data, int size, sqlite3_int64 at)
{
    struct file *f = of(handle);
    if (power.off)
        return SQLITE_IOERR_WRITE;
    remember(f, (size_t)at, data, (size_t)size);
    put(&f->now, (size_t)at, data, (size_t)size);
    return goes() ? SQLITE_IOERR_WRITE : SQLITE_OK;
}

static int
on_truncate(sqlite3_file *handle, sqlite3_int64 size)
{
    struct file *f = of(handle);
    if (power.off)
        return SQLITE_IOERR_TRUNCATE;
    remember(f, (size_t)size, NULL, 0);
    resize(&f->now, (size_t)size);
    return goes() ? SQLITE_IOERR_TRUNCATE : SQLITE_OK;
}

static int
on_sync(sqlite3_file *handle, int flags)
{
    struct file *f = of(handle);
    (void)flags;
    if (power.off || goes())
        return SQLITE_IOERR_FSYNC;
    f->durable.size = 0;
    put(&f->durable, 0, f->now.data, f->now.size);
    forget_changes(f);
    return SQLITE_OK;
}

static int
on_size(sqlite3_file *handle, sqlite3_int64 *size)
{
    *size = (sqlite3_int64)of(handle)->now.size;
    return SQLITE_OK;
}

static int
on_lock(sqlite3_file *handle, int level)
{
    (void)handle;
    (void)level;
    return SQLITE_OK;
}

static int
on_reserved(sqlite3_file *handle, int *out)
{
    (void)handle;
    *out = 0;
    return SQLITE_OK;
}

static int
on_control(sqlite3_file *handle, int op, void *arg)
{
    (void)handle;
    (void)op;
    (void)arg;
    return SQLITE_NOTFOUND;
}

static int
sector_size(sqlite3_file *handle)
{
    (void)handle;
    return SECTOR;
}

/* As of the real file system: a write that is cut spoils no byte beside it. */
static int
characteristics(sqlite3_file *handle)
{
    (void)handle;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static int
shm_map(sqlite3_file *handle, int region, int size, int extend, void volatile **out)
{
    struct file *f = of(handle);
    *out = NULL;
    if (power.off || region >= REGIONS)
        return SQLITE_IOERR_SHMMAP;
    if (f->regions[region] == NULL && extend)
        f->regions[region] = calloc(1, (size_t)size);
    *out = f->regions[region];
    return SQLITE_OK;
}

static int
shm_lock(sqlite3_file *handle, int offset, int n, int flags)
{
    (void)handle;
    (void)offset;
    (void)n;
    (void)flags;
    return SQLITE_OK;
}

static void
shm_barrier(sqlite3_file *handle)
{
    (void)handle;
}

static int
shm_unmap(sqlite3_file *handle, int remove)
{
    struct file *f = of(handle);
    for (size_t i = 0; remove && i < REGIONS; i++) {
        free(f->regions[i]);
        f->regions[i] = NULL;
    }
    return SQLITE_OK;
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = on_close,
    .xRead = on_read,
    .xWrite = on_write,
    .xTruncate = on_truncate,
    .xSync = on_sync,
    .xFileSize = on_size,
    .xLock = on_lock,
    .xUnlock = on_lock,
    .xCheckReservedLock = on_reserved,
    .xFileControl = on_control,
    .xSectorSize = sector_size,
    .xDeviceCharacteristics = characteristics,
    .xShmMap = shm_map,
    .xShmLock = shm_lock,
    .xShmBarrier = shm_barrier,
    .xShmUnmap = shm_unmap,
};

/* ---- the file system ---- */

static int
fs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *out, int flags, int *out_flags)
{
    struct handle *h = (struct handle *)out;
    (void)vfs;
    h->base.pMethods = NULL;
    if (power.off || name == NULL)
        return SQLITE_CANTOPEN;
    h->file = find(name);
    for (size_t i = 0; h->file == NULL && i < FILES_MAX; i++)
        if (!power.files[i].used) {
            h->file = &power.files[i];
            h->file->used = true;
            snprintf(h->file->name, sizeof h->file->name, "%s", name);
        }
    if (h->file == NULL)
        return SQLITE_CANTOPEN;
    h->base.pMethods = &methods;
    if (out_flags != NULL)
        *out_flags = flags;
    return SQLITE_OK;
}

static int
fs_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
    struct file *f = find(name);
    (void)vfs;
    (void)sync;
    if (power.off || goes())
        return SQLITE_IOERR_DELETE;
    if (f == NULL)
        return SQLITE_IOERR_DELETE_NOENT;
    drop(f);
    return SQLITE_OK;
}

static int
fs_access(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
    const struct file *f = find(name);
    (void)vfs;
    *out = f != NULL && (flags != SQLITE_ACCESS_EXISTS || f->now.size > 0);
    return SQLITE_OK;
}

static int
fs_path(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
    (void)vfs;
    sqlite3_snprintf(size, out, "%s", name);
    return SQLITE_OK;
}

void
power_open(void)
{
    memset(&power, 0, sizeof power);
    power.real = sqlite3_vfs_find(NULL);
    power.vfs = *power.real;
    power.vfs.iVersion = 1;
    power.vfs.zName = "power";
    power.vfs.pNext = NULL;
    power.vfs.szOsFile = (int)sizeof(struct handle);
    power.vfs.mxPathname = 255;
    power.vfs.xOpen = fs_open;
    power.vfs.xDelete = fs_delete;
    power.vfs.xAccess = fs_access;
    power.vfs.xFullPathname = fs_path;
    if (sqlite3_vfs_register(&power.vfs, 1) != SQLITE_OK)
        abort();
}

void
power_close(void)
{
    for (size_t i = 0; i < FILES_MAX; i++)
        if (power.files[i].used)
            drop(&power.files[i]);
    (void)sqlite3_vfs_unregister(&power.vfs);
    (void)sqlite3_vfs_register(power.real, 1);
}

void
power_arm(uint64_t events)
{
    power.end = events > 0 ? power.events + events : 0;
    power.off = false;
}

/* What became of one write: sector by sector in its own range. */
static void
settle(struct file *f, const struct change *c)
{
    const uint64_t fate = draw(4);
    bool spoilt = false;

    if (c->data == NULL) {
        if (fate < 2)
            resize(&f->durable, c->at);
        return;
    }
    for (size_t at = 0; at < c->size; at += SECTOR) {
        const size_t size = c->size - at < SECTOR ? c->size - at : SECTOR;
        uint8_t garbage[SECTOR];
        const uint64_t this = fate < 3 ? fate : draw(3); /* 3: each sector its own fate */
        if (this == 0) {
            put(&f->durable, c->at + at, c->data + at, size);
            continue;
        }
        spoilt = true;
        if (this == 1)
            continue;
        for (size_t i = 0; i < size; i++)
            garbage[i] = (uint8_t)draw(256);
        put(&f->durable, c->at + at, garbage, size);
    }
    power.lost += spoilt;
}

void
power_cut(uint64_t seed)
{
    power.dice = seed;
    for (size_t i = 0; i < FILES_MAX; i++) {
        struct file *f = &power.files[i];
        if (!f->used)
            continue;
        for (size_t c = 0; c < f->count; c++)
            settle(f, &f->changes[c]);
        forget_changes(f);
        f->now.size = 0;
        put(&f->now, 0, f->durable.data, f->durable.size);
        for (size_t r = 0; r < REGIONS; r++) {
            free(f->regions[r]);
            f->regions[r] = NULL;
        }
    }
    power.end = 0;
    power.off = false;
}

uint64_t
power_events(void)
{
    return power.events;
}

uint64_t
power_lost(void)
{
    return power.lost;
}
