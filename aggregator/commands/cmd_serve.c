/* fedtill-aggregator serve: the server itself. */
#include "aggregator/commands/commands.h"
#include "aggregator/commands/serve.h"
#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/base/keyfile.h"
#include "common/base/lock.h"
#include "common/base/log.h"

#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define CERTIFICATE_DAYS 730
#define GRACE_MS         1000
#define FILES_MAX        (1u << 20)

const struct ft_cli_option ft_cmd_serve_options[] = {
    FT_CLI_HOME,
    { .name = "listen",
      .kind = FT_CLI_TEXT,
      .argument = "HOST:PORT",
      .help = "address, instead of aggregator.yaml's" },
    { .name = "progress-json",
      .kind = FT_CLI_TEXT,
      .argument = "FD|FILE",
      .help = "write one JSON object a round to a file descriptor or file" },
    { .name = "until-done", .kind = FT_CLI_FLAG, .help = "stop when no running task is left" },
    FT_CLI_OPTIONS_END,
};

static volatile sig_atomic_t stop_signal;

static void
on_signal(int number)
{
    stop_signal = number;
}

/* Our own trouble that waiting does not mend ends the server; a busy database or a moment without memory does
 * not. */
void
serve_fail(struct serve *s, enum ft_status st)
{
    if (st == FT_ERR_FULL || st == FT_ERR_IO || st == FT_ERR_VERIFY || st == FT_ERR_INTERNAL)
        s->fatal = s->fatal == FT_OK ? st : s->fatal;
}

void
serve_service(struct serve *s)
{
    serve_fail(s, ft_engine_tick(s->engine));
    /* An answer may change things for others; the engine settles after a few turns. */
    for (int turn = 0; turn < 16 && s->served_version != ft_engine_version(s->engine); turn++) {
        s->served_version = ft_engine_version(s->engine);
        serve_retry_waiting(s);
        serve_answer_parked(s);
        serve_fail(s, ft_engine_tick(s->engine));
    }
    serve_wake(s, ft_engine_work_waits(s->engine) || s->fatal != FT_OK ? 0 : ft_engine_next_deadline(s->engine));
}

/* The main thread sleeps until sleep_ms, which is 0 while it is awake: then it looks for itself before it sleeps. */
void
serve_wake(struct serve *s, uint64_t due_ms)
{
    if (due_ms < s->sleep_ms)
        pthread_cond_signal(&s->wake);
}

/* ---- parts ---- */

static const struct ft_rpc_method method_table[] = {
    { .path = "/fedtill.v1.Federation/Enrol",
      .kind = FT_RPC_UNARY,
      .needs_peer = false,
      .message_max = 64 << 10,
      .on_message = serve_on_enrol },
    { .path = "/fedtill.v1.Federation/Sync",
      .kind = FT_RPC_UNARY,
      .needs_peer = true,
      .message_max = 9 << 20,
      .on_message = serve_on_sync,
      .on_closed = serve_on_sync_closed },
    { .path = "/fedtill.v1.Federation/Upload",
      .kind = FT_RPC_BIDI,
      .needs_peer = true,
      .message_max = 2 << 20,
      .on_open = serve_on_upload_open,
      .on_message = serve_on_upload,
      .on_closed = serve_on_upload_closed },
    { .path = "/fedtill.v1.Federation/Download",
      .kind = FT_RPC_SERVER_STREAM,
      .needs_peer = true,
      .message_max = 4 << 10,
      .on_message = serve_on_download,
      .on_writable = serve_on_download_writable,
      .on_closed = serve_on_download_closed },
};
#define METHODS (sizeof method_table / sizeof method_table[0])

/* Key material, read once. */
struct files {
    struct ft_buf ca_key, ca_pem, server_key, server_pem;
    uint8_t signing[64];
    struct ft_rpc_method methods[METHODS];
};

static enum ft_status
read_one(const struct ft_home *home, const char *name, struct ft_buf *out, struct ft_error *err)
{
    char *path = ft_home_path(home, name);
    enum ft_status st = path != NULL ? ft_file_read(path, FT_PKI_PEM_MAX, out, err) : FT_ERR_NOMEM;
    ft_free(path);
    return st;
}

static enum ft_status
read_files(const struct ft_home *home, struct files *f, struct ft_error *err)
{
    enum ft_status st;
    char *signing = ft_home_path(home, "signing.key");

    FT_TRY(read_one(home, "ca.key", &f->ca_key, err));
    FT_TRY(read_one(home, "ca.pem", &f->ca_pem, err));
    FT_TRY(read_one(home, "server.key", &f->server_key, err));
    FT_TRY(read_one(home, "server.pem", &f->server_pem, err));
    st = signing != NULL ? ft_keyfile_read(signing, f->signing, err) : FT_ERR_NOMEM;
out:
    ft_free(signing);
    return st;
}

