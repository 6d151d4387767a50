/* Clocks, memory and the end of a benchmark that cannot go on. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include "common/base/status.h"
#include <stddef.h>
#include <stdint.h>

/* Processor seconds of this process: what one idle core would take, whatever else the machine does. */
double bench_cpu_s(void);
/* Most memory this process ever had resident, in bytes (VmHWM). */
uint64_t bench_peak_bytes(void);
/* The middle one of `count` values; they are put in order. */
double bench_median(double *values, size_t count);
/* End the program with a sentence unless the status is FT_OK. */
void bench_must(enum ft_status st, const char *what);
_Noreturn void bench_die(const char *what);

#endif
