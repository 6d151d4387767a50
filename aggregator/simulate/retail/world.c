/* Everything but the visits: products, regions, shops, customers. */
#include "aggregator/simulate/retail/retail_internal.h"
#include "common/base/alloc.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Streams of randomness. A shop's visits have the stream STORE + its number. */
enum { STREAM_PRODUCTS = 1, STREAM_REGIONS, STREAM_STORES };
#define STREAM_CUSTOMER (UINT64_C(1) << 40)

double
retail_season(const struct ft_retail_settings *s, uint32_t week)
{
    return 1 + s->season * cos(6.283185307179586 * ((double)(week % 52) - 49) / 52);
}

/* ---- products ---- */

/* Walker 1977, in Vose's form: accept[i] keeps i, else its alias. */
static enum ft_status
open_shelf(struct retail_shelf *shelf, uint32_t count)
{
    double *weight = ft_calloc(count, sizeof *weight), sum = 0;
    uint32_t *small = ft_calloc(2 * (size_t)count, sizeof *small), *large = small + count, smalls = 0,
             larges = 0;
    enum ft_status st = FT_ERR_NOMEM;

    shelf->count = count;
    shelf->accept = ft_calloc(count, sizeof *shelf->accept);
    shelf->alias = ft_calloc(count, sizeof *shelf->alias);
    if (weight == NULL || small == NULL || shelf->accept == NULL || shelf->alias == NULL)
        goto out;
    for (uint32_t i = 0; i < count; i++)
        sum += weight[i] = 1 / ((double)i + 2); /* popularity */
    for (uint32_t i = 0; i < count; i++) {
        weight[i] *= count / sum;
        if (weight[i] < 1)
            small[smalls++] = i;
        else
            large[larges++] = i;
    }
    while (smalls > 0 && larges > 0) {
        const uint32_t less = small[--smalls], more = large[larges - 1];
        shelf->accept[less] = (float)weight[less];
        shelf->alias[less] = more;
        weight[more] -= 1 - weight[less];
        if (weight[more] < 1) {
            larges--;
            small[smalls++] = more;
        }
    }
    while (larges > 0)
        shelf->accept[large[--larges]] = 1;
    while (smalls > 0)
        shelf->accept[small[--smalls]] = 1;
    st = FT_OK;
out:
    ft_free(weight);
    ft_free(small);
    return st;
}

/* A shelf's products are of all categories in turn, so that none is more popular by its place. */
static enum ft_status
open_products(struct retail_world *w)
{
    struct sim_draw draw;
    uint32_t next = 0;
    enum ft_status st = FT_OK;

    sim_draw_init(&draw, w->s->seed, STREAM_PRODUCTS);
    w->products = ft_calloc((size_t)DEPARTMENTS * CATEGORIES * PRODUCTS, sizeof *w->products);
    if (w->products == NULL)
        return FT_ERR_NOMEM;
    for (uint32_t d = 0; d < DEPARTMENTS; d++)
        for (uint32_t brand = 0; brand < 2; brand++) {
            const uint32_t each = brand == 1 ? PRODUCTS / 3 : PRODUCTS - PRODUCTS / 3;
            w->shelves[d][brand].first = next;
            FT_TRY(open_shelf(&w->shelves[d][brand], each * CATEGORIES));
            for (uint32_t i = 0; i < each * CATEGORIES; i++, next++) {
                struct retail_product *p = &w->products[next];
                const double price = retail_departments[d].price * (brand == 1 ? 0.75 : 1.05) *
                                     exp(0.45 * sim_draw_normal(&draw));
                p->cents = (uint32_t)fmax(20, round(100 * price));
                p->text_size = (uint32_t)snprintf(
                    p->text, sizeof p->text, ",%u,%s,%s,%s,", 100001 + next, retail_departments[d].name,
                    retail_departments[d].categories[i % CATEGORIES], brand == 1 ? "Private" : "National");
            }
        }
out:
    return st;
}

/* ---- regions and shops ---- */

static enum ft_status
open_regions(struct retail_world *w)
{
    const struct ft_retail_settings *s = w->s;
    const double chance = s->promotions / 26;
    struct sim_draw draw;

    sim_draw_init(&draw, s->seed, STREAM_REGIONS);
    w->regions = ft_calloc(s->regions, sizeof *w->regions);
    if (w->regions == NULL)
        return FT_ERR_NOMEM;
    for (uint32_t r = 0; r < s->regions; r++) {
        struct retail_region *region = &w->regions[r];
        for (uint32_t d = 0; d < DEPARTMENTS; d++)
            region->taste[d] = exp(s->regional * sim_draw_normal(&draw));
        region->price = exp(0.15 * s->regional * sim_draw_normal(&draw));
        for (uint32_t slot = 0; slot < SLOTS_MAX; slot++)
            for (uint32_t d = 0; d < DEPARTMENTS; d++) {
                const double u = sim_draw_uniform(&draw);
                region->depth[slot][d] = (uint8_t)(10 + 5 * sim_draw_below(&draw, 7)); /* 10 to 40 percent */
                if (!(u < chance))
                    region->depth[slot][d] = 0;
            }
    }
    return FT_OK;
}

