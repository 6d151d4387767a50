/*
 * The files an experiment reads, by SHA-256: what a run's results belong to. A run's folder keeps them as
 * data.sha256, in the form that `sha256sum -c data.sha256` reads; a run is gone on with only while they are
 * the same.
 *
 * Files are hashed as they lie on the disk (.gz unpacked by nobody), a piece at a time, anew each time: that
 * is a small part of what reading their rows takes, and sizes and times of files can lie.
 */
#ifndef FT_SIMULATE_FILES_H
#define FT_SIMULATE_FILES_H

#include "aggregator/simulate/data/dataset.h"
#include "common/base/buf.h"

struct sim_file {
    char *path;
    uint64_t bytes;
    char sha256[65]; /* "": not hashed */
};

struct sim_files {
    struct sim_file *list;
    size_t count;
};

/* Their names, in the order in which they are read; `availability` may be NULL. None for drawn rows. Errors:
 * NOTFOUND, NOMEM. Clear *out. */
FT_NODISCARD enum ft_status sim_files_find(const struct ft_sim_data_config *c, const char *availability,
                                           struct sim_files *out, struct ft_error *err);
/* Hash them all; what `known` has by path is taken from there and what it lacks is added (NULL: no such
 * list). Errors: NOTFOUND, IO, NOMEM. */
FT_NODISCARD enum ft_status sim_files_hash(struct sim_files *files, struct sim_files *known,
                                           struct ft_error *err);
void sim_files_clear(struct sim_files *files);

/* One line a file: the hash, two blanks, the path; as sha256sum writes it. */
FT_NODISCARD enum ft_status sim_files_write(const struct sim_files *files, struct ft_buf *out);
/* Are these the files of such a text? `origin` names it. Errors: CONFIG (the file, both hashes), NOMEM. */
FT_NODISCARD enum ft_status sim_files_same(const struct sim_files *files, struct ft_bytes text,
                                           const char *origin, struct ft_error *err);

#endif
