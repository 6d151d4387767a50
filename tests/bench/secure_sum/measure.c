#include "tests/bench/secure_sum/measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

double
bench_cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

uint64_t
bench_peak_bytes(void)
{
    char line[256];
    unsigned long long kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (sscanf(line, "VmHWM: %llu kB", &kib) == 1)
            break;
    if (f != NULL)
        fclose(f);
    if (kib == 0)
        bench_die("the kernel does not tell VmHWM");
    return (uint64_t)kib * 1024;
}

static int
compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double
bench_median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_doubles);
    return count % 2 != 0 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

void
bench_die(const char *what)
{
    fprintf(stderr, "bench_secure_sum: %s\n", what);
    exit(FT_EXIT_INTERNAL);
}

void
bench_must(enum ft_status st, const char *what)
{
    if (st == FT_OK)
        return;
    fprintf(stderr, "bench_secure_sum: %s: %s\n", what, ft_status_str(st));
    exit(FT_EXIT_INTERNAL);
}
