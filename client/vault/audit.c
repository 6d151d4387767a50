#include "client/vault/audit.h"

#include "common/base/alloc.h"
#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME      "audit.jsonl"
#define LINE_MAX_ 512

struct ft_audit {
    char *dir;
    const struct ft_env *env;
    uint64_t rotate_size;
    int fd;
    uint64_t size;
    uint64_t seq;       /* of the next line */
    uint64_t first_seq; /* of this file */
    uint8_t prev[32];
};

/* One line's own fields; false when it is not one of ours. */
static bool
parse_line(const char *line, size_t size, uint64_t *seq, char prev[65])
{
    json_t *o = json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL);
    const char *p = json_string_value(json_object_get(o, "prev"));
    const json_t *s = json_object_get(o, "seq");
    const bool good = json_is_integer(s) && json_integer_value(s) >= 0 && p != NULL && strlen(p) == 64;
    if (good) {
        *seq = (uint64_t)json_integer_value(s);
        memcpy(prev, p, 65);
    }
    json_decref(o);
    return good;
}

static char *
path_of(const struct ft_audit *a)
{
    return ft_asprintf("%s/" NAME, a->dir);
}

/* Read the end of the file: take off a torn line, find the last whole one and carry on from it. */
static enum ft_status
resume(struct ft_audit *a, struct ft_error *err)
{
    char tail[2 * LINE_MAX_], prev[65];
    struct stat sb;
    if (fstat(a->fd, &sb) != 0)
        return ft_fail(err, FT_ERR_IO, NAME ": %s", strerror(errno));
    a->size = (uint64_t)sb.st_size;
    if (a->size == 0)
        return FT_OK;
    const size_t want = a->size < sizeof tail ? (size_t)a->size : sizeof tail;
    if (pread(a->fd, tail, want, (off_t)(a->size - want)) != (ssize_t)want)
        return ft_fail(err, FT_ERR_IO, NAME ": cannot read its end");
    size_t end = want;
    while (end > 0 && tail[end - 1] != '\n')
        end--;
    if (end != want && ftruncate(a->fd, (off_t)(a->size - (want - end))) != 0)
        return ft_fail(err, ft_status_of_errno(errno), NAME ": %s", strerror(errno));
    a->size -= want - end;
    if (a->size == 0)
        return FT_OK;
    size_t start = end > 0 ? end - 1 : 0;
    while (start > 0 && tail[start - 1] != '\n')
        start--;
    if (end == 0 || !parse_line(tail + start, end - 1 - start, &a->seq, prev))
        return ft_fail(err, FT_ERR_VERIFY, NAME ": its last line is not an audit line");
    crypto_generichash(a->prev, sizeof a->prev, (const uint8_t *)tail + start, end - 1 - start, NULL, 0);
    a->first_seq = a->seq++; /* good enough for a name: no earlier file has it */
    return FT_OK;
}

enum ft_status
ft_audit_open(const char *dir, const struct ft_env *env, uint64_t rotate_size, struct ft_audit **out,
              struct ft_error *err)
{
    enum ft_status st;
    char *path = NULL;
    struct ft_audit *a = ft_calloc(1, sizeof *a);
    *out = NULL;
    if (a == NULL)
        return ft_fail(err, FT_ERR_NOMEM, "out of memory");
    a->fd = -1;
    a->env = env;
    a->rotate_size = rotate_size;
    a->dir = ft_strdup(dir);
    path = a->dir != NULL ? path_of(a) : NULL;
    if (path == NULL) {
        st = ft_fail(err, FT_ERR_NOMEM, "out of memory");
        goto out;
    }
    a->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (a->fd < 0) {
        st = ft_fail(err, ft_status_of_errno(errno), "%s: %s", path, strerror(errno));
        goto out;
    }
    FT_TRY(resume(a, err));
    *out = a;
    a = NULL;
out:
    ft_free(path);
    ft_audit_close(a);
    return st;
}

