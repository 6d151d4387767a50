/* From a certificate to an identity, and from a request to a certificate: PEM as it comes, and the same bytes
 * as DER. */
#include "common/base/alloc.h"
#include "common/rpc/pki.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct ft_buf ca_key, ca_pem; /* made once */
static const struct ft_pki_validity valid = { 1700000000, 1900000000 };

static void
check_name(const char *name)
{
    const size_t size = strlen(name);
    assert(size <= FT_PKI_NAME_MAX);
    for (size_t i = 0; i < size; i++)
        assert((unsigned char)name[i] >= 0x20 && name[i] != 0x7f);
}

static void
read_pem(struct ft_bytes pem)
{
    struct ft_pki_info info, again;
    struct ft_fingerprint fingerprint;
    const enum ft_status st = ft_pki_read(pem, &info);

    assert(st == FT_OK || st == FT_ERR_FORMAT);
    if (st == FT_OK) {
        check_name(info.common_name);
        assert(ft_pki_read(pem, &again) == FT_OK && memcmp(&info, &again, sizeof info) == 0);
        assert(ft_pki_fingerprint(pem, &fingerprint) == FT_OK);
        assert(memcmp(&fingerprint, &info.fingerprint, sizeof fingerprint) == 0);
    }
    for (int purpose = FT_PKI_CA; purpose <= FT_PKI_CLIENT; purpose++) {
        /* Nothing here was signed by this CA, so nothing verifies. */
        assert(ft_pki_verify(pem, ft_buf_bytes(&ca_pem), (enum ft_pki_purpose)purpose, 1800000000, NULL) !=
               FT_OK);
        (void)!ft_pki_verify(pem, pem, (enum ft_pki_purpose)purpose, 1800000000, NULL);
    }
    assert(ft_pki_match(ft_buf_bytes(&ca_key), pem) != FT_OK);
    (void)!ft_pki_match(pem, pem);
}

/* What the CA signs is a client's certificate for the name it was told, whatever the request says. */
static void
issue(struct ft_bytes der)
{
    struct ft_buf cert = { 0 };
    struct ft_pki_info info;
    const struct ft_pki_ca ca = { ft_buf_bytes(&ca_key), ft_buf_bytes(&ca_pem) };

    if (ft_pki_issue_client(&ca, der, "store-1", valid, &cert, NULL) == FT_OK) {
        assert(ft_pki_read(ft_buf_bytes(&cert), &info) == FT_OK && strcmp(info.common_name, "store-1") == 0);
        assert(ft_pki_verify(ft_buf_bytes(&cert), ca.cert_pem, FT_PKI_CLIENT, 1800000000, NULL) == FT_OK);
        assert(ft_pki_verify(ft_buf_bytes(&cert), ca.cert_pem, FT_PKI_SERVER, 1800000000, NULL) != FT_OK);
        assert(ft_pki_verify(ft_buf_bytes(&cert), ca.cert_pem, FT_PKI_CA, 1800000000, NULL) != FT_OK);
    }
    ft_buf_clear(&cert);
}

/* Random DER hardly ever survives base64: put it there. */
static void
read_der(struct ft_bytes der)
{
    static const char head[] = "-----BEGIN CERTIFICATE-----\n", tail[] = "\n-----END CERTIFICATE-----\n";
    const size_t room = sodium_base64_encoded_len(der.size, sodium_base64_VARIANT_ORIGINAL);
    struct ft_buf pem = { 0 };
    char *text = malloc(room);

    assert(text != NULL);
    sodium_bin2base64(text, room, der.data, der.size, sodium_base64_VARIANT_ORIGINAL);
    assert(ft_buf_append(&pem, head, sizeof head - 1) == FT_OK);
    for (size_t at = 0; at < strlen(text); at += 64) {
        const size_t left = strlen(text) - at;
        assert(ft_buf_append(&pem, text + at, left < 64 ? left : 64) == FT_OK &&
               ft_buf_u8(&pem, '\n') == FT_OK);
    }
    assert(ft_buf_append(&pem, tail, sizeof tail - 1) == FT_OK);
    read_pem(ft_buf_bytes(&pem));
    ft_buf_clear(&pem);
    free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (ca_pem.size == 0)
        assert(sodium_init() >= 0 && ft_pki_make_ca("fuzz", valid, &ca_key, &ca_pem, NULL) == FT_OK);
    const size_t live = ft_alloc_live();
    if (size > (32 << 10))
        return 0;
    if (size > 0 && data[0] == '-') {
        read_pem(FT_BYTES(data, size));
    } else {
        read_der(FT_BYTES(data, size));
        issue(FT_BYTES(data, size));
    }
    assert(ft_alloc_live() == live);
    return 0;
}
