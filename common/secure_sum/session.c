#include "common/secure_sum/session.h"

#include <string.h>

struct code_text {
    uint32_t code;
    const char *name, *text;
};

static const struct code_text aborts[] = {
#define X(name, number, text) { (number), #name, text },
    FT_SS_ABORT_MAP(X)
#undef X
};
static const struct code_text ends[] = {
#define X(name, number, text) { (number), #name, text },
    FT_SS_END_MAP(X)
#undef X
};

static const struct code_text *
find(const struct code_text *list, size_t count, uint32_t code)
{
    static const struct code_text unknown = { 0, "UNKNOWN", "unknown code" };
    for (size_t i = 0; i < count; i++)
        if (list[i].code == code)
            return &list[i];
    return &unknown;
}

const char *
ft_ss_abort_text(uint32_t code)
{
    return find(aborts, sizeof aborts / sizeof aborts[0], code)->text;
}

const char *
ft_ss_abort_name(uint32_t code)
{
    return find(aborts, sizeof aborts / sizeof aborts[0], code)->name;
}

const char *
ft_ss_end_text(uint32_t code)
{
    return find(ends, sizeof ends / sizeof ends[0], code)->text;
}

const char *
ft_ss_end_name(uint32_t code)
{
    return find(ends, sizeof ends / sizeof ends[0], code)->name;
}

void
ft_ss_journal_fold(struct ft_ss_journal_view *view, const struct ft_ss_journal_record *record)
{
    if (!view->any || record->round > view->round ||
        (record->round == view->round && record->attempt > view->attempt)) {
        view->any = true;
        view->round = record->round;
        view->attempt = record->attempt;
    }
    if (record->spent && (!view->any_spent || record->round > view->spent_round)) {
        view->any_spent = true;
        view->spent_round = record->round;
    }
}
