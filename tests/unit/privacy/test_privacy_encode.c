#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/privacy/encode.h"
#include "common/privacy/round.h"

#include <float.h>
#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define MOST ((int64_t)1 << 40)

static struct ft_encoder_config
config_of(size_t coordinates, bool rotated, bool indicator)
{
    static const uint8_t seed[32] = { 7, 1, 4 };
    struct ft_encoder_config c = { .coordinates = coordinates,
                                   .rotation_seed = rotated ? seed : NULL,
                                   .indicator = indicator,
                                   .coordinate_max = MOST,
                                   .clip = 1.5 };
    c.params = (struct ft_privacy_params){ .q_num = FT_PRIVACY_Q_ONE, .clip = 1.5, .t_min = 5, .m_stores = 1, .steps = 1 };
    c.params.dim = ft_encoded_dim(coordinates, rotated, indicator);
    c.params.scale = ft_privacy_scale(c.params.dim);
    c.params.lambda = indicator ? c.params.scale / 16 : 0;
    c.params.delta_int_sq = ft_privacy_delta_int_sq(c.params.scale, c.params.dim, c.params.lambda);
    c.params.sigma_share = 3000;
    return c;
}

/* What a contribution of these rows holds, the noise taken off again: the same randomness makes the same noise. */
static void
sum_of(const struct ft_encoder_config *c, uint64_t seed, const float *rows, size_t count, size_t skip, int64_t *sum)
{
    struct ft_env_seeded e, again;
    struct ft_noise *noise, *same;
    struct ft_encoder *enc;
    struct ft_error err = { 0 };
    const struct ft_encoder_config empty = *c;
    int64_t *base = calloc((size_t)c->params.dim, sizeof *base);
    ft_env_seeded_init(&e, seed, 2);
    ft_env_seeded_init(&again, seed, 2);
    assert_int_equal(ft_noise_draw(&e.env, c->params.dim, c->params.sigma_share, &noise), FT_OK);
    assert_int_equal(ft_noise_draw(&again.env, c->params.dim, c->params.sigma_share, &same), FT_OK);
    assert_int_equal(ft_encoder_open(c, &e.env, &noise, &enc, &err), FT_OK);
    for (size_t i = 0; i < count; i++)
        if (i != skip)
            ft_encoder_add(enc, i, rows + i * c->coordinates);
    assert_int_equal(ft_encoder_finish(enc, sum), FT_OK);
    ft_encoder_close(enc);
    assert_int_equal(ft_encoder_open(&empty, &again.env, &same, &enc, &err), FT_OK);
    assert_int_equal(ft_encoder_finish(enc, base), FT_OK);
    ft_encoder_close(enc);
    for (uint64_t i = 0; i < c->params.dim; i++)
        sum[i] -= base[i];
    free(base);
}

static float
random_float(struct ft_env_seeded *e)
{
    return (float)((double)(ft_random_u64(&e->env) >> 11) * 0x1p-52 - 1.0);
}

/* The exact squared distance of two sums. */
static unsigned __int128
distance_sq(const int64_t *a, const int64_t *b, uint64_t dim)
{
    unsigned __int128 total = 0;
    for (uint64_t i = 0; i < dim; i++) {
        const int64_t d = a[i] - b[i];
        total += (unsigned __int128)((__int128)d * d);
    }
    return total;
}

/* With or without one customer, whatever their vector, the sum before noise differs by at most Delta, exactly: with
 * and without rotation, indicator, and clamping. */
