/*
 * The injective encoding every hash, key and signature of the protocol is taken over, and those three.
 *
 *   enc(L; a, b, ...) = lp("FLSA1/" || L) || lp(a) || lp(b) || ...      lp(s) = u32(|s|) || s
 *
 * Source: secure aggregation specification, section 2. None of these calls can fail: lengths above 2^32-1 are
 * our own mistake and assert. sodium_init() must have been called.
 *
 *   uint8_t t2[32];
 *   FT_SS_H(t2, "shared", FT_BYTES(t1, 32), FT_BYTES(bitmap, bitmap_size));
 */
#ifndef FT_SECURE_SUM_HASH_H
#define FT_SECURE_SUM_HASH_H

#include "common/base/buf.h"
#include <sodium.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FT_SS_HASH_SIZE      32
#define FT_SS_KEY_SIZE       32 /* keys of K, PRG seeds, X25519 keys */
#define FT_SS_SIGNATURE_SIZE 64
#define FT_SS_PK_SIZE        32 /* Ed25519 public key */
#define FT_SS_SK_SIZE        64 /* Ed25519 secret key */

/* An integer as one field, little-endian; for the lists below. `v` is evaluated more than once. */
#define FT_SS_U8(v)  FT_BYTES(((const uint8_t[1]){ (uint8_t)(v) }), 1)
#define FT_SS_U16(v) FT_BYTES(((const uint8_t[2]){ (uint8_t)(v), (uint8_t)((uint16_t)(v) >> 8) }), 2)
#define FT_SS_U32(v)                                                                                         \
    FT_BYTES(((const uint8_t[4]){ (uint8_t)(v), (uint8_t)((uint32_t)(v) >> 8),                               \
                                  (uint8_t)((uint32_t)(v) >> 16), (uint8_t)((uint32_t)(v) >> 24) }),         \
             4)
#define FT_SS_U64(v)                                                                                         \
    FT_BYTES(((const uint8_t[8]){ (uint8_t)(v), (uint8_t)((uint64_t)(v) >> 8),                               \
                                  (uint8_t)((uint64_t)(v) >> 16), (uint8_t)((uint64_t)(v) >> 24),            \
                                  (uint8_t)((uint64_t)(v) >> 32), (uint8_t)((uint64_t)(v) >> 40),            \
                                  (uint8_t)((uint64_t)(v) >> 48), (uint8_t)((uint64_t)(v) >> 56) }),         \
             8)

/* H, K and K64 over `count` fields. `label` is L without the "FLSA1/". */
void ft_ss_hash(uint8_t out[32], const char *label, const struct ft_bytes *fields, size_t count);
void ft_ss_kdf(uint8_t out[32], const uint8_t key[32], const char *label, const struct ft_bytes *fields,
               size_t count);
void ft_ss_kdf64(uint8_t out[64], const uint8_t key[32], const char *label, const struct ft_bytes *fields,
                 size_t count);

/* Sign_i and its check. The signature is over H("sig/" || label; fields). `label` has at most 40 characters.
 */
void ft_ss_sign(uint8_t signature[64], const uint8_t sk[64], const char *label, const struct ft_bytes *fields,
                size_t count);
FT_NODISCARD bool ft_ss_verify(const uint8_t signature[64], const uint8_t pk[32], const char *label,
                               const struct ft_bytes *fields, size_t count);

#define FT_SS_FIELDS_(...)      ((const struct ft_bytes[]){ __VA_ARGS__ })
#define FT_SS_FIELD_COUNT_(...) (sizeof FT_SS_FIELDS_(__VA_ARGS__) / sizeof(struct ft_bytes))
#define FT_SS_H(out, label, ...)                                                                             \
    ft_ss_hash((out), (label), FT_SS_FIELDS_(__VA_ARGS__), FT_SS_FIELD_COUNT_(__VA_ARGS__))
#define FT_SS_K(out, key, label, ...)                                                                        \
    ft_ss_kdf((out), (key), (label), FT_SS_FIELDS_(__VA_ARGS__), FT_SS_FIELD_COUNT_(__VA_ARGS__))
#define FT_SS_K64(out, key, label, ...)                                                                      \
    ft_ss_kdf64((out), (key), (label), FT_SS_FIELDS_(__VA_ARGS__), FT_SS_FIELD_COUNT_(__VA_ARGS__))
#define FT_SS_SIGN(signature, sk, label, ...)                                                                \
    ft_ss_sign((signature), (sk), (label), FT_SS_FIELDS_(__VA_ARGS__), FT_SS_FIELD_COUNT_(__VA_ARGS__))
#define FT_SS_VERIFY(signature, pk, label, ...)                                                              \
    ft_ss_verify((signature), (pk), (label), FT_SS_FIELDS_(__VA_ARGS__), FT_SS_FIELD_COUNT_(__VA_ARGS__))

/*
 * The same, field by field, for fields that are not at hand in one piece. A long field is opened with its
 * size and then fed; the sizes fed must add up to it (asserted).
 */
struct ft_ss_hasher {
    crypto_generichash_state state;
    uint64_t owed; /* bytes of the open field still to come */
};
void ft_ss_hasher_begin(struct ft_ss_hasher *h, const char *label); /* H */
void ft_ss_hasher_field(struct ft_ss_hasher *h, struct ft_bytes field);
void ft_ss_hasher_open_field(struct ft_ss_hasher *h, uint64_t size);
void ft_ss_hasher_feed(struct ft_ss_hasher *h, struct ft_bytes part);
void ft_ss_hasher_end(struct ft_ss_hasher *h, uint8_t out[32]); /* wipes h */

#endif
