#include "client/link/link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SLICE_MS 100               /* a stop flag raised just before poll() is seen after this */
#define KEEP_MAX ((size_t)2 << 20) /* a larger read buffer is given back after its frame */

enum ft_status
ft_link_pair(int fds[2], struct ft_error *err)
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
        return ft_fail(err, FT_ERR_IO, "socketpair: %s", strerror(errno));
    return FT_OK;
}

enum ft_status
ft_link_open(struct ft_link *link, int fd, size_t receive_max, const volatile sig_atomic_t *stop)
{
    const int flags = fcntl(fd, F_GETFL);
    *link = (struct ft_link){ .fd = fd, .receive_max = receive_max, .stop = stop };
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
        return FT_ERR_IO;
    return FT_OK;
}

void
ft_link_close(struct ft_link *link)
{
    if (link->fd >= 0)
        close(link->fd);
    link->fd = -1;
    ft_buf_clear(&link->in);
}

static uint64_t
now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Wait for an event until `end`; UINT64_MAX waits for ever. */
static enum ft_status
wait_for(struct ft_link *link, short events, uint64_t end)
{
    for (;;) {
        struct pollfd p = { .fd = link->fd, .events = events };
        const uint64_t now = now_ms();
        if (link->stop != NULL && *link->stop)
            return FT_ERR_CANCELLED;
        const int rc = poll(&p, 1, end <= now ? 0 : (int)(end - now < SLICE_MS ? end - now : SLICE_MS));
        if (rc > 0)
            return FT_OK; /* POLLHUP and POLLERR too: the next read or write tells */
        if (rc < 0 && errno != EINTR)
            return FT_ERR_IO;
        if (rc == 0 && end <= now)
            return FT_ERR_TIMEOUT;
    }
}

static enum ft_status
write_all(struct ft_link *link, const uint8_t *data, size_t size)
{
    while (size > 0) {
        const ssize_t n = write(link->fd, data, size);
        if (n > 0) {
            data += n;
            size -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            const enum ft_status st = wait_for(link, POLLOUT, UINT64_MAX);
            if (st != FT_OK)
                return st;
        } else if (n < 0 && errno != EINTR) {
            return errno == EPIPE || errno == ECONNRESET ? FT_ERR_PEER : FT_ERR_IO;
        }
    }
    return FT_OK;
}

enum ft_status
ft_link_send(struct ft_link *link, struct ft_bytes frame)
{
    uint8_t head[4];
    if (frame.size > UINT32_MAX)
        return FT_ERR_LIMIT;
    ft_put_u32(head, (uint32_t)frame.size);
    const enum ft_status st = write_all(link, head, sizeof head);
    return st == FT_OK ? write_all(link, frame.data, frame.size) : st;
}

/* Read once into `to`; *got is 0 when nothing is there yet. */
static enum ft_status
read_some(struct ft_link *link, uint8_t *to, size_t size, size_t *got)
{
    const ssize_t n = read(link->fd, to, size);
    *got = 0;
    if (n > 0)
        *got = (size_t)n;
    else if (n == 0)
        return FT_ERR_PEER;
    else if (errno == ECONNRESET)
        return FT_ERR_PEER;
    else if (errno != EAGAIN && errno != EINTR)
        return FT_ERR_IO;
    return FT_OK;
}

enum ft_status
ft_link_receive(struct ft_link *link, uint32_t wait_ms, struct ft_bytes *frame)
{
    const uint64_t end = wait_ms == UINT32_MAX ? UINT64_MAX : now_ms() + wait_ms;
    enum ft_status st;
    size_t got;

    if (link->head_have == 0) {
        if (link->in.capacity > KEEP_MAX)
            ft_buf_clear(&link->in);
        link->in.size = 0;
    }
    for (;;) {
        if (link->head_have < sizeof link->head) {
            FT_TRY(read_some(link, link->head + link->head_have, sizeof link->head - link->head_have, &got));
            link->head_have += got;
            if (link->head_have == sizeof link->head) {
                link->in_want = ft_get_u32(link->head);
                if (link->in_want > link->receive_max) {
                    st = FT_ERR_LIMIT;
                    goto out;
                }
                FT_TRY(ft_buf_reserve(&link->in, link->in_want + 1)); /* + 1: never NULL */
            }
        } else if (link->in.size < link->in_want) {
            FT_TRY(read_some(link, link->in.data + link->in.size, link->in_want - link->in.size, &got));
            link->in.size += got;
        }
        if (link->head_have == sizeof link->head && link->in.size == link->in_want) {
            link->head_have = 0;
            *frame = FT_BYTES(link->in.data, link->in.size);
            return FT_OK;
        }
        if (got == 0)
            FT_TRY(wait_for(link, POLLIN, end));
    }
out:
    return st;
}
