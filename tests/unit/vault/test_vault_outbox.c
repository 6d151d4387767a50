#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "client/vault/outbox.h"
#include "common/base/alloc.h"
#include "common/base/env.h"

#include <string.h>

static const struct ft_out outs[] = {
    { .kind = FT_OUT_SYNC, .id = 1, .request = { (const uint8_t *)"req", 3 }, .wait_ms = 20000 },
    { .kind = FT_OUT_DOWNLOAD, .id = 2, .hash = { 1, 2, 3 }, .offset = 77 },
    { .kind = FT_OUT_UPLOAD,
      .id = 3,
      .header = { (const uint8_t *)"h", 1 },
      .trailer = { (const uint8_t *)"t", 1 },
      .size = 1 << 20 },
    { .kind = FT_OUT_DATA, .id = 3, .offset = 5, .data = { (const uint8_t *)"masked", 6 } },
    { .kind = FT_OUT_IDLE, .id = 4, .wait_ms = 9 },
    { .kind = FT_OUT_STOP },
};
static const struct ft_in ins[] = {
    { .kind = FT_IN_REPLY, .id = 1, .reply = { (const uint8_t *)"rep", 3 } },
    { .kind = FT_IN_CHUNK, .id = 2, .offset = 4, .total = 10, .data = { (const uint8_t *)"chunk", 5 } },
    { .kind = FT_IN_WANT, .id = 3, .offset = 8, .size = 4096 },
    { .kind = FT_IN_UPLOADED, .id = 3, .reply = { (const uint8_t *)"u", 1 } },
    { .kind = FT_IN_FAILED, .id = 3, .status = FT_ERR_REFUSED },
    { .kind = FT_IN_RESTED, .id = 4 },
};

/* Every message of both directions comes out as it went in. */
static void
messages_survive_the_wire(void **ctx)
{
    (void)ctx;
    for (size_t i = 0; i < sizeof outs / sizeof outs[0]; i++) {
        struct ft_buf b = { 0 };
        struct ft_out got;
        assert_int_equal(ft_out_encode(&outs[i], &b), FT_OK);
        assert_int_equal(ft_out_decode(ft_buf_bytes(&b), &got), FT_OK);
        assert_int_equal(got.kind, outs[i].kind);
        assert_int_equal(got.id, outs[i].id);
        assert_memory_equal(got.hash, outs[i].hash, 32);
        assert_int_equal(got.request.size, outs[i].request.size);
        assert_int_equal(got.data.size, outs[i].data.size);
        if (got.data.size > 0)
            assert_memory_equal(got.data.data, outs[i].data.data, got.data.size);
        ft_out_clear(&got);
        ft_buf_clear(&b);
    }
    for (size_t i = 0; i < sizeof ins / sizeof ins[0]; i++) {
        struct ft_buf b = { 0 };
        struct ft_in got;
        assert_int_equal(ft_in_encode(&ins[i], &b), FT_OK);
        assert_int_equal(ft_in_decode(ft_buf_bytes(&b), &got), FT_OK);
        assert_int_equal(got.kind, ins[i].kind);
        assert_int_equal(got.offset, ins[i].offset);
        assert_int_equal(got.size, ins[i].size);
        assert_int_equal(got.status, ins[i].status);
        ft_in_clear(&got);
        ft_buf_clear(&b);
    }
}

static void
assert_refused(const struct ft_in *in)
{
    struct ft_buf b = { 0 };
    struct ft_in got;
    assert_int_equal(ft_in_encode(in, &b), FT_OK);
    assert_int_equal(ft_in_decode(ft_buf_bytes(&b), &got), FT_ERR_FORMAT);
    assert_null(got.owner);
    ft_buf_clear(&b);
}

/* What a courier could lie about in a message's form is refused when it is decoded. */
static void
lies_of_a_courier_are_refused(void **ctx)
{
    static uint8_t big[FT_CHUNK_MAX + 1];
    (void)ctx;
    assert_refused(&(struct ft_in){ .kind = 0 });
    assert_refused(&(struct ft_in){ .kind = 99 });
    assert_refused(&(struct ft_in){ .kind = FT_IN_CHUNK, .offset = 11, .total = 10 });
    assert_refused(
        &(struct ft_in){ .kind = FT_IN_CHUNK, .offset = 9, .total = 10, .data = FT_BYTES("ab", 2) });
    assert_refused(&(struct ft_in){
        .kind = FT_IN_CHUNK, .offset = UINT64_MAX, .total = UINT64_MAX, .data = FT_BYTES("ab", 2) });
    assert_refused(
        &(struct ft_in){ .kind = FT_IN_CHUNK, .total = UINT64_MAX, .data = FT_BYTES(big, sizeof big) });
    assert_refused(&(struct ft_in){ .kind = FT_IN_WANT, .size = 0 });
    assert_refused(&(struct ft_in){ .kind = FT_IN_WANT, .size = FT_CHUNK_MAX + 1 });
    assert_refused(&(struct ft_in){ .kind = FT_IN_FAILED, .status = FT_OK });
    assert_refused(&(struct ft_in){ .kind = FT_IN_FAILED, .status = (enum ft_status)4711 });
}

/* Random bytes, and every message cut at each byte, give a status and leave nothing behind. */
static void
any_bytes_are_safe(void **ctx)
{
    struct ft_env_seeded env;
    uint8_t bytes[96];
    struct ft_in in;
    struct ft_out out;
    const size_t live = ft_alloc_live();
    (void)ctx;
    ft_env_seeded_init(&env, 7, 1);
    for (int i = 0; i < 20000; i++) {
        const size_t size = (size_t)ft_random_below(&env.env, sizeof bytes);
        env.env.random(env.env.ctx, bytes, size);
        if (ft_in_decode(FT_BYTES(bytes, size), &in) == FT_OK)
            ft_in_clear(&in);
        if (ft_out_decode(FT_BYTES(bytes, size), &out) == FT_OK)
            ft_out_clear(&out);
    }
    for (size_t m = 0; m < sizeof ins / sizeof ins[0]; m++) {
        struct ft_buf b = { 0 };
        assert_int_equal(ft_in_encode(&ins[m], &b), FT_OK);
        for (size_t cut = 0; cut < b.size; cut++)
            if (ft_in_decode(FT_BYTES(b.data, cut), &in) == FT_OK)
                ft_in_clear(&in);
        ft_buf_clear(&b);
    }
    assert_int_equal(ft_alloc_live(), live);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_survive_the_wire),
        cmocka_unit_test(lies_of_a_courier_are_refused),
        cmocka_unit_test(any_bytes_are_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
