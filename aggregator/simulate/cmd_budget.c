#include "aggregator/simulate/cmd_budget.h"

#include "aggregator/simulate/budget_table.h"
#include "common/privacy/accountant/choose.h"
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

const struct ft_cli_option ft_cmd_budget_options[] = {
    { .name = "table", .kind = FT_CLI_TEXT, .argument = "FILE", .help = "compute every row of a CSV table and compare" },
    { .name = "noise", .kind = FT_CLI_REAL, .argument = "Z", .help = "noise multiplier: what epsilon does it give?" },
    { .name = "epsilon", .kind = FT_CLI_REAL, .argument = "E", .help = "epsilon: what noise does it take?" },
    { .name = "share", .kind = FT_CLI_UINT, .argument = "SIGMA", .least = 8, .most = 16777216,
      .help = "one shop's share of the noise as it stands, in integer units" },
    { .name = "by", .kind = FT_CLI_TEXT, .argument = "rdp|pld", .help = "which accountant must reach --epsilon",
      .fallback = "rdp" },
    { .name = "delta", .kind = FT_CLI_REAL, .argument = "D", .help = "1e-12 to 1e-3; with --n-pub at most 1/(10 n_pub)" },
    { .name = "steps", .kind = FT_CLI_UINT, .argument = "T", .least = 1, .most = 4294967296,
      .help = "rounds that see customers' data" },
    { .name = "q", .kind = FT_CLI_REAL, .argument = "Q", .help = "chance of a customer to be in a round" },
    { .name = "batch", .kind = FT_CLI_REAL, .argument = "B", .help = "expected customers a round, instead of --q" },
    { .name = "n-pub", .kind = FT_CLI_UINT, .argument = "N", .least = 1, .most = 1000000000000,
      .help = "customers of all shops, as declared" },
    { .name = "m", .kind = FT_CLI_UINT, .argument = "M", .least = 1, .most = FT_ACCOUNT_STORES_MAX,
      .help = "shops that one customer may be in", .fallback = "1" },
    { .name = "shops", .kind = FT_CLI_UINT, .argument = "N", .least = 1, .most = 65535,
      .help = "shops: also choose shares and bits" },
    { .name = "dropouts", .kind = FT_CLI_UINT, .argument = "D", .help = "shops that may leave in a round",
      .fallback = "0" },
    { .name = "corrupted", .kind = FT_CLI_UINT, .argument = "F", .help = "shops whose share is not credited",
      .fallback = "1" },
    { .name = "cap", .kind = FT_CLI_UINT, .argument = "N", .help = "most inputs of one sum (default: --shops)" },
    { .name = "dim", .kind = FT_CLI_UINT, .argument = "D", .help = "coordinates of a contribution" },
    { .name = "lanes", .kind = FT_CLI_UINT, .argument = "BITS", .least = 16, .most = 64,
      .help = "bits a coordinate (default: 32, or 64 where needed)" },
    { .name = "largest", .kind = FT_CLI_REAL, .argument = "B",
      .help = "expected customers a round of the largest shop (default: all alike)" },
    { .name = "adaptive", .kind = FT_CLI_FLAG, .help = "the clip is adapted: one coordinate is the indicator" },
    { .name = "rotated", .kind = FT_CLI_FLAG, .help = "vectors are rotated before rounding" },
    FT_CLI_OPTIONS_END,
};

/* ---- a table ---- */

static json_t *
row_json(const struct ft_budget_row *r)
{
    json_t *row = json_pack("{s:I, s:s, s:s, s:s, s:s, s:o, s:f, s:f, s:b}", "line", (json_int_t)r->line, "case_id",
                            r->case_id, "mechanism", r->mechanism, "quantity", r->quantity, "conversion",
                            r->conversion, "value", isfinite(r->value) ? json_real(r->value) : json_null(),
                            "accept_lower", r->field[FT_BUDGET_LOWER], "accept_upper", r->field[FT_BUDGET_UPPER],
                            "pass", r->pass);
    if (row != NULL && r->status != FT_OK)
        (void)json_object_set_new(row, "refused", json_string(ft_status_str(r->status)));
    return row;
}

static void
print_row(const struct ft_budget_row *r)
{
    char value[40];
    if (isfinite(r->value))
        snprintf(value, sizeof value, "%.12g", r->value);
    else
        snprintf(value, sizeof value, "refused: %.25s", ft_status_str(r->status));
    printf("%-4s  %-6s %-11s %-16s %-18s  in [%.12g, %.12g]%s%s\n", r->pass ? "pass" : "FAIL", r->case_id, r->mechanism,
           r->quantity, value, r->field[FT_BUDGET_LOWER], r->field[FT_BUDGET_UPPER],
           r->conversion[0] != '\0' ? "  " : "", r->conversion);
}

