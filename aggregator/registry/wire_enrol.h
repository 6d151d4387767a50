/* EnrolRequest and EnrolReply of proto/federation.proto as plain structs. */
#ifndef FT_REGISTRY_WIRE_ENROL_H
#define FT_REGISTRY_WIRE_ENROL_H

#include "common/base/buf.h"

#define FT_ENROL_REQUEST_MAX ((size_t)16 << 10)

struct ft_enrol_request {
    uint8_t token[32];
    char shop[65];
    struct ft_buf csr_der;
    uint8_t identity_key[32];
    uint8_t identity_proof[64];
};
/* Errors: FORMAT, NOMEM. Clear *out unless it fails. */
FT_NODISCARD enum ft_status ft_enrol_request_decode(struct ft_bytes bytes, struct ft_enrol_request *out);
void ft_enrol_request_clear(struct ft_enrol_request *r); /* wipes the token */

struct ft_enrol_reply {
    uint32_t refusal; /* enum ft_enrol_refusal */
    struct ft_bytes certificate_pem, ca_pem;
    uint32_t shop_id;
    uint8_t deployment[16];
};
FT_NODISCARD enum ft_status ft_enrol_reply_encode(const struct ft_enrol_reply *r, struct ft_buf *out);

#endif
