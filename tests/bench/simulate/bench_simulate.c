/*
 * Seconds a round of federated averaging, the product's code beside PyTorch in the same call, turn by turn,
 * the least of several: the machine may have other work. Two threads everywhere.
 *
 *   case       model                          clients              a round
 *   2nn        784-200-200-10 ReLU, batch 10  100 of 600 examples  10 %, 1 epoch    McMahan et al. 2017
 *   2nn-e5     the same                       the same             10 %, 5 epochs
 *   logistic   100 features, batch 10         1,000 of 200 rows    all, 1 epoch
 *   cnn        two convolutions, batch 10     100 of 600 examples  10 %, 1 epoch    McMahan et al. 2017; by
 * name only
 *
 * Usage: bench_simulate [--rounds N] [--case NAME] [--clients N] [--threads N] [--anchor NAME | --no-anchors]
 * [--json] OpenBLAS chooses its kernels itself: an environment that tells it which (OPENBLAS_CORETYPE) would
 * slow the yardsticks, so the program then starts itself again without. From the source root: the PyTorch
 * loops are tests/bench/simulate/torch_rounds.py.
 */
#include "bench_case.h"
#include "common/base/alloc.h"

#include <popt.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Products of a row: 2 each forward and for the weights' gradient, 2 more down to every layer but the first.
 */
#define TWO_NN_FLOPS   (2.0 * (2.0 * (784 * 200 + 200 * 200 + 200 * 10) + 200 * 200 + 200 * 10))
#define LOGISTIC_FLOPS (2.0 * 2.0 * 100)
#define CNN_FIRST      (784.0 * 25 * 32)
#define CNN_REST       (196.0 * 800 * 64 + 3136.0 * 512 + 512 * 10)
#define CNN_FLOPS      (2.0 * (2.0 * CNN_FIRST + 3.0 * CNN_REST))

#define DIGITS "  classes: 10\n"
#define TWO_NN "  kind: mlp\n  hidden: [200, 200]\n"
#define CNN                                                                                                  \
    "  kind: cnn\n  image: [28, 28, 1]\n  channels: [32, 64]\n  kernels: [5, 5]\n  pools: [2, 2]\n"          \
    "  hidden: [512]\n"

static const struct bench_case cases[] = {
    { "2nn", DIGITS, TWO_NN, "0.1", 100, 600, 1, 0.1, TWO_NN_FLOPS },
    { "2nn-e5", DIGITS, TWO_NN, "0.1", 100, 600, 5, 0.1, TWO_NN_FLOPS },
    { "logistic", "  classes: 2\n  features: 100\n", "  kind: logistic\n", "1", 1000, 200, 1, 0.1,
      LOGISTIC_FLOPS },
    { "cnn", DIGITS, CNN, "0.1", 100, 600, 1, 0.05, CNN_FLOPS },
};

static int rounds = 12, threads = 2, clients, no_anchors, json;
static const char *only, *only_anchor;

void
bench_must(bool good, const char *what)
{
    if (good)
        return;
    (void)fprintf(stderr, "bench_simulate: %s\n", what);
    exit(70);
}

