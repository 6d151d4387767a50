#include "aggregator/simulate/data/files.h"
#include "aggregator/simulate/data/readers.h"
#include "aggregator/simulate/data/shops.h"
#include "common/base/alloc.h"
#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <unistd.h>

#define PIECE ((size_t)1 << 18)

void
sim_files_clear(struct sim_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        ft_free(files->list[i].path);
    ft_free(files->list);
    *files = (struct sim_files){ 0 };
}

/* Takes `path`; NULL: without memory. */
static enum ft_status
add(struct sim_files *files, char *path)
{
    struct sim_file *more = ft_realloc(files->list, (files->count + 1) * sizeof *more);
    if (more != NULL)
        files->list = more;
    if (more == NULL || path == NULL) {
        ft_free(path);
        return FT_ERR_NOMEM;
    }
    more[files->count++] = (struct sim_file){ .path = path };
    return FT_OK;
}

static enum ft_status
add_copy(struct sim_files *files, const char *path)
{
    return path != NULL ? add(files, ft_strdup(path)) : FT_OK;
}

static enum ft_status
add_idx(struct sim_files *files, const char *folder, struct ft_error *err)
{
    enum ft_status st = FT_OK;
    for (int i = 0; st == FT_OK && i < SIM_IDX_FILES; i++) {
        char *path = NULL;
        st = sim_idx_find(folder, i, &path, err);
        if (st == FT_OK)
            st = add(files, path);
    }
    return st;
}

static enum ft_status
add_shops(struct sim_files *files, const char *pattern, struct ft_error *err)
{
    struct sim_shops shops = { 0 };
    enum ft_status st = sim_shops_find(pattern, &shops, err);
    for (size_t i = 0; st == FT_OK && i < shops.count; i++)
        st = add_copy(files, shops.paths[i]);
    sim_shops_clear(&shops);
    return st;
}

enum ft_status
sim_files_find(const struct ft_sim_data_config *c, const char *availability, struct sim_files *out,
               struct ft_error *err)
{
    enum ft_status st = FT_OK;

    *out = (struct sim_files){ 0 };
    if (c->source == FT_SIM_IDX)
        FT_TRY(add_idx(out, c->folder, err));
    if (c->source == FT_SIM_LIBSVM || c->source == FT_SIM_CSV) {
        FT_TRY(add_copy(out, c->train));
        FT_TRY(add_copy(out, c->test));
    }
    if (c->source == FT_SIM_TASK) {
        FT_TRY(add_copy(out, c->task));
        FT_TRY(c->by != NULL ? add_copy(out, c->files) : add_shops(out, c->files, err));
    }
    st = add_copy(out, availability);
out:
    return st;
}

/* ---- hashes ---- */

static enum ft_status
hash_through(int file, EVP_MD_CTX *md, struct sim_file *f, struct ft_error *err)
{
    uint8_t digest[32], *piece = ft_calloc(1, PIECE);
    enum ft_status st = piece != NULL ? FT_OK : FT_ERR_NOMEM;
    ssize_t got = 1;

    f->bytes = 0;
    while (st == FT_OK && got > 0) {
        got = read(file, piece, PIECE);
        if (got < 0)
            st = ft_fail(err, ft_status_of_errno(errno), "%s: %s", f->path, strerror(errno));
        else if (EVP_DigestUpdate(md, piece, (size_t)got) != 1)
            st = FT_ERR_INTERNAL;
        else
            f->bytes += (uint64_t)got;
    }
    if (st == FT_OK && EVP_DigestFinal_ex(md, digest, NULL) != 1)
        st = FT_ERR_INTERNAL;
    if (st == FT_OK)
        (void)ft_hex(f->sha256, digest, sizeof digest);
    ft_free(piece);
    return st;
}

/* libcrypto's SHA-256: it uses the processor's own instructions. */
static enum ft_status
hash_one(struct sim_file *f, struct ft_error *err)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    const int file = open(f->path, O_RDONLY | O_CLOEXEC);
    enum ft_status st = FT_OK;

    if (file < 0)
        st = ft_fail(err, ft_status_of_errno(errno), "%s: %s", f->path, strerror(errno));
    else if (md == NULL || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1)
        st = FT_ERR_NOMEM;
    else
        st = hash_through(file, md, f, err);
    if (file >= 0)
        (void)close(file);
    EVP_MD_CTX_free(md);
    return st;
}

/* `at`: where it most likely is. */
static const struct sim_file *
look_up(const struct sim_files *known, const char *path, size_t at)
{
    if (at < known->count && strcmp(known->list[at].path, path) == 0)
        return &known->list[at];
    for (size_t i = 0; i < known->count; i++)
        if (strcmp(known->list[i].path, path) == 0)
            return &known->list[i];
    return NULL;
}

