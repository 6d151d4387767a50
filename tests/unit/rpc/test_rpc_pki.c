/* Certificates: what is issued, what is refused, and what stands in them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/alloc.h"
#include "common/rpc/pki.h"
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <sodium.h>
#include <string.h>

/* 2026-01-01 and 2027-01-01, 00:00 UTC. */
static const struct ft_pki_validity year = { 1767225600, 1798761600 };
#define MIDYEAR INT64_C(1782864000) /* 2026-07-01 */

struct fixture {
    struct ft_buf ca_key, ca_cert, key, csr, cert;
    struct ft_pki_ca ca;
};

static int
setup(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof f);
    assert_true(sodium_init() >= 0);
    assert_int_equal(ft_pki_make_ca("test CA", year, &f.ca_key, &f.ca_cert, NULL), FT_OK);
    f.ca = (struct ft_pki_ca){ ft_buf_bytes(&f.ca_key), ft_buf_bytes(&f.ca_cert) };
    assert_int_equal(ft_pki_make_request("store-367", &f.key, &f.csr, NULL), FT_OK);
    assert_int_equal(ft_pki_issue_client(&f.ca, ft_buf_bytes(&f.csr), "store-367", year, &f.cert, NULL),
                     FT_OK);
    *state = &f;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;
    ft_buf_clear(&f->ca_key);
    ft_buf_clear(&f->ca_cert);
    ft_buf_clear(&f->key);
    ft_buf_clear(&f->csr);
    ft_buf_clear(&f->cert);
    return 0;
}

static enum ft_status
verify(const struct ft_buf *cert, const struct ft_buf *ca, enum ft_pki_purpose purpose, int64_t at_s)
{
    return ft_pki_verify(ft_buf_bytes(cert), ft_buf_bytes(ca), purpose, at_s, NULL);
}

/* An issued certificate verifies for its purpose, exactly within its validity: first second in, last one out.
 */
static void
pki_client_certificate_verifies_within_its_validity(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(verify(&f->cert, &f->ca_cert, FT_PKI_CLIENT, MIDYEAR), FT_OK);
    assert_int_equal(verify(&f->cert, &f->ca_cert, FT_PKI_CLIENT, year.not_before_s), FT_OK);
    assert_int_equal(verify(&f->cert, &f->ca_cert, FT_PKI_CLIENT, year.not_after_s - 1), FT_OK);
    assert_int_equal(verify(&f->cert, &f->ca_cert, FT_PKI_CLIENT, year.not_before_s - 1), FT_ERR_VERIFY);
    assert_int_equal(verify(&f->cert, &f->ca_cert, FT_PKI_CLIENT, year.not_after_s), FT_ERR_VERIFY);
}

/* No kind of certificate stands in for another. */
static void
pki_certificate_serves_its_own_purpose_only(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = { "aggregator.example.org", "192.0.2.7", "2001:db8::7" };
    struct ft_buf key, server;
    assert_int_equal(ft_pki_make_server(&f->ca, names, 3, year, &key, &server, NULL), FT_OK);
    assert_int_equal(verify(&server, &f->ca_cert, FT_PKI_SERVER, MIDYEAR), FT_OK);
    assert_int_equal(verify(&server, &f->ca_cert, FT_PKI_CLIENT, MIDYEAR), FT_ERR_VERIFY);
    assert_int_equal(verify(&f->cert, &f->ca_cert, FT_PKI_SERVER, MIDYEAR), FT_ERR_VERIFY);
    assert_int_equal(verify(&f->cert, &f->ca_cert, FT_PKI_CA, MIDYEAR), FT_ERR_VERIFY);
    assert_int_equal(verify(&f->ca_cert, &f->ca_cert, FT_PKI_CA, MIDYEAR), FT_OK);
    assert_int_equal(verify(&f->ca_cert, &f->ca_cert, FT_PKI_CLIENT, MIDYEAR), FT_ERR_VERIFY);
    ft_buf_clear(&key);
    ft_buf_clear(&server);
}

