#include "aggregator/registry/enrolment.h"
#include "aggregator/registry/invitation.h"
#include "aggregator/registry/wire_enrol.h"
#include "common/base/log.h"
#include "common/secure_sum/hash.h"

#include <string.h>

#define CLOCK_SLACK_S 300 /* a shop's clock may be behind ours by so much when the certificate is new */

/* The shop the token was made for, or why not. `repeat`: these very bytes have used the token before. */
static enum ft_status
check_token(const struct ft_enrolment *e, const struct ft_enrol_request *r, const uint8_t token_hash[32],
            const uint8_t request_hash[32], struct ft_shop *shop, bool *repeat,
            enum ft_enrol_refusal *refusal)
{
    struct ft_token token = { 0 };
    enum ft_status st = ft_store_token(e->store, token_hash, &token);

    *repeat = false;
    *refusal = FT_ENROL_TOKEN_UNKNOWN;
    if (st != FT_OK)
        return st == FT_ERR_NOTFOUND ? FT_OK : st;
    *refusal = FT_ENROL_OTHER_SHOP;
    st = ft_store_shop_by_name(e->store, r->shop, shop);
    if (st != FT_OK || shop->id != token.shop)
        return st == FT_ERR_NOTFOUND ? FT_OK : st;
    if (shop->state == FT_SHOP_REVOKED)
        *refusal = FT_ENROL_REVOKED;
    else if (token.used_ms != 0 && memcmp(token.request_hash, request_hash, 32) != 0)
        *refusal = FT_ENROL_TOKEN_USED;
    else if (token.used_ms == 0 && e->env->wall_ms(e->env->ctx) >= token.expires_ms)
        *refusal = FT_ENROL_TOKEN_EXPIRED;
    else
        *refusal = FT_ENROL_OK;
    *repeat = token.used_ms != 0;
    return FT_OK;
}

/* Issue the certificate and make the shop ACTIVE. */
static enum ft_status
admit(const struct ft_enrolment *e, const struct ft_enrol_request *r, const uint8_t token_hash[32],
      const uint8_t request_hash[32], struct ft_buf *certificate, enum ft_enrol_refusal *refusal)
{
    enum ft_status st;
    const uint64_t now_ms = e->env->wall_ms(e->env->ctx);
    const struct ft_pki_validity validity = {
        .not_before_s = (int64_t)(now_ms / 1000) - CLOCK_SLACK_S,
        .not_after_s = (int64_t)(now_ms / 1000) + (int64_t)e->certificate_days * 86400,
    };
    struct ft_fingerprint fingerprint;
    char hex[65];

    st = ft_pki_issue_client(&e->ca, ft_buf_bytes(&r->csr_der), r->shop, validity, certificate, NULL);
    if (st == FT_ERR_FORMAT || st == FT_ERR_VERIFY || st == FT_ERR_REFUSED) {
        *refusal = FT_ENROL_BAD_REQUEST;
        return FT_OK;
    }
    FT_TRY(st);
    FT_TRY(ft_pki_fingerprint(ft_buf_bytes(certificate), &fingerprint));
    st = ft_store_shop_enrol(e->store, token_hash, request_hash, ft_hex(hex, fingerprint.bytes, 32),
                             r->identity_key, ft_buf_bytes(certificate), now_ms);
    if (st == FT_ERR_DUPLICATE)
        *refusal = FT_ENROL_KEY_IN_USE;
    else if (st == FT_ERR_REFUSED) /* another request with this token was faster */
        *refusal = FT_ENROL_TOKEN_USED;
    if (st == FT_ERR_DUPLICATE || st == FT_ERR_REFUSED)
        st = FT_OK;
out:
    return st;
}

enum ft_status
ft_enrol(const struct ft_enrolment *e, struct ft_bytes request, struct ft_buf *reply,
         enum ft_enrol_refusal *refusal)
{
    enum ft_status st;
    struct ft_enrol_request r = { 0 };
    struct ft_enrol_reply answer = { 0 };
    struct ft_shop shop = { 0 };
    struct ft_buf certificate = { 0 };
    uint8_t token_hash[32], request_hash[32];
    enum ft_enrol_refusal why = FT_ENROL_OK;
    bool repeat = false;

    FT_TRY(ft_enrol_request_decode(request, &r));
    ft_token_hash(r.token, token_hash);
    FT_SS_H(request_hash, "enrol-request", request);
    FT_TRY(check_token(e, &r, token_hash, request_hash, &shop, &repeat, &why));
    if (why == FT_ENROL_OK && !FT_SS_VERIFY(r.identity_proof, r.identity_key, "enrol", FT_BYTES(r.token, 32),
                                            FT_BYTES(r.shop, strlen(r.shop)), ft_buf_bytes(&r.csr_der)))
        why = FT_ENROL_NOT_PROVEN;
    if (why == FT_ENROL_OK && repeat)
        FT_TRY(ft_store_shop_certificate(e->store, shop.id, &certificate));
    else if (why == FT_ENROL_OK)
        FT_TRY(admit(e, &r, token_hash, request_hash, &certificate, &why));

    answer.refusal = why;
    answer.certificate_pem = ft_buf_bytes(&certificate);
    answer.ca_pem = e->ca.cert_pem;
    answer.shop_id = (uint32_t)shop.id;
    ft_store_deployment(e->store, answer.deployment);
    FT_TRY(ft_enrol_reply_encode(&answer, reply));
    if (why == FT_ENROL_OK)
        ft_log(FT_LOG_INFO, "registry.enrolled", "shop=%lld repeat=%d", (long long)shop.id, (int)repeat);
    else
        ft_log(FT_LOG_WARN, "registry.enrol_refused", "refusal=%d", (int)why);
    if (refusal != NULL)
        *refusal = why;
out:
    ft_enrol_request_clear(&r);
    ft_buf_clear(&certificate);
    return st;
}
