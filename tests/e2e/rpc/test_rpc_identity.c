/* The identity matrix (R8), asserted at the server: no handler call and one audit event for each intruder. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/e2e/rpc/world.h"
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int
setup(void **state)
{
    static struct world w;
    world_open(&w);
    *state = &w;
    return 0;
}

static int
teardown(void **state)
{
    world_close(*state, 1000);
    return 0;
}

/* The call fails with `want`; the server ran nothing and told of it: once, or once for each handshake, which
 * gRPC may have tried again before the channel was closed. */
static void
assert_kept_out(struct world *w, const struct identity *id, enum ft_status want, enum ft_rpc_audit_kind kind)
{
    struct ft_rpc_channel *ch = world_channel(w, id);
    struct ft_rpc_result result;
    assert_int_equal(echo(ch, ECHO, &result), want);
    await_count(&w->audits, 1);
    ft_rpc_channel_close(ch);
    nap_ms(50); /* a second event, if there were one, would be there by now */
    assert_int_equal(atomic_load(&w->handled), 0);
    assert_int_equal(atomic_load(&w->audit_of[kind]), atomic_load(&w->audits));
    if (kind != FT_RPC_AUDIT_HANDSHAKE)
        assert_int_equal(atomic_load(&w->audits), 1);
}

/* Positive control: a good pair completes a call, and leaves no audit event. */
static void
identity_good_pair_completes_a_call(void **state)
{
    struct world *w = *state;
    struct ft_rpc_channel *ch = world_channel(w, &w->shop);
    assert_int_equal(echo(ch, ECHO, NULL), FT_OK);
    assert_int_equal(echo(ch, ECHO, NULL), FT_OK);
    ft_rpc_channel_close(ch);
    assert_int_equal(atomic_load(&w->handled), 2);
    assert_int_equal(atomic_load(&w->authorized), 2); /* asked on every call, not at connect */
    assert_int_equal(atomic_load(&w->audits), 0);
}

/* Without a certificate an open method (Enrol, Health) runs. */
static void
identity_without_certificate_an_open_method_runs(void **state)
{
    struct world *w = *state;
    struct ft_rpc_channel *ch = world_channel(w, NULL);
    assert_int_equal(echo(ch, OPEN, NULL), FT_OK);
    ft_rpc_channel_close(ch);
    assert_int_equal(atomic_load(&w->handled), 1);
    assert_int_equal(atomic_load(&w->authorized), 0);
}

/* Without a certificate any other method is UNAUTHENTICATED. */
static void
identity_without_certificate_is_unauthenticated(void **state)
{
    assert_kept_out(*state, NULL, FT_ERR_REFUSED, FT_RPC_AUDIT_NO_CERTIFICATE);
}

/* A stranger learns nothing of which methods exist. */
static void
identity_without_certificate_an_unknown_method_is_unauthenticated(void **state)
{
    struct world *w = *state;
    struct ft_rpc_channel *ch = world_channel(w, NULL);
    struct ft_rpc_result result;
    assert_int_equal(echo(ch, "/t.Test/Nothing", &result), FT_ERR_REFUSED);
    assert_int_equal(result.code, FT_RPC_UNAUTHENTICATED);
    ft_rpc_channel_close(ch);
    assert_int_equal(atomic_load(&w->audit_of[FT_RPC_AUDIT_NO_CERTIFICATE]), 1);
}

/* A known shop that calls an unknown method is told so. */
static void
identity_known_peer_with_unknown_method_is_unimplemented(void **state)
{
    struct world *w = *state;
    struct ft_rpc_channel *ch = world_channel(w, &w->shop);
    struct ft_rpc_result result;
    assert_int_equal(echo(ch, "/t.Test/Nothing", &result), FT_ERR_PEER);
    assert_int_equal(result.code, FT_RPC_UNIMPLEMENTED);
    ft_rpc_channel_close(ch);
    assert_int_equal(atomic_load(&w->audits), 1);
    assert_int_equal(atomic_load(&w->audit_of[FT_RPC_AUDIT_UNKNOWN_METHOD]), 1);
}

