#include "tests/bench/secure_sum/link.h"
#include "tests/bench/secure_sum/measure.h"

#include <sys/uio.h>
#include <unistd.h>

void
bench_send(int fd, struct bench_frame frame, struct ft_bytes payload)
{
    size_t sent = 0;
    frame.size = (uint32_t)payload.size;
    while (sent < sizeof frame + payload.size) {
        struct iovec parts[2];
        ssize_t n;
        int count = 0;
        if (sent < sizeof frame)
            parts[count++] = (struct iovec){ (uint8_t *)&frame + sent, sizeof frame - sent };
        if (payload.size > 0) {
            const size_t from = sent < sizeof frame ? 0 : sent - sizeof frame;
            parts[count].iov_base =
                (void *)(uintptr_t)(payload.data + from); /* writev does not write to it */
            parts[count++].iov_len = payload.size - from;
        }
        n = writev(fd, parts, count);
        if (n <= 0)
            bench_die("the other process is gone");
        sent += (size_t)n;
    }
}

static bool
read_all(int fd, void *out, size_t size)
{
    for (size_t at = 0; at < size;) {
        const ssize_t n = read(fd, (uint8_t *)out + at, size - at);
        if (n < 0 || (n == 0 && at > 0))
            bench_die("the other process is gone");
        if (n == 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

bool
bench_receive(int fd, struct bench_frame *frame, struct ft_buf *payload)
{
    if (!read_all(fd, frame, sizeof *frame))
        return false;
    payload->size = 0;
    bench_must(ft_buf_reserve(payload, frame->size), "frame");
    if (frame->size > 0 && !read_all(fd, payload->data, frame->size))
        bench_die("the other process is gone");
    payload->size = frame->size;
    return true;
}
