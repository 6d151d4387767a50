#include "client/consent/erase.h"
#include "client/consent/consent_internal.h"

#include <assert.h>
#include <sodium.h>
#include <sqlite3.h>
#include <string.h>

#define TOMBSTONE_SIZE 32

/* BLAKE2b-256(node key; "fedtill/erased" 0x00 pseudonym): whoever has the state folder without the key learns nothing. */
static void
tombstone_of(const struct ft_consent *consent, const struct ft_pseudonym *customer, uint8_t out[TOMBSTONE_SIZE])
{
    static const char domain[] = "fedtill/erased";
    const struct ft_node_key *key = consent_key(consent);
    crypto_generichash_state state;
    int bad = crypto_generichash_init(&state, key->bytes, sizeof key->bytes, TOMBSTONE_SIZE);
    bad |= crypto_generichash_update(&state, (const unsigned char *)domain, sizeof domain);
    bad |= crypto_generichash_update(&state, (const unsigned char *)customer->text, FT_PSEUDONYM_LENGTH);
    bad |= crypto_generichash_final(&state, out, TOMBSTONE_SIZE);
    assert(bad == 0); /* only a wrong size makes it fail */
    (void)bad;
    sodium_memzero(&state, sizeof state);
}

/* One statement with up to three values, to its end. */
static enum ft_status
change(struct ft_consent *consent, const char *sql, const uint8_t *tombstone, const char *text, int64_t number,
       uint64_t *changes, struct ft_error *err)
{
    sqlite3 *handle = consent_handle(consent);
    sqlite3_stmt *s = NULL;
    enum ft_status st = FT_OK;
    if (sqlite3_prepare_v2(handle, sql, -1, &s, NULL) != SQLITE_OK)
        return consent_fail(consent, "consent registry: cannot prepare", err);
    if (tombstone != NULL)
        sqlite3_bind_blob(s, 1, tombstone, TOMBSTONE_SIZE, SQLITE_STATIC);
    if (text != NULL)
        sqlite3_bind_text(s, 2, text, -1, SQLITE_STATIC);
    if (sqlite3_bind_parameter_count(s) >= 3)
        sqlite3_bind_int64(s, 3, number);
    if (sqlite3_step(s) != SQLITE_DONE)
        st = consent_fail(consent, "consent registry: cannot erase", err);
    else if (changes != NULL)
        *changes = (uint64_t)sqlite3_changes(handle);
    sqlite3_finalize(s);
    return st;
}

/* The trigger that keeps the history is away within this transaction only. */
static enum ft_status
erase_in_transaction(struct ft_consent *consent, const struct ft_pseudonym *customer, const uint8_t *tombstone,
                     uint64_t now_ms, struct ft_erasure *out, struct ft_error *err)
{
    enum ft_status st;
    uint64_t added = 0;

    FT_TRY(change(consent, "DROP TRIGGER IF EXISTS consent_event_is_kept", NULL, NULL, 0, NULL, err));
    FT_TRY(change(consent, "DELETE FROM consent_event WHERE customer = ?2", NULL, customer->text, 0, &out->events, err));
    FT_TRY(change(consent,
                  "INSERT INTO consent_erased(tombstone, at_ms) VALUES (?1, ?3) ON CONFLICT(tombstone) DO NOTHING",
                  tombstone, NULL, (int64_t)now_ms, &added, err));
    FT_TRY(change(consent, "UPDATE consent_scrub SET owed = 1", NULL, NULL, 0, NULL, err));
    FT_TRY(change(consent, CONSENT_IS_KEPT, NULL, NULL, 0, NULL, err));
    out->again = added == 0;
out:
    return st;
}

enum ft_status
ft_consent_erase(struct ft_consent *consent, const char *customer_id, uint64_t now_ms, struct ft_erasure *out,
                 struct ft_error *err)
{
    enum ft_status st;
    struct ft_pseudonym customer;
    uint8_t tombstone[TOMBSTONE_SIZE], receipt[16];

