#include "bench_case.h"
#include "common/base/alloc.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct anchor {
    pid_t pid;
    FILE *to, *from;
};

static double
answer(struct anchor *a)
{
    double value = 0;

    bench_must(fflush(a->to) == 0 && fscanf(a->from, "%lf", &value) == 1, "PyTorch's process ended");
    return value;
}

/* Python of Debian's package first: another one first on the path may not have it. */
static void
run_python(char *const arguments[])
{
    (void)execv("/usr/bin/python3", arguments);
    (void)execvp("python3", arguments);
    _exit(127);
}

struct anchor *
anchor_open(const struct bench_case *c, const struct bench_world *w, const char *mode, const char *folder)
{
    struct anchor *a = ft_calloc(1, sizeof *a);
    int down[2], up[2];
    char shape[256], settings[128];
    int at = 0;
    float ready;

    for (uint32_t l = 0; l < w->spec.conv_count;
         l++) /* height, width, channels; then channels, kernel, pool a layer */
        at += snprintf(shape + at, sizeof shape - (size_t)at, "%s%ux%ux%u", l == 0 ? "" : "/",
                       w->spec.conv[l].channels, w->spec.conv[l].kernel, w->spec.conv[l].pool);
    if (at > 0)
        at += snprintf(shape + at, sizeof shape - (size_t)at, ":");
    at += snprintf(shape + at, sizeof shape - (size_t)at, "%u", w->spec.features);
    for (uint32_t l = 0; ft_model_is_network(&w->spec) && l < w->spec.hidden_count; l++)
        at += snprintf(shape + at, sizeof shape - (size_t)at, ",%u", w->spec.hidden[l]);
    (void)snprintf(shape + at, sizeof shape - (size_t)at, ",%u", ft_model_outputs(&w->spec));
    (void)snprintf(settings, sizeof settings, "%u,%u,%u,%.9g", c->rows, w->e.training.local_epochs,
                   w->e.training.batch_size, w->e.training.learning_rate);
    bench_must(a != NULL && pipe2(down, O_CLOEXEC) == 0 && pipe2(up, O_CLOEXEC) == 0, "no pipes");
    a->pid = fork();
    bench_must(a->pid >= 0, "no process");
    if (a->pid == 0) {
        char *const arguments[] = {
            "python3", BENCH_ANCHOR, (char *)(uintptr_t)mode, (char *)(uintptr_t)folder, shape, settings, NULL
        };
        (void)dup2(down[0], 0);
        (void)dup2(up[1], 1);
        run_python(arguments);
    }
    (void)close(down[0]);
    (void)close(up[1]);
    a->to = fdopen(down[1], "w");
    a->from = fdopen(up[0], "r");
    bench_must(a->to != NULL && a->from != NULL, "no pipes");
    if (fscanf(a->from, "%f", &ready) == 1)
        return a;
    anchor_close(a);
    return NULL;
}

double
anchor_round(struct anchor *a, const struct sim_asked *asked, uint32_t count, double *processor)
{
    double seconds;

    (void)fputs("round", a->to);
    for (uint32_t i = 0; i < count; i++)
        (void)fprintf(a->to, " %u", asked[i].client);
    (void)fputc('\n', a->to);
    seconds = answer(a);
    bench_must(fscanf(a->from, "%lf", processor) == 1, "PyTorch's process ended");
    return seconds;
}

double
anchor_accuracy(struct anchor *a)
{
    (void)fputs("accuracy\n", a->to);
    return answer(a);
}

void
anchor_close(struct anchor *a)
{
    if (a == NULL)
        return;
    (void)fclose(a->to);
    (void)fclose(a->from);
    (void)waitpid(a->pid, NULL, 0);
    ft_free(a);
}
