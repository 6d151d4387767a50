/* One shop's transactions, week by week: who comes how often, in time's order, and what is in each basket. */
#include "aggregator/simulate/retail/retail_internal.h"
#include "common/base/alloc.h"
#include "common/base/date.h"
#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define STREAM_STORE (UINT64_C(1) << 41)
#define BUFFER       ((size_t)1 << 20)
#define LINE_MOST    256
#define DAY_SECONDS  86400u
#define WEEK_BITS    20 /* 604,800 seconds */

struct buyer {
    uint32_t customer;
    float rate; /* of visits to this shop */
    uint16_t leaves;
    uint8_t segment, card;
    uint8_t id_size;
    char id[11]; /* empty without a card */
};

struct visit {
    uint32_t second; /* of the week */
    uint32_t buyer;
};

struct work {
    const struct retail_world *w;
    const struct retail_region *region;
    struct sim_draw draw;
    struct buyer *buyers;
    uint32_t buyer_count;
    struct visit *visits, *sorted;
    size_t visit_count, visit_room;
    char days[7][12];                          /* ",2024-01-01 " without the comma */
    double departments[SEGMENTS][DEPARTMENTS]; /* cumulative shares in this week */
    const uint8_t *depth;                      /* (DEPARTMENTS) percent off in this week */
    char *buffer;
    size_t used;
    int file;
    struct retail_counts *counts;
    char week_text[8];
    uint32_t week_size, store;
};

/* ---- numbers ---- */

/* Poisson by inversion, in pieces so that exp(-mean) does not vanish. */
static uint32_t
poisson(struct sim_draw *d, double mean)
{
    uint32_t count = 0;
    for (; mean > 0; mean -= 16) {
        double p = exp(-fmin(mean, 16)), u = sim_draw_uniform(d);
        for (uint32_t k = 1; u >= p && k < 200; k++) {
            u -= p;
            p *= fmin(mean, 16) / k;
            count++;
        }
    }
    return count;
}

static char *
put_uint(char *to, uint64_t v)
{
    char digits[20];
    int n = 0;
    do
        digits[n++] = (char)('0' + v % 10);
    while ((v /= 10) > 0);
    while (n > 0)
        *to++ = digits[--n];
    return to;
}

static char *
put_two(char *to, uint32_t v)
{
    *to++ = (char)('0' + v / 10);
    *to++ = (char)('0' + v % 10);
    return to;
}

/* Dollars as the demo's exports have them: 2, 1.79, 0. */
static char *
put_cents(char *to, uint32_t cents)
{
    to = put_uint(to, cents / 100);
    if (cents % 100 != 0) {
        *to++ = '.';
        to = put_two(to, cents % 100);
    }
    return to;
}

