#include "common/secure_sum/descriptor.h"
#include "common/secure_sum/codec.h"
#include "common/secure_sum/prg.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static const uint8_t magic[4] = { 'F', 'L', 'S', 'A' };

/* A place to write that moves on. */
static void
put(uint8_t **at, const void *data, size_t size)
{
    memcpy(*at, data, size);
    *at += size;
}

static void
put_u16(uint8_t **at, uint16_t v)
{
    ft_put_u16(*at, v);
    *at += 2;
}

static void
put_u32(uint8_t **at, uint32_t v)
{
    ft_put_u32(*at, v);
    *at += 4;
}

static void
put_u64(uint8_t **at, uint64_t v)
{
    ft_put_u64(*at, v);
    *at += 8;
}

static void
put_f64(uint8_t **at, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    put_u64(at, bits);
}

void
ft_ss_descriptor_encode(const struct ft_ss_descriptor *d, uint8_t out[FT_SS_DESCRIPTOR_SIZE])
{
    uint8_t *at = out;
    put(&at, magic, sizeof magic);
    put_u16(&at, d->version);
    put_u16(&at, d->suite);
    put(&at, d->deployment, sizeof d->deployment);
    put(&at, d->task_hash, sizeof d->task_hash);
    put_u64(&at, d->round);
    put_u32(&at, d->attempt);
    put_u32(&at, d->epoch);
    put(&at, d->directory_root, sizeof d->directory_root);
    put(&at, d->model_hash, sizeof d->model_hash);
    put(&at, d->lineage_hash, sizeof d->lineage_hash);
    put_u64(&at, d->dim);
    put(&at, &d->lane_bits, 1);
    put(&at, &d->lanes, 1);
    put(&at, &d->check_lanes, 1);
    put(&at, &d->weight_lanes, 1);
    put_f64(&at, d->clip);
    put_f64(&at, d->quant_step);
    put_u32(&at, d->quant_max);
    put(&at, &d->noise_kind, 1);
    put_f64(&at, d->noise_var);
    put_u32(&at, d->n_cap);
    put_u32(&at, d->n_min);
    put_u32(&at, d->h_min);
    put_u32(&at, d->corrupted);
    put_u16(&at, d->drop_permille);
    put(&at, &d->sigma, 1);
    put(&at, &d->eta, 1);
    put_u64(&at, d->deadline_ms);
    put(&at, d->server_nonce, sizeof d->server_nonce);
    assert(at == out + FT_SS_DESCRIPTOR_SIZE);
}

enum ft_status
ft_ss_descriptor_decode(struct ft_bytes bytes, struct ft_ss_descriptor *out, struct ft_error *err)
{
    struct ft_cursor c = ft_cursor_of(bytes);
    struct ft_ss_descriptor d = { 0 };
    uint8_t head[4];
    enum ft_status st;

    if (bytes.size != FT_SS_DESCRIPTOR_SIZE)
        return ft_fail(err, FT_ERR_FORMAT, "a task descriptor has %d bytes, this one %zu",
                       FT_SS_DESCRIPTOR_SIZE, bytes.size);
    ft_read_into(&c, head, sizeof head);
    if (memcmp(head, magic, sizeof magic) != 0)
        return ft_fail(err, FT_ERR_FORMAT, "the task descriptor does not start with FLSA");
    d.version = ft_read_u16(&c);
    d.suite = ft_read_u16(&c);
    ft_read_into(&c, d.deployment, sizeof d.deployment);
    ft_read_into(&c, d.task_hash, sizeof d.task_hash);
    d.round = ft_read_u64(&c);
    d.attempt = ft_read_u32(&c);
    d.epoch = ft_read_u32(&c);
    ft_read_into(&c, d.directory_root, sizeof d.directory_root);
    ft_read_into(&c, d.model_hash, sizeof d.model_hash);
    ft_read_into(&c, d.lineage_hash, sizeof d.lineage_hash);
    d.dim = ft_read_u64(&c);
    d.lane_bits = ft_read_u8(&c);
    d.lanes = ft_read_u8(&c);
    d.check_lanes = ft_read_u8(&c);
    d.weight_lanes = ft_read_u8(&c);
    d.clip = ft_read_f64(&c);
    d.quant_step = ft_read_f64(&c);
    d.quant_max = ft_read_u32(&c);
    d.noise_kind = ft_read_u8(&c);
    d.noise_var = ft_read_f64(&c);
    d.n_cap = ft_read_u32(&c);
    d.n_min = ft_read_u32(&c);
    d.h_min = ft_read_u32(&c);
    d.corrupted = ft_read_u32(&c);
    d.drop_permille = ft_read_u16(&c);
    d.sigma = ft_read_u8(&c);
    d.eta = ft_read_u8(&c);
    d.deadline_ms = ft_read_u64(&c);
    ft_read_into(&c, d.server_nonce, sizeof d.server_nonce);
    assert(ft_cursor_done(&c));
    st = ft_ss_descriptor_check(&d, err);
    if (st == FT_OK)
        *out = d;
    return st;
}

/* Finite and not negative; minus zero has no business here either. */
static bool
plain_number(double v)
{
    return isfinite(v) && !signbit(v);
}

enum ft_status
ft_ss_descriptor_check(const struct ft_ss_descriptor *d, struct ft_error *err)
{
    struct ft_ss_codec codec;

    if (d->version != FT_SS_VERSION)
        return ft_fail(err, FT_ERR_VERIFY, "descriptor: version %u is not %d", d->version, FT_SS_VERSION);
    if (!ft_ss_suite_known(d->suite))
        return ft_fail(err, FT_ERR_VERIFY, "descriptor: suite %u is not known", d->suite);
    if (!plain_number(d->clip) || !plain_number(d->quant_step) || !plain_number(d->noise_var))
        return ft_fail(err, FT_ERR_VERIFY,
                       "descriptor: clip, quant_step and noise_var must be finite and not negative");
    if (d->noise_kind > 1)
        return ft_fail(err, FT_ERR_VERIFY, "descriptor: noise_kind %u is not known", d->noise_kind);
    if ((d->noise_kind == 0) != (d->noise_var == 0.0))
        return ft_fail(err, FT_ERR_VERIFY, "descriptor: noise_kind %u does not go with noise_var %g",
                       d->noise_kind, d->noise_var);
    if (d->h_min < 2)
        return ft_fail(err, FT_ERR_VERIFY, "descriptor: h_min is %u, a sum of one hides nothing", d->h_min);
    if (d->n_min < d->h_min || d->n_cap < d->n_min)
        return ft_fail(err, FT_ERR_VERIFY, "descriptor: h_min %u <= n_min %u <= n_cap %u does not hold",
                       d->h_min, d->n_min, d->n_cap);
    if (d->drop_permille > 1000)
        return ft_fail(err, FT_ERR_VERIFY, "descriptor: drop_permille is %u", d->drop_permille);
    if (d->sigma == 0 || d->eta == 0)
        return ft_fail(err, FT_ERR_VERIFY, "descriptor: sigma and eta must not be 0");
    return ft_ss_codec_of(d, &codec, err);
}
