/* Figures of a statistics task for a person at a terminal. */
#ifndef FT_EXPORT_STATISTICS_TEXT_H
#define FT_EXPORT_STATISTICS_TEXT_H

#include "common/base/buf.h"

typedef struct json_t json_t;

/* `figures` as export/statistics.h describes them; append the text. Errors: NOMEM. */
FT_NODISCARD enum ft_status ft_statistics_text(const json_t *figures, struct ft_buf *out);

#endif
