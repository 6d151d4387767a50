/*
 * The state folder of a shop: names, keys and pins. Secret files have mode 0600 and belong to the user that
 * runs the client; anything else is refused before it is read.
 *
 *   identity.key  Ed25519 secret key of the cohort identity, 64 bytes
 *   node.key      32 bytes: pseudonyms are made with it
 *   tls.key, tls.pem, ca.pem   transport
 *   trust.json    what was pinned at enrolment
 *   state.db, audit.jsonl      see store.h, audit.h
 *   run.lock      held by `run`: one client a home
 *   ledger.bin    the privacy ledger, see ledger/ledger.h; chained with a key made from node.key
 */
#ifndef FT_VAULT_HOME_H
#define FT_VAULT_HOME_H

#include "client/source/pseudonym.h"
#include "common/base/buf.h"
#include "common/base/status.h"
#include <stdint.h>

#define FT_HOME_IDENTITY "identity.key"
#define FT_HOME_NODE     "node.key"
#define FT_HOME_TLS_KEY  "tls.key"
#define FT_HOME_TLS_CERT "tls.pem"
#define FT_HOME_CA       "ca.pem"
#define FT_HOME_TRUST    "trust.json"
#define FT_HOME_DB       "state.db"
#define FT_HOME_AUDIT    "audit.jsonl"
#define FT_HOME_LOCK     "run.lock"
#define FT_HOME_LEDGER   "ledger.bin"

#define FT_PINNED_TASK_KEYS_MAX 16

struct ft_pinned {
    char shop[65];
    char aggregator[256]; /* host:port */
    uint8_t deployment[16];
    uint8_t registrar_key[32];
    uint8_t aggregator_key[32];
    uint8_t task_keys[FT_PINNED_TASK_KEYS_MAX][32];
    size_t task_key_count;
    uint8_t ca_fingerprint[32]; /* SHA-256 of the CA's certificate */
    uint32_t shop_id;           /* number in the register */
};

char *ft_home_path(const char *state_dir, const char *name); /* "dir/name"; NULL without memory */

/* A secret of exactly `size` bytes. Errors: NOTFOUND, VERIFY (owner or mode), FORMAT (size), IO, NOMEM. */
FT_NODISCARD enum ft_status ft_home_secret(const char *state_dir, const char *name, uint8_t *out, size_t size,
                                           struct ft_error *err);
/* A secret text file of at most 64 KiB, same checks. */
FT_NODISCARD enum ft_status ft_home_secret_text(const char *state_dir, const char *name, struct ft_buf *out,
                                                struct ft_error *err);

/* trust.json, strict: an unknown, missing or malformed member is FORMAT with its name. */
FT_NODISCARD enum ft_status ft_pinned_parse(struct ft_bytes json, const char *origin, struct ft_pinned *out,
                                            struct ft_error *err);
FT_NODISCARD enum ft_status ft_pinned_format(const struct ft_pinned *pinned, struct ft_buf *out);
FT_NODISCARD enum ft_status ft_pinned_load(const char *state_dir, struct ft_pinned *out,
                                           struct ft_error *err);

/* An invitation, as the aggregator writes it: the pins, the CA and a one-time token. */
struct ft_token_file {
    struct ft_pinned pinned; /* without shop_id */
    struct ft_buf ca_pem;
    uint8_t token[32];
    uint64_t expires_ms; /* 0: not said */
};
FT_NODISCARD enum ft_status ft_token_file_parse(struct ft_bytes json, const char *origin,
                                                struct ft_token_file *out, struct ft_error *err);
void ft_token_file_clear(struct ft_token_file *file); /* wipes the token */

#endif
