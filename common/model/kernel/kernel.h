/*
 * Kernels of training with small batches: the weights pass the processor once forward and once backward, and the
 * step of the optimiser is part of the backward pass. One table a kind of processor, chosen at run time.
 *
 *   name     for                                  how
 *   plain    every processor; the oracle          loops over fmaf
 *   avx2     x86-64 with AVX2 and FMA             8 lanes
 *   avx512   x86-64 with AVX-512 F, DQ and VL     16 lanes
 *
 * All tables give the same bits. Every sum has one order, whatever the lanes: forward starts from the bias and goes
 * up the inputs, backward goes up the outputs, a weight's gradient goes up the rows, each step one fused
 * multiply-add; the dot product of a line adds inputs into 16 partial sums by number, then halves these (l and l + 8,
 * l and l + 4, ...). Activations and heads use no fused operation and their own exponential.
 *
 * Layout. Weights (inputs, outputs) are cut into tiles of 32 columns, the last of 16 or 32; a tile holds its columns
 * for every input, one input after the other; inputs are padded to 16 and columns to the tile, with zeros.
 * Activations are cut into panels of 128 columns: (panels, rows_max, 128), padded with zeros.
 */
#ifndef FT_MODEL_KERNEL_KERNEL_H
#define FT_MODEL_KERNEL_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KERNEL_TILE  32  /* columns of a tile of weights */
#define KERNEL_HALF  16  /* columns of a narrow last tile; inputs are padded to it */
#define KERNEL_PANEL 128 /* columns of a panel of activations */
#define KERNEL_ALIGN 64  /* bytes; of every array of weights and activations */
#define KERNEL_LINE_ROWS 256 /* most rows of a batch of a line */

enum kernel_activation { KERNEL_ACT_NONE, KERNEL_ACT_RELU, KERNEL_ACT_TANH };
enum kernel_head { KERNEL_HEAD_LINEAR, KERNEL_HEAD_LOGISTIC, KERNEL_HEAD_SOFTMAX, KERNEL_HEAD_POISSON };

struct kernel_layer {
    uint32_t in, out;
    uint32_t in_padded;  /* to 16 */
    uint32_t out_padded; /* to the tiles */
    size_t weights;      /* offset of the first tile in the packed vector */
    size_t biases;       /* offset of (out_padded) */
};

/*
 * One step of SGD. For each weight w with gradient g, in this order, each line one rounding:
 *   g = decay w + g               weights only
 *   g = pull (w - start) + g      `start` not NULL
 *   g = g + shift                 `shift` not NULL
 *   g = velocity = momentum velocity + g    `velocity` not NULL
 *   w = w - rate g
 */
struct kernel_step {
    float rate, momentum, decay, pull;
    float *w;           /* packed, as the others */
    float *velocity;    /* NULL without momentum */
    const float *start; /* NULL without pull */
    const float *shift; /* NULL without */
};

/* A batch of a model with one output and no hidden layer; rows stay where they are. */
struct kernel_line {
    const float *const *rows; /* (count) pointers to (in) features */
    const float *y;           /* (count) */
    size_t count;             /* 1 .. KERNEL_LINE_ROWS */
    uint32_t in;
    enum kernel_head head;
    const float *const *next; /* (next_count) rows that come after: fetched into the cache meanwhile */
    size_t next_count;
};

/*
 * A product of any two matrices: C (m, n) = A (m, k) B (k, n), or C + A B. Element (i, l) of A lies at i a_row + l a_step,
 * (l, j) of B at l b_step + j b_col, (i, j) of C at i c_row + j; so turned-round matrices are strides. Each sum starts from
 * C or 0 and goes up l, each step one fused multiply-add. k is at least 1. Nothing overlaps.
 */
struct kernel_product {
    size_t m, n, k;
    const float *a, *b;
    size_t a_row, a_step, b_step, b_col;
    float *c;
    size_t c_row;
    bool add;
};
#define KERNEL_PRODUCT_DEPTH   256
#define KERNEL_PRODUCT_COLUMNS 256
#define KERNEL_PRODUCT_ROOM    ((size_t)KERNEL_PRODUCT_DEPTH * KERNEL_PRODUCT_COLUMNS) /* floats a product works in */

struct model_kernel {
    const char *name;
    /* out = activation(in W + b), all padded columns. rows_max: of both panels. */
    void (*forward)(const struct kernel_layer *layer, const float *w, const float *in, size_t rows,
                    size_t rows_max, enum kernel_activation activation, float *out);
    /* dz = (head's prediction - label) scale, from z; padded columns of dz are left alone. */
    void (*head)(enum kernel_head head, uint32_t outputs, const float *z, const float *y, size_t rows,
                 size_t rows_max, float scale, float *dz);
    /* down = (dz W^T) times the slope of the activation whose output is `act`, inputs from .. to (multiples of 16). */
    void (*down)(const struct kernel_layer *layer, const float *w, const float *dz, size_t rows, size_t rows_max,
                 enum kernel_activation activation, const float *act, size_t from, size_t to, float *down);
    /* The step of the weights of inputs from .. to (multiples of 8), and of the biases when `from` is 0. */
    void (*update)(const struct kernel_layer *layer, const struct kernel_step *step, const float *in,
                   const float *dz, size_t rows, size_t rows_max, size_t from, size_t to);
    /* A whole batch of a line: w is (in padded to 16), then the bias. */
    void (*line)(const struct kernel_line *line, const struct kernel_step *step);
    void (*product)(const struct kernel_product *p, float *room);
    /* out (rows) = x (rows, count) w + bias, each the dot product of a line. */
    void (*dots)(const float *x, size_t rows, size_t count, const float *w, float bias, float *out);
};

/* The fastest of this processor; NULL when its fused multiply-add is a library's slow emulation. */
const struct model_kernel *kernel_best(void);
/* By name; NULL when unknown or not for this processor. */
const struct model_kernel *kernel_by_name(const char *name);
/* Every one this processor can run, plain first; returns how many (at most 3). */
size_t kernel_list(const struct model_kernel *list[3]);

/* Offsets of a layer whose packed weights start at `at`; returns where the next layer starts. */
size_t kernel_layer_init(struct kernel_layer *layer, uint32_t in, uint32_t out, size_t at);
/* Row-major weights (in, out) and biases (out) into their packed places with padding. */
void kernel_pack(const struct kernel_layer *layer, const float *weights, const float *biases, float *packed);
/* And back, less where they started; false when a difference is not finite. */
bool kernel_change(const struct kernel_layer *layer, const float *packed, const float *start_weights,
                   const float *start_biases, float *weights, float *biases);

/* Floats of the panels of `columns` columns and rows_max rows. */
size_t kernel_panel_floats(size_t columns, size_t rows_max);

#endif