static void
encoder_one_customer_moves_the_sum_by_at_most_delta(void **state)
{
    enum { CUSTOMERS = 6 };
    static const size_t sizes[] = { 1, 2, 16, 33, 1000 };
    struct ft_env_seeded e;
    (void)state;
    ft_env_seeded_init(&e, 21, 1);
    for (int turn = 0; turn < 240; turn++) {
        const size_t coordinates = sizes[turn % 5];
        struct ft_encoder_config c = config_of(coordinates, turn & 1, (turn & 2) != 0);
        if ((turn & 4) != 0)
            c.coordinate_max = 1000;
        float *rows = calloc(CUSTOMERS * coordinates, sizeof *rows);
        int64_t *with = calloc((size_t)c.params.dim, sizeof *with), *without = calloc((size_t)c.params.dim, sizeof *without);
        const float sizes_of[] = { 1e-30f, 0.01f, 1.5f, 3e38f };
        for (size_t i = 0; i < CUSTOMERS * coordinates; i++)
            rows[i] = random_float(&e) * sizes_of[(turn / 8) % 4];
        const size_t victim = (size_t)turn % CUSTOMERS;
        sum_of(&c, (uint64_t)turn, rows, CUSTOMERS, CUSTOMERS, with);
        sum_of(&c, (uint64_t)turn, rows, CUSTOMERS, victim, without);
        assert_true(distance_sq(with, without, c.params.dim) <= c.params.delta_int_sq);
        free(rows);
        free(with);
        free(without);
    }
}

/* All rows of one customer changed, the customer still being there: the sum moves by what leaves plus what comes, and
 * what the other customers add stays exactly the same. */
static void
encoder_customer_depends_on_no_other(void **state)
{
    enum { CUSTOMERS = 4, COORDINATES = 50 };
    struct ft_encoder_config c = config_of(COORDINATES, true, true);
    struct ft_env_seeded e;
    float rows[CUSTOMERS * COORDINATES], changed[CUSTOMERS * COORDINATES];
    int64_t a[65], b[65], a_rest[65], b_rest[65];
    (void)state;
    assert_int_equal(c.params.dim, 65);
    ft_env_seeded_init(&e, 22, 1);
    for (size_t i = 0; i < CUSTOMERS * COORDINATES; i++)
        rows[i] = changed[i] = random_float(&e);
    for (size_t i = 0; i < COORDINATES; i++)
        changed[i] = 1e30f * random_float(&e);
    sum_of(&c, 5, rows, CUSTOMERS, CUSTOMERS, a);
    sum_of(&c, 5, changed, CUSTOMERS, CUSTOMERS, b);
    sum_of(&c, 5, rows, CUSTOMERS, 0, a_rest);
    sum_of(&c, 5, changed, CUSTOMERS, 0, b_rest);
    assert_memory_equal(a_rest, b_rest, sizeof a_rest);
    assert_true(distance_sq(a, a_rest, 65) <= c.params.delta_int_sq);
    assert_true(distance_sq(b, b_rest, 65) <= c.params.delta_int_sq);
    assert_memory_not_equal(a, b, sizeof a);
}

/* Hostile vectors: what is no number counts as zero, everything else stays within the gate. */
static void
encoder_hostile_vectors_stay_within_the_gate(void **state)
{
    enum { D = 300 };
    struct ft_encoder_config c = config_of(D, false, false);
    const float hostile[] = { NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, FLT_MIN, FLT_TRUE_MIN, 1e-45f, 0, 1.5f, -0.0f };
    int64_t zero[D] = { 0 };
    (void)state;
    for (size_t h = 0; h < sizeof hostile / sizeof hostile[0]; h++)
        for (int form = 0; form < 3; form++) {
            float v[D] = { 0 };
            int64_t sum[D];
            for (size_t i = 0; i < D; i++)
                v[i] = form == 0 ? hostile[h] : form == 1 ? (i == 7 ? hostile[h] : 0) : (i == 7 ? hostile[h] : 1);
            sum_of(&c, h, v, 1, 1, sum);
            assert_true(distance_sq(sum, zero, D) <= c.params.delta_int_sq);
            if (!isfinite(hostile[h]))
                assert_memory_equal(sum, zero, sizeof sum);
            if (form == 1 && hostile[h] == FLT_MAX) /* one-hot, far too long: scaled down to the clip, not lost */
                assert_true(sum[7] == 4095 || sum[7] == 4096);
        }
}

