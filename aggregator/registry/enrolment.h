/*
 * Enrolment: a one-time token, a proof that the caller holds the identity key, and a certificate request
 * become an ACTIVE shop with a client certificate. All or nothing, in one transaction; nothing is learned
 * from a refusal but its number, and each refusal is logged without the token.
 *
 * The same request again (a reply that was lost) gets the same certificate; any other use of a used token is
 * refused.
 */
#ifndef FT_REGISTRY_ENROLMENT_H
#define FT_REGISTRY_ENROLMENT_H

#include "aggregator/storage/storage.h"
#include "common/base/env.h"
#include "common/rpc/pki.h"

/* On the wire: add, never renumber. */
enum ft_enrol_refusal {
    FT_ENROL_OK = 0,
    FT_ENROL_TOKEN_UNKNOWN = 1,
    FT_ENROL_TOKEN_USED = 2,
    FT_ENROL_TOKEN_EXPIRED = 3,
    FT_ENROL_OTHER_SHOP = 4,
    FT_ENROL_NOT_PROVEN = 5,
    FT_ENROL_BAD_REQUEST = 6,
    FT_ENROL_KEY_IN_USE = 7,
    FT_ENROL_REVOKED = 8,
};

struct ft_enrolment {
    struct ft_store *store;
    const struct ft_env *env;
    struct ft_pki_ca ca;       /* borrowed */
    uint32_t certificate_days; /* 1 .. 3650 */
};

/* Answer one EnrolRequest with an EnrolReply in *reply (appended). A refusal is FT_OK with its number in
 * *refusal (NULL is allowed). Errors: FORMAT (not an EnrolRequest), and the store's. */
FT_NODISCARD enum ft_status ft_enrol(const struct ft_enrolment *e, struct ft_bytes request,
                                     struct ft_buf *reply, enum ft_enrol_refusal *refusal);

#endif
