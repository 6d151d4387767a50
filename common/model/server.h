/*
 * The server's half of federated optimisation: from a round's weighted mean of the updates to the next
 * parameters. With D = sum(w_i delta_i) / sum(w_i):
 *
 *   FEDAVG    theta += lr D                                        McMahan et al. 2017
 *   MOMENTUM  m = momentum m + D;  theta += lr m                   FedAvgM, Hsu et al. 2019
 *   FEDADAM   m = momentum m + (1 - momentum) D
 *             v = beta2 v + (1 - beta2) D^2, v starting at epsilon^2
 *             theta += lr m / (sqrt(v) + epsilon)                  Reddi et al. 2021, algorithm 2
 *
 * The state (m, v, steps) is stored with the model, so that a restart continues as if nothing had happened.
 */
#ifndef FT_MODEL_SERVER_H
#define FT_MODEL_SERVER_H

#include "common/base/buf.h"
#include "common/base/kinds.h"
#include <stdint.h>

struct ft_server_config {
    enum ft_server_kind kind;
    double learning_rate; /* > 0 */
    double momentum;      /* 0 <= momentum < 1; MOMENTUM and FEDADAM */
    double beta2;         /* 0 <= beta2 < 1; FEDADAM */
    double epsilon;       /* > 0; FEDADAM */
};

struct ft_server;

/* Errors: ARGUMENT, LIMIT, NOMEM. */
FT_NODISCARD enum ft_status ft_server_open(const struct ft_server_config *config, uint64_t parameters,
                                           struct ft_server **out, struct ft_error *err);
void ft_server_close(struct ft_server *s);            /* NULL is allowed */
uint64_t ft_server_steps(const struct ft_server *s);  /* steps taken */

/* One step: sum (parameters) is the summed weighted update, weight its summed weight, params changed in place.
 * Errors: ARGUMENT (weight not above 0), NONFINITE (nothing is changed). */
FT_NODISCARD enum ft_status ft_server_step(struct ft_server *s, const double *sum, double weight, float *params);

/* State to bytes, and back into a server of the same configuration. Errors: FORMAT (nothing is changed), NOMEM. */
FT_NODISCARD enum ft_status ft_server_encode(const struct ft_server *s, struct ft_buf *out);
FT_NODISCARD enum ft_status ft_server_decode(struct ft_server *s, struct ft_bytes bytes);

#endif
