#include "common/secure_sum/codec.h"
#include "common/secure_sum/codec_internal.h"

#include <assert.h>
#include <math.h>
#include <sodium.h>
#include <string.h>

#define LANES_MAX (64 / FT_SS_LANE_BITS_MIN)
#define HEAD_MAX  16u /* check and weight lanes together */

/* 2^{W-1} - 1, the largest sum a lane holds. */
static uint64_t
lane_max(uint32_t lane_bits)
{
    return ((uint64_t)1 << (lane_bits - 1)) - 1;
}

uint32_t
ft_ss_limb_bits(uint32_t lane_bits, uint32_t n_cap)
{
    const uint64_t share = n_cap == 0 ? 0 : lane_max(lane_bits) / n_cap;
    return share == 0 ? 0 : 63u - (uint32_t)__builtin_clzll(share);
}

uint32_t
ft_ss_limbs(uint32_t limb_bits, uint32_t bits)
{
    return limb_bits == 0 ? 0 : (bits + limb_bits - 1) / limb_bits;
}

double
ft_ss_noise_margin(uint64_t dim, uint32_t n_cap, double noise_var)
{
    double margin;
    if (noise_var == 0.0 || dim == 0)
        return 0.0;
    margin = sqrt((double)n_cap * noise_var) * sqrt(2.0 * (log(2.0 * (double)dim) + 40.0 * log(2.0)));
    return margin < 100.0 ? 100.0 : margin;
}

/* floor((2^{W-1}-1-tau) / n_cap); 0 when nothing is left. */
static uint64_t
headroom(uint32_t lane_bits, uint32_t n_cap, double noise_margin)
{
    const uint64_t most = lane_max(lane_bits);
    const double tau = ceil(noise_margin);
    if (n_cap == 0 || !(tau < (double)most))
        return 0;
    /* (double)most may round 2^63 - 1 up to 2^63, so the comparison alone does not bound tau */
    return tau >= 0x1p63 || (uint64_t)tau > most ? 0 : (most - (uint64_t)tau) / n_cap;
}

uint32_t
ft_ss_quant_max(uint32_t lane_bits, uint32_t n_cap, double noise_margin)
{
    const uint64_t q = headroom(lane_bits, n_cap, noise_margin);
    return q > UINT32_MAX ? UINT32_MAX : (uint32_t)q;
}

uint64_t
ft_ss_words_of(uint64_t lane_count, uint32_t lanes)
{
    return lane_count / lanes + (lane_count % lanes != 0);
}

/* Lanes and words, once the widths are known good. */
static void
codec_layout(struct ft_ss_codec *c)
{
    c->weight_limb_bits = ft_ss_limb_bits(c->lane_bits, c->n_cap);
    c->words = ft_ss_words_of((uint64_t)c->check_lanes + c->weight_lanes + c->dim, c->lanes);
    c->coordinate_max =
        (int64_t)(c->noise_var > 0 ? lane_max(c->lane_bits) : lane_max(c->lane_bits) / c->n_cap);
}

static uint32_t
bits_of_weight(uint64_t weight_max)
{
    return weight_max == 0 ? 0 : 64u - (uint32_t)__builtin_clzll(weight_max);
}

enum ft_status
ft_ss_codec_init(const struct ft_ss_codec_choice *choice, struct ft_ss_codec *out, struct ft_error *err)
{
    struct ft_ss_codec c = { .lane_bits = choice->lane_bits,
                             .n_cap = choice->n_cap,
                             .dim = choice->dim,
                             .clip = choice->clip,
                             .noise_var = choice->noise_var,
                             .quant_step = choice->quant_step };

    if (c.lane_bits < FT_SS_LANE_BITS_MIN || c.lane_bits > FT_SS_LANE_BITS_MAX)
        return ft_fail(err, FT_ERR_CONFIG, "lane_bits is %u, expected %u to %u", c.lane_bits,
                       FT_SS_LANE_BITS_MIN, FT_SS_LANE_BITS_MAX);
    if (c.dim == 0 || c.dim > FT_SS_DIM_MAX)
        return ft_fail(err, FT_ERR_LIMIT, "dim is %llu, expected 1 to %llu", (unsigned long long)c.dim,
                       (unsigned long long)FT_SS_DIM_MAX);
    if (c.n_cap < 2)
        return ft_fail(err, FT_ERR_CONFIG, "n_cap is %u, a sum needs at least two clients", c.n_cap);
    if (!isfinite(c.clip) || c.clip < 0 || !isfinite(c.noise_var) || c.noise_var < 0)
        return ft_fail(err, FT_ERR_CONFIG, "clip and noise_var must be finite and not negative");
    c.lanes = 64 / c.lane_bits;
    c.check_lanes = (FT_SS_CHECK_BITS + c.lane_bits - 1) / c.lane_bits;
    c.quant_max = ft_ss_quant_max(c.lane_bits, c.n_cap, ft_ss_noise_margin(c.dim, c.n_cap, c.noise_var));
    c.weight_lanes = ft_ss_limbs(ft_ss_limb_bits(c.lane_bits, c.n_cap), bits_of_weight(choice->weight_max));
    if (c.quant_max == 0 || (choice->weight_max > 0 && c.weight_lanes == 0))
        return ft_fail(err, FT_ERR_CONFIG,
                       "lanes of %u bits could wrap: %u clients and the noise leave no room for a coordinate",
                       c.lane_bits, c.n_cap);
    if (c.check_lanes + c.weight_lanes > HEAD_MAX)
        return ft_fail(err, FT_ERR_CONFIG, "a weight of %u bits takes %u lanes, more than %u",
                       bits_of_weight(choice->weight_max), c.weight_lanes, HEAD_MAX - c.check_lanes);
    if (c.noise_var == 0.0)
        c.quant_step = c.clip / c.quant_max;
    else if (!isfinite(c.quant_step) || c.quant_step <= 0)
        return ft_fail(err, FT_ERR_CONFIG, "quant_step must be above 0 where noise is added");
    codec_layout(&c);
    *out = c;
    return FT_OK;
}