double
bench_processor(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double
bench_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

enum { PRODUCT, FLAT, IDIOMATIC, RUNNERS };
static const char *const names[RUNNERS] = { "fedtill", "flat", "idiomatic" };

struct result {
    double seconds[RUNNERS]; /* least; 0: not measured */
    double processor[RUNNERS];
    double accuracy[RUNNERS];
    uint32_t clients; /* a round */
};

static void
keep_least(double *least, double seconds)
{
    if (*least <= 0 || seconds < *least)
        *least = seconds;
}

static void
run_rounds(const struct bench_case *c, struct bench_world *w, const char *folder, struct result *r)
{
    struct anchor *anchors[RUNNERS] = { NULL };
    struct ft_sim_round round;
    struct ft_sim_score score;
    struct ft_error err = { 0 };

    for (int k = FLAT; k < RUNNERS && !no_anchors; k++)
        if (only_anchor == NULL || strcmp(only_anchor, names[k]) == 0)
            anchors[k] = anchor_open(c, w, names[k], folder);
    for (int n = 1; n <= rounds; n++) {
        const uint32_t asked = bench_world_asked(w, (uint64_t)n);
        double processor = bench_processor();
        bench_must(ft_sim_engine_round(w->engine, &round, &err) == FT_OK && round.came == asked,
                   "a round failed");
        keep_least(&r->processor[PRODUCT], bench_processor() - processor);
        r->clients = asked;
        keep_least(&r->seconds[PRODUCT], round.seconds);
        for (int k = FLAT; k < RUNNERS; k++)
            if (anchors[k] != NULL) {
                keep_least(&r->seconds[k], anchor_round(anchors[k], w->asked, asked, &processor));
                keep_least(&r->processor[k], processor);
            }
    }
    bench_must(ft_sim_engine_score(w->engine, ft_sim_engine_params(w->engine), &score) == FT_OK,
               "cannot score");
    r->accuracy[PRODUCT] = score.accuracy;
    for (int k = FLAT; k < RUNNERS; k++)
        if (anchors[k] != NULL) {
            r->accuracy[k] = anchor_accuracy(anchors[k]);
            anchor_close(anchors[k]);
        }
}

static void
print_result(const struct bench_case *c, const struct result *r, double peak)
{
    const double flops = c->flops * c->rows * r->clients * c->epochs;
    const double own = r->seconds[PRODUCT], rate = flops / own * 1e-9;

    if (json)
        printf("{\"case\":\"%s\",\"rounds\":%d,\"threads\":%d,\"kernel\":\"%s\",\"peak_gflops\":%.1f,"
               "\"gflops\":%.1f,"
               "\"share_of_peak\":%.4f,\"clients_per_second\":%.1f",
               c->name, rounds, threads, ft_model_kernel(), peak, rate, rate / peak, r->clients / own);
    else
        printf("%s: %.0f GFLOP/s, %.1f %% of the measured peak %.0f, kernel %s, %.0f clients/s\n", c->name,
               rate, 100 * rate / peak, peak, ft_model_kernel(), r->clients / own);
    for (int k = 0; k < RUNNERS; k++) {
        if (r->seconds[k] <= 0)
            continue;
        if (json)
            printf(",\"%s_s\":%.6f,\"%s_processor_s\":%.6f,\"%s_accuracy\":%.4f", names[k], r->seconds[k],
                   names[k], r->processor[k], names[k], r->accuracy[k]);
        else
            printf("  %-10s %10.3f ms a round  %7.2f times   of processors %10.3f ms  %7.2f times   accuracy "
                   "after %d "
                   "rounds %.2f %%\n",
                   names[k], r->seconds[k] * 1e3, r->seconds[k] / own, r->processor[k] * 1e3,
                   r->processor[k] / r->processor[PRODUCT], rounds, 100 * r->accuracy[k]);
    }
    printf(json ? "}\n" : "");
    (void)fflush(stdout);
}

static void
run_case(struct bench_case c, double peak)
{
    static const char *const files[] = { "x", "y", "test_x", "test_y", "start" };
    char folder[] = "/tmp/bench_simulate.XXXXXX", path[512];
    struct bench_world world;
    struct result result = { 0 };
    double again;

    if (clients > 0)
        c.clients = (uint32_t)clients;
    bench_world_open(&c, (unsigned)threads, rounds, &world);
    bench_must(mkdtemp(folder) != NULL, "no folder in /tmp");
    if (!no_anchors)
        bench_world_write(&world, folder);
    run_rounds(&c, &world, folder, &result);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder);
    again = bench_peak((unsigned)threads); /* before or after, whichever was less disturbed */
    print_result(&c, &result, again > peak ? again : peak);
    bench_world_close(&world);
}

static void
free_openblas(char **argv)
{
    if (getenv("OPENBLAS_CORETYPE") == NULL && getenv("OPENBLAS_L2_SIZE") == NULL)
        return;
    if (unsetenv("OPENBLAS_CORETYPE") == 0 && unsetenv("OPENBLAS_L2_SIZE") == 0)
        (void)execv("/proc/self/exe", argv);
}

int
main(int argc, char **argv)
{
    const struct poptOption options[] = {
        { "rounds", 'r', POPT_ARG_INT | POPT_ARGFLAG_SHOW_DEFAULT, &rounds, 0, "rounds of each", "N" },
        { "case", 'c', POPT_ARG_STRING, &only, 0, "this case only: 2nn, 2nn-e5, logistic or cnn", "NAME" },
        { "clients", 'n', POPT_ARG_INT, &clients, 0, "clients instead of the case's own number", "N" },
        { "threads", 't', POPT_ARG_INT | POPT_ARGFLAG_SHOW_DEFAULT, &threads, 0, "threads", "N" },
        { "anchor", 'a', POPT_ARG_STRING, &only_anchor, 0, "beside this one only: flat or idiomatic",
          "NAME" },
        { "no-anchors", 0, POPT_ARG_NONE, &no_anchors, 0, "without PyTorch", NULL },
        { "json", 'j', POPT_ARG_NONE, &json, 0, "one JSON object a case", NULL },
        POPT_AUTOHELP POPT_TABLEEND,
    };
    poptContext popt = poptGetContext(NULL, argc, (const char **)(uintptr_t)argv, options, 0);
    const int last = poptGetNextOpt(popt);
    bool found = false;
    double peak;

    if (last < -1 || poptPeekArg(popt) != NULL || rounds < 1 || threads < 1) {
        poptPrintUsage(popt, stderr, 0);
        return 64;
    }
    free_openblas(argv);
    bench_must(sodium_init() >= 0, "no libsodium");
    (void)signal(SIGPIPE, SIG_IGN);
    ft_model_setup();
    peak = bench_peak((unsigned)threads);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (only != NULL ? strcmp(only, cases[i].name) == 0 : strcmp(cases[i].name, "cnn") != 0) {
            found = true;
            run_case(cases[i], peak);
        }
    (void)poptFreeContext(popt);
    bench_must(found, "no such case; 2nn, 2nn-e5, logistic and cnn are known");
    return 0;
}
