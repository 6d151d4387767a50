#include "client/link/link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define SLICE_MS 100               /* a stop flag raised just before poll() is seen after this */
#define KEEP_MAX ((size_t)2 << 20) /* a larger read buffer is given back after its frame */
#define SOCKET_BYTES (1 << 20)     /* a chunk fits, so that its two ends need not take turns */

enum ft_status
ft_link_pair(int fds[2], struct ft_error *err)
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
        return ft_fail(err, FT_ERR_IO, "socketpair: %s", strerror(errno));
    for (int i = 0; i < 2; i++) /* as much of it as the system grants */
        (void)setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &(int){ SOCKET_BYTES }, sizeof(int));
    return FT_OK;
}

enum ft_status
ft_link_open(struct ft_link *link, int fd, size_t receive_max, const volatile sig_atomic_t *stop)
{
    const int flags = fcntl(fd, F_GETFL);
    *link = (struct ft_link){ .fd = fd, .receive_max = receive_max, .stop = stop, .drained = true };
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

/* Write all of the parts; the list is used up. */
static enum ft_status
write_all(struct ft_link *link, struct iovec *part, int count)
{
    while (count > 0) {
        const ssize_t n = writev(link->fd, part, count);
        if (n >= 0) {
            size_t done = (size_t)n;
            for (; count > 0 && done >= part->iov_len; part++, count--)
                done -= part->iov_len;
            if (count > 0) {
                part->iov_base = (uint8_t *)part->iov_base + done;
                part->iov_len -= done;
            }
        } else if (errno == EAGAIN) {
            const enum ft_status st = wait_for(link, POLLOUT, UINT64_MAX);
            if (st != FT_OK)
                return st;
        } else if (errno != EINTR) {
            return errno == EPIPE || errno == ECONNRESET ? FT_ERR_PEER : FT_ERR_IO;
        }
    }
    return FT_OK;
}

static struct iovec
as_part(struct ft_bytes b)
{
    return (struct iovec){ .iov_base = (void *)(uintptr_t)b.data, .iov_len = b.size };
}

enum ft_status
ft_link_send_parts(struct ft_link *link, struct ft_bytes head, struct ft_bytes data)
{
    uint8_t length[4];
    struct iovec parts[] = { { length, sizeof length }, as_part(head), as_part(data) };
    if (head.size > UINT32_MAX || data.size > UINT32_MAX - head.size)
        return FT_ERR_LIMIT;
    ft_put_u32(length, (uint32_t)(head.size + data.size));
    return write_all(link, parts, 3);
}

enum ft_status
ft_link_send(struct ft_link *link, struct ft_bytes frame)
{
    return ft_link_send_parts(link, frame, FT_BYTES(NULL, 0));
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
    link->drained = *got < size;
    return FT_OK;
}

/* What was read ahead, up to `want` bytes. */
static size_t
take_ahead(struct ft_link *link, uint8_t *to, size_t want)
{
    const size_t there = link->ahead_end - link->ahead_at, n = there < want ? there : want;
    if (n > 0)
        memcpy(to, link->ahead + link->ahead_at, n);
    link->ahead_at += n;
    return n;
}

/* Go on with the frame from what is here; *whole when all of it is. */
static enum ft_status
assemble(struct ft_link *link, bool *whole)
{
    enum ft_status st = FT_OK;
    if (link->head_have < sizeof link->head) {
        link->head_have += take_ahead(link, link->head + link->head_have, sizeof link->head - link->head_have);
        if (link->head_have < sizeof link->head)
            return FT_OK;
        link->in_want = ft_get_u32(link->head);
    }
    if (link->in_want > link->receive_max)
        return FT_ERR_LIMIT;
    FT_TRY(ft_buf_reserve(&link->in, link->in_want - link->in.size + 1)); /* + 1: never NULL */
    link->in.size += take_ahead(link, link->in.data + link->in.size, link->in_want - link->in.size);
    *whole = link->in.size == link->in_want;
out:
    return st;
}

enum ft_status
ft_link_receive(struct ft_link *link, uint32_t wait_ms, struct ft_bytes *frame)
{
    const uint64_t end = wait_ms == UINT32_MAX ? UINT64_MAX : now_ms() + wait_ms;
    enum ft_status st;
    bool whole = false;

    if (link->head_have == 0) {
        if (link->in.capacity > KEEP_MAX)
            ft_buf_clear(&link->in);
        link->in.size = 0;
    }
    for (;;) {
        size_t got = 0;
        FT_TRY(assemble(link, &whole));
        if (whole)
            break;
        if (link->drained)
            FT_TRY(wait_for(link, POLLIN, end));
        const size_t missing = link->head_have == sizeof link->head ? link->in_want - link->in.size : 0;
        if (missing > sizeof link->ahead) { /* nothing is left in `ahead` */
            FT_TRY(read_some(link, link->in.data + link->in.size, missing, &got));
            link->in.size += got;
        } else {
            link->ahead_at = link->ahead_end = 0;
            FT_TRY(read_some(link, link->ahead, sizeof link->ahead, &link->ahead_end));
        }
    }
    link->head_have = 0;
    *frame = FT_BYTES(link->in.data, link->in.size);
out:
    return st;
}
