/* Uploads: bounded slots, resumed where they broke, counted whole or not at all, once. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "world.h"

#include "common/secure_sum/client_internal.h"
#include "common/secure_sum/server_internal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/* Nobody's upload is sent by the pump. */
static void
open_at_collecting(struct world *w, uint32_t dim)
{
    struct world_options o = world_options(81, 6, 1, 1);
    o.dim = dim;
    o.slots = 2;
    world_open(w, &o);
    for (uint32_t i = 0; i < o.shops; i++)
        w->shops[i].silent_at = FT_SS_STEP_MASKED;
    for (int turn = 0; turn < 10; turn++)
        world_pump(w);
    assert_int_equal(ft_ss_server_phase(w->server), FT_SS_COLLECTING);
    for (uint32_t i = 0; i < o.shops; i++) {
        w->shops[i].silent_at = FT_SS_STEP_NONE;
        assert_int_equal(ft_ss_client_state(w->shops[i].client), FT_SS_CLIENT_MASKED);
    }
}

static struct ft_ss_upload
upload_of(const struct world *w, uint32_t id)
{
    struct ft_ss_upload upload;
    assert_true(ft_ss_client_upload(w->shops[id].client, &upload));
    return upload;
}

static enum ft_status
begin(struct world *w, uint32_t id, struct ft_ss_slot_ref *slot, uint64_t *offset)
{
    return ft_ss_server_upload_begin(w->server, id, upload_of(w, id).header, slot, offset);
}

static enum ft_status
chunk(struct world *w, uint32_t id, struct ft_ss_slot_ref slot, uint64_t offset, size_t size)
{
    return ft_ss_server_upload_chunk(w->server, slot, offset,
                                     FT_BYTES(upload_of(w, id).words.data + offset, size));
}

/* No more uploads in flight than slots: the next client is told LATER, and gets the slot when one ends or
 * idles out. */
static void
secure_sum_uploads_in_flight_are_bounded(void **state)
{
    struct world w;
    struct ft_ss_slot_ref slot[3];
    struct ft_ss_server_counts counts;
    uint64_t offset;
    (void)state;
    open_at_collecting(&w, 64);
    assert_int_equal(begin(&w, 0, &slot[0], &offset), FT_OK);
    assert_int_equal(begin(&w, 1, &slot[1], &offset), FT_OK);
    assert_int_equal(begin(&w, 2, &slot[2], &offset), FT_ERR_LATER);
    ft_ss_server_counts(w.server, &counts);
    assert_int_equal(counts.slots_used, 2);

    assert_int_equal(chunk(&w, 0, slot[0], 0, upload_of(&w, 0).words.size), FT_OK);
    assert_int_equal(ft_ss_server_upload_end(w.server, slot[0], upload_of(&w, 0).trailer), FT_OK);
    assert_int_equal(begin(&w, 2, &slot[2], &offset), FT_OK);

    world_advance(&w, 9999); /* slot 1 has made no progress for less than 10 s */
    assert_int_equal(chunk(&w, 2, slot[2], 0, 8), FT_OK);
    assert_int_equal(ft_ss_server_tick(w.server), FT_OK);
    assert_int_equal(begin(&w, 3, &slot[0], &offset), FT_ERR_LATER);
    world_advance(&w, 1);
    assert_int_equal(ft_ss_server_tick(w.server), FT_OK);
    assert_int_equal(begin(&w, 3, &slot[0], &offset), FT_OK);
    assert_int_equal(chunk(&w, 1, slot[1], 0, 8), FT_ERR_STATE); /* it has lost its slot */
    assert_int_equal(chunk(&w, 2, slot[2], 8, 8), FT_OK);
    ft_ss_server_upload_drop(w.server, slot[2], false); /* kept for a resume */
    assert_int_equal(begin(&w, 1, &slot[1], &offset), FT_ERR_LATER);
    ft_ss_server_upload_drop(w.server, slot[0], true);
    assert_int_equal(begin(&w, 1, &slot[1], &offset), FT_OK);
    world_close(&w);
}

/* A sender that trickles byte after byte is never idle, and gives its slot up all the same: others get their
 * turn. */
