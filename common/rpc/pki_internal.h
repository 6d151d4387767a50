/* What the two halves of the certificate code share: OpenSSL objects in and out of PEM. */
#ifndef FT_RPC_PKI_INTERNAL_H
#define FT_RPC_PKI_INTERNAL_H

#include "common/rpc/pki.h"
#include <openssl/x509v3.h>

X509 *pki_cert_of_pem(struct ft_bytes pem);    /* the first one; NULL if there is none */
EVP_PKEY *pki_key_of_pem(struct ft_bytes pem); /* never asks for a passphrase; NULL if there is none */
bool pki_key_is_p256(const EVP_PKEY *key);
/* The subject's common name, if the subject is exactly one CN of printable UTF-8; else NULL. Free with
 * OPENSSL_free. */
char *pki_sole_common_name(const X509_NAME *subject);
bool pki_name_ok(const char *name); /* 1 .. FT_PKI_NAME_MAX bytes, no control characters */
const char *pki_reason(void);       /* OpenSSL's newest complaint; clears its queue */

#endif
