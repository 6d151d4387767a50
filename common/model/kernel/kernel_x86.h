/*
 * The vector kernels, once for every width. Included by a file that defines:
 *
 *   KERNEL_NAME        the table                     V, VW       vector type, its lanes
 *   TARGET             function attribute            SET1, LOAD, STORE, LOAD_FIRST(p, n), FMA, FNMA, ADD, SUB, MUL,
 *                                                 ZERO, WHERE_POSITIVE(a, v), NOT_BELOW_ZERO(v)
 *   PRODUCT_ROWS       rows of a product's block, at most 12
 *   ROW_MAX            rows of a forward tile        STEP_INPUTS inputs of an update tile
 *   WIDE               vectors of a tile's step      LINE_QUADS  4 rows each of a line's dot products
 *   transpose(V [VW])  of a square block             fold(V [16 / VW]) to the 4 partial sums (l, l + 4) of (l, l + 8)
 */
#include "common/model/kernel/kernel_internal.h"

#define INLINE TARGET static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

/* rows (a constant) rows times `wide` (a constant) vectors of columns: all sums stay in registers. */
INLINE void
forward_block(const int rows, const int wide, const float *x, size_t panel, size_t in, const float *w,
              const size_t width, const float *bias, bool relu, float *out)
{
    V sum[ROW_MAX][WIDE];

    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int v = 0; v < wide; v++)
            sum[i][v] = LOAD(bias + v * VW);
    for (size_t done = 0; done < in; done += KERNEL_PANEL, x += panel) {
        const size_t n = in - done < KERNEL_PANEL ? in - done : KERNEL_PANEL;
        for (size_t k = 0; k < n; k++, w += width) {
            V row[WIDE];
            UNROLL for (int v = 0; v < wide; v++)
                row[v] = LOAD(w + v * VW);
            UNROLL for (int i = 0; i < rows; i++) {
                const V one = SET1(x[(size_t)i * KERNEL_PANEL + k]);
                UNROLL for (int v = 0; v < wide; v++)
                    sum[i][v] = FMA(one, row[v], sum[i][v]);
            }
        }
    }
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int v = 0; v < wide; v++)
            STORE(out + i * KERNEL_PANEL + v * VW, relu ? NOT_BELOW_ZERO(sum[i][v]) : sum[i][v]);
}

/* The tile is a constant where it matters: addresses of a known distance are free. */
#define FORWARD_CASE(r)                                                                                      \
    case r:                                                                                                  \
        if (ROW_MAX < r)                                                                                     \
            __builtin_unreachable();                                                                         \
        forward_block(r <= ROW_MAX ? r : 1, wide, x, panel, in, w, width, bias, relu, out);                        \
        break;

INLINE void
forward_rows(size_t rows, const int wide, const float *x, size_t panel, size_t in, const float *w,
             const size_t width, const float *bias, bool relu, float *out)
{
    switch (rows) {
        FORWARD_CASE(1)
        FORWARD_CASE(2)
        FORWARD_CASE(3)
        FORWARD_CASE(4)
        FORWARD_CASE(5)
        FORWARD_CASE(6)
        FORWARD_CASE(7)
        FORWARD_CASE(8)
        FORWARD_CASE(9)
        FORWARD_CASE(10)
    default:
        break;
    }
}

TARGET static void
forward_wide(size_t rows, const float *x, size_t panel, size_t in, const float *w, const float *bias,
             bool relu, float *out)
{
    for (int v = 0; v < KERNEL_TILE / VW; v += WIDE)
        forward_rows(rows, WIDE, x, panel, in, w + v * VW, KERNEL_TILE, bias + v * VW, relu,
                     out + v * VW);
}

TARGET static void
forward_half(size_t rows, const float *x, size_t panel, size_t in, const float *w, const float *bias,
             bool relu, float *out)
{
    forward_rows(rows, KERNEL_HALF / VW, x, panel, in, w, KERNEL_HALF, bias, relu, out);
}

/* Rows of the next group of about equal groups. */
INLINE size_t
group_of(size_t left)
{
    const size_t groups = (left + ROW_MAX - 1) / ROW_MAX;
    return (left + groups - 1) / groups;
}

