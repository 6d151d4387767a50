/*
 * The memory of the round engine, as a table of functions: SQLite in production (ft_round_store_over),
 * anything a test or the simulator likes to put in between. Each call means what its namesake in storage.h
 * says; a call that returned FT_OK is durable.
 */
#ifndef FT_ROUND_STORE_H
#define FT_ROUND_STORE_H

#include "aggregator/storage/storage.h"

typedef enum ft_status ft_epoch_key_visit(void *ctx, const struct ft_epoch_key *key);
typedef enum ft_status ft_record_visit(void *ctx, const struct ft_session_record *record);

struct ft_round_store {
    void *ctx;
    enum ft_status (*shops)(void *ctx, struct ft_shop **out, size_t *count);
    enum ft_status (*roster)(void *ctx, uint64_t *serial, struct ft_buf *signed_roster);
    enum ft_status (*epoch)(void *ctx, uint32_t *epoch, uint64_t *started_ms);
    enum ft_status (*epoch_set)(void *ctx, uint32_t epoch, uint64_t started_ms);
    enum ft_status (*epoch_key_put)(void *ctx, uint32_t epoch, uint32_t index, struct ft_bytes message);
    enum ft_status (*epoch_keys)(void *ctx, uint32_t epoch, ft_epoch_key_visit *visit, void *visit_ctx);
    enum ft_status (*directory_put)(void *ctx, const uint8_t hash[32], struct ft_bytes bytes);
    enum ft_status (*directory)(void *ctx, uint8_t hash[32], struct ft_buf *out);
    enum ft_status (*blob)(void *ctx, const uint8_t hash[32], struct ft_buf *out);
    enum ft_status (*tasks)(void *ctx, struct ft_task_row **out, size_t *count);
    enum ft_status (*task_signed)(void *ctx, const uint8_t hash[32], uint8_t signed_hash[32],
                                  struct ft_buf *out);
    enum ft_status (*verdict_put)(void *ctx, const uint8_t task[32], int64_t shop, uint32_t verdict,
                                  const char *codes, uint64_t now_ms);
    enum ft_status (*verdicts)(void *ctx, const uint8_t task[32], struct ft_verdict_row **out, size_t *count);
    enum ft_status (*session_begin)(void *ctx, const struct ft_session_row *row, struct ft_bytes descriptor);
    enum ft_status (*session_append)(void *ctx, const struct ft_session_record *records, size_t count);
    enum ft_status (*session)(void *ctx, struct ft_session_row *out, struct ft_buf *descriptor);
    enum ft_status (*session_records)(void *ctx, ft_record_visit *visit, void *visit_ctx);
    enum ft_status (*round_end)(void *ctx, const struct ft_round_row *row,
                                const struct ft_task_progress *progress);
    enum ft_status (*round_commit)(void *ctx, const struct ft_round_row *row,
                                   const struct ft_task_progress *progress, const struct ft_model_put *model,
                                   struct ft_bytes optimiser, bool task_done);
    enum ft_status (*round_find)(void *ctx, const uint8_t task[32], uint64_t round, uint32_t attempt,
                                 struct ft_round_row *out);
    enum ft_status (*model_first)(void *ctx, const uint8_t task[32], const uint8_t hash[32],
                                  struct ft_bytes blob, const struct ft_task_progress *progress);
    enum ft_status (*optimiser)(void *ctx, const uint8_t task[32], struct ft_buf *out);
    enum ft_status (*ledger_heads)(void *ctx, struct ft_ledger_row **out, size_t *count);
    enum ft_status (*ledger_heads_put)(void *ctx, const struct ft_ledger_row *rows, size_t count);
};

/* The table over an open database, which is borrowed. */
void ft_round_store_over(struct ft_store *store, struct ft_round_store *out);

#endif
