/*
 * What a task with noise leads to: the numbers that follow from its wishes, and what one customer's vector holds in
 * each stage. The aggregator derives them once, before signing; every shop derives them again and refuses a task
 * that says otherwise, by the field's name.
 *
 *   stage        one customer's vector                                                         clip
 *   STATISTICS   (w, w^2, 1) / sqrt(2 features + 1), w = 2 u - 1 the mean of the customer's    1
 *                train rows, u a feature scaled from its declared range to 0 .. 1; of a task of
 *                kind statistics, whose only round it is: what measure_plan.h says
 *   TRAIN        the descent direction (ft_per_customer: without the penalty) or the local     the task's
 *                change of the model (parameters); private_sum.h says what the server does
 *                k-means: the customer's block of sums and numbers by cluster (ft_kmeans_customer)
 *   EVALUATE     (1, right, loss/cap, scores of positive and of negative rows in bins) / 2,    1
 *                the mean of the customer's test rows; bins, equal steps of 1/(1 + e^(-z/2)), for models
 *                of two classes only; loss as in model/metrics.h, each row's at most the cap
 *                k-means: (loss/cap, 1 at the nearest cluster) / sqrt(2), the mean of the rows    1
 *
 * With unit store, "customer" is the shop, once, in every round, with all of its rows; a shop without rows of the split
 * adds nothing at all: no count, no indicator. Zeroing a shop out is exactly that.
 *
 * All three are sums of one Gaussian mechanism with the same noise multiplier, so all count as the same event.
 * Denominators are noisy counts or the declared n_pub, never a true count.
 */
#ifndef FT_PLAN_PRIVACY_PLAN_H
#define FT_PLAN_PRIVACY_PLAN_H

#include "common/base/kinds.h"
#include "common/model/model.h"
#include "common/privacy/accountant/accountant.h"
#include "common/privacy/parameters.h"
#include "common/task/task.h"

#define FT_PRIVATE_BINS     32  /* of scores, for each of positives and negatives */
#define FT_PRIVATE_LOSS_CAP 4.0 /* nats; a greater loss counts as this */
#define FT_PRIVATE_CLUSTER_CAP 2.0 /* k-means: squared distance a feature; the one cluster of all rows has 1 */

struct ft_privacy_plan {
    bool on; /* the task has noise; else the rest is zero */
    struct ft_privacy_params params;
    size_t coordinates; /* of one customer's vector in this stage */
    uint64_t dim;       /* of what is summed: padded where rotated, with the indicator */
    bool rotated, indicator;
    double clip; /* of this round */
    double loss_cap;
};

/* Fill in the derived fields of a task with noise (one without is left alone). Errors: CONFIG with the field, its
 * value and the bound: too narrow lanes, a delta above 1/(10 n_pub), an epsilon that no noise reaches. */
FT_NODISCARD enum ft_status ft_plan_privacy_derive(struct ft_task *task, struct ft_error *err);

/* Do the derived fields follow from the rest? Errors: CONFIG, err naming the field; NOMEM. */
FT_NODISCARD enum ft_status ft_plan_privacy_check(const struct ft_task *task, struct ft_error *err);

/* The plan of a stage of a checked task. Errors: LIMIT. */
FT_NODISCARD enum ft_status ft_privacy_plan_init(struct ft_privacy_plan *plan, const struct ft_task *task,
                                                 enum ft_stage stage, struct ft_error *err);

uint64_t ft_plan_customers(const struct ft_task *task);                        /* n_pub of all shops */
uint64_t ft_plan_shop_customers(const struct ft_task *task, const char *shop); /* 0: the task does not name it */
double ft_plan_q(const struct ft_task *task);
uint64_t ft_plan_rounds(const struct ft_task *task); /* committed ones that the task is done with */
double ft_plan_clip(const struct ft_task *task);     /* bound of one customer's vector; statistics: 1 */

/* The most that one shop's sum before noise may come to in a coordinate, in integer units (section 6, step 8): of its
 * expected sample of customers and eight standard deviations; with unit store the one vector's own bound. */
double ft_plan_quant_need(const struct ft_task *task);

/* What the task costs a customer: `steps` sums. */
struct ft_account_event ft_plan_privacy_event(const struct ft_task *task, uint64_t steps);

/* The same for one customer of one shop, who is or is not in the data at all. With unit store that moves the shop's vector
 * between two of length Delta each: at most 2 Delta, so the event is that of half the noise multiplier. */
struct ft_account_event ft_plan_customer_event(const struct ft_task *task, uint64_t steps);

/* Standard deviation of the noise in a coordinate of the mean, in clips, with so many shares and customers. */
double ft_plan_mean_noise(const struct ft_task *task, uint32_t shares, double customers);

#endif