/* Another CA's certificate does not verify, even when both CAs have the same name. */
static void
pki_certificate_of_another_ca_is_refused(void **state)
{
    struct fixture *f = *state;
    struct ft_buf key, cert;
    assert_int_equal(ft_pki_make_ca("test CA", year, &key, &cert, NULL), FT_OK);
    assert_int_equal(verify(&f->cert, &cert, FT_PKI_CLIENT, MIDYEAR), FT_ERR_VERIFY);
    ft_buf_clear(&key);
    ft_buf_clear(&cert);
}

/* A client certificate cannot sign another one: the CA's path length is 0 and the leaf is no CA. */
static void
pki_client_certificate_cannot_issue(void **state)
{
    struct fixture *f = *state;
    const struct ft_pki_ca leaf = { ft_buf_bytes(&f->key), ft_buf_bytes(&f->cert) };
    struct ft_buf key, csr, cert;
    assert_int_equal(ft_pki_make_request("store-2", &key, &csr, NULL), FT_OK);
    assert_int_equal(ft_pki_issue_client(&leaf, ft_buf_bytes(&csr), "store-2", year, &cert, NULL), FT_OK);
    assert_int_equal(verify(&cert, &f->cert, FT_PKI_CLIENT, MIDYEAR), FT_ERR_VERIFY);
    assert_int_equal(verify(&cert, &f->ca_cert, FT_PKI_CLIENT, MIDYEAR), FT_ERR_VERIFY);
    ft_buf_clear(&key);
    ft_buf_clear(&csr);
    ft_buf_clear(&cert);
}

/* What was put in is read back: name, times, and the SHA-256 of the bytes between the PEM's lines. */
static void
pki_read_gives_back_what_was_issued(void **state)
{
    struct fixture *f = *state;
    struct ft_pki_info info;
    struct ft_fingerprint again;
    uint8_t der[2048], digest[32];
    size_t der_size = 0;
    const char *begin, *end;

    assert_int_equal(ft_pki_read(ft_buf_bytes(&f->cert), &info), FT_OK);
    assert_string_equal(info.common_name, "store-367");
    assert_int_equal(info.validity.not_before_s, year.not_before_s);
    assert_int_equal(info.validity.not_after_s, year.not_after_s);
    assert_int_equal(ft_buf_append(&f->cert, "", 1), FT_OK); /* a terminator, for strstr */
    begin = strstr((char *)f->cert.data, "-----BEGIN CERTIFICATE-----\n");
    end = strstr((char *)f->cert.data, "\n-----END");
    assert_non_null(begin);
    assert_non_null(end);
    begin += strlen("-----BEGIN CERTIFICATE-----\n");
    assert_int_equal(sodium_base642bin(der, sizeof der, begin, (size_t)(end - begin), "\n", &der_size, NULL,
                                       sodium_base64_VARIANT_ORIGINAL),
                     0);
    crypto_hash_sha256(digest, der, der_size);
    assert_memory_equal(info.fingerprint.bytes, digest, 32);
    f->cert.size--;
    assert_int_equal(ft_pki_fingerprint(ft_buf_bytes(&f->cert), &again), FT_OK);
    assert_memory_equal(again.bytes, digest, 32);
}

/* Two certificates for the same shop differ: serial numbers are random. */
static void
pki_serial_numbers_differ(void **state)
{
    struct fixture *f = *state;
    struct ft_buf second;
    struct ft_fingerprint a, b;
    assert_int_equal(ft_pki_issue_client(&f->ca, ft_buf_bytes(&f->csr), "store-367", year, &second, NULL),
                     FT_OK);
    assert_int_equal(ft_pki_fingerprint(ft_buf_bytes(&f->cert), &a), FT_OK);
    assert_int_equal(ft_pki_fingerprint(ft_buf_bytes(&second), &b), FT_OK);
    assert_memory_not_equal(a.bytes, b.bytes, 32);
    ft_buf_clear(&second);
}

