#include "aggregator/simulate/cmd_audit.h"

#include "aggregator/simulate/audit/audit.h"
#include "common/base/file.h"
#include "common/plan/privacy_plan.h"
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

const struct ft_cli_option ft_cmd_audit_options[] = {
    { .name = "task",
      .kind = FT_CLI_TEXT,
      .argument = "FILE",
      .help = "noise, delta, q, sums and cohort of this task's YAML" },
    { .name = "noise",
      .kind = FT_CLI_REAL,
      .argument = "Z",
      .help = "noise multiplier under audit (default: 1)" },
    { .name = "epsilon",
      .kind = FT_CLI_REAL,
      .argument = "E",
      .help = "or: the least noise for this epsilon" },
    { .name = "delta", .kind = FT_CLI_REAL, .argument = "D", .help = "of the claim", .fallback = "1e-5" },
    { .name = "q",
      .kind = FT_CLI_REAL,
      .argument = "Q",
      .help = "chance of a customer to be in a round",
      .fallback = "1" },
    { .name = "rounds",
      .kind = FT_CLI_UINT,
      .argument = "T",
      .least = 1,
      .most = 10000,
      .help = "rounds that the canaries are in",
      .fallback = "1" },
    { .name = "shops",
      .kind = FT_CLI_UINT,
      .argument = "N",
      .least = 4,
      .most = 1000,
      .help = "shops",
      .fallback = "13" },
    { .name = "dropouts",
      .kind = FT_CLI_UINT,
      .argument = "D",
      .help = "shops that leave in every round",
      .fallback = "2" },
    { .name = "corrupted",
      .kind = FT_CLI_UINT,
      .argument = "F",
      .help = "shops that send no noise",
      .fallback = "2" },
    { .name = "canaries",
      .kind = FT_CLI_UINT,
      .argument = "M",
      .least = FT_AUDIT_CANARIES_MIN,
      .most = FT_AUDIT_CANARIES_MAX,
      .help = "synthetic customers",
      .fallback = "4000" },
    { .name = "significance",
      .kind = FT_CLI_REAL,
      .argument = "P",
      .help = "of a refutation",
      .fallback = "0.05" },
    { .name = "rotated", .kind = FT_CLI_FLAG, .help = "vectors are rotated before rounding" },
    { .name = "only",
      .kind = FT_CLI_TEXT,
      .argument = "TEST",
      .help = "noise-floor, canaries or membership" },
    { .name = "seed", .kind = FT_CLI_UINT, .argument = "S", .help = "repeats an audit", .fallback = "1" },
    { .name = "threads",
      .kind = FT_CLI_UINT,
      .argument = "N",
      .least = 1,
      .most = 256,
      .help = "for masking",
      .fallback = "1" },
    FT_CLI_OPTIONS_END,
};

struct audit {
    struct ft_audit_floor floor;
    struct ft_audit_canaries canaries;
    struct ft_audit_membership membership;
    bool ran[3];
};

static const char *const names[] = { "noise-floor", "canaries", "membership" };

static void
show_progress(void *ctx, const char *what, uint64_t done, uint64_t of)
{
    (void)ctx;
    (void)fprintf(stderr, "\r%-12s round %" PRIu64 " of %" PRIu64 "%s", what, done, of,
                  done == of ? "\r\033[K" : "");
    (void)fflush(stderr);
}

static enum ft_status
run_one(const struct ft_audit_wish *wish, int test, struct audit *a, struct ft_error *err)
{
    return test == 0   ? ft_audit_noise_floor(wish, &a->floor, err)
           : test == 1 ? ft_audit_run_canaries(wish, &a->canaries, err)
                       : ft_audit_run_membership(wish, &a->membership, err);
}

static bool
passes(const struct audit *a)
{
    return (!a->ran[0] || a->floor.pass) && (!a->ran[1] || a->canaries.pass) &&
           (!a->ran[2] || a->membership.pass);
}

/* ---- what is printed ---- */

static json_t *
claim_json(const struct ft_audit_claim *c)
{
    return json_pack("{s:f, s:f, s:I, s:I, s:I, s:I}", "epsilon", c->epsilon, "noise_multiplier",
                     c->noise_multiplier, "t_min", (json_int_t)c->t_min, "survivors",
                     (json_int_t)c->survivors, "sigma_share", (json_int_t)c->sigma_share, "delta_int_sq",
                     (json_int_t)c->delta_int_sq);
}

