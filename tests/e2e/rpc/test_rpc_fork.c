/* A program may fork before it opens a server or channel; each side then has a gRPC of its own. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/e2e/rpc/world.h"
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct told {
    char target[32];
    size_t ca_size, cert_size, key_size;
};

static void
tell(int fd, const void *data, size_t size)
{
    assert_int_equal(write(fd, data, size), (ssize_t)size); /* far below a pipe's capacity */
}

static void
hear(int fd, struct ft_buf *out, size_t size)
{
    if (ft_buf_reserve(out, size) != FT_OK || read(fd, out->data, size) != (ssize_t)size)
        _exit(10);
    out->size = size;
}

/* The child: what a courier is. Exit code 0 only if a call came through. */
static int
child(int fd)
{
    static struct world w;
    struct identity id = { { 0 }, { 0 } };
    struct told told;
    struct ft_rpc_channel *ch;
    struct ft_buf out = { 0 };
    enum ft_status st;

    if (read(fd, &told, sizeof told) != (ssize_t)sizeof told)
        return 11;
    memcpy(w.target, told.target, sizeof w.target);
    hear(fd, &w.ca_cert, told.ca_size);
    hear(fd, &id.cert, told.cert_size);
    hear(fd, &id.key, told.key_size);
    ch = world_channel(&w, &id);
    st = ft_rpc_unary(ch, ECHO, FT_BYTES("hello", 5), PATIENCE_MS, &out, NULL);
    ft_rpc_channel_close(ch);
    ft_buf_clear(&out);
    ft_buf_clear(&w.ca_cert);
    identity_clear(&id);
    return st == FT_OK ? 0 : 12;
}

/* Parent and child fork first; then the parent serves and the child calls. */
static void
fork_before_open_leaves_both_sides_working(void **state)
{
    static struct world w;
    int pipes[2][2], status;
    pid_t pids[2];
    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pipe(pipes[i]), 0);
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0)
            _exit(child(pipes[i][0]));
    }
    world_open(&w);
    for (int i = 0; i < 2; i++) {
        struct told told = { .ca_size = w.ca_cert.size,
                             .cert_size = w.shop.cert.size,
                             .key_size = w.shop.key.size };
        memcpy(told.target, w.target, sizeof told.target);
        tell(pipes[i][1], &told, sizeof told);
        tell(pipes[i][1], w.ca_cert.data, w.ca_cert.size);
        tell(pipes[i][1], w.shop.cert.data, w.shop.cert.size);
        tell(pipes[i][1], w.shop.key.data, w.shop.key.size);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        close(pipes[i][0]);
        close(pipes[i][1]);
    }
    assert_int_equal(atomic_load(&w.handled), 2);
    world_close(&w, 1000);
}

/* gRPC can be opened again in the same process after everything was closed. */
static void
open_after_everything_was_closed_works(void **state)
{
    static struct world w;
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct ft_rpc_channel *ch;
        world_open(&w);
        ch = world_channel(&w, &w.shop);
        assert_int_equal(echo(ch, ECHO, NULL), FT_OK);
        ft_rpc_channel_close(ch);
        world_close(&w, 0);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fork_before_open_leaves_both_sides_working),
        cmocka_unit_test(open_after_everything_was_closed_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
