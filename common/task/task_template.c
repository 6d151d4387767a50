#include "common/task/task.h"

/* What both have. */
#define HEAD(purposes, title)                                                                                \
    "# A task: " title ". Lines without a value are for you to fill in;\n"                                   \
    "# `fedtill-aggregator task check FILE` then says what is missing and what it amounts to.\n"             \
    "version: 1\n"                                                                                           \
    "task: my_task                 # small letters, digits, underscores\n"                                   \
    "title:                        # one line for the shops' people\n"                                       \
    "purpose:                      # " purposes "\n"                                                         \
    "owner:                        # who answers for it\n"                                                   \
    "expires:                      # YYYY-MM-DD: no round after this day\n"                                  \
    "review:                       # YYYY-MM-DD, not after expires: no round after this day without a new "  \
    "signature\n"                                                                                            \
    "unit: customer                # customer: each customer has consented; record: data without people; store: noise\n" \
    "                              # hides each shop as a whole (privacy: shops: [{shop: NAME}, ...]), for hundreds of " \
    "shops\n"

#define COHORT                                                                                               \
    "cohort:\n"                                                                                              \
    "  n_min: 6                    # least shops of a round\n"                                               \
    "  n_cap: 16                   # most\n"                                                                 \
    "  h_min: 3                    # least honest survivors behind every sum\n"                              \
    "  corrupted: 2                # F: shops that may collude, with the aggregator too\n"                   \
    "  drop_permille: 250          # shops that may fall silent within a round\n"                            \
    "  sigma: 40                   # statistical security, bits\n"                                           \
    "  eta: 30                     # a round fails by bad luck with 2^-eta\n"                                \
    "  suite: aes-256-ctr          # or chacha20\n"                                                          \
    "  lane_bits: 32               # 12, 16, 21, 32 or 64: precision against bytes\n"                        \
    "schedule: {join: 5s, step: 10s, session: 60s, pause: 0s}\n"

static const char model_text[] =
    HEAD("train/segmentation, train/propensity, train/demand or train/personalisation", "what the shops are asked to train")
    "examples:\n"
    "  # One SQLite SELECT over transactions, customers, products. Columns: customer_id, split ('train' or "
    "'test'),\n"
    "  # the label and every feature. Split by time, or test figures flatter the model.\n"
    "  sql: |\n"
    "    SELECT customer_id,\n"
    "      CASE WHEN week <= 26 THEN 'train' ELSE 'test' END AS split,\n"
    "      max(coupon > 0) AS y,\n"
    "      ln(count(*)) AS log_lines\n"
    "    FROM transactions\n"
    "    GROUP BY customer_id, split\n"
    "  label: {column: y, min: 0, max: 1}\n"
    "  features:                   # every feature has bounds; values outside are clipped and counted\n"
    "    - {name: log_lines, min: 0, max: 8}\n"
    "  rows_per_customer: 1        # at most this many rows of one customer in each split\n"
    "  rows_max: 200000            # a query that returns more is refused\n"
    "model:\n"
    "  kind: logistic              # linear, logistic, softmax, poisson, mlp or cnn\n"
    "  # classes: 3                # softmax, or mlp or cnn with more than two\n"
    "  # hidden: [32]              # mlp, cnn: widths of its layers\n"
    "  # activation: relu          # mlp, cnn: relu or tanh\n"
    "  # image: [28, 28, 1]        # cnn: height, width and channels that the features are, in this order\n"
    "  # channels: [32, 64]        # cnn: of its convolutions, before the hidden layers\n"
    "  # kernels: [5, 5]           # cnn: their sides, odd\n"
    "  # pools: [2, 2]             # cnn: the largest of each such square is kept; 1 keeps all\n"
    "training:\n"
    "  rounds: 30\n"
    "  local_epochs: 1\n"
    "  batch_size: 0               # 0: all rows in one batch\n"
    "  learning_rate: 0.5\n"
    "  momentum: 0\n"
    "  weight_decay: 1.0e-4        # L2 penalty weight_decay/2 |w|^2, biases free\n"
    "  clip: 5                     # L2 bound of one shop's update\n"
    "  weight_cap: 2000            # a shop's rows count at most this much\n"
    "  server: {optimizer: fedavg, learning_rate: 1}   # fedavg, momentum or fedadam (momentum, beta2, "
    "epsilon)\n"
    "  seed: 1                     # of the initial weights\n"
    "privacy: {noise: none}        # shops must accept sums without noise in their own policy\n"
    COHORT
    "evaluation: {bins: 512, calibration_bins: 10}\n";