static void
secure_sum_trickling_upload_gives_way(void **state)
{
    struct world w;
    struct ft_ss_slot_ref slow[2], slot;
    uint64_t offset, at = 0;
    (void)state;
    open_at_collecting(&w, 50);
    assert_int_equal(begin(&w, 0, &slow[0], &offset), FT_OK);
    assert_int_equal(begin(&w, 1, &slow[1], &offset), FT_OK);
    while (w.env.now < 100000 && ft_ss_server_phase(w.server) == FT_SS_COLLECTING) {
        world_advance(&w, 5000);
        assert_int_equal(ft_ss_server_tick(w.server), FT_OK);
        if (begin(&w, 2, &slot, &offset) == FT_OK)
            break;
        assert_int_equal(chunk(&w, 0, slow[0], at, 1), FT_OK);
        assert_int_equal(chunk(&w, 1, slow[1], at++, 1), FT_OK);
    }
    assert_int_equal(ft_ss_server_phase(w.server), FT_SS_COLLECTING); /* in good time */
    assert_true(at > 2);
    assert_int_equal(chunk(&w, 0, slow[0], at, 1), FT_ERR_STATE);
    world_close(&w);
}

/* A broken stream goes on where it stopped, under a new hold; the old stream can no longer write. */
static void
secure_sum_upload_is_resumed_where_it_broke(void **state)
{
    struct world w;
    struct ft_ss_slot_ref old, slot;
    uint64_t offset;
    size_t size;
    (void)state;
    open_at_collecting(&w, 300);
    size = upload_of(&w, 4).words.size;
    assert_int_equal(begin(&w, 4, &old, &offset), FT_OK);
    assert_int_equal(offset, 0);
    assert_int_equal(chunk(&w, 4, old, 0, 13), FT_OK);
    assert_int_equal(chunk(&w, 4, old, 13, 100), FT_OK);
    assert_int_equal(begin(&w, 4, &slot, &offset), FT_OK);
    assert_int_equal(offset, 113);
    assert_int_equal(chunk(&w, 4, old, 113, 1), FT_ERR_STATE);
    assert_int_equal(ft_ss_server_upload_end(w.server, old, upload_of(&w, 4).trailer), FT_ERR_STATE);
    assert_int_equal(chunk(&w, 4, slot, 0, 13), FT_ERR_ARGUMENT); /* not the next byte */
    assert_int_equal(chunk(&w, 4, slot, 114, 1), FT_ERR_ARGUMENT);
    assert_int_equal(ft_ss_server_upload_end(w.server, slot, upload_of(&w, 4).trailer),
                     FT_ERR_STATE); /* not all */
    assert_int_equal(chunk(&w, 4, slot, 113, size - 113), FT_OK);
    assert_int_equal(chunk(&w, 4, slot, size, 1), FT_ERR_LIMIT);
    assert_int_equal(ft_ss_server_upload_end(w.server, slot, upload_of(&w, 4).trailer), FT_OK);
    assert_int_equal(begin(&w, 4, &slot, &offset), FT_ERR_DUPLICATE); /* counted */
    world_run(&w);
    world_check_sum(&w, 6);
    world_close(&w);
}

/* A vector that does not fit its digest, or a trailer not signed by its shop, never touches the sum; sent
 * anew it counts. */
static void
secure_sum_damaged_upload_never_touches_the_sum(void **state)
{
    (void)state;
    for (int c = 0; c < 4; c++) {
        struct world w;
        struct ft_ss_slot_ref slot;
        struct ft_ss_upload upload;
        struct ft_buf words = { 0 }, trailer = { 0 };
        uint64_t offset;
        open_at_collecting(&w, 50);
        upload = upload_of(&w, 2);
        assert_int_equal(ft_buf_append(&words, upload.words.data, upload.words.size), FT_OK);
        assert_int_equal(ft_buf_append(&trailer, upload.trailer.data, upload.trailer.size), FT_OK);
        if (c == 0)
            words.data[words.size - 1] ^= 0x80;
        if (c == 1)
            trailer.data[trailer.size - 1] ^= 1; /* signature */
        if (c == 2)
            trailer.data[5] ^= 1; /* digest */
        if (c == 3) {
            ft_buf_clear(&trailer); /* another shop's */
            assert_int_equal(ft_buf_append(&trailer, upload_of(&w, 3).trailer.data, upload.trailer.size),
                             FT_OK);
        }
        assert_int_equal(begin(&w, 2, &slot, &offset), FT_OK);
        assert_int_equal(ft_ss_server_upload_chunk(w.server, slot, 0, ft_buf_bytes(&words)), FT_OK);
        assert_int_equal(ft_ss_server_upload_end(w.server, slot, ft_buf_bytes(&trailer)), FT_ERR_VERIFY);
        assert_null(w.server->sum); /* not even made */
        assert_int_equal(ft_ss_server_upload_end(w.server, slot, upload.trailer), FT_ERR_STATE);
        assert_int_equal(begin(&w, 2, &slot, &offset), FT_OK);
        assert_int_equal(offset, 0);
        ft_buf_clear(&words);
        ft_buf_clear(&trailer);
        world_run(&w);
        world_check_sum(&w, 6);
        world_close(&w);
    }
}

/* Headers that lie about the shop, the session or the size; shops that are not in S; and uploads that come
 * too late. */
