/* A policy: whatever is accepted decides and explains alike; nothing leaks. */
#include "client/policy/policy.h"
#include "common/base/alloc.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char purpose[] = "train/propensity", day[] = "2027-01-01";
    static const struct ft_policy_use uses[] = { { "transactions", "week" } };
    static struct ft_findings findings;
    static struct ft_policy_line lines[FT_POLICY_LINES_MAX];
    const struct ft_task task = { .purpose = purpose,
                                  .expires = day,
                                  .review = day,
                                  .unit = FT_UNIT_CUSTOMER,
                                  .n_min = 6,
                                  .h_min = 3,
                                  .corrupted = 2,
                                  .sigma = 40,
                                  .clip = 1,
                                  .rounds = 3 };
    const struct ft_policy_facts facts = { .now_s = 1790000000,
                                           .data_basis = FT_BASIS_CONSENT,
                                           .consent_ready = true,
                                           .uses = uses,
                                           .use_count = 1,
                                           .last_round_s = 1789999999 };
    struct ft_policy_decision decided, explained;
    const size_t live = ft_alloc_live();
    struct ft_policy policy;

    if (ft_policy_parse(FT_BYTES(data, size), "f", &policy, &findings) == FT_OK) {
        ft_policy_decide(&policy, &task, &facts, &decided);
        assert(ft_policy_explain(&policy, &task, &facts, lines, &explained) > 0);
        assert(decided.verdict == explained.verdict && decided.code_count == explained.code_count);
        assert(decided.verdict != FT_VERDICT_ACCEPTED ||
               ft_policy_column_allowed(&policy, purpose, "transactions", "week"));
        ft_policy_clear(&policy);
    } else {
        assert(findings.total > 0);
    }
    assert(ft_alloc_live() == live);
    return 0;
}
