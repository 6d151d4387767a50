/* What was planted, for whoever checks what a method finds. */
#include "aggregator/simulate/retail/retail_internal.h"
#include "common/base/alloc.h"
#include "common/base/date.h"
#include "common/base/file.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static json_t *
settings_json(const struct ft_retail_settings *s)
{
    char start[11];
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "seed",
        (json_int_t)s->seed, "stores", (json_int_t)s->stores, "customers", (json_int_t)s->customers,
        "regions", (json_int_t)s->regions, "weeks", (json_int_t)s->weeks, "start",
        ft_date_format(start, s->start), "skew", s->skew, "size_skew", s->size_skew, "regional", s->regional,
        "season", s->season, "loyalty", s->loyalty, "loyalty_lift", s->loyalty_lift, "promotions",
        s->promotions, "baskets", s->baskets, "lines", s->lines, "churn", s->churn, "roaming", s->roaming,
        "consent", s->consent);
}

/* {"GROCERY": v, ...} */
static json_t *
by_department(const double *values)
{
    json_t *o = json_object();
    for (uint32_t d = 0; d < DEPARTMENTS; d++)
        (void)json_object_set_new(o, retail_departments[d].name, json_real(values[d]));
    return o;
}

static json_t *
segments_json(const struct retail_world *w)
{
    json_t *all = json_array();
    for (uint32_t g = 0; g < SEGMENTS; g++) {
        const struct retail_segment *s = &retail_segments[g];
        (void)json_array_append_new(
            all, json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:o}", "name", s->name, "share",
                           s->share, "visits", w->seg_visits[g], "lines", w->seg_lines[g], "churn_hazard",
                           s->churn, "elasticity", s->elasticity, "private_brand", s->private_brand, "coupon",
                           s->coupon, "weekend", s->weekend, "taste", by_department(s->taste)));
    }
    return all;
}

static json_t *
departments_json(void)
{
    json_t *all = json_array();
    for (uint32_t d = 0; d < DEPARTMENTS; d++) {
        const struct retail_department *t = &retail_departments[d];
        (void)json_array_append_new(all, json_pack("{s:s, s:f, s:f, s:f, s:f, s:f}", "name", t->name, "share",
                                                   t->share, "median_price", t->price, "private_brand",
                                                   t->private_brand, "season_amplitude", t->season,
                                                   "season_peak_week", t->peak));
    }
    return all;
}

static json_t *
regions_json(const struct retail_world *w)
{
    json_t *all = json_array();
    for (uint32_t r = 0; r < w->s->regions; r++)
        (void)json_array_append_new(all, json_pack("{s:I, s:f, s:o}", "region", (json_int_t)r + 1,
                                                   "price_level", w->regions[r].price, "taste",
                                                   by_department(w->regions[r].taste)));
    return all;
}

static json_t *
promotions_json(const struct retail_world *w)
{
    json_t *all = json_array();
    for (uint32_t r = 0; r < w->s->regions; r++)
        for (uint32_t slot = 0; slot * SLOT_WEEKS < w->s->weeks; slot++)
            for (uint32_t d = 0; d < DEPARTMENTS; d++)
                if (w->regions[r].depth[slot][d] > 0)
                    (void)json_array_append_new(
                        all,
                        json_pack("{s:I, s:s, s:I, s:I, s:f}", "region", (json_int_t)r + 1, "department",
                                  retail_departments[d].name, "first_week", (json_int_t)slot * SLOT_WEEKS + 1,
                                  "last_week", (json_int_t)fmin((slot + 1.0) * SLOT_WEEKS, w->s->weeks),
                                  "depth", w->regions[r].depth[slot][d] / 100.0));
    return all;
}

static json_t *
stores_json(const struct retail_world *w)
{
    json_t *all = json_array();
    char name[24];
    for (uint32_t k = 0; k < w->s->stores; k++) {
        json_t *mix = json_object();
        for (uint32_t g = 0; g < SEGMENTS; g++)
            (void)json_object_set_new(mix, retail_segments[g].name, json_real(w->stores[k].mix[g]));
        (void)snprintf(name, sizeof name, "store-%04u", k + 1);
        (void)json_array_append_new(all, json_pack("{s:s, s:I, s:I, s:I, s:o}", "store", name, "region",
                                                   (json_int_t)w->stores[k].region + 1, "customers",
                                                   (json_int_t)w->stores[k].customers, "visitors",
                                                   (json_int_t)(w->guest_first[k + 1] - w->guest_first[k]),
                                                   "mix", mix));
    }
    return all;
}