/* A self-signed certificate does not pass the handshake. */
static void
identity_self_signed_is_kept_out(void **state)
{
    struct identity id;
    assert_int_equal(ft_pki_make_ca("store-1", days(-1, 30), &id.key, &id.cert, NULL), FT_OK);
    assert_kept_out(*state, &id, FT_ERR_PEER, FT_RPC_AUDIT_HANDSHAKE);
    identity_clear(&id);
}

/* Another CA of the same name does not count, whatever it signs. */
static void
identity_other_ca_is_kept_out(void **state)
{
    struct ft_buf ca_key, ca_cert;
    struct identity id;
    assert_int_equal(ft_pki_make_ca("test CA", days(-1, 30), &ca_key, &ca_cert, NULL), FT_OK);
    make_client(&ca_key, &ca_cert, "store-1", days(-1, 30), &id);
    assert_kept_out(*state, &id, FT_ERR_PEER, FT_RPC_AUDIT_HANDSHAKE);
    identity_clear(&id);
    ft_buf_clear(&ca_key);
    ft_buf_clear(&ca_cert);
}

/* An expired certificate does not pass the handshake. */
static void
identity_expired_is_kept_out(void **state)
{
    struct world *w = *state;
    struct identity id;
    make_client(&w->ca_key, &w->ca_cert, "store-1", days(-10, -1), &id);
    assert_kept_out(w, &id, FT_ERR_PEER, FT_RPC_AUDIT_HANDSHAKE);
    identity_clear(&id);
}

/* Nor does one that is not valid yet. */
static void
identity_not_yet_valid_is_kept_out(void **state)
{
    struct world *w = *state;
    struct identity id;
    make_client(&w->ca_key, &w->ca_cert, "store-1", days(2, 30), &id);
    assert_kept_out(w, &id, FT_ERR_PEER, FT_RPC_AUDIT_HANDSHAKE);
    identity_clear(&id);
}

/* A certificate that runs out while the connection is open is refused at the next call. */
static void
identity_expiring_during_a_connection_is_refused_at_the_next_call(void **state)
{
    struct world *w = *state;
    struct ft_rpc_channel *ch = world_channel(w, &w->shop);
    struct ft_rpc_result result;
    assert_int_equal(echo(ch, ECHO, NULL), FT_OK);
    w->wall_shift_ms = UINT64_C(40) * 86400 * 1000;
    assert_int_equal(echo(ch, ECHO, &result), FT_ERR_REFUSED);
    assert_int_equal(result.code, FT_RPC_UNAUTHENTICATED);
    ft_rpc_channel_close(ch);
    assert_int_equal(atomic_load(&w->handled), 1);
    assert_int_equal(atomic_load(&w->audits), 1);
    assert_int_equal(atomic_load(&w->audit_of[FT_RPC_AUDIT_EXPIRED]), 1);
}

/* The server's own certificate does not serve as a client's. */
static void
identity_server_certificate_as_client_is_kept_out(void **state)
{
    struct world *w = *state;
    assert_kept_out(w, &w->server, FT_ERR_PEER, FT_RPC_AUDIT_HANDSHAKE);
}

