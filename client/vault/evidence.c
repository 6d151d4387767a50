#include "client/vault/evidence.h"

#include "common/base/alloc.h"
#include "common/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "evidence."

/* What is kept already. */
static enum ft_status
count_kept(const char *state_dir, uint64_t *files, uint64_t *bytes)
{
    DIR *d = opendir(state_dir);
    const struct dirent *entry;

    *files = *bytes = 0;
    if (d == NULL)
        return ft_status_of_errno(errno);
    while ((entry = readdir(d)) != NULL) {
        struct stat sb;
        if (strncmp(entry->d_name, PREFIX, sizeof PREFIX - 1) != 0)
            continue;
        *files += 1;
        if (fstatat(dirfd(d), entry->d_name, &sb, AT_SYMLINK_NOFOLLOW) == 0 && sb.st_size > 0)
            *bytes += (uint64_t)sb.st_size;
    }
    closedir(d);
    return FT_OK;
}

enum ft_status
ft_evidence_keep(const char *state_dir, uint64_t wall_ms, struct ft_bytes first, struct ft_bytes second)
{
    enum ft_status st;
    uint64_t files, bytes;
    char *one = ft_asprintf("%s/" PREFIX "%" PRIu64 ".1.bin", state_dir, wall_ms);
    char *two = ft_asprintf("%s/" PREFIX "%" PRIu64 ".2.bin", state_dir, wall_ms);

    if (one == NULL || two == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    FT_TRY(count_kept(state_dir, &files, &bytes));
    if (files + 2 > FT_EVIDENCE_FILES_MAX || bytes + first.size + second.size > FT_EVIDENCE_BYTES_MAX) {
        st = FT_ERR_LIMIT;
        goto out;
    }
    FT_TRY(ft_file_write_new(one, first, 0600, NULL));
    st = ft_file_write_new(two, second, 0600, NULL);
    if (st != FT_OK)
        (void)unlink(one);
out:
    ft_free(one);
    ft_free(two);
    return st;
}
