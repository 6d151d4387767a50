/*
 * `run`: two processes. The one that was started becomes the vault; its child the courier, forked before
 * anything of the shop is read and before gRPC exists. Either one's end ends the other: the courier sees the
 * socket close and is told by the kernel, the vault sees the socket close.
 */
#include "client/commands/commands.h"
#include "client/commands/node.h"
#include "client/commands/run.h"
#include "client/courier/courier.h"
#include "client/courier/sandbox.h"
#include "client/vault/sandbox.h"
#include "client/vault/vault.h"
#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/base/lock.h"
#include "common/base/log.h"
#include "common/model/model.h"

#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

const struct ft_cli_option ft_cmd_run_options[] = {
    FT_CLI_HOME,
    { .name = "until-done",
      .kind = FT_CLI_FLAG,
      .help = "end with 0 after the result of a task's last round" },
    FT_CLI_OPTIONS_END,
};

static volatile sig_atomic_t stop;

static void
on_stop(int signal_number)
{
    (void)signal_number;
    stop = 1;
}

/* The courier keeps nothing that must be put in order: whatever hangs is over two seconds later. */
static void
on_stop_courier(int signal_number)
{
    (void)signal_number;
    stop = 1;
    alarm(2);
}

static void
handle(int signal_number, void (*handler)(int))
{
    struct sigaction action = { .sa_handler = handler };
    sigemptyset(&action.sa_mask);
    sigaction(signal_number, &action, NULL);
}

static void
handle_stops(void (*handler)(int))
{
    handle(SIGTERM, handler);
    handle(SIGINT, handler);
    handle(SIGHUP, handler);
    handle(SIGPIPE, SIG_IGN);
}

/* What the courier is given instead of files. */
struct tls {
    struct ft_buf ca, cert, key;
};

static void
tls_clear(struct tls *tls)
{
    ft_buf_clear(&tls->ca);
    ft_buf_clear(&tls->cert);
    ft_buf_clear(&tls->key);
}

