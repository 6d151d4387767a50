/*
 * `probe`, test builds only: inside the very processes that `run` makes, try what each must not be able to
 * do, and what it must. One line an attempt: process, what was tried, "denied" or "allowed" or "broken" (what
 * must work does not).
 */
#include "client/commands/commands.h"
#include "client/commands/run.h"
#include "common/base/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct probe {
    const char *process;
    unsigned breaches;
};

static char data_file[1024]; /* found before the sandboxes close */

/* Each line with one write: both processes share the stream. */
static void
line(const struct probe *p, const char *result, const char *fmt, va_list args)
{
    char what[300], text[400];
    vsnprintf(what, sizeof what, fmt, args);
    const int n = snprintf(text, sizeof text, "%s %s: %s\n", p->process, what, result);
    if (n > 0 && write(STDOUT_FILENO, text, (size_t)n) != n)
        _exit(FT_EXIT_INTERNAL);
}

static void must_fail(struct probe *p, bool failed, const char *fmt, ...) FT_PRINTF(3, 4);
static void must_work(struct probe *p, bool worked, const char *fmt, ...) FT_PRINTF(3, 4);

static void
must_fail(struct probe *p, bool failed, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    line(p, failed ? "denied" : "allowed", fmt, args);
    va_end(args);
    p->breaches += !failed;
}

static void
must_work(struct probe *p, bool worked, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    line(p, worked ? "works" : "broken", fmt, args);
    va_end(args);
    p->breaches += !worked;
}