TARGET static void
forward(const struct kernel_layer *layer, const float *w, const float *in, size_t rows, size_t rows_max,
        enum kernel_activation activation, float *out)
{
    const size_t panel = rows_max * KERNEL_PANEL;
    const float *tile = w + layer->weights;
    const bool relu = activation == KERNEL_ACT_RELU;

    for (size_t c = 0; c < layer->out_padded; c += KERNEL_TILE) {
        const size_t width = tile_width(layer, c);
        const float *bias = w + layer->biases + c;
        float *z = out + c / KERNEL_PANEL * panel + c % KERNEL_PANEL;
        for (size_t i = 0, n; i < rows; i += n) {
            n = group_of(rows - i);
            if (width == KERNEL_TILE)
                forward_wide(n, in + i * KERNEL_PANEL, panel, layer->in, tile, bias, relu,
                             z + i * KERNEL_PANEL);
            else
                forward_half(n, in + i * KERNEL_PANEL, panel, layer->in, tile, bias, relu,
                             z + i * KERNEL_PANEL);
        }
        if (activation == KERNEL_ACT_TANH)
            for (size_t i = 0; i < rows; i++)
                kernel_activate(activation, z + i * KERNEL_PANEL, width);
        tile += layer->in_padded * width;
    }
}

TARGET static void
head(enum kernel_head kind, uint32_t outputs, const float *z, const float *y, size_t rows, size_t rows_max,
     float scale, float *dz)
{
    kernel_head(kind, outputs, z, y, rows, scale, rows_max, dz);
}

INLINE V
slope(enum kernel_activation activation, V act, V v)
{
    if (activation == KERNEL_ACT_RELU)
        return WHERE_POSITIVE(act, v);
    return activation == KERNEL_ACT_TANH ? MUL(v, SUB(SET1(1.0f), MUL(act, act))) : v;
}

/* VW inputs of `rows` (a constant) rows: blocks of weights are turned round in registers, outputs go upwards. */
INLINE void
down_block(const int rows, const struct kernel_layer *layer, const float *w, const float *dz, size_t panel, size_t k,
           enum kernel_activation activation, const float *act, float *into)
{
    const float *tile = w + layer->weights;
    V sum[ROW_MAX];

    UNROLL for (int i = 0; i < rows; i++)
        sum[i] = ZERO();
    for (size_t c = 0; c < layer->out_padded; c += KERNEL_TILE) {
        const size_t width = tile_width(layer, c);
        const float *z = dz + c / KERNEL_PANEL * panel + c % KERNEL_PANEL;
        for (size_t j = 0; j < width; j += VW) {
            V block[VW];
            UNROLL for (int r = 0; r < VW; r++)
                block[r] = LOAD(tile + (k + (size_t)r) * width + j);
            transpose(block);
            UNROLL for (int r = 0; r < VW; r++)
                UNROLL for (int i = 0; i < rows; i++)
                    sum[i] = FMA(SET1(z[i * KERNEL_PANEL + (int)j + r]), block[r], sum[i]);
        }
        tile += layer->in_padded * width;
    }
    UNROLL for (int i = 0; i < rows; i++)
        STORE(into + i * KERNEL_PANEL, slope(activation, LOAD(act + i * KERNEL_PANEL), sum[i]));
}

#define DOWN_CASE(r)                                                                                         \
    case r:                                                                                                  \
        if (ROW_MAX < r)                                                                                     \
            __builtin_unreachable();                                                                         \
        down_block(r <= ROW_MAX ? r : 1, layer, w, dz, panel, k, activation, act, into);                                      \
        break;

TARGET static void
down_rows(size_t rows, const struct kernel_layer *layer, const float *w, const float *dz, size_t panel, size_t k,
          enum kernel_activation activation, const float *act, float *into)
{
    switch (rows) {
        DOWN_CASE(1)
        DOWN_CASE(2)
        DOWN_CASE(3)
        DOWN_CASE(4)
        DOWN_CASE(5)
        DOWN_CASE(6)
        DOWN_CASE(7)
        DOWN_CASE(8)
        DOWN_CASE(9)
        DOWN_CASE(10)
    default:
        break;
    }
}