static const char segments_text[] =
    HEAD("train/segmentation", "segments that the shops are asked to find, by k-means")
    "examples:\n"
    "  # One SQLite SELECT over transactions, customers, products. Columns: customer_id, split ('train' or "
    "'test')\n"
    "  # and every feature; segments have no label.\n"
    "  sql: |\n"
    "    SELECT customer_id,\n"
    "      CASE WHEN week <= 26 THEN 'train' ELSE 'test' END AS split,\n"
    "      ln(count(*)) AS log_lines,\n"
    "      ln(1 + sum(amount)) AS log_amount\n"
    "    FROM transactions\n"
    "    GROUP BY customer_id, split\n"
    "  features:                   # every feature has bounds; values outside are clipped and counted\n"
    "    - {name: log_lines, min: 0, max: 8}\n"
    "    - {name: log_amount, min: 0, max: 10}\n"
    "  rows_per_customer: 1        # at most this many rows of one customer in each split\n"
    "  rows_max: 200000            # a query that returns more is refused\n"
    "model:\n"
    "  kind: kmeans\n"
    "  clusters: 5                 # 2 to 256; a shop's limits.clusters_max may be lower\n"
    "  min_cluster: 10             # a segment of fewer customers is neither moved to their mean nor shown; 10 or more without noise\n"
    "training:\n"
    "  rounds: 20                  # each moves every centroid to the mean of its rows\n"
    "  # clip: 3                   # only with noise: length of one customer's part at most, in standard deviations\n"
    "  seed: 1                     # of the first centroids\n"
    "privacy: {noise: none}        # shops must accept sums without noise in their own policy\n"
    COHORT;

const char *
ft_task_template(void)
{
    return model_text;
}

const char *
ft_task_segments_template(void)
{
    return segments_text;
}

static const char statistics_text[] =
    "# A task that only measures: counts, means, deviations, histograms and quantiles over all shops. Lines without a\n"
    "# value are for you to fill in; `fedtill-aggregator task check FILE` then says what is missing, and how far each\n"
    "# figure may be off.\n"
    "version: 1\n"
    "kind: statistics\n"
    "task: my_task                 # small letters, digits, underscores\n"
    "title:                        # one line for the shops' people\n"
    "purpose:                      # measure/segmentation, measure/propensity, measure/demand or measure/personalisation\n"
    "owner:                        # who answers for it\n"
    "expires:                      # YYYY-MM-DD: no round after this day\n"
    "review:                       # YYYY-MM-DD, not after expires: no round after this day without a new signature\n"
    "unit: customer                # customer: each customer has consented; record: data without people\n"
    "examples:\n"
    "  # One SQLite SELECT over transactions, customers, products. Columns: customer_id and every feature. Rows of one\n"
    "  # customer count together as one: their mean.\n"
    "  sql: |\n"
    "    SELECT customer_id,\n"
    "      count(DISTINCT basket_id) AS visits,\n"
    "      ln(1 + sum(amount)) AS log_amount,\n"
    "      max(coupon > 0) AS used_coupon\n"
    "    FROM transactions\n"
    "    GROUP BY customer_id\n"
    "  features:                   # bounds come from what a feature means, never from the data; values outside are clipped\n"
    "    - {name: visits, min: 0, max: 200}\n"
    "    - {name: log_amount, min: 0, max: 10}\n"
    "    - {name: used_coupon, min: 0, max: 1}\n"
    "  rows_per_customer: 1        # at most this many rows of one customer\n"
    "  rows_max: 200000            # a query that returns more is refused\n"
    "statistics:                   # what is measured; how many customers there are is measured in any case\n"
    "  - {measure: histogram, feature: visits, edges: [2, 5, 10, 20, 50, 100]}   # or bins: N of equal width\n"
    "  - {measure: deviation, feature: log_amount}           # mean, variance and standard deviation; or mean alone\n"
    "  - {measure: quantiles, feature: log_amount, at: [0.25, 0.5, 0.75], bins: 64}   # bins: a power of two\n"
    "  - {measure: cross, feature: used_coupon, bins: 2, with: visits, with_edges: [10, 50]}\n"
    "  # weight: 2 beside a measure gives it more of the precision that all of them share; 1 unless said\n"
    "privacy:                      # `privacy: {noise: none}` needs shops whose policy accepts sums without noise, and\n"
    "                              # each feature in at most one of histogram, quantiles and cross\n"
    "  noise: discrete-gaussian\n"
    "  epsilon: 1\n"
    "  delta: 1.0e-6               # at most 1/(10 x all declared customers)\n"
    "  expected_customers: 6000    # all of them: drawing some costs more in noise than it saves\n"
    "  m_stores: 1                 # shops that one customer may be in\n"
    "  spare_rounds: 1             # for a round that is lost after a shop has sent\n"
    "  shops:                      # every shop by name, ascending, with a rounded size: never a count\n"
    "    - {shop: store-1, customers: 1000}\n"
    "    - {shop: store-2, customers: 1000}\n"
    "    - {shop: store-3, customers: 1000}\n"
    "    - {shop: store-4, customers: 1000}\n"
    "    - {shop: store-5, customers: 1000}\n"
    "    - {shop: store-6, customers: 1000}\n"
    "cohort:\n"
    "  n_min: 6                    # least shops of a round\n"
    "  n_cap: 6                    # most\n"
    "  h_min: 3                    # least honest survivors behind every sum; their noise alone is counted\n"
    "  corrupted: 2                # F: shops that may collude, with the aggregator too\n"
    "  drop_permille: 170          # shops that may fall silent within a round\n"
    "  sigma: 40                   # statistical security, bits\n"
    "  eta: 30                     # a round fails by bad luck with 2^-eta\n"
    "  suite: aes-256-ctr          # or chacha20\n"
    "  lane_bits: 32               # 12, 16, 21, 32 or 64: precision against bytes\n"
    "schedule: {join: 5s, step: 10s, session: 60s, pause: 0s}\n";

const char *
ft_task_statistics_template(void)
{
    return statistics_text;
}
