/*
 * The registrar: says who is a shop, with a key that is kept away from the aggregator.
 *
 *   aggregator                 registrar                  aggregator
 *   ft_roster_request  ------> ft_registrar_sign  ------> ft_roster_import
 *
 * The registrar's folder holds its Ed25519 key and a copy of the last roster it signed. It signs a next
 * roster only on top of that one: every place keeps its identity key for good, a revoked place stays revoked
 * (a tombstone), new shops are appended. So an aggregator that is taken over cannot have a place re-used or
 * history forked.
 */
#ifndef FT_REGISTRY_REGISTRAR_H
#define FT_REGISTRY_REGISTRAR_H

#include "aggregator/storage/storage.h"
#include "common/base/env.h"

#define FT_REGISTRAR_KEY_FILE    "registrar.key" /* 64 bytes as hex, mode 0600 */
#define FT_REGISTRAR_ROSTER_FILE "roster"        /* the last signed roster */
#define FT_ROSTER_REQUEST_MAX    ((size_t)16 << 20)
#define FT_ROSTER_FILE_MAX       ((size_t)4 << 20)

/* Make the folder and a key in it. Errors: DUPLICATE (there is one), IO. */
FT_NODISCARD enum ft_status ft_registrar_init(const char *folder, uint8_t public_key[32],
                                              struct ft_error *err);
/* Its public key. Errors: NOTFOUND, FORMAT, CONFIG (mode lets others read). */
FT_NODISCARD enum ft_status ft_registrar_public(const char *folder, uint8_t public_key[32],
                                                struct ft_error *err);

/* What the register would like the next roster to be, as JSON: deployment, the present roster, one member a
 * place. Errors: NOTFOUND (no shop has enrolled yet). */
FT_NODISCARD enum ft_status ft_roster_request(struct ft_store *store, struct ft_buf *json,
                                              struct ft_error *err);

/* What changed, for the person who signs. */
struct ft_roster_change {
    uint64_t serial;
    uint32_t members, added, suspended, revoked; /* of the new roster; suspended and revoked in total */
    uint32_t corrupted;
};
/* Check a request against the last roster signed here and sign the next. `corrupted` is F, the number of
 * shops that may collude; 0 keeps the last roster's. Errors: FORMAT (request), VERIFY (not on top of the last
 * roster; a place changed or vanished; a revoked one came back), ARGUMENT (F missing for the first roster or
 * not below the number of shops), IO. */
FT_NODISCARD enum ft_status ft_registrar_sign(const char *folder, struct ft_bytes request, uint32_t corrupted,
                                              struct ft_buf *signed_roster, struct ft_roster_change *change,
                                              struct ft_error *err);

/* Verify a signed roster against the pinned registrar key and store it. Errors: VERIFY, FORMAT, DUPLICATE
 * (already in, or older). */
FT_NODISCARD enum ft_status ft_roster_import(struct ft_store *store, const uint8_t registrar_key[32],
                                             struct ft_bytes signed_roster, uint64_t now_ms, uint64_t *serial,
                                             uint32_t *members, struct ft_error *err);

#endif