/* A key is matched to its own certificate only. */
static void
pki_match_tells_keys_apart(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ft_pki_match(ft_buf_bytes(&f->key), ft_buf_bytes(&f->cert)), FT_OK);
    assert_int_equal(ft_pki_match(ft_buf_bytes(&f->ca_key), ft_buf_bytes(&f->cert)), FT_ERR_VERIFY);
    assert_int_equal(ft_pki_match(ft_buf_bytes(&f->cert), ft_buf_bytes(&f->cert)), FT_ERR_FORMAT);
    assert_int_equal(ft_pki_match(FT_BYTES("", 0), ft_buf_bytes(&f->cert)), FT_ERR_FORMAT);
}

/* A CA whose key and certificate belong to two CAs issues nothing. */
static void
pki_mixed_ca_pair_issues_nothing(void **state)
{
    struct fixture *f = *state;
    const struct ft_pki_ca mixed = { ft_buf_bytes(&f->key), ft_buf_bytes(&f->ca_cert) };
    struct ft_buf cert;
    assert_int_equal(ft_pki_issue_client(&mixed, ft_buf_bytes(&f->csr), "store-367", year, &cert, NULL),
                     FT_ERR_VERIFY);
    assert_null(cert.data);
}

static enum ft_status
issue(struct fixture *f, struct ft_bytes csr, const char *shop)
{
    struct ft_buf cert;
    const enum ft_status st = ft_pki_issue_client(&f->ca, csr, shop, year, &cert, NULL);
    assert_true((cert.data != NULL) == (st == FT_OK));
    ft_buf_clear(&cert);
    return st;
}

/* With any one byte of the request flipped, nothing is issued. */
static void
pki_request_with_any_byte_flipped_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(issue(f, ft_buf_bytes(&f->csr), "store-367"), FT_OK);
    for (size_t i = 0; i < f->csr.size; i++) {
        f->csr.data[i] ^= 1;
        assert_int_not_equal(issue(f, ft_buf_bytes(&f->csr), "store-367"), FT_OK);
        f->csr.data[i] ^= 1;
    }
}

/* A request cut at any byte, or with a byte too many, is malformed. */
static void
pki_request_of_wrong_length_is_malformed(void **state)
{
    struct fixture *f = *state;
    for (size_t size = 0; size < f->csr.size; size++)
        assert_int_equal(issue(f, FT_BYTES(f->csr.data, size), "store-367"), FT_ERR_FORMAT);
    assert_int_equal(ft_buf_u8(&f->csr, 0), FT_OK);
    assert_int_equal(issue(f, ft_buf_bytes(&f->csr), "store-367"), FT_ERR_FORMAT);
}

/* A request for another shop than the invited one is refused. */
static void
pki_request_for_another_shop_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(issue(f, ft_buf_bytes(&f->csr), "store-36"), FT_ERR_REFUSED);
    assert_int_equal(issue(f, ft_buf_bytes(&f->csr), "store-3670"), FT_ERR_REFUSED);
    assert_int_equal(issue(f, ft_buf_bytes(&f->csr), "STORE-367"), FT_ERR_REFUSED);
}

