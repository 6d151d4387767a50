#include "client/vault/metered.h"

#include "common/base/alloc.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ROUTES_SIZE 65536 /* bytes read of a table; default routes of lower metric come first in practice */

static const char *const usual[] = { "wwan*", "wwp*", "ppp*", "rmnet*", "usb*" };

struct ft_metered {
    enum ft_metered_mode mode;
    int ipv4, ipv6; /* -1: not there */
    char **patterns;
    size_t count;
};

enum ft_status
ft_metered_open(enum ft_metered_mode mode, const char *const *interfaces, size_t count,
                struct ft_metered **out)
{
    enum ft_status st = FT_ERR_NOMEM;
    struct ft_metered *m = ft_calloc(1, sizeof *m);
    *out = NULL;
    if (m == NULL)
        return FT_ERR_NOMEM;
    if (count == 0) {
        interfaces = usual;
        count = sizeof usual / sizeof usual[0];
    }
    m->mode = mode;
    m->ipv4 = m->ipv6 = -1;
    m->patterns = ft_calloc(count, sizeof *m->patterns);
    if (m->patterns == NULL)
        goto out;
    for (; m->count < count; m->count++) {
        m->patterns[m->count] = ft_strdup(interfaces[m->count]);
        if (m->patterns[m->count] == NULL)
            goto out;
    }
    if (mode == FT_METERED_AUTO) {
        m->ipv4 = open("/proc/net/route", O_RDONLY | O_CLOEXEC);
        m->ipv6 = open("/proc/net/ipv6_route", O_RDONLY | O_CLOEXEC);
    }
    *out = m;
    m = NULL;
    st = FT_OK;
out:
    ft_metered_close(m);
    return st;
}

void
ft_metered_close(struct ft_metered *m)
{
    if (m == NULL)
        return;
    if (m->ipv4 >= 0)
        close(m->ipv4);
    if (m->ipv6 >= 0)
        close(m->ipv6);
    for (size_t i = 0; i < m->count; i++)
        ft_free(m->patterns[i]);
    ft_free(m->patterns);
    ft_free(m);
}

struct route {
    char interface[32];
    unsigned long metric;
    bool found;
};

static void
offer(struct route *best, const char *interface, unsigned long metric)
{
    if (strcmp(interface, "lo") == 0 || (best->found && metric >= best->metric))
        return;
    snprintf(best->interface, sizeof best->interface, "%s", interface);
    best->metric = metric;
    best->found = true;
}

/* Iface Destination Gateway Flags RefCnt Use Metric Mask ...: a default route has destination and mask 0. */
static void
ipv4_line(const char *line, struct route *best)
{
    char interface[32];
    unsigned long destination, flags, metric, mask;
    if (sscanf(line, "%31s %lx %*x %lx %*d %*d %lu %lx", interface, &destination, &flags, &metric, &mask) ==
            5 &&
        destination == 0 && mask == 0 && (flags & 1) != 0)
        offer(best, interface, metric);
}

/* Destination, its prefix length, source, its prefix length, next hop, metric, counts, flags, interface. */
static void
ipv6_line(const char *line, struct route *best)
{
    char destination[33], interface[32];
    unsigned length, source_length;
    unsigned long metric, flags;
    if (sscanf(line, "%32s %x %*32s %x %*32s %lx %*x %*x %lx %31s", destination, &length, &source_length,
               &metric, &flags, interface) == 6 &&
        strspn(destination, "0") == 32 && length == 0 && (flags & 1) != 0)
        offer(best, interface, metric);
}

static struct route
default_route(const char *table, void (*read_line)(const char *, struct route *))
{
    struct route best = { .found = false };
    char line[256];
    while (*table != '\0') {
        const size_t size = strcspn(table, "\n");
        if (size < sizeof line) {
            memcpy(line, table, size);
            line[size] = '\0';
            read_line(line, &best);
        }
        table += size + (table[size] == '\n');
    }
    return best;
}

static bool
costs(const struct ft_metered *m, const struct route *route)
{
    for (size_t i = 0; route->found && i < m->count; i++)
        if (fnmatch(m->patterns[i], route->interface, 0) == 0)
            return true;
    return false;
}

bool
ft_metered_by_routes(const struct ft_metered *m, const char *ipv4, const char *ipv6)
{
    const struct route four = default_route(ipv4, ipv4_line), six = default_route(ipv6, ipv6_line);
    return costs(m, &four) || costs(m, &six);
}

/* The whole table from its beginning, as text; what does not fit is left out. */
static void
read_table(int fd, char *text)
{
    size_t size = 0;
    ssize_t got;
    while (fd >= 0 && size < ROUTES_SIZE - 1 &&
           (got = pread(fd, text + size, ROUTES_SIZE - 1 - size, (off_t)size)) > 0)
        size += (size_t)got;
    text[size] = '\0';
}

bool
ft_metered_now(const struct ft_metered *m)
{
    if (m == NULL || m->mode != FT_METERED_AUTO)
        return m != NULL && m->mode == FT_METERED_ALWAYS;
    char *tables = ft_calloc(2, ROUTES_SIZE);
    bool metered = false;
    if (tables != NULL) {
        read_table(m->ipv4, tables);
        read_table(m->ipv6, tables + ROUTES_SIZE);
        metered = ft_metered_by_routes(m, tables, tables + ROUTES_SIZE);
        ft_free(tables);
    }
    return metered;
}
