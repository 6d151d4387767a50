/* IDX, the format of MNIST's files: 00 00 08 dims, then each dimension as a 32-bit big-endian number, then bytes. */
#include "aggregator/simulate/data/readers.h"
#include "common/base/alloc.h"
#include "common/base/buf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define FILE_MAX ((size_t)4 << 30)
#define STEP     ((size_t)1 << 20)

static uint32_t
big_endian(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

enum ft_status
sim_parse_idx(struct ft_bytes bytes, const char *origin, bool labels, struct ft_sim_part *out, uint32_t *values,
              struct ft_error *err)
{
    const uint32_t expected = labels ? 0x801 : 0x803;
    const size_t head = labels ? 8 : 16;
    uint64_t rows, width = 1;
    enum ft_status st = FT_OK;

    if (bytes.size < head)
        return ft_fail(err, FT_ERR_FORMAT, "%s: %zu bytes, expected at least a header of %zu", origin, bytes.size, head);
    if (big_endian(bytes.data) != expected)
        return ft_fail(err, FT_ERR_FORMAT, "%s: at byte 0 the magic number is 0x%08x, expected 0x%08x (%s)", origin,
                       big_endian(bytes.data), expected, labels ? "labels" : "images");
    rows = big_endian(bytes.data + 4);
    for (size_t at = 8; at < head; at += 4)
        width *= big_endian(bytes.data + at);
    if (width < 1 || width > FT_MODEL_WIDTH_MAX)
        return ft_fail(err, FT_ERR_FORMAT, "%s: %llu values an image, expected 1 to %d", origin,
                       (unsigned long long)width, FT_MODEL_WIDTH_MAX);
    if (bytes.size - head != rows * width)
        return ft_fail(err, FT_ERR_FORMAT, "%s: %zu bytes behind the header, expected %llu (%llu times %llu)", origin,
                       bytes.size - head, (unsigned long long)(rows * width), (unsigned long long)rows,
                       (unsigned long long)width);
    *values = (uint32_t)width;
    if (labels) {
        if (out->rows != rows)
            return ft_fail(err, FT_ERR_FORMAT, "%s: %llu labels, expected %llu as there are images", origin,
                           (unsigned long long)rows, (unsigned long long)out->rows);
        for (uint64_t i = 0; i < rows; i++)
            out->y[i] = bytes.data[head + i];
        return FT_OK;
    }
    FT_TRY(sim_part_room(out, rows, *values, err));
    for (uint64_t i = 0; i < rows * width; i++)
        out->x[i] = (float)bytes.data[head + i] / 255.0f;
out:
    return st;
}

/* gzread takes plain files too. */
static enum ft_status
read_file(const char *path, struct ft_buf *out, struct ft_error *err)
{
    enum ft_status st = FT_OK;
    int got = 0, why = Z_OK;
    gzFile file = gzopen(path, "rbe");

    if (file == NULL)
        return ft_fail(err, FT_ERR_NOTFOUND, "%s: %s", path, strerror(errno));
    do {
        if (out->size > FILE_MAX) {
            st = ft_fail(err, FT_ERR_LIMIT, "%s: more than %zu bytes", path, FILE_MAX);
            goto out;
        }
        FT_TRY(ft_buf_reserve(out, STEP));
        got = gzread(file, out->data + out->size, STEP);
        if (got > 0)
            out->size += (size_t)got;
    } while (got > 0);
    (void)gzerror(file, &why);
    if (got < 0 || why == Z_BUF_ERROR)
        st = ft_fail(err, FT_ERR_FORMAT, "%s: the compressed file is damaged or cut after %zu bytes", path, out->size);
out:
    (void)gzclose(file);
    return st;
}

enum ft_status
sim_idx_find(const char *folder, int which, char **path, struct ft_error *err)
{
    static const struct {
        const char *name, *type;
    } files[SIM_IDX_FILES] = { { "train-images", "idx3-ubyte" },
                               { "train-labels", "idx1-ubyte" },
                               { "t10k-images", "idx3-ubyte" },
                               { "t10k-labels", "idx1-ubyte" } };
    static const char *const joints[] = { "-", "." }, *const ends[] = { "", ".gz" };

    for (int i = 0; i < 4; i++) {
        *path = ft_asprintf("%s/%s%s%s%s", folder, files[which].name, joints[i / 2], files[which].type, ends[i % 2]);
        if (*path == NULL)
            return FT_ERR_NOMEM;
        if (access(*path, R_OK) == 0)
            return FT_OK;
        ft_free(*path);
    }
    *path = NULL;
    return ft_fail(err, FT_ERR_NOTFOUND,
                   "%s/%s-%s: there is no such file, nor one with .gz behind it, nor %s.%s with or without .gz", folder,
                   files[which].name, files[which].type, files[which].name, files[which].type);
}

static enum ft_status
read_one(const char *folder, int which, struct ft_sim_part *part, uint32_t *values, struct ft_error *err)
{
    struct ft_buf bytes = { 0 };
    char *path = NULL;
    enum ft_status st;

    FT_TRY(sim_idx_find(folder, which, &path, err));
    FT_TRY(read_file(path, &bytes, err));
    st = sim_parse_idx(ft_buf_bytes(&bytes), path, which % 2 == 1, part, values, err);
out:
    ft_buf_clear(&bytes);
    ft_free(path);
    return st;
}

enum ft_status
sim_read_idx(const struct ft_sim_data_config *c, struct ft_sim_data *out, struct ft_error *err)
{
    uint32_t test_features = 0, one = 0;
    float most = 1;
    enum ft_status st = FT_OK;

    FT_TRY(read_one(c->folder, 0, &out->train, &out->features, err));
    FT_TRY(read_one(c->folder, 1, &out->train, &one, err));
    FT_TRY(read_one(c->folder, 2, &out->test, &test_features, err));
    FT_TRY(read_one(c->folder, 3, &out->test, &one, err));
    if (test_features != out->features)
        st = ft_fail(err, FT_ERR_FORMAT, "%s: test images of %u values, expected %u as the train images have", c->folder,
                     test_features, out->features);
    for (uint64_t i = 0; i < out->train.rows; i++)
        most = out->train.y[i] > most ? out->train.y[i] : most;
    out->classes = (uint32_t)most + 1;
    for (uint64_t i = 0; st == FT_OK && i < out->test.rows; i++)
        if (out->test.y[i] > most)
            st = ft_fail(err, FT_ERR_FORMAT, "%s/t10k-labels-idx1-ubyte: at byte %llu the label %g, expected 0 to %g as the "
                                             "train labels are",
                         c->folder, (unsigned long long)i + 8, (double)out->test.y[i], (double)most);
out:
    return st;
}
