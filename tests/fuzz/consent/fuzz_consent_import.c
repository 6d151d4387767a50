/*
 * A consent file of any bytes: read twice, in two encodings' clothes, and refused at the last moment, so that
 * nothing of it may stay; then taken in, and again, which changes nothing.
 */
#include "client/consent/import.h"
#include "common/base/alloc.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOW_MS ((uint64_t)1760000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[64], db[96], file[96];
static const struct ft_node_key key = { { 7 } };

static void
remove_all(void)
{
    char command[120];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    (void)!system(command);
}

static void
set_up(void)
{
    strcpy(folder,
           access("/dev/shm", W_OK) == 0 ? "/dev/shm/fedtill-fuzz.XXXXXX" : "/tmp/fedtill-fuzz.XXXXXX");
    assert(sodium_init() >= 0 && mkdtemp(folder) != NULL);
    snprintf(db, sizeof db, "%s/state.db", folder);
    snprintf(file, sizeof file, "%s/consent.csv", folder);
    atexit(remove_all);
}

static bool
no(void *ctx, const struct ft_consent_import_summary *summary)
{
    (void)ctx;
    (void)summary;
    return false;
}

static uint64_t
events(struct ft_consent *consent)
{
    struct ft_consent_totals totals;
    assert(ft_consent_totals(consent, "train/propensity", NOW_MS, &totals, NULL) == FT_OK);
    return totals.events;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (folder[0] == '\0')
        set_up();
    const size_t live = ft_alloc_live();
    struct ft_consent_import_config config = { .file = file, .max_reject_ratio = 1 };
    struct ft_consent_import_summary summary, again;
    struct ft_consent *consent;
    struct ft_error err = { 0 };
    FILE *f = fopen(file, "wb");

    assert(f != NULL && fwrite(data, 1, size, f) == size && fclose(f) == 0);
    (void)unlink(db);
    assert(ft_consent_open(db, &key, &consent, NULL) == FT_OK);
    config.encoding = size > 0 && data[0] % 2 == 0 ? FT_ENCODING_UTF8 : FT_ENCODING_LATIN1;
    const enum ft_status st = ft_consent_import(consent, &config, NOW_MS, no, NULL, &summary, &err);
    assert(st != FT_OK && events(consent) == 0);
    assert(summary.ambiguous + summary.quarantine.count <= summary.rows);
    if (st == FT_ERR_CANCELLED) { /* it could have been taken */
        assert(ft_consent_import(consent, &config, NOW_MS, NULL, NULL, &again, &err) == FT_OK);
        assert(again.rows == summary.rows && again.grants == summary.grants &&
               again.refusals == summary.refusals);
        assert(ft_consent_import(consent, &config, NOW_MS, NULL, NULL, &again, &err) == FT_OK);
        assert(again.grants == 0 && again.refusals == 0 && again.withdrawals == 0);
    }
    ft_consent_close(consent);
    assert(ft_alloc_live() == live);
    return 0;
}
