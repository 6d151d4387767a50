/*
 * A ledger opened from bytes: the input is a list of changes (where, what) to a good ledger, or, with a first
 * byte of 255, the bytes themselves. A change before the last record is never taken for good, and no bytes
 * crash it.
 */
#include "client/vault/ledger/ledger.h"
#include "common/base/alloc.h"
#include "common/base/file.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECORDS_MAX 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t key[FT_LEDGER_KEY_SIZE] = { 3 };
static uint8_t good[8192];
static size_t good_size, ends[RECORDS_MAX], records;

static void
note_end(const char *path)
{
    struct ft_buf now = { 0 };
    assert(records < RECORDS_MAX && ft_file_read(path, sizeof good, &now, NULL) == FT_OK);
    memcpy(good, now.data, now.size);
    if (records == 0 || now.size > ends[records - 1])
        ends[records++] = good_size = now.size;
    ft_buf_clear(&now);
}

static void
make_good(void)
{
    static const uint8_t id[16] = { 1 }, session[32] = { 5 };
    const struct ft_ledger_domain domain = { .id = "customers",
                                             .mode = FT_LEDGER_ADAPTIVE,
                                             .method = FT_ACCOUNT_RDP,
                                             .epsilon_max = 2.5,
                                             .delta = 1e-6,
                                             .order = 9 };
    const struct ft_ledger_reservation task = { .domain = "customers",
                                                .task = { 1 },
                                                .manifest = { 1, 1 },
                                                .q_num = UINT64_C(1) << 25,
                                                .delta_int_sq = 16851920,
                                                .sigma_share = 776,
                                                .t_min = 28,
                                                .m_stores = 1,
                                                .steps = 5 };
    char folder[] = "/tmp/fedtill-fuzz.XXXXXX", path[64];
    struct ft_ledger_file file;
    struct ft_ledger *ledger;
    struct ft_ledger_opened opened;

    assert(sodium_init() >= 0 && mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/ledger", folder);
    assert(ft_ledger_file_posix(path, &file) == FT_OK);
    assert(ft_ledger_open(file, key, "store-1", id, &ledger, &opened, NULL) == FT_OK);
    note_end(path);
    assert(ft_ledger_open_domain(ledger, &domain, NULL) == FT_OK);
    note_end(path);
    assert(ft_ledger_reserve(ledger, &task, NULL, NULL) == FT_OK);
    note_end(path);
    for (uint64_t round = 1; round <= 3; round++) {
        assert(ft_ledger_spend(ledger, task.task, round, session, NULL) == FT_OK);
        note_end(path);
    }
    ft_ledger_close(ledger);
    unlink(path);
    rmdir(folder);
}

/* Where the bytes first differ from the good ones; the shorter size when one begins the other. */
static size_t
first_change(struct ft_bytes b)
{
    size_t at = 0;
    while (at < b.size && at < good_size && b.data[at] == good[at])
        at++;
    return at;
}

static void
judge(struct ft_bytes b)
{
    struct ft_ledger *ledger = NULL;
    const enum ft_status st = ft_ledger_view(b, key, NULL, &ledger, NULL);
    const size_t at = first_change(b);

    assert((st == FT_OK) == (ledger != NULL));
    if (st == FT_OK) {
        /* The record that holds the change and at least one more would have to be whole and wrong. */
        for (size_t i = 0; i + 1 < records; i++)
            assert(at >= ends[i] || b.size < ends[i + 1] || b.size == at);
        assert(ft_ledger_task_count(ledger) <= 1 && !ft_ledger_writable(ledger));
    }
    ft_ledger_close(ledger);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t changed[sizeof good + 256];
    size_t now;

    if (good_size == 0)
        make_good();
    const size_t live = ft_alloc_live();
    if (size > 0 && data[0] == 255) {
        judge(FT_BYTES(data + 1, size - 1));
        goto out;
    }
    memcpy(changed, good, good_size);
    now = good_size;
    for (size_t i = 0; i + 4 <= size; i += 4) {
        const size_t at = ((size_t)data[i + 1] << 8 | data[i + 2]) % (now + 1);
        switch (data[i] % 4) {
        case 0: /* another byte */
            if (at < now)
                changed[at] = data[i + 3];
            break;
        case 1: /* a bit */
            if (at < now)
                changed[at] ^= (uint8_t)(1u << data[i + 3] % 8);
            break;
        case 2: /* cut */
            now = at;
            break;
        default: /* one more byte at the end */
            if (now < sizeof changed)
                changed[now++] = data[i + 3];
        }
    }
    judge(FT_BYTES(changed, now));
out:
    assert(ft_alloc_live() == live);
    return 0;
}
