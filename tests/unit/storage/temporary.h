/* A database in a folder of its own. */
#ifndef TEST_STORAGE_TEMPORARY_H
#define TEST_STORAGE_TEMPORARY_H

#include "aggregator/storage/storage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint8_t test_deployment[16] = { 0xd0, 1, 2 };

struct temporary {
    char folder[64];
    char path[96];
};

static inline void
temporary_make(struct temporary *t)
{
    snprintf(t->folder, sizeof t->folder, "/tmp/fedtill-storage.XXXXXX");
    assert_non_null(mkdtemp(t->folder));
    snprintf(t->path, sizeof t->path, "%s/fedtill.db", t->folder);
    assert_int_equal(ft_store_create(t->path, test_deployment, NULL), FT_OK);
}

static inline void
temporary_remove(const struct temporary *t)
{
    static const char *const endings[] = { "", "-wal", "-shm" };
    char path[128];

    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s%s", t->path, endings[i]);
        unlink(path);
    }
    rmdir(t->folder);
}

static inline struct ft_store *
temporary_open(const struct temporary *t)
{
    struct ft_store *s = NULL;
    struct ft_error err = { 0 };
    if (ft_store_open(t->path, &s, &err) != FT_OK)
        fail_msg("%s", err.text);
    return s;
}

#endif
