#include "client/source/values.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool
ft_value_integer(const char *text, size_t size, int64_t *out)
{
    size_t at = 0;
    bool minus = false;
    int64_t value = 0;

    if (size > 0 && (text[0] == '-' || text[0] == '+'))
        minus = text[at++] == '-';
    if (at == size)
        return false;
    for (; at < size; at++) {
        if (!is_digit(text[at]) || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, text[at] - '0',
                                   &value)) /* downwards, so that INT64_MIN can be read */
            return false;
    }
    if (!minus && value == INT64_MIN)
        return false;
    *out = minus ? value : -value;
    return true;
}

bool
ft_value_real(const char *text, size_t size, char decimal, double *out)
{
    static const double power[] = { 1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15 };
    char copy[64];
    size_t at = 0, digits = 0, decimals = 0;
    uint64_t mantissa = 0;
    bool minus = false, exponent = false;
    double value;
    char *end;

    if (size == 0 || size >= sizeof copy)
        return false;
    memcpy(copy, text, size);
    copy[size] = '\0';
    if (copy[0] == '-' || copy[0] == '+')
        minus = copy[at++] == '-';
    for (; is_digit(copy[at]); at++, digits++)
        mantissa = digits < 15 ? mantissa * 10 + (uint64_t)(copy[at] - '0') : mantissa;
    if (copy[at] == decimal) {
        copy[at++] = '.';
        for (; is_digit(copy[at]); at++, digits++, decimals++)
            mantissa = digits < 15 ? mantissa * 10 + (uint64_t)(copy[at] - '0') : mantissa;
        if (decimals == 0)
            return false;
    }
    if (digits == 0)
        return false;
    if (copy[at] == 'e' || copy[at] == 'E') {
        exponent = true;
        at++;
        if (copy[at] == '-' || copy[at] == '+')
            at++;
        if (!is_digit(copy[at]))
            return false;
        while (is_digit(copy[at]))
            at++;
    }
    if (at != size)
        return false;
    if (digits <= 15 && !exponent) { /* both are exact doubles, so one division rounds correctly */
        value = (double)mantissa / power[decimals];
        *out = minus ? -value : value;
        return true;
    }
    errno = 0;
    value = strtod(copy, &end);
    if (*end != '\0' || !isfinite(value))
        return false;
    *out = value;
    return true;
}

/* Two digits at `text`, or -1. */
static int
two(const char *text)
{
    return is_digit(text[0]) && is_digit(text[1]) ? (text[0] - '0') * 10 + (text[1] - '0') : -1;
}

/* "YYYY-MM-DD" or "YYYY-MM-DD HH:MM:SS" without strptime, which takes most of an import's time. */
static bool
iso_time(const char *text, bool with_hour, struct tm *tm)
{
    const size_t size = strlen(text);
    if (size != (with_hour ? 19u : 10u) || text[4] != '-' || text[7] != '-')
        return false;
    const int century = two(text), year = two(text + 2), month = two(text + 5), day = two(text + 8);
    if (century < 0 || year < 0 || month < 0 || day < 0)
        return false;
    *tm = (struct tm){ .tm_year = century * 100 + year - 1900, .tm_mon = month - 1, .tm_mday = day };
    if (!with_hour)
        return true;
    tm->tm_hour = two(text + 11);
    tm->tm_min = two(text + 14);
    tm->tm_sec = two(text + 17);
    return text[10] == ' ' && text[13] == ':' && text[16] == ':' && tm->tm_hour >= 0 && tm->tm_min >= 0 &&
           tm->tm_sec >= 0;
}

/* True when the format holds one of these conversions (also with the E and O modifiers). */
static bool
format_has(const char *format, const char *letters)
{
    for (const char *p = strchr(format, '%'); p != NULL && p[1] != '\0'; p = strchr(p + 1, '%')) {
        p++;
        while (*p != '\0' && strchr("EO_-0^#", *p) != NULL)
            p++;
        if (*p == '\0')
            return false;
        if (strchr(letters, *p) != NULL)
            return true;
        if (*p == '%' && p[1] == '\0')
            return false;
    }
    return false;
}

bool
ft_value_time_format_ok(const char *format)
{
    return strlen(format) < 64 && format_has(format, "YyFDcx") && format_has(format, "mbBhFDcx") &&
           format_has(format, "deFDcx");
}

static bool
leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static bool
tm_exists(const struct tm *tm)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    const int year = tm->tm_year + 1900;
    if (year < 1000 || year > 9999 || tm->tm_mon < 0 || tm->tm_mon > 11 || tm->tm_mday < 1)
        return false;
    if (tm->tm_mday > days[tm->tm_mon] + (tm->tm_mon == 1 && leap(year)))
        return false;
    return tm->tm_hour >= 0 && tm->tm_hour <= 23 && tm->tm_min >= 0 && tm->tm_min <= 59 && tm->tm_sec >= 0 &&
           tm->tm_sec <= 60;
}

bool
ft_value_time(const char *text, const char *format, char out[20], int64_t *ms)
{
    const bool iso_date = strcmp(format, "%Y-%m-%d") == 0;
    const bool iso_full = strcmp(format, "%Y-%m-%d %H:%M:%S") == 0;
    struct tm tm = { 0 };
    char wide[48] = { 0 };

    if (iso_date || iso_full) {
        if (!iso_time(text, iso_full, &tm))
            return false;
    } else {
        const char *end = strptime(text, format, &tm);
        if (end == NULL || *end != '\0' || end == text)
            return false;
    }
    if (!tm_exists(&tm))
        return false;
    if (tm.tm_sec == 60)
        tm.tm_sec = 59; /* a leap second has no place in SQL's date functions */
    if (iso_date || (!iso_full && !format_has(format, "HIklTRrcX")))
        snprintf(wide, sizeof wide, "%04d-%02d-%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
    else
        snprintf(wide, sizeof wide, "%04d-%02d-%02d %02d:%02d:%02d", tm.tm_year + 1900, tm.tm_mon + 1,
                 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    memcpy(out, wide, 20);
    out[19] = '\0';
    if (ms != NULL) {
        tm.tm_isdst = 0;
        *ms = (int64_t)timegm(&tm) * 1000;
    }
    return true;
}

bool
ft_value_utf8(const char *text, size_t size)
{
    const unsigned char *p = (const unsigned char *)text;
    for (size_t i = 0; i < size;) {
        const unsigned c = p[i];
        size_t more;
        uint32_t code;
        if (c < 0x80) {
            if (c == 0)
                return false;
            i++;
            continue;
        }
        if (c >= 0xC2 && c <= 0xDF) {
            more = 1;
            code = c & 0x1F;
        } else if (c >= 0xE0 && c <= 0xEF) {
            more = 2;
            code = c & 0x0F;
        } else if (c >= 0xF0 && c <= 0xF4) {
            more = 3;
            code = c & 0x07;
        } else {
            return false;
        }
        if (size - i <= more)
            return false;
        for (size_t k = 1; k <= more; k++) {
            if ((p[i + k] & 0xC0) != 0x80)
                return false;
            code = code << 6 | (p[i + k] & 0x3F);
        }
        if ((more == 2 && code < 0x800) || (more == 3 && (code < 0x10000 || code > 0x10FFFF)) ||
            (code >= 0xD800 && code <= 0xDFFF))
            return false;
        i += more + 1;
    }
    return true;
}
