/*
 * A trained model as a file for others to use: safetensors (numbers for programs, metadata beside them) and JSON
 * (readable, and read back by fedtill-simulate). Both hold all that a prediction needs, and where it comes from:
 *
 *   x_j = (min(max(raw_j, min_j), max_j) - mean_j) / std_j;  layer by layer x W + b, the activation between layers;
 *   then the kind's prediction (common/model/model.h)
 *
 * safetensors (format of the library of that name): tensors "layers.<n>.weight" F32 (inputs, outputs),
 * "layers.<n>.bias" F32 (outputs), "features.mean", "features.std", "features.min", "features.max" F64 (features).
 * k-means has no layers: "centroids" F32 (clusters, features) in standardised features; JSON has
 * them in the features' own units too. Every metadata value is a string. A privacy statement goes with the file, "privacy" in words and "statement" for
 * programs: `fedtill-verify release FILE` works it out again.
 */
#ifndef FT_EXPORT_EXPORT_H
#define FT_EXPORT_EXPORT_H

#include "common/model/model.h"
#include "common/model/state.h"
#include "common/model/statistics.h"
#include "common/task/task.h"

typedef struct json_t json_t;

#define FT_EXPORT_FORMAT  "fedtill-model"
#define FT_EXPORT_VERSION 1

/* Borrowed for the call. The state must be of TRAIN or EVALUATE and fit the task. */
struct ft_export {
    const struct ft_task *task;
    const struct ft_model_state *state;
    const json_t *statement; /* privacy statement (common/statement): no model leaves without */
};

/* Append the file's bytes to *out. Errors: ARGUMENT (state and task do not fit), NOMEM. */
FT_NODISCARD enum ft_status ft_export_safetensors(const struct ft_export *model, struct ft_buf *out,
                                                  struct ft_error *err);
FT_NODISCARD enum ft_status ft_export_json(const struct ft_export *model, struct ft_buf *out, struct ft_error *err);

/* What an export says, read back. Owned; clear it. */
struct ft_exported_model {
    struct ft_model_spec spec;
    struct ft_model_state state;
    char **names;             /* (features) */
    struct ft_bounds *bounds; /* (features) */
    json_t *statement;        /* NULL: the file has none */
};
/* Errors: FORMAT (with what was wrong), NOMEM. */
FT_NODISCARD enum ft_status ft_export_read_json(struct ft_bytes json, struct ft_exported_model *out,
                                                struct ft_error *err);
/* The numbers of a safetensors export that the model's hash covers, and the statement; names and spec stay empty. Any
 * bytes may come. Errors: FORMAT, LIMIT, NOMEM. */
FT_NODISCARD enum ft_status ft_export_read_safetensors(struct ft_bytes file, struct ft_exported_model *out,
                                                       struct ft_error *err);
void ft_exported_model_clear(struct ft_exported_model *model);

/* "linear", "logistic", "softmax", "poisson", "mlp", "kmeans"; "relu", "tanh"; NULL for another number. */
const char *ft_export_kind_name(enum ft_model_kind kind);
const char *ft_export_activation_name(enum ft_activation activation);

/* The model a task describes. */
void ft_export_spec(const struct ft_task *task, struct ft_model_spec *spec);

#endif
