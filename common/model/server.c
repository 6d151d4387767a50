#include "common/model/server.h"
#include "common/base/alloc.h"
#include "common/model/model_internal.h"

#include <math.h>
#include <string.h>

#define STATE_MAGIC   UINT32_C(0x56535446) /* "FTSV" */
#define STATE_VERSION 1

struct ft_server {
    struct ft_server_config config;
    uint64_t parameters;
    uint64_t steps;
    double *m; /* (parameters); MOMENTUM and FEDADAM */
    double *v; /* (parameters); FEDADAM */
};

static enum ft_status
config_check(const struct ft_server_config *c, struct ft_error *err)
{
    if (c->kind != FT_SERVER_FEDAVG && c->kind != FT_SERVER_MOMENTUM && c->kind != FT_SERVER_FEDADAM)
        return ft_fail(err, FT_ERR_ARGUMENT, "unknown server optimiser %u", (unsigned)c->kind);
    if (!(c->learning_rate > 0) || !isfinite(c->learning_rate))
        return ft_fail(err, FT_ERR_ARGUMENT, "the server's learning rate is %g; it must be above 0",
                       c->learning_rate);
    if (c->kind != FT_SERVER_FEDAVG && !(c->momentum >= 0 && c->momentum < 1))
        return ft_fail(err, FT_ERR_ARGUMENT, "the server's momentum is %g; it must be at least 0 and below 1",
                       c->momentum);
    if (c->kind == FT_SERVER_FEDADAM && !(c->beta2 >= 0 && c->beta2 < 1))
        return ft_fail(err, FT_ERR_ARGUMENT, "the server's beta2 is %g; it must be at least 0 and below 1", c->beta2);
    if (c->kind == FT_SERVER_FEDADAM && (!(c->epsilon > 0) || !isfinite(c->epsilon)))
        return ft_fail(err, FT_ERR_ARGUMENT, "the server's epsilon is %g; it must be above 0", c->epsilon);
    return FT_OK;
}

enum ft_status
ft_server_open(const struct ft_server_config *config, uint64_t parameters, struct ft_server **out,
               struct ft_error *err)
{
    enum ft_status st;
    struct ft_server *s = NULL;