/* A request made by hand: any key, any subject (pairs of NID and text), extensions asked for. */
static enum ft_status
issue_by_hand(struct fixture *f, EVP_PKEY *key, const char *name, int name_size, const char *organisation,
              bool ask_for_ca, struct ft_buf *cert)
{
    X509_REQ *req = X509_REQ_new();
    X509_NAME *subject = X509_REQ_get_subject_name(req);
    unsigned char *der = NULL;
    enum ft_status st;
    int size;

    X509_NAME_add_entry_by_NID(subject, NID_commonName, V_ASN1_UTF8STRING, (const unsigned char *)name,
                               name_size, -1, 0);
    if (organisation != NULL)
        X509_NAME_add_entry_by_NID(subject, NID_organizationName, V_ASN1_UTF8STRING,
                                   (const unsigned char *)organisation, -1, -1, 0);
    if (ask_for_ca) {
        STACK_OF(X509_EXTENSION) *list = sk_X509_EXTENSION_new_null();
        sk_X509_EXTENSION_push(list,
                               X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE"));
        sk_X509_EXTENSION_push(list, X509V3_EXT_conf_nid(NULL, NULL, NID_ext_key_usage, "serverAuth"));
        X509_REQ_add_extensions(req, list);
        sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
    }
    X509_REQ_set_pubkey(req, key);
    assert_true(X509_REQ_sign(req, key, EVP_sha256()) > 0);
    size = i2d_X509_REQ(req, &der);
    st = ft_pki_issue_client(&f->ca, FT_BYTES(der, (size_t)size), "store-367", year, cert, NULL);
    OPENSSL_free(der);
    X509_REQ_free(req);
    return st;
}

/* Keys other than P-256 are refused, whatever their strength. */
static void
pki_request_with_another_kind_of_key_is_refused(void **state)
{
    struct fixture *f = *state;
    EVP_PKEY *keys[] = { EVP_EC_gen("P-384"), EVP_EC_gen("secp256k1"), EVP_RSA_gen(2048),
                         EVP_EC_gen("P-256") };
    struct ft_buf cert;
    for (int i = 0; i < 4; i++) {
        assert_non_null(keys[i]);
        assert_int_equal(issue_by_hand(f, keys[i], "store-367", -1, NULL, false, &cert),
                         i == 3 ? FT_OK : FT_ERR_REFUSED); /* the last one is the control */
        ft_buf_clear(&cert);
        EVP_PKEY_free(keys[i]);
    }
}

/* A subject with more in it than the shop's name, or a NUL in it, is refused. */
static void
pki_request_with_an_odd_subject_is_refused(void **state)
{
    struct fixture *f = *state;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    struct ft_buf cert;
    assert_int_equal(issue_by_hand(f, key, "store-367", -1, "fedtill", false, &cert), FT_ERR_REFUSED);
    assert_int_equal(issue_by_hand(f, key, "store-367\0x", 11, NULL, false, &cert), FT_ERR_REFUSED);
    assert_int_equal(issue_by_hand(f, key, "store-367\n", -1, NULL, false, &cert), FT_ERR_REFUSED);
    EVP_PKEY_free(key);
}

/* What a request asks for beyond a name and a key is ignored: no CA, no server. */
static void
pki_request_asking_for_more_gets_a_plain_client_certificate(void **state)
{
    struct fixture *f = *state;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    struct ft_buf cert;
    assert_int_equal(issue_by_hand(f, key, "store-367", -1, NULL, true, &cert), FT_OK);
    assert_int_equal(verify(&cert, &f->ca_cert, FT_PKI_CLIENT, MIDYEAR), FT_OK);
    assert_int_equal(verify(&cert, &f->ca_cert, FT_PKI_SERVER, MIDYEAR), FT_ERR_VERIFY);
    assert_int_equal(verify(&cert, &f->ca_cert, FT_PKI_CA, MIDYEAR), FT_ERR_VERIFY);
    ft_buf_clear(&cert);
    EVP_PKEY_free(key);
}

/* Names that could smuggle in a second one, and names that are none, make no certificate. */
static void
pki_server_with_a_bad_name_is_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = { "",   "a,DNS:evil.example.org", "a b", "*.example.org", "-a", "a\nb",
                                       "::g" };
    struct ft_buf key, cert;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *const names[] = { "good.example.org", bad[i] };
        assert_int_equal(ft_pki_make_server(&f->ca, names, 2, year, &key, &cert, NULL), FT_ERR_ARGUMENT);
        assert_null(key.data);
        assert_null(cert.data);
    }
    assert_int_equal(ft_pki_make_server(&f->ca, NULL, 0, year, &key, &cert, NULL), FT_ERR_ARGUMENT);
}

