/*
 * Words that a task, a model and the wire share. The numbers are on the wire: add, never renumber.
 */
#ifndef FT_BASE_KINDS_H
#define FT_BASE_KINDS_H

enum ft_model_kind {
    FT_MODEL_LINEAR = 1,   /* squared error, y real */
    FT_MODEL_LOGISTIC = 2, /* y 0 or 1 */
    FT_MODEL_SOFTMAX = 3,  /* y 0 .. classes-1 */
    FT_MODEL_POISSON = 4,  /* y a count */
    FT_MODEL_MLP = 5,      /* hidden layers; logistic output when classes is 0 or 2, else softmax */
    FT_MODEL_CNN = 6,      /* an MLP behind convolutional layers */
    FT_MODEL_KMEANS = 7,   /* centroids of clusters; no y */
};
enum ft_activation { FT_ACT_RELU = 1, FT_ACT_TANH = 2 };
enum ft_server_kind { FT_SERVER_FEDAVG = 1, FT_SERVER_MOMENTUM = 2, FT_SERVER_FEDADAM = 3 };

/* What a round is for. Each is one secure sum; the stage is in the model blob that the round binds. */
enum ft_stage { FT_STAGE_STATISTICS = 1, FT_STAGE_TRAIN = 2, FT_STAGE_EVALUATE = 3 };

#endif