enum ft_status
sim_files_hash(struct sim_files *files, struct sim_files *known, struct ft_error *err)
{
    enum ft_status st = FT_OK;
    for (size_t i = 0; i < files->count; i++) {
        struct sim_file *f = &files->list[i];
        const struct sim_file *same = known != NULL ? look_up(known, f->path, i) : NULL;
        if (same != NULL) {
            f->bytes = same->bytes;
            memcpy(f->sha256, same->sha256, sizeof f->sha256);
            continue;
        }
        FT_TRY(hash_one(f, err));
        if (known != NULL) {
            FT_TRY(add_copy(known, f->path));
            known->list[known->count - 1].bytes = f->bytes;
            memcpy(known->list[known->count - 1].sha256, f->sha256, sizeof f->sha256);
        }
    }
out:
    return st;
}

/* ---- data.sha256 ---- */

/* A path with a line's end or a backslash is written as sha256sum writes it: escaped, and marked by a
 * backslash in front of the line. */
static enum ft_status
write_line(const struct sim_file *f, struct ft_buf *out)
{
    enum ft_status st = FT_OK;
    if (strpbrk(f->path, "\\\n\r") != NULL)
        FT_TRY(ft_buf_u8(out, '\\'));
    FT_TRY(ft_buf_printf(out, "%s  ", f->sha256));
    for (const char *p = f->path; *p != '\0'; p++) {
        if (*p == '\\' || *p == '\n' || *p == '\r')
            FT_TRY(ft_buf_str(out, *p == '\\' ? "\\\\" : *p == '\n' ? "\\n" : "\\r"));
        else
            FT_TRY(ft_buf_u8(out, (uint8_t)*p));
    }
    st = ft_buf_u8(out, '\n');
out:
    return st;
}

enum ft_status
sim_files_write(const struct sim_files *files, struct ft_buf *out)
{
    enum ft_status st = FT_OK;
    for (size_t i = 0; st == FT_OK && i < files->count; i++)
        st = write_line(&files->list[i], out);
    return st;
}

/* A line, as long as it goes, without the hash. */
struct line {
    const char *text, *path;
    size_t size, path_size;
};

static struct line
next_line(struct ft_bytes *text)
{
    const uint8_t *end = text->size > 0 ? memchr(text->data, '\n', text->size) : NULL;
    struct line l = { .text = text->size > 0 ? (const char *)text->data : "",
                      .size = end != NULL ? (size_t)(end - text->data) : text->size };
    const size_t hash = (size_t)64 + (l.size > 0 && l.text[0] == '\\') + 2, step = l.size + (end != NULL);
    l.path_size = l.size > hash ? l.size - hash : 0;
    l.path = l.text + l.size - l.path_size;
    if (step > 0)
        *text = FT_BYTES(text->data + step, text->size - step);
    return l;
}

#define REMEDY "expected the data that this run began with; choose another --out, or begin anew with --force"

static enum ft_status
differs(const struct line *there, const struct line *now, const char *origin, size_t number,
        struct ft_error *err)
{
    if (now->size == 0)
        return ft_fail(
            err, FT_ERR_CONFIG,
            "%s:%zu: the data have changed: the run read %.*s, which is not among them now, " REMEDY, origin,
            number, (int)there->path_size, there->path);
    if (there->size == 0)
        return ft_fail(
            err, FT_ERR_CONFIG,
            "%s:%zu: the data have changed: %.*s is among them now, and the run had not read it, " REMEDY,
            origin, number, (int)now->path_size, now->path);
    if (there->path_size != now->path_size || memcmp(there->path, now->path, now->path_size) != 0)
        return ft_fail(err, FT_ERR_CONFIG,
                       "%s:%zu: the data have changed: the run read %.*s here, and now it is %.*s, " REMEDY,
                       origin, number, (int)there->path_size, there->path, (int)now->path_size, now->path);
    return ft_fail(err, FT_ERR_CONFIG,
                   "%s:%zu: the data have changed: %.*s had SHA-256 %.64s, and now it is %.64s, " REMEDY,
                   origin, number, (int)now->path_size, now->path, there->text + (there->text[0] == '\\'),
                   now->text + (now->text[0] == '\\'));
}

enum ft_status
sim_files_same(const struct sim_files *files, struct ft_bytes text, const char *origin, struct ft_error *err)
{
    struct ft_buf mine = { 0 };
    size_t number = 1;
    enum ft_status st = sim_files_write(files, &mine);
    struct ft_bytes now = ft_buf_bytes(&mine);

    for (; st == FT_OK && (text.size > 0 || now.size > 0); number++) {
        const struct line a = next_line(&text), b = next_line(&now);
        if (a.size != b.size || memcmp(a.text, b.text, a.size) != 0)
            st = differs(&a, &b, origin, number, err);
    }
    ft_buf_clear(&mine);
    return st;
}
