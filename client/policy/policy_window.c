/* When this shop takes part. */
#include "client/policy/policy.h"

#include "common/base/date.h"

static bool
day_chosen(const struct ft_policy *p, int64_t day)
{
    return (p->participation.days >> ft_date_weekday(day) & 1u) != 0;
}

static bool
open_at(const struct ft_policy *p, int64_t local_s)
{
    const int64_t day = ft_date_of_seconds(local_s);
    const uint32_t minute = (uint32_t)((local_s - day * FT_DAY_S) / 60);
    const uint32_t from = p->participation.from_min, to = p->participation.to_min;

    if (from < to)
        return day_chosen(p, day) && minute >= from && minute < to;
    /* Past midnight: the window belongs to the day on which it opened. */
    return (day_chosen(p, day) && minute >= from) || (day_chosen(p, day - 1) && minute < to);
}

bool
ft_policy_window_open(const struct ft_policy *policy, int64_t now_s, int32_t utc_offset_s, int64_t *next_s)
{
    const int64_t local = now_s + utc_offset_s;
    const int64_t today = ft_date_of_seconds(local);

    *next_s = now_s;
    if (open_at(policy, local))
        return true;
    for (int64_t day = today; day <= today + 7; day++) {
        const int64_t opens = day * FT_DAY_S + (int64_t)policy->participation.from_min * 60;
        if (opens > local && day_chosen(policy, day)) {
            *next_s = opens - utc_offset_s;
            return false;
        }
    }
    *next_s = 0; /* no day chosen: a parsed policy has one */
    return false;
}
