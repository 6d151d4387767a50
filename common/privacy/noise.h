/*
 * Exact discrete Gaussian noise: N_Z(0, sigma^2), P(k) proportional to exp(-k^2 / (2 sigma^2)), sampled with
 * integers and rejection alone. Canonne, Kamath, Steinke, "The discrete Gaussian for differential privacy",
 * NeurIPS 2020. Random words are the ChaCha20 key stream under 32 fresh bytes a vector.
 *
 * A vector of noise is drawn before any data is looked at, is used for one contribution and is never seen again:
 * ft_encoder_open takes it away from its caller. There is no way to make one that is not noise. How long drawing
 * takes depends on the values drawn, never on data.
 */
#ifndef FT_PRIVACY_NOISE_H
#define FT_PRIVACY_NOISE_H

#include "common/base/env.h"
#include "common/base/status.h"
#include <stdint.h>

struct ft_noise; /* one shop's share for one vector */

/* Draw `dim` samples with standard deviation parameter sigma (1 .. 2^24). *out is NULL unless FT_OK. Errors:
 * ARGUMENT, NOMEM. */
FT_NODISCARD enum ft_status ft_noise_draw(const struct ft_env *env, uint64_t dim, uint32_t sigma,
                                          struct ft_noise **out);
void ft_noise_close(struct ft_noise *noise); /* wipes; NULL is allowed */

/* Buffered random words, for the sampler and for its tests. Wipe when done. */
#define FT_NOISE_WORDS 2048
struct ft_noise_words {
    uint8_t key[32];
    uint64_t refills;
    uint32_t at; /* next unused word */
    uint32_t words[FT_NOISE_WORDS];
};
void ft_noise_words_open(struct ft_noise_words *w, const struct ft_env *env);
void ft_noise_words_close(struct ft_noise_words *w);
/* Exactly uniform on 0 .. n-1, by rejection; 1 <= n < 2^63. */
uint64_t ft_noise_uniform(struct ft_noise_words *w, uint64_t n);
int64_t ft_noise_sample(struct ft_noise_words *w, uint32_t sigma);

#endif
