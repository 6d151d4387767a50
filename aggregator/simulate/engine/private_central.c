#include "aggregator/simulate/engine/private_internal.h"
#include "aggregator/simulate/partition/draw.h"

#include "common/base/alloc.h"
#include "common/privacy/clip.h"
#include "common/privacy/sampler.h"

#include <string.h>

#define STREAM UINT64_C(0x63656e7472616c) /* "central" */

/* A block of drawn customers onto g->private->sum. Noise and sums are floating point: what is measured
 * against, not what ships. */
static void
add_block(struct ft_sim_engine *g, struct private_worker *w, const struct ft_customer_rows *rows,
          const struct ft_env *env)
{
    const struct sim_private *p = g->private;

    if (p->by_gradient) {
        ft_per_customer_clipped_sum(w->gradients, g->server.params, rows, p->params.clip, w->vector);
        for (uint64_t k = 0; k < g->vector; k++)
            g->private->sum[k] += (double)w->vector[k];
        return;
    }
    for (size_t i = 0; i < rows->customers; i++) {
        private_change(g, 0, rows, i, env, w->vector);
        if (ft_clip_l2(w->vector, (size_t)g->vector, p->params.clip, NULL) != FT_OK)
            continue;
        for (uint64_t k = 0; k < g->vector; k++)
            g->private->sum[k] += (double)w->vector[k];
    }
}

enum ft_status
private_central_round(struct ft_sim_engine *g, double *weight)
{
    const struct sim_private *p = g->private;
    struct private_worker *w = &g->private->workers[0];
    struct ft_env_seeded env;
    struct sim_draw draw;
    uint64_t declared = 0;

    ft_env_seeded_init(&env, g->in.e->seed ^ STREAM, g->rounds + 1);
    sim_draw_init(&draw, g->in.e->seed ^ STREAM, g->rounds + 1);
    memset(g->private->sum, 0, g->vector * sizeof *g->private->sum);
    const size_t drawn = ft_sample_customers(&env.env, p->params.q_num, p->customers, w->drawn);
    for (size_t at = 0; at < drawn;) {
        const struct ft_customer_rows rows = private_gather(g, w, 0, at, drawn);
        add_block(g, w, &rows, &env.env);
        at += rows.customers;
    }
    for (uint64_t k = 0; k < g->vector; k++)
        g->private->sum[k] += p->z * p->params.clip * sim_draw_normal(&draw);
    for (uint32_t k = 0; k < g->in.clients->count; k++)
        declared += p->declared[k];
    *weight = p->q * (double)declared;
    return FT_OK;
}
