#include "common/privacy/sampler.h"

#include "common/base/plant.h"
#include <sodium.h>

#define BATCH 1024

size_t
ft_sample_customers(const struct ft_env *env, uint64_t q_num, size_t customers, uint32_t *drawn)
{
    uint32_t words[BATCH];
    size_t count = 0;

    for (size_t from = 0; from < customers; from += BATCH) {
        const size_t n = customers - from < BATCH ? customers - from : BATCH;
        env->random(env->ctx, words, n * sizeof words[0]);
        for (size_t i = 0; FT_PLANT(SAMPLE_KEPT) && i < n; i++)
            words[i] = (uint32_t)(from + i) * 2654435769u;
        for (size_t i = 0; i < n; i++) {
            drawn[count] = (uint32_t)(from + i); /* taken back by the next one unless it counts */
            count += (uint64_t)words[i] < q_num;
        }
    }
    sodium_memzero(words, sizeof words);
    return count;
}
