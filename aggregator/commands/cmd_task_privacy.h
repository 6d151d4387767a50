/* What `task check` says about the noise of a task, before anything is signed. */
#ifndef FT_CMD_TASK_PRIVACY_H
#define FT_CMD_TASK_PRIVACY_H

#include "common/plan/round_plan.h"

typedef struct json_t json_t;

/* All numbers that a decision needs, from a task whose derived fields are filled in. */
struct ft_task_privacy_answer {
    double q, z_eff, n_pub, delta_limit;
    struct ft_account_cost cost;  /* of all planned rounds */
    double noise_rdp, noise_pld;  /* least multiplier for the epsilon that was asked for; 0: none was */
    uint32_t least_shops;         /* in a sum: t_min + F */
    double quant_max, quant_need; /* room for one shop in a lane, and what its sum needs */
    double bits_needed;           /* of a lane, for n_cap shops and their noise */
    double mean_noise_low,
        mean_noise_high; /* of a coordinate of the mean, in clips: least shops, n_cap shops */
    double signal; /* length of a mean update of one clip over the length of its noise with n_cap shops */
    /* Unit store, 0 with any other: what fewer rounds or more shops would do. */
    double few_rounds_noise; /* least multiplier (RDP) for the same epsilon of FT_STORE_FEW_STEPS sums */
    double clear_shops;      /* about so many shops would make signal 1, all else alike */
    bool too_few_shops;      /* fewer than FT_STORE_MANY_SHOPS, and more rounds than FT_STORE_FEW_ROUNDS */
};
#define FT_STORE_FEW_STEPS  3 /* statistics, one training round, evaluation */
#define FT_STORE_FEW_ROUNDS 10
#define FT_STORE_MANY_SHOPS 200
FT_NODISCARD enum ft_status ft_task_privacy_answer(const struct ft_task *task,
                                                   const struct ft_round_plan *train,
                                                   struct ft_task_privacy_answer *out, struct ft_error *err);
void ft_task_privacy_print(const struct ft_task *task, const struct ft_task_privacy_answer *a);
json_t *ft_task_privacy_json(const struct ft_task *task, const struct ft_task_privacy_answer *a);

#endif