/* A shop that plays aggregator with its client certificate is found out by the other shops. */
static void
identity_client_certificate_as_server_is_refused_by_the_client(void **state)
{
    struct world *w = *state;
    struct world fake = { 0 };
    struct identity id;
    struct ft_rpc_server_params p = { .address = "127.0.0.1:0",
                                      .ca_pem = ft_buf_bytes(&w->ca_cert),
                                      .methods =
                                          &w->methods[1], /* the open one: nothing else would stop the call */
                                      .method_count = 1 };
    struct ft_rpc_channel *ch;

    make_client(&w->ca_key, &w->ca_cert, "127.0.0.1", days(-1, 30), &id); /* its name would even match */
    p.cert_pem = ft_buf_bytes(&id.cert);
    p.key_pem = ft_buf_bytes(&id.key);
    assert_int_equal(ft_rpc_server_open(&p, &fake.rpc, NULL), FT_OK);
    (void)snprintf(w->target, sizeof w->target, "127.0.0.1:%u", ft_rpc_server_port(fake.rpc));
    ch = world_channel(w, &w->shop);
    assert_int_equal(echo(ch, OPEN, NULL), FT_ERR_PEER);
    ft_rpc_channel_close(ch);
    ft_rpc_server_close(fake.rpc, 0);
    assert_int_equal(atomic_load(&w->handled), 0);
    identity_clear(&id);
}

static enum ft_status
call_expecting_name(struct world *w, const char *name)
{
    struct ft_rpc_channel_params p = { .target = w->target,
                                       .ca_pem = ft_buf_bytes(&w->ca_cert),
                                       .cert_pem = ft_buf_bytes(&w->shop.cert),
                                       .key_pem = ft_buf_bytes(&w->shop.key),
                                       .server_name = name };
    struct ft_rpc_channel *ch;
    enum ft_status st;
    assert_int_equal(ft_rpc_channel_open(&p, &ch, NULL), FT_OK);
    st = echo(ch, ECHO, NULL);
    ft_rpc_channel_close(ch);
    return st;
}

/* The server's certificate must carry the expected name: its second name passes, another does not, nor does
 * its CN. */
static void
identity_wrong_server_name_is_refused_by_the_client(void **state)
{
    struct world *w = *state;
    assert_int_equal(call_expecting_name(w, "aggregator.test"), FT_OK);
    assert_int_equal(call_expecting_name(w, "other.test"), FT_ERR_PEER);
    assert_int_equal(call_expecting_name(w, "127.0.0.2"), FT_ERR_PEER);
    assert_int_equal(call_expecting_name(w, "fedtill aggregator"), FT_ERR_PEER);
    assert_int_equal(atomic_load(&w->handled), 1);
}

/* A server of another CA is refused by the client. */
static void
identity_server_of_another_ca_is_refused_by_the_client(void **state)
{
    struct world *w = *state;
    struct ft_buf ca_key, ca_cert;
    struct ft_rpc_channel_params p = { .target = w->target };
    struct ft_rpc_channel *ch;
    assert_int_equal(ft_pki_make_ca("test CA", days(-1, 30), &ca_key, &ca_cert, NULL), FT_OK);
    p.ca_pem = ft_buf_bytes(&ca_cert);
    assert_int_equal(ft_rpc_channel_open(&p, &ch, NULL), FT_OK);
    assert_int_equal(echo(ch, OPEN, NULL), FT_ERR_PEER);
    ft_rpc_channel_close(ch);
    assert_int_equal(atomic_load(&w->handled), 0);
    ft_buf_clear(&ca_key);
    ft_buf_clear(&ca_cert);
}

/* A revoked shop's certificate still passes the handshake, but not one call. */
static void
identity_revoked_is_refused(void **state)
{
    struct world *w = *state;
    atomic_store(&w->revoked, true);
    assert_kept_out(w, &w->shop, FT_ERR_REFUSED, FT_RPC_AUDIT_UNAUTHORIZED);
}

/* Revoked between two calls of one connection: the second is refused. */
static void
identity_revoked_during_a_connection_is_refused_at_the_next_call(void **state)
{
    struct world *w = *state;
    struct ft_rpc_channel *ch = world_channel(w, &w->shop);
    assert_int_equal(echo(ch, ECHO, NULL), FT_OK);
    atomic_store(&w->revoked, true);
    assert_int_equal(echo(ch, ECHO, NULL), FT_ERR_REFUSED);
    ft_rpc_channel_close(ch);
    assert_int_equal(atomic_load(&w->handled), 1);
    assert_int_equal(atomic_load(&w->audits), 1);
}