static enum ft_status
flush(struct work *k, struct ft_error *err, const char *path)
{
    for (size_t at = 0; at < k->used;) {
        const ssize_t done = write(k->file, k->buffer + at, k->used - at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return ft_fail(err, ft_status_of_errno(errno), "%s: %s", path, strerror(errno));
        at += (size_t)done;
    }
    k->counts->bytes += k->used;
    k->used = 0;
    return FT_OK;
}

/* ---- who comes ---- */

static void
add_buyer(struct work *k, uint32_t customer, double share)
{
    const struct retail_customer *c = &k->w->customers[customer];
    struct buyer *b = &k->buyers[k->buyer_count++];
    *b = (struct buyer){ .customer = customer,
                         .rate = (float)(c->rate * share),
                         .leaves = c->leaves,
                         .segment = c->segment,
                         .card = c->card };
    if (c->card)
        b->id_size = (uint8_t)(put_uint(b->id, retail_customer_id(k->w, customer)) - b->id);
}

static enum ft_status
find_buyers(struct work *k, uint32_t store)
{
    const struct retail_world *w = k->w;
    const struct retail_store *s = &w->stores[store];
    const uint32_t guests = w->guest_first[store + 1] - w->guest_first[store];

    k->buyers = ft_calloc((size_t)s->customers + guests, sizeof *k->buyers);
    if (k->buyers == NULL)
        return FT_ERR_NOMEM;
    for (uint32_t i = 0; i < s->customers; i++)
        add_buyer(k, s->first + i, w->customers[s->first + i].second != UINT32_MAX ? 1 - w->s->roaming : 1);
    for (uint32_t i = 0; i < guests; i++)
        add_buyer(k, w->guests[w->guest_first[store] + i], w->s->roaming);
    return FT_OK;
}

/* Opening hours 7 to 22; most come in the afternoon. */
static uint32_t
when(struct work *k, const struct retail_segment *segment)
{
    const double u = sim_draw_uniform(&k->draw),
                 within = u < segment->weekend ? u / segment->weekend
                                               : (u - segment->weekend) / (1 - segment->weekend);
    const uint32_t day = u < segment->weekend ? 5 + (uint32_t)(within * 2) : (uint32_t)(within * 5);
    const double hour = 7 + 15 * (sim_draw_uniform(&k->draw) + sim_draw_uniform(&k->draw)) / 2;
    return (day < 7 ? day : 6) * DAY_SECONDS + (uint32_t)(hour * 3600);
}

static enum ft_status
visit(struct work *k, uint32_t buyer)
{
    if (k->visit_count == k->visit_room) {
        k->visit_room = k->visit_room > 0 ? 2 * k->visit_room : 1024;
        struct visit *more = ft_realloc(k->visits, k->visit_room * sizeof *more);
        if (more != NULL)
            k->visits = more;
        struct visit *other = ft_realloc(k->sorted, k->visit_room * sizeof *other);
        if (other != NULL)
            k->sorted = other;
        if (more == NULL || other == NULL)
            return FT_ERR_NOMEM;
    }
    k->visits[k->visit_count++] =
        (struct visit){ when(k, &retail_segments[k->buyers[buyer].segment]), buyer };
    return FT_OK;
}

/* By second, stable: two passes of ten bits. */
static void
sort_visits(struct work *k)
{
    for (unsigned shift = 0; shift < WEEK_BITS; shift += 10) {
        uint32_t from[1025] = { 0 };
        for (size_t i = 0; i < k->visit_count; i++)
            from[(k->visits[i].second >> shift & 1023) + 1]++;
        for (unsigned b = 0; b < 1024; b++)
            from[b + 1] += from[b];
        for (size_t i = 0; i < k->visit_count; i++)
            k->sorted[from[k->visits[i].second >> shift & 1023]++] = k->visits[i];
        struct visit *swap = k->visits;
        k->visits = k->sorted;
        k->sorted = swap;
    }
}

static enum ft_status
week_visits(struct work *k, uint32_t week)
{
    const double season = retail_season(k->w->s, week);
    enum ft_status st = FT_OK;
    k->visit_count = 0;
    for (uint32_t b = 0; b < k->buyer_count; b++) {
        if (week >= k->buyers[b].leaves)
            continue;
        const double mean = (double)k->buyers[b].rate * season;
        k->counts->baskets_expected += mean;
        for (uint32_t n = poisson(&k->draw, mean); n > 0; n--)
            FT_TRY(visit(k, b));
    }
    sort_visits(k);
out:
    return st;
}

/* ---- what is in a basket ---- */

static void
week_tables(struct work *k, uint32_t week)
{
    const int64_t monday = k->w->s->start + 7 * (int64_t)week;
    k->depth = k->region->depth[week / SLOT_WEEKS];
    for (unsigned day = 0; day < 7; day++) {
        (void)ft_date_format(k->days[day], monday + day);
        k->days[day][10] = ' ';
    }
    k->week_text[0] = ',';
    char *end = put_uint(k->week_text + 1, week + 1);
    *end++ = '\n';
    k->week_size = (uint32_t)(end - k->week_text);
    for (uint32_t g = 0; g < SEGMENTS; g++) {
        double sum = 0;
        for (uint32_t d = 0; d < DEPARTMENTS; d++) {
            const struct retail_department *t = &retail_departments[d];
            sum += t->share * retail_segments[g].taste[d] * k->region->taste[d] *
                   (1 + t->season * cos(6.283185307179586 * ((double)(week % 52) + 1 - t->peak) / 52)) *
                   exp(retail_segments[g].elasticity * k->depth[d] / 100);
            k->departments[g][d] = sum;
        }
        for (uint32_t d = 0; d < DEPARTMENTS; d++)
            k->departments[g][d] /= sum;
    }
}

static void
write_line(struct work *k, const struct buyer *b, const char *basket, size_t basket_size, const char *ts)
{
    const struct retail_segment *segment = &retail_segments[b->segment];
    char *to = k->buffer + k->used;
    const double u = sim_draw_uniform(&k->draw);
    uint32_t d = 0, quantity = 1, paid, discount = 0, coupon = 0, match = 0;

    while (d < DEPARTMENTS - 1 && u >= k->departments[b->segment][d])
        d++;
    const double brand = sim_draw_uniform(&k->draw),
                 share = retail_departments[d].private_brand * segment->private_brand;
    const struct retail_shelf *shelf = &k->w->shelves[d][brand < fmin(share, 0.95)];
    const double place = sim_draw_uniform(&k->draw) * shelf->count;
    uint32_t i = (uint32_t)place;
    if (place - i >= (double)shelf->accept[i])
        i = shelf->alias[i];
    const struct retail_product *p = &k->w->products[shelf->first + i];
    for (double more = sim_draw_uniform(&k->draw); more < 0.25 && quantity < 12; more *= 4)
        quantity++;
    paid = quantity * (uint32_t)fmax(10, round(p->cents * k->region->price));
    if (k->depth[d] > 0 && b->card)
        discount = (paid * k->depth[d] + 50) / 100;
    if (b->card && sim_draw_uniform(&k->draw) < segment->coupon) {
        coupon = paid >= 300 ? 100 : 25;
        match = coupon <= 50 && paid - discount > coupon ? coupon : 0;
    }
    k->counts->rows++;
    k->counts->rows_with_card += b->card;
    k->counts->promoted_rows += k->depth[d] > 0;

    memcpy(to, b->id, sizeof b->id);
    to += b->id_size;
    memcpy(to, basket, basket_size);
    to += basket_size;
    memcpy(to, ts, 19);
    to += 19;
    memcpy(to, p->text, sizeof p->text);
    to += p->text_size;
    to = put_uint(to, quantity);
    *to++ = ',';
    to = put_cents(to, paid - discount - match);
    *to++ = ',';
    to = put_cents(to, discount);
    *to++ = ',';
    to = put_cents(to, coupon);
    *to++ = ',';
    to = put_cents(to, match);
    memcpy(to, k->week_text, sizeof k->week_text);
    to += k->week_size;
    k->used = (size_t)(to - k->buffer);
}

static enum ft_status
week_baskets(struct work *k, const char *path, struct ft_error *err)
{
    enum ft_status st = FT_OK;
    for (size_t i = 0; i < k->visit_count; i++) {
        const struct visit *v = &k->visits[i];
        const struct buyer *b = &k->buyers[v->buyer];
        const uint32_t second = v->second % DAY_SECONDS;
        uint32_t lines = 1 + poisson(&k->draw, (k->w->s->lines - 1) * k->w->seg_lines[b->segment]);
        char basket[32] = ",", ts[20], *end;

        end = put_uint(basket + 1, ((uint64_t)k->store + 1) * UINT64_C(1000000000) + ++k->counts->baskets);
        *end++ = ',';
        memcpy(ts, k->days[v->second / DAY_SECONDS], 11);
        (void)put_two(ts + 11, second / 3600);
        ts[13] = ':';
        (void)put_two(ts + 14, second / 60 % 60);
        ts[16] = ':';
        (void)put_two(ts + 17, second % 60);
        for (; lines > 0; lines--) {
            if (k->used + LINE_MOST > BUFFER)
                FT_TRY(flush(k, err, path));
            write_line(k, b, basket, (size_t)(end - basket), ts);
        }
    }
out:
    return st;
}

enum ft_status
retail_store_write(const struct retail_world *w, uint32_t store, const char *dir,
                   struct retail_counts *counts, struct ft_error *err)
{
    static const char header[] =
        "customer_id,basket_id,ts,product_id,department,category,brand,quantity,amount,discount,"
        "coupon,coupon_match,week\n";
    struct work k = {
        .w = w, .region = &w->regions[w->stores[store].region], .store = store, .file = -1, .counts = counts
    };
    char *path = ft_asprintf("%s/shops/store-%04u.csv", dir, store + 1);
    enum ft_status st = FT_ERR_NOMEM;

    *counts = (struct retail_counts){ 0 };
    k.buffer = ft_calloc(BUFFER, 1);
    if (path == NULL || k.buffer == NULL)
        goto out;
    k.file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (k.file < 0) {
        st = ft_fail(err, ft_status_of_errno(errno), "%s: %s", path, strerror(errno));
        goto out;
    }
    sim_draw_init(&k.draw, w->s->seed, STREAM_STORE + store);
    FT_TRY(find_buyers(&k, store));
    memcpy(k.buffer, header, sizeof header - 1);
    k.used = sizeof header - 1;
    for (uint32_t week = 0; week < w->s->weeks; week++) {
        week_tables(&k, week);
        FT_TRY(week_visits(&k, week));
        FT_TRY(week_baskets(&k, path, err));
    }
    st = flush(&k, err, path);
out:
    if (k.file >= 0 && close(k.file) != 0 && st == FT_OK)
        st = ft_fail(err, ft_status_of_errno(errno), "%s: %s", path, strerror(errno));
    ft_free(k.buyers);
    ft_free(k.visits);
    ft_free(k.sorted);
    ft_free(k.buffer);
    ft_free(path);
    return st;
}
