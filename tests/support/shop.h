/*
 * A shop's records for tests: files in a folder of their own, a source over them, customers made eligible by
 * the ids the source writes.
 */
#ifndef FT_TESTS_SUPPORT_SHOP_H
#define FT_TESTS_SUPPORT_SHOP_H

#include "client/source/db.h"
#include "client/source/source.h"
#include "common/base/alloc.h"
#include "common/base/file.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct test_shop {
    char folder[128];
    struct ft_node_key key;
    struct ft_source_config config;
    struct ft_db *db;
    struct ft_source *source;
    struct ft_error err;
};

__attribute__((unused)) static void
shop_init(struct test_shop *shop)
{
    const char *tmp = getenv("TMPDIR");
    memset(shop, 0, sizeof *shop);
    if (sodium_init() < 0)
        abort();
    snprintf(shop->folder, sizeof shop->folder, "%s/fedtill-test.XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(shop->folder) == NULL)
        abort();
    memset(shop->key.bytes, 7, sizeof shop->key.bytes);
    ft_source_config_init(&shop->config);
    shop->config.base_dir = ft_strdup(shop->folder);
    if (ft_db_open(&shop->db, &shop->err) != FT_OK)
        abort();
}

/* Write a file into the shop's folder. */
__attribute__((unused)) static void
shop_file(struct test_shop *shop, const char *name, const void *data, size_t size)
{
    char path[256];
    FILE *f;
    snprintf(path, sizeof path, "%s/%s", shop->folder, name);
    f = fopen(path, "wb");
    if (f == NULL || fwrite(data, 1, size, f) != size || fclose(f) != 0)
        abort();
}

__attribute__((unused)) static void
shop_text(struct test_shop *shop, const char *name, const char *text)
{
    shop_file(shop, name, text, strlen(text));
}

/* Map "standard=source" or plain "name" pairs, separated by spaces. */
__attribute__((unused)) static void
shop_map(struct ft_source_table *table, const char *files, const char *columns)
{
    char *copy = strdup(columns), *save = NULL;
    table->files = ft_strdup(files);
    table->columns = ft_calloc(FT_SOURCE_COLUMNS_MAX, sizeof *table->columns);
    for (char *p = strtok_r(copy, " ", &save); p != NULL; p = strtok_r(NULL, " ", &save)) {
        char *equals = strchr(p, '=');
        if (equals != NULL)
            *equals = '\0';
        table->columns[table->column_count].name = ft_strdup(p);
        table->columns[table->column_count++].source = ft_strdup(equals != NULL ? equals + 1 : p);
    }
    free(copy);
}

#define CJ_COLUMNS                                                                                           \
    "customer_id basket_id ts product_id department category brand quantity amount discount coupon "         \
    "coupon_match week"
#define IOWA_COLUMNS "basket_id line ts product_id category quantity amount"

__attribute__((unused)) static enum ft_status
shop_open(struct test_shop *shop)
{
    memset(&shop->err, 0, sizeof shop->err);
    return ft_source_open(&shop->config, &shop->key, shop->db, &shop->source, &shop->err);
}

/* Exactly these customers are eligible; NULL ends the list. */
__attribute__((unused)) static void
shop_eligible(struct test_shop *shop, const char *const *ids)
{
    struct ft_pseudonym p;
    if (ft_db_eligible_begin(shop->db, NULL) != FT_OK)
        abort();
    for (; *ids != NULL; ids++) {
        ft_pseudonym_make(&shop->key, *ids, strlen(*ids), &p);
        if (ft_db_eligible_add(shop->db, &p, NULL) != FT_OK)
            abort();
    }
    if (ft_db_eligible_end(shop->db, NULL, NULL) != FT_OK)
        abort();
}

__attribute__((unused)) static void
shop_close(struct test_shop *shop)
{
    char command[300];
    ft_source_close(shop->source);
    ft_db_close(shop->db);
    ft_source_config_clear(&shop->config);
    snprintf(command, sizeof command, "rm -rf '%s'", shop->folder);
    if (system(command) != 0)
        abort();
}

#endif
