#include "tests/support/relay.h"
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LINES = 16, LOOK_MS = 5 };

struct line {
    int client, server; /* -1: free */
};

struct relay {
    pthread_t thread;
    int listener;
    uint16_t port, server_port;
    struct line lines[LINES];
    atomic_int accepted, turn_away;
    atomic_bool cut, silent, done;
};

static int
dial(uint16_t port)
{
    const struct sockaddr_in at = { .sin_family = AF_INET,
                                    .sin_port = htons(port),
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&at, sizeof at) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static void
hang_up(struct line *l)
{
    if (l->client >= 0)
        close(l->client);
    if (l->server >= 0)
        close(l->server);
    l->client = l->server = -1;
}

static void
take_connection(struct relay *r)
{
    struct line *l = NULL;
    const int fd = accept(r->listener, NULL, NULL);

    if (fd < 0)
        return;
    for (size_t i = 0; i < LINES && l == NULL; i++)
        if (r->lines[i].client < 0)
            l = &r->lines[i];
    atomic_fetch_add(&r->accepted, 1);
    if (l == NULL || atomic_load(&r->turn_away) > 0) {
        if (l != NULL)
            atomic_fetch_sub(&r->turn_away, 1);
        close(fd);
        return;
    }
    *l = (struct line){ fd, dial(r->server_port) };
    if (l->server < 0)
        hang_up(l);
}

/* What one end has said goes to the other; false when one of them has hung up. */
static bool
carry(int from, int to)
{
    char bytes[16384];
    const ssize_t n = recv(from, bytes, sizeof bytes, MSG_DONTWAIT);

    for (ssize_t sent = 0, m; sent < n; sent += m) {
        m = send(to, bytes + sent, (size_t)(n - sent), MSG_NOSIGNAL);
        if (m <= 0)
            return false;
    }
    return n != 0;
}

static void *
relay_run(void *arg)
{
    struct relay *r = arg;

    while (!atomic_load(&r->done)) {
        struct pollfd fds[1 + 2 * LINES] = { { r->listener, POLLIN, 0 } };
        const bool cut = atomic_load(&r->cut), silent = atomic_load(&r->silent);
        for (size_t i = 0; i < LINES; i++) {
            fds[1 + 2 * i] = (struct pollfd){ r->lines[i].client, POLLIN, 0 };
            fds[2 + 2 * i] = (struct pollfd){ r->lines[i].server, POLLIN, 0 };
        }
        (void)poll(fds, silent ? 0 : 1 + 2 * LINES, LOOK_MS);
        for (size_t i = 0; i < LINES && !silent; i++) {
            struct line *l = &r->lines[i];
            if (cut || (fds[1 + 2 * i].revents != 0 && !carry(l->client, l->server)) ||
                (fds[2 + 2 * i].revents != 0 && !carry(l->server, l->client)))
                hang_up(l);
        }
        if (cut)
            atomic_store(&r->cut, false);
        if (fds[0].revents != 0)
            take_connection(r);
    }
    return NULL;
}

struct relay *
relay_open(uint16_t server_port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof at;
    struct relay *r = calloc(1, sizeof *r);

    assert_non_null(r);
    r->server_port = server_port;
    for (size_t i = 0; i < LINES; i++)
        r->lines[i] = (struct line){ -1, -1 };
    r->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(r->listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(r->listener, LINES), 0);
    assert_int_equal(getsockname(r->listener, (struct sockaddr *)&at, &size), 0);
    r->port = ntohs(at.sin_port);
    assert_int_equal(pthread_create(&r->thread, NULL, relay_run, r), 0);
    return r;
}

uint16_t
relay_port(const struct relay *r)
{
    return r->port;
}

int
relay_accepted(const struct relay *r)
{
    return atomic_load(&r->accepted);
}

void
relay_cut(struct relay *r, int turned_away)
{
    atomic_store(&r->turn_away, turned_away);
    atomic_store(&r->cut, true);
    while (atomic_load(&r->cut))
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

void
relay_silence(struct relay *r)
{
    atomic_store(&r->silent, true);
}

void
relay_close(struct relay *r)
{
    atomic_store(&r->done, true);
    pthread_join(r->thread, NULL);
    for (size_t i = 0; i < LINES; i++)
        hang_up(&r->lines[i]);
    close(r->listener);
    free(r);
}
