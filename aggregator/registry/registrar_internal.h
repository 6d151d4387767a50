/* Between the registrar's two files. */
#ifndef FT_REGISTRY_REGISTRAR_INTERNAL_H
#define FT_REGISTRY_REGISTRAR_INTERNAL_H

#include "common/base/status.h"
#include <stdint.h>

/* The secret key (libsodium's form: the public half is the last 32 bytes). The caller wipes it. */
FT_NODISCARD enum ft_status registrar_key_read(const char *folder, uint8_t secret[64], struct ft_error *err);

#endif
