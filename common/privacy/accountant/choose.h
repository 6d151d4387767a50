/*
 * A task's parameters from what one wants (section 6 of the specification): the noise for an epsilon or the epsilon of
 * a noise, the shares, the bits, and how large the noise is beside the signal. All public numbers.
 */
#ifndef FT_PRIVACY_CHOOSE_H
#define FT_PRIVACY_CHOOSE_H

#include "common/privacy/accountant/accountant.h"

struct ft_choose_wish {
    /* the sum: a sampling probability of q_num / 2^32, T rounds, shops of one customer, delta */
    uint64_t q_num, steps;
    uint32_t m_stores;
    double delta;
    /* exactly one above 0: an epsilon to reach, a noise multiplier to have, or a share as it stands */
    double epsilon, z;
    uint32_t sigma_share;
    enum ft_account_method method; /* that must reach epsilon */
    /* the federation; shops = 0 leaves all of this out of the answer */
    uint32_t shops, dropouts, corrupted; /* N, D, F */
    uint32_t cap;                        /* most inputs of one sum; 0: shops */
    uint64_t n_pub;                      /* customers of all shops, as declared; 0: not known */
    double largest;                      /* expected sample of the largest shop; 0: as if all were alike */
    uint64_t dim;
    uint32_t lane_bits; /* 0: 32, or 64 where that is too narrow */
    bool adaptive, rotated;
};

struct ft_choose_answer {
    double z;                    /* that was asked for or found */
    double z_eff;                /* that the shares give; z without a federation */
    struct ft_account_cost cost; /* at z_eff */
    uint32_t t_min, scale, lambda, sigma_share, lane_bits;
    uint64_t delta_int_sq;
    double quant_max;       /* Q: room for one shop's sum */
    double quant_need;      /* that its sum needs; beyond Q it is clamped, which costs usefulness, not privacy */
    double bits_needed;     /* of a lane: log2 of the largest sum with its noise */
    double mean_noise_low;  /* standard deviation of a coordinate of the mean, in clips: with t_min shares ... */
    double mean_noise_high; /* ... and with all shops'; 0 without n_pub */
};

/* Errors: LIMIT (with the field and its bound, also where no noise or share can do it), NONFINITE, NOMEM. */
FT_NODISCARD enum ft_status ft_choose(const struct ft_choose_wish *wish, struct ft_choose_answer *answer,
                                      struct ft_error *err);

#endif