    *out = (struct ft_erasure){ 0 };
    if (customer_id[0] == '\0')
        return ft_fail(err, FT_ERR_FORMAT, "the customer id is empty");
    ft_pseudonym_make(consent_key(consent), customer_id, strlen(customer_id), &customer);
    tombstone_of(consent, &customer, tombstone);
    randombytes_buf(receipt, sizeof receipt);
    sodium_bin2hex(out->receipt, sizeof out->receipt, receipt, sizeof receipt);
    FT_TRY(consent_begin(consent, err));
    st = erase_in_transaction(consent, &customer, tombstone, now_ms, out, err);
    if (st == FT_OK)
        st = consent_commit(consent, err);
    if (st != FT_OK) {
        consent_rollback(consent);
        goto out;
    }
    if (ft_consent_scrub(consent, &out->scrubbed, NULL) != FT_OK)
        out->scrubbed = false; /* owed: the erasure itself stands */
out:
    sodium_memzero(&customer, sizeof customer);
    sodium_memzero(tombstone, sizeof tombstone);
    return st;
}

static enum ft_status
number(struct ft_consent *consent, const char *sql, int64_t *out, struct ft_error *err)
{
    sqlite3_stmt *s = NULL;
    enum ft_status st = FT_OK;
    if (sqlite3_prepare_v2(consent_handle(consent), sql, -1, &s, NULL) != SQLITE_OK || sqlite3_step(s) != SQLITE_ROW)
        st = consent_fail(consent, "consent registry: cannot read", err);
    else
        *out = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return st;
}

enum ft_status
ft_consent_scrub(struct ft_consent *consent, bool *clean, struct ft_error *err)
{
    enum ft_status st;
    int64_t owed = 1, busy = 1;
    sqlite3 *handle = consent_handle(consent);

    if (clean != NULL)
        *clean = false;
    FT_TRY(number(consent, "SELECT owed FROM consent_scrub", &owed, err));
    if (owed == 0) {
        if (clean != NULL)
            *clean = true;
        return FT_OK;
    }
    /* Every page is written anew, so that no old copy of a row stays in one; then the log is cut to nothing. */
    const int rc = sqlite3_exec(handle, "VACUUM", NULL, NULL, NULL);
    if ((rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_LOCKED)
        return FT_OK; /* owed */
    if (rc != SQLITE_OK)
        return consent_fail(consent, "consent registry: cannot rewrite the database", err);
    FT_TRY(number(consent, "PRAGMA wal_checkpoint(TRUNCATE)", &busy, err));
    if (busy != 0)
        return FT_OK;
    FT_TRY(change(consent, "UPDATE consent_scrub SET owed = 0", NULL, NULL, 0, NULL, err));
    if (clean != NULL)
        *clean = true;
out:
    return st;
}

enum ft_status
ft_consent_erased_count(struct ft_consent *consent, uint64_t *count)
{
    int64_t n = 0;
    const enum ft_status st = number(consent, "SELECT count(*) FROM consent_erased", &n, NULL);
    *count = (uint64_t)n;
    return st;
}

bool
ft_consent_is_erased(struct ft_consent *consent, const struct ft_pseudonym *customer)
{
    uint8_t tombstone[TOMBSTONE_SIZE];
    sqlite3_stmt *s = NULL;
    bool erased = true;
    tombstone_of(consent, customer, tombstone);
    if (sqlite3_prepare_v2(consent_handle(consent), "SELECT 1 FROM consent_erased WHERE tombstone = ?1", -1, &s, NULL) ==
        SQLITE_OK) {
        sqlite3_bind_blob(s, 1, tombstone, sizeof tombstone, SQLITE_STATIC);
        erased = sqlite3_step(s) != SQLITE_DONE;
    }
    sqlite3_finalize(s);
    return erased;
}