TARGET static void
down(const struct kernel_layer *layer, const float *w, const float *dz, size_t rows, size_t rows_max,
     enum kernel_activation activation, const float *act, size_t from, size_t to, float *into)
{
    const size_t panel = rows_max * KERNEL_PANEL;

    for (size_t k = from; k < to; k += VW) {
        const size_t at = k / KERNEL_PANEL * panel + k % KERNEL_PANEL;
        for (size_t i = 0, n; i < rows; i += n) {
            n = group_of(rows - i);
            down_rows(n, layer, w, dz + i * KERNEL_PANEL, panel, k, activation, act + at + i * KERNEL_PANEL,
                      into + at + i * KERNEL_PANEL);
        }
    }
}

/* The step of VW numbers; `bare`: nothing but the rate. */
INLINE void
step_vector(const struct kernel_step *s, const bool bare, const bool weight, size_t at, V g)
{
    const V w = LOAD(s->w + at);

    if (!bare) {
        if (weight && s->decay > 0)
            g = FMA(SET1(s->decay), w, g);
        if (s->start != NULL)
            g = FMA(SET1(s->pull), SUB(w, LOAD(s->start + at)), g);
        if (s->shift != NULL)
            g = ADD(g, LOAD(s->shift + at));
        if (s->velocity != NULL) {
            g = FMA(SET1(s->momentum), LOAD(s->velocity + at), g);
            STORE(s->velocity + at, g);
        }
    }
    STORE(s->w + at, FNMA(SET1(s->rate), g, w));
}

/* STEP_INPUTS inputs times `wide` vectors of columns: the gradient is summed in registers, then the step is made. */
INLINE void
update_block(const struct kernel_step *step, const bool bare, const int wide, const float *x, const float *z,
             size_t rows, const size_t width, size_t at)
{
    V g[STEP_INPUTS][WIDE];

    UNROLL for (int r = 0; r < STEP_INPUTS; r++)
        UNROLL for (int v = 0; v < wide; v++)
            g[r][v] = ZERO();
    for (size_t i = 0; i < rows; i++, x += KERNEL_PANEL, z += KERNEL_PANEL) {
        V row[WIDE];
        UNROLL for (int v = 0; v < wide; v++)
            row[v] = LOAD(z + v * VW);
        UNROLL for (int r = 0; r < STEP_INPUTS; r++) {
            const V one = SET1(x[r]);
            UNROLL for (int v = 0; v < wide; v++)
                g[r][v] = FMA(one, row[v], g[r][v]);
        }
    }
    UNROLL for (int r = 0; r < STEP_INPUTS; r++)
        UNROLL for (int v = 0; v < wide; v++)
            step_vector(step, bare, true, at + (size_t)r * width + (size_t)(v * VW), g[r][v]);
}

INLINE void
update_tile(const struct kernel_step *step, const bool bare, const int wide, const float *in, const float *z,
            size_t rows, size_t panel, size_t from, size_t to, const size_t width, size_t tile)
{
    for (size_t k = from; k < to; k += STEP_INPUTS)
        update_block(step, bare, wide, in + k / KERNEL_PANEL * panel + k % KERNEL_PANEL, z, rows, width,
                     tile + k * width);
}

INLINE void
update_biases(const struct kernel_step *step, const float *z, size_t rows, size_t width, size_t at)
{
    for (size_t j = 0; j < width; j += VW) {
        V g = ZERO();
        for (size_t i = 0; i < rows; i++)
            g = ADD(g, LOAD(z + i * KERNEL_PANEL + j));
        step_vector(step, false, false, at + j, g);
    }
}

INLINE void
update_all(const struct kernel_layer *layer, const struct kernel_step *step, const bool bare, const float *in,
           const float *dz, size_t rows, size_t panel, size_t from, size_t to)
{
    size_t tile = layer->weights;

    for (size_t c = 0; c < layer->out_padded; c += KERNEL_TILE) {
        const size_t width = tile_width(layer, c);
        const float *z = dz + c / KERNEL_PANEL * panel + c % KERNEL_PANEL;
        if (width == KERNEL_TILE)
            for (int v = 0; v < KERNEL_TILE / VW; v += WIDE)
                update_tile(step, bare, WIDE, in, z + v * VW, rows, panel, from, to, KERNEL_TILE,
                            tile + (size_t)(v * VW));
        else
            update_tile(step, bare, KERNEL_HALF / VW, in, z, rows, panel, from, to, KERNEL_HALF, tile);
        if (from == 0)
            update_biases(step, z, rows, width, layer->biases + c);
        tile += layer->in_padded * width;
    }
}

