/*
 * An experiment: one YAML file that says everything a run depends on. Strict as every configuration here (common/base/
 * config.h); paths are relative to the file's folder. See sim_experiment_example for the whole of it.
 */
#ifndef FT_SIMULATE_EXPERIMENT_H
#define FT_SIMULATE_EXPERIMENT_H

#include "aggregator/simulate/data/dataset.h"
#include "aggregator/simulate/experiment/target.h"
#include "aggregator/simulate/partition/partition.h"
#include "common/base/buf.h"
#include "common/base/findings.h"
#include "common/model/train.h"
#include "common/privacy/accountant/accountant.h"

enum ft_sim_algorithm_kind {
    FT_SIM_FEDSGD = 1,
    FT_SIM_FEDAVG,
    FT_SIM_FEDAVGM,
    FT_SIM_FEDPROX,
    FT_SIM_SCAFFOLD,
    FT_SIM_FEDADAM,
    FT_SIM_FEDYOGI,
    FT_SIM_FEDADAGRAD,
    FT_SIM_FEDNOVA,
    FT_SIM_DITTO,
    FT_SIM_FEDBUFF,
    FT_SIM_LLOYD, /* k-means, and nothing else */
};
const char *ft_sim_algorithm_name(enum ft_sim_algorithm_kind kind); /* "fedavg" */

enum ft_sim_schedule { FT_SIM_CONSTANT = 1, FT_SIM_EXPONENTIAL, FT_SIM_COSINE, FT_SIM_INVERSE_SQRT };
enum ft_sim_secure { FT_SIM_SECURE_NONE = 1, FT_SIM_SECURE_EXACT, FT_SIM_SECURE_COST };
/* Whose contribution the privacy of a run is about: one customer's rows, each row as a customer of its own, or all rows of
 * one client, which is in every round (q = 1) with one vector and counts as one customer. */
enum ft_sim_unit { FT_SIM_UNIT_NONE = 1, FT_SIM_UNIT_CUSTOMER, FT_SIM_UNIT_ROW, FT_SIM_UNIT_STORE };
enum ft_sim_weighting { FT_SIM_BY_ROWS = 1, FT_SIM_EQUAL };

struct ft_sim_experiment {
    char *name;
    uint64_t seed;
    struct ft_sim_data_config data;
    struct ft_sim_partition_config partition;
    struct {
        enum ft_model_kind kind;
        uint32_t hidden[FT_MODEL_HIDDEN_MAX], hidden_count;
        enum ft_activation activation;
        uint32_t image[3], image_count;
        uint32_t channels[FT_MODEL_CONV_MAX], channels_count;
        uint32_t kernels[FT_MODEL_CONV_MAX], kernels_count;
        uint32_t pools[FT_MODEL_CONV_MAX], pools_count;
        uint32_t clusters;    /* k-means */
        uint32_t min_cluster; /* k-means: a cluster of fewer rows is not moved to their mean; 10 where nothing is said */
    } model;
    struct {
        enum ft_sim_algorithm_kind kind;
        enum ft_sim_weighting weighting;
        double server_rate, server_momentum, beta2, tau; /* tau: adaptivity of FedAdam, FedYogi, FedAdagrad */
        double mu;                                       /* FedProx, Ditto (lambda) */
        uint32_t buffer, concurrency;                    /* FedBuff */
    } algorithm;
    struct {
        uint32_t rounds, local_epochs, batch_size;
        double learning_rate, momentum, weight_decay;
        enum ft_sim_schedule schedule;
        double decay; /* exponential: factor a round */
    } training;
    struct {
        double fraction;    /* of the available clients; 0: count */
        uint32_t count;
        double dropout;     /* share of the sampled whose update never comes */
        double stragglers;  /* share of the sampled that does fewer local epochs, or is late in FedBuff */
        char *availability; /* CSV client,from,to: rounds in which a client can be sampled; NULL: always */
    } clients;
    struct {
        enum ft_sim_secure kind;
        double clip;        /* L2, of each contribution */
        uint32_t lane_bits;
        uint32_t corrupted; /* clients that may collude with the server */
    } secure;
    struct { /* differential privacy of rounds; one of epsilon and noise_multiplier above 0 */
        enum ft_sim_unit unit;
        double epsilon, noise_multiplier, delta;
        double clip;               /* L2, of one customer's vector */
        double expected_customers; /* of a round, all clients; 0 with unit store */
        uint32_t t_min;            /* shares of noise credited; 0: all but the dropouts and one */
        uint32_t m_stores;         /* clients that one customer's rows may be at */
        enum ft_account_method method; /* that must reach epsilon */
        bool central;                  /* a baseline: one sample of all customers, one noise; not in the file */
    } privacy;
    struct {
        uint32_t every; /* rounds */
        bool pooled, local;
        uint32_t local_clients;   /* the first so many clients train alone */
        uint32_t baseline_epochs; /* of SGD, where a baseline has no optimum to be found */
        bool central;             /* beside a run with privacy: central DP-SGD at the same epsilon */
        bool without_privacy;     /* beside a run with secure sum: the same without it */
    } evaluation;
    struct {                    /* end after the first scored round that is as good, or after training.rounds */
        enum sim_metric metric; /* 0: after training.rounds */
        double at;              /* NAN without one */
    } stop;
};

/* Read; every finding in *findings. Errors: CONFIG, NOTFOUND, LIMIT, NOMEM. Clear *out. */
FT_NODISCARD enum ft_status ft_sim_experiment_load(const char *path, const char *const *sets, size_t set_count,
                                                   struct ft_sim_experiment *out, struct ft_findings *findings,
                                                   struct ft_error *err);
/* The same from text; `folder` for relative paths (NULL: as they are). */
FT_NODISCARD enum ft_status ft_sim_experiment_parse(struct ft_bytes yaml, const char *origin, const char *folder,
                                                    struct ft_sim_experiment *out, struct ft_findings *findings,
                                                    struct ft_error *err);
void ft_sim_experiment_clear(struct ft_sim_experiment *e);

/* Everything as YAML, defaults included, paths as they were resolved: reads back as the same experiment. */
FT_NODISCARD enum ft_status ft_sim_experiment_write(const struct ft_sim_experiment *e, struct ft_buf *out);

/* `key.path=value` put into YAML text: the key is replaced or added; null takes it out. Errors: CONFIG (form, a path through something that
 * is no mapping), NOMEM. */
FT_NODISCARD enum ft_status ft_sim_yaml_set(const struct ft_buf *yaml, const char *assignment, struct ft_buf *out,
                                            struct ft_error *err);

/* The model for data of this shape. Errors: CONFIG (classes, image size). */
FT_NODISCARD enum ft_status ft_sim_experiment_model(const struct ft_sim_experiment *e, const struct ft_sim_data *data,
                                                    struct ft_model_spec *out, struct ft_error *err);

#endif
