/* Invitation and enrolment: a token works once, for its shop, in its time, with proof of the identity key. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregator/registry/enrolment.h"
#include "aggregator/registry/invitation.h"
#include "client/link/federation.h"
#include "common/base/alloc.h"
#include "common/secure_sum/hash.h"

#include <jansson.h>
#include <string.h>

#define OK(call)   assert_int_equal((call), FT_OK)
#define DAY_MS     86400000u
#define WALL_START 1760000000000u

struct bench {
    struct ft_env_seeded env;
    struct ft_store *store;
    struct ft_buf ca_key, ca_pem;
    struct ft_enrolment enrolment;
    uint8_t token[32];
    uint8_t identity_pk[32], identity_sk[64];
    struct ft_buf key_pem, csr;
};

static int
setup(void **state)
{
    static const uint8_t deployment[16] = { 1 };
    struct bench *b = ft_calloc(1, sizeof *b);
    const struct ft_pki_validity valid = { WALL_START / 1000 - 86400, WALL_START / 1000 + 4000LL * 86400 };

    if (sodium_init() < 0 || b == NULL)
        return 1;
    ft_env_seeded_init(&b->env, 1, 1);
    b->env.wall = WALL_START;
    OK(ft_store_open_memory(deployment, &b->store, NULL));
    OK(ft_pki_make_ca("test", valid, &b->ca_key, &b->ca_pem, NULL));
    b->enrolment = (struct ft_enrolment){ .store = b->store,
                                          .env = &b->env.env,
                                          .ca = { ft_buf_bytes(&b->ca_key), ft_buf_bytes(&b->ca_pem) },
                                          .certificate_days = 30 };
    crypto_sign_keypair(b->identity_pk, b->identity_sk);
    *state = b;
    return 0;
}

static int
teardown(void **state)
{
    struct bench *b = *state;
    ft_store_close(b->store);
    ft_buf_clear(&b->ca_key);
    ft_buf_clear(&b->ca_pem);
    ft_buf_clear(&b->key_pem);
    ft_buf_clear(&b->csr);
    ft_free(b);
    return 0;
}

static void
invite(struct bench *b, const char *shop, uint32_t days)
{
    static const uint8_t task_keys[1][32] = { { 5 } };
    const struct ft_trust trust = { .aggregator = "fl.example.org:7443",
                                    .ca_pem = ft_buf_bytes(&b->ca_pem),
                                    .task_keys = task_keys,
                                    .task_key_count = 1 };
    struct ft_buf json = { 0 };
    int64_t id = 0;
    json_t *file;

    OK(ft_invite(b->store, &b->env.env, &trust, shop, days, &json, &id, NULL));
    file = json_loadb((const char *)json.data, json.size, 0, NULL);
    assert_non_null(file);
    OK(ft_unhex(b->token, 32, json_string_value(json_object_get(file, "token"))));
    assert_string_equal(json_string_value(json_object_get(file, "aggregator")), "fl.example.org:7443");
    assert_string_equal(json_string_value(json_object_get(file, "shop")), shop);
    json_decref(file);
    ft_buf_clear(&json);
}

/* A request as a client makes it. `sk` signs the proof. */
static void
request_of(struct bench *b, const char *shop, const uint8_t pk[32], const uint8_t sk[64], struct ft_buf *out)
{
    struct ft_fed_enrol r = { .shop = shop };

    ft_buf_clear(&b->csr);
    ft_buf_clear(&b->key_pem);
    OK(ft_pki_make_request(shop, &b->key_pem, &b->csr, NULL));
    memcpy(r.token, b->token, 32);
    memcpy(r.identity_key, pk, 32);
    r.csr_der = ft_buf_bytes(&b->csr);
    FT_SS_SIGN(r.identity_proof, sk, "enrol", FT_BYTES(r.token, 32), FT_BYTES(shop, strlen(shop)), r.csr_der);
    ft_buf_clear(out);
    OK(ft_fed_enrol_encode(&r, out));
}

static enum ft_enrol_refusal
enrol(struct bench *b, const struct ft_buf *request, struct ft_buf *reply)
{
    enum ft_enrol_refusal refusal = FT_ENROL_OK;
    ft_buf_clear(reply);
    OK(ft_enrol(&b->enrolment, ft_buf_bytes(request), reply, &refusal));
    return refusal;
}