static int
check_table(struct ft_cli *cli, const char *path)
{
    struct ft_budget_table table = { 0 };
    struct ft_findings findings;
    struct ft_error err = { 0 };
    json_t *rows = ft_cli_json(cli) ? json_array() : NULL;
    size_t passed = 0;
    const enum ft_status st = ft_budget_table_read(path, &table, &findings, &err);

    if (st != FT_OK) {
        ft_findings_print(&findings, stderr);
        json_decref(rows);
        return ft_cli_fail(cli, st, &err);
    }
    for (size_t i = 0; i < table.count; i++) {
        ft_budget_row_run(&table.rows[i]);
        passed += table.rows[i].pass;
        if (rows != NULL)
            (void)json_array_append_new(rows, row_json(&table.rows[i]));
        else
            print_row(&table.rows[i]);
    }
    const size_t failed = table.count - passed;
    if (rows != NULL)
        (void)ft_cli_print_json(json_pack("{s:o, s:I, s:I}", "rows", rows, "passed", (json_int_t)passed, "failed",
                                          (json_int_t)failed));
    else
        printf("%zu of %zu rows pass\n", passed, table.count);
    ft_budget_table_clear(&table);
    return failed == 0 ? FT_EXIT_OK : FT_EXIT_FINDINGS;
}

/* ---- one question ---- */

/* q_num of --q or of --batch and --n-pub; false after having told what is wrong. */
static bool
sampling(struct ft_cli *cli, uint64_t *q_num, int *code)
{
    const bool by_q = ft_cli_given(cli, "q"), by_batch = ft_cli_given(cli, "batch");
    const double n_pub = (double)ft_cli_uint(cli, "n-pub", 0);

    if (by_q == by_batch || (by_batch && n_pub < 1)) {
        *code = ft_cli_usage(cli, "give --q, or --batch and --n-pub");
        return false;
    }
    const double batch = ft_cli_real(cli, "batch", 0);
    const double q = by_q ? ft_cli_real(cli, "q", 0) : batch / n_pub;
    if (!(q > 0) || !(q <= 1)) {
        *code = by_q ? ft_cli_usage(cli, "--q is %g, expected above 0 and at most 1", q)
                     : ft_cli_usage(cli, "--batch is %g, expected above 0 and at most --n-pub", batch);
        return false;
    }
    *q_num = ft_privacy_q_num(q, 1);
    return true;
}

static json_t *
answer_json(const struct ft_choose_wish *w, const struct ft_choose_answer *a)
{
    json_t *root = json_pack("{s:f, s:I, s:f, s:I, s:f, s:f, s:f, s:i, s:f, s:b}", "q", ft_privacy_q(w->q_num), "steps",
                             (json_int_t)w->steps, "delta", w->delta, "m", (json_int_t)w->m_stores, "noise_multiplier",
                             a->z, "z_eff", a->z_eff, "epsilon_rdp", a->cost.rdp, "order", (int)a->cost.rdp_order,
                             "epsilon_pld", a->cost.pld, "pld_is_rdp", a->cost.pld_is_rdp);
    if (root != NULL && w->shops > 0)
        (void)json_object_set_new(
            root, "federation",
            json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f}", "shops", (json_int_t)w->shops,
                      "t_min", (json_int_t)a->t_min, "scale", (json_int_t)a->scale, "lambda", (json_int_t)a->lambda,
                      "delta_int_sq", (json_int_t)a->delta_int_sq, "sigma_share", (json_int_t)a->sigma_share,
                      "lane_bits", (json_int_t)a->lane_bits, "quant_max", a->quant_max, "quant_need", a->quant_need,
                      "bits_needed", a->bits_needed, "mean_noise_t_min", a->mean_noise_low, "mean_noise_all",
                      a->mean_noise_high));
    return root;
}

