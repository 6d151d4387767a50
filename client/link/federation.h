/*
 * The client's side of proto/federation.proto as plain structs. What comes from the aggregator is decoded
 * under a memory budget and checked for form and size here, for meaning where it is used.
 */
#ifndef FT_LINK_FEDERATION_H
#define FT_LINK_FEDERATION_H

#include "common/base/buf.h"
#include "common/base/status.h"
#include "common/secure_sum/session.h"
#include <stdbool.h>
#include <stdint.h>

#define FT_FED_LEDGER_HEAD_SIZE 40
#define FT_FED_PROTOCOL     1
#define FT_FED_VERDICTS_MAX 64
#define FT_FED_CODES_MAX    32
#define FT_FED_REPLY_MAX    ((size_t)16 << 20)

#define FT_FED_ENROL    "/fedtill.v1.Federation/Enrol"
#define FT_FED_SYNC     "/fedtill.v1.Federation/Sync"
#define FT_FED_UPLOAD   "/fedtill.v1.Federation/Upload"
#define FT_FED_DOWNLOAD "/fedtill.v1.Federation/Download"

struct ft_fed_verdict {
    uint8_t task_hash[32];
    uint32_t verdict; /* enum ft_verdict */
    uint32_t codes[FT_FED_CODES_MAX];
    size_t code_count;
};

struct ft_fed_sync {
    uint64_t roster_serial;
    uint32_t epoch;
    uint8_t directory_root[32];
    struct ft_bytes epoch_key; /* empty unless asked for */
    const struct ft_fed_verdict *verdicts;
    size_t verdict_count;
    struct ft_ss_position position;
    struct ft_bytes answer;
    uint32_t wait_ms;
    bool tell_the_end;
    bool has_ledger_head;
    uint8_t ledger_head[FT_FED_LEDGER_HEAD_SIZE]; /* number of the last record, little-endian, and its chain */
};
FT_NODISCARD enum ft_status ft_fed_sync_encode(const struct ft_fed_sync *request, struct ft_buf *out);

enum ft_fed_kind {
    FT_FED_WAIT = 1,
    FT_FED_EPOCH = 2,
    FT_FED_DIRECTORY = 3,
    FT_FED_TASK = 4,
    FT_FED_SESSION = 5,
    FT_FED_REJECTED = 6,
    FT_FED_RETRY = 7,
};
struct ft_fed_reply {
    enum ft_fed_kind kind;
    uint32_t epoch;
    uint8_t blob_hash[32]; /* DIRECTORY, TASK */
    uint64_t blob_size;
    uint8_t task_hash[32];   /* TASK */
    struct ft_bytes message; /* SESSION */
    uint32_t code;
    uint32_t retry_ms;
    uint32_t shop_index;
    bool nothing_left; /* WAIT */
    bool has_ledger_head;
    uint8_t ledger_head[FT_FED_LEDGER_HEAD_SIZE]; /* the highest that the aggregator knew before */
    void *owner;
};
/* Errors: FORMAT, LIMIT, NOMEM. Clear what is handed out. */
FT_NODISCARD enum ft_status ft_fed_reply_decode(struct ft_bytes bytes, struct ft_fed_reply *out);
void ft_fed_reply_clear(struct ft_fed_reply *reply);

struct ft_fed_directory {
    struct ft_bytes roster;
    uint32_t epoch;
    size_t key_count;
    struct ft_bytes *keys; /* 104 bytes each */
    void *owner;
};
FT_NODISCARD enum ft_status ft_fed_directory_decode(struct ft_bytes bytes, struct ft_fed_directory *out);
void ft_fed_directory_clear(struct ft_fed_directory *directory);

/* Upload. */
FT_NODISCARD enum ft_status ft_fed_frame_header(struct ft_bytes header, struct ft_buf *out);
FT_NODISCARD enum ft_status ft_fed_frame_chunk(uint64_t offset, struct ft_bytes chunk, struct ft_buf *out);
FT_NODISCARD enum ft_status ft_fed_frame_trailer(struct ft_bytes trailer, struct ft_buf *out);

enum ft_fed_upload_kind {
    FT_FED_UPLOAD_START = 1,
    FT_FED_UPLOAD_DONE = 2,
    FT_FED_UPLOAD_REJECTED = 3,
    FT_FED_UPLOAD_RETRY = 4,
};
struct ft_fed_upload_reply {
    enum ft_fed_upload_kind kind;
    uint64_t offset;
    uint32_t code;
    uint32_t retry_ms;
};
FT_NODISCARD enum ft_status ft_fed_upload_reply_decode(struct ft_bytes bytes,
                                                       struct ft_fed_upload_reply *out);

/* Download. */
FT_NODISCARD enum ft_status ft_fed_download_encode(const uint8_t hash[32], uint64_t offset,
                                                   struct ft_buf *out);
/* `data` of a decoded chunk lies in the message, if it is long. */
struct ft_fed_chunk {
    uint64_t offset, total;
    struct ft_bytes data;
    void *owner;
};
FT_NODISCARD enum ft_status ft_fed_chunk_decode(struct ft_bytes bytes, struct ft_fed_chunk *out);
void ft_fed_chunk_clear(struct ft_fed_chunk *chunk);

/* Enrolment. */
struct ft_fed_enrol {
    uint8_t token[32];
    const char *shop;
    struct ft_bytes csr_der;
    uint8_t identity_key[32];
    uint8_t identity_proof[64];
};
FT_NODISCARD enum ft_status ft_fed_enrol_encode(const struct ft_fed_enrol *request, struct ft_buf *out);
struct ft_fed_enrolled {
    uint32_t refusal;
    struct ft_bytes certificate_pem, ca_pem;
    uint32_t shop_id;
    uint8_t deployment[16];
    void *owner;
};
FT_NODISCARD enum ft_status ft_fed_enrolled_decode(struct ft_bytes bytes, struct ft_fed_enrolled *out);
void ft_fed_enrolled_clear(struct ft_fed_enrolled *reply);

#endif