    *out = NULL;
    FT_TRY(config_check(config, err));
    if (parameters > FT_MODEL_PARAMETERS_MAX)
        return ft_fail(err, FT_ERR_LIMIT, "too many parameters");
    s = ft_calloc(1, sizeof *s);
    if (s == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    s->config = *config;
    s->parameters = parameters;
    if (config->kind != FT_SERVER_FEDAVG)
        s->m = ft_calloc(parameters, sizeof *s->m);
    if (config->kind == FT_SERVER_FEDADAM)
        s->v = ft_calloc(parameters, sizeof *s->v);
    if ((config->kind != FT_SERVER_FEDAVG && s->m == NULL) || (config->kind == FT_SERVER_FEDADAM && s->v == NULL)) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    for (uint64_t i = 0; s->v != NULL && i < parameters; i++)
        s->v[i] = config->epsilon * config->epsilon;
    *out = s;
    s = NULL;
out:
    ft_server_close(s);
    return st;
}

void
ft_server_close(struct ft_server *s)
{
    if (s == NULL)
        return;
    ft_free(s->m);
    ft_free(s->v);
    ft_free(s);
}

uint64_t
ft_server_steps(const struct ft_server *s)
{
    return s->steps;
}

#define INLINE static inline __attribute__((always_inline))

/* One parameter's step, from its mean update d; `kind` is a constant, so that the loops below vectorise. */
INLINE double
step_of(const enum ft_server_kind kind, const struct ft_server_config *c, double d, double *m, double *v)
{
    if (kind == FT_SERVER_MOMENTUM) {
        *m = c->momentum * *m + d;
        return c->learning_rate * *m;
    }
    if (kind == FT_SERVER_FEDADAM) {
        *m = c->momentum * *m + (1 - c->momentum) * d;
        *v = c->beta2 * *v + (1 - c->beta2) * d * d;
        return c->learning_rate * *m / (sqrt(*v) + c->epsilon);
    }
    return c->learning_rate * d;
}

/* Not 0 when the exponent says NaN or infinity. */
INLINE uint64_t
not_finite(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (bits & UINT64_C(0x7ff0000000000000)) == UINT64_C(0x7ff0000000000000);
}

/* The next parameters; `keep`: store them, else say whether one would not be finite. */
INLINE uint64_t
step_all(const enum ft_server_kind kind, struct ft_server *s, const double *sum, double weight, float *params,
         const bool keep)
{
    const struct ft_server_config c = s->config;
    double *const ms = s->m, *const vs = s->v;
    const uint64_t count = s->parameters;
    uint64_t bad = 0;

    for (uint64_t i = 0; i < count; i++) {
        double m = kind != FT_SERVER_FEDAVG ? ms[i] : 0, v = kind == FT_SERVER_FEDADAM ? vs[i] : 0;
        const float next = (float)((double)params[i] + step_of(kind, &c, sum[i] / weight, &m, &v));
        if (!keep) {
            bad |= not_finite((double)next) | not_finite(m) | not_finite(v);
            continue;
        }
        params[i] = next;
        if (kind != FT_SERVER_FEDAVG)
            ms[i] = m;
        if (kind == FT_SERVER_FEDADAM)
            vs[i] = v;
    }
    return bad;
}

enum ft_status
ft_server_step(struct ft_server *s, const double *sum, double weight, float *params)
{
    uint64_t bad;

    if (!(weight > 0) || !isfinite(weight))
        return FT_ERR_ARGUMENT;
    for (int keep = 0; keep < 2; keep++) {
        if (s->config.kind == FT_SERVER_MOMENTUM)
            bad = keep ? step_all(FT_SERVER_MOMENTUM, s, sum, weight, params, true)
                       : step_all(FT_SERVER_MOMENTUM, s, sum, weight, params, false);
        else if (s->config.kind == FT_SERVER_FEDADAM)
            bad = keep ? step_all(FT_SERVER_FEDADAM, s, sum, weight, params, true)
                       : step_all(FT_SERVER_FEDADAM, s, sum, weight, params, false);
        else
            bad = keep ? step_all(FT_SERVER_FEDAVG, s, sum, weight, params, true)
                       : step_all(FT_SERVER_FEDAVG, s, sum, weight, params, false);
        if (bad != 0)
            return FT_ERR_NONFINITE;
    }
    s->steps++;
    return FT_OK;
}

enum ft_status
ft_server_encode(const struct ft_server *s, struct ft_buf *out)
{
    const size_t arrays = (size_t)(s->m != NULL) + (size_t)(s->v != NULL);
    enum ft_status st;

    FT_TRY(ft_buf_u32(out, STATE_MAGIC));
    FT_TRY(ft_buf_u32(out, STATE_VERSION));
    FT_TRY(ft_buf_u32(out, (uint32_t)s->config.kind));
    FT_TRY(ft_buf_u64(out, s->parameters));
    FT_TRY(ft_buf_u64(out, s->steps));
    FT_TRY(ft_buf_reserve(out, (size_t)s->parameters * 8 * arrays));
    for (uint64_t i = 0; s->m != NULL && i < s->parameters; i++)
        FT_TRY(ft_buf_f64(out, s->m[i]));
    for (uint64_t i = 0; s->v != NULL && i < s->parameters; i++)
        FT_TRY(ft_buf_f64(out, s->v[i]));
out:
    return st;
}

/* Read an array and say whether every number is finite (and not negative, for v). */
static bool
read_array(struct ft_cursor *c, double *into, uint64_t count, bool non_negative)
{
    bool good = true;
    for (uint64_t i = 0; i < count; i++) {
        const double value = ft_read_f64(c);
        good = good && isfinite(value) && (!non_negative || value >= 0);
        if (into != NULL)
            into[i] = value;
    }
    return good;
}

enum ft_status
ft_server_decode(struct ft_server *s, struct ft_bytes bytes)
{
    struct ft_cursor c = ft_cursor_of(bytes), again;
    const uint64_t arrays = (uint64_t)(s->m != NULL) + (uint64_t)(s->v != NULL);
    const bool head = ft_read_u32(&c) == STATE_MAGIC && ft_read_u32(&c) == STATE_VERSION &&
                      ft_read_u32(&c) == (uint32_t)s->config.kind && ft_read_u64(&c) == s->parameters;
    const uint64_t steps = ft_read_u64(&c);

    if (!head || c.failed || c.left != s->parameters * 8 * arrays)
        return FT_ERR_FORMAT;
    again = c;
    if ((s->m != NULL && !read_array(&c, NULL, s->parameters, false)) ||
        (s->v != NULL && !read_array(&c, NULL, s->parameters, true)))
        return FT_ERR_FORMAT;
    if (s->m != NULL)
        (void)read_array(&again, s->m, s->parameters, false);
    if (s->v != NULL)
        (void)read_array(&again, s->v, s->parameters, true);
    s->steps = steps;
    return FT_OK;
}