static int
dial(struct world *w)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(ft_rpc_server_port(w->rpc)) };
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

/* A TLS client of our own with the shop's certificate, held to one version. It stays until the server speaks
 * HTTP/2, which it does once its side of the handshake is over. */
static int
handshake(struct world *w, int version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    BIO *key = BIO_new_mem_buf(w->shop.key.data, (int)w->shop.key.size);
    BIO *cert = BIO_new_mem_buf(w->shop.cert.data, (int)w->shop.cert.size);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);
    X509 *x509 = PEM_read_bio_X509(cert, NULL, NULL, NULL);
    static const unsigned char h2[] = { 2, 'h', '2' };
    const int fd = dial(w);
    SSL *ssl;
    int ok;

    SSL_CTX_clear_options(ctx,
                          SSL_OP_NO_TLSv1_2); /* undo the process's own restriction: we play the old client */
    assert_int_equal(SSL_CTX_set_min_proto_version(ctx, version), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(ctx, version), 1);
    assert_int_equal(SSL_CTX_use_certificate(ctx, x509), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(ctx, pkey), 1);
    assert_int_equal(SSL_CTX_set_alpn_protos(ctx, h2, sizeof h2), 0);
    ssl = SSL_new(ctx);
    assert_int_equal(SSL_set_fd(ssl, fd), 1);
    ok = SSL_connect(ssl);
    if (ok == 1) {
        char byte;
        assert_int_equal(SSL_version(ssl), version);
        assert_int_equal(SSL_read(ssl, &byte, 1), 1);
    }
    SSL_free(ssl);
    close(fd);
    SSL_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    X509_free(x509);
    BIO_free(key);
    BIO_free(cert);
    return ok;
}

/* TLS 1.2 is refused in the handshake, where the very same client gets through with TLS 1.3. */
static void
identity_tls_1_2_is_kept_out(void **state)
{
    struct world *w = *state;
    assert_int_equal(handshake(w, TLS1_3_VERSION), 1);
    assert_int_not_equal(handshake(w, TLS1_2_VERSION), 1);
    await_count(&w->audits, 1);
    nap_ms(50);
    assert_int_equal(atomic_load(&w->audits), 1);
    assert_int_equal(atomic_load(&w->handled), 0);
}

/* A handshake that stops halfway and hangs up is one event and no call. */
static void
identity_truncated_handshake_is_one_event(void **state)
{
    struct world *w = *state;
    /* A TLS record header that promises 512 bytes of ClientHello, of which six come. */
    static const uint8_t start[] = { 0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03 };
    const int fd = dial(w);
    assert_int_equal(write(fd, start, sizeof start), sizeof start);
    nap_ms(50);
    close(fd);
    await_count(&w->audits, 1);
    assert_int_equal(atomic_load(&w->audit_of[FT_RPC_AUDIT_HANDSHAKE]), 1);
    assert_int_equal(atomic_load(&w->handled), 0);
}

/* A peer that never goes on with its handshake is dropped by the deadline. */
static void
identity_silent_handshake_is_dropped(void **state)
{
    struct world *w = *state;
    char byte;
    int fd;

    world_stop(w, 0);
    w->handshake_ms = 500;
    assert_int_equal(world_serve(w, "127.0.0.1:0", 0, NULL), FT_OK);
    fd = dial(w);
    assert_int_equal(read(fd, &byte, 1), 0); /* the server hangs up */
    close(fd);
    await_count(&w->audits, 1);
    assert_int_equal(atomic_load(&w->audit_of[FT_RPC_AUDIT_HANDSHAKE]), 1);
    assert_int_equal(atomic_load(&w->handled), 0);
}