/* A validity that ends before it starts is refused, and so are names too long or with control characters. */
static void
pki_bad_arguments_are_refused(void **state)
{
    struct ft_buf key, cert;
    char longest[FT_PKI_NAME_MAX + 2];
    (void)state;
    memset(longest, 'a', sizeof longest);
    longest[FT_PKI_NAME_MAX + 1] = '\0';
    assert_int_equal(ft_pki_make_ca("x", (struct ft_pki_validity){ 10, 9 }, &key, &cert, NULL),
                     FT_ERR_ARGUMENT);
    assert_int_equal(ft_pki_make_ca("", year, &key, &cert, NULL), FT_ERR_ARGUMENT);
    assert_int_equal(ft_pki_make_ca("a\tb", year, &key, &cert, NULL), FT_ERR_ARGUMENT);
    assert_int_equal(ft_pki_make_request(longest, &key, &cert, NULL), FT_ERR_ARGUMENT);
    longest[FT_PKI_NAME_MAX] = '\0';
    assert_int_equal(ft_pki_make_request(longest, &key, &cert, NULL), FT_OK);
    ft_buf_clear(&key);
    ft_buf_clear(&cert);
}

/* Malformed PEMs are refused, wherever they are cut. */
static void
pki_cut_certificate_is_malformed(void **state)
{
    struct fixture *f = *state;
    struct ft_pki_info info;
    for (size_t size = 0; size + 2 < f->cert.size; size++) /* the last line may lack its newline and a dash */
        assert_int_equal(ft_pki_read(FT_BYTES(f->cert.data, size), &info), FT_ERR_FORMAT);
}

/* Fail each allocation in turn: a clean status, no output, no leak. */
static void
pki_survives_any_failed_allocation(void **state)
{
    struct fixture *f = *state;
    const size_t live = ft_alloc_live();
    for (uint64_t nth = 1;; nth++) {
        struct ft_buf key, csr, cert = { 0 };
        enum ft_status st;
        bool fired;
        ft_alloc_fail_at(nth, false);
        st = ft_pki_make_request("store-9", &key, &csr, NULL);
        if (st == FT_OK)
            st = ft_pki_issue_client(&f->ca, ft_buf_bytes(&csr), "store-9", year, &cert, NULL);
        fired = ft_alloc_fault_fired();
        ft_alloc_fail_at(0, false);
        if (fired) {
            assert_int_equal(st, FT_ERR_NOMEM);
            assert_null(cert.data);
        }
        ft_buf_clear(&key);
        ft_buf_clear(&csr);
        ft_buf_clear(&cert);
        assert_int_equal(ft_alloc_live(), live);
        if (!fired) {
            assert_int_equal(st, FT_OK);
            assert_true(nth > 3); /* key, request and certificate: there was something to fail */
            break;
        }
    }
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(pki_client_certificate_verifies_within_its_validity),
        CASE(pki_certificate_serves_its_own_purpose_only),
        CASE(pki_certificate_of_another_ca_is_refused),
        CASE(pki_client_certificate_cannot_issue),
        CASE(pki_read_gives_back_what_was_issued),
        CASE(pki_serial_numbers_differ),
        CASE(pki_match_tells_keys_apart),
        CASE(pki_mixed_ca_pair_issues_nothing),
        CASE(pki_request_with_any_byte_flipped_is_refused),
        CASE(pki_request_of_wrong_length_is_malformed),
        CASE(pki_request_for_another_shop_is_refused),
        CASE(pki_request_with_another_kind_of_key_is_refused),
        CASE(pki_request_with_an_odd_subject_is_refused),
        CASE(pki_request_asking_for_more_gets_a_plain_client_certificate),
        CASE(pki_server_with_a_bad_name_is_refused),
        CASE(pki_bad_arguments_are_refused),
        CASE(pki_cut_certificate_is_malformed),
        CASE(pki_survives_any_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
