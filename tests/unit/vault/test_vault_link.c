#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "client/link/link.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static volatile sig_atomic_t stop;

static int
open_pair(struct ft_link *a, int *b, size_t limit)
{
    int fds[2];
    stop = 0;
    assert_int_equal(ft_link_pair(fds, NULL), FT_OK);
    assert_int_equal(ft_link_open(a, fds[0], limit, &stop), FT_OK);
    *b = fds[1];
    return 0;
}

static void
raw(int fd, const void *bytes, size_t size)
{
    assert_int_equal(write(fd, bytes, size), size);
}

/* A frame arrives whole and as it was, an empty one too. */
static void
frames_arrive_as_they_were_sent(void **ctx)
{
    struct ft_link a, b;
    struct ft_bytes got;
    int fds[2];
    (void)ctx;
    assert_int_equal(ft_link_pair(fds, NULL), FT_OK);
    assert_int_equal(ft_link_open(&a, fds[0], 100, NULL), FT_OK);
    assert_int_equal(ft_link_open(&b, fds[1], 100, NULL), FT_OK);
    assert_int_equal(ft_link_send(&a, FT_BYTES("hello", 5)), FT_OK);
    assert_int_equal(ft_link_send(&a, FT_BYTES("", 0)), FT_OK);
    assert_int_equal(ft_link_receive(&b, 1000, &got), FT_OK);
    assert_int_equal(got.size, 5);
    assert_memory_equal(got.data, "hello", 5);
    assert_int_equal(ft_link_receive(&b, 1000, &got), FT_OK);
    assert_int_equal(got.size, 0);
    ft_link_close(&a);
    ft_link_close(&b);
}

/* Frames of every size around what is read ahead, several at once and in two parts, arrive in order and unchanged. */
static void
frames_of_all_sizes_follow_one_another(void **ctx)
{
    static const size_t sizes[] = { 0, 1, 4091, 4092, 4093, 4096, 4097, 8192, 70000, 3, 0, 20000, 4088, 5 };
    static uint8_t bytes[70000];
    struct ft_link a, b;
    struct ft_bytes got;
    int fds[2];
    (void)ctx;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 31 + (i >> 8));
    assert_int_equal(ft_link_pair(fds, NULL), FT_OK);
    assert_int_equal(ft_link_open(&a, fds[0], sizeof bytes, NULL), FT_OK);
    assert_int_equal(ft_link_open(&b, fds[1], sizeof bytes, NULL), FT_OK);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        assert_int_equal(ft_link_send_parts(&a, FT_BYTES(bytes, sizes[i] / 3),
                                            FT_BYTES(bytes + sizes[i] / 3, sizes[i] - sizes[i] / 3)),
                         FT_OK);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_int_equal(ft_link_receive(&b, 1000, &got), FT_OK);
        assert_int_equal(got.size, sizes[i]);
        assert_memory_equal(got.data, bytes, sizes[i]);
    }
    assert_int_equal(ft_link_receive(&b, 1, &got), FT_ERR_TIMEOUT);
    ft_link_close(&a);
    ft_link_close(&b);
}

/* A length above the limit ends the link before anything is allocated for it. */
static void
an_oversize_frame_is_refused_by_its_length_alone(void **ctx)
{
    struct ft_link a;
    struct ft_bytes got;
    int peer;
    (void)ctx;
    open_pair(&a, &peer, 100);
    raw(peer, "\xff\xff\xff\xff", 4);
    assert_int_equal(ft_link_receive(&a, 1000, &got), FT_ERR_LIMIT);
    assert_int_equal(a.in.capacity, 0);
    ft_link_close(&a);
    close(peer);
}

/* A frame that comes byte by byte is put together over several waits; none of them hangs. */
static void
a_frame_in_pieces_is_continued_after_a_timeout(void **ctx)
{
    struct ft_link a;
    struct ft_bytes got;
    int peer;
    static const char bytes[] = { 3, 0, 0, 0, 'a', 'b', 'c' };
    (void)ctx;
    open_pair(&a, &peer, 100);
    for (size_t i = 0; i + 1 < sizeof bytes; i++) {
        raw(peer, bytes + i, 1);
        assert_int_equal(ft_link_receive(&a, 1, &got), FT_ERR_TIMEOUT);
    }
    raw(peer, bytes + sizeof bytes - 1, 1);
    assert_int_equal(ft_link_receive(&a, 1000, &got), FT_OK);
    assert_memory_equal(got.data, "abc", 3);
    ft_link_close(&a);
    close(peer);
}

/* The other side's end is told as such, also in the middle of a frame. */
static void
a_peer_that_goes_is_noticed(void **ctx)
{
    struct ft_link a;
    struct ft_bytes got;
    int peer;
    (void)ctx;
    open_pair(&a, &peer, 100);
    raw(peer, "\x05\0\0\0ab", 6);
    close(peer);
    assert_int_equal(ft_link_receive(&a, 1000, &got), FT_ERR_PEER);
    ft_link_close(&a);
}

/* A raised stop flag ends a wait. */
static void
a_stop_flag_ends_the_wait(void **ctx)
{
    struct ft_link a;
    struct ft_bytes got;
    int peer;
    (void)ctx;
    open_pair(&a, &peer, 100);
    stop = 1;
    assert_int_equal(ft_link_receive(&a, UINT32_MAX, &got), FT_ERR_CANCELLED);
    ft_link_close(&a);
    close(peer);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_arrive_as_they_were_sent),
        cmocka_unit_test(frames_of_all_sizes_follow_one_another),
        cmocka_unit_test(an_oversize_frame_is_refused_by_its_length_alone),
        cmocka_unit_test(a_frame_in_pieces_is_continued_after_a_timeout),
        cmocka_unit_test(a_peer_that_goes_is_noticed),
        cmocka_unit_test(a_stop_flag_ends_the_wait),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