static void
clear_files(struct files *f)
{
    ft_buf_clear(&f->ca_key);
    ft_buf_clear(&f->ca_pem);
    ft_buf_clear(&f->server_key);
    ft_buf_clear(&f->server_pem);
    sodium_memzero(f->signing, sizeof f->signing);
}

static enum ft_status
open_engine(struct serve *s, const struct files *f, struct serve_progress *progress, struct ft_error *err)
{
    struct ft_engine_config config = {
        .env = s->env,
        .signing_sk = f->signing,
        .task_keys = s->trust.trust.task_keys,
        .task_key_count = s->trust.trust.task_key_count,
        .slots = s->home->config.uploads_in_flight,
        .threads = s->home->config.threads,
        .min_group = s->home->config.min_group,
        .event = serve_progress_event,
        .ctx = progress,
    };

    memcpy(config.deployment, s->home->deployment, sizeof config.deployment);
    memcpy(config.registrar_pk, s->trust.trust.registrar_key, sizeof config.registrar_pk);
    ft_round_store_over(s->home->store, &config.store);
    return ft_engine_open(&config, &s->engine, err);
}

static enum ft_status
listen_on(struct serve *s, struct files *f, const char *address, struct ft_error *err)
{
    struct ft_rpc_server_params params = {
        .address = address,
        .ca_pem = ft_buf_bytes(&f->ca_pem),
        .cert_pem = ft_buf_bytes(&f->server_pem),
        .key_pem = ft_buf_bytes(&f->server_key),
        .methods = f->methods,
        .method_count = METHODS,
        .authorize = serve_authorize,
        .audit = serve_audit,
        .ctx = s,
        .calls_max = s->home->config.shops_max * 2,
    };
    enum ft_status st;

    memcpy(f->methods, method_table, sizeof method_table);
    for (size_t i = 0; i < METHODS; i++)
        f->methods[i].ctx = s;
    FT_TRY(ft_rpc_server_open(&params, &s->rpc, err));
    FT_TRY(ft_rpc_server_set_health(s->rpc, "", true));
    FT_TRY(ft_rpc_server_set_health(s->rpc, "fedtill.v1.Federation", true));
out:
    return st;
}

/* ---- the main loop ---- */

/* Another process may have invited, revoked, imported, published, started or stopped. */
static void
see_changes(struct serve *s, uint64_t *seen)
{
    uint64_t version = 0;
    enum ft_status st = ft_store_data_version(s->home->store, &version);

    if (st == FT_OK && version != *seen) {
        st = serve_peers_load(s);
        if (st == FT_OK)
            st = ft_engine_reload(s->engine);
        if (st == FT_OK)
            *seen = version;
    }
    serve_fail(s, st);
}

static void
wait_until(struct serve *s, uint64_t due_ms, uint64_t now_ms)
{
    struct timespec at;
    const uint64_t ms = due_ms <= now_ms                  ? 0
                        : due_ms - now_ms < SERVE_POLL_MS ? due_ms - now_ms
                                                          : SERVE_POLL_MS;

    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_nsec += (long)(ms * 1000000);
    at.tv_sec += at.tv_nsec / 1000000000;
    at.tv_nsec %= 1000000000;
    if (ms == 0)
        return;
    s->sleep_ms = now_ms + ms;
    pthread_cond_timedwait(&s->wake, &s->lock, &at);
    s->sleep_ms = 0;
}

static bool
all_done(struct serve *s)
{
    struct ft_task_row *rows = NULL;
    size_t count = 0;
    bool running = false;

    if (ft_store_tasks(s->home->store, &rows, &count) != FT_OK)
        return false;
    for (size_t i = 0; i < count; i++)
        running |= rows[i].state == FT_TASK_RUNNING || rows[i].state == FT_TASK_PUBLISHED ||
                   rows[i].state == FT_TASK_PAUSED;
    ft_free(rows);
    return count > 0 && !running;
}

