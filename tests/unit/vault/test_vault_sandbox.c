/* The sandboxes from inside: each attempt in a child of its own, since what is confined stays so. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "client/courier/sandbox.h"
#include "client/sandbox/confine.h"
#include "client/vault/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64], state[80], data[80], other[80];

static void
write_file(const char *dir, const char *name)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("x", f);
    fclose(f);
}

static int
make_folders(void **ctx)
{
    (void)ctx;
    strcpy(folder, "/tmp/fedtill-sandbox.XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(state, sizeof state, "%s/state", folder);
    snprintf(data, sizeof data, "%s/data", folder);
    snprintf(other, sizeof other, "%s/other", folder);
    mkdir(state, 0700);
    mkdir(data, 0700);
    mkdir(other, 0700);
    write_file(data, "rows.csv");
    write_file(other, "secret");
    return 0;
}

static int
remove_folders(void **ctx)
{
    char command[100];
    (void)ctx;
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

enum which { VAULT, COURIER };

/* From now on this process's kernel answers as one without Landlock does. */
static bool old_kernel;
static void
forget_landlock(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    bool good = filter != NULL;
    for (int call = 444; call <= 446; call++) /* landlock_create_ruleset, _add_rule, _restrict_self */
        good = good && seccomp_rule_add_exact(filter, SCMP_ACT_ERRNO(ENOSYS), call, 0) == 0;
    if (!good || seccomp_load(filter) != 0)
        _exit(201);
    seccomp_release(filter);
}

/* Run `attempt` confined. The child's exit status: what the attempt returned, or 200 when confining failed; a
 * signal comes back as 1000 + its number. */
