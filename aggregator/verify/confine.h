/* After its file is read this program needs nothing of the system but to print: no file, no socket, no other
 * program. */
#ifndef FT_VERIFY_CONFINE_H
#define FT_VERIFY_CONFINE_H

#include "common/base/status.h"

/* Give up all but memory, time, random bytes and open descriptors, for good. Errors: INTERNAL. */
FT_NODISCARD enum ft_status ft_verify_confine(struct ft_error *err);

#endif
