/*
 * The product for every width; included by kernel_x86.h. PRODUCT_ROWS rows of the left times two vectors of columns of
 * the right stay in registers for up to PRODUCT_DEPTH steps.
 */
#define PRODUCT_WIDE (2 * VW)

/* rows (a constant) rows of C, two vectors wide. */
INLINE void
product_block(const int rows, const struct kernel_product *p, const float *a, const float *b, size_t b_step, size_t depth,
              bool add, float *c, size_t c_row)
{
    V sum[PRODUCT_ROWS][2];
    const float *at[(PRODUCT_ROWS + 2) / 3]; /* of every third row: the processor adds the rest to the address */
    const size_t a_row = p->a_row, a_step = p->a_step;

    UNROLL for (int i = 0; i < rows; i += 3)
        at[i / 3] = a + (size_t)i * a_row;
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int v = 0; v < 2; v++)
            sum[i][v] = add ? LOAD(c + (size_t)i * c_row + v * VW) : ZERO();
    for (size_t l = 0; l < depth; l++, b += b_step) {
        const V first = LOAD(b), second = LOAD(b + VW);
        UNROLL for (int i = 0; i < rows; i++) {
            const V one = SET1(at[i / 3][(size_t)(i % 3) * a_row]);
            sum[i][0] = FMA(one, first, sum[i][0]);
            sum[i][1] = FMA(one, second, sum[i][1]);
        }
        UNROLL for (int i = 0; i < rows; i += 3)
            at[i / 3] += a_step;
    }
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int v = 0; v < 2; v++)
            STORE(c + (size_t)i * c_row + v * VW, sum[i][v]);
}

#define PRODUCT_CASE(r)                                                                                                \
    case r:                                                                                                            \
        if (PRODUCT_ROWS < r)                                                                                          \
            __builtin_unreachable();                                                                                   \
        product_block(r <= PRODUCT_ROWS ? r : 1, p, a, b, b_step, depth, add, c, c_row);                               \
        break;

TARGET static void
product_rows(const struct kernel_product *p, size_t rows, const float *a, const float *b, size_t b_step, size_t depth,
             bool add, float *c, size_t c_row)
{
    switch (rows) {
        PRODUCT_CASE(1)
        PRODUCT_CASE(2)
        PRODUCT_CASE(3)
        PRODUCT_CASE(4)
        PRODUCT_CASE(5)
        PRODUCT_CASE(6)
        PRODUCT_CASE(7)
        PRODUCT_CASE(8)
        PRODUCT_CASE(9)
        PRODUCT_CASE(10)
        PRODUCT_CASE(11)
        PRODUCT_CASE(12)
    default:
        break;
    }
}

/* The last columns, fewer than a block: through a block of their own. */
TARGET static void
product_narrow(const struct kernel_product *p, size_t rows, size_t columns, const float *a, const float *b, size_t depth,
               bool add, float *c)
{
    float own[PRODUCT_ROWS * PRODUCT_WIDE];

    for (size_t i = 0; add && i < rows; i++)
        memcpy(own + i * PRODUCT_WIDE, c + i * p->c_row, columns * sizeof *own);
    product_rows(p, rows, a, b, PRODUCT_WIDE, depth, add, own, PRODUCT_WIDE);
    for (size_t i = 0; i < rows; i++)
        memcpy(c + i * p->c_row, own + i * PRODUCT_WIDE, columns * sizeof *own);
}