static json_t *
audit_json(const struct ft_audit_wish *w, const struct audit *a)
{
    json_t *root =
        json_pack("{s:b, s:I, s:f, s:f, s:I, s:f}", "pass", passes(a), "seed", (json_int_t)w->seed, "delta",
                  w->delta, "q", w->q, "rounds", (json_int_t)w->rounds, "significance", w->significance);
    if (root == NULL)
        return NULL;
    if (a->ran[0])
        (void)json_object_set_new(root, "noise_floor",
                                  json_pack("{s:o, s:b, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f}", "claim",
                                            claim_json(&a->floor.claim), "pass", a->floor.pass, "rounds",
                                            (json_int_t)a->floor.rounds, "integers",
                                            (json_int_t)a->floor.integers, "variance", a->floor.variance,
                                            "least", a->floor.least, "most", a->floor.most, "between_rounds",
                                            a->floor.again, "neighbours", a->floor.related, "neighbours_most",
                                            a->floor.related_most));
    if (a->ran[1])
        (void)json_object_set_new(
            root, "canaries",
            json_pack("{s:o, s:b, s:I, s:I, s:I, s:I, s:f}", "claim", claim_json(&a->canaries.claim), "pass",
                      a->canaries.pass, "canaries", (json_int_t)a->canaries.canaries, "included",
                      (json_int_t)a->canaries.included, "guesses", (json_int_t)a->canaries.guesses, "right",
                      (json_int_t)a->canaries.right, "epsilon_lower", a->canaries.lower));
    if (a->ran[2])
        (void)json_object_set_new(root, "membership",
                                  json_pack("{s:o, s:b, s:I, s:I, s:f, s:f, s:f, s:f, s:f}", "claim",
                                            claim_json(&a->membership.claim), "pass", a->membership.pass,
                                            "members", (json_int_t)a->membership.members, "others",
                                            (json_int_t)a->membership.others, "auc", a->membership.auc,
                                            "false_rate", a->membership.false_rate, "true_rate",
                                            a->membership.true_rate, "true_rate_least",
                                            a->membership.true_least, "allowed", a->membership.allowed));
    return root;
}

static const char *
verdict(bool pass)
{
    return pass ? "holds" : "REFUTED";
}

static void
print(const struct ft_audit_wish *w, const struct audit *a)
{
    const struct ft_audit_claim *c = a->ran[1]   ? &a->canaries.claim
                                     : a->ran[0] ? &a->floor.claim
                                                 : &a->membership.claim;

    printf("under audit   %u shops: %u leave, %u send no noise, %u shares of %u units are credited; noise "
           "multiplier %.6g\n",
           w->shops, w->dropouts, c->survivors - c->t_min, c->t_min, c->sigma_share, c->noise_multiplier);
    if (a->ran[0])
        printf("noise floor   variance %.4f of what is credited, expected %.4f to %.4f, over %" PRIu64
               " integers;\n"
               "              between rounds %.4f, between neighbours %+.5f: %s\n",
               a->floor.variance, a->floor.least, a->floor.most, a->floor.integers, a->floor.again,
               a->floor.related, verdict(a->floor.pass));
    if (a->ran[1])
        printf("canaries      %u of %u guesses right, of %u customers: epsilon is at least %.3f (p = %g);\n"
               "              stated epsilon %.3f at delta %g, %" PRIu64 " round%s, q %g: %s\n",
               a->canaries.right, a->canaries.guesses, a->canaries.canaries, a->canaries.lower,
               w->significance, a->canaries.claim.epsilon, w->delta, w->rounds, w->rounds == 1 ? "" : "s",
               w->q, verdict(a->canaries.pass));
    if (a->ran[2])
        printf("membership    of a released model: %.2f %% of members found at %.2f %% false alarms (AUC "
               "%.3f), allowed %.2f "
               "%%;\n              stated epsilon %.3f: %s\n",
               100 * a->membership.true_rate, 100 * a->membership.false_rate, a->membership.auc,
               100 * a->membership.allowed, a->membership.claim.epsilon, verdict(a->membership.pass));
}

