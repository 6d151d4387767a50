/* Reading and checking certificates. */
#include "common/rpc/pki.h"
#include "common/rpc/pki_internal.h"

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>

static BIO *
bio_of(struct ft_bytes pem)
{
    if (pem.data == NULL || pem.size == 0 || pem.size > FT_PKI_PEM_MAX)
        return NULL;
    return BIO_new_mem_buf(pem.data, (int)pem.size);
}

/* Instead of OpenSSL's own, which would ask on the terminal. */
static int
no_passphrase(char *buf, int size, int rwflag, void *user)
{
    (void)buf, (void)size, (void)rwflag, (void)user;
    return -1;
}

X509 *
pki_cert_of_pem(struct ft_bytes pem)
{
    BIO *bio = bio_of(pem);
    X509 *cert = bio != NULL ? PEM_read_bio_X509(bio, NULL, no_passphrase, NULL) : NULL;
    BIO_free(bio);
    if (cert == NULL)
        ERR_clear_error();
    return cert;
}

EVP_PKEY *
pki_key_of_pem(struct ft_bytes pem)
{
    BIO *bio = bio_of(pem);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    BIO_free(bio);
    if (key == NULL)
        ERR_clear_error();
    return key;
}

bool
pki_key_is_p256(const EVP_PKEY *key)
{
    char group[32] = "";
    return EVP_PKEY_is_a(key, "EC") &&
           EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, NULL) == 1 &&
           strcmp(group, SN_X9_62_prime256v1) == 0;
}

bool
pki_name_ok(const char *name)
{
    const size_t size = strlen(name);
    if (size == 0 || size > FT_PKI_NAME_MAX)
        return false;
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            return false;
    return true;
}

/* The entry as UTF-8, if it is whole (no NUL inside) and a name we could have made; else NULL. */
static char *
entry_text(const X509_NAME_ENTRY *entry)
{
    unsigned char *text = NULL;
    const int size = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry));
    if (size < 0)
        return NULL;
    if (strlen((char *)text) != (size_t)size || !pki_name_ok((char *)text)) {
        OPENSSL_free(text);
        return NULL;
    }
    return (char *)text;
}

char *
pki_sole_common_name(const X509_NAME *subject)
{
    X509_NAME_ENTRY *entry;
    if (subject == NULL || X509_NAME_entry_count(subject) != 1)
        return NULL;
    entry = X509_NAME_get_entry(subject, 0);
    if (OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry)) != NID_commonName)
        return NULL;
    return entry_text(entry);
}

const char *
pki_reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return text != NULL ? text : "no reason given";
}

static bool
seconds_of(const ASN1_TIME *t, int64_t *out)
{
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    int days = 0, seconds = 0;
    const bool ok = epoch != NULL && t != NULL && ASN1_TIME_diff(&days, &seconds, epoch, t) == 1;
    *out = ok ? (int64_t)days * 86400 + seconds : 0;
    ASN1_TIME_free(epoch);
    return ok;
}

enum ft_status
ft_pki_read(struct ft_bytes cert_pem, struct ft_pki_info *out)
{
    X509 *cert = pki_cert_of_pem(cert_pem);
    enum ft_status st = FT_ERR_FORMAT;
    char *name = NULL;
    unsigned int size = 0;

    memset(out, 0, sizeof *out);
    if (cert == NULL)
        return FT_ERR_FORMAT;
    name = pki_sole_common_name(X509_get_subject_name(cert));
    if (X509_digest(cert, EVP_sha256(), out->fingerprint.bytes, &size) == 1 && size == 32 &&
        seconds_of(X509_get0_notBefore(cert), &out->validity.not_before_s) &&
        seconds_of(X509_get0_notAfter(cert), &out->validity.not_after_s)) {
        if (name != NULL)
            memcpy(out->common_name, name, strlen(name)); /* at most FT_PKI_NAME_MAX */
        st = FT_OK;
    } else {
        memset(out, 0, sizeof *out);
    }
    OPENSSL_free(name);
    X509_free(cert);
    return st;
}

enum ft_status
ft_pki_fingerprint(struct ft_bytes cert_pem, struct ft_fingerprint *out)
{
    X509 *cert = pki_cert_of_pem(cert_pem);
    unsigned int size = 0;
    const bool ok = cert != NULL && X509_digest(cert, EVP_sha256(), out->bytes, &size) == 1 && size == 32;
    if (!ok)
        memset(out, 0, sizeof *out);
    X509_free(cert);
    return ok ? FT_OK : FT_ERR_FORMAT;
}

/* OpenSSL lets a certificate without extended usage pass for any purpose; ours always say theirs. */
static bool
purpose_named(X509 *cert, enum ft_pki_purpose purpose)
{
    const uint32_t usage = X509_get_extended_key_usage(cert);
    if (purpose == FT_PKI_CA)
        return X509_check_ca(cert) == 1;
    return usage != UINT32_MAX && (usage & (purpose == FT_PKI_SERVER ? XKU_SSL_SERVER : XKU_SSL_CLIENT)) != 0;
}

enum ft_status
ft_pki_verify(struct ft_bytes cert_pem, struct ft_bytes ca_pem, enum ft_pki_purpose purpose, int64_t at_s,
              struct ft_error *err)
{
    static const int openssl_purpose[] = { [FT_PKI_CA] = X509_PURPOSE_ANY,
                                           [FT_PKI_SERVER] = X509_PURPOSE_SSL_SERVER,
                                           [FT_PKI_CLIENT] = X509_PURPOSE_SSL_CLIENT };
    X509 *cert = pki_cert_of_pem(cert_pem), *ca = pki_cert_of_pem(ca_pem);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    enum ft_status st = FT_OK;

    if (cert == NULL || ca == NULL) {
        st = ft_fail(err, FT_ERR_FORMAT, "the %s is not a PEM",
                     cert == NULL ? "certificate" : "CA's certificate");
        goto out;
    }
    if (store == NULL || ctx == NULL || X509_STORE_add_cert(store, ca) != 1 ||
        X509_STORE_CTX_init(ctx, store, cert, NULL) != 1) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    X509_STORE_CTX_set_time(ctx, 0, (time_t)at_s);
    X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_X509_STRICT);
    X509_STORE_CTX_set_purpose(ctx, openssl_purpose[purpose]);
    if (X509_verify_cert(ctx) != 1)
        st = ft_fail(err, FT_ERR_VERIFY, "%s", X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
    else if (!purpose_named(cert, purpose))
        st = ft_fail(err, FT_ERR_VERIFY, "the certificate was not made for this purpose");
out:
    ERR_clear_error();
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    X509_free(ca);
    X509_free(cert);
    return st;
}

enum ft_status
ft_pki_match(struct ft_bytes key_pem, struct ft_bytes cert_pem)
{
    EVP_PKEY *key = pki_key_of_pem(key_pem);
    X509 *cert = pki_cert_of_pem(cert_pem);
    enum ft_status st = FT_OK;
    if (key == NULL || cert == NULL)
        st = FT_ERR_FORMAT;
    else if (X509_check_private_key(cert, key) != 1)
        st = FT_ERR_VERIFY;
    ERR_clear_error();
    X509_free(cert);
    EVP_PKEY_free(key);
    return st;
}
