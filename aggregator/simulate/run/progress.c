#include "aggregator/simulate/run/progress.h"
#include "common/base/cli.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define EVERY 0.1 /* seconds */
#define CELLS 24

static double
now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void
sim_bar_open(struct sim_bar *bar)
{
    *bar = (struct sim_bar){ .lively = ft_cli_lively(stderr), .score = { NAN, NAN, NAN } };
}

static void
cells(char out[CELLS + 1], uint64_t done, uint64_t all)
{
    const uint64_t full = all > 0 ? done * CELLS / all : 0;
    for (uint64_t i = 0; i < CELLS; i++)
        out[i] = i < full ? '=' : ' ';
    if (full < CELLS)
        out[full] = '>';
    out[CELLS] = '\0';
}

static void
time_left(char *out, size_t room, const struct ft_sim_progress *p)
{
    const uint64_t mine = p->done - p->done_before;
    const double left = mine > 0 ? p->seconds / (double)mine * (double)(p->all - p->done) : NAN;
    if (!isfinite(left))
        (void)snprintf(out, room, "-");
    else if (left >= 3600)
        (void)snprintf(out, room, "%.0f:%02.0f h left", floor(left / 3600), floor(fmod(left, 3600) / 60));
    else
        (void)snprintf(out, room, "%.0f:%02.0f left", floor(left / 60), floor(fmod(left, 60)));
}

static void
metric(char *out, size_t room, const struct ft_sim_score *s)
{
    if (isfinite(s->auc))
        (void)snprintf(out, room, "AUC %.4f", s->auc);
    else if (isfinite(s->accuracy))
        (void)snprintf(out, room, "accuracy %.4f", s->accuracy);
    else if (isfinite(s->loss))
        (void)snprintf(out, room, "loss %.5g", s->loss);
    else
        (void)snprintf(out, room, "not scored yet");
}

static void
show_rounds(struct sim_bar *bar, const struct ft_sim_progress *p, const char *what)
{
    char track[CELLS + 1], left[48], quality[48];
    cells(track, p->done, p->all);
    time_left(left, sizeof left, p);
    metric(quality, sizeof quality, &bar->score);
    fprintf(stderr, "\r\033[K%s %llu/%llu [%s] %s, %.0f clients/s, %s", what, (unsigned long long)p->done,
            (unsigned long long)p->all, track, quality, p->seconds > 0 ? (double)p->clients / p->seconds : 0,
            left);
}

void
sim_bar_show(void *ctx, const struct ft_sim_progress *p)
{
    struct sim_bar *bar = ctx;
    const double at = now();

    if (!bar->lively)
        return;
    if (p->round != NULL && p->round->scored && p->stage == FT_SIM_ROUNDS)
        bar->score = p->round->score;
    if (at - bar->shown < EVERY && p->done < p->all)
        return;
    bar->shown = at;
    switch (p->stage) {
    case FT_SIM_READING:
        fprintf(stderr, "\r\033[Kreading the rows");
        break;
    case FT_SIM_ROUNDS:
        show_rounds(bar, p, "round");
        break;
    case FT_SIM_BASELINES:
        fprintf(stderr, "\r\033[Kbaselines: model %llu of %llu", (unsigned long long)p->done,
                (unsigned long long)p->all);
        break;
    case FT_SIM_CENTRAL:
        show_rounds(bar, p, "central, round");
        break;
    case FT_SIM_WITHOUT_PRIVACY:
        show_rounds(bar, p, "without privacy, round");
        break;
    case FT_SIM_WRITING:
        fprintf(stderr, "\r\033[Kwriting");
        break;
    }
    fflush(stderr);
}

void
sim_bar_close(struct sim_bar *bar)
{
    if (bar->lively)
        fprintf(stderr, "\r\033[K");
}
