/*
 * HTML pages that need nothing but themselves: style and plots inside, no script, no network; light and dark
 * as the reader's system asks. Every text that comes from a file or a person goes through sim_html_text.
 */
#ifndef FT_SIMULATE_HTML_H
#define FT_SIMULATE_HTML_H

#include "common/base/buf.h"

/* <, >, &, quotes escaped; control characters, and bytes that are no UTF-8, become U+FFFD. */
FT_NODISCARD enum ft_status sim_html_text(struct ft_buf *out, const char *text);

/* From the doctype to the opened <main>, and the end. */
FT_NODISCARD enum ft_status sim_html_begin(struct ft_buf *out, const char *title);
FT_NODISCARD enum ft_status sim_html_end(struct ft_buf *out);

/* Cells of a table: <th scope=...> and <td>. `number` aligns right; NAN is an en dash. */
FT_NODISCARD enum ft_status sim_html_heading(struct ft_buf *out, const char *text, bool number);
FT_NODISCARD enum ft_status sim_html_row_heading(struct ft_buf *out, const char *text);
FT_NODISCARD enum ft_status sim_html_cell(struct ft_buf *out, const char *text);
FT_NODISCARD enum ft_status sim_html_number(struct ft_buf *out, double v);

/* A number for people: up to five digits, thousands apart, no trailing zeros; bytes as KiB, MiB ... Return
 * out. */
char *sim_number_text(char out[40], double v);
char *sim_tick_text(char out[40], double v); /* from 100,000 on in k, M, G */
char *sim_bytes_text(char out[40], double v);
char *sim_seconds_text(char out[40], double v);

extern const char sim_html_style[];

#endif