void
ft_audit_close(struct ft_audit *audit)
{
    if (audit == NULL)
        return;
    if (audit->fd >= 0)
        close(audit->fd);
    ft_free(audit->dir);
    ft_free(audit);
}

/* Set the full file aside and go on in a new one; the chain runs through. */
static enum ft_status
rotate(struct ft_audit *a)
{
    char *path = path_of(a), *aside = ft_asprintf("%s/audit.%020" PRIu64 ".jsonl", a->dir, a->first_seq);
    enum ft_status st = FT_ERR_NOMEM;
    if (path != NULL && aside != NULL) {
        st = FT_ERR_IO;
        if (fdatasync(a->fd) == 0 && rename(path, aside) == 0) {
            const int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
            if (fd >= 0) {
                close(a->fd);
                a->fd = fd;
                a->size = 0;
                a->first_seq = a->seq;
                st = FT_OK;
            } else {
                st = ft_status_of_errno(errno);
                (void)rename(aside, path);
            }
        }
    }
    ft_free(path);
    ft_free(aside);
    return st;
}

enum ft_status
ft_audit_append(struct ft_audit *audit, const char *kind, uint64_t size, struct ft_bytes payload, bool sync)
{
    uint8_t hash[32], line_hash[32];
    char hash_hex[65], prev_hex[65], line[LINE_MAX_];
    if (audit->size >= audit->rotate_size) {
        const enum ft_status st = rotate(audit);
        if (st != FT_OK)
            return st;
    }
    crypto_generichash(hash, sizeof hash, payload.data, payload.size, NULL, 0);
    const int n =
        snprintf(line, sizeof line,
                 "{\"seq\":%" PRIu64 ",\"time_ms\":%" PRIu64 ",\"kind\":\"%s\",\"size\":%" PRIu64 ","
                 "\"blake2b\":\"%s\",\"prev\":\"%s\"}\n",
                 audit->seq, audit->env->wall_ms(audit->env->ctx), kind, size,
                 ft_hex(hash_hex, hash, sizeof hash), ft_hex(prev_hex, audit->prev, sizeof audit->prev));
    if (n <= 0 || (size_t)n >= sizeof line)
        return FT_ERR_LIMIT;
    crypto_generichash(line_hash, sizeof line_hash, (const uint8_t *)line, (size_t)n - 1, NULL, 0);
    const ssize_t written = write(audit->fd, line, (size_t)n);
    if (written != n || (sync && fdatasync(audit->fd) != 0)) {
        const enum ft_status st = written >= 0 && written < n ? FT_ERR_FULL : ft_status_of_errno(errno);
        (void)!ftruncate(audit->fd, (off_t)audit->size); /* a torn line is taken off at the next start too */
        return st;
    }
    audit->size += (uint64_t)n;
    audit->seq++;
    memcpy(audit->prev, line_hash, sizeof audit->prev);
    return FT_OK;
}

enum ft_status
ft_audit_verify(const char *path, uint64_t *lines, struct ft_error *err)
{
    char line[LINE_MAX_], prev[65], want[65] = "";
    uint8_t hash[32];
    uint64_t seq, number = 0, next = 0;
    enum ft_status st = FT_OK;
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return ft_fail(err, ft_status_of_errno(errno), "%s: %s", path, strerror(errno));
    while (fgets(line, sizeof line, f) != NULL) {
        const size_t size = strlen(line);
        number++;
        if (size == 0 || line[size - 1] != '\n' || !parse_line(line, size - 1, &seq, prev) ||
            (number > 1 && (seq != next || strcmp(prev, want) != 0))) {
            st = ft_fail(err, FT_ERR_VERIFY, "%s:%" PRIu64 ": the chain is broken here", path, number);
            break;
        }
        crypto_generichash(hash, sizeof hash, (const uint8_t *)line, size - 1, NULL, 0);
        ft_hex(want, hash, sizeof hash);
        next = seq + 1;
    }
    if (lines != NULL)
        *lines = number;
    fclose(f);
    return st;
}
