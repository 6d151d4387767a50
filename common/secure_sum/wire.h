/*
 * Decoded session messages, flat: one struct for what the aggregator sends, one for what a client sends.
 * Views point into the decoded message until clear. Decoding checks sizes and nothing else, within a memory
 * budget.
 */
#ifndef FT_SECURE_SUM_WIRE_H
#define FT_SECURE_SUM_WIRE_H

#include "common/base/buf.h"
#include "common/base/status.h"
#include "common/secure_sum/derive.h"
#include "common/secure_sum/seal.h"
#include <stdint.h>

#define FT_SS_SHARE_RECORD   (4 + 2 + FT_SS_NONCE_SIZE + FT_SS_SHARE_CT_SIZE) /* id, x, nonce, ct */
#define FT_SS_CONFIRM_RECORD (4 + 64)                                         /* id, signature */
#define FT_SS_REVEAL_RECORD  (4 + 2 + 32)                                     /* dealer, x, share */
#define FT_SS_REPAIR_RECORD  (4 + 32)                                         /* id, mask key */

enum ft_ss_down_kind {
    FT_SS_DOWN_ANNOUNCE = 1,
    FT_SS_DOWN_COHORT,
    FT_SS_DOWN_DELIVER,
    FT_SS_DOWN_SURVIVORS,
    FT_SS_DOWN_CERTIFICATE,
    FT_SS_DOWN_REPAIR,
    FT_SS_DOWN_RESULT,
    FT_SS_DOWN_ENDED,
};

/* From the aggregator. Fields that a kind does not have are zero. */
struct ft_ss_down {
    enum ft_ss_down_kind kind;
    uint8_t prior[32]; /* the transcript hash it builds on: T0 cohort, T1 deliver, T2 survivors, T3 later */
    struct ft_bytes descriptor; /* announce */
    struct ft_bytes members;    /* cohort, deliver, survivors */
    uint8_t join_root[32];
    struct ft_bytes path; /* whole 32-byte nodes */
    struct ft_ss_params params;
    struct ft_bytes records; /* deliver: share records; certificate: confirm records; whole ones */
    uint8_t result_hash[32];
    uint8_t task_hash[32]; /* ended */
    uint64_t round;
    uint32_t attempt, code;
    uint8_t signature[64]; /* the view, or what the kind is signed with; certificate: none */
    void *owner;
};

enum ft_ss_up_kind {
    FT_SS_UP_JOIN = 1,
    FT_SS_UP_SHARES,
    FT_SS_UP_CONFIRM,
    FT_SS_UP_UNMASK,
    FT_SS_UP_REPAIR,
    FT_SS_UP_ABORT,
};

/* From a client. */
struct ft_ss_up {
    enum ft_ss_up_kind kind;
    uint8_t t0[32];
    uint32_t id;
    uint8_t signature[64];
    uint8_t nu[32];                     /* join */
    uint8_t commit_b[32], commit_k[32]; /* shares */
    uint8_t escrow_nonce[FT_SS_NONCE_SIZE];
    struct ft_bytes escrow_ct;
    uint8_t b[32];           /* unmask; secret */
    struct ft_bytes records; /* shares, unmask, repair; whole ones; secret in the last two */
    uint32_t step, code;     /* abort */
    void *owner;
};

struct ft_ss_header {
    uint8_t t0[32];
    uint32_t id;
    uint8_t t2[32];
    uint64_t words;
};
struct ft_ss_trailer {
    uint8_t digest[32], audit[32], signature[64];
};

/* Errors of all decoders: FORMAT, LIMIT (above FT_SS_MESSAGE_MAX), NOMEM. `out` needs no clear unless FT_OK.
 */
FT_NODISCARD enum ft_status ft_ss_down_decode(struct ft_bytes bytes, struct ft_ss_down *out);
FT_NODISCARD enum ft_status ft_ss_down_encode(const struct ft_ss_down *down, struct ft_buf *out);
void ft_ss_down_clear(struct ft_ss_down *down);
FT_NODISCARD enum ft_status ft_ss_up_decode(struct ft_bytes bytes, struct ft_ss_up *out);
FT_NODISCARD enum ft_status ft_ss_up_encode(const struct ft_ss_up *up, struct ft_buf *out);
void ft_ss_up_clear(struct ft_ss_up *up); /* wipes */
FT_NODISCARD enum ft_status ft_ss_header_decode(struct ft_bytes bytes, struct ft_ss_header *out);
FT_NODISCARD enum ft_status ft_ss_header_encode(const struct ft_ss_header *header, struct ft_buf *out);
FT_NODISCARD enum ft_status ft_ss_trailer_decode(struct ft_bytes bytes, struct ft_ss_trailer *out);
FT_NODISCARD enum ft_status ft_ss_trailer_encode(const struct ft_ss_trailer *trailer, struct ft_buf *out);

/* Sign_i over a client's message of `kind`, which follows the transcript hash t: T0 join and abort, T1
 * shares, T3 later. */
void ft_ss_up_sign(struct ft_ss_up *up, const uint8_t t[32], const uint8_t sk[64]);
FT_NODISCARD bool ft_ss_up_verify(const struct ft_ss_up *up, const uint8_t t[32], const uint8_t pk[32]);
void ft_ss_trailer_sign(struct ft_ss_trailer *trailer, const uint8_t t2[32], uint32_t id,
                        const uint8_t sk[64]);
FT_NODISCARD bool ft_ss_trailer_verify(const struct ft_ss_trailer *trailer, const uint8_t t2[32], uint32_t id,
                                       const uint8_t pk[32]);
/* The aggregator's signatures: a view over T, or (repair, result, ended) over the message's own fields. */
void ft_ss_view_sign(uint8_t signature[64], const uint8_t t[32], const uint8_t sk[64]);
FT_NODISCARD bool ft_ss_view_verify(const uint8_t signature[64], const uint8_t t[32], const uint8_t pk[32]);
void ft_ss_down_sign(struct ft_ss_down *down, const uint8_t sk[64]);
FT_NODISCARD bool ft_ss_down_verify(const struct ft_ss_down *down, const uint8_t pk[32]);

#endif