static enum ft_status
tls_read(const char *state, struct tls *tls, struct ft_error *err)
{
    enum ft_status st;
    char *ca = ft_home_path(state, FT_HOME_CA), *cert = ft_home_path(state, FT_HOME_TLS_CERT);
    if (ca == NULL || cert == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    FT_TRY(ft_file_read(ca, (size_t)64 << 10, &tls->ca, err));
    FT_TRY(ft_file_read(cert, (size_t)64 << 10, &tls->cert, err));
    FT_TRY(ft_home_secret_text(state, FT_HOME_TLS_KEY, &tls->key, err));
out:
    ft_free(ca);
    ft_free(cert);
    return st;
}

uint16_t
ft_target_port(const char *target)
{
    const char *colon = strrchr(target, ':');
    const long port = colon != NULL ? strtol(colon + 1, NULL, 10) : 0;
    return port > 0 && port <= UINT16_MAX ? (uint16_t)port : 0;
}

bool
ft_proxy_configured(void)
{
    static const char *const names[] = { "grpc_proxy", "https_proxy", "http_proxy" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = getenv(names[i]);
        if (value != NULL && *value != '\0')
            return true;
    }
    return false;
}

/* The courier's whole life. Returns its exit code. */
static int
courier_main(const struct ft_node *node, const struct tls *tls, int fd, pid_t vault,
             const struct ft_run_probe *probe)
{
    struct ft_link link;
    struct ft_error err = { 0 };
    bool landlock = false;
    const struct ft_courier_sandbox sandbox = { .port = ft_target_port(node->config.aggregator),
                                                .proxied = ft_proxy_configured() };
    const struct ft_courier_config config = {
        .channel = { .target = node->config.aggregator,
                     .ca_pem = ft_buf_bytes(&tls->ca),
                     .cert_pem = ft_buf_bytes(&tls->cert),
                     .key_pem = ft_buf_bytes(&tls->key),
                     .cancel = &stop },
        .env = ft_env_system(),
    };
    prctl(PR_SET_NAME, "ft-courier", 0, 0, 0);
    handle_stops(on_stop_courier);
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* also when it is stopped; it keeps nothing */
    if (getppid() != vault)                    /* it died before the line above */
        return FT_EXIT_OK;
    ft_log_open("fedtill-courier", (enum ft_log_level)node->config.log_level, STDERR_FILENO);
    enum ft_status st = ft_courier_sandbox_enter(&sandbox, &landlock, &err);
    if (st == FT_OK)
        st = ft_link_open(&link, fd, FT_OUT_FRAME_MAX, &stop);
    if (st == FT_OK) {
        if (!landlock)
            ft_log(FT_LOG_WARN, "sandbox.no_landlock",
                   "effect=the courier opens no files at all; name the aggregator by its address");
        if (probe != NULL)
            return probe->courier(node, fd);
        st = ft_courier_run(&config, &link, &err);
        ft_link_close(&link);
    }
    if (st != FT_OK && st != FT_ERR_CANCELLED)
        ft_log(FT_LOG_ERROR, "courier.ended", "status=%s reason=%s", ft_status_name(st), err.text);
    return st == FT_OK || st == FT_ERR_CANCELLED ? FT_EXIT_OK : ft_status_exit(st);
}

/* Folders the vault may read: those of the data, of the policy and of the consent file. */
struct folders {
    const char *list[8];
    char *owned[8];
    size_t count;
};

static enum ft_status
add_folder(struct folders *f, const char *pattern)
{
    if (pattern == NULL)
        return FT_OK;
    char *folder = ft_glob_folder(pattern);
    if (folder == NULL)
        return FT_ERR_NOMEM;
    f->owned[f->count] = folder;
    f->list[f->count++] = folder;
    return FT_OK;
}

static void
folders_clear(struct folders *f)
{
    for (size_t i = 0; i < f->count; i++)
        ft_free(f->owned[i]);
}

static enum ft_status
enter_sandbox(const struct ft_node *node, struct ft_error *err)
{
    struct folders f = { 0 };
    bool landlock = false;
    enum ft_status st;
    FT_TRY(add_folder(&f, node->source.transactions.files));
    FT_TRY(add_folder(&f, node->source.customers.files));
    FT_TRY(add_folder(&f, node->source.products.files));
    FT_TRY(add_folder(&f, node->config.policy));
    FT_TRY(add_folder(&f, node->config.consent.file));
    const struct ft_vault_sandbox sandbox = { .state_dir = node->config.state,
                                              .read_paths = f.list,
                                              .read_path_count = f.count };
    tzset(); /* reads the zone file while it can */
    FT_TRY(ft_vault_sandbox_enter(&sandbox, &landlock, err));
    if (!landlock)
        ft_log(FT_LOG_WARN, "sandbox.no_landlock",
               "effect=files are guarded by their owners and modes alone");
out:
    folders_clear(&f);
    return st;
}

/* The vault's whole life, inside its sandbox. */
static enum ft_status
vault_main(struct ft_node *node, int fd, bool until_done, struct ft_error *err)
{
    enum ft_status st;
    struct ft_link link = { .fd = -1 };
    struct ft_shop *shop = NULL;
    struct ft_audit *audit = NULL;
    struct ft_participant *participant = NULL;
    uint8_t *identity = NULL;
    char *db_path = NULL;
    struct ft_participant_config config = { .pins = { .task_keys =
                                                          (const uint8_t(*)[32])node->pinned.task_keys,
                                                      .task_key_count = node->pinned.task_key_count } };

    memcpy(config.pins.deployment, node->pinned.deployment, sizeof config.pins.deployment);
    memcpy(config.pins.registrar_key, node->pinned.registrar_key, 32);
    memcpy(config.pins.aggregator_key, node->pinned.aggregator_key, 32);
    FT_TRY(ft_link_open(&link, fd, FT_IN_FRAME_MAX, &stop));
    identity = ft_secret_alloc(64);
    db_path = ft_home_path(node->config.state, FT_HOME_DB);
    if (identity == NULL || db_path == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    FT_TRY(ft_home_secret(node->config.state, FT_HOME_IDENTITY, identity, 64, err));
    FT_TRY(ft_vault_store_sqlite(db_path, &node->store, err));
    FT_TRY(ft_audit_open(node->config.state, ft_env_system(), FT_AUDIT_ROTATE_SIZE, &audit, err));
    FT_TRY(ft_node_shop(node, FT_BUDGET_KEEP, &shop, err));
    ft_shop_world(shop, &config.world);
    config.identity_sk = identity;
    config.until_done = until_done;
    FT_TRY(ft_participant_open(&config, &participant, err));
    ft_log(FT_LOG_INFO, "vault.ready", "shop=%s", node->pinned.shop);
    const struct ft_vault_config run = { &link, audit, participant, until_done };
    st = ft_vault_run(&run);
    const char *text = "";
    if (st == FT_ERR_VERIFY && ft_budget_fault(ft_shop_budget(shop), &text) != 0)
        st = ft_fail(err, st, "%s", text);
out:
    ft_participant_close(participant);
    ft_shop_close(shop);
    ft_audit_close(audit);
    ft_secret_free(identity);
    ft_free(db_path);
    ft_link_close(&link);
    return st;
}

/* How the courier ended, once it has. */
static int
courier_exit(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (WIFSIGNALED(status))
        ft_log(FT_LOG_ERROR, "courier.killed", "signal=%d", WTERMSIG(status));
    return WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : FT_EXIT_INTERNAL;
}

/* Two vaults on one state folder would be one shop that speaks twice in a round. */
static enum ft_status
lock_home(const struct ft_node *node, int *fd, struct ft_error *err)
{
    char *path = ft_home_path(node->config.state, FT_HOME_LOCK);
    enum ft_status st = path != NULL ? ft_lock_take(path, "another client", fd, err) : FT_ERR_NOMEM;
    ft_free(path);
    if (st == FT_OK)
        st = ft_lock_announce(*fd, err);
    return st;
}

int
ft_run_processes(struct ft_cli *cli, struct ft_node *node, bool until_done, const struct ft_run_probe *probe)
{
    int fds[2], code = FT_EXIT_INTERNAL, lock = -1; /* held to the end of the process */
    struct tls tls = { 0 };
    struct ft_error err = { 0 };
    const pid_t vault = getpid();
    enum ft_status st = lock_home(node, &lock, &err);
    if (st == FT_OK)
        st = tls_read(node->config.state, &tls, &err);
    if (st == FT_OK)
        st = ft_link_pair(fds, &err);
    if (st != FT_OK) {
        tls_clear(&tls);
        return ft_cli_fail(cli, st, &err);
    }
    handle_stops(on_stop);
    ft_alloc_keep();
    fflush(NULL);
    const pid_t courier = fork();
    if (courier == 0) {
        close(fds[0]);
        close(lock);
        /* _exit: what the vault's copy of buffers and handlers holds is not this process's to flush. */
        _exit(courier_main(node, &tls, fds[1], vault, probe));
    }
    close(fds[1]);
    tls_clear(&tls); /* the vault has no use for it */
    if (courier < 0) {
        close(fds[0]);
        return ft_cli_fail(cli, ft_fail(&err, FT_ERR_INTERNAL, "fork: %s", strerror(errno)), &err);
    }
    prctl(PR_SET_NAME, "ft-vault", 0, 0, 0);
    ft_log_open("fedtill-vault", (enum ft_log_level)node->config.log_level, STDERR_FILENO);
    ft_model_setup();
    st = ft_node_metered(node);
    if (st == FT_OK)
        st = enter_sandbox(node, &err);
    if (st == FT_OK && probe != NULL) {
        const int own = probe->vault(node, fds[0]);
        int status = 0;
        while (waitpid(courier, &status, 0) < 0 && errno == EINTR)
            continue;
        return own != FT_EXIT_OK || !WIFEXITED(status) ? FT_EXIT_FINDINGS : WEXITSTATUS(status);
    }
    if (st == FT_OK)
        st = vault_main(node, fds[0], until_done, &err);
    if (st == FT_ERR_PEER && stop) /* both were told to end, and the courier was the quicker one */
        st = FT_ERR_CANCELLED;
    if (st == FT_OK || st == FT_ERR_CANCELLED)
        code = FT_EXIT_OK;
    else if (st == FT_ERR_PEER)
        code = courier_exit(courier);
    else
        code = ft_cli_fail(cli, st, &err);
    ft_log(code == FT_EXIT_OK ? FT_LOG_INFO : FT_LOG_ERROR, "vault.ended", "status=%s code=%d",
           ft_status_name(st), code);
    return code;
}

int
ft_cmd_run(struct ft_cli *cli)
{
    struct ft_node node;
    int code;
    /* What whoever started us had open is nobody's business in a sandbox: a socket among it would be a way out. */
    (void)close_range(STDERR_FILENO + 1, ~0u, 0);
    if (!ft_node_enrolled(cli, &node, &code))
        return code;
    code = ft_run_processes(cli, &node, ft_cli_flag(cli, "until-done"), NULL);
    ft_node_close(&node);
    fflush(NULL);
    _exit(code); /* exit handlers of libraries may want what the sandbox has taken away */
}
