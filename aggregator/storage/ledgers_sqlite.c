#include "aggregator/storage/sql_internal.h"
#include "common/base/alloc.h"

enum ft_status
ft_store_ledger_heads(struct ft_store *s, struct ft_ledger_row **out, size_t *count)
{
    struct sql_rows rows;
    struct ft_ledger_row *list = NULL;
    size_t n = 0;
    enum ft_status st = sql_open(s, &rows, "SELECT shop, head FROM ledger_heads ORDER BY shop", NULL);

    while (st == FT_OK && (st = sql_next(&rows)) == FT_OK) {
        st = sql_grow((void **)&list, n, sizeof *list);
        if (st != FT_OK)
            break;
        list[n].shop = sql_int(&rows, 0);
        sql_fixed(&rows, 1, list[n].head, sizeof list[n].head);
        n++;
    }
    sql_close(&rows);
    if (st != FT_ERR_NOTFOUND) {
        ft_free(list);
        return st;
    }
    *out = list;
    *count = n;
    return FT_OK;
}

enum ft_status
ft_store_ledger_heads_put(struct ft_store *s, const struct ft_ledger_row *rows, size_t count)
{
    enum ft_status st = sql_begin(s);

    if (st != FT_OK)
        return st;
    for (size_t i = 0; i < count && st == FT_OK; i++)
        st = sql_run(s,
                     "INSERT INTO ledger_heads(shop, seq, head) VALUES(?1, ?2, ?3)"
                     " ON CONFLICT(shop) DO UPDATE SET seq = excluded.seq, head = excluded.head"
                     " WHERE excluded.seq > seq",
                     "iib", rows[i].shop, (int64_t)ft_get_u64(rows[i].head),
                     FT_BYTES(rows[i].head, sizeof rows[i].head));
    return sql_end(s, st);
}