static int
confined(enum which which, int (*attempt)(void))
{
    const pid_t pid = fork();
    int status = 0;
    if (pid == 0) {
        const char *const reads[] = { data };
        const struct ft_vault_sandbox vault = { .state_dir = state,
                                                .read_paths = reads,
                                                .read_path_count = 1 };
        const struct ft_courier_sandbox courier = { .port = 7443 };
        bool landlock = false;
        if (old_kernel)
            forget_landlock();
        const enum ft_status st = which == VAULT ? ft_vault_sandbox_enter(&vault, &landlock, NULL)
                                                 : ft_courier_sandbox_enter(&courier, &landlock, NULL);
        _exit(st != FT_OK || (old_kernel && landlock) ? 200 : attempt());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* errno of an open, 0 when it worked. */
static int
open_errno(const char *dir, const char *name, int flags)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    const int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    close(fd);
    return 0;
}

static int
nothing(void)
{
    return 0;
}
static int
read_data(void)
{
    return open_errno(data, "rows.csv", O_RDONLY);
}
static int
write_data(void)
{
    return open_errno(data, "rows.csv", O_WRONLY);
}
static int
make_in_data(void)
{
    return open_errno(data, "new", O_WRONLY | O_CREAT);
}
static int
read_other(void)
{
    return open_errno(other, "secret", O_RDONLY);
}
static int
climb_out(void)
{
    return open_errno(data, "../other/secret", O_RDONLY);
}
static int
write_state(void)
{
    return open_errno(state, "state.db", O_RDWR | O_CREAT);
}
static int
truncate_other(void)
{
    char path[160];
    snprintf(path, sizeof path, "%s/secret", other);
    return truncate(path, 0) == 0 ? 0 : errno;
}
static int
any_socket(void)
{
    for (int family = 0; family < 46; family++)
        for (int type = 1; type <= 5; type++)
            if (socket(family, type, 0) >= 0)
                return family + 1;
    return 0;
}
static int
inet_socket(void)
{
    return socket(AF_INET, SOCK_STREAM, 0) >= 0 && socket(AF_INET6, SOCK_STREAM, 0) >= 0 ? 0 : errno;
}
static int
unix_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM, 0) >= 0 ? 0 : errno;
}
static int
listening(void)
{
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    return listen(fd, 1) == 0 ? 0 : errno;
}
static int
exec_true(void)
{
    char *const args[] = { (char *)(uintptr_t) "true", NULL };
    execv("/bin/true", args);
    return errno;
}
static int
fork_one(void)
{
    const pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return pid > 0 ? 0 : errno;
}
static int
io_uring(void)
{
    return (int)syscall(SYS_io_uring_setup, 1, NULL);
}
static int
trace(void)
{
    return (int)syscall(SYS_ptrace, 0, 0, 0, 0);
}
static int
load_bpf(void)
{
    return (int)syscall(SYS_bpf, 0, NULL, 0);
}
static int
privileges_gone(void)
{
    FILE *f; /* before the file rule: /proc is not open to either process */
    char line[200];
    int wrong = 0;
    if (ft_confine_privileges(NULL) != FT_OK || prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0 ||
        prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return 1;
    f = fopen("/proc/thread-self/status", "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, "CapEff:", 7) == 0 || strncmp(line, "CapPrm:", 7) == 0)
            wrong += strtoull(line + 7, NULL, 16) != 0;
    return f == NULL ? 2 : wrong;
}

/* The vault reads its data and writes its state; every other file is closed to it, by whatever name. */
static void
vault_opens_its_own_folders_and_no_other(void **ctx)
{
    (void)ctx;
    if (ft_landlock_abi() == 0)
        skip();
    assert_int_equal(confined(VAULT, nothing), 0);
    assert_int_equal(confined(VAULT, read_data), 0);
    assert_int_equal(confined(VAULT, write_state), 0);
    assert_int_equal(confined(VAULT, write_data), EACCES);
    assert_int_equal(confined(VAULT, make_in_data), EACCES);
    assert_int_equal(confined(VAULT, read_other), EACCES);
    assert_int_equal(confined(VAULT, climb_out), EACCES);
    assert_true(confined(VAULT, truncate_other) != 0);
}

/* From inside the vault no socket of any family and type can be made. */
static void
vault_has_no_network(void **ctx)
{
    (void)ctx;
    assert_int_equal(confined(VAULT, any_socket), 0);
}

/* The courier opens neither data nor state, but connects. */
static void
courier_has_the_network_and_no_file_of_the_shop(void **ctx)
{
    (void)ctx;
    write_file(state, "identity.key");
    assert_int_equal(confined(COURIER, inet_socket), 0);
    assert_int_equal(confined(COURIER, unix_socket), EPERM);
    assert_int_equal(confined(COURIER, listening), EPERM);
    const int refused = confined(COURIER, read_data);
    assert_true(refused == EACCES || refused == EPERM);
    const int state_refused = confined(COURIER, write_state);
    assert_true(state_refused == EACCES || state_refused == EPERM);
}

/* Neither starts a program or a process. */
static void
no_sandbox_lets_a_program_start(void **ctx)
{
    (void)ctx;
    for (int which = VAULT; which <= COURIER; which++) {
        const int exec = confined((enum which)which, exec_true);
        assert_true(exec == EPERM || exec == EACCES);
        assert_int_equal(confined((enum which)which, fork_one), EPERM);
    }
}

/* What no honest client calls ends the process on the spot. */
static void
blatant_calls_kill_the_process(void **ctx)
{
    (void)ctx;
    assert_int_equal(confined(VAULT, io_uring), 1000 + SIGSYS);
    assert_int_equal(confined(VAULT, trace), 1000 + SIGSYS);
    assert_int_equal(confined(COURIER, load_bpf), 1000 + SIGSYS);
}

/* Core files, tracing, capabilities and new privileges are given up. */
static void
privileges_are_given_up(void **ctx)
{
    int status = 0;
    (void)ctx;
    const pid_t pid = fork();
    if (pid == 0)
        _exit(privileges_gone());
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* A folder that must exist and does not stops the start, instead of leaving a rule out. */
static void
missing_data_folder_is_refused(void **ctx)
{
    int status = 0;
    (void)ctx;
    if (ft_landlock_abi() == 0)
        skip();
    const pid_t pid = fork();
    if (pid == 0) {
        const char *const reads[] = { "/tmp/fedtill-no-such-folder" };
        const struct ft_vault_sandbox vault = { .state_dir = state,
                                                .read_paths = reads,
                                                .read_path_count = 1 };
        bool landlock;
        _exit((int)ft_vault_sandbox_enter(&vault, &landlock, NULL));
    }
    waitpid(pid, &status, 0);
    assert_int_equal(WEXITSTATUS(status), FT_ERR_NOTFOUND);
}

/* Without Landlock the system call filter alone still keeps the vault off every network, and the courier away from
 * every file: it can open none at all. Both tell that the file rule is missing (doctor warns of it). */
static void
a_kernel_without_landlock_leaves_the_call_filter_in_force(void **ctx)
{
    (void)ctx;
    old_kernel = true;
    assert_int_equal(confined(VAULT, nothing), 0);
    assert_int_equal(confined(VAULT, read_data), 0);
    assert_int_equal(confined(VAULT, write_state), 0);
    assert_int_equal(confined(VAULT, any_socket), 0);
    assert_int_equal(confined(VAULT, exec_true), EPERM);
    assert_int_equal(confined(VAULT, io_uring), 1000 + SIGSYS);
    assert_int_equal(confined(COURIER, inet_socket), 0);
    assert_int_equal(confined(COURIER, read_data), EPERM);
    assert_int_equal(confined(COURIER, write_state), EPERM);
    assert_int_equal(confined(COURIER, fork_one), EPERM);
    old_kernel = false;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vault_opens_its_own_folders_and_no_other),
        cmocka_unit_test(vault_has_no_network),
        cmocka_unit_test(courier_has_the_network_and_no_file_of_the_shop),
        cmocka_unit_test(no_sandbox_lets_a_program_start),
        cmocka_unit_test(blatant_calls_kill_the_process),
        cmocka_unit_test(privileges_are_given_up),
        cmocka_unit_test(a_kernel_without_landlock_leaves_the_call_filter_in_force),
        cmocka_unit_test(missing_data_folder_is_refused),
    };
    return cmocka_run_group_tests(tests, make_folders, remove_folders);
}
