#include "common/rpc/rpc_library.h"
#include "common/base/alloc.h"
#include "common/base/log.h"

#include <assert.h>
#include <dlfcn.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/support/log.h>
#include <limits.h>
#include <malloc.h>
#include <openssl/conf.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool tls13_only;
static pthread_rwlock_t listeners_lock = PTHREAD_RWLOCK_INITIALIZER;
static struct rpc_listener *listeners;

/* "-TLSv1.2" sets an option that later calls for a minimum version do not clear (MinProtocol would be
 * overridden by gRPC's own). The cipher line is Debian's default. */
static const char tls_defaults[] = "openssl_conf = fedtill\n"
                                   "[fedtill]\n"
                                   "ssl_conf = fedtill_ssl\n"
                                   "[fedtill_ssl]\n"
                                   "system_default = fedtill_tls\n"
                                   "[fedtill_tls]\n"
                                   "CipherString = DEFAULT:@SECLEVEL=2\n"
                                   "MinProtocol = TLSv1.3\n"
                                   "Protocol = -SSLv3,-TLSv1,-TLSv1.1,-TLSv1.2\n";

static void
tls_restrict(void)
{
    BIO *text = BIO_new_mem_buf(tls_defaults, (int)sizeof tls_defaults - 1);
    CONF *conf = NCONF_new(NULL);
    SSL_CTX *trial = NULL;
    const uint64_t off = SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 | SSL_OP_NO_TLSv1_2;

    /* The machine's own openssl.cnf first, else it would be loaded later and undo ours. */
    (void)OPENSSL_init_ssl(OPENSSL_INIT_LOAD_CONFIG | OPENSSL_INIT_LOAD_SSL_STRINGS, NULL);
    if (text != NULL && conf != NULL && NCONF_load_bio(conf, text, NULL) == 1 &&
        CONF_modules_load(conf, NULL, 0) == 1)
        trial = SSL_CTX_new(TLS_method());
    tls13_only = trial != NULL && (SSL_CTX_get_options(trial) & off) == off;
    SSL_CTX_free(trial);
    NCONF_free(conf);
    BIO_free(text);
    ERR_clear_error();
}

/* gRPC's log: failed handshakes of a server go to the listeners, its errors to our debug log, the rest
 * nowhere. */
static void
grpc_said(gpr_log_func_args *args)
{
    static const char failed[] = "Handshaking failed: ";
    const char *base = strrchr(args->file, '/');
    base = base != NULL ? base + 1 : args->file;
    if (strncmp(args->message, failed, sizeof failed - 1) == 0 && strcmp(base, "chttp2_server.cc") == 0) {
        pthread_rwlock_rdlock(&listeners_lock);
        for (struct rpc_listener *l = listeners; l != NULL; l = l->next)
            l->handshake_failed(l->ctx, args->message + sizeof failed - 1);
        pthread_rwlock_unlock(&listeners_lock);
    } else if (args->severity == GPR_LOG_SEVERITY_ERROR) {
        ft_log(FT_LOG_DEBUG, "rpc.grpc", "file=%s line=%d text=%s", base, args->line, args->message);
    }
}

/*
 * gRPC allocates and frees every piece of a stream; with glibc's defaults each freed megabyte goes back to
 * the kernel and comes again as fresh pages, 10 us each. Keeping up to KEEP_FREE bytes makes streams 2 to 6
 * times as fast, and two arenas for the pollers keep the resident size down (bench_rpc shows both).
 */
#define KEEP_FREE (32 << 20)

/* Debian builds gRPC's mutexes with a search for lock cycles at each locking, an aid for its developers: some hundredths of a
 * stream's processor time. It can be turned off, in C++. */
static void
mutexes_without_debugging(void)
{
    void (*set_mode)(int) = NULL;
    static const char name[] = "_ZN4absl7debian329SetMutexDeadlockDetectionModeENS0_15OnDeadlockCycleE";
    *(void **)&set_mode = dlsym(RTLD_DEFAULT, name);
    if (set_mode != NULL)
        set_mode(0);
}

static void
process_setup(void)
{
    mutexes_without_debugging();
    (void)mallopt(M_TRIM_THRESHOLD, KEEP_FREE);
    (void)mallopt(M_MMAP_THRESHOLD, KEEP_FREE);
    (void)mallopt(M_ARENA_MAX, 2);
    if (sodium_init() >= 0) /* key texts are in its guarded memory */
        tls_restrict();
    gpr_set_log_function(grpc_said);
}

