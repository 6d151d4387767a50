/*
 * The model blob: what the aggregator publishes for a round and what the round's descriptor binds by hash
 * (model_hash = H("model"; blob)). It names the task and the stage, so a model cannot be taken for another task's
 * or for another stage's. STATISTICS has no means, stds or params. What a task of kind statistics found is kept in the
 * same way: STATISTICS with version 1 and nothing but `found` (common/plan/measured.h says what it means).
 *
 * Canonical: decode refuses bytes that encode would not have written.
 */
#ifndef FT_MODEL_STATE_H
#define FT_MODEL_STATE_H

#include "common/base/buf.h"
#include "common/base/kinds.h"
#include <stdint.h>

#define FT_MODEL_BLOB_MAX ((size_t)320 << 20)

/* The released result of a statistics task. */
struct ft_model_found {
    double *sums; /* (count), owned, finite */
    size_t count;
    uint32_t shops;     /* in the sum, 1 and more */
    uint64_t customers; /* n_U, their declared sizes; 0 without noise */
    uint64_t min_group;
};

struct ft_model_state {
    uint8_t task_hash[32];
    enum ft_stage stage;
    uint64_t version;    /* server steps that led to these parameters; 0 for the initial ones */
    double *means;       /* (features), owned */
    double *stds;        /* (features), owned, each > 0 */
    uint32_t features;   /* 0 in STATISTICS */
    float *params;       /* (parameters), owned */
    uint64_t parameters; /* 0 in STATISTICS */
    struct ft_model_found found; /* empty but for a result */
    double clip; /* of the next training round where the task adapts it (public: it follows from released sums); 0 else */
};

/* Copy the arrays into a new state; clip is 0. Errors: ARGUMENT, NONFINITE, NOMEM. */
FT_NODISCARD enum ft_status ft_model_state_init(struct ft_model_state *state, const uint8_t task_hash[32],
                                                enum ft_stage stage, uint64_t version, const double *means,
                                                const double *stds, uint32_t features, const float *params,
                                                uint64_t parameters);
/* A result: sums (count) are copied. Errors: ARGUMENT, NONFINITE, NOMEM. */
FT_NODISCARD enum ft_status ft_model_state_init_found(struct ft_model_state *state, const uint8_t task_hash[32],
                                                      const struct ft_model_found *found);
void ft_model_state_clear(struct ft_model_state *state);

/* Errors: NONFINITE, ARGUMENT, NOMEM. Appends to *out. */
FT_NODISCARD enum ft_status ft_model_state_encode(const struct ft_model_state *state, struct ft_buf *out);

/* Decode under a memory budget proportional to the blob. *out is empty unless FT_OK; clear it. Errors: FORMAT
 * (malformed, not canonical, a std that is not above 0), NONFINITE, LIMIT, NOMEM. */
FT_NODISCARD enum ft_status ft_model_state_decode(struct ft_bytes blob, struct ft_model_state *out,
                                                  struct ft_error *err);

#endif
