/*
 * Certificates: the deployment's own CA and what it issues. P-256 keys, ECDSA with SHA-256, X.509 v3.
 *
 * The CA is self-signed and may sign leaves only (path length 0). A server certificate carries serverAuth and
 * its names; a client certificate carries clientAuth and the shop's name as CN, so neither can stand in for
 * the other. A client certificate is made from a PKCS#10 request: the private key never leaves the shop.
 *
 * Every time is an argument (seconds since 1970), so that tests can make expired and not yet valid ones.
 * Key PEMs are secrets: ft_buf_clear() wipes them; the caller writes them with mode 0600. Pure: no files, no
 * clock. Thread-safe.
 */
#ifndef FT_RPC_PKI_H
#define FT_RPC_PKI_H

#include "common/base/buf.h"
#include <stdbool.h>

#define FT_PKI_NAME_MAX  64 /* bytes of a common name: X.520's upper bound */
#define FT_PKI_NAMES_MAX 32 /* names in one server certificate */
#define FT_PKI_PEM_MAX   ((size_t)64 << 10)
#define FT_PKI_CSR_MAX   ((size_t)8 << 10)

/* SHA-256 of a certificate's DER bytes: what the register knows a shop by. */
struct ft_fingerprint {
    uint8_t bytes[32];
};

struct ft_pki_validity {
    int64_t not_before_s; /* included */
    int64_t not_after_s;  /* not included: OpenSSL reads it so, although X.509 does not */
};

/* Who signs: PEMs, borrowed. */
struct ft_pki_ca {
    struct ft_bytes key_pem;
    struct ft_bytes cert_pem;
};

enum ft_pki_purpose { FT_PKI_CA, FT_PKI_SERVER, FT_PKI_CLIENT };

struct ft_pki_info {
    char common_name[FT_PKI_NAME_MAX + 1];
    struct ft_fingerprint fingerprint;
    struct ft_pki_validity validity;
};

/* Make a CA named `name`. Outputs are empty unless FT_OK. Errors: ARGUMENT (name, validity), NOMEM, INTERNAL.
 */
FT_NODISCARD enum ft_status ft_pki_make_ca(const char *name, struct ft_pki_validity validity,
                                           struct ft_buf *key_pem, struct ft_buf *cert_pem,
                                           struct ft_error *err);

/* Make a server key and its certificate for `names`: each a DNS name or an IPv4/IPv6 address.
 * Errors: ARGUMENT (a name, validity), FORMAT (the CA's PEM), VERIFY (CA key and certificate do not match),
 * NOMEM. */
FT_NODISCARD enum ft_status ft_pki_make_server(const struct ft_pki_ca *ca, const char *const *names,
                                               size_t name_count, struct ft_pki_validity validity,
                                               struct ft_buf *key_pem, struct ft_buf *cert_pem,
                                               struct ft_error *err);

/* Make a client key and a certificate request (PKCS#10, DER) whose subject is exactly CN=shop. */
FT_NODISCARD enum ft_status ft_pki_make_request(const char *shop, struct ft_buf *key_pem,
                                                struct ft_buf *csr_der, struct ft_error *err);

/* Issue the client certificate for `shop` from its request. Extensions the request asks for are ignored.
 * Errors: FORMAT (not a request, trailing bytes), VERIFY (its signature, or the CA's pair), REFUSED (not a
 * P-256 key; a subject that is not exactly CN=shop), ARGUMENT, NOMEM. */
FT_NODISCARD enum ft_status ft_pki_issue_client(const struct ft_pki_ca *ca, struct ft_bytes csr_der,
                                                const char *shop, struct ft_pki_validity validity,
                                                struct ft_buf *cert_pem, struct ft_error *err);

/* Read the first certificate of a PEM. common_name is empty unless the subject is exactly one CN. Errors:
 * FORMAT. */
FT_NODISCARD enum ft_status ft_pki_read(struct ft_bytes cert_pem, struct ft_pki_info *out);
FT_NODISCARD enum ft_status ft_pki_fingerprint(struct ft_bytes cert_pem, struct ft_fingerprint *out);

/* Is this certificate issued by that CA, for that purpose, and valid at that time? Errors: FORMAT, VERIFY
 * (with the reason in *err). */
FT_NODISCARD enum ft_status ft_pki_verify(struct ft_bytes cert_pem, struct ft_bytes ca_pem,
                                          enum ft_pki_purpose purpose, int64_t at_s, struct ft_error *err);

/* Does this private key belong to this certificate? Errors: FORMAT, VERIFY. */
FT_NODISCARD enum ft_status ft_pki_match(struct ft_bytes key_pem, struct ft_bytes cert_pem);

#endif
