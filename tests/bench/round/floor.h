/* The least a round could cost on this machine: its bytes and its keystream, without the protocol. */
#ifndef FT_BENCH_ROUND_FLOOR_H
#define FT_BENCH_ROUND_FLOOR_H

#include <stdint.h>

/* Seconds in which `shops` processes each send `up` bytes and fetch `down` bytes over gRPC with mutual TLS on loopback,
 * all at once, one server process; the mean of `repeat` times. No message of the protocol, no disk, no arithmetic. */
double bench_floor_wire(unsigned shops, uint64_t up, uint64_t down, unsigned repeat);

/* Processor seconds of the keystream of all shops' masks (one of each pair at both its ends, one of its own) and of the
 * aggregator taking the own ones out, added into vectors of `words` 64-bit words. */
double bench_floor_keystream(unsigned shops, uint64_t words);

/* Seconds of one 4 KiB write with fdatasync under /tmp, the median of 50. */
double bench_floor_sync(void);

#endif
