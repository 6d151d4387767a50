#include "common/base/date.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Days from civil and back: H. Hinnant, "chrono-compatible low-level date algorithms". Years start in March.
 */
static int64_t
days_of(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    const int64_t era = (year >= 0 ? year : year - 399) / 400;
    const int64_t of_era = year - era * 400;
    const int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void
civil_of(int64_t days, int64_t *year, int64_t *month, int64_t *day)
{
    days += 719468;
    const int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    const int64_t of_era = days - era * 146097;
    const int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    const int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t shifted = (5 * of_year + 2) / 153;
    *day = of_year - (153 * shifted + 2) / 5 + 1;
    *month = shifted < 10 ? shifted + 3 : shifted - 9;
    *year = year_of_era + era * 400 + (*month <= 2);
}

bool
ft_date_parse(const char *text, int64_t *days)
{
    static const char form[] = "dddd-dd-dd";
    int64_t year, month, day, back[3];

    if (strlen(text) != sizeof form - 1)
        return false;
    for (size_t i = 0; i < sizeof form - 1; i++)
        if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
            return false;
    year = (text[0] - '0') * 1000 + (text[1] - '0') * 100 + (text[2] - '0') * 10 + (text[3] - '0');
    month = (text[5] - '0') * 10 + (text[6] - '0');
    day = (text[8] - '0') * 10 + (text[9] - '0');
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31)
        return false;
    *days = days_of(year, month, day);
    civil_of(*days, &back[0], &back[1], &back[2]);
    return back[0] == year && back[1] == month && back[2] == day; /* 31 April comes back as 1 May */
}

char *
ft_date_format(char out[11], int64_t days)
{
    char text[80];
    int64_t year, month, day;
    civil_of(days, &year, &month, &day);
    snprintf(text, sizeof text, "%04lld-%02lld-%02lld", (long long)year, (long long)month, (long long)day);
    text[10] = '\0';
    memcpy(out, text, 11);
    return out;
}

unsigned
ft_date_weekday(int64_t days)
{
    return (unsigned)(((days + 3) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */
}

void
ft_date_month(int64_t days, int32_t *year, uint32_t *month)
{
    int64_t y, m, d;
    civil_of(days, &y, &m, &d);
    *year = (int32_t)y;
    *month = (uint32_t)m;
}

int64_t
ft_date_of_seconds(int64_t seconds)
{
    return seconds / FT_DAY_S - (seconds % FT_DAY_S < 0);
}