/* Customers of each shop in proportion to rank^-size_skew, ranks dealt out at random, at least one each. */
static enum ft_status
size_stores(struct retail_world *w, struct sim_draw *draw)
{
    const uint32_t stores = w->s->stores, spare = w->s->customers - stores;
    uint32_t *rank = ft_calloc(stores, sizeof *rank), given = 0;
    double sum = 0, seen = 0;
    if (rank == NULL)
        return FT_ERR_NOMEM;
    for (uint32_t k = 0; k < stores; k++) {
        const uint32_t at = (uint32_t)sim_draw_below(draw, k + 1);
        rank[k] = rank[at];
        rank[at] = k;
        sum += pow((double)k + 1, -w->s->size_skew);
    }
    for (uint32_t k = 0; k < stores; k++) {
        seen += pow((double)rank[k] + 1, -w->s->size_skew);
        const uint32_t upto = k + 1 == stores ? spare : (uint32_t)fmin(spare, round(spare * seen / sum));
        w->stores[k].first = k + given;
        w->stores[k].customers = 1 + upto - given;
        given = upto;
    }
    ft_free(rank);
    return FT_OK;
}

static void
mix_store(const struct ft_retail_settings *s, struct sim_draw *draw, double mix[SEGMENTS])
{
    double most = -INFINITY, sum = 0;
    if (s->skew <= 0) {
        for (uint32_t g = 0; g < SEGMENTS; g++)
            mix[g] = retail_segments[g].share;
        return;
    }
    for (uint32_t g = 0; g < SEGMENTS;
         g++) { /* Dirichlet: the variance of a share is p (1 - p) / (alphas' sum + 1) */
        mix[g] = sim_draw_log_gamma(draw, retail_segments[g].share * (1 - s->skew) / s->skew);
        most = fmax(most, mix[g]);
    }
    for (uint32_t g = 0; g < SEGMENTS; g++)
        sum += mix[g] = exp(mix[g] - most);
    for (uint32_t g = 0; g < SEGMENTS; g++)
        mix[g] /= sum;
}

static enum ft_status
open_stores(struct retail_world *w)
{
    const struct ft_retail_settings *s = w->s;
    struct sim_draw draw;
    enum ft_status st;
    uint32_t at = 0;

    sim_draw_init(&draw, s->seed, STREAM_STORES);
    w->stores = ft_calloc(s->stores, sizeof *w->stores);
    w->by_region = ft_calloc(s->stores, sizeof *w->by_region);
    w->region_first = ft_calloc((size_t)s->regions + 1, sizeof *w->region_first);
    if (w->stores == NULL || w->by_region == NULL || w->region_first == NULL)
        return FT_ERR_NOMEM;
    FT_TRY(size_stores(w, &draw));
    for (uint32_t k = 0; k < s->stores; k++) {
        w->stores[k].region = k % s->regions;
        mix_store(s, &draw, w->stores[k].mix);
    }
    for (uint32_t r = 0; r < s->regions; r++) {
        w->region_first[r] = at;
        for (uint32_t k = r; k < s->stores; k += s->regions)
            w->by_region[at++] = k;
    }
    w->region_first[s->regions] = at;
out:
    return st;
}

/* ---- customers ---- */

/* Weekly hazards that make the asked share leave within 52 weeks, over all segments. */
static void
hazards(double churn, double out[SEGMENTS])
{
    double low = 0, high = 100;
    for (int i = 0; i < 60; i++) {
        const double c = (low + high) / 2;
        double left = 0;
        for (uint32_t g = 0; g < SEGMENTS; g++)
            left += retail_segments[g].share * (1 - pow(1 - churn, c * retail_segments[g].churn));
        if (left < churn)
            low = c;
        else
            high = c;
    }
    for (uint32_t g = 0; g < SEGMENTS; g++)
        out[g] = -log(1 - churn) * low * retail_segments[g].churn / 52; /* a week, continuous */
}

static void
open_customer(const struct retail_world *w, uint32_t number, uint32_t home, const double hazard[SEGMENTS],
              struct retail_customer *c)
{
    const struct ft_retail_settings *s = w->s;
    const struct retail_store *store = &w->stores[home];
    const uint32_t *there = w->by_region + w->region_first[store->region];
    const uint32_t there_count = w->region_first[store->region + 1] - w->region_first[store->region];
    struct sim_draw draw;
    double u, weeks;