/* The same behind rotation and indicator, and for vectors at the bound itself: norms of exactly the clip, all
 * coordinates alike, sums that cancel, halves that rounding could push over the bound. What is no number leaves the
 * indicator of a short vector and nothing else. */
static void
encoder_hostile_vectors_stay_within_the_gate_when_rotated(void **state)
{
    enum { D = 300, DIM = 513, KINDS = 12 };
    struct ft_encoder_config c = config_of(D, true, true);
    int64_t zero[DIM] = { 0 };
    struct ft_env_seeded e;
    (void)state;
    assert_int_equal(c.params.dim, DIM);
    ft_env_seeded_init(&e, 27, 1);
    for (int kind = 0; kind < KINDS; kind++)
        for (uint64_t turn = 0; turn < 20; turn++) {
            float v[D] = { 0 };
            int64_t sum[DIM];
            const float alike = (float)(c.clip / sqrt(D));
            for (size_t i = 0; i < D; i++) {
                const float r = random_float(&e);
                const float all[KINDS] = { i == 3 ? NAN : r, i == 3 ? INFINITY : r, i == 3 ? -INFINITY : 0, FLT_TRUE_MIN,
                                           FLT_MIN * r, i % 2 ? FLT_MAX : -FLT_MAX, i == 3 ? 1.5f : 0, alike,
                                           i % 2 ? alike : -alike, r, 1e30f * r, i == 0 ? FLT_MAX : FLT_TRUE_MIN };
                v[i] = all[kind];
            }
            sum_of(&c, turn, v, 1, 1, sum);
            assert_true(distance_sq(sum, zero, DIM) <= c.params.delta_int_sq);
            assert_int_equal(llabs(sum[DIM - 1]), c.params.lambda);
            if (kind < 3) {
                assert_memory_equal(sum, zero, (DIM - 1) * sizeof sum[0]);
                assert_int_equal(sum[DIM - 1], c.params.lambda);
            }
            if (kind == 5 || kind == 10)
                assert_int_equal(sum[DIM - 1], -(int64_t)c.params.lambda);
        }
}

/* Over many roundings the mean of what comes out is the vector itself. */
static void
encoder_rounding_is_fair(void **state)
{
    enum { D = 40, TURNS = 4000 };
    struct ft_encoder_config c = config_of(D, false, false);
    const double unit = ft_privacy_quant_step(c.clip, c.params.scale);
    float v[D];
    double mean[D] = { 0 };
    (void)state;
    for (int i = 0; i < D; i++)
        v[i] = (float)((i - 20) * 1.37 * unit / 8);
    for (int t = 0; t < TURNS; t++) {
        int64_t sum[D];
        sum_of(&c, 1000 + (uint64_t)t, v, 1, 1, sum);
        for (int i = 0; i < D; i++)
            mean[i] += (double)sum[i] / TURNS;
    }
    for (int i = 0; i < D; i++)
        assert_true(fabs(mean[i] - (double)v[i] / unit) < 5.5 * 0.5 / sqrt(TURNS));
}

/* Without noise, with another task's noise or with noise of another length there is no encoder; noise is used up. */
static void
encoder_without_its_noise_does_not_open(void **state)
{
    struct ft_encoder_config c = config_of(20, false, false);
    struct ft_env_seeded e;
    struct ft_noise *n = NULL;
    struct ft_encoder *enc;
    int64_t x[20];
    (void)state;
    ft_env_seeded_init(&e, 24, 1);
    assert_int_equal(ft_encoder_open(&c, &e.env, &n, &enc, NULL), FT_ERR_ARGUMENT);
    assert_int_equal(ft_noise_draw(&e.env, 20, 2999, &n), FT_OK);
    assert_int_equal(ft_encoder_open(&c, &e.env, &n, &enc, NULL), FT_ERR_ARGUMENT);
    assert_null(n);
    assert_int_equal(ft_noise_draw(&e.env, 19, 3000, &n), FT_OK);
    assert_int_equal(ft_encoder_open(&c, &e.env, &n, &enc, NULL), FT_ERR_ARGUMENT);
    assert_int_equal(ft_noise_draw(&e.env, 20, 3000, &n), FT_OK);
    assert_int_equal(ft_encoder_open(&c, &e.env, &n, &enc, NULL), FT_OK);
    assert_null(n);
    assert_int_equal(ft_encoder_finish(enc, x), FT_OK);
    assert_int_equal(ft_encoder_finish(enc, x), FT_ERR_STATE);
    ft_encoder_close(enc);
}