enum ft_status
rpc_library_open(struct ft_error *err)
{
    pthread_once(&once, process_setup);
    if (!tls13_only)
        return ft_fail(err, FT_ERR_CONFIG, "OpenSSL cannot be held to TLS 1.3 on this machine");
    grpc_init();
    gpr_set_log_verbosity(GPR_LOG_SEVERITY_DEBUG); /* failed handshakes are told at this level only */
    return FT_OK;
}

void
rpc_library_close(void)
{
    grpc_shutdown();
}

void
rpc_listen_start(struct rpc_listener *l)
{
    pthread_rwlock_wrlock(&listeners_lock);
    l->next = listeners;
    listeners = l;
    pthread_rwlock_unlock(&listeners_lock);
}

void
rpc_listen_stop(struct rpc_listener *l)
{
    pthread_rwlock_wrlock(&listeners_lock);
    for (struct rpc_listener **at = &listeners; *at != NULL; at = &(*at)->next)
        if (*at == l) {
            *at = l->next;
            break;
        }
    pthread_rwlock_unlock(&listeners_lock);
}

static grpc_byte_buffer *
message_of_slice(grpc_slice slice)
{
    grpc_byte_buffer *message = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice); /* the message has its own */
    return message;
}

grpc_byte_buffer *
rpc_message_copy(struct ft_bytes bytes)
{
    if (bytes.size == 0)
        return message_of_slice(grpc_empty_slice());
    return message_of_slice(grpc_slice_from_copied_buffer((const char *)bytes.data, bytes.size));
}

grpc_byte_buffer *
rpc_message_take(struct ft_buf *bytes)
{
    grpc_byte_buffer *message;
    if (bytes->size == 0) {
        ft_buf_clear(bytes);
        return message_of_slice(grpc_empty_slice());
    }
    message = message_of_slice(grpc_slice_new(bytes->data, bytes->size, ft_free));
    *bytes = (struct ft_buf){ 0 };
    return message;
}

enum ft_status
rpc_message_view(grpc_byte_buffer *message, grpc_slice *slice, struct ft_buf *flat, struct ft_bytes *out)
{
    const size_t size = grpc_byte_buffer_length(message);
    grpc_byte_buffer_reader reader;
    enum ft_status st;

    *slice = grpc_empty_slice();
    *out = (struct ft_bytes){ NULL, 0 };
    if (grpc_byte_buffer_reader_init(&reader, message) == 0)
        return FT_ERR_FORMAT;
    if (message->data.raw.slice_buffer.count == 1) {
        if (grpc_byte_buffer_reader_next(&reader, slice) != 0)
            *out = FT_BYTES(GRPC_SLICE_START_PTR(*slice), GRPC_SLICE_LENGTH(*slice));
        grpc_byte_buffer_reader_destroy(&reader);
        return FT_OK;
    }
    flat->size = 0;
    st = ft_buf_reserve(flat, size);
    if (st == FT_OK) {
        grpc_slice part;
        while (grpc_byte_buffer_reader_next(&reader, &part) != 0) {
            assert(flat->size + GRPC_SLICE_LENGTH(part) <= flat->capacity);
            memcpy(flat->data + flat->size, GRPC_SLICE_START_PTR(part), GRPC_SLICE_LENGTH(part));
            flat->size += GRPC_SLICE_LENGTH(part);
            grpc_slice_unref(part);
        }
        *out = ft_buf_bytes(flat);
    }
    grpc_byte_buffer_reader_destroy(&reader);
    return st;
}

void
rpc_slice_text(char *out, size_t size, grpc_slice slice)
{
    size_t n = GRPC_SLICE_LENGTH(slice);
    if (n > size - 1)
        n = size - 1;
    memcpy(out, GRPC_SLICE_START_PTR(slice), n);
    out[n] = '\0';
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)out[i] < 0x20 || out[i] == 0x7f)
            out[i] = '?';
}

void
rpc_arg_int(struct rpc_args *a, const char *key, uint64_t value)
{
    assert(a->count < RPC_ARGS_MAX);
    a->list[a->count++] = (grpc_arg){ .type = GRPC_ARG_INTEGER,
                                      .key = (char *)(uintptr_t)key, /* gRPC only reads it */
                                      .value.integer = value > INT_MAX ? INT_MAX : (int)value };
}

void
rpc_arg_text(struct rpc_args *a, const char *key, const char *value)
{
    assert(a->count < RPC_ARGS_MAX);
    a->list[a->count++] = (grpc_arg){ .type = GRPC_ARG_STRING,
                                      .key = (char *)(uintptr_t)key,
                                      .value.string = (char *)(uintptr_t)value };
}

char *
rpc_pem_text(struct ft_bytes pem)
{
    char *text = ft_secret_alloc(pem.size + 1);
    if (text != NULL && pem.size > 0)
        memcpy(text, pem.data, pem.size);
    return text;
}
