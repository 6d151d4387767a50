/*
 * Frames over the socket pair: u32 length, little-endian, then that many bytes. A frame longer than the
 * reader's limit ends the link before memory is taken for it. No descriptor is ever passed. Works with read and
 * writev alone, which is all the vault may call.
 */
#ifndef FT_LINK_LINK_H
#define FT_LINK_LINK_H

#include "common/base/buf.h"
#include "common/base/status.h"
#include <signal.h>
#include <stdbool.h>

struct ft_link {
    int fd;                            /* non-blocking; owned */
    size_t receive_max;                /* limit of a frame from the peer */
    const volatile sig_atomic_t *stop; /* not 0: send and receive end with CANCELLED; NULL: never */
    struct ft_buf in;                  /* the frame being read; reused */
    size_t in_want;                    /* its size once known, else 0 */
    uint8_t head[4];
    size_t head_have;
    bool drained; /* the last read took all there was: wait before the next */
    size_t ahead_at, ahead_end;
    uint8_t ahead[4096]; /* read ahead: a small frame costs one read */
};

/* Two connected ends. Errors: IO. */
FT_NODISCARD enum ft_status ft_link_pair(int fds[2], struct ft_error *err);

FT_NODISCARD enum ft_status ft_link_open(struct ft_link *link, int fd, size_t receive_max,
                                         const volatile sig_atomic_t *stop);
void ft_link_close(struct ft_link *link);

/* Errors: PEER (the other side has gone), CANCELLED, LIMIT, IO. */
FT_NODISCARD enum ft_status ft_link_send(struct ft_link *link, struct ft_bytes frame);
/* A frame in two parts, so that long data need not be copied behind its head. */
FT_NODISCARD enum ft_status ft_link_send_parts(struct ft_link *link, struct ft_bytes head, struct ft_bytes data);

/* The next frame, borrowed until the next call. A frame that is only partly here when the time is over is
 * kept and continued. Errors: TIMEOUT (wait_ms passed), PEER, CANCELLED, LIMIT (frame above the limit),
 * NOMEM, IO. */
FT_NODISCARD enum ft_status ft_link_receive(struct ft_link *link, uint32_t wait_ms, struct ft_bytes *frame);

#endif
