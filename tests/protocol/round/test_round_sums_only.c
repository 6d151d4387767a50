/* What is on the aggregator's disk after rounds: sums, models and signed records, and of no shop's masked
 * input as much as sixteen bytes (feature map, A-10). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "rig.h"

#include "common/base/alloc.h"
#include "common/base/file.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHOPS 5
#define PIECE 16 /* bytes that must not be found */
#define KEPT  64 /* uploads */
#define SIZE  65536

/* The uploads of all shops, as they left their vaults. */
struct uploads {
    struct {
        uint8_t *bytes;
        size_t size;
    } list[KEPT];
    size_t count;
};

static void
keep(struct rig_shop *shop, const struct ft_out *message)
{
    struct uploads *u = shop->tap_ctx;
    if (message->kind != FT_OUT_DATA || message->offset != 0 || u->count == KEPT)
        return;
    u->list[u->count].bytes = ft_calloc(1, message->data.size);
    assert_non_null(u->list[u->count].bytes);
    memcpy(u->list[u->count].bytes, message->data.data, message->data.size);
    u->list[u->count++].size = message->data.size;
}

static bool
holds(const uint8_t *hay, size_t size, const uint8_t *needle)
{
    return memmem(hay, size, needle, PIECE) != NULL;
}

/* Pieces of uploads found in a file of the folder: the database, its write-ahead log, whatever there is. */
static size_t
found_in(const char *folder, const struct uploads *u, size_t *bytes)
{
    size_t found = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        struct ft_buf text = { 0 };
        char path[512];
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        assert_int_equal(ft_file_read(path, SIZE_MAX / 2, &text, NULL), FT_OK);
        *bytes += text.size;
        for (size_t i = 0; i < u->count; i++)
            for (size_t at = 0; at + PIECE <= u->list[i].size; at += PIECE)
                found += holds(text.data, text.size, u->list[i].bytes + at);
        ft_buf_clear(&text);
    }
    closedir(dir);
    return found;
}

static void
remove_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (e->d_name[0] != '.')
            assert_int_equal(unlink(path), 0);
    }
    closedir(dir);
    assert_int_equal(rmdir(folder), 0);
}

/* Two uploads are in: the middle of a round. */
static bool
some_are_in(struct rig *r, void *ctx)
{
    const struct uploads *u = ctx;
    (void)r;
    return u->count >= 2;
}

static void
open_watched(struct rig *r, struct uploads *u, char *folder, uint8_t hash[32])
{
    char path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/fedtill.db", folder);
    *u = (struct uploads){ 0 };
    rig_open_at(r, SHOPS, SHOPS, path);
    for (uint32_t i = 0; i < SHOPS; i++) {
        r->shops[i].tap = keep;
        r->shops[i].tap_ctx = u;
    }
    r->task.rounds = 2;
    rig_publish(r, "first", true, hash);
}

static void
close_watched(struct rig *r, struct uploads *u, const char *folder)
{
    rig_close(r);
    for (size_t i = 0; i < u->count; i++)
        ft_free(u->list[i].bytes);
    remove_folder(folder);
}

/* After whole rounds nothing of any upload is in any file; the model that came of them is. */
static void
committed_rounds_leave_sums_alone(void **state)
{
    static struct rig r;
    struct uploads u;
    uint8_t hash[32];
    char folder[] = "/tmp/fedtill-sums.XXXXXX";
    size_t bytes = 0;
    (void)state;

    open_watched(&r, &u, folder, hash);
    assert_true(rig_run(&r, rig_task_done, hash, 60000));
    assert_true(u.count >= 4 * SHOPS);
    assert_int_equal(found_in(folder, &u, &bytes), 0);
    assert_true(bytes > SIZE);

    /* The search can find: a file that does hold one of the uploads is noticed. */
    char path[128];
    snprintf(path, sizeof path, "%s/copy", folder);
    assert_int_equal(ft_file_write(path, FT_BYTES(u.list[0].bytes, u.list[0].size), 0600, NULL), FT_OK);
    assert_true(found_in(folder, &u, &bytes) > 0);
    close_watched(&r, &u, folder);
}

/* Killed between two uploads of a round, and up again: what had come in is gone, by design. */
static void
a_kill_within_a_round_leaves_no_upload_behind(void **state)
{
    static struct rig r;
    struct uploads u;
    uint8_t hash[32];
    char folder[] = "/tmp/fedtill-sums.XXXXXX";
    size_t bytes = 0;
    (void)state;

    open_watched(&r, &u, folder, hash);
    assert_true(rig_run(&r, some_are_in, &u, 60000));
    rig_engine_down(&r);
    assert_int_equal(found_in(folder, &u, &bytes), 0);
    rig_engine_up(&r);
    assert_true(rig_run(&r, rig_task_done, hash, 240000));
    assert_int_equal(found_in(folder, &u, &bytes), 0);
    assert_true(bytes > SIZE);
    close_watched(&r, &u, folder);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(committed_rounds_leave_sums_alone),
        cmocka_unit_test(a_kill_within_a_round_leaves_no_upload_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
