/*
 * One vector for each customer, not one for all of them: what customer-level privacy clips. A customer's gradient is
 * the mean over that customer's rows of the descent direction, -dloss/dtheta; the penalty is the server's, since it
 * needs no data.
 *
 * Forward and backward run over many customers' rows at once. The length of each customer's gradient follows from
 * layer inputs and output gradients before the gradient itself exists (Goodfellow 2015): for one row it is
 * sum over layers of (|a|^2 + 1) |d|^2, for several the same with inner products. Gradients are then written out a
 * few customers at a time, since the gate behind needs each one's own integers: (customers, parameters) floats are
 * never in memory together.
 *
 * Invariants
 *   1. A customer's vector depends on that customer's rows and on theta only, in every bit: not on who else is in the
 *      call, nor on the place in it. Every pass has the same number of rows, filled up with zeros.
 *   2. A NaN or infinity in one customer's rows stays in that customer's vector.
 *
 * Regressions and the MLP; networks with convolutions train locally for each customer instead.
 */
#ifndef FT_MODEL_PER_CUSTOMER_H
#define FT_MODEL_PER_CUSTOMER_H

#include "common/model/model.h"

/* Rows that lie together by customer: customer c has rows first[c] .. first[c + 1] - 1. */
struct ft_customer_rows {
    const float *x;        /* (rows, features) */
    const float *y;        /* (rows) */
    const uint32_t *first; /* (customers + 1), ascending */
    size_t customers;
};

/* A block of customers from number `first` on: vectors (count, parameters) and their lengths, NaN where one is not
 * finite. Both are borrowed until it returns. */
typedef void ft_customer_take(void *ctx, size_t first, const float *vectors, const double *lengths, size_t count);

struct ft_per_customer;

/* Errors: as ft_model_open; ARGUMENT for a network with convolutions. */
FT_NODISCARD enum ft_status ft_per_customer_open(const struct ft_model_spec *spec, struct ft_per_customer **out,
                                                 struct ft_error *err);
void ft_per_customer_close(struct ft_per_customer *p); /* wipes what the rows left behind; NULL is allowed */

/* Each customer's vector, in their order, every customer once; one without rows has zeros. */
void ft_per_customer_gradients(struct ft_per_customer *p, const float *params, const struct ft_customer_rows *rows,
                               ft_customer_take *take, void *ctx);

/* The lengths alone, (customers): no vector is made. */
void ft_per_customer_lengths(struct ft_per_customer *p, const float *params, const struct ft_customer_rows *rows,
                             double *lengths);

/* The sum of all customers' vectors, each scaled down to `clip`, (parameters): central DP-SGD's clipped sum, made without
 * any one vector, in one pass more. No integers are measured, so it is for where the sum is not released. */
void ft_per_customer_clipped_sum(struct ft_per_customer *p, const float *params, const struct ft_customer_rows *rows,
                                 double clip, float *sum);

/* sum -= decay * theta over the weights; biases are free. */
void ft_model_decay(const struct ft_model_spec *spec, const float *params, double decay, double *sum);

#endif
