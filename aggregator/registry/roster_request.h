/* The file that carries the register's wish to the registrar. Read and written here only. */
#ifndef FT_REGISTRY_ROSTER_REQUEST_H
#define FT_REGISTRY_ROSTER_REQUEST_H

#include "common/base/buf.h"
#include "common/secure_sum/roster.h"

struct ft_roster_wish {
    uint8_t deployment[16];
    struct ft_buf previous;       /* signed roster it builds on; empty for the first */
    struct ft_ss_member *members; /* one a place, owned */
    uint32_t count;
};
/* Errors: FORMAT, NOMEM. Clear *out unless it fails. */
FT_NODISCARD enum ft_status ft_roster_wish_read(struct ft_bytes json, struct ft_roster_wish *out,
                                                struct ft_error *err);
void ft_roster_wish_clear(struct ft_roster_wish *w);

#endif
