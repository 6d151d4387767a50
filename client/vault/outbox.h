/*
 * Everything that can leave the vault. There is no other way out: the process has no network, and it writes
 * nothing but its own state folder and its log (which holds no rows, keys or masks). Each message below is
 * written to audit.jsonl before it is handed to the courier.
 *
 *   SYNC      a SyncRequest (proto/federation.proto): which roster, epoch and directory this shop knows; its
 * public epoch key; its verdict on a task, as codes of a closed list; its position in a session; and one
 * secure-sum message: Join, ShareKeys (ciphertexts and commitments), Confirm, Unmask (shares after a
 * certified survivor set), Repair, or Abort (a step and a code). DOWNLOAD  the hash of a blob the vault
 * wants, and how much of it is here. UPLOAD    header and trailer of the masked input: session, size, digest,
 * signature. DATA      a part of the masked input: the contribution under this session's masks. Nothing
 * computed from a row is in any other message. IDLE      a time to wait. STOP      the end.
 *
 * The courier answers each action with the outcomes below. It is not trusted: every outcome is checked for
 * its form, its size and its place before anything is done with it.
 */
#ifndef FT_VAULT_OUTBOX_H
#define FT_VAULT_OUTBOX_H

#include "common/base/buf.h"
#include "common/base/status.h"
#include <stdbool.h>
#include <stdint.h>

#define FT_OUT_FRAME_MAX ((size_t)(16u << 20) + (64u << 10)) /* vault to courier */
#define FT_IN_FRAME_MAX  ((size_t)(16u << 20) + (64u << 10)) /* courier to vault */
#define FT_CHUNK_MAX     ((size_t)1 << 20)                   /* of a download or an upload */

enum ft_out_kind {
    FT_OUT_SYNC = 1,
    FT_OUT_DOWNLOAD = 2,
    FT_OUT_UPLOAD = 3,
    FT_OUT_DATA = 4,
    FT_OUT_IDLE = 5,
    FT_OUT_STOP = 6,
};
const char *ft_out_kind_name(enum ft_out_kind kind); /* "sync" */

/* Bytes are borrowed when sent and owned by `owner` when decoded, but for long `data`, which stays in the frame it came in:
 * keep that until then. */
struct ft_out {
    enum ft_out_kind kind;
    uint64_t id;             /* of the action; DATA carries that of its UPLOAD */
    struct ft_bytes request; /* SYNC */
    uint8_t hash[32];        /* DOWNLOAD */
    uint64_t offset;         /* DOWNLOAD, DATA */
    struct ft_bytes header;  /* UPLOAD */
    struct ft_bytes trailer; /* UPLOAD */
    uint64_t size;           /* UPLOAD */
    struct ft_bytes data;    /* DATA, 1 .. FT_CHUNK_MAX bytes */
    uint32_t wait_ms;        /* IDLE, SYNC */
    void *owner;
};

enum ft_in_kind {
    FT_IN_REPLY = 1,    /* SYNC: the SyncReply */
    FT_IN_CHUNK = 2,    /* DOWNLOAD: a part; more follow until `last` */
    FT_IN_WANT = 3,     /* UPLOAD: send this part as DATA */
    FT_IN_UPLOADED = 4, /* UPLOAD: the UploadReply */
    FT_IN_FAILED =
        5, /* the action cannot be done; link failures are not told, the courier tries again itself */
    FT_IN_RESTED = 6, /* IDLE is over */
};

struct ft_in {
    enum ft_in_kind kind;
    uint64_t id;
    struct ft_bytes reply; /* REPLY, UPLOADED */
    uint64_t offset;       /* CHUNK, WANT */
    uint64_t total;        /* CHUNK */
    struct ft_bytes data;  /* CHUNK, at most FT_CHUNK_MAX bytes */
    bool last;             /* CHUNK */
    uint32_t size;         /* WANT, 1 .. FT_CHUNK_MAX */
    enum ft_status status; /* FAILED, not FT_OK */
    void *owner;
};

/* Encode appends to *out; encode_head leaves out the bytes of `data`, which the caller sends right after it. Decode checks form and limits under a memory budget; clear what it hands out.
 * Errors: FORMAT, LIMIT, NOMEM. */
FT_NODISCARD enum ft_status ft_out_encode(const struct ft_out *message, struct ft_buf *out);
FT_NODISCARD enum ft_status ft_out_encode_head(const struct ft_out *message, struct ft_buf *out);
FT_NODISCARD enum ft_status ft_out_decode(struct ft_bytes frame, struct ft_out *out);
void ft_out_clear(struct ft_out *message);
FT_NODISCARD enum ft_status ft_in_encode(const struct ft_in *message, struct ft_buf *out);
FT_NODISCARD enum ft_status ft_in_encode_head(const struct ft_in *message, struct ft_buf *out);
FT_NODISCARD enum ft_status ft_in_decode(struct ft_bytes frame, struct ft_in *out);
void ft_in_clear(struct ft_in *message);

#endif
