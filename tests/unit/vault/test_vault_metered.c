/* A way out that costs by the byte is known by the interface of the default route. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "client/vault/metered.h"

#include <string.h>

#define IPV4_HEAD               "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
#define IPV4(interface, metric) interface "\t00000000\t010200C0\t0003\t0\t0\t" metric "\t00000000\t0\t0\t0\n"
#define ZEROS                   "00000000000000000000000000000000"
#define IPV6(interface, metric)                                                                              \
    ZEROS " 00 " ZEROS " 00 fd000000000000000000000000000001 " metric                                        \
          " 00000001 00000000 00000003     " interface "\n"

static struct ft_metered *
open_mode(enum ft_metered_mode mode, const char *pattern)
{
    struct ft_metered *m;
    assert_int_equal(ft_metered_open(mode, &pattern, pattern != NULL ? 1 : 0, &m), FT_OK);
    return m;
}

static bool
by_routes(const char *pattern, const char *ipv4, const char *ipv6)
{
    struct ft_metered *m = open_mode(FT_METERED_AUTO, pattern);
    const bool metered = ft_metered_by_routes(m, ipv4, ipv6);
    ft_metered_close(m);
    return metered;
}

/* A mobile modem that carries the default route costs; one that is only plugged in does not. */
static void
the_interface_of_the_default_route_decides(void **state)
{
    (void)state;
    assert_true(by_routes(NULL, IPV4_HEAD IPV4("wwan0", "100"), ""));
    assert_false(by_routes(NULL, IPV4_HEAD IPV4("eth0", "100"), ""));
    assert_false(by_routes(NULL, IPV4_HEAD IPV4("wwan0", "700") IPV4("eth0", "100"), ""));
    assert_true(by_routes(NULL, IPV4_HEAD IPV4("eth0", "700") IPV4("wwan0", "100"), ""));
    assert_false(
        by_routes(NULL, IPV4_HEAD "wwan0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n", ""));
    assert_false(
        by_routes(NULL, IPV4_HEAD "wwan0\t00000000\t010200C0\t0002\t0\t0\t0\t00000000\t0\t0\t0\n", ""));
}

/* IPv6 counts as well, and the unreachable default of the loopback interface is no way out. */
static void
either_family_can_cost(void **state)
{
    (void)state;
    assert_true(by_routes(NULL, IPV4_HEAD, IPV6("ppp0", "00000400")));
    assert_true(by_routes(NULL, IPV4_HEAD IPV4("eth0", "0"), IPV6("wwp3s0", "00000400")));
    assert_false(by_routes(NULL, IPV4_HEAD, IPV6("lo", "ffffffff") IPV6("eth0", "00000400")));
    assert_false(by_routes(NULL, IPV4_HEAD, IPV6("eth0", "00000064") IPV6("wwan0", "00000400")));
}

/* The shop's own patterns stand in place of the usual ones. */
static void
a_shop_names_its_own_interfaces(void **state)
{
    (void)state;
    assert_true(by_routes("eth[1-3]", IPV4_HEAD IPV4("eth2", "0"), ""));
    assert_false(by_routes("eth[1-3]", IPV4_HEAD IPV4("wwan0", "0"), ""));
}

/* Without a route, and with tables of nonsense, nothing costs and nothing breaks. */
static void
nonsense_is_no_route(void **state)
{
    char line[1200];
    (void)state;
    memset(line, 'w', sizeof line);
    line[sizeof line - 1] = '\0';
    assert_false(by_routes(NULL, "", ""));
    assert_false(by_routes(NULL, line, line));
    assert_false(by_routes(NULL, "wwan0\nwwan0 0\n\n\nwwan0 zz zz zz", "00 00 00 wwan0"));
}

/* `always` and `never` do not look; `auto` looks at this machine. */
static void
a_setting_overrules_the_look(void **state)
{
    (void)state;
    struct ft_metered *always = open_mode(FT_METERED_ALWAYS, NULL),
                      *never = open_mode(FT_METERED_NEVER, NULL);
    struct ft_metered *none = open_mode(FT_METERED_AUTO, "no-such");
    assert_true(ft_metered_now(always));
    assert_false(ft_metered_now(never));
    assert_false(ft_metered_now(none));
    assert_false(ft_metered_now(NULL));
    ft_metered_close(always);
    ft_metered_close(never);
    ft_metered_close(none);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_interface_of_the_default_route_decides),
        cmocka_unit_test(either_family_can_cost),
        cmocka_unit_test(a_shop_names_its_own_interfaces),
        cmocka_unit_test(nonsense_is_no_route),
        cmocka_unit_test(a_setting_overrules_the_look),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
