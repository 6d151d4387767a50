/*
 * The log: one JSON object an event on stderr (or a file descriptor), with a stable event name and typed
 * fields. Never log rows, customer ids, updates, masks, keys or message bodies.
 *
 *   ft_log(FT_LOG_WARN, "secsum.duplicate", "client=%u round=%llu", id, round);
 *
 * The format is `name=%conv` pairs separated by spaces; each becomes one JSON field (numbers stay numbers).
 */
#ifndef FT_BASE_LOG_H
#define FT_BASE_LOG_H

#include "common/base/status.h"

enum ft_log_level { FT_LOG_DEBUG, FT_LOG_INFO, FT_LOG_WARN, FT_LOG_ERROR };

void ft_log_open(const char *program, enum ft_log_level least, int fd);
void ft_log(enum ft_log_level level, const char *event, const char *fmt, ...) FT_PRINTF(3, 4);

#endif
