/*
 * The task descriptor: 269 bytes that open a session and that everything after it is bound to (T0 is the hash
 * of the bytes as received). Decoding checks form and everything that needs no knowledge of the client's own:
 * the client's policy, model, roster and journal are checked by its state machine. Source: specification
 * section 4.
 */
#ifndef FT_SECURE_SUM_DESCRIPTOR_H
#define FT_SECURE_SUM_DESCRIPTOR_H

#include "common/base/buf.h"
#include "common/base/status.h"
#include <stdint.h>

#define FT_SS_DESCRIPTOR_SIZE 269
#define FT_SS_VERSION         1

struct ft_ss_descriptor {
    uint16_t version;
    uint16_t suite;
    uint8_t deployment[16];
    uint8_t task_hash[32];
    uint64_t round;
    uint32_t attempt;
    uint32_t epoch;
    uint8_t directory_root[32];
    uint8_t model_hash[32];
    uint8_t lineage_hash[32];
    uint64_t dim;
    uint8_t lane_bits;
    uint8_t lanes;
    uint8_t check_lanes;
    uint8_t weight_lanes;
    double clip;
    double quant_step;
    uint32_t quant_max;
    uint8_t noise_kind; /* 0: none */
    double noise_var;
    uint32_t n_cap;
    uint32_t n_min;
    uint32_t h_min;
    uint32_t corrupted; /* F */
    uint16_t drop_permille;
    uint8_t sigma;
    uint8_t eta;
    uint64_t deadline_ms; /* milliseconds since 1970 */
    uint8_t server_nonce[32];
};

/* Write the fields as they are; what is written is not checked. */
void ft_ss_descriptor_encode(const struct ft_ss_descriptor *descriptor, uint8_t out[FT_SS_DESCRIPTOR_SIZE]);

/* Read and check. `out` is written only on FT_OK. Errors: FORMAT (size, magic), VERIFY (a field: err names
 * it). */
FT_NODISCARD enum ft_status ft_ss_descriptor_decode(struct ft_bytes bytes, struct ft_ss_descriptor *out,
                                                    struct ft_error *err);

/* The checks alone: version, suite, finite and non-negative f64, cohort limits, codec bounds of section 9 for
 * n_cap. Errors: VERIFY, with the field and the bound in err. */
FT_NODISCARD enum ft_status ft_ss_descriptor_check(const struct ft_ss_descriptor *descriptor,
                                                   struct ft_error *err);

#endif