/* Bytes that are no TLS at all are one event and no call; the next good client is served. */
static void
identity_garbage_bytes_are_one_event(void **state)
{
    struct world *w = *state;
    static const char garbage[] = "GET / HTTP/1.1\r\nHost: aggregator\r\n\r\n\0\xff\xfe\xfd";
    const int fd = dial(w);
    struct ft_rpc_channel *ch;
    assert_int_equal(write(fd, garbage, sizeof garbage), sizeof garbage);
    await_count(&w->audits, 1);
    close(fd);
    ch = world_channel(w, &w->shop);
    assert_int_equal(echo(ch, ECHO, NULL), FT_OK);
    ft_rpc_channel_close(ch);
    assert_int_equal(atomic_load(&w->audits), 1);
    assert_int_equal(atomic_load(&w->handled), 1);
}

static enum ft_rpc_code
send_size(struct world *w, const char *path, size_t size)
{
    struct ft_rpc_channel_params p = { .target = w->target,
                                       .ca_pem = ft_buf_bytes(&w->ca_cert),
                                       .cert_pem = ft_buf_bytes(&w->shop.cert),
                                       .key_pem = ft_buf_bytes(&w->shop.key),
                                       .message_max = (size_t)64 << 20 };
    struct ft_rpc_channel *ch;
    struct ft_rpc_result result;
    struct ft_buf big = { 0 }, out = { 0 };
    assert_int_equal(ft_rpc_channel_open(&p, &ch, NULL), FT_OK);
    assert_int_equal(ft_buf_reserve(&big, size), FT_OK);
    big.size = size;
    (void)!ft_rpc_unary(ch, path, ft_buf_bytes(&big), PATIENCE_MS, &out, &result);
    ft_buf_clear(&big);
    ft_buf_clear(&out);
    ft_rpc_channel_close(ch);
    return result.code;
}

/* A message above the method's limit reaches no handler; one at the limit does. */
static void
identity_oversize_message_is_refused(void **state)
{
    struct world *w = *state;
    assert_int_equal(send_size(w, ECHO, METHOD_LIMIT + 1), FT_RPC_RESOURCE_EXHAUSTED);
    assert_int_equal(atomic_load(&w->handled), 0);
    assert_int_equal(atomic_load(&w->audits), 1);
    assert_int_equal(atomic_load(&w->audit_of[FT_RPC_AUDIT_OVERSIZE]), 1);
    assert_int_equal(send_size(w, ECHO, METHOD_LIMIT), FT_RPC_OK);
    assert_int_equal(atomic_load(&w->handled), 1);
}

/* A message far above the server's limit is cut off by gRPC before it is all in memory. */
static void
identity_huge_message_is_refused(void **state)
{
    struct world *w = *state;
    assert_int_equal(send_size(w, OPEN, (size_t)40 << 20), FT_RPC_RESOURCE_EXHAUSTED);
    assert_int_equal(atomic_load(&w->handled), 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(identity_good_pair_completes_a_call),
        CASE(identity_without_certificate_an_open_method_runs),
        CASE(identity_without_certificate_is_unauthenticated),
        CASE(identity_without_certificate_an_unknown_method_is_unauthenticated),
        CASE(identity_known_peer_with_unknown_method_is_unimplemented),
        CASE(identity_self_signed_is_kept_out),
        CASE(identity_other_ca_is_kept_out),
        CASE(identity_expired_is_kept_out),
        CASE(identity_not_yet_valid_is_kept_out),
        CASE(identity_expiring_during_a_connection_is_refused_at_the_next_call),
        CASE(identity_server_certificate_as_client_is_kept_out),
        CASE(identity_client_certificate_as_server_is_refused_by_the_client),
        CASE(identity_wrong_server_name_is_refused_by_the_client),
        CASE(identity_server_of_another_ca_is_refused_by_the_client),
        CASE(identity_revoked_is_refused),
        CASE(identity_revoked_during_a_connection_is_refused_at_the_next_call),
        CASE(identity_tls_1_2_is_kept_out),
        CASE(identity_truncated_handshake_is_one_event),
        CASE(identity_silent_handshake_is_dropped),
        CASE(identity_garbage_bytes_are_one_event),
        CASE(identity_oversize_message_is_refused),
        CASE(identity_huge_message_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
