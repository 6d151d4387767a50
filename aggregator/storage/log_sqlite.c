#include "aggregator/storage/sql_internal.h"

#include <sodium.h>
#include <string.h>

#define LEAF_HEAD 40 /* u64 index, 32 bytes of the head before */

static void
leaf_hash(struct ft_bytes leaf, uint8_t out[32])
{
    static const char label[] = "FLLOG1/leaf";
    crypto_generichash_state h;

    crypto_generichash_init(&h, NULL, 0, 32);
    crypto_generichash_update(&h, (const uint8_t *)label, sizeof label - 1);
    crypto_generichash_update(&h, leaf.data, leaf.size);
    crypto_generichash_final(&h, out, 32);
}

enum ft_status
ft_store_log_head(struct ft_store *s, uint64_t *size, uint8_t head[32])
{
    struct sql_rows rows;
    enum ft_status st =
        sql_open(s, &rows, "SELECT leaf_index, head FROM log ORDER BY leaf_index DESC LIMIT 1", NULL);

    *size = 0;
    memset(head, 0, 32);
    if (st == FT_OK)
        st = sql_next(&rows);
    if (st == FT_OK) {
        *size = sql_u64(&rows, 0) + 1;
        sql_fixed(&rows, 1, head, 32);
    }
    sql_close(&rows);
    return st == FT_ERR_NOTFOUND ? FT_OK : st;
}

enum ft_status
store_log_append(struct ft_store *s, const struct ft_round_row *row, const uint8_t next_model[32])
{
    enum ft_status st;
    struct ft_buf leaf = { 0 };
    uint64_t size;
    uint8_t head[32];

    FT_TRY(ft_store_log_head(s, &size, head));
    FT_TRY(ft_buf_u64(&leaf, size));
    FT_TRY(ft_buf_append(&leaf, head, 32));
    FT_TRY(ft_buf_append(&leaf, row->task, 32));
    FT_TRY(ft_buf_u64(&leaf, row->round));
    FT_TRY(ft_buf_u32(&leaf, row->attempt));
    FT_TRY(ft_buf_u32(&leaf, row->stage));
    FT_TRY(ft_buf_u32(&leaf, row->cohort));
    FT_TRY(ft_buf_u32(&leaf, row->survivors));
    FT_TRY(ft_buf_u64(&leaf, row->ended_ms));
    FT_TRY(ft_buf_append(&leaf, row->transcript, 32));
    FT_TRY(ft_buf_append(&leaf, row->model_hash, 32));
    FT_TRY(ft_buf_append(&leaf, row->result_hash, 32));
    FT_TRY(ft_buf_append(&leaf, next_model, 32));
    leaf_hash(ft_buf_bytes(&leaf), head);
    FT_TRY(sql_run(s, "INSERT INTO log(leaf_index, leaf, head) VALUES(?1, ?2, ?3)", "ubh", size,
                   ft_buf_bytes(&leaf), head));
out:
    ft_buf_clear(&leaf);
    return st;
}

/* One leaf against the head and the number it must carry on from. */
static bool
leaf_holds(struct sql_rows *rows, uint64_t index, uint8_t head[32])
{
    const struct ft_bytes leaf = sql_blob(rows, 1);
    uint8_t stored[32];

    if (sql_u64(rows, 0) != index || leaf.size < LEAF_HEAD || ft_get_u64(leaf.data) != index ||
        memcmp(leaf.data + 8, head, 32) != 0)
        return false;
    leaf_hash(leaf, head);
    sql_fixed(rows, 2, stored, sizeof stored);
    return memcmp(stored, head, sizeof stored) == 0;
}

enum ft_status
ft_store_log_check(struct ft_store *s, struct ft_error *err)
{
    struct sql_rows rows;
    uint8_t head[32] = { 0 };
    uint64_t index = 0;
    enum ft_status st =
        sql_open(s, &rows, "SELECT leaf_index, leaf, head FROM log ORDER BY leaf_index", NULL);

    while (st == FT_OK && (st = sql_next(&rows)) == FT_OK) {
        if (!leaf_holds(&rows, index, head))
            st = ft_fail(err, FT_ERR_VERIFY, "the transparency log is broken at leaf %llu",
                         (unsigned long long)index);
        index++;
    }
    sql_close(&rows);
    return st == FT_ERR_NOTFOUND ? FT_OK : st;
}