static void
run(struct serve *s, bool until_done)
{
    uint64_t seen = 0, next_look = 0;

    pthread_mutex_lock(&s->lock);
    while (stop_signal == 0 && s->fatal == FT_OK) {
        uint64_t now = s->env->now_ms(s->env->ctx), due;

        if (now >= next_look) {
            see_changes(s, &seen);
            serve_retry_waiting(s); /* a slot may have idled out */
            next_look = now + SERVE_POLL_MS;
            if (until_done && all_done(s))
                break;
        }
        serve_expire_parked(s, now, false);
        serve_service(s);
        if (ft_engine_work_take(s->engine)) {
            pthread_mutex_unlock(&s->lock);
            ft_engine_work(s->engine);
            pthread_mutex_lock(&s->lock);
            serve_fail(s, ft_engine_work_finish(s->engine));
            serve_service(s);
            continue;
        }
        now = s->env->now_ms(s->env->ctx);
        due = ft_engine_next_deadline(s->engine);
        due = serve_parked_due_ms(s) < due ? serve_parked_due_ms(s) : due;
        wait_until(s, due < next_look ? due : next_look, now);
    }
    s->stopping = true;
    serve_expire_parked(s, 0, true);
    pthread_mutex_unlock(&s->lock);
}

static void
catch_signals(void)
{
    struct sigaction stop = { .sa_handler = on_signal }, ignore = { .sa_handler = SIG_IGN };
    const struct rlimit no_core = { 0, 0 };

    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
    (void)setrlimit(RLIMIT_CORE, &no_core); /* keys are in memory */
}

/* Each shop holds a connection, and whoever can reach the port may open one more: as many as the system grants. */
static void
raise_file_limit(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    files.rlim_cur = files.rlim_max < FILES_MAX ? files.rlim_max : FILES_MAX;
    (void)setrlimit(RLIMIT_NOFILE, &files);
}

static void
init_locks(struct serve *s)
{
    pthread_condattr_t monotonic;

    pthread_mutex_init(&s->lock, NULL);
    pthread_rwlock_init(&s->peers_lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

static int
serve_home(struct ft_cli *cli, struct ft_home *home)
{
    enum ft_status st;
    struct ft_error err = { 0 };
    struct serve s = { .home = home, .env = ft_env_system() };
    struct files files = { 0 };
    struct serve_progress progress = { .json_fd = -1 };
    const char *address =
        ft_cli_text(cli, "listen") != NULL ? ft_cli_text(cli, "listen") : home->config.listen;
    int lock_fd = -1;

    init_locks(&s);
    catch_signals();
    raise_file_limit();
    ft_log_open("fedtill-aggregator", (enum ft_log_level)home->config.log_level, STDERR_FILENO);
    FT_TRY(ft_home_lock_take(home, &lock_fd, &err));
    FT_TRY(ft_store_log_check(home->store, &err));
    FT_TRY(read_files(home, &files, &err));
    FT_TRY(ft_home_trust(home, &s.trust, &err));
    FT_TRY(serve_progress_open(cli, &progress, &err));
    s.enrolment = (struct ft_enrolment){ .store = home->store,
                                         .env = s.env,
                                         .ca = { ft_buf_bytes(&files.ca_key), ft_buf_bytes(&files.ca_pem) },
                                         .certificate_days = CERTIFICATE_DAYS };
    FT_TRY(serve_peers_load(&s));
    FT_TRY(open_engine(&s, &files, &progress, &err));
    FT_TRY(listen_on(&s, &files, address, &err));
    FT_TRY(ft_lock_announce(lock_fd, &err));
    ft_log(FT_LOG_INFO, "serve.listening", "port=%u pid=%ld", (unsigned)ft_rpc_server_port(s.rpc),
           (long)getpid());
    run(&s, ft_cli_flag(cli, "until-done"));
    ft_log(FT_LOG_INFO, "serve.stopping", "signal=%d status=%s", (int)stop_signal, ft_status_name(s.fatal));
    st = s.fatal;
    if (st != FT_OK)
        ft_fail(&err, st, "stopped: %s. Nothing that was committed is lost; start again when this is mended",
                ft_status_str(st));
out:
    ft_rpc_server_close(s.rpc, GRACE_MS);
    ft_engine_close(s.engine);
    serve_progress_close(&progress);
    ft_home_trust_clear(&s.trust);
    clear_files(&files);
    ft_free(s.peers);
    if (lock_fd >= 0)
        close(lock_fd);
    pthread_cond_destroy(&s.wake);
    pthread_rwlock_destroy(&s.peers_lock);
    pthread_mutex_destroy(&s.lock);
    return st == FT_OK ? FT_EXIT_OK : ft_cli_fail(cli, st, &err);
}

int
ft_cmd_serve(struct ft_cli *cli)
{
    struct ft_home home;
    int code = ft_home_open(cli, &home);

    if (code != FT_EXIT_OK)
        return code;
    ft_alloc_keep();
    code = serve_home(cli, &home);
    ft_home_close(&home);
    return code;
}
