/* What the ledger's files share: records as bytes, and the state that they add up to. */
#ifndef FT_LEDGER_INTERNAL_H
#define FT_LEDGER_INTERNAL_H

#include "client/vault/ledger/ledger.h"

/* length u32 | type u8 | seq u64 | payload | chain[32]; length counts what follows it. Every type has one length, so
 * that a damaged length cannot pass for a torn end. */
enum ft_ledger_type {
    FT_LEDGER_GENESIS = 1,
    FT_LEDGER_OPEN_DOMAIN = 2,
    FT_LEDGER_RESERVE = 3,
    FT_LEDGER_SPEND = 4,
    FT_LEDGER_SEALED = 5,
    FT_LEDGER_CLOSE = 6,
    FT_LEDGER_RECOVER = 7,
    FT_LEDGER_TYPES
};
#define FT_LEDGER_RECORD_MAX 256

struct ft_ledger_record {
    enum ft_ledger_type type;
    uint64_t seq;
    uint32_t version; /* GENESIS */
    char shop[FT_LEDGER_SHOP_MAX + 1];
    uint8_t ledger_id[16];
    struct ft_ledger_domain domain;             /* OPEN_DOMAIN */
    struct ft_ledger_reservation reservation;   /* RESERVE */
    uint8_t task[32];                           /* SPEND, SEALED, CLOSE, RECOVER */
    uint64_t round;                             /* SPEND, SEALED */
    uint8_t hash[32];                           /* SPEND: session; SEALED: of the masked bytes */
    enum ft_ledger_close_reason reason;         /* CLOSE */
};

/* Bytes of a whole record of this type, 0 for no type. */
size_t ft_ledger_record_size(unsigned type);
/* Write a record, its chain included; returns its size. */
size_t ft_ledger_record_write(const struct ft_ledger_record *r, const uint8_t key[32], const uint8_t previous[32],
                              uint8_t out[FT_LEDGER_RECORD_MAX], uint8_t chain[32]);

enum ft_ledger_read { FT_LEDGER_READ_OK, FT_LEDGER_READ_END, FT_LEDGER_READ_TORN, FT_LEDGER_READ_BAD };
/* Read the record at the start of `bytes`, which reach to the file's end, and check its chain and number. */
enum ft_ledger_read ft_ledger_record_read(struct ft_bytes bytes, const uint8_t key[32], const uint8_t previous[32],
                                          uint64_t seq, struct ft_ledger_record *r, uint8_t chain[32], size_t *size);

struct ft_ledger_round {
    uint64_t round;
    uint8_t session[32], sealed[32];
    bool is_sealed;
};
struct ft_ledger_entry {
    struct ft_ledger_task task;
    struct ft_ledger_round *rounds; /* (task.spent), rising */
    size_t room;
};

struct ft_ledger {
    struct ft_ledger_file file;
    bool has_file, broken, view;
    uint8_t key[FT_LEDGER_KEY_SIZE];
    char shop[FT_LEDGER_SHOP_MAX + 1];
    uint8_t id[16];
    uint64_t size; /* bytes of whole records */

    struct ft_ledger_domain *domains;
    size_t domain_count, domain_room;
    struct ft_ledger_entry *tasks;
    size_t task_count, task_room;
    uint8_t (*chains)[FT_LEDGER_CHAIN_SIZE]; /* (records) */
    size_t records, chain_room;
};

/* Room for one more of everything, so that nothing can fail once a record is durable. */
FT_NODISCARD enum ft_status ft_ledger_state_room(struct ft_ledger *l, const struct ft_ledger_record *r);
/* May this record come next? Errors: STATE, REFUSED (beyond T), NOTFOUND, LIMIT; the rules of the file, not of a
 * budget. */
FT_NODISCARD enum ft_status ft_ledger_state_check(const struct ft_ledger *l, const struct ft_ledger_record *r,
                                                  struct ft_error *err);
/* Take a checked record with room for it. */
void ft_ledger_state_apply(struct ft_ledger *l, const struct ft_ledger_record *r, const uint8_t chain[32]);

struct ft_ledger_entry *ft_ledger_entry_find(const struct ft_ledger *l, const uint8_t task[32]);
struct ft_ledger_round *ft_ledger_round_find(const struct ft_ledger_entry *e, uint64_t round);
bool ft_ledger_domain_valid(const struct ft_ledger_domain *d);
bool ft_ledger_reservation_valid(const struct ft_ledger_reservation *t);

/* One record as the accountant sees it. */
struct ft_account_event ft_ledger_event(const struct ft_ledger_reservation *t, uint64_t steps);

#endif