static void
secure_sum_upload_that_is_not_awaited_is_refused(void **state)
{
    struct world w;
    struct ft_ss_header header = { .id = 2 };
    struct ft_ss_slot_ref slot = { 0 };
    struct ft_buf bytes = { 0 };
    uint64_t offset;
    (void)state;
    open_at_collecting(&w, 50);
    memcpy(header.t0, w.server->t[0], 32);
    memcpy(header.t2, w.server->t[2], 32);
    header.words = w.codec.words;
    for (int c = 0; c < 6; c++) {
        static const enum ft_status expected[] = { FT_OK,         FT_ERR_FORMAT, FT_ERR_FORMAT,
                                                   FT_ERR_FORMAT, FT_ERR_STATE,  FT_ERR_STATE };
        struct ft_ss_header h = header;
        h.id = c == 1 ? 3 : 2;
        h.words += c == 2 ? 1 : c == 3 ? UINT64_MAX : 0;
        h.t0[0] ^= (uint8_t)(c == 4);
        h.t2[0] ^= (uint8_t)(c == 5);
        ft_buf_clear(&bytes);
        assert_int_equal(ft_ss_header_encode(&h, &bytes), FT_OK);
        assert_int_equal(ft_ss_server_upload_begin(w.server, 2, ft_buf_bytes(&bytes), &slot, &offset),
                         expected[c]);
        if (c == 0)
            ft_ss_server_upload_drop(w.server, slot, true);
    }
    assert_int_equal(ft_ss_server_upload_begin(w.server, 99, ft_buf_bytes(&bytes), &slot, &offset),
                     FT_ERR_NOTFOUND);
    assert_int_equal(ft_ss_server_upload_begin(w.server, 2, FT_BYTES("junk", 4), &slot, &offset),
                     FT_ERR_FORMAT);
    ft_buf_clear(&bytes);
    /* Shop 2 stays away; once U3 is fixed without it, it is too late. */
    w.shops[2].silent_at = FT_SS_STEP_MASKED;
    w.shops[2].half_upload = true;
    world_run(&w);
    world_check_sum(&w, 5);
    world_close(&w);

    open_at_collecting(&w, 50);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(begin(&w, i, &slot, &offset), FT_OK);
        assert_int_equal(chunk(&w, i, slot, 0, upload_of(&w, i).words.size), FT_OK);
        assert_int_equal(ft_ss_server_upload_end(w.server, slot, upload_of(&w, i).trailer), FT_OK);
    }
    assert_int_equal(begin(&w, 5, &slot, &offset), FT_OK);
    assert_int_equal(chunk(&w, 5, slot, 0, upload_of(&w, 5).words.size), FT_OK);
    world_advance(&w, 40000);
    assert_int_equal(ft_ss_server_tick(w.server), FT_OK);
    assert_int_equal(ft_ss_server_phase(w.server), FT_SS_CONFIRMING);
    assert_int_equal(ft_ss_server_upload_end(w.server, slot, upload_of(&w, 5).trailer), FT_ERR_STATE);
    assert_int_equal(begin(&w, 5, &slot, &offset), FT_ERR_NOTFOUND);
    world_run(&w);
    world_check_sum(&w, 5);
    world_close(&w);
}

/* After a restart a shop that signs another vector than before is refused for good; the true one is still
 * taken. */
static void
secure_sum_second_vector_of_one_round_is_refused(void **state)
{
    struct world w;
    struct ft_ss_slot_ref slot;
    struct ft_ss_trailer trailer;
    struct ft_buf words = { 0 }, bytes = { 0 };
    uint64_t offset;
    (void)state;
    open_at_collecting(&w, 50);
    assert_int_equal(begin(&w, 2, &slot, &offset), FT_OK);
    assert_int_equal(chunk(&w, 2, slot, 0, upload_of(&w, 2).words.size), FT_OK);
    assert_int_equal(ft_ss_server_upload_end(w.server, slot, upload_of(&w, 2).trailer), FT_OK);
    world_restart_server(&w, SIZE_MAX);

    assert_int_equal(ft_buf_append(&words, upload_of(&w, 2).words.data, upload_of(&w, 2).words.size), FT_OK);
    words.data[100] ^= 1;
    assert_int_equal(ft_ss_trailer_decode(upload_of(&w, 2).trailer, &trailer), FT_OK);
    assert_int_equal(ft_ss_sha256(ft_buf_bytes(&words), trailer.digest), FT_OK);
    ft_ss_trailer_sign(&trailer, w.server->t[2], 2, w.shops[2].sk);
    assert_int_equal(ft_ss_trailer_encode(&trailer, &bytes), FT_OK);
    assert_int_equal(begin(&w, 2, &slot, &offset), FT_OK);
    assert_int_equal(offset, 0);
    assert_int_equal(ft_ss_server_upload_chunk(w.server, slot, 0, ft_buf_bytes(&words)), FT_OK);
    assert_int_equal(ft_ss_server_upload_end(w.server, slot, ft_buf_bytes(&bytes)), FT_ERR_DUPLICATE);
    ft_buf_clear(&words);
    ft_buf_clear(&bytes);
    world_run(&w);
    world_check_sum(&w, 6);
    world_close(&w);
}