/* The way it should go: a certificate of our CA for this shop, whose fingerprint is in the register. */
static void
registry_enrols_an_invited_shop(void **state)
{
    struct bench *b = *state;
    struct ft_buf request = { 0 }, reply = { 0 };
    struct ft_fed_enrolled answer;
    struct ft_fingerprint fingerprint;
    struct ft_shop shop;
    char hex[65];

    invite(b, "store-1", 7);
    request_of(b, "store-1", b->identity_pk, b->identity_sk, &request);
    assert_int_equal(enrol(b, &request, &reply), FT_ENROL_OK);
    OK(ft_fed_enrolled_decode(ft_buf_bytes(&reply), &answer));
    assert_int_equal(answer.refusal, 0);
    OK(ft_pki_verify(answer.certificate_pem, ft_buf_bytes(&b->ca_pem), FT_PKI_CLIENT, WALL_START / 1000,
                     NULL));
    OK(ft_pki_match(ft_buf_bytes(&b->key_pem), answer.certificate_pem));
    OK(ft_pki_fingerprint(answer.certificate_pem, &fingerprint));
    OK(ft_store_shop_by_fingerprint(b->store, ft_hex(hex, fingerprint.bytes, 32), &shop));
    assert_string_equal(shop.name, "store-1");
    assert_memory_equal(shop.identity_key, b->identity_pk, 32);
    ft_fed_enrolled_clear(&answer);
    ft_buf_clear(&request);
    ft_buf_clear(&reply);
}

/* A lost reply: the same bytes again get the same certificate. Any other use of the token is refused. */
static void
registry_answers_the_same_request_again_and_no_other(void **state)
{
    struct bench *b = *state;
    struct ft_buf request = { 0 }, first = { 0 }, second = { 0 };
    uint8_t pk[32], sk[64];

    invite(b, "store-1", 7);
    request_of(b, "store-1", b->identity_pk, b->identity_sk, &request);
    assert_int_equal(enrol(b, &request, &first), FT_ENROL_OK);
    assert_int_equal(enrol(b, &request, &second), FT_ENROL_OK);
    assert_int_equal(first.size, second.size);
    assert_memory_equal(first.data, second.data, first.size);
    request_of(b, "store-1", b->identity_pk, b->identity_sk, &request); /* a new certificate request */
    assert_int_equal(enrol(b, &request, &second), FT_ENROL_TOKEN_USED);
    crypto_sign_keypair(pk, sk);
    request_of(b, "store-1", pk, sk, &request);
    assert_int_equal(enrol(b, &request, &second), FT_ENROL_TOKEN_USED);
    ft_buf_clear(&request);
    ft_buf_clear(&first);
    ft_buf_clear(&second);
}

/* Unknown, expired, another shop's, without proof of the identity, malformed: each has its own number, and
 * nobody gets in. */
static void
registry_refuses_bad_requests_each_with_its_number(void **state)
{
    struct bench *b = *state;
    struct ft_buf request = { 0 }, reply = { 0 };
    struct ft_shop shop;
    uint8_t pk[32], sk[64], token[32];

    invite(b, "store-2", 1);
    memcpy(token, b->token, 32);
    b->token[0] ^= 1;
    request_of(b, "store-2", b->identity_pk, b->identity_sk, &request);
    assert_int_equal(enrol(b, &request, &reply), FT_ENROL_TOKEN_UNKNOWN);

    invite(b, "store-1", 1);
    request_of(b, "store-2", b->identity_pk, b->identity_sk, &request);
    assert_int_equal(enrol(b, &request, &reply), FT_ENROL_OTHER_SHOP);

    crypto_sign_keypair(pk, sk);
    request_of(b, "store-1", pk, b->identity_sk, &request); /* signed by somebody else's key */
    assert_int_equal(enrol(b, &request, &reply), FT_ENROL_NOT_PROVEN);

    b->env.wall += DAY_MS;
    request_of(b, "store-1", b->identity_pk, b->identity_sk, &request);
    assert_int_equal(enrol(b, &request, &reply), FT_ENROL_TOKEN_EXPIRED);

    assert_int_equal(ft_enrol(&b->enrolment, FT_BYTES("\xff\xff", 2), &reply, NULL), FT_ERR_FORMAT);
    OK(ft_store_shop_by_name(b->store, "store-1", &shop));
    assert_int_equal(shop.state, FT_SHOP_INVITED);
    OK(ft_store_shop_by_name(b->store, "store-2", &shop));
    assert_int_equal(shop.state, FT_SHOP_INVITED);
    ft_buf_clear(&request);
    ft_buf_clear(&reply);
}

