#include "aggregator/simulate/output/privacy_json.h"
#include "common/statement/statement.h"

#include <jansson.h>
#include <stdio.h>

static void
add(json_t *list, const char *text)
{
    json_array_append_new(list, json_string(text));
}

static bool
by_customer(const struct ft_sim_experiment *e)
{
    return e->privacy.unit == FT_SIM_UNIT_CUSTOMER;
}

static enum ft_unit
unit_of(const struct ft_sim_experiment *e)
{
    return by_customer(e)                             ? FT_UNIT_CUSTOMER
           : e->privacy.unit == FT_SIM_UNIT_STORE ? FT_UNIT_STORE
                                                  : FT_UNIT_RECORD;
}

static bool
by_client(const struct ft_sim_experiment *e)
{
    return e->privacy.unit == FT_SIM_UNIT_STORE;
}

static json_t *
covered(const struct ft_sim_experiment *e, const struct ft_sim_privacy *p)
{
    json_t *list = json_array();
    char text[300];
    (void)snprintf(text, sizeof text, "the sums of all %llu rounds, with the models made from them%s",
                   (unsigned long long)p->steps,
                   e->stop.metric != 0
                       ? "; all rounds there may be are paid for, since what rounds told decided when to stop"
                       : "");
    add(list, text);
    if (by_customer(e))
        (void)snprintf(text, sizeof text,
                       "all train rows of one customer at up to %u client%s, however many they are",
                       e->privacy.m_stores, e->privacy.m_stores == 1 ? "" : "s");
    else
        (void)snprintf(text, sizeof text, "one train row, taken as all there is of a person");
    add(list, by_client(e) ? "all train rows of one client, whosever and however many they are" : text);
    return list;
}

static json_t *
not_covered(const struct ft_sim_experiment *e)
{
    json_t *list = json_array();
    add(list, "this simulated model itself: whoever knows the seed draws the same noise again; the bound is "
              "that of the same "
              "rounds among shops that keep their randomness secret");
    if (!by_customer(e) && !by_client(e))
        add(list, "a person with several rows: each counts as a person of its own");
    add(list, "the test rows, the scores on them, and settings that were chosen by such scores");
    if (e->evaluation.pooled || e->evaluation.local || e->evaluation.without_privacy)
        add(list, "the baselines beside the run: models trained without noise");
    if (e->data.source == FT_SIM_CSV)
        add(list, "which values the text columns have: they were read off the rows");
    if (e->data.source == FT_SIM_TASK && !by_client(e))
        add(list, "one customer in two shops' files: told apart, they are two");
    add(list, FT_STATEMENT_POPULATION);
    if (by_client(e)) {
        add(list, FT_STATEMENT_SHOP_LEAVES);
        add(list, FT_STATEMENT_SHOP_CUSTOMER);
    } else {
        add(list, FT_STATEMENT_SHOPS);
    }
    return list;
}

static json_t *
assumptions(const struct ft_sim_experiment *e, const struct ft_sim_privacy *p)
{
    json_t *list = json_array();
    char text[300];
    (void)snprintf(text, sizeof text,
                   "the shares of noise of at least %u clients are in every sum that is looked at, and only "
                   "those count; sums of fewer clients stay closed",
                   p->t_min);
    add(list, text);
    add(list,
        "the secure sum hides each client's own contribution (masks cancel exactly, and are left out here)");
    if (p->q < 1)
        add(list, "each shop draws who is in a round afresh and tells nobody");
    if (by_customer(e)) {
        (void)snprintf(text, sizeof text, "no customer's data lies at more than %u client%s",
                       e->privacy.m_stores, e->privacy.m_stores == 1 ? "" : "s");
        add(list, text);
    }
    return list;
}

static json_t *
words(const struct ft_sim_experiment *e, const struct ft_sim_privacy *p)
{
    const struct ft_statement_claim claim = {
        .unit = unit_of(e),
        .delta = e->privacy.delta,
        .q = p->q,
        .z = p->noise_multiplier,
        .clip = e->privacy.clip,
        .t_min = p->t_min,
        .m_stores = e->privacy.m_stores,
        .charged = p->steps,
        .spent = { .rdp = p->epsilon_rdp, .rdp_order = p->order, .pld = p->epsilon_pld }
    };
    struct ft_buf out = { 0 };
    json_t *text = ft_statement_say(&claim, &out) == FT_OK && out.size > 0
                       ? json_stringn((const char *)out.data, out.size - 1) /* without the last blank */
                       : NULL;
    ft_buf_clear(&out);
    return text;
}

json_t *
sim_privacy_json(const struct ft_sim_experiment *e, const struct ft_sim_privacy *p)
{
    return json_pack(
        "{s:s, s:s, s:f, s:f, s:I, s:f, s:f, s:f, s:I, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, "
        "s:o, s:o}",
        "unit", by_customer(e) ? "customer" : by_client(e) ? "store" : "row", "relation", ft_statement_relation(unit_of(e)),
        "epsilon_rdp", p->epsilon_rdp, "epsilon_pld", p->epsilon_pld, "order", (json_int_t)p->order, "delta",
        e->privacy.delta, "noise_multiplier", p->noise_multiplier, "q", p->q, "rounds", (json_int_t)p->steps,
        "clip", e->privacy.clip, "t_min", (json_int_t)p->t_min, "m_stores", (json_int_t)e->privacy.m_stores,
        "sigma_share", (json_int_t)p->sigma_share, "scale", (json_int_t)p->scale, "lane_bits",
        (json_int_t)p->lane_bits, "customers", (json_int_t)p->customers, "n_pub", (json_int_t)p->declared,
        "text", words(e, p), "covered", covered(e, p), "not_covered", not_covered(e), "assumptions",
        assumptions(e, p));
}
