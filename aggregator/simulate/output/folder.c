#include "aggregator/simulate/output/folder.h"
#include "aggregator/simulate/engine/ranks.h"
#include "common/base/alloc.h"
#include "common/base/config.h"
#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <sodium.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATE_MAX   ((size_t)64 << 30)
#define FILES_MAX   ((size_t)1 << 28) /* data.sha256 */
#define STATE_MAGIC "FTSIM02\n"

const char ft_sim_rounds_header[] =
    "round,asked,came,learning_rate,seconds,bytes_up,loss,accuracy,auc,mask_seconds\n";

static enum ft_status
write_in(const char *dir, const char *name, struct ft_bytes bytes, struct ft_error *err)
{
    char *path = ft_asprintf("%s/%s", dir, name);
    const enum ft_status st = path != NULL ? ft_file_write(path, bytes, 0644, err) : FT_ERR_NOMEM;
    ft_free(path);
    return st;
}

static const char *const files[] = { "summary.json",  "model.safetensors", "report.html",    "rounds.csv",
                                     "partition.csv", "state.bin",         "experiment.yaml" };

static bool
holds(const char *dir, const char *name)
{
    char path[PATH_MAX];
    return snprintf(path, sizeof path, "%s/%s", dir, name) < (int)sizeof path && access(path, F_OK) == 0;
}

/* Is the experiment in the folder this one, byte for byte as it was resolved? */
static enum ft_status
same_experiment(const char *dir, const struct ft_sim_experiment *e, struct ft_error *err)
{
    struct ft_buf mine = { 0 }, there = { 0 };
    char *path = ft_asprintf("%s/experiment.yaml", dir);
    size_t line = 1, from = 0, i = 0;
    enum ft_status st = FT_ERR_NOMEM;

    if (path == NULL)
        goto out;
    FT_TRY(ft_sim_experiment_write(e, &mine));
    FT_TRY(ft_file_read(path, FT_CONFIG_BYTES_MAX, &there, err));
    for (; i < mine.size && i < there.size && mine.data[i] == there.data[i]; i++)
        if (mine.data[i] == '\n') {
            line++;
            from = i + 1;
        }
    if (i < mine.size || i < there.size) {
        const char *a = (const char *)there.data + from, *b = (const char *)mine.data + from;
        const size_t left = there.size - from, right = mine.size - from;
        st = ft_fail(err, FT_ERR_CONFIG,
                     "%s:%zu: this folder holds a run of another experiment: it has '%.*s', and now it is "
                     "'%.*s'; choose "
                     "another --out, or begin anew with --force",
                     path, line, (int)(left > 0 ? strcspn(a, "\n") : 0), a,
                     (int)(right > 0 ? strcspn(b, "\n") : 0), b);
    }
out:
    ft_buf_clear(&mine);
    ft_buf_clear(&there);
    ft_free(path);
    return st;
}

enum ft_status
ft_sim_folder_look(const char *dir, const struct ft_sim_experiment *e, bool resume, bool force,
                   enum ft_sim_held *held, struct ft_error *err)
{
    const bool begun = holds(dir, "experiment.yaml");
    *held = FT_SIM_NOTHING;
    for (size_t i = 0; i < sizeof files / sizeof files[0] && !force; i++)
        if (holds(dir, files[i]) && !(resume && begun))
            return ft_fail(err, FT_ERR_CONFIG,
                           "%s: there is a run already (%s), expected a folder without one; --resume goes on "
                           "with it, --force "
                           "begins anew",
                           dir, files[i]);
    if (!begun || force)
        return FT_OK;
    *held = holds(dir, "summary.json") ? FT_SIM_COMPLETE : FT_SIM_UNFINISHED;
    return same_experiment(dir, e, err);
}

enum ft_status
ft_sim_folder_enter(const char *dir, int *lock, struct ft_error *err)
{
    enum ft_status st = ft_dir_make(dir, 0755, err);
    *lock = -1;
    if (st != FT_OK)
        return st;
    *lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*lock < 0)
        return ft_fail(err, ft_status_of_errno(errno), "%s: %s", dir, strerror(errno));
    if (flock(*lock, LOCK_EX | LOCK_NB) == 0)
        return FT_OK;
    st = errno == EWOULDBLOCK ? ft_fail(err, FT_ERR_LATER, "%s: another process works in this folder", dir)
                              : ft_fail(err, ft_status_of_errno(errno), "%s: %s", dir, strerror(errno));
    (void)close(*lock);
    *lock = -1;
    return st;
}

enum ft_status
ft_sim_folder_empty(const char *dir, struct ft_error *err)
{
    enum ft_status st = FT_OK;
    for (size_t i = 0; st == FT_OK && i <= sizeof files / sizeof files[0]; i++) { /* the list of files is no run by itself */
        char *path = ft_asprintf("%s/%s", dir, i < sizeof files / sizeof files[0] ? files[i] : "data.sha256");
        if (path == NULL)
            st = FT_ERR_NOMEM;
        else if (unlink(path) != 0 && errno != ENOENT)
            st = ft_fail(err, ft_status_of_errno(errno), "%s: %s", path, strerror(errno));
        ft_free(path);
    }
    return st;
}

