/*
 * Who is a shop and which key it uses now: the roster (rare, signed offline by the registrar) and the
 * directory of epoch keys. The aggregator delivers both and is trusted with neither. Source: specification
 * section 3.
 */
#ifndef FT_SECURE_SUM_ROSTER_H
#define FT_SECURE_SUM_ROSTER_H

#include "common/base/buf.h"
#include "common/base/status.h"
#include <stdbool.h>
#include <stdint.h>

#define FT_SS_ROSTER_MAX        65535u
#define FT_SS_ROSTER_HEAD_SIZE  32u /* deployment, serial, N, F */
#define FT_SS_ROSTER_ENTRY_SIZE 41u
#define FT_SS_NEVER             UINT64_MAX /* not_after of an entry without an end */

enum ft_ss_member_status { FT_SS_ACTIVE = 1, FT_SS_SUSPENDED = 2, FT_SS_REVOKED = 3 };

struct ft_ss_member {
    uint8_t ed25519_pk[32];
    uint8_t status;        /* enum ft_ss_member_status */
    uint64_t not_after_ms; /* milliseconds since 1970 */
};

/* A roster; a client's id is its position in members. Owns members. */
struct ft_ss_roster {
    uint8_t deployment[16];
    uint64_t serial;
    uint32_t count;     /* N */
    uint32_t corrupted; /* F */
    struct ft_ss_member *members;
    uint8_t hash[32]; /* H("roster"; bytes); set by sign and open */
};

/* The bytes and the registrar's 64-byte signature after them. roster->hash is set. Errors: ARGUMENT (a rule
 * of open broken: err says which), NOMEM. */
FT_NODISCARD enum ft_status ft_ss_roster_sign(struct ft_ss_roster *roster, const uint8_t registrar_sk[64],
                                              struct ft_buf *out, struct ft_error *err);

/*
 * Open a signed roster. Errors: FORMAT (size, status, N), VERIFY (signature, other deployment, an Ed25519 key
 * twice), REFUSED (serial below serial_min: a rollback), NOMEM. *out is cleared unless FT_OK.
 */
FT_NODISCARD enum ft_status ft_ss_roster_open(struct ft_bytes signed_roster, const uint8_t registrar_pk[32],
                                              const uint8_t deployment[16], uint64_t serial_min,
                                              struct ft_ss_roster *out, struct ft_error *err);
void ft_ss_roster_clear(struct ft_ss_roster *roster);
/* A member that may take part now. False for an id outside. */
bool ft_ss_roster_active(const struct ft_ss_roster *roster, uint32_t id, uint64_t wall_ms);
/* The id of a key, or roster->count. */
uint32_t ft_ss_roster_find(const struct ft_ss_roster *roster, const uint8_t ed25519_pk[32]);

/* One client's key of an epoch, as it travels. */
struct ft_ss_epoch_key {
    uint32_t id;
    uint32_t epoch;
    uint8_t xpk[32];
    uint8_t signature[64];
};
#define FT_SS_EPOCH_KEY_SIZE 104
void ft_ss_epoch_key_encode(const struct ft_ss_epoch_key *key, uint8_t out[FT_SS_EPOCH_KEY_SIZE]);
FT_NODISCARD enum ft_status ft_ss_epoch_key_decode(struct ft_bytes bytes, struct ft_ss_epoch_key *out);

/* Draw an X25519 key pair from env and sign its public half with the identity. */
struct ft_env;
void ft_ss_epoch_key_make(const struct ft_env *env, const uint8_t identity_sk[64],
                          const uint8_t deployment[16], uint32_t id, uint32_t epoch, uint8_t xsk[32],
                          struct ft_ss_epoch_key *out);
/* Signature of a roster member over its own id and epoch, and a key of full order. Errors: VERIFY. */
FT_NODISCARD enum ft_status ft_ss_epoch_key_check(const struct ft_ss_roster *roster,
                                                  const struct ft_ss_epoch_key *key, struct ft_error *err);

/*
 * The directory of one epoch over one roster: used alike by the aggregator, which fills it, and by a client,
 * which checks what it was given. Borrows the roster, which must outlive it. An entry that is present has
 * been verified.
 */
struct ft_ss_directory {
    const struct ft_ss_roster *roster;
    uint32_t epoch;
    uint8_t (*xpk)[32];       /* (N), zeros where absent */
    uint8_t (*signature)[64]; /* (N) */
    uint8_t *present;         /* bitmap */
};
FT_NODISCARD enum ft_status ft_ss_directory_open(const struct ft_ss_roster *roster, uint32_t epoch,
                                                 struct ft_ss_directory *out);
void ft_ss_directory_clear(struct ft_ss_directory *directory);
/* Put one key, replacing the client's old one (it may have lost its secret key). A key already there byte for
 * byte is not verified again. Errors: VERIFY (signature, epoch, low order), DUPLICATE (another client holds
 * it), NOTFOUND (id). */
FT_NODISCARD enum ft_status ft_ss_directory_put(struct ft_ss_directory *directory,
                                                const struct ft_ss_epoch_key *key, struct ft_error *err);
/* A client's checks before use: its own entry is right, no X25519 key occurs twice, and the root is the
 * descriptor's. Errors: VERIFY, NOMEM. */
FT_NODISCARD enum ft_status ft_ss_directory_check(const struct ft_ss_directory *directory, uint32_t own_id,
                                                  const uint8_t own_xpk[32], const uint8_t root[32],
                                                  struct ft_error *err);
void ft_ss_directory_root(const struct ft_ss_directory *directory, uint8_t root[32]);
static inline bool
ft_ss_directory_has(const struct ft_ss_directory *directory, uint32_t id)
{
    return id < directory->roster->count && ((directory->present[id / 8] >> (id % 8)) & 1);
}

#endif
