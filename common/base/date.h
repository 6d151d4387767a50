/*
 * Calendar days and clock times in configuration: no time zone database, no locale.
 */
#ifndef FT_BASE_DATE_H
#define FT_BASE_DATE_H

#include <stdbool.h>
#include <stdint.h>

#define FT_DAY_S 86400

/* "YYYY-MM-DD", 1970 .. 9999, a day that exists: days since 1970-01-01. */
bool ft_date_parse(const char *text, int64_t *days);
/* The reverse; `out` has 11 bytes. Returns out. */
char *ft_date_format(char out[11], int64_t days);
/* 0 Monday .. 6 Sunday. */
unsigned ft_date_weekday(int64_t days);
/* Year and month (1 .. 12) of a day. */
void ft_date_month(int64_t days, int32_t *year, uint32_t *month);
/* Floor of seconds / 86400, also before 1970. */
int64_t ft_date_of_seconds(int64_t seconds);

#endif
