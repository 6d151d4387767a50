/* What the tests of the primitives have in common. Include after cmocka.h. */
#ifndef TEST_SECURE_SUM_SUPPORT_H
#define TEST_SECURE_SUM_SUPPORT_H

#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/base/env.h"

#include <sodium.h>
#include <string.h>

static inline void
assert_hex(const void *data, size_t size, const char *expected)
{
    char hex[2 * 512 + 1];
    assert_true(size <= 512);
    assert_string_equal(ft_hex(hex, data, size), expected);
}

static inline void
from_hex(void *out, size_t size, const char *hex)
{
    assert_int_equal(ft_unhex(out, size, hex), FT_OK);
}

static inline int
support_setup(void **state)
{
    (void)state;
    return sodium_init() < 0 ? -1 : 0;
}

/* A reproducible environment; every test names its own stream. */
static inline const struct ft_env *
seeded(struct ft_env_seeded *e, uint64_t stream)
{
    ft_env_seeded_init(e, 20240607, stream);
    return &e->env;
}

#endif