static void
print_answer(const struct ft_choose_wish *w, const struct ft_choose_answer *a)
{
    printf("noise multiplier     %.8g%s\n", a->z, w->epsilon > 0 ? "  (the least that will do)" : "");
    printf("epsilon by RDP       %.6g  at order %u, delta %g, %" PRIu64 " rounds, q %.6g%s\n", a->cost.rdp,
           a->cost.rdp_order, w->delta, w->steps, ft_privacy_q(w->q_num),
           w->m_stores > 1 ? ", a customer in several shops" : "");
    printf("epsilon by PLD       %.6g%s\n", a->cost.pld, a->cost.pld_is_rdp ? "  (no better than RDP here)" : "");
    if (w->shops == 0)
        return;
    printf("shares credited      %u of %u shops (%u may drop out, %u may be corrupted)\n", a->t_min, w->shops,
           w->dropouts, w->corrupted);
    printf("scale                %u units a clip, lambda %u, delta_int_sq %" PRIu64 "\n", a->scale, a->lambda,
           a->delta_int_sq);
    printf("share of a shop      %u units, so the noise multiplier is %.8f\n", a->sigma_share, a->z_eff);
    printf("lane                 %u bits (%.1f needed): a shop's sum may reach %.0f units\n", a->lane_bits,
           a->bits_needed, a->quant_max);
    if (a->quant_need > a->quant_max)
        printf("                     its sum may need %.0f: it will be clamped at times; take wider lanes\n",
               a->quant_need);
    if (a->mean_noise_low > 0)
        printf("noise of the mean    %.3g clips a coordinate with the fewest survivors, %.3g with all\n",
               a->mean_noise_low, a->mean_noise_high);
}

int
ft_cmd_budget(struct ft_cli *cli)
{
    struct ft_choose_answer answer;
    struct ft_error err = { 0 };
    const char *by = ft_cli_text(cli, "by");
    uint64_t q_num = 0;
    int code;

    if (ft_cli_given(cli, "table"))
        return check_table(cli, ft_cli_text(cli, "table"));
    if (ft_cli_given(cli, "noise") + ft_cli_given(cli, "epsilon") + ft_cli_given(cli, "share") != 1)
        return ft_cli_usage(cli, "give one of --table, --noise, --epsilon and --share");
    if (strcmp(by, "rdp") != 0 && strcmp(by, "pld") != 0)
        return ft_cli_usage(cli, "--by is \"%s\", expected rdp or pld", by);
    if (!ft_cli_given(cli, "delta") || !ft_cli_given(cli, "steps"))
        return ft_cli_usage(cli, "give --delta and --steps");
    if (!sampling(cli, &q_num, &code))
        return code;
    if (ft_cli_given(cli, "shops") && !ft_cli_given(cli, "dim"))
        return ft_cli_usage(cli, "--shops needs --dim");
    const struct ft_choose_wish wish = {
        .q_num = q_num,
        .steps = ft_cli_uint(cli, "steps", 0),
        .m_stores = (uint32_t)ft_cli_uint(cli, "m", 1),
        .delta = ft_cli_real(cli, "delta", 0),
        .epsilon = ft_cli_given(cli, "epsilon") ? ft_cli_real(cli, "epsilon", 0) : 0,
        .z = ft_cli_given(cli, "noise") ? ft_cli_real(cli, "noise", 0) : 0,
        .sigma_share = (uint32_t)ft_cli_uint(cli, "share", 0),
        .method = strcmp(by, "pld") == 0 ? FT_ACCOUNT_PLD : FT_ACCOUNT_RDP,
        .shops = (uint32_t)ft_cli_uint(cli, "shops", 0),
        .dropouts = (uint32_t)ft_cli_uint(cli, "dropouts", 0),
        .corrupted = (uint32_t)ft_cli_uint(cli, "corrupted", 1),
        .cap = (uint32_t)ft_cli_uint(cli, "cap", 0),
        .n_pub = ft_cli_uint(cli, "n-pub", 0),
        .largest = ft_cli_real(cli, "largest", 0),
        .dim = ft_cli_uint(cli, "dim", 0),
        .lane_bits = (uint32_t)ft_cli_uint(cli, "lanes", 0),
        .adaptive = ft_cli_flag(cli, "adaptive"),
        .rotated = ft_cli_flag(cli, "rotated"),
    };
    if ((ft_cli_given(cli, "noise") && wish.z == 0) || (ft_cli_given(cli, "epsilon") && wish.epsilon == 0))
        return ft_cli_usage(cli, "--noise and --epsilon are above 0");
    const enum ft_status st = ft_choose(&wish, &answer, &err);
    if (st == FT_ERR_LIMIT)
        return ft_cli_usage(cli, "%s", err.text);
    if (st != FT_OK)
        return ft_cli_fail(cli, st, &err);
    if (ft_cli_json(cli))
        return ft_cli_print_json(answer_json(&wish, &answer));
    print_answer(&wish, &answer);
    return FT_EXIT_OK;
}