TARGET static void
update_bare(const struct kernel_layer *layer, const struct kernel_step *step, const float *in, const float *dz,
            size_t rows, size_t panel, size_t from, size_t to)
{
    update_all(layer, step, true, in, dz, rows, panel, from, to);
}

TARGET static void
update_full(const struct kernel_layer *layer, const struct kernel_step *step, const float *in, const float *dz,
            size_t rows, size_t panel, size_t from, size_t to)
{
    update_all(layer, step, false, in, dz, rows, panel, from, to);
}

static bool
is_bare(const struct kernel_step *step)
{
    return !(step->decay > 0) && step->start == NULL && step->shift == NULL && step->velocity == NULL;
}

static void
update(const struct kernel_layer *layer, const struct kernel_step *step, const float *in, const float *dz,
       size_t rows, size_t rows_max, size_t from, size_t to)
{
    if (is_bare(step))
        update_bare(layer, step, in, dz, rows, rows_max * KERNEL_PANEL, from, to);
    else
        update_full(layer, step, in, dz, rows, rows_max * KERNEL_PANEL, from, to);
}

/* Dot products of `quads` (a constant) times 4 rows with w, without the bias. */
INLINE void
line_dots(const int quads, const float *const *rows, const float *w, uint32_t in, float *z)
{
    enum { PARTS = KERNEL_HALF / VW };
    V sum[4 * LINE_QUADS][PARTS];
    uint32_t k = 0;

    UNROLL for (int i = 0; i < 4 * quads; i++)
        UNROLL for (int p = 0; p < PARTS; p++)
            sum[i][p] = ZERO();
    for (; k + KERNEL_HALF <= in; k += KERNEL_HALF)
        UNROLL for (int p = 0; p < PARTS; p++) {
            const V weights = LOAD(w + k + p * VW);
            UNROLL for (int i = 0; i < 4 * quads; i++)
                sum[i][p] = FMA(LOAD(rows[i] + k + p * VW), weights, sum[i][p]);
        }
    if (k < in)
        UNROLL for (int p = 0; p < PARTS; p++) {
            const V weights = LOAD(w + k + p * VW);
            const int n = (int)(in - k) - p * VW;
            UNROLL for (int i = 0; i < 4 * quads; i++)
                sum[i][p] = FMA(LOAD_FIRST(rows[i] + k + p * VW, n), weights, sum[i][p]);
        }
    UNROLL for (int q = 0; q < quads; q++) {
        const __m128 a = fold(sum[4 * q]), b = fold(sum[4 * q + 1]), c = fold(sum[4 * q + 2]),
                     d = fold(sum[4 * q + 3]);
        const __m128 ab = _mm_add_ps(_mm_unpacklo_ps(a, b), _mm_unpackhi_ps(a, b)); /* (l, l + 2) of a and b */
        const __m128 cd = _mm_add_ps(_mm_unpacklo_ps(c, d), _mm_unpackhi_ps(c, d));
        _mm_storeu_ps(z + 4 * q, _mm_add_ps(_mm_movelh_ps(ab, cd), _mm_movehl_ps(cd, ab)));
    }
}

