/*
 * The law of the losses' sum and its tail. A tilt e^(t g) moves the mass to where the answer is: without it, rounding of
 * the transform would swamp any delta below 1e-8. Every tilt gives a valid bound, since rounding is added to it; the
 * least one that makes rounding negligible is taken, for a tilted law is wide where single steps can lose much.
 */
#include "common/privacy/accountant/accountant_internal.h"

#include "common/base/alloc.h"
#include <math.h>

#define BLOCK      64
#define LOG2_MAX   23
#define OUTSIDE    27.631021115928547 /* ln 1e12: one in that many may fall outside the window ... */
#define ROUNDING   1e-10              /* ... which this covers, with the rounding of the transform */
#define NEGLIGIBLE 1e-4               /* of delta: what rounding may add to it */
#define ITERATIONS 10

/* Cumulant generating function of the sum, and its first two derivatives, at one tilt. */
struct cumulant {
    double k, mean, variance;
};

/* ln sum of mass e^(t g) over one law. exp is taken once a block; `e` holds e^(t step j), j < BLOCK. */
static struct cumulant
law_cumulant(const struct ft_pld_law *law, double step, double t, const double *e)
{
    double most = -INFINITY, s0 = 0, s1 = 0, s2 = 0; /* of offsets from the first point, in units of it */

    for (size_t b = 0; b < law->count; b += BLOCK) {
        const size_t n = law->count - b < BLOCK ? law->count - b : BLOCK;
        const double *mass = law->mass + b;
        double a0 = 0, a1 = 0, a2 = 0;
        for (size_t j = 0; j < n; j++) {
            const double v = mass[j] * e[j], d = (double)j;
            a0 += v;
            a1 += v * d;
            a2 += v * d * d;
        }
        if (!(a0 > 0))
            continue;
        const double at = (double)b, scale = t * step * at;
        a2 += (2 * a1 + a0 * at) * at;
        a1 += a0 * at;
        if (scale + log(a0) > most + 30 || most == -INFINITY) { /* a new reference, well above the old one */
            const double reference = scale + log(a0), shrink = exp(most - reference);
            s0 *= shrink;
            s1 *= shrink;
            s2 *= shrink;
            most = reference;
        }
        const double f = exp(scale - most);
        s0 += a0 * f;
        s1 += a1 * f;
        s2 += a2 * f;
    }
    const double mean = s1 / s0;
    return (struct cumulant){ .k = most + log(s0) + t * step * (double)law->first,
                              .mean = ((double)law->first + mean) * step,
                              .variance = fmax(s2 / s0 - mean * mean, 0) * step * step };
}

struct sum {
    const struct ft_pld_event *events;
    size_t count;
    int direction;
    double step;
    double least, most; /* support of the sum */
    double infinite;    /* delta_inf */
    double tilt_max;
};

static struct cumulant
cumulant_at(const struct sum *s, double t)
{
    struct cumulant c = { 0 };
    double e[BLOCK];
    for (int j = 0; j < BLOCK; j++)
        e[j] = exp(t * s->step * j);
    for (size_t i = 0; i < s->count; i++) {
        const struct cumulant one = law_cumulant(&s->events[i].law[s->direction], s->step, t, e);
        const double steps = (double)s->events[i].steps;
        c.k += steps * one.k;
        c.mean += steps * one.mean;
        c.variance += steps * one.variance;
    }
    return c;
}

static struct sum
sum_of(const struct ft_pld_event *events, size_t count, int direction, double step)
{
    struct sum s = { .events = events, .count = count, .direction = direction, .step = step };
    double log_finite = 0;
    for (size_t i = 0; i < count; i++) {
        const struct ft_pld_law *law = &events[i].law[direction];
        const double steps = (double)events[i].steps;
        s.least += steps * (double)law->first * step;
        s.most += steps * ((double)law->first + (double)law->count - 1) * step;
        log_finite += steps * log1p(-law->infinite);
    }
    s.infinite = -expm1(log_finite);
    s.tilt_max = 400 / (BLOCK * step);
    return s;
}

/* The t >= 0 at which a rising function of the cumulants reaches `target`: Newton's steps within a bracket that always
 * holds the root. `chernoff` asks t K'(t) - K(t), else K'(t). */
