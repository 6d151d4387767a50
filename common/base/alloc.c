#include "common/base/alloc.h"

#include <malloc.h>
#include <pthread.h>
#include <protobuf-c/protobuf-c.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static atomic_uint_fast64_t countdown; /* 0: faults off */
static atomic_bool keep_failing;
static atomic_bool fired;
static atomic_size_t live;

/* True when this allocation is the one a test asked to fail. */
static bool
fault_due(void)
{
    if (atomic_load_explicit(&countdown, memory_order_relaxed) == 0)
        return false;
    if (atomic_load(&fired) && atomic_load(&keep_failing))
        return true;
    if (atomic_load(&fired) || atomic_fetch_sub(&countdown, 1) != 1)
        return false;
    atomic_store(&fired, true);
    atomic_store(&countdown, 1); /* stays armed so that from_then_on can be honoured */
    return true;
}

void
ft_alloc_fail_at(uint64_t nth, bool from_then_on)
{
    atomic_store(&fired, false);
    atomic_store(&keep_failing, from_then_on);
    atomic_store(&countdown, nth);
}

bool
ft_alloc_fault_fired(void)
{
    return atomic_load(&fired);
}

size_t
ft_alloc_live(void)
{
    return atomic_load(&live);
}

void *
ft_calloc(size_t count, size_t size)
{
    void *p;
    if (fault_due())
        return NULL;
    p = calloc(count ? count : 1, size ? size : 1);
    if (p != NULL)
        atomic_fetch_add(&live, 1);
    return p;
}

void *
ft_realloc(void *old, size_t size)
{
    void *p;
    if (fault_due())
        return NULL;
    p = realloc(old, size ? size : 1);
    if (p != NULL && old == NULL)
        atomic_fetch_add(&live, 1);
    return p;
}

char *
ft_strdup(const char *s)
{
    size_t size;
    char *copy;
    if (s == NULL)
        return NULL;
    size = strlen(s) + 1;
    copy = ft_calloc(1, size);
    if (copy != NULL)
        memcpy(copy, s, size);
    return copy;
}

char *
ft_asprintf(const char *fmt, ...)
{
    va_list args;
    char *text;
    int size;

    va_start(args, fmt);
    size = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (size < 0 || (text = ft_calloc(1, (size_t)size + 1)) == NULL)
        return NULL;
    va_start(args, fmt);
    vsnprintf(text, (size_t)size + 1, fmt, args);
    va_end(args);
    return text;
}

void
ft_free(void *p)
{
    if (p == NULL)
        return;
    atomic_fetch_sub(&live, 1);
    free(p);
}

void
ft_alloc_keep(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, 32 << 20);
    (void)mallopt(M_TRIM_THRESHOLD, 256 << 20);
    (void)mallopt(M_ARENA_MAX, 2);
}

#define BIG_PAGE ((size_t)2 << 20)
#define SMALL_PAGE ((size_t)4096)

void *
ft_big_alloc(size_t size)
{
    void *p;
    const size_t page = size < BIG_PAGE ? SMALL_PAGE : BIG_PAGE; /* touching 2 MiB for 6 KiB would be dear */
    if (fault_due() || size > SIZE_MAX - BIG_PAGE)
        return NULL;
    size = (size + page - 1) & ~(page - 1);
    p = aligned_alloc(page, size ? size : page);
    if (p == NULL)
        return NULL;
    if (page == BIG_PAGE)
        (void)madvise(p, size, MADV_HUGEPAGE); /* advice only: small pages work too */
    memset(p, 0, size);
    atomic_fetch_add(&live, 1);
    return p;
}

void
ft_big_free(void *p, size_t size)
{
    (void)size;
    ft_free(p);
}

void *
ft_big_pool_take(struct ft_big_pool *pool, size_t size)
{
    if (pool == NULL)
        return ft_big_alloc(size);
    if (pool->size != size)
        ft_big_pool_clear(pool);
    pool->size = size;
    return pool->count > 0 ? pool->blocks[--pool->count] : ft_big_alloc(size);
}

void
ft_big_pool_give(struct ft_big_pool *pool, void *p, size_t size)
{
    if (p == NULL)
        return;
    if (pool != NULL && pool->size == size && pool->count < FT_BIG_POOL_MAX)
        pool->blocks[pool->count++] = p;
    else
        ft_big_free(p, size);
}

void
ft_big_pool_clear(struct ft_big_pool *pool)
{
    while (pool->count > 0)
        ft_big_free(pool->blocks[--pool->count], pool->size);
}

/* A guarded block costs ten system calls to make and to give back, and a round needs the same few sizes again and
 * again: some freed ones wait here, wiped, for the next taker of exactly their size, so that guard and canary stay
 * right around the secret. Locks on memory end at a fork: a child starts with none waiting. */
#define KEPT_MAX 24
static struct kept {
    void *p;
    size_t size;
} kept[KEPT_MAX], in_use[KEPT_MAX];
static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER;
static pid_t kept_by;

/* Move one entry that matches (by block, or by size where p is NULL) out of `from`; its block, or NULL. */
static struct kept
kept_take(struct kept from[KEPT_MAX], const void *p, size_t size)
{
    struct kept found = { 0 };
    for (size_t i = 0; i < KEPT_MAX && found.p == NULL; i++) {
        if (from[i].p == NULL || (p != NULL ? from[i].p != p : from[i].size != size))
            continue;
        found = from[i];
        from[i] = (struct kept){ 0 };
    }
    return found;
}

static bool
kept_put(struct kept to[KEPT_MAX], void *p, size_t size)
{
    for (size_t i = 0; i < KEPT_MAX; i++)
        if (to[i].p == NULL) {
            to[i] = (struct kept){ p, size };
            return true;
        }
    return false;
}

void *
ft_secret_alloc(size_t size)
{
    void *p;
    if (fault_due())
        return NULL;
    size = size ? size : 1;
    pthread_mutex_lock(&kept_lock);
    if (kept_by != getpid()) {
        memset(kept, 0, sizeof kept);
        kept_by = getpid();
    }
    p = kept_take(kept, NULL, size).p;
    pthread_mutex_unlock(&kept_lock);
    if (p == NULL && (p = sodium_malloc(size)) == NULL)
        return NULL;
    memset(p, 0, size);
    pthread_mutex_lock(&kept_lock);
    (void)kept_put(in_use, p, size);
    pthread_mutex_unlock(&kept_lock);
    atomic_fetch_add(&live, 1);
    return p;
}

void
ft_secret_free(void *p)
{
    struct kept block;
    bool stays = false;
    if (p == NULL)
        return;
    atomic_fetch_sub(&live, 1);
    pthread_mutex_lock(&kept_lock);
    block = kept_take(in_use, p, 0);
    if (block.p != NULL) {
        sodium_memzero(p, block.size);
        stays = kept_put(kept, p, block.size);
    }
    pthread_mutex_unlock(&kept_lock);
    if (!stays)
        sodium_free(p); /* wipes */
}

static void *
budget_alloc(void *ctx, size_t size)
{
    struct ft_pb_budget *budget = ctx;
    if (size > budget->left)
        return NULL;
    budget->left -= size;
    return ft_calloc(1, size);
}

static void
budget_free(void *ctx, void *p)
{
    (void)ctx;
    ft_free(p);
}

void
ft_pb_allocator_init(ProtobufCAllocator *out, struct ft_pb_budget *budget, size_t limit)
{
    budget->left = limit;
    out->alloc = budget_alloc;
    out->free = budget_free;
    out->allocator_data = budget;
}
