/*
 * Does this shop's way out cost by the byte? `participation.metered: refuse` of the policy keeps a shop out
 * of rounds while it does.
 *
 * client.yaml says `always`, `never`, or (the default) `auto`: metered while the machine's default route, of
 * IPv4 or of IPv6, leaves by an interface whose name matches one of the listed patterns (mobile broadband and
 * dial-up unless the shop lists its own). The kernel's route tables are opened once, before the vault's
 * sandbox, and read again for every decision. No route, or tables that cannot be read, count as not metered:
 * nothing can be sent without a route, and the rule guards a bill, not data.
 */
#ifndef FT_VAULT_METERED_H
#define FT_VAULT_METERED_H

#include "common/base/status.h"
#include <stdbool.h>
#include <stddef.h>

enum ft_metered_mode { FT_METERED_AUTO = 0, FT_METERED_ALWAYS = 1, FT_METERED_NEVER = 2 };

struct ft_metered;

/* `interfaces` are shell patterns, copied; none: wwan*, wwp*, ppp*, rmnet*, usb*. Errors: NOMEM. */
FT_NODISCARD enum ft_status ft_metered_open(enum ft_metered_mode mode, const char *const *interfaces,
                                            size_t count, struct ft_metered **out);
bool ft_metered_now(const struct ft_metered *m); /* NULL: false */
void ft_metered_close(struct ft_metered *m);     /* NULL is allowed */

/* The decision on the text of /proc/net/route and /proc/net/ipv6_route; either may be "". */
bool ft_metered_by_routes(const struct ft_metered *m, const char *ipv4, const char *ipv6);

#endif