static double
solve_tilt(const struct sum *s, double target, bool chernoff, struct cumulant *at)
{
    double low = 0, high = s->tilt_max, t = chernoff ? 1 : 0;
    for (int i = 0; i < 80; i++) {
        const struct cumulant c = cumulant_at(s, t);
        const double value = chernoff ? t * c.mean - c.k : c.mean;
        const double slope = chernoff ? t * c.variance : c.variance;
        const double close = chernoff ? 1e-3 * target : 0.02 * sqrt(c.variance);
        *at = c;
        if (!isfinite(value))
            high = t;
        else if (fabs(value - target) <= close || (t == 0 && value >= target))
            break;
        else if (value < target)
            low = t;
        else
            high = t;
        double next = t + (target - value) / slope;
        if (!(next > low) || !(next < high)) {
            const double doubled = 4 * low + 1e-3; /* the bracket spans many magnitudes at first */
            next = doubled < high ? doubled : low + (high - low) / 2;
        }
        if (fabs(next - t) <= 1e-9 * (next + t))
            break;
        t = next;
    }
    *at = cumulant_at(s, t);
    return t;
}

/* A tilt in [0, most] with K(t) - t e at most `target`, little more of it than that takes; where none has it, the one
 * at which it is least. */
static double
least_tilt(const struct sum *s, double e, double target, double most, struct cumulant *at)
{
    struct cumulant c;
    double low = 0, high = most;

    *at = cumulant_at(s, 0);
    if (at->k <= target)
        return 0;
    *at = cumulant_at(s, most);
    if (at->k - most * e > target) {
        const double t = solve_tilt(s, e, false, &c);
        if (c.k - t * e < at->k - most * e) {
            *at = c;
            high = t;
        }
    }
    if (at->k - high * e > target)
        return high;
    for (int i = 0; i < 5; i++) {
        const double t = low + (high - low) / 2;
        c = cumulant_at(s, t);
        if (c.k - t * e <= target) {
            high = t;
            *at = c;
        } else {
            low = t;
        }
    }
    return high;
}

/* The tilted law of the sum over one window. */
struct window {
    struct ft_complex *x; /* (points) probability at index (k mod points) */
    size_t points;
    double t, k0; /* tilt, K(t) */
    int64_t low, high;
};

/* The least Chernoff bound on one side of the tilted law: (K(t + d) - K(t) + ln(1/outside)) / |d| has one minimum over
 * |d|, and every d gives a bound. Walk downhill from where a normal law has it, turning with half the step. */
static double
reach(const struct sum *s, double t, const struct cumulant *c, double sign)
{
    double log_d = 0.5 * log(2 * OUTSIDE / fmax(c->variance, 1e-30)), walk = 0.7, best = INFINITY;
    for (int i = 0; i < 24 && fabs(walk) > 0.04; i++) {
        const double d = exp(log_d + walk);
        const bool within = fabs(t + sign * d) <= s->tilt_max;
        const double bound = within ? (cumulant_at(s, t + sign * d).k - c->k + OUTSIDE) / d : INFINITY;
        if (bound < best) {
            best = bound;
            log_d += walk;
        } else {
            walk *= -0.5;
        }
    }
    return best;
}

static void
window_bounds(const struct sum *s, double t, const struct cumulant *c, double *low, double *high)
{
    *high = fmin(s->most, reach(s, t, c, 1));
    *low = fmax(s->least, -reach(s, t, c, -1));
}

static inline struct ft_complex
times(struct ft_complex a, struct ft_complex b)
{
    return (struct ft_complex){ a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re };
}

/* x[i] = x[i]^power, or y[i] * x[i]^power when y is given. Groups, since one power alone waits for itself. */
static void
raise(struct ft_complex *x, size_t points, uint64_t power, const struct ft_complex *y)
{
    enum { GROUP = 16 };
    for (size_t at = 0; at < points; at += GROUP) {
        const size_t n = points - at < GROUP ? points - at : GROUP;
        struct ft_complex base[GROUP], result[GROUP];
        for (size_t i = 0; i < n; i++) {
            base[i] = x[at + i];
            result[i] = y != NULL ? y[at + i] : (struct ft_complex){ 1, 0 };
        }
        for (uint64_t left = power; left != 0; left >>= 1) {
            for (size_t i = 0; i < n && (left & 1) != 0; i++)
                result[i] = times(result[i], base[i]);
            for (size_t i = 0; i < n && left > 1; i++)
                base[i] = times(base[i], base[i]);
        }
        for (size_t i = 0; i < n; i++)
            x[at + i] = result[i];
    }
}

