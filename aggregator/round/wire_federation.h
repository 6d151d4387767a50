/*
 * The messages of proto/federation.proto that the engine reads and writes, as plain structs. Decoders take
 * any bytes within a stated memory budget; what is not canonical in size is refused.
 */
#ifndef FT_ROUND_WIRE_FEDERATION_H
#define FT_ROUND_WIRE_FEDERATION_H

#include "common/secure_sum/roster.h"
#include "common/secure_sum/session.h"

#define FT_SYNC_REQUEST_MAX  (FT_SS_MESSAGE_MAX + 65536)
#define FT_SYNC_VERDICTS_MAX 64
#define FT_SYNC_CODES_MAX    32

enum ft_verdict {
    FT_VERDICT_NONE = 0,
    FT_VERDICT_ACCEPTED = 1,
    FT_VERDICT_WAITING = 2,
    FT_VERDICT_REFUSED = 3,
    FT_VERDICT_LATER = 4
};

struct ft_sync_verdict {
    uint8_t task_hash[32];
    uint32_t verdict; /* enum ft_verdict */
    uint32_t codes[FT_SYNC_CODES_MAX];
    uint32_t code_count;
};

struct ft_sync_request {
    uint32_t protocol;
    uint64_t roster_serial;
    uint32_t epoch;
    uint8_t directory_root[32]; /* zeros: none yet */
    bool has_epoch_key;
    struct ft_ss_epoch_key epoch_key;
    struct ft_sync_verdict *verdicts; /* owned */
    size_t verdict_count;
    struct ft_ss_position position; /* zeros: in no session */
    struct ft_buf answer;
    uint32_t wait_ms;
    bool tell_the_end; /* the call is not held when no task is left */
    bool has_ledger_head;
    uint8_t ledger_head[40]; /* storage.h: FT_LEDGER_HEAD_SIZE */
};
/* Errors: FORMAT, NOMEM. Clear *out unless it fails. */
FT_NODISCARD enum ft_status ft_sync_request_decode(struct ft_bytes bytes, struct ft_sync_request *out);
void ft_sync_request_clear(struct ft_sync_request *r);

enum ft_sync_kind {
    FT_SYNC_WAIT = 1,
    FT_SYNC_EPOCH = 2,
    FT_SYNC_DIRECTORY = 3,
    FT_SYNC_TASK = 4,
    FT_SYNC_SESSION = 5,
    FT_SYNC_REJECTED = 6,
    FT_SYNC_RETRY = 7,
};
struct ft_sync_reply {
    enum ft_sync_kind kind;
    uint32_t epoch;
    const uint8_t *blob_hash; /* 32 bytes or NULL */
    uint64_t blob_size;
    const uint8_t *task_hash; /* 32 bytes or NULL */
    struct ft_bytes message;
    uint32_t code;
    uint32_t retry_ms;
    uint32_t shop_index;
    bool nothing_left; /* WAIT: no task is left that may still run */
    const uint8_t *ledger_head; /* 40 bytes or NULL */
};
FT_NODISCARD enum ft_status ft_sync_reply_encode(const struct ft_sync_reply *r, struct ft_buf *out);

/* An UploadFrame: exactly one of the three is set (`kind`); bytes are owned by the frame; a
 * long chunk stays in the message it came in. */
enum ft_upload_kind { FT_UPLOAD_HEADER, FT_UPLOAD_CHUNK, FT_UPLOAD_TRAILER };
struct ft_upload_frame {
    enum ft_upload_kind kind;
    uint64_t offset;
    struct ft_bytes bytes; /* borrowed */
    void *message;         /* private */
};
#define FT_UPLOAD_FRAME_MAX ((size_t)2 << 20)
FT_NODISCARD enum ft_status ft_upload_frame_decode(struct ft_bytes bytes, struct ft_upload_frame *out);
void ft_upload_frame_clear(struct ft_upload_frame *f);

enum ft_upload_answer {
    FT_UPLOAD_START = 1,
    FT_UPLOAD_DONE = 2,
    FT_UPLOAD_REJECTED = 3,
    FT_UPLOAD_RETRY = 4
};
struct ft_upload_reply {
    enum ft_upload_answer kind;
    uint64_t offset;
    uint32_t code;
    uint32_t retry_ms;
};
FT_NODISCARD enum ft_status ft_upload_reply_encode(const struct ft_upload_reply *r, struct ft_buf *out);

FT_NODISCARD enum ft_status ft_download_request_decode(struct ft_bytes bytes, uint8_t hash[32],
                                                       uint64_t *offset);
FT_NODISCARD enum ft_status ft_download_chunk_encode(uint64_t offset, uint64_t total, struct ft_bytes data,
                                                     struct ft_buf *out);

/* The Directory blob. */
FT_NODISCARD enum ft_status ft_directory_encode(struct ft_bytes signed_roster,
                                                const struct ft_ss_directory *directory, struct ft_buf *out);
/* Its parts: the signed roster, the epoch, and the keys as `count` times FT_SS_EPOCH_KEY_SIZE bytes. */
FT_NODISCARD enum ft_status ft_directory_decode(struct ft_bytes bytes, struct ft_buf *signed_roster,
                                                uint32_t *epoch, struct ft_buf *keys, uint32_t *count);

#endif
