/* Requests of the clients' process to the aggregator's, over a socket pair. Any failure ends the program. */
#ifndef BENCH_LINK_H
#define BENCH_LINK_H

#include "common/base/buf.h"
#include "common/base/status.h"

enum bench_op {
    BENCH_SETUP = 1, /* payload: see aggregator.c */
    BENCH_NEXT,      /* client, payload: struct ft_ss_position -> value: enum ft_ss_next, payload: message */
    BENCH_HANDLE,    /* client, payload: message -> status */
    BENCH_BEGIN,     /* client, payload: header -> value: slot index << 32 | generation */
    BENCH_CHUNK,     /* value: slot, seconds: offset in bytes, payload: words; no reply */
    BENCH_END,       /* value: slot, payload: trailer -> status */
    BENCH_EXPIRE,    /* let the phase's deadline pass */
    BENCH_PHASE,     /* -> value: enum ft_ss_phase */
    BENCH_UNMASK,    /* -> seconds */
    BENCH_FINISH,    /* -> seconds, value: enum ft_ss_phase */
    BENCH_RESULT,    /* -> value: checksum of the sum, seconds: weight sum; client: survivors */
    BENCH_PEAK,      /* -> value: peak bytes */
};

struct bench_frame {
    uint32_t op;    /* enum bench_op */
    int32_t status; /* enum ft_status, in a reply */
    uint32_t client;
    uint32_t size; /* of the payload that follows */
    uint64_t value;
    double seconds;
};

void bench_send(int fd, struct bench_frame frame, struct ft_bytes payload);
/* Replaces `payload`. False when the other side has closed before a frame. */
bool bench_receive(int fd, struct bench_frame *frame, struct ft_buf *payload);

#endif
