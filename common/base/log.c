#include "common/base/log.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct {
    const char *program;
    enum ft_log_level least;
    int fd;
} sink = { "fedtill", FT_LOG_INFO, STDERR_FILENO };

static const char *const level_names[] = { "debug", "info", "warn", "error" };

void
ft_log_open(const char *program, enum ft_log_level least, int fd)
{
    sink.program = program;
    sink.least = least;
    sink.fd = fd;
}

/* Add `name=value` to the object; a value that reads as a number wholly is one. */
static void
add_field(json_t *object, char *pair)
{
    char *value = strchr(pair, '=');
    char *end = NULL;
    if (value == NULL)
        return;
    *value++ = '\0';
    if (*value != '\0') {
        long long whole = strtoll(value, &end, 10);
        if (*end == '\0') {
            json_object_set_new(object, pair, json_integer(whole));
            return;
        }
        double real = strtod(value, &end);
        json_t *number = *end == '\0' ? json_real(real) : NULL; /* NULL too for inf and nan: text then */
        if (number != NULL) {
            json_object_set_new(object, pair, number);
            return;
        }
    }
    json_t *text = json_string(value);
    json_object_set_new(object, pair, text ? text : json_string("(not text)"));
}

void
ft_log(enum ft_log_level level, const char *event, const char *fmt, ...)
{
    char pairs[1024], stamp[64];
    struct timespec t;
    struct tm tm;
    va_list args;
    json_t *object;
    char *line, *rest;

    if (level < sink.least || (object = json_object()) == NULL)
        return;
    clock_gettime(CLOCK_REALTIME, &t);
    gmtime_r(&t.tv_sec, &tm);
    size_t n = strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(stamp + n, sizeof stamp - n, ".%03ldZ", t.tv_nsec / 1000000);
    json_object_set_new(object, "time", json_string(stamp));
    json_object_set_new(object, "level", json_string(level_names[level]));
    json_object_set_new(object, "program", json_string(sink.program));
    json_object_set_new(object, "event", json_string(event));
    va_start(args, fmt);
    vsnprintf(pairs, sizeof pairs, fmt, args);
    va_end(args);
    /* Values may hold spaces: a field ends where the next ` word=` begins. */
    rest = pairs;
    while (rest != NULL && *rest != '\0') {
        char *next = NULL;
        for (char *p = strchr(rest, ' '); p != NULL && next == NULL; p = strchr(p + 1, ' ')) {
            size_t word = strspn(p + 1, "abcdefghijklmnopqrstuvwxyz_0123456789");
            if (word > 0 && p[1 + word] == '=')
                next = p;
        }
        if (next != NULL)
            *next++ = '\0';
        add_field(object, rest);
        rest = next;
    }
    line = json_dumps(object, JSON_COMPACT);
    if (line != NULL) {
        dprintf(sink.fd, "%s\n", line);
        free(line);
    }
    json_decref(object);
}