enum ft_status
ft_sim_write_files(const char *dir, const struct sim_files *list, struct ft_error *err)
{
    struct ft_buf text = { 0 };
    enum ft_status st = FT_OK;
    if (list->count == 0)
        return st;
    FT_TRY(sim_files_write(list, &text));
    st = write_in(dir, "data.sha256", ft_buf_bytes(&text), err);
out:
    ft_buf_clear(&text);
    return st;
}

enum ft_status
ft_sim_same_files(const char *dir, const struct sim_files *list, struct ft_error *err)
{
    struct ft_buf text = { 0 };
    char *path = ft_asprintf("%s/data.sha256", dir);
    enum ft_status st = path != NULL ? FT_OK : FT_ERR_NOMEM;
    if (st != FT_OK || (list->count == 0 && !holds(dir, "data.sha256")))
        goto out;
    FT_TRY(ft_file_read(path, FILES_MAX, &text, err));
    st = sim_files_same(list, ft_buf_bytes(&text), path, err);
out:
    ft_buf_clear(&text);
    ft_free(path);
    return st;
}

enum ft_status
ft_sim_write_experiment(const char *dir, const struct ft_sim_experiment *e, struct ft_error *err)
{
    struct ft_buf yaml = { 0 };
    enum ft_status st;
    FT_TRY(ft_sim_experiment_write(e, &yaml));
    st = write_in(dir, "experiment.yaml", ft_buf_bytes(&yaml), err);
out:
    ft_buf_clear(&yaml);
    return st;
}

/* safetensors: the header's size, a JSON header, the bytes. */
enum ft_status
ft_sim_write_model(const char *dir, const struct ft_sim_experiment *e, const float *params,
                   uint64_t parameters, struct ft_error *err)
{
    struct ft_buf file = { 0 };
    uint8_t size[8];
    json_t *o =
        json_pack("{s:{s:s, s:s}, s:{s:s, s:[I], s:[i, I]}}", "__metadata__", "experiment", e->name, "layout",
                  "layer by layer: weights (inputs, outputs) row-major, then biases", "parameters", "dtype",
                  "F32", "shape", (json_int_t)parameters, "data_offsets", 0, (json_int_t)(parameters * 4));
    char *text = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
    enum ft_status st = FT_ERR_NOMEM;

    if (text == NULL)
        goto out;
    ft_put_u64(size, strlen(text));
    FT_TRY(ft_buf_append(&file, size, sizeof size));
    FT_TRY(ft_buf_append(&file, text, strlen(text)));
    FT_TRY(ft_buf_append(&file, params,
                         parameters * sizeof *params)); /* little-endian machines only, as all here are */
    st = write_in(dir, "model.safetensors", ft_buf_bytes(&file), err);
out:
    free(text);
    json_decref(o);
    ft_buf_clear(&file);
    return st;
}

/* ",value", and nothing behind the comma when there is none. */
static enum ft_status
add_number(struct ft_buf *out, double v)
{
    char text[40] = ",";
    if (isfinite(v))
        (void)snprintf(text, sizeof text, ",%.9g", v);
    return ft_buf_append(out, text, strlen(text));
}

enum ft_status
ft_sim_rounds_row(const struct ft_sim_round *r, struct ft_buf *out)
{
    char text[200];
    enum ft_status st;
    const int n = snprintf(text, sizeof text, "%llu,%u,%u,%.9g,%.6f,%llu", (unsigned long long)r->round,
                           r->asked, r->came, r->rate, r->seconds, (unsigned long long)r->bytes_up);
    FT_TRY(ft_buf_append(out, text, (size_t)n));
    FT_TRY(add_number(out, r->scored ? r->score.loss : NAN));
    FT_TRY(add_number(out, r->scored ? r->score.accuracy : NAN));
    FT_TRY(add_number(out, r->scored ? r->score.auc : NAN));
    FT_TRY(add_number(out, r->mask_seconds));
    FT_TRY(ft_buf_u8(out, '\n'));
out:
    return st;
}

/* ---- to go on from ---- */

static enum ft_status
fingerprint(const struct ft_sim_experiment *e, uint8_t hash[32])
{
    struct ft_buf yaml = { 0 };
    const enum ft_status st = ft_sim_experiment_write(e, &yaml);
    if (st == FT_OK)
        (void)crypto_generichash(hash, 32, yaml.data, yaml.size, NULL, 0);
    ft_buf_clear(&yaml);
    return st;
}

