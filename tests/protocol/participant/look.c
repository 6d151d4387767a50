#include "look.h"

#include "aggregator/round/wire_federation.h"
#include "common/secure_sum/wire.h"

bool
look_at_sync(struct ft_bytes request, struct look *out)
{
    struct ft_sync_request r;
    struct ft_ss_up up;
    bool good = true;
    *out = (struct look){ 0 };
    if (ft_sync_request_decode(request, &r) != FT_OK)
        return false;
    if (r.verdict_count > 0) {
        out->has_verdict = true;
        out->verdict = r.verdicts[0].verdict;
        out->code = r.verdicts[0].code_count > 0 ? r.verdicts[0].codes[0] : 0;
    }
    if (r.answer.size > 0) {
        good = ft_ss_up_decode(ft_buf_bytes(&r.answer), &up) == FT_OK;
        if (good) {
            out->answer = up.kind;
            ft_ss_up_clear(&up);
        }
    }
    ft_sync_request_clear(&r);
    return good;
}
