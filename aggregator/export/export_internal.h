/* Shared by the writers of this folder only. */
#ifndef FT_EXPORT_INTERNAL_H
#define FT_EXPORT_INTERNAL_H

#include "aggregator/export/export.h"

/* One layer of a flat parameter vector. */
struct export_layer {
    uint32_t inputs, outputs;
    const float *weights, *biases;
};

/* The spec and the layers of a model that can be exported; at most FT_MODEL_HIDDEN_MAX + 1. Of k-means one: its weights are
 * the centroids, (outputs, inputs), and there are no biases. */
FT_NODISCARD enum ft_status export_layers(const struct ft_export *model, struct ft_model_spec *spec,
                                          struct export_layer layers[FT_MODEL_HIDDEN_MAX + 1], uint32_t *count,
                                          struct ft_error *err);

/* What a prediction is, in words: "1 / (1 + exp(-z))". */
const char *export_prediction(const struct ft_model_spec *spec);

#endif