void
ft_ss_codec_describe(const struct ft_ss_codec *c, struct ft_ss_descriptor *d)
{
    d->dim = c->dim;
    d->lane_bits = (uint8_t)c->lane_bits;
    d->lanes = (uint8_t)c->lanes;
    d->check_lanes = (uint8_t)c->check_lanes;
    d->weight_lanes = (uint8_t)c->weight_lanes;
    d->clip = c->clip;
    d->quant_step = c->quant_step;
    d->quant_max = c->quant_max;
    d->noise_var = c->noise_var;
    d->n_cap = c->n_cap;
}

enum ft_status
ft_ss_codec_of(const struct ft_ss_descriptor *d, struct ft_ss_codec *out, struct ft_error *err)
{
    struct ft_ss_codec c = { .lane_bits = d->lane_bits,
                             .lanes = d->lanes,
                             .check_lanes = d->check_lanes,
                             .weight_lanes = d->weight_lanes,
                             .n_cap = d->n_cap,
                             .dim = d->dim,
                             .clip = d->clip,
                             .quant_step = d->quant_step,
                             .quant_max = d->quant_max,
                             .noise_var = d->noise_var };
    uint64_t q_most;

    if (c.lane_bits < FT_SS_LANE_BITS_MIN || c.lane_bits > FT_SS_LANE_BITS_MAX || c.lanes != 64 / c.lane_bits)
        return ft_fail(err, FT_ERR_VERIFY, "descriptor: %u lanes of %u bits do not make a word", c.lanes,
                       c.lane_bits);
    if (c.dim == 0 || c.dim > FT_SS_DIM_MAX)
        return ft_fail(err, FT_ERR_VERIFY, "descriptor: dim is %llu, expected 1 to %llu",
                       (unsigned long long)c.dim, (unsigned long long)FT_SS_DIM_MAX);
    if (c.n_cap < 2)
        return ft_fail(err, FT_ERR_VERIFY, "descriptor: n_cap is %u", c.n_cap);
    if (c.check_lanes * c.lane_bits < FT_SS_CHECK_BITS || c.check_lanes + c.weight_lanes > HEAD_MAX)
        return ft_fail(err, FT_ERR_VERIFY,
                       "descriptor: %u check and %u weight lanes; the checks need %u bits, both at most "
                       "%u lanes",
                       c.check_lanes, c.weight_lanes, FT_SS_CHECK_BITS, HEAD_MAX);
    if (!isfinite(c.clip) || c.clip < 0 || !isfinite(c.noise_var) || c.noise_var < 0 ||
        !isfinite(c.quant_step) || c.quant_step < 0)
        return ft_fail(err, FT_ERR_VERIFY,
                       "descriptor: clip, quant_step and noise_var must be finite and not negative");
    q_most = headroom(c.lane_bits, c.n_cap, ft_ss_noise_margin(c.dim, c.n_cap, c.noise_var));
    if (c.quant_max == 0 || c.quant_max > q_most)
        return ft_fail(err, FT_ERR_VERIFY,
                       "descriptor: quant_max is %u, lanes of %u bits hold %u clients up to %llu",
                       c.quant_max, c.lane_bits, c.n_cap, (unsigned long long)q_most);
    if (c.weight_lanes > 0 && ft_ss_limb_bits(c.lane_bits, c.n_cap) == 0)
        return ft_fail(err, FT_ERR_VERIFY, "descriptor: lanes of %u bits hold no weight of %u clients",
                       c.lane_bits, c.n_cap);
    if (lane_max(c.lane_bits) < c.n_cap)
        return ft_fail(err, FT_ERR_VERIFY, "descriptor: lanes of %u bits cannot count %u clients",
                       c.lane_bits, c.n_cap);
    if (c.noise_var == 0.0 && c.quant_step != c.clip / c.quant_max)
        return ft_fail(err, FT_ERR_VERIFY, "descriptor: quant_step %g is not clip %g / quant_max %u",
                       c.quant_step, c.clip, c.quant_max);
    codec_layout(&c);
    *out = c;
    return FT_OK;
}