/* dz of up to 4 * LINE_QUADS rows; rows past the count are the first again. */
TARGET static void
line_group(const struct kernel_line *l, size_t from, size_t count, const float *w, float bias, float scale,
           float *dz)
{
    const float *rows[4 * LINE_QUADS];
    float z[4 * LINE_QUADS];

    for (size_t i = 0; i < 4 * LINE_QUADS; i++)
        rows[i] = l->rows[i < count ? from + i : from];
    if (LINE_QUADS > 2 && count > 8)
        line_dots(LINE_QUADS > 2 ? 3 : 1, rows, w, l->in, z);
    else if (LINE_QUADS > 1 && count > 4)
        line_dots(LINE_QUADS > 1 ? 2 : 1, rows, w, l->in, z);
    else
        line_dots(1, rows, w, l->in, z);
    if (l->head == KERNEL_HEAD_LOGISTIC)
        for (size_t i = 0; i < 4 * LINE_QUADS; i++)
            z[i] = kernel_sigmoid(z[i] + bias);
    else if (l->head == KERNEL_HEAD_POISSON)
        for (size_t i = 0; i < 4 * LINE_QUADS; i++)
            z[i] = kernel_exp(z[i] + bias);
    else
        for (size_t i = 0; i < 4 * LINE_QUADS; i++)
            z[i] = z[i] + bias;
    for (size_t i = 0; i < count; i++)
        dz[from + i] = (z[i] - l->y[from + i]) * scale;
}

#define LINE_WIDE 8

/* The step of `wide` (a constant) vectors of weights. */
INLINE void
line_step(const struct kernel_line *l, const struct kernel_step *step, const bool bare, const int wide, size_t k,
          const float *dz)
{
    V g[LINE_WIDE];

    UNROLL for (int v = 0; v < wide; v++)
        g[v] = ZERO();
    for (size_t i = 0; i < l->count; i++) {
        const V one = SET1(dz[i]);
        const float *x = l->rows[i] + k;
        UNROLL for (int v = 0; v < wide; v++)
            g[v] = FMA(one, LOAD(x + v * VW), g[v]);
    }
    UNROLL for (int v = 0; v < wide; v++)
        step_vector(step, bare, true, k + (size_t)(v * VW), g[v]);
}

/* The last weights, fewer than a vector; padding keeps its zeros. */
INLINE void
line_last(const struct kernel_line *l, const struct kernel_step *step, const bool bare, size_t k, const float *dz)
{
    V g = ZERO();

    for (size_t i = 0; i < l->count; i++)
        g = FMA(SET1(dz[i]), LOAD_FIRST(l->rows[i] + k, (int)(l->in - k)), g);
    step_vector(step, bare, true, k, g);
}

INLINE void
line_update(const struct kernel_line *l, const struct kernel_step *step, const bool bare, const float *dz)
{
    size_t k = 0;

    for (; k + LINE_WIDE * VW <= l->in; k += LINE_WIDE * VW)
        line_step(l, step, bare, LINE_WIDE, k, dz);
    switch ((l->in - k) / VW) {
    case 7:
        line_step(l, step, bare, 7, k, dz);
        break;
    case 6:
        line_step(l, step, bare, 6, k, dz);
        break;
    case 5:
        line_step(l, step, bare, 5, k, dz);
        break;
    case 4:
        line_step(l, step, bare, 4, k, dz);
        break;
    case 3:
        line_step(l, step, bare, 3, k, dz);
        break;
    case 2:
        line_step(l, step, bare, 2, k, dz);
        break;
    case 1:
        line_step(l, step, bare, 1, k, dz);
        break;
    default:
        break;
    }
    k += (l->in - k) / VW * VW;
    if (k < l->in)
        line_last(l, step, bare, k, dz);
}

TARGET static void
line(const struct kernel_line *l, const struct kernel_step *step)
{
    const size_t bias = (l->in + KERNEL_HALF - 1) / KERNEL_HALF * KERNEL_HALF, group = 4 * LINE_QUADS;
    const float scale = 1.0f / (float)l->count;
    float dz[KERNEL_LINE_ROWS], sum = 0;

    for (size_t i = 0; i < l->next_count; i++)
        for (size_t k = 0; k < l->in; k += KERNEL_HALF)
            __builtin_prefetch(l->next[i] + k);
    for (size_t i = 0; i < l->count; i += group)
        line_group(l, i, l->count - i < group ? l->count - i : group, step->w, step->w[bias], scale, dz);
    if (is_bare(step))
        line_update(l, step, true, dz);
    else
        line_update(l, step, false, dz);
    for (size_t i = 0; i < l->count; i++)
        sum += dz[i];
    kernel_step_one(step, bias, sum, false);
}

#include "common/model/kernel/product_x86.h"

const struct model_kernel KERNEL_NAME = { KERNEL_TEXT, forward, head, down, update, line, product, dots };