static void
place_tilted(const struct ft_pld_law *law, double step, double t, struct ft_complex *x, size_t points)
{
    double e[BLOCK];
    for (int j = 0; j < BLOCK; j++)
        e[j] = exp(t * step * j);
    const struct cumulant own = law_cumulant(law, step, t, e);
    for (size_t i = 0; i < points; i++)
        x[i] = (struct ft_complex){ 0, 0 };
    for (size_t b = 0; b < law->count; b += BLOCK) {
        const double scale = exp(fmin(t * step * ((double)law->first + (double)b) - own.k, 700)); /* mass there is 0 */
        for (size_t j = 0; j < BLOCK && b + j < law->count; j++)
            if (law->mass[b + j] > 0) {
                const uint64_t index = (uint64_t)(law->first + (int64_t)(b + j)) & (points - 1);
                x[index].re += law->mass[b + j] * e[j] * scale;
            }
    }
}

static void
window_clear(struct window *w)
{
    ft_big_free(w->x, w->points * sizeof *w->x);
    *w = (struct window){ 0 };
}

static enum ft_status
window_make(const struct sum *s, double t, const struct cumulant *c, struct window *out)
{
    struct window w = { .t = t, .k0 = c->k };
    struct ft_complex *product = NULL;
    struct ft_fft *fft = NULL;
    double low, high;
    unsigned log2 = 4;
    enum ft_status st = FT_OK;

    window_bounds(s, t, c, &low, &high);
    if (!isfinite(low) || !isfinite(high) || !isfinite(c->k))
        return FT_ERR_NONFINITE;
    if (fabs(low / s->step) > 1e15 || fabs(high / s->step) > 1e15)
        return FT_ERR_LIMIT;
    w.low = (int64_t)floor(low / s->step);
    w.high = (int64_t)ceil(high / s->step);
    while (((int64_t)1 << log2) <= w.high - w.low)
        if (++log2 > LOG2_MAX)
            return FT_ERR_LIMIT;
    w.points = (size_t)1 << log2;
    fft = ft_fft_new(log2);
    w.x = ft_big_alloc(w.points * sizeof *w.x);
    product = s->count > 1 ? ft_big_alloc(w.points * sizeof *w.x) : NULL;
    if (fft == NULL || w.x == NULL || (s->count > 1 && product == NULL)) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    for (size_t i = 0; i < s->count; i++) {
        place_tilted(&s->events[i].law[s->direction], s->step, t, w.x, w.points);
        ft_fft_forward(fft, w.x);
        raise(w.x, w.points, s->events[i].steps, i > 0 ? product : NULL);
        for (size_t p = 0; i + 1 < s->count && p < w.points; p++)
            product[p] = w.x[p];
    }
    ft_fft_inverse(fft, w.x);
    *out = w;
    w.x = NULL;
out:
    ft_big_free(product, w.points * sizeof *product);
    ft_fft_free(fft);
    if (w.x != NULL)
        window_clear(&w);
    return st;
}

/* Rounding grows with the power that is taken. */
static double
rounding_of(const struct sum *s)
{
    double steps = 0;
    for (size_t i = 0; i < s->count; i++)
        steps += (double)s->events[i].steps;
    return fmax(ROUNDING, 1e-14 * steps);
}

/* Mass of the sum at index k, untilted. */
static double
mass_at(const struct window *w, int64_t k, double step)
{
    const double v = w->x[(uint64_t)k & (w->points - 1)].re / (double)w->points;
    return v > 0 ? v * exp(w->k0 - w->t * (double)k * step) : 0;
}

