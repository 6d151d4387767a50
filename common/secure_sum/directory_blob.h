/*
 * The directory as one blob that a client downloads: the signed roster and the epoch keys present. It carries nothing
 * that a client does not verify itself (ft_ss_roster_open, ft_ss_directory_put, ft_ss_directory_check).
 *
 *   u32 roster_size, signed roster, u32 epoch, u32 count, count x EpochKey (104 bytes, ids ascending)
 *
 * It is fetched by H("directory-blob"; bytes).
 */
#ifndef FT_SECURE_SUM_DIRECTORY_BLOB_H
#define FT_SECURE_SUM_DIRECTORY_BLOB_H

#include "common/base/buf.h"
#include "common/secure_sum/roster.h"

/* Errors: NOMEM. The directory's entries must be those of the roster in signed_roster. */
FT_NODISCARD enum ft_status ft_ss_directory_blob_encode(struct ft_bytes signed_roster,
                                                        const struct ft_ss_directory *directory, struct ft_buf *out);

struct ft_ss_directory_blob {
    struct ft_bytes signed_roster; /* borrowed from the bytes read */
    uint32_t epoch;
    uint32_t count;
    struct ft_bytes keys; /* count x FT_SS_EPOCH_KEY_SIZE */
};
/* Form only. Errors: FORMAT (sizes, ids not ascending, bytes left over). */
FT_NODISCARD enum ft_status ft_ss_directory_blob_read(struct ft_bytes bytes, struct ft_ss_directory_blob *out);
/* The i-th key. Errors: FORMAT. */
FT_NODISCARD enum ft_status ft_ss_directory_blob_key(const struct ft_ss_directory_blob *blob, uint32_t i,
                                                     struct ft_ss_epoch_key *out);
void ft_ss_directory_blob_hash(struct ft_bytes bytes, uint8_t hash[32]);

#endif