/* A certificate request for another name, and an identity key that another shop has, are refused; the token
 * lives on. */
static void
registry_refuses_foreign_requests_without_spending_the_token(void **state)
{
    struct bench *b = *state;
    struct ft_buf request = { 0 }, reply = { 0 }, other_key = { 0 }, other_csr = { 0 };
    struct ft_fed_enrol r = { .shop = "store-1" };
    uint8_t pk[32], sk[64];

    invite(b, "store-1", 7);
    OK(ft_pki_make_request("store-9", &other_key, &other_csr, NULL));
    memcpy(r.token, b->token, 32);
    memcpy(r.identity_key, b->identity_pk, 32);
    r.csr_der = ft_buf_bytes(&other_csr);
    FT_SS_SIGN(r.identity_proof, b->identity_sk, "enrol", FT_BYTES(r.token, 32), FT_BYTES("store-1", 7),
               r.csr_der);
    OK(ft_fed_enrol_encode(&r, &request));
    assert_int_equal(enrol(b, &request, &reply), FT_ENROL_BAD_REQUEST);

    request_of(b, "store-1", b->identity_pk, b->identity_sk, &request);
    assert_int_equal(enrol(b, &request, &reply), FT_ENROL_OK);

    invite(b, "store-2", 7);
    request_of(b, "store-2", b->identity_pk, b->identity_sk, &request);
    assert_int_equal(enrol(b, &request, &reply), FT_ENROL_KEY_IN_USE);
    crypto_sign_keypair(pk, sk);
    request_of(b, "store-2", pk, sk, &request);
    assert_int_equal(enrol(b, &request, &reply), FT_ENROL_OK);
    ft_buf_clear(&request);
    ft_buf_clear(&reply);
    ft_buf_clear(&other_key);
    ft_buf_clear(&other_csr);
}

/* A revoked invitation lets nobody in, and a shop's name is held to its alphabet. */
static void
registry_refuses_revoked_shops_and_bad_names(void **state)
{
    struct bench *b = *state;
    struct ft_buf request = { 0 }, reply = { 0 }, json = { 0 };
    struct ft_shop shop;
    static const struct ft_trust trust = { .aggregator = "x:1" };
    static const char *const bad[] = { "",
                                       "-x",
                                       "Store",
                                       "a b",
                                       "a/b",
                                       "stör",
                                       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
    int64_t id;

    invite(b, "store-1", 7);
    OK(ft_store_shop_by_name(b->store, "store-1", &shop));
    OK(ft_store_shop_set_state(b->store, shop.id, FT_SHOP_REVOKED, WALL_START));
    request_of(b, "store-1", b->identity_pk, b->identity_sk, &request);
    assert_int_equal(enrol(b, &request, &reply), FT_ENROL_REVOKED);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(ft_invite(b->store, &b->env.env, &trust, bad[i], 7, &json, &id, NULL),
                         FT_ERR_ARGUMENT);
    assert_int_equal(ft_invite(b->store, &b->env.env, &trust, "fine", 0, &json, &id, NULL), FT_ERR_ARGUMENT);
    assert_int_equal(ft_invite(b->store, &b->env.env, &trust, "fine", 366, &json, &id, NULL),
                     FT_ERR_ARGUMENT);
    ft_buf_clear(&request);
    ft_buf_clear(&reply);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(registry_enrols_an_invited_shop, setup, teardown),
        cmocka_unit_test_setup_teardown(registry_answers_the_same_request_again_and_no_other, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(registry_refuses_bad_requests_each_with_its_number, setup, teardown),
        cmocka_unit_test_setup_teardown(registry_refuses_foreign_requests_without_spending_the_token, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(registry_refuses_revoked_shops_and_bad_names, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