/* A shop without customers still sends its noise: the sum has the share's variance. */
static void
encoder_without_customers_sends_noise(void **state)
{
    enum { D = 20000 };
    struct ft_encoder_config c = config_of(D, false, false);
    struct ft_env_seeded e;
    struct ft_noise *n;
    struct ft_encoder *enc;
    int64_t *x = calloc(D, sizeof *x);
    double squares = 0;
    (void)state;
    ft_env_seeded_init(&e, 25, 1);
    assert_int_equal(ft_noise_draw(&e.env, D, 3000, &n), FT_OK);
    assert_int_equal(ft_encoder_open(&c, &e.env, &n, &enc, NULL), FT_OK);
    assert_int_equal(ft_encoder_finish(enc, x), FT_OK);
    ft_encoder_close(enc);
    for (int i = 0; i < D; i++)
        squares += (double)x[i] * (double)x[i] / 9e6;
    assert_true(fabs(squares / D - 1) < 4.9 * sqrt(2.0 / D));
    free(x);
}

/* The fast transform is the matrix, and the rotation can be undone. */
static void
rotation_is_orthogonal_and_can_be_undone(void **state)
{
    static const size_t sizes[] = { 1, 2, 8, 16, 32, 512, 8192 };
    const uint8_t seed[32] = { 9 };
    struct ft_env_seeded e;
    (void)state;
    ft_env_seeded_init(&e, 26, 1);
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        const size_t n = sizes[s];
        float *u = calloc(n, sizeof *u), *from = calloc(n, sizeof *from);
        double *back = calloc(n, sizeof *back);
        uint8_t signs[1024 + 1];
        ft_rotate_signs(seed, signs, n);
        for (size_t i = 0; i < n; i++)
            u[i] = from[i] = random_float(&e);
        ft_rotate(signs, u, n);
        for (size_t i = 0; i < n && i < 64; i++) {
            double exact = 0;
            for (size_t j = 0; j < n; j++) {
                const double sign = (signs[j / 8] >> (j % 8) & 1) != 0 ? -1 : 1;
                exact += (__builtin_popcountll(i & j) & 1 ? -1 : 1) * sign * (double)from[j] / sqrt((double)n);
            }
            assert_true(fabs(exact - (double)u[i]) < 1e-5);
        }
        for (size_t i = 0; i < n; i++)
            back[i] = (double)u[i];
        ft_rotate_back(signs, back, n);
        for (size_t i = 0; i < n; i++)
            assert_true(fabs(back[i] - (double)from[i]) < 1e-5);
        free(u);
        free(from);
        free(back);
    }
    assert_int_equal(ft_rotate_padded(1), 1);
    assert_int_equal(ft_rotate_padded(785), 1024);
    assert_int_equal(ft_rotate_padded(((size_t)1 << 28) + 1), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoder_one_customer_moves_the_sum_by_at_most_delta),
        cmocka_unit_test(encoder_customer_depends_on_no_other),
        cmocka_unit_test(encoder_hostile_vectors_stay_within_the_gate),
        cmocka_unit_test(encoder_hostile_vectors_stay_within_the_gate_when_rotated),
        cmocka_unit_test(encoder_rounding_is_fair),
        cmocka_unit_test(encoder_without_its_noise_does_not_open),
        cmocka_unit_test(encoder_without_customers_sends_noise),
        cmocka_unit_test(rotation_is_orthogonal_and_can_be_undone),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