static json_t *
effects_json(const struct ft_retail_settings *s)
{
    return json_pack("{s:{s:s, s:f, s:s}, s:{s:s, s:f}, s:{s:s}, s:{s:s}, s:{s:s, s:f}}", "season",
                     "visits of week w", "1 + amplitude x cos(2 pi (w - 50) / 52)", "amplitude", s->season,
                     "unit", "w: 1 to 52", "loyalty", "visits with a card", "times those without", "lift",
                     s->loyalty_lift, "promotion", "weight of a department",
                     "times exp(elasticity of the segment x depth)", "taste", "weight of a department",
                     "share x segment's taste x region's taste x season", "churn",
                     "customers who leave within 52 weeks", "share", "share", s->churn);
}

static json_t *
totals_json(const struct ft_retail_totals *t)
{
    return json_pack("{s:I, s:I, s:f, s:I, s:I, s:I, s:I, s:{s:I, s:I, s:I, s:I}}", "rows",
                     (json_int_t)t->rows, "baskets", (json_int_t)t->baskets, "baskets_expected",
                     t->baskets_expected, "rows_with_card", (json_int_t)t->rows_with_card,
                     "rows_in_promotions", (json_int_t)t->promoted_rows, "bytes", (json_int_t)t->bytes,
                     "cards", (json_int_t)t->cards, "consent", "given", (json_int_t)t->given, "refused",
                     (json_int_t)t->refused, "withdrawn", (json_int_t)t->withdrawn, "never_asked",
                     (json_int_t)t->unasked);
}

enum ft_status
retail_truth_write(const struct retail_world *w, const struct ft_retail_totals *totals, const char *dir,
                   struct ft_error *err)
{
    char *path = ft_asprintf("%s/truth.json", dir), *text = NULL;
    json_t *o =
        json_pack("{s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "version", 1, "program", FT_VERSION,
                  "settings", settings_json(w->s), "totals", totals_json(totals), "effects",
                  effects_json(w->s), "segments", segments_json(w), "departments", departments_json(),
                  "regions", regions_json(w), "promotions", promotions_json(w), "stores", stores_json(w));
    enum ft_status st = FT_ERR_NOMEM;
    if (o != NULL && path != NULL && (text = json_dumps(o, JSON_INDENT(1) | JSON_REAL_PRECISION(10))) != NULL)
        st = ft_file_write(path, FT_BYTES(text, strlen(text)), 0644, err);
    free(text);
    json_decref(o);
    ft_free(path);
    return st;
}

enum ft_status
retail_customers_write(const struct retail_world *w, const char *dir, struct ft_error *err)
{
    static const char *const decisions[] = { "given", "refused", "withdrawn", "" };
    struct ft_buf file = { 0 };
    char *path = ft_asprintf("%s/truth/customers.csv", dir);
    enum ft_status st = path != NULL ? FT_OK : FT_ERR_NOMEM;

    FT_TRY(st);
    FT_TRY(
        ft_buf_str(&file, "customer_id,store,second_store,segment,card,visits_a_week,last_week,consent\n"));
    for (uint32_t k = 0; k < w->s->stores; k++)
        for (uint32_t i = 0; i < w->stores[k].customers; i++) {
            const uint32_t number = w->stores[k].first + i;
            const struct retail_customer *c = &w->customers[number];
            char second[24] = "";
            if (c->second != UINT32_MAX)
                (void)snprintf(second, sizeof second, "store-%04u", c->second + 1);
            FT_TRY(ft_buf_printf(&file, "%u,store-%04u,%s,%s,%u,%.5f,%u,%s\n", retail_customer_id(w, number),
                                 k + 1, second, retail_segments[c->segment].name, c->card, (double)c->rate,
                                 c->leaves, c->card ? decisions[c->decision] : ""));
        }
    st = ft_file_write(path, ft_buf_bytes(&file), 0644, err);
out:
    ft_buf_clear(&file);
    ft_free(path);
    return st;
}