struct sender {
    struct world *w;
    struct ft_ss_slot_ref slot;
    uint32_t id;
    atomic_bool done;
    enum ft_status st;
};

static void *
send_chunks(void *arg)
{
    struct sender *s = arg;
    const size_t size = upload_of(s->w, s->id).words.size;
    s->st = FT_OK;
    for (size_t at = 0; at < size && s->st == FT_OK; at += 1024)
        s->st = chunk(s->w, s->id, s->slot, at, size - at < 1024 ? size - at : 1024);
    atomic_store(&s->done, true);
    return NULL;
}

/* Chunks arrive on threads of their own while the session is used under its lock, and a slot may be taken
 * over meanwhile. */
static void
secure_sum_chunks_need_no_lock(void **state)
{
    struct world w;
    struct sender senders[2] = { { 0 } };
    pthread_t threads[2];
    uint64_t offset;
    (void)state;
    open_at_collecting(&w, 200000);
    for (uint32_t i = 0; i < 2; i++) {
        senders[i].w = &w;
        senders[i].id = i;
        assert_int_equal(begin(&w, i, &senders[i].slot, &offset), FT_OK);
        assert_int_equal(pthread_create(&threads[i], NULL, send_chunks, &senders[i]), 0);
    }
    while (!atomic_load(&senders[0].done) || !atomic_load(&senders[1].done)) {
        struct ft_ss_slot_ref slot;
        struct ft_ss_server_counts counts;
        assert_int_equal(ft_ss_server_tick(w.server), FT_OK);
        ft_ss_server_counts(w.server, &counts);
        assert_int_equal(counts.slots_used, 2);
        assert_int_equal(begin(&w, 2, &slot, &offset), FT_ERR_LATER);
        assert_true(ft_ss_server_next_deadline(w.server) > 0);
    }
    for (uint32_t i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(senders[i].st, FT_OK);
        assert_int_equal(ft_ss_server_upload_end(w.server, senders[i].slot, upload_of(&w, i).trailer), FT_OK);
    }
    world_run(&w);
    world_check_sum(&w, 6);
    world_close(&w);
}

/* What the aggregator keeps is one sum and the slots, not a vector a client; both go when they are no longer
 * needed. */
static void
secure_sum_aggregator_keeps_one_sum_and_the_slots(void **state)
{
    struct world w;
    uint32_t made = 0;
    (void)state;
    open_at_collecting(&w, 50);
    for (uint32_t i = 0; i < 5; i++) {
        struct ft_ss_slot_ref slot;
        uint64_t offset;
        assert_int_equal(begin(&w, i, &slot, &offset), FT_OK);
        assert_int_equal(chunk(&w, i, slot, 0, upload_of(&w, i).words.size), FT_OK);
        assert_int_equal(ft_ss_server_upload_end(w.server, slot, upload_of(&w, i).trailer), FT_OK);
    }
    for (uint32_t i = 0; i < w.server->config.slots; i++)
        made += w.server->slots[i].words != NULL;
    assert_int_equal(made, 1); /* one after another needs one slot's memory */
    world_run(&w);
    world_check_sum(&w, 6);
    for (uint32_t i = 0; i < w.server->config.slots; i++)
        assert_null(w.server->slots[i].words);
    for (uint32_t i = 0; i < w.options.shops; i++) { /* published: nothing rebuilt or received is left */
        assert_null(w.server->clients[i].revealed);
        assert_null(w.server->clients[i].repair);
    }
    assert_null(w.server->job.applied);
    world_close(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secure_sum_uploads_in_flight_are_bounded),
        cmocka_unit_test(secure_sum_trickling_upload_gives_way),
        cmocka_unit_test(secure_sum_upload_is_resumed_where_it_broke),
        cmocka_unit_test(secure_sum_damaged_upload_never_touches_the_sum),
        cmocka_unit_test(secure_sum_upload_that_is_not_awaited_is_refused),
        cmocka_unit_test(secure_sum_second_vector_of_one_round_is_refused),
        cmocka_unit_test(secure_sum_chunks_need_no_lock),
        cmocka_unit_test(secure_sum_aggregator_keeps_one_sum_and_the_slots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
