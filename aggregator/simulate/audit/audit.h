/*
 * Does the build keep what it claims? Three tests against the code that shops and aggregator run: each shop's
 * contribution (client/vault/contribute.h), packing, a secure sum with dropouts (session.h) and the
 * aggregator's unpacking and reading (common/plan/private_sum.h). Only clocks and randomness are the audit's,
 * so a seed repeats it.
 *
 *   noise floor   no customers, the fewest shops a sum may have, of which the corrupted send no noise: the
 * decoded integers must be as spread as the noise that is credited. Finds noise that is missing, of a wrong
 *                 scale, or used twice.
 *   canaries      m synthetic customers, each with a coordinate of its own, each included by a secret fair
 * coin. How well the sums tell who was in gives a lower bound on epsilon in one run. Finds missing or far too
 *                 little noise, missing clipping, and samples that are not drawn anew.
 *   membership    who was in the training data of a released model, by the loss; for information, since it
 * sees less than the sums show.
 *
 * privacy-accounting.md, section 12; Steinke, Nasr, Jagielski, "Privacy auditing with one training run",
 * NeurIPS 2023; Carlini et al., "Membership inference attacks from first principles", S&P 2022, for the rate
 * at few false alarms.
 */
#ifndef FT_SIMULATE_AUDIT_H
#define FT_SIMULATE_AUDIT_H

#include "common/base/plant.h"
#include "common/base/status.h"
#include "common/privacy/accountant/accountant.h"
#include <stdbool.h>
#include <stdint.h>

#define FT_AUDIT_CANARIES_MIN 100u
#define FT_AUDIT_CANARIES_MAX 4096u /* a feature each */

struct ft_audit_wish {
    uint32_t shops, dropouts, corrupted; /* N join, D leave in the middle, F of the others may be corrupted */
    double epsilon, noise; /* one of them above 0: the claim, or the noise multiplier it follows from */
    double delta, q;
    uint64_t rounds;
    uint32_t canaries;
    double significance; /* of a refutation, e.g. 0.05 */
    bool rotated;
    uint64_t seed;
    unsigned threads;
    /* Told now and then, for a terminal. NULL is allowed. */
    void (*progress)(void *ctx, const char *what, uint64_t done, uint64_t of);
    void *progress_ctx;
#ifdef FT_PLANTED
    enum ft_plant plant; /* in force while the first plant_shops shops contribute */
    uint32_t plant_shops;
#endif
};

struct ft_audit_claim {
    double noise_multiplier; /* z_eff of the shares */
    double
        epsilon; /* stated, for this number of rounds: the least of RDP, PLD and, with q = 1, the exact one */
    uint32_t t_min, survivors;
    uint32_t sigma_share;
    uint64_t delta_int_sq;
};

struct ft_audit_floor {
    struct ft_audit_claim claim;
    uint64_t rounds, integers;
    double variance;    /* mean square over the variance credited; 1 is right */
    double least, most; /* what chance allows, each but one time in a million */
    double
        again; /* mean square of the difference of neighbouring rounds over twice the variance; 1 is right */
    double related; /* mean product of neighbouring coordinates over the variance; 0 is right */
    double related_most;
    bool pass;
};

struct ft_audit_canaries {
    struct ft_audit_claim claim;
    uint32_t canaries, included, guesses, right;
    double lower; /* epsilon below it is refuted at the significance asked for */
    bool pass;    /* lower is at most the claim */
};

struct ft_audit_membership {
    struct ft_audit_claim claim;
    uint64_t members, others;
    double auc;        /* of the attack; 0.5 is nothing */
    double false_rate; /* false alarms over the others */
    double true_rate;  /* members found at that rate */
    double true_least; /* lower end of its 99.9 % interval */
    double allowed;    /* e^epsilon f + delta, f the upper end of the false rate's interval */
    bool pass;
};

/*
 * The cohort that a task with these numbers has: the sum is over all N - D shops that stay. A task credits
 * the honest ones of its smallest cohort only, t_min of them; the audit lets all the others in the sum send
 * no noise, so that the noise is what is credited and not a share more.
 */
struct ft_audit_cohort {
    uint32_t n_min, drop_permille;
    int64_t t_min; /* may be negative: no such task */
};
struct ft_audit_cohort ft_audit_cohort(const struct ft_audit_wish *wish);

/* Every field in its range; err names it. Errors: ARGUMENT. */
FT_NODISCARD enum ft_status ft_audit_check(const struct ft_audit_wish *wish, struct ft_error *err);

/* Errors: CONFIG (a task that cannot be: err says why), COHORT, NONFINITE, NOMEM and those of the pipeline.
 */
FT_NODISCARD enum ft_status ft_audit_noise_floor(const struct ft_audit_wish *wish, struct ft_audit_floor *out,
                                                 struct ft_error *err);
FT_NODISCARD enum ft_status ft_audit_run_canaries(const struct ft_audit_wish *wish,
                                                  struct ft_audit_canaries *out, struct ft_error *err);
FT_NODISCARD enum ft_status ft_audit_run_membership(const struct ft_audit_wish *wish,
                                                    struct ft_audit_membership *out, struct ft_error *err);

#endif