/* Random bits for many coordinates: one key from the environment, expanded block by block. */
#define BLOCK 2048u
struct bits_source {
    uint8_t key[32];
    uint64_t block;
    uint32_t bits[BLOCK];
};

static void
source_open(struct bits_source *s, const struct ft_env *env)
{
    env->random(env->ctx, s->key, sizeof s->key);
    s->block = 0;
}

static void
source_next(struct bits_source *s)
{
    uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];
    ft_put_u64(nonce, s->block++);
    crypto_stream_chacha20((uint8_t *)s->bits, sizeof s->bits, nonce, s->key);
}

/* Exactly one of v and u is given. */
static enum ft_status
quantise(const struct ft_ss_codec *codec, const struct ft_env *env, const double *v, const float *u,
         double weight, size_t count, int64_t *z)
{
    const struct ft_ss_round how = { .step = codec->quant_step, .q = codec->quant_max };
    struct bits_source source; /* decides roundings, so it is wiped */
    bool finite = isfinite(weight);

    if (count == 0)
        return FT_OK;
    if (!(codec->quant_step > 0)) {
        memset(z, 0, count * sizeof *z);
        return FT_ERR_NONFINITE;
    }
    source_open(&source, env);
    for (size_t at = 0; at < count; at += BLOCK) {
        const size_t n = count - at < BLOCK ? count - at : BLOCK;
        source_next(&source);
        if (v != NULL)
            finite &= ft_ss_kernel_quantise(&how, v + at, source.bits, n, z + at);
        else
            finite &= ft_ss_kernel_quantise_f32(&how, u + at, weight, source.bits, n, z + at);
    }
    sodium_memzero(&source, sizeof source);
    if (finite)
        return FT_OK;
    sodium_memzero(z, count * sizeof *z);
    return FT_ERR_NONFINITE;
}

enum ft_status
ft_ss_quantise(const struct ft_ss_codec *codec, const struct ft_env *env, const double *v, size_t count,
               int64_t *z)
{
    return quantise(codec, env, v, NULL, 1.0, count, z);
}

enum ft_status
ft_ss_quantise_f32(const struct ft_ss_codec *codec, const struct ft_env *env, const float *u, double weight,
                   size_t count, int64_t *z)
{
    return quantise(codec, env, NULL, u, weight, count, z);
}

void
ft_ss_dequantise(const struct ft_ss_codec *codec, const int64_t *z, size_t count, double divisor, double *v)
{
    for (size_t i = 0; i < count; i++)
        v[i] = (double)z[i] * codec->quant_step / divisor;
}

/* How a vector lies in its words: `head` words hold checks, weights and the first coordinates, `whole` words
 * only coordinates, and `tail` words (0 or 1) the rest with padding. */
struct layout {
    size_t head_lanes; /* checks and weights */
    size_t head, whole, tail;
    size_t head_coordinates, tail_coordinates;
};

static struct layout
layout_of(const struct ft_ss_codec *c)
{
    struct layout at = { .head_lanes = (size_t)c->check_lanes + c->weight_lanes };
    size_t rest;
    at.head = (size_t)ft_ss_words_of(at.head_lanes, c->lanes);
    at.head_coordinates = at.head * c->lanes - at.head_lanes;
    if (at.head_coordinates > c->dim)
        at.head_coordinates = (size_t)c->dim;
    rest = (size_t)c->dim - at.head_coordinates;
    at.whole = rest / c->lanes;
    at.tail_coordinates = rest % c->lanes;
    at.tail = at.tail_coordinates != 0;
    assert(at.head + at.whole + at.tail == c->words);
    return at;
}

