/* Strict readings of a field. Each is true only for a text that is wholly what it promises. */
#ifndef FT_SOURCE_VALUES_H
#define FT_SOURCE_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* [+-]digits[mark digits][e[+-]digits], finite. Correctly rounded. */
bool ft_value_real(const char *text, size_t size, char decimal, double *out);
bool ft_value_integer(const char *text, size_t size, int64_t *out);

/* A timestamp by strptime(3) format, all of the text, a day that exists. `out` gets YYYY-MM-DD HH:MM:SS, or
 * the date alone when the format has no hour. *ms (may be NULL): milliseconds since 1970, the text taken as
 * UTC. */
bool ft_value_time(const char *text, const char *format, char out[20], int64_t *ms);
bool ft_value_time_format_ok(const char *format); /* holds year, month and day */

bool ft_value_utf8(const char *text, size_t size); /* well-formed, no NUL */

#endif
