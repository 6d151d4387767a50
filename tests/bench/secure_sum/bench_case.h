/* One case of the benchmark: what is asked, and what was measured. */
#ifndef BENCH_CASE_H
#define BENCH_CASE_H

#include <stdint.h>

struct bench_case {
    uint32_t clients;
    uint32_t dim;
    double dropout; /* fraction of the cohort lost after ShareKeys */
    uint16_t suite;
    uint8_t lane_bits;
};

struct bench_result {
    double client_mask_s, client_floor_s, unmask_s, unmask_floor_s;
    double publish_s;               /* the unmasked sum's end recorded */
    uint64_t upload_bytes;          /* all a client sends in the session, the largest */
    uint64_t aggregator_peak_bytes; /* VmHWM of the aggregator's process up to the unmasked sum */
    double upload_ratio;            /* upload_bytes over dim float32 */
};

#define BENCH_GRAPH_ABOVE 512u /* classical profile up to here, graph profile above */

/* The aggregator's process: serve requests on `fd` until it closes. Returns the exit code. */
int bench_aggregator(int fd);

/* Shops with keys and pair secrets, made once and used by every case of that many clients. */
struct bench_shops;
struct bench_shops *bench_shops_open(uint32_t count);
void bench_shops_close(struct bench_shops *shops);

/* Run one whole session of real clients against an aggregator in a process of its own. */
void bench_session(struct bench_shops *shops, const struct bench_case *what, struct bench_result *out);

#endif
