/*
 * Files: whole reads with a limit, and writes that are there completely or not at all.
 */
#ifndef FT_BASE_FILE_H
#define FT_BASE_FILE_H

#include "common/base/buf.h"
#include <sys/types.h>

/* Read a whole regular file of at most `limit` bytes. Errors (with the path in *err): NOTFOUND, LIMIT, IO, NOMEM. */
FT_NODISCARD enum ft_status ft_file_read(const char *path, size_t limit, struct ft_buf *out, struct ft_error *err);

/* Write a file atomically: temporary name beside it, fsync, rename, fsync of the folder. Errors: IO, FULL. */
FT_NODISCARD enum ft_status ft_file_write(const char *path, struct ft_bytes bytes, mode_t mode, struct ft_error *err);

/* As ft_file_write, but refuses to replace an existing file (DUPLICATE). */
FT_NODISCARD enum ft_status ft_file_write_new(const char *path, struct ft_bytes bytes, mode_t mode,
                                              struct ft_error *err);

/* Make a folder and its parents; one that exists is fine. */
FT_NODISCARD enum ft_status ft_dir_make(const char *path, mode_t mode, struct ft_error *err);

/* The status for errno: ENOSPC and EDQUOT are FULL, ENOENT NOTFOUND, ENOMEM NOMEM, else IO. */
enum ft_status ft_status_of_errno(int errnum);

#endif