static bool
opens(const char *path, int flags)
{
    const int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* Refused as such: a file that is not there would prove nothing. */
static bool
denied(const char *path, int flags)
{
    return !opens(path, flags) && (errno == EACCES || errno == EPERM);
}

static bool
makes_socket(int family, int type)
{
    const int fd = socket(family, type, 0);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* What neither process may do. */
static void
probe_common(struct probe *p)
{
    char *const none[] = { NULL };
    char *const shell[] = { "/bin/true", NULL };
    const pid_t child = fork();
    if (child == 0)
        _exit(0);
    if (child > 0)
        waitpid(child, NULL, 0);
    must_fail(p, child < 0 && errno == EPERM, "fork");
    must_fail(p, execve("/bin/true", shell, none) < 0 && (errno == EPERM || errno == EACCES),
              "exec /bin/true");
    must_fail(p, syscall(SYS_execveat, AT_FDCWD, "/bin/true", shell, none, 0) < 0, "execveat");
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must_fail(p, page == MAP_FAILED, "executable memory");
    page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must_work(p, page != MAP_FAILED, "memory");
    must_fail(p, mprotect(page, 4096, PROT_READ | PROT_EXEC) != 0, "making memory executable");
    must_fail(p, kill(1, 0) != 0 && errno == EPERM, "signal to process 1");
    must_fail(p, kill(getppid(), 0) != 0 && errno == EPERM, "signal to the parent");
    must_fail(p, setuid(0) != 0 && errno == EPERM, "setuid");
    must_fail(p, denied("/etc/passwd", O_RDONLY), "open /etc/passwd");
    must_fail(p, denied("/proc/self/environ", O_RDONLY), "open /proc/self/environ");
    must_fail(p, denied("/proc/self/mem", O_RDWR), "open /proc/self/mem");
    must_fail(p, denied("/tmp/fedtill-probe", O_WRONLY | O_CREAT), "write into /tmp");
    must_fail(p, !makes_socket(AF_UNIX, SOCK_STREAM), "socket AF_UNIX");
    must_fail(p, !makes_socket(AF_NETLINK, SOCK_RAW), "socket AF_NETLINK");
    must_fail(p, !makes_socket(AF_PACKET, SOCK_RAW), "socket AF_PACKET");
    must_fail(p, !makes_socket(AF_INET, SOCK_RAW), "raw socket");
}

static int
probe_vault(const struct ft_node *node, int link_fd)
{
    struct probe p = { .process = "vault" };
    char byte = 0, *path;
    int pair[2];
    struct iovec io = { &byte, 1 };
    struct msghdr message = { .msg_iov = &io, .msg_iovlen = 1 };

    probe_common(&p);
    for (int family = 0; family <= 45; family++) {
        const bool made = makes_socket(family, SOCK_STREAM) || makes_socket(family, SOCK_DGRAM) ||
                          makes_socket(family, SOCK_RAW) || makes_socket(family, SOCK_SEQPACKET);
        must_fail(&p, !made, "socket family %d", family);
    }
    must_fail(&p, socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0, "socketpair");
    must_fail(&p, recvmsg(link_fd, &message, MSG_DONTWAIT) < 0 && errno == EPERM, "receiving a descriptor");
    must_fail(&p, sendmsg(link_fd, &message, MSG_DONTWAIT) < 0 && errno == EPERM, "sending a descriptor");
    must_fail(&p, syscall(SYS_clone3, NULL, 0) < 0, "clone3");
    must_fail(&p, denied("/etc/resolv.conf", O_RDONLY), "open /etc/resolv.conf");
    path = ft_home_path(node->config.state, "probe");
    must_work(&p, path != NULL && opens(path, O_WRONLY | O_CREAT) && unlink(path) == 0,
              "write into the state folder");
    ft_free(path);
    path = ft_home_path(node->config.state, FT_HOME_IDENTITY);
    must_work(&p, path != NULL && opens(path, O_RDONLY), "read identity.key");
    ft_free(path);
    must_work(&p, opens(node->config.policy, O_RDONLY), "read the policy");
    must_fail(&p, denied(node->config.policy, O_WRONLY), "write the policy");
    must_work(&p, opens(data_file, O_RDONLY), "read the data");
    must_fail(&p, denied(data_file, O_WRONLY), "write the data");
    return p.breaches == 0 ? FT_EXIT_OK : FT_EXIT_FINDINGS;
}

static void *
nothing(void *ctx)
{
    return ctx;
}

/* Connect to a local port that is not the aggregator's: denied as such, not just refused by nobody listening.
 */
static bool
reaches_port(uint16_t port)
{
    const struct sockaddr_in to = { .sin_family = AF_INET,
                                    .sin_port = htons(port),
                                    .sin_addr = { htonl(INADDR_LOOPBACK) } };
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    const int rc = connect(fd, (const struct sockaddr *)&to, sizeof to);
    const bool denied = rc != 0 && (errno == EACCES || errno == EPERM);
    close(fd);
    return !denied;
}

static int
probe_courier(const struct ft_node *node, int link_fd)
{
    static const char *const secrets[] = { FT_HOME_DB,       FT_HOME_IDENTITY, FT_HOME_NODE, FT_HOME_TLS_KEY,
                                           FT_HOME_TLS_CERT, FT_HOME_TRUST,    FT_HOME_AUDIT };
    struct probe p = { .process = "courier" };
    pthread_t thread;
    (void)link_fd;

    probe_common(&p);
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
        char *path = ft_home_path(node->config.state, secrets[i]);
        must_fail(&p, path != NULL && denied(path, O_RDONLY), "open %s", secrets[i]);
        ft_free(path);
    }
    must_fail(&p, denied(node->config.policy, O_RDONLY), "open the policy");
    must_fail(&p, denied(node->config.home, O_RDONLY | O_DIRECTORY), "open the home folder");
    must_fail(&p, denied(data_file, O_RDONLY), "open the data");
    must_work(&p, makes_socket(AF_INET, SOCK_STREAM), "socket AF_INET");
    must_work(&p, makes_socket(AF_INET6, SOCK_STREAM), "socket AF_INET6");
    must_work(&p, reaches_port(ft_target_port(node->config.aggregator)), "connect to the aggregator's port");
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    must_fail(&p, listen(listener, 1) != 0 && errno == EPERM, "listen");
    must_fail(&p, accept(listener, NULL, NULL) < 0 && errno == EPERM, "accept");
    close(listener);
    must_fail(&p, !reaches_port(1), "connect to another port");
    must_work(&p, pthread_create(&thread, NULL, nothing, NULL) == 0 && pthread_join(thread, NULL) == 0,
              "thread");
    return p.breaches == 0 ? FT_EXIT_OK : FT_EXIT_FINDINGS;
}

int
ft_cmd_probe(struct ft_cli *cli)
{
    static const struct ft_run_probe probe = { probe_vault, probe_courier };
    struct ft_node node;
    glob_t files;
    int code;
    if (!ft_node_enrolled(cli, &node, &code))
        return code;
    if (glob(node.source.transactions.files, 0, NULL, &files) != 0)
        return ft_cli_usage(cli, "the home must have data");
    snprintf(data_file, sizeof data_file, "%s", files.gl_pathv[0]);
    globfree(&files);
    fflush(NULL);
    code = ft_run_processes(cli, &node, false, &probe);
    _exit(code);
}
