#include "common/task/refusal_codes.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    uint32_t number;
    int code;
    const char *remedy;
} refusals[] = {
#define X(name, number, exit, remedy) { #name, number, exit, remedy },
    FT_REFUSAL_MAP(X)
#undef X
};
#define REFUSAL_COUNT (sizeof refusals / sizeof refusals[0])

/* Index in the table, or REFUSAL_COUNT. */
static size_t
find(uint32_t number)
{
    size_t i = 0;
    while (i < REFUSAL_COUNT && refusals[i].number != number)
        i++;
    return i;
}

const char *
ft_refusal_name(uint32_t code)
{
    const size_t i = find(code);
    return i < REFUSAL_COUNT ? refusals[i].name : NULL;
}

const char *
ft_refusal_remedy(uint32_t code)
{
    const size_t i = find(code);
    return i < REFUSAL_COUNT ? refusals[i].remedy : NULL;
}

int
ft_refusal_exit(uint32_t code)
{
    const size_t i = find(code);
    return i < REFUSAL_COUNT ? refusals[i].code : 0;
}

uint32_t
ft_refusal_number(const char *name)
{
    for (size_t i = 0; i < REFUSAL_COUNT; i++)
        if (strcmp(refusals[i].name, name) == 0)
            return refusals[i].number;
    return 0;
}

void
ft_refuse_code(struct ft_refusals *r, enum ft_refusal_code code, const char *fmt, ...)
{
    const size_t i = find((uint32_t)code);
    char reason[sizeof r->list[0].reason];
    va_list args;

    va_start(args, fmt);
    vsnprintf(reason, sizeof reason, fmt, args);
    va_end(args);
    ft_refuse(r, i < REFUSAL_COUNT ? refusals[i].name : "UNKNOWN",
              i < REFUSAL_COUNT ? refusals[i].remedy : "", "%s", reason);
}

int
ft_refusals_exit(const struct ft_refusals *r)
{
    static const int gravest_first[] = { FT_EXIT_VERIFY, FT_EXIT_CONFIG,   FT_EXIT_REFUSED,
                                         FT_EXIT_DATA,   FT_EXIT_INTERNAL, FT_EXIT_LATER };
    for (size_t g = 0; g < sizeof gravest_first / sizeof gravest_first[0]; g++)
        for (size_t i = 0; i < r->count; i++)
            if (ft_refusal_exit(ft_refusal_number(r->list[i].code)) == gravest_first[g])
                return gravest_first[g];
    return r->count == 0 ? FT_EXIT_OK : FT_EXIT_REFUSED;
}
