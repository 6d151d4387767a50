#include "common/rpc/pki.h"
#include "common/rpc/pki_internal.h"

#include <arpa/inet.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <string.h>
#include <time.h>

enum { SERIAL_SIZE = 16, X509_V3 = 2 /* the encoding of version 3 */ };

static enum ft_status
buf_of_bio(BIO *bio, struct ft_buf *out)
{
    char *data = NULL;
    const long size = BIO_get_mem_data(bio, &data);
    return size > 0 ? ft_buf_append(out, data, (size_t)size) : FT_ERR_INTERNAL;
}

static enum ft_status
pem_of_cert(X509 *cert, struct ft_buf *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    enum ft_status st = FT_ERR_NOMEM;
    if (bio != NULL && PEM_write_bio_X509(bio, cert) == 1)
        st = buf_of_bio(bio, out);
    BIO_free(bio);
    return st;
}

static enum ft_status
pem_of_key(EVP_PKEY *key, struct ft_buf *out)
{
    BIO *bio = BIO_new(BIO_s_secmem()); /* wiped on free */
    enum ft_status st = FT_ERR_NOMEM;
    if (bio != NULL && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1)
        st = buf_of_bio(bio, out);
    BIO_free(bio);
    return st;
}

static bool
name_set(X509_NAME *name, const char *common_name)
{
    return X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, (const unsigned char *)common_name,
                                      -1, -1, 0) == 1;
}

static bool
serial_set(X509 *cert)
{
    unsigned char raw[SERIAL_SIZE];
    BIGNUM *number = NULL;
    bool ok = false;
    if (RAND_bytes(raw, sizeof raw) != 1)
        return false;
    raw[0] = (unsigned char)((raw[0] & 0x7f) | 0x40); /* positive, and always the same length */
    number = BN_bin2bn(raw, sizeof raw, NULL);
    ok = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;
    BN_free(number);
    return ok;
}