/*
 * The largest e at which delta(e) still reaches `delta`, going down from the top. With A the mass above e and S the
 * sum of mass times e^(e-g) there, delta(e) = A - S + delta_inf + rounding; one cell down, S becomes (S + mass) e^-step.
 */
static double
descend(const struct sum *s, const struct window *w, double delta)
{
    const double noise = rounding_of(s), step = s->step, fall = exp(-step);
    const double left = delta - s->infinite;
    double above = 0, scaled = 0;

    if (noise * exp(w->k0 - w->t * (double)w->high * step) >= left)
        return w->t > 0 ? (w->k0 - log(left / noise)) / w->t : INFINITY;
    for (int64_t k = w->high; k > w->low; k--) {
        const double g = (double)k * step, mass = mass_at(w, k, step);
        const double next_above = above + mass, next_scaled = (scaled + mass) * fall;
        const double lower = g - step;
        if (next_above - next_scaled + noise * exp(w->k0 - w->t * lower) >= left) {
            double a = lower, b = g; /* delta(a) >= left > delta(b) */
            for (int i = 0; i < 60; i++) {
                const double e = a + (b - a) / 2;
                if (next_above - (scaled + mass) * exp(e - g) + noise * exp(w->k0 - w->t * e) >= left)
                    a = e;
                else
                    b = e;
            }
            return fmax(b, 0);
        }
        if (lower <= 0)
            return 0;
        above = next_above;
        scaled = next_scaled;
    }
    return fmax((double)w->low * step, 0);
}

enum ft_status
ft_pld_solve(const struct ft_pld_event *events, size_t count, int direction, double step, double delta,
             double *epsilon)
{
    const struct sum s = sum_of(events, count, direction, step);
    struct cumulant c;
    double best = INFINITY;
    enum ft_status st = FT_OK;

    if (!(s.infinite < delta / 2))
        return FT_ERR_NONFINITE;
    const double most = solve_tilt(&s, -log(delta), true, &c);
    double aim = 0.85 * (c.k - log(delta)) / most; /* the best Chernoff bound is some 10 % above the answer */
    for (int i = 0; i < ITERATIONS; i++) {
        struct window w;
        const double t = least_tilt(&s, aim, log(NEGLIGIBLE * delta / rounding_of(&s)), most, &c);
        FT_TRY(window_make(&s, t, &c, &w));
        const double e = descend(&s, &w, delta);
        window_clear(&w);
        const bool settled = fabs(aim - 0.95 * e) <= 0.01 * aim;
        best = fmin(best, e);
        if (e <= 0 || settled || rounding_of(&s) * exp(c.k - t * e) <= NEGLIGIBLE * delta)
            break;
        aim = isfinite(e) ? 0.95 * e : 0.8 * aim;
    }
    if (!isfinite(best))
        return FT_ERR_NONFINITE;
    *epsilon = best;
out:
    return st;
}

enum ft_status
ft_pld_tail(const struct ft_pld_event *events, size_t count, int direction, double step, double epsilon, double *delta)
{
    const struct sum s = sum_of(events, count, direction, step);
    struct cumulant c;
    double best = INFINITY;
    enum ft_status st = FT_OK;

    /* delta is mostly a hundredth or more of its Chernoff bound e^(K - t e), which is least at K'(t) = e */
    const double most = solve_tilt(&s, epsilon, false, &c);
    const double target = c.k - most * epsilon + log(0.01 * NEGLIGIBLE / rounding_of(&s));
    for (int tries = 0; tries < 2; tries++) {
        struct window w;
        const double t = least_tilt(&s, epsilon, tries == 0 ? target : -INFINITY, most, &c);
        const double rounding = rounding_of(&s) * exp(c.k - t * epsilon);
        double sum = 0;
        FT_TRY(window_make(&s, t, &c, &w));
        for (int64_t k = w.high; k >= w.low && (double)k * step > epsilon; k--)
            sum += mass_at(&w, k, step) * -expm1(epsilon - (double)k * step);
        window_clear(&w);
        best = fmin(best, sum + s.infinite + rounding);
        if (rounding <= 100 * NEGLIGIBLE * sum)
            break;
    }
    if (!isfinite(best))
        return FT_ERR_NONFINITE;
    *delta = fmin(best, 1);
out:
    return st;
}
