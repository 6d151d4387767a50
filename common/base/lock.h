/*
 * One process at a time: a lock file, held by its process for as long as it lives, whatever way it ends.
 */
#ifndef FT_BASE_LOCK_H
#define FT_BASE_LOCK_H

#include "common/base/status.h"

/*
 * Take the lock of `path`, made with mode 0600 when it is not there. *fd holds it until closed; a child of
 * fork() must close its copy. The file is empty until ft_lock_announce writes this process's number into it.
 * Errors: LATER (held; `err` names `who`, what the holder is, and its number where it said so), IO, FULL.
 */
FT_NODISCARD enum ft_status ft_lock_take(const char *path, const char *who, int *fd, struct ft_error *err);
FT_NODISCARD enum ft_status ft_lock_announce(int fd, struct ft_error *err);

/* The number of the process that holds the lock and has said so; 0 when there is none. Takes nothing. */
long ft_lock_holder(const char *path);

#endif