static bool
extension_add(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *ext;
    bool ok;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ok = ext != NULL && X509_add_ext(cert, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return ok;
}

static bool
dns_name_ok(const char *name)
{
    const size_t size = strlen(name);
    if (size == 0 || size > 253 || name[0] == '.' || name[0] == '-' || name[size - 1] == '-')
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") == size;
}

/* Add one subject alternative name: built as an object, so no name can smuggle in a second one. */
static bool
alt_name_add(GENERAL_NAMES *list, const char *name)
{
    unsigned char address[16];
    GENERAL_NAME *entry = GENERAL_NAME_new();
    ASN1_STRING *text = NULL;
    int size = 0, type = GEN_IPADD;

    if (inet_pton(AF_INET, name, address) == 1)
        size = 4;
    else if (inet_pton(AF_INET6, name, address) == 1)
        size = 16;
    else
        type = GEN_DNS;
    text = type == GEN_IPADD ? (ASN1_STRING *)ASN1_OCTET_STRING_new() : (ASN1_STRING *)ASN1_IA5STRING_new();
    if (entry == NULL || text == NULL ||
        (type == GEN_IPADD ? ASN1_STRING_set(text, address, size) : ASN1_STRING_set(text, name, -1)) != 1) {
        ASN1_STRING_free(text);
        GENERAL_NAME_free(entry);
        return false;
    }
    GENERAL_NAME_set0_value(entry, type, text);
    if (sk_GENERAL_NAME_push(list, entry) == 0) {
        GENERAL_NAME_free(entry);
        return false;
    }
    return true;
}

static bool
alt_names_set(X509 *cert, const char *const *names, size_t count)
{
    GENERAL_NAMES *list = sk_GENERAL_NAME_new_null();
    bool ok = list != NULL;
    for (size_t i = 0; ok && i < count; i++)
        ok = alt_name_add(list, names[i]);
    ok = ok && X509_add1_ext_i2d(cert, NID_subject_alt_name, list, 0, X509V3_ADD_DEFAULT) == 1;
    sk_GENERAL_NAME_pop_free(list, GENERAL_NAME_free);
    return ok;
}

/* What every certificate has. `issuer` NULL: self-signed, which makes it a CA. */
static X509 *
cert_start(const char *common_name, EVP_PKEY *key, X509 *issuer, struct ft_pki_validity validity)
{
    X509 *cert = X509_new();
    const bool ca = issuer == NULL;
    const time_t from = (time_t)validity.not_before_s, until = (time_t)validity.not_after_s;

    if (cert == NULL)
        return NULL;
    if (issuer == NULL)
        issuer = cert;
    if (X509_set_version(cert, X509_V3) != 1 || !serial_set(cert) ||
        !name_set(X509_get_subject_name(cert), common_name) || X509_set_pubkey(cert, key) != 1 ||
        X509_set_issuer_name(cert, X509_get_subject_name(issuer)) != 1 ||
        ASN1_TIME_set(X509_getm_notBefore(cert), from) == NULL ||
        ASN1_TIME_set(X509_getm_notAfter(cert), until) == NULL ||
        !extension_add(cert, issuer, NID_basic_constraints,
                       ca ? "critical,CA:TRUE,pathlen:0" : "critical,CA:FALSE") ||
        !extension_add(cert, issuer, NID_key_usage,
                       ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature") ||
        !extension_add(cert, issuer, NID_subject_key_identifier, "hash") ||
        !extension_add(cert, issuer, NID_authority_key_identifier, "keyid:always")) {
        X509_free(cert);
        return NULL;
    }
    return cert;
}

static enum ft_status
check_common(const char *name, struct ft_pki_validity validity, struct ft_error *err)
{
    /* 253402300799 is the end of the year 9999, the last second X.509 can write. */
    if (!pki_name_ok(name))
        return ft_fail(err, FT_ERR_ARGUMENT,
                       "a certificate's name needs 1 to %d bytes of UTF-8 without control characters",
                       FT_PKI_NAME_MAX);
    if (validity.not_before_s < 0 || validity.not_after_s < validity.not_before_s ||
        validity.not_after_s > 253402300799)
        return ft_fail(err, FT_ERR_ARGUMENT, "a certificate's validity ends before it starts");
    return FT_OK;
}

static enum ft_status
ca_load(const struct ft_pki_ca *ca, EVP_PKEY **key, X509 **cert, struct ft_error *err)
{
    *key = pki_key_of_pem(ca->key_pem);
    *cert = pki_cert_of_pem(ca->cert_pem);
    if (*key == NULL || *cert == NULL)
        return ft_fail(err, FT_ERR_FORMAT, "the CA's %s is not a PEM", *key == NULL ? "key" : "certificate");
    if (X509_check_private_key(*cert, *key) != 1)
        return ft_fail(err, FT_ERR_VERIFY, "the CA's key does not belong to its certificate");
    return FT_OK;
}

static enum ft_status
openssl_failed(struct ft_error *err, const char *what)
{
    return ft_fail(err, FT_ERR_INTERNAL, "cannot %s: %s", what, pki_reason());
}

enum ft_status
ft_pki_make_ca(const char *name, struct ft_pki_validity validity, struct ft_buf *key_pem,
               struct ft_buf *cert_pem, struct ft_error *err)
{
    enum ft_status st;
    EVP_PKEY *key = NULL;
    X509 *cert = NULL;

    *key_pem = (struct ft_buf){ 0 };
    *cert_pem = (struct ft_buf){ 0 };
    FT_TRY(check_common(name, validity, err));
    key = EVP_EC_gen("P-256");
    cert = key != NULL ? cert_start(name, key, NULL, validity) : NULL;
    if (cert == NULL || X509_sign(cert, key, EVP_sha256()) == 0) {
        st = openssl_failed(err, "make a CA");
        goto out;
    }
    FT_TRY(pem_of_key(key, key_pem));
    FT_TRY(pem_of_cert(cert, cert_pem));
out:
    if (st != FT_OK) {
        ft_buf_clear(key_pem);
        ft_buf_clear(cert_pem);
    }
    X509_free(cert);
    EVP_PKEY_free(key);
    return st;
}

static enum ft_status
names_check(const char *const *names, size_t count, struct ft_error *err)
{
    if (count == 0 || count > FT_PKI_NAMES_MAX)
        return ft_fail(err, FT_ERR_ARGUMENT, "a server certificate needs 1 to %d names", FT_PKI_NAMES_MAX);
    for (size_t i = 0; i < count; i++) {
        unsigned char address[16];
        if (inet_pton(AF_INET, names[i], address) != 1 && inet_pton(AF_INET6, names[i], address) != 1 &&
            !dns_name_ok(names[i]))
            return ft_fail(err, FT_ERR_ARGUMENT,
                           "name %zu of the server is neither a DNS name nor an IP address", i + 1);
    }
    return FT_OK;
}

enum ft_status
ft_pki_make_server(const struct ft_pki_ca *ca, const char *const *names, size_t name_count,
                   struct ft_pki_validity validity, struct ft_buf *key_pem, struct ft_buf *cert_pem,
                   struct ft_error *err)
{
    enum ft_status st;
    EVP_PKEY *ca_key = NULL, *key = NULL;
    X509 *ca_cert = NULL, *cert = NULL;

    *key_pem = (struct ft_buf){ 0 };
    *cert_pem = (struct ft_buf){ 0 };
    FT_TRY(names_check(names, name_count, err));
    /* The common name only labels: who the server is stands in the alternative names. */
    FT_TRY(check_common("fedtill aggregator", validity, err));
    FT_TRY(ca_load(ca, &ca_key, &ca_cert, err));
    key = EVP_EC_gen("P-256");
    cert = key != NULL ? cert_start("fedtill aggregator", key, ca_cert, validity) : NULL;
    if (cert == NULL || !extension_add(cert, ca_cert, NID_ext_key_usage, "serverAuth") ||
        !alt_names_set(cert, names, name_count) || X509_sign(cert, ca_key, EVP_sha256()) == 0) {
        st = openssl_failed(err, "make a server certificate");
        goto out;
    }
    FT_TRY(pem_of_key(key, key_pem));
    FT_TRY(pem_of_cert(cert, cert_pem));
out:
    if (st != FT_OK) {
        ft_buf_clear(key_pem);
        ft_buf_clear(cert_pem);
    }
    X509_free(cert);
    X509_free(ca_cert);
    EVP_PKEY_free(key);
    EVP_PKEY_free(ca_key);
    return st;
}

enum ft_status
ft_pki_make_request(const char *shop, struct ft_buf *key_pem, struct ft_buf *csr_der, struct ft_error *err)
{
    enum ft_status st;
    EVP_PKEY *key = NULL;
    X509_REQ *req = NULL;
    unsigned char *der = NULL;
    int size;

    *key_pem = (struct ft_buf){ 0 };
    *csr_der = (struct ft_buf){ 0 };
    FT_TRY(check_common(shop, (struct ft_pki_validity){ 0, 0 }, err));
    key = EVP_EC_gen("P-256");
    req = X509_REQ_new();
    if (key == NULL || req == NULL || X509_REQ_set_version(req, 0) != 1 ||
        !name_set(X509_REQ_get_subject_name(req), shop) || X509_REQ_set_pubkey(req, key) != 1 ||
        X509_REQ_sign(req, key, EVP_sha256()) == 0 || (size = i2d_X509_REQ(req, &der)) <= 0) {
        st = openssl_failed(err, "make a certificate request");
        goto out;
    }
    FT_TRY(pem_of_key(key, key_pem));
    FT_TRY(ft_buf_append(csr_der, der, (size_t)size));
out:
    if (st != FT_OK) {
        ft_buf_clear(key_pem);
        ft_buf_clear(csr_der);
    }
    OPENSSL_free(der);
    X509_REQ_free(req);
    EVP_PKEY_free(key);
    return st;
}

/* A request we would certify: all of it parsed, a P-256 key, the subject that was invited, its own signature.
 */
static enum ft_status
request_check(struct ft_bytes der, const char *shop, X509_REQ **out, struct ft_error *err)
{
    const unsigned char *at = der.data;
    X509_REQ *req = NULL;
    EVP_PKEY *key;
    char *name;
    bool same;

    if (der.size > 0 && der.size <= FT_PKI_CSR_MAX)
        req = d2i_X509_REQ(NULL, &at, (long)der.size);
    *out = req; /* the caller frees it, whatever comes back */
    if (req == NULL || at != der.data + der.size)
        return ft_fail(err, FT_ERR_FORMAT, "not a certificate request");
    key = X509_REQ_get0_pubkey(req);
    if (key == NULL || !pki_key_is_p256(key))
        return ft_fail(err, FT_ERR_REFUSED, "the certificate request's key is not a P-256 key");
    if (X509_REQ_verify(req, key) != 1)
        return ft_fail(err, FT_ERR_VERIFY, "the certificate request is not signed by its own key");
    name = pki_sole_common_name(X509_REQ_get_subject_name(req));
    same = name != NULL && strcmp(name, shop) == 0;
    OPENSSL_free(name);
    if (!same)
        return ft_fail(err, FT_ERR_REFUSED, "the certificate request's subject is not exactly CN=%s", shop);
    return FT_OK;
}

enum ft_status
ft_pki_issue_client(const struct ft_pki_ca *ca, struct ft_bytes csr_der, const char *shop,
                    struct ft_pki_validity validity, struct ft_buf *cert_pem, struct ft_error *err)
{
    enum ft_status st;
    EVP_PKEY *ca_key = NULL;
    X509 *ca_cert = NULL, *cert = NULL;
    X509_REQ *req = NULL;

    *cert_pem = (struct ft_buf){ 0 };
    FT_TRY(check_common(shop, validity, err));
    FT_TRY(request_check(csr_der, shop, &req, err));
    FT_TRY(ca_load(ca, &ca_key, &ca_cert, err));
    cert = cert_start(shop, X509_REQ_get0_pubkey(req), ca_cert, validity);
    if (cert == NULL || !extension_add(cert, ca_cert, NID_ext_key_usage, "clientAuth") ||
        X509_sign(cert, ca_key, EVP_sha256()) == 0) {
        st = openssl_failed(err, "issue a certificate");
        goto out;
    }
    FT_TRY(pem_of_cert(cert, cert_pem));
out:
    if (st != FT_OK)
        ft_buf_clear(cert_pem);
    X509_free(cert);
    X509_free(ca_cert);
    X509_REQ_free(req);
    EVP_PKEY_free(ca_key);
    return st;
}
