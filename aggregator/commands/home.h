/*
 * The aggregator's home folder: what lies where, and opening it.
 *
 *   aggregator.yaml  fedtill.db  deployment (32 hex digits)  ca.pem ca.key  server.pem server.key
 *   signing.key (signs what shops are shown)  task-signing.key  task-keys.pub  registrar.pub
 *   registrar/ (its key: to be moved to another machine)  serve.lock (held by the running server; its pid)
 */
#ifndef FT_AGGREGATOR_HOME_H
#define FT_AGGREGATOR_HOME_H

#include "aggregator/commands/aggregator_config.h"
#include "aggregator/registry/invitation.h"
#include "aggregator/storage/storage.h"
#include "common/base/cli.h"

#define FT_HOME_TASK_KEYS_MAX 16

struct ft_home {
    char *folder;
    struct ft_aggregator_config config;
    struct ft_store *store;
    uint8_t deployment[16];
};

/* Open the home that --home names: configuration, database. On failure it has told the reason and returns the exit
 * code; 0 is success and the caller closes it. */
int ft_home_open(const struct ft_cli *cli, struct ft_home *out);
void ft_home_close(struct ft_home *home);

/* The bound on colluding shops in the roster that the registrar signed last: a task that withstands fewer is joined by no
 * shop. 0: there is no roster yet. `at`: of a folder that may be no home at all, 0 then. */
uint32_t ft_home_corrupted(const struct ft_home *home);
uint32_t ft_home_corrupted_at(const char *folder);

/* folder/name, to be freed with ft_free; NULL without memory. */
char *ft_home_path(const struct ft_home *home, const char *name);

/* What shops pin, read from the files. `keys` and `ca_pem` back it: keep them for as long; clear ca_pem. */
struct ft_home_trust {
    struct ft_trust trust;
    struct ft_buf ca_pem;
    uint8_t task_keys[FT_HOME_TASK_KEYS_MAX][32];
};
FT_NODISCARD enum ft_status ft_home_trust(const struct ft_home *home, struct ft_home_trust *out, struct ft_error *err);
void ft_home_trust_clear(struct ft_home_trust *t);

/* The server's lock. take: *fd stays open as long as the server runs; LATER when another one holds it. announce writes
 * this process's pid once the server listens. serving: is there a server that listens, and its pid. */
FT_NODISCARD enum ft_status ft_home_lock_take(const struct ft_home *home, int *fd, struct ft_error *err);
FT_NODISCARD enum ft_status ft_home_lock_announce(int fd, struct ft_error *err);
bool ft_home_serving(const struct ft_home *home, long *pid);

/* Everything `check-config` looks at and `serve` refuses to start with: certificates and their keys, signing keys, the
 * log. Returns FT_EXIT_OK or FT_EXIT_CONFIG with every problem in findings. */
int ft_home_check(const struct ft_home *home, struct ft_findings *findings);

/* The task a command names: its name (the newest of that name) or at least 8 digits of its hash. Errors: NOTFOUND,
 * ARGUMENT (several match). */
FT_NODISCARD enum ft_status ft_home_task(const struct ft_home *home, const char *name, struct ft_task_row *out,
                                         struct ft_error *err);

#endif
