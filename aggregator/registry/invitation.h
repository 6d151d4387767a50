/*
 * An invitation: what one shop needs to join, in one file (JSON, mode 0600) that is carried to it by hand.
 * The token in it works once and for a limited time; the aggregator keeps its hash only. Everything else in
 * the file is what the shop pins: CA, registrar key, task keys, the aggregator's signing key.
 */
#ifndef FT_REGISTRY_INVITATION_H
#define FT_REGISTRY_INVITATION_H

#include "aggregator/storage/storage.h"
#include "common/base/env.h"

#define FT_TOKEN_SIZE          32
#define FT_INVITATION_VERSION  1
#define FT_INVITATION_DAYS_MAX 365

/* What a shop pins. Borrowed. */
struct ft_trust {
    const char *aggregator; /* "host:port" as shops reach it */
    struct ft_bytes ca_pem;
    uint8_t registrar_key[32];
    const uint8_t (*task_keys)[32];
    size_t task_key_count;
    uint8_t aggregator_key[32]; /* signs T0..T3 */
};

/* A shop's name: [a-z0-9][a-z0-9-]{0,63}. */
bool ft_shop_name_valid(const char *name);

/* H("token"; token): what the register holds. */
void ft_token_hash(const uint8_t token[FT_TOKEN_SIZE], uint8_t hash[32]);

/* Draw a token, note its hash, write the file's bytes. Errors: ARGUMENT (name, lifetime), DUPLICATE (enrolled
 * already), REFUSED (revoked). *json is empty unless FT_OK and holds a secret: ft_buf_clear() it. */
FT_NODISCARD enum ft_status ft_invite(struct ft_store *store, const struct ft_env *env,
                                      const struct ft_trust *trust, const char *shop, uint32_t lifetime_days,
                                      struct ft_buf *json, int64_t *shop_id, struct ft_error *err);

#endif
