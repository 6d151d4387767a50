/*
 * All allocation goes through here, so that a test can fail the n-th one and count what is live.
 * protobuf-c decodes under a budget: hostile bytes can make it allocate 60 times their size otherwise.
 */
#ifndef FT_BASE_ALLOC_H
#define FT_BASE_ALLOC_H

#include "common/base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed memory for count items of size bytes, or NULL (also when the product wraps). Zero bytes give a
 * unique pointer. Free with ft_free. */
void *ft_calloc(size_t count, size_t size);
void *ft_realloc(void *p, size_t size); /* as realloc; a failure leaves p as it was */
char *ft_strdup(const char *s);         /* NULL in, NULL out */
char *ft_asprintf(const char *fmt, ...) FT_PRINTF(1, 2);
void ft_free(void *p); /* NULL is allowed */

/* Programs that run rounds call this once at start: the C library keeps freed memory instead of handing every
 * model-sized block back to the kernel, since a fresh page costs some 10 us; threads share two arenas. */
void ft_alloc_keep(void);

/* Large round buffers: `size` bytes, zeroed, made once and reused; from 2 MiB on so aligned and advised to huge pages.
 * Free with ft_big_free and the same size. */
void *ft_big_alloc(size_t size);
void ft_big_free(void *p, size_t size);

/* Blocks of one size that go round, because fresh pages are dear. take may hand out a block with old contents (wiped of
 * secrets by whoever gave it back); another size than before frees the blocks at hand. Zero-initialise; a NULL pool means
 * big_alloc and big_free. Not thread-safe. */
#define FT_BIG_POOL_MAX 65
struct ft_big_pool {
    size_t size; /* of each block */
    size_t count;
    void *blocks[FT_BIG_POOL_MAX];
};
void *ft_big_pool_take(struct ft_big_pool *pool, size_t size);
void ft_big_pool_give(struct ft_big_pool *pool, void *p, size_t size);
void ft_big_pool_clear(struct ft_big_pool *pool);

/* Secrets: guarded, locked (where the limit allows), zeroed at first and wiped on free. */
void *ft_secret_alloc(size_t size);
void ft_secret_free(void *p);

/* Test hooks. The n-th allocation from now (1-based) fails; 0 turns faults off. With `from_then_on` every
 * later one fails too. */
void ft_alloc_fail_at(uint64_t nth, bool from_then_on);
bool ft_alloc_fault_fired(void);
size_t ft_alloc_live(void); /* blocks allocated and not freed */

/*
 * A protobuf-c allocator with a budget of bytes. Use: struct ft_pb_budget b; ProtobufCAllocator a =
 * ft_pb_allocator(&b, limit). The rule of thumb for limit is 16 times the message's size plus 64 KiB.
 */
struct ft_pb_budget {
    size_t left;
};
typedef struct ProtobufCAllocator ProtobufCAllocator;
void ft_pb_allocator_init(ProtobufCAllocator *out, struct ft_pb_budget *budget, size_t limit);

#endif