    sim_draw_init(&draw, s->seed, STREAM_CUSTOMER + number);
    u = sim_draw_uniform(&draw);
    for (c->segment = 0; c->segment < SEGMENTS - 1 && u >= store->mix[c->segment]; c->segment++)
        u -= store->mix[c->segment];
    c->card = sim_draw_uniform(&draw) < s->loyalty;
    c->rate = (float)(s->baskets * w->seg_visits[c->segment] * (c->card ? s->loyalty_lift : 1) /
                      (s->loyalty * s->loyalty_lift + 1 - s->loyalty) *
                      (-0.5 * log((1 - sim_draw_uniform(&draw)) *
                                  (1 - sim_draw_uniform(&draw))))); /* gamma, shape 2, mean 1 */
    u = sim_draw_uniform(&draw);
    weeks = hazard[c->segment] > 0 ? -log(1 - u) / hazard[c->segment] : INFINITY; /* without churn nobody leaves */
    c->leaves =
        weeks < s->weeks ? (uint16_t)ceil(weeks) : (uint16_t)s->weeks; /* ceil: comes in the week it leaves */
    c->second = UINT32_MAX;
    u = sim_draw_uniform(&draw);
    if (s->roaming > 0 && there_count > 1) {
        c->second = there[(uint32_t)(u * (there_count - 1))];
        if (c->second == home)
            c->second = there[there_count - 1];
    }
    u = sim_draw_uniform(&draw);
    c->decision = RETAIL_GIVEN;
    if (u >= s->consent) {
        u = (u - s->consent) / (1 - s->consent);
        c->decision = u < 0.6 ? RETAIL_REFUSED : u < 0.8 ? RETAIL_WITHDRAWN : RETAIL_UNASKED;
    }
}

static enum ft_status
open_customers(struct retail_world *w)
{
    const struct ft_retail_settings *s = w->s;
    double hazard[SEGMENTS], visits = 0, lines = 0;

    for (uint32_t g = 0; g < SEGMENTS; g++)
        visits += retail_segments[g].share * retail_segments[g].visits;
    for (uint32_t g = 0; g < SEGMENTS; g++) {
        w->seg_visits[g] = retail_segments[g].visits / visits;
        lines += retail_segments[g].share * w->seg_visits[g] * retail_segments[g].lines;
    }
    for (uint32_t g = 0; g < SEGMENTS; g++)
        w->seg_lines[g] = retail_segments[g].lines / lines;
    hazards(s->churn, hazard);
    w->customers = ft_calloc(s->customers, sizeof *w->customers);
    w->guests = ft_calloc(s->customers, sizeof *w->guests);
    w->guest_first = ft_calloc((size_t)s->stores + 2, sizeof *w->guest_first);
    if (w->customers == NULL || w->guests == NULL || w->guest_first == NULL)
        return FT_ERR_NOMEM;
    for (uint32_t k = 0; k < s->stores; k++)
        for (uint32_t i = 0; i < w->stores[k].customers; i++) {
            struct retail_customer *c = &w->customers[w->stores[k].first + i];
            open_customer(w, w->stores[k].first + i, k, hazard, c);
            if (c->second != UINT32_MAX)
                w->guest_first[c->second + 2]++;
        }
    for (uint32_t k = 0; k < s->stores; k++)
        w->guest_first[k + 2] += w->guest_first[k + 1];
    for (uint32_t i = 0; i < s->customers; i++)
        if (w->customers[i].second != UINT32_MAX)
            w->guests[w->guest_first[w->customers[i].second + 1]++] = i;
    return FT_OK;
}

static uint64_t
common_divisor(uint64_t a, uint64_t b)
{
    while (b != 0) {
        const uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

uint32_t
retail_customer_id(const struct retail_world *w, uint32_t customer)
{
    return 1 + (uint32_t)((customer * w->id_factor + w->id_offset) % w->s->customers);
}

enum ft_status
retail_world_open(const struct ft_retail_settings *s, struct retail_world *w, struct ft_error *err)
{
    enum ft_status st;
    *w = (struct retail_world){ .s = s };
    FT_TRY(ft_retail_check(s, err));
    for (w->id_factor = (uint64_t)(0.6180339887 * s->customers) + 1;
         common_divisor(w->id_factor, s->customers) != 1;)
        w->id_factor++;
    w->id_offset = s->seed % s->customers;
    FT_TRY(open_products(w));
    FT_TRY(open_regions(w));
    FT_TRY(open_stores(w));
    st = open_customers(w);
out:
    if (st != FT_OK)
        retail_world_close(w);
    return st;
}

void
retail_world_close(struct retail_world *w)
{
    for (uint32_t d = 0; d < DEPARTMENTS; d++)
        for (uint32_t brand = 0; brand < 2; brand++) {
            ft_free(w->shelves[d][brand].accept);
            ft_free(w->shelves[d][brand].alias);
        }
    ft_free(w->products);
    ft_free(w->regions);
    ft_free(w->stores);
    ft_free(w->by_region);
    ft_free(w->region_first);
    ft_free(w->customers);
    ft_free(w->guests);
    ft_free(w->guest_first);
    *w = (struct retail_world){ 0 };
}