/* What a task says about itself, where the command line does not. */
static enum ft_status
take_task(const struct ft_cli *cli, const char *path, struct ft_audit_wish *w, struct ft_error *err)
{
    static const uint8_t no_deployment[16];
    struct ft_buf yaml = { 0 };
    struct ft_task t = { 0 };
    enum ft_status st;

    FT_TRY(ft_file_read(path, FT_TASK_BYTES_MAX, &yaml, err));
    FT_TRY(ft_task_from_yaml(ft_buf_bytes(&yaml), path, no_deployment, &t, err));
    if (t.noise == 0) {
        st = ft_fail(err, FT_ERR_CONFIG, "%s: privacy.noise is none, so nothing is claimed", path);
        goto out;
    }
    FT_TRY(ft_plan_privacy_derive(&t, err));
    const struct ft_account_event e = ft_plan_privacy_event(&t, t.privacy.steps);
    const uint32_t shops = t.privacy.shop_count < t.n_cap ? t.privacy.shop_count : t.n_cap;
    if (t.unit == FT_UNIT_STORE) {
        st = ft_fail(err, FT_ERR_CONFIG,
                     "%s: unit is store, expected customer or record: a canary is one customer of a shop, and so few shops are "
                     "too few to guess about; the same noise is audited by --noise %.6g --shops %u --rounds %llu --delta 1e-5",
                     path, e.z, shops, (unsigned long long)t.privacy.steps);
        goto out;
    }
    if (!ft_cli_given(cli, "noise") && !ft_cli_given(cli, "epsilon"))
        w->noise = e.z;
    w->delta = ft_cli_given(cli, "delta") ? w->delta : t.privacy.delta;
    w->q = ft_cli_given(cli, "q") ? w->q : e.q;
    w->rounds = ft_cli_given(cli, "rounds") ? w->rounds : t.privacy.steps;
    w->shops = ft_cli_given(cli, "shops") ? w->shops : shops;
    w->dropouts = ft_cli_given(cli, "dropouts") ? w->dropouts : ft_task_cohort(&t, w->shops).dropouts;
    w->corrupted = ft_cli_given(cli, "corrupted") ? w->corrupted : t.corrupted;
    w->rotated = w->rotated || t.privacy.rotated;
out:
    ft_buf_clear(&yaml);
    ft_task_clear(&t);
    return st;
}

int
ft_cmd_audit(struct ft_cli *cli)
{
    const char *only = ft_cli_text(cli, "only");
    struct audit a = { 0 };
    struct ft_error err = { 0 };
    struct ft_audit_wish wish = {
        .shops = (uint32_t)ft_cli_uint(cli, "shops", 13),
        .dropouts = (uint32_t)ft_cli_uint(cli, "dropouts", 2),
        .corrupted = (uint32_t)ft_cli_uint(cli, "corrupted", 2),
        .epsilon = ft_cli_given(cli, "epsilon") ? ft_cli_real(cli, "epsilon", 0) : 0,
        .noise = ft_cli_given(cli, "noise")     ? ft_cli_real(cli, "noise", 0)
                 : ft_cli_given(cli, "epsilon") ? 0
                                                : 1,
        .delta = ft_cli_real(cli, "delta", 1e-5),
        .q = ft_cli_real(cli, "q", 1),
        .rounds = ft_cli_uint(cli, "rounds", 1),
        .canaries = (uint32_t)ft_cli_uint(cli, "canaries", 4000),
        .significance = ft_cli_real(cli, "significance", 0.05),
        .rotated = ft_cli_flag(cli, "rotated"),
        .seed = ft_cli_uint(cli, "seed", 1),
        .threads = (unsigned)ft_cli_uint(cli, "threads", 1),
        .progress = ft_cli_lively(stderr) ? show_progress : NULL,
    };
    int chosen = -1;

    for (int i = 0; only != NULL && i < 3; i++)
        chosen = strcmp(only, names[i]) == 0 ? i : chosen;
    if (only != NULL && chosen < 0)
        return ft_cli_usage(cli, "--only is \"%s\", expected noise-floor, canaries or membership", only);
    if (ft_cli_given(cli, "task")) {
        const enum ft_status st = take_task(cli, ft_cli_text(cli, "task"), &wish, &err);
        if (st != FT_OK)
            return ft_cli_fail(cli, st, &err);
    }
    if (ft_audit_check(&wish, &err) != FT_OK)
        return ft_cli_usage(cli, "%s", err.text);
    for (int i = 0; i < 3; i++) {
        if (only != NULL && chosen != i)
            continue;
        const enum ft_status st = run_one(&wish, i, &a, &err);
        if (st != FT_OK)
            return ft_cli_fail(cli, st, &err);
        a.ran[i] = true;
    }
    if (ft_cli_json(cli))
        (void)ft_cli_print_json(audit_json(&wish, &a));
    else
        print(&wish, &a);
    return passes(&a) ? FT_EXIT_OK : FT_EXIT_FINDINGS;
}