static enum ft_status
add_totals(struct ft_buf *file, const struct ft_sim_totals *t)
{
    enum ft_status st;
    FT_TRY(ft_buf_f64(file, t->seconds));
    FT_TRY(ft_buf_f64(file, t->round_seconds));
    FT_TRY(ft_buf_f64(file, t->mask_seconds));
    FT_TRY(ft_buf_u64(file, t->bytes_up));
    FT_TRY(ft_buf_u64(file, t->rounds_size));
    FT_TRY(ft_buf_f64(file, t->score.loss));
    FT_TRY(ft_buf_f64(file, t->score.accuracy));
    FT_TRY(ft_buf_f64(file, t->score.auc));
    FT_TRY(ft_buf_f64(file, t->reach.best));
    FT_TRY(ft_buf_f64(file, t->reach.round));
    FT_TRY(ft_buf_f64(file, t->reach.rounds_to));
out:
    return st;
}

static void
read_totals(struct ft_cursor *c, struct ft_sim_totals *t)
{
    t->seconds = ft_read_f64(c);
    t->round_seconds = ft_read_f64(c);
    t->mask_seconds = ft_read_f64(c);
    t->bytes_up = ft_read_u64(c);
    t->rounds_size = ft_read_u64(c);
    t->score.loss = ft_read_f64(c);
    t->score.accuracy = ft_read_f64(c);
    t->score.auc = ft_read_f64(c);
    t->reach.best = ft_read_f64(c);
    t->reach.round = ft_read_f64(c);
    t->reach.rounds_to = ft_read_f64(c);
}

enum ft_status
ft_sim_state_save(const char *dir, const struct ft_sim_experiment *e, const struct ft_sim_engine *engine,
                  const struct ft_sim_totals *totals, struct ft_error *err)
{
    struct ft_buf file = { 0 };
    uint8_t hash[32];
    enum ft_status st;
    FT_TRY(fingerprint(e, hash));
    FT_TRY(ft_buf_append(&file, STATE_MAGIC, 8));
    FT_TRY(ft_buf_append(&file, hash, sizeof hash));
    FT_TRY(add_totals(&file, totals));
    FT_TRY(ft_sim_engine_save(engine, &file));
    (void)crypto_generichash(hash, sizeof hash, file.data, file.size, NULL, 0);
    FT_TRY(ft_buf_append(&file, hash, sizeof hash));
    if (ft_sim_rank() == 0)
        st = write_in(dir, "state.bin", ft_buf_bytes(&file), err);
out:
    ft_buf_clear(&file);
    return sim_ranks_agree(st, err);
}

/* Process 0 reads the file, and everybody has it. */
static enum ft_status
read_state(const char *path, struct ft_buf *file, struct ft_error *err)
{
    enum ft_status st = FT_OK;
    uint64_t size;
    if (ft_sim_rank() == 0)
        st = ft_file_read(path, STATE_MAX, file, err);
    FT_TRY(sim_ranks_agree(st, err));
    size = file->size;
    sim_ranks_tell(&size, sizeof size);
    if (ft_sim_rank() > 0)
        st = ft_buf_reserve(file, size);
    FT_TRY(sim_ranks_agree(st, err));
    sim_ranks_tell(file->data, size);
    file->size = size;
out:
    return st;
}

enum ft_status
ft_sim_state_load(const char *dir, const struct ft_sim_experiment *e, struct ft_sim_engine *engine,
                  struct ft_sim_totals *totals, struct ft_error *err)
{
    struct ft_buf file = { 0 };
    uint8_t hash[32];
    struct ft_cursor c;
    char *path = ft_asprintf("%s/state.bin", dir);
    enum ft_status st = FT_ERR_NOMEM;

    if (path == NULL)
        goto out;
    FT_TRY(read_state(path, &file, err));
    if (file.size < 8 + 32 + 32 || memcmp(file.data, STATE_MAGIC, 8) != 0 ||
        (crypto_generichash(hash, sizeof hash, file.data, file.size - 32, NULL, 0),
         memcmp(hash, file.data + file.size - 32, 32) != 0)) {
        st = ft_fail(err, FT_ERR_FORMAT,
                     "%s: damaged, expected a state that this program wrote; --force begins anew", path);
        goto out;
    }
    FT_TRY(fingerprint(e, hash));
    if (memcmp(hash, file.data + 8, 32) != 0) {
        st = ft_fail(err, FT_ERR_CONFIG,
                     "%s: a run of another experiment, expected the one in %s/experiment.yaml", path, dir);
        goto out;
    }
    c = ft_cursor_of(FT_BYTES(file.data + 40, file.size - 40 - 32));
    read_totals(&c, totals);
    st = c.failed ? FT_ERR_FORMAT : ft_sim_engine_load(engine, FT_BYTES(c.at, c.left));
    if (st == FT_ERR_FORMAT)
        st = ft_fail(err, st, "%s: a state of another shape", path);
out:
    ft_buf_clear(&file);
    ft_free(path);
    return st;
}