/* Columns j .. of the right side, `depth` steps from l on, as panels of PRODUCT_WIDE columns; short ones end in zeros. */
TARGET static void
product_pack(const struct kernel_product *p, size_t l, size_t depth, size_t j, size_t columns, float *room)
{
    const float *b = p->b + l * p->b_step + j * p->b_col;

    if (columns < PRODUCT_WIDE)
        memset(room, 0, depth * PRODUCT_WIDE * sizeof *room);
    if (p->b_col == 1) {
        for (size_t s = 0; s < depth; s++)
            memcpy(room + s * PRODUCT_WIDE, b + s * p->b_step, columns * sizeof *room);
        return;
    }
    for (size_t s = 0; s < depth; s += VW) /* blocks of both, so that neither side leaves the cache */
        for (size_t n = 0; n < columns; n += VW) {
            if (p->b_step == 1 && s + VW <= depth && n + VW <= columns) {
                V block[VW];
                UNROLL for (int i = 0; i < VW; i++)
                    block[i] = LOAD(b + s + (n + (size_t)i) * p->b_col);
                transpose(block);
                UNROLL for (int i = 0; i < VW; i++)
                    STORE(room + (s + (size_t)i) * PRODUCT_WIDE + n, block[i]);
                continue;
            }
            for (size_t i = n; i < n + VW && i < columns; i++)
                for (size_t k = s; k < s + VW && k < depth; k++)
                    room[k * PRODUCT_WIDE + i] = b[k * p->b_step + i * p->b_col];
        }
}

/* One block of the right side against all of the left. */
TARGET static void
product_part(const struct kernel_product *p, size_t l, size_t depth, size_t j, size_t columns, float *room)
{
    const bool add = p->add || l > 0;
    /* Too few rows to repay a copy, or a right side whose rows follow one another closely, or that has few. */
    const bool direct =
        p->b_col == 1 && (p->m <= 2 * PRODUCT_ROWS || p->b_step <= 2 * PRODUCT_WIDE || p->k <= 2 * PRODUCT_WIDE);

    for (size_t n = 0; n < columns; n += PRODUCT_WIDE)
        if (!direct || columns - n < PRODUCT_WIDE)
            product_pack(p, l, depth, j + n, columns - n < PRODUCT_WIDE ? columns - n : PRODUCT_WIDE, room + n * depth);
    for (size_t i = 0, rows; i < p->m; i += rows) {
        const size_t left = p->m - i, groups = (left + PRODUCT_ROWS - 1) / PRODUCT_ROWS;
        const float *a = p->a + i * p->a_row + l * p->a_step;
        rows = (left + groups - 1) / groups;
        for (size_t n = 0; n < columns; n += PRODUCT_WIDE) {
            float *c = p->c + i * p->c_row + j + n;
            if (columns - n < PRODUCT_WIDE)
                product_narrow(p, rows, columns - n, a, room + n * depth, depth, add, c);
            else if (direct)
                product_rows(p, rows, a, p->b + l * p->b_step + j + n, p->b_step, depth, add, c, p->c_row);
            else
                product_rows(p, rows, a, room + n * depth, PRODUCT_WIDE, depth, add, c, p->c_row);
        }
    }
}

TARGET static void
product(const struct kernel_product *p, float *room)
{
    for (size_t j = 0; j < p->n; j += KERNEL_PRODUCT_COLUMNS)
        for (size_t l = 0; l < p->k; l += KERNEL_PRODUCT_DEPTH)
            product_part(p, l, p->k - l < KERNEL_PRODUCT_DEPTH ? p->k - l : KERNEL_PRODUCT_DEPTH, j,
                         p->n - j < KERNEL_PRODUCT_COLUMNS ? p->n - j : KERNEL_PRODUCT_COLUMNS, room);
}

TARGET static void
dots(const float *x, size_t rows, size_t count, const float *w, float bias, float *out)
{
    for (size_t i = 0; i < rows; i++, x += count) {
        V sum[16 / VW];
        __m128 four;
        size_t k = 0;
        UNROLL for (int v = 0; v < 16 / VW; v++)
            sum[v] = ZERO();
        for (; k + 16 <= count; k += 16)
            UNROLL for (int v = 0; v < 16 / VW; v++)
                sum[v] = FMA(LOAD(x + k + v * VW), LOAD(w + k + v * VW), sum[v]);
        for (int v = 0; k < count; v++, k += VW) {
            const int n = count - k < VW ? (int)(count - k) : VW;
            sum[v] = FMA(LOAD_FIRST(x + k, n), LOAD_FIRST(w + k, n), sum[v]);
        }
        four = fold(sum);
        four = _mm_add_ps(four, _mm_movehl_ps(four, four));
        out[i] = _mm_cvtss_f32(_mm_add_ss(four, _mm_shuffle_ps(four, four, 1))) + bias;
    }
}