enum ft_status
ft_ss_pack(const struct ft_ss_codec *c, uint64_t weight, const int64_t *z, uint64_t *words)
{
    const struct layout at = layout_of(c);
    int64_t edge[HEAD_MAX + LANES_MAX] = { 0 };
    uint64_t rest = weight;
    bool fits = true;
    size_t done = at.head_coordinates;

    for (size_t i = 0; i < c->check_lanes; i++)
        edge[i] = 1;
    for (size_t i = c->check_lanes; i < at.head_lanes; i++) {
        edge[i] = (int64_t)(rest & (((uint64_t)1 << c->weight_limb_bits) - 1));
        rest >>= c->weight_limb_bits;
    }
    fits &= c->weight_lanes == 0 || rest == 0; /* without weight lanes nothing is said about the weight */
    memcpy(edge + at.head_lanes, z, at.head_coordinates * sizeof *z);
    fits &= ft_ss_kernel_pack(c->lane_bits, c->lanes, c->coordinate_max, edge, at.head, words);
    fits &= ft_ss_kernel_pack(c->lane_bits, c->lanes, c->coordinate_max, z + done, at.whole, words + at.head);
    done += at.whole * c->lanes;
    memset(edge, 0, sizeof edge);
    memcpy(edge, z + done, at.tail_coordinates * sizeof *z);
    fits &= ft_ss_kernel_pack(c->lane_bits, c->lanes, c->coordinate_max, edge, at.tail,
                              words + at.head + at.whole);
    sodium_memzero(edge, sizeof edge);
    if (fits)
        return FT_OK;
    sodium_memzero(words, (size_t)c->words * sizeof *words);
    return FT_ERR_LIMIT;
}

/* Limbs of a sum of weights back to an integer. */
static enum ft_status
join_weight(const struct ft_ss_codec *c, const int64_t *limbs, uint64_t *weight)
{
    uint64_t sum = 0;
    for (size_t i = c->weight_lanes; i-- > 0;) {
        if (limbs[i] < 0 || (c->weight_limb_bits < 64 && sum >> (64 - c->weight_limb_bits) != 0))
            return FT_ERR_LIMIT;
        sum <<= c->weight_limb_bits;
        if (__builtin_add_overflow(sum, (uint64_t)limbs[i], &sum))
            return FT_ERR_LIMIT;
    }
    *weight = sum;
    return FT_OK;
}

/* What can be judged of a sum without its coordinates: check lanes, weight, padding, spare bits. The first
 * and the last words' lanes are left in `head` and `tail`. */
static enum ft_status
judge_edges(const struct ft_ss_codec *c, const struct layout *at, const uint64_t *words, uint32_t survivors,
            int64_t *head, int64_t *tail, uint64_t *weight_sum)
{
    uint64_t spare = ft_ss_kernel_unpack(c->lane_bits, c->lanes, words, at->head, head);
    spare |= ft_ss_kernel_unpack(c->lane_bits, c->lanes, words + at->head + at->whole, at->tail, tail);
    *weight_sum = 0;
    for (size_t i = 0; i < c->check_lanes; i++)
        if (head[i] != (int64_t)survivors)
            return FT_ERR_VERIFY;
    for (size_t i = at->head_lanes + at->head_coordinates; i < at->head * c->lanes; i++)
        if (head[i] != 0)
            return FT_ERR_VERIFY;
    for (size_t i = at->tail_coordinates; i < at->tail * c->lanes; i++)
        if (tail[i] != 0)
            return FT_ERR_VERIFY;
    return spare == 0 ? join_weight(c, head + c->check_lanes, weight_sum) : FT_ERR_VERIFY;
}

enum ft_status
ft_ss_check_sum(const struct ft_ss_codec *c, const uint64_t *words, uint32_t survivors)
{
    const struct layout at = layout_of(c);
    int64_t head[HEAD_MAX + LANES_MAX], tail[HEAD_MAX + LANES_MAX];
    uint64_t weight;
    const enum ft_status st = judge_edges(c, &at, words, survivors, head, tail, &weight);

    if (st != FT_OK)
        return st;
    return ft_ss_kernel_spare(c->lane_bits, c->lanes, words + at.head, at.whole) == 0 ? FT_OK : FT_ERR_VERIFY;
}

enum ft_status
ft_ss_unpack(const struct ft_ss_codec *c, const uint64_t *words, uint32_t survivors, int64_t *z,
             uint64_t *weight_sum)
{
    const struct layout at = layout_of(c);
    int64_t head[HEAD_MAX + LANES_MAX], tail[HEAD_MAX + LANES_MAX];
    const enum ft_status st = judge_edges(c, &at, words, survivors, head, tail, weight_sum);
    size_t done = at.head_coordinates;

    if (st != FT_OK)
        return st;
    memcpy(z, head + at.head_lanes, at.head_coordinates * sizeof *z);
    if (ft_ss_kernel_unpack(c->lane_bits, c->lanes, words + at.head, at.whole, z + done) != 0)
        return FT_ERR_VERIFY;
    done += at.whole * c->lanes;
    memcpy(z + done, tail, at.tail_coordinates * sizeof *z);
    return FT_OK;
}
