#include "common/model/product.h"
#include "common/model/model_internal.h"

#include <cblas.h>
#include <pthread.h>
#include <string.h>

static pthread_mutex_t blas = PTHREAD_MUTEX_INITIALIZER;

static void
by_blas(const struct kernel_product *p, CBLAS_TRANSPOSE turn_a, CBLAS_TRANSPOSE turn_b)
{
    const int m = (int)p->m, n = (int)p->n, k = (int)p->k;

    if (!p->add) /* not left to a product by 0: a NaN of an earlier call may stay */
        for (size_t i = 0; i < p->m; i++)
            memset(p->c + i * p->c_row, 0, p->n * sizeof *p->c);
    pthread_mutex_lock(&blas);
    cblas_sgemm(CblasRowMajor, turn_a, turn_b, m, n, k, 1.0f, p->a, turn_a == CblasTrans ? m : k, p->b,
                turn_b == CblasTrans ? k : n, 1.0f, p->c, (int)p->c_row);
    pthread_mutex_unlock(&blas);
}

static void
multiply(const struct kernel_product *p, CBLAS_TRANSPOSE turn_a, CBLAS_TRANSPOSE turn_b, float *room)
{
    const struct model_kernel *kernel = model_kernel_chosen();

    if (p->k == 0) {
        for (size_t i = 0; !p->add && i < p->m; i++)
            memset(p->c + i * p->c_row, 0, p->n * sizeof *p->c);
        return;
    }
    if (kernel != NULL)
        kernel->product(p, room);
    else
        by_blas(p, turn_a, turn_b);
}

void
product_plain(size_t m, size_t n, size_t k, const float *a, const float *b, bool add, float *c, float *room)
{
    const struct kernel_product p = { m, n, k, a, b, k, 1, n, 1, c, n, add };
    multiply(&p, CblasNoTrans, CblasNoTrans, room);
}

void
product_left_turned(size_t m, size_t n, size_t k, const float *a, const float *b, bool add, float *c,
                    float *room)
{
    const struct kernel_product p = { m, n, k, a, b, 1, m, n, 1, c, n, add };
    multiply(&p, CblasTrans, CblasNoTrans, room);
}

void
product_right_turned(size_t m, size_t n, size_t k, const float *a, const float *b, bool add, float *c,
                     float *room)
{
    const struct kernel_product p = { m, n, k, a, b, k, 1, 1, k, c, n, add };
    multiply(&p, CblasNoTrans, CblasTrans, room);
}

void
product_rows_by_vector(const float *x, size_t rows, size_t count, const float *w, float bias, float *y)
{
    const struct model_kernel *kernel = model_kernel_chosen();

    if (kernel != NULL) {
        kernel->dots(x, rows, count, w, bias, y);
        return;
    }
    for (size_t i = 0; i < rows; i++)
        y[i] = bias;
    pthread_mutex_lock(&blas);
    cblas_sgemv(CblasRowMajor, CblasNoTrans, (int)rows, (int)count, 1.0f, x, (int)count, w, 1, 1.0f, y, 1);
    pthread_mutex_unlock(&blas);
}

void
product_sum_of_rows(const float *x, size_t rows, size_t count, const float *v, bool add, float *y,
                    float *room)
{
    product_plain(1, count, rows, v, x, add, y, room);
}
