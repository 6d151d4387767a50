#include "aggregator/simulate/sweep/sweep.h"
#include "aggregator/simulate/experiment/experiment.h"
#include "aggregator/simulate/output/folder.h"
#include "common/base/alloc.h"
#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TICK_NS  ((long)20000000)
#define GRACE_S  60 /* for a stopped run to save its state */
#define ARGS_MAX 256
#define LOG_TAIL 2000
#define TRIES    300 /* of a folder that another process holds */
#define RETRY_S  0.2

struct job {
    pid_t pid; /* 0: free */
    uint32_t cell;
};

struct work {
    struct sim_sweep *sweep;
    const struct sim_sweep_options *o;
    struct job *jobs;
    struct sim_files files; /* hashed so far */
    unsigned running;
    struct ft_error *err;
};

static double
now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- cells ---- */

/* "learning_rate=0.1,seed=2-1f3c8a20": for people, and what the experiment is. */
static char *
name_cell(const struct sim_grid *grid, uint32_t cell, const struct ft_buf *resolved)
{
    uint8_t hash[8];
    char hex[17], readable[100];
    size_t used = 0;
    for (uint32_t a = 0; a < grid->axis_count && used + 2 < sizeof readable; a++) {
        const char *dot = strrchr(grid->axes[a].key, '.');
        const int n = snprintf(readable + used, sizeof readable - used, "%s%s=%s", a > 0 ? "," : "",
                               dot != NULL ? dot + 1 : grid->axes[a].key,
                               grid->axes[a].values[sim_grid_place(grid, cell, a)]);
        used += n > 0 && (size_t)n < sizeof readable - used ? (size_t)n : sizeof readable - used - 1;
    }
    readable[used] = '\0';
    for (char *p = readable; *p != '\0'; p++)
        if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._=,-", *p) == NULL)
            *p = '_';
    (void)crypto_generichash(hash, sizeof hash, resolved->data, resolved->size, NULL, 0);
    return ft_asprintf("%s-%s", readable, ft_hex(hex, hash, sizeof hash));
}

/* The first finding says most. */
static char *
reason_of(const struct ft_findings *findings, const struct ft_error *err)
{
    if (findings->count > 0)
        return ft_strdup(findings->list[0].text);
    return ft_strdup(err->status != FT_OK ? err->text : "no valid experiment");
}

/* A run that stops earlier cannot tell the rounds to a later target. */
static bool
target_beyond_stop(const struct sim_grid *grid, const struct ft_sim_experiment *e)
{
    if (isnan(grid->target) || e->stop.metric == 0 || (grid->metric != 0 && grid->metric != e->stop.metric))
        return false;
    return e->stop.metric == SIM_LOSS ? grid->target < e->stop.at : grid->target > e->stop.at;
}

static enum ft_status
check_cell(struct sim_sweep *s, uint32_t cell, struct ft_findings *findings, struct ft_error *err)
{
    struct sim_cell *c = &s->cells[cell];
    struct ft_sim_experiment e = { 0 };
    struct ft_buf resolved = { 0 };
    char **sets = sim_grid_sets(s->grid, cell);
    enum ft_status st = FT_ERR_NOMEM;

    if (sets == NULL)
        goto out;
    memset(err, 0, sizeof *err);
    st = ft_sim_experiment_load(s->grid->experiment, (const char *const *)sets,
                                s->grid->set_count + s->grid->axis_count, &e, findings, err);
    if (st == FT_ERR_CONFIG) {
        c->state = SIM_CELL_INVALID;
        s->invalid++;
        c->error = reason_of(findings, err);
        c->name = ft_strdup("");
        st = c->error != NULL && c->name != NULL ? FT_OK : FT_ERR_NOMEM;
        goto out;
    }
    FT_TRY(st);
    if (target_beyond_stop(s->grid, &e)) {
        st = ft_fail(err, FT_ERR_CONFIG, "the sweep's target %g is beyond %g, where its runs stop (stop.at), expected that or less far",
                     s->grid->target, e.stop.at);
        goto out;
    }
    FT_TRY(ft_sim_experiment_write(&e, &resolved));
    c->name = name_cell(s->grid, cell, &resolved);
    st = c->name != NULL ? FT_OK : FT_ERR_NOMEM;
out:
    sim_grid_sets_free(sets);
    ft_sim_experiment_clear(&e);
    ft_buf_clear(&resolved);
    return st;
}

/* Two cells of one experiment would share a folder: 0.1 and 0.10. */
static enum ft_status
check_names(const struct sim_sweep *s, struct ft_error *err)
{
    for (uint32_t i = 0; i < s->count; i++)
        for (uint32_t j = 0; j < i; j++) {
            const char *a = strrchr(s->cells[i].name, '-'), *b = strrchr(s->cells[j].name, '-');
            if (a != NULL && b != NULL && strcmp(a, b) == 0)
                return ft_fail(err, FT_ERR_CONFIG,
                               "cells %u and %u of the grid are the same experiment (%s), expected "
                               "different values",
                               j + 1, i + 1, s->cells[i].name);
        }
    return FT_OK;
}

static enum ft_status
check_cells(struct sim_sweep *s, struct ft_findings *findings, struct ft_error *err)
{
    enum ft_status st = FT_OK;
    struct ft_findings *later = ft_calloc(1, sizeof *later);
    if (later == NULL)
        return FT_ERR_NOMEM;
    for (uint32_t i = 0; i < s->count; i++)
        FT_TRY(check_cell(s, i, i == 0 ? findings : later, err));
    if (s->invalid == s->count) {
        st = findings->total > 0 ? ft_findings_status(findings, err)
                                 : ft_fail(err, FT_ERR_CONFIG, "%s", s->cells[0].error);
        goto out;
    }
    findings->total = findings->count = 0;
    memset(err, 0, sizeof *err);
    st = check_names(s, err);
out:
    ft_free(later);
    return st;
}

/* ---- the folder ---- */

static char *
path_in(const struct sim_sweep *s, uint32_t cell, const char *end)
{
    return ft_asprintf("%s/cells/%s%s", s->dir, s->cells[cell].name, end);
}

static enum ft_status
quoted(struct ft_buf *out, const char *text)
{
    enum ft_status st;
    FT_TRY(ft_buf_u8(out, '"'));
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            FT_TRY(ft_buf_u8(out, '\\'));
        FT_TRY(ft_buf_u8(out, (uint8_t)*text));
    }
    st = ft_buf_u8(out, '"');
out:
    return st;
}

static enum ft_status
write_list(struct ft_buf *out, char *const *values, uint32_t count)
{
    enum ft_status st;
    FT_TRY(ft_buf_u8(out, '['));
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0)
            FT_TRY(ft_buf_str(out, ", "));
        FT_TRY(quoted(out, values[i]));
    }
    st = ft_buf_str(out, "]\n");
out:
    return st;
}

/* A sweep file again. */
static enum ft_status
write_grid(const struct sim_grid *g, struct ft_buf *out)
{
    enum ft_status st;
    FT_TRY(ft_buf_str(out, "experiment: "));
    FT_TRY(quoted(out, g->experiment));
    FT_TRY(ft_buf_str(out, "\n"));
    if (g->set_count > 0) {
        FT_TRY(ft_buf_str(out, "set: "));
        FT_TRY(write_list(out, g->sets, g->set_count));
    }
    FT_TRY(ft_buf_str(out, "grid:\n"));
    for (uint32_t a = 0; a < g->axis_count; a++) {
        FT_TRY(ft_buf_printf(out, "  %s: ", g->axes[a].key));
        FT_TRY(write_list(out, g->axes[a].values, g->axes[a].count));
    }
    if (g->metric != 0)
        FT_TRY(ft_buf_printf(out, "metric: %s\n", sim_metric_name(g->metric)));
    if (!isnan(g->target))
        FT_TRY(ft_buf_printf(out, "target: %.17g\n", g->target));
    st = FT_OK;
out:
    return st;
}

/* A folder of results that no sweep made, or one of another experiment, is left as it is. */
static enum ft_status
look(const struct sim_sweep *s, bool force, struct ft_error *err)
{
    struct ft_findings *findings = ft_calloc(1, sizeof *findings);
    struct sim_grid former = { 0 };
    struct ft_error ignored = { 0 };
    char *grid = ft_asprintf("%s/sweep.yaml", s->dir), *results = ft_asprintf("%s/results.csv", s->dir);
    enum ft_status st = FT_ERR_NOMEM;

    if (grid == NULL || results == NULL || findings == NULL)
        goto out;
    st = FT_OK;
    if (force)
        goto out;
    if (access(grid, F_OK) != 0) {
        if (access(results, F_OK) == 0)
            st = ft_fail(err, FT_ERR_CONFIG, "%s is there already and no sweep's, expected an empty folder",
                         results);
        goto out;
    }
    if (sim_grid_load(grid, &former, findings, &ignored) != FT_OK)
        st = ft_fail(err, FT_ERR_CONFIG,
                     "%s cannot be read, expected what a sweep wrote; --force begins anew", grid);
    else if (strcmp(former.experiment, s->grid->experiment) != 0)
        st = ft_fail(err, FT_ERR_CONFIG, "%s is a sweep of %s, expected %s; --force begins anew", s->dir,
                     former.experiment, s->grid->experiment);
out:
    sim_grid_clear(&former);
    ft_free(findings);
    ft_free(grid);
    ft_free(results);
    return st;
}

static enum ft_status
enter(const struct sim_sweep *s, bool force, int *lock, struct ft_error *err)
{
    struct ft_buf yaml = { 0 };
    char *cells = ft_asprintf("%s/cells", s->dir), *path = ft_asprintf("%s/sweep.yaml", s->dir);
    enum ft_status st = FT_ERR_NOMEM;
    if (cells == NULL || path == NULL)
        goto out;
    FT_TRY(look(s, force, err));
    FT_TRY(ft_dir_make(cells, 0755, err));
    FT_TRY(ft_sim_folder_enter(s->dir, lock, err));
    FT_TRY(write_grid(s->grid, &yaml));
    st = ft_file_write(path, ft_buf_bytes(&yaml), 0644, err);
out:
    ft_buf_clear(&yaml);
    ft_free(cells);
    ft_free(path);
    return st;
}

/* ---- one cell's process ---- */

/* In the child: nothing but exec, and _exit. A process group of its own, so that a terminal's Ctrl-C reaches
 * it once. */
static void
become_run(const char *program, char *const *args, const char *log, pid_t parent)
{
    const int file = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    sigset_t none;
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (getppid() != parent || file < 0 || null < 0 || dup2(null, 0) < 0 || dup2(file, 1) < 0 ||
        dup2(file, 2) < 0)
        _exit(FT_EXIT_INTERNAL);
    (void)execv(program, args);
    _exit(FT_EXIT_INTERNAL);
}

static enum ft_status
start(struct work *w, struct job *job, uint32_t cell)
{
    struct sim_sweep *s = w->sweep;
    char *args[ARGS_MAX] = { (char *)"fedtill-simulate", (char *)"run", s->grid->experiment };
    char **sets = sim_grid_sets(s->grid, cell), *dir = path_in(s, cell, ""), *log = path_in(s, cell, ".log"),
         threads[16];
    const pid_t me = getpid();
    size_t n = 3;
    enum ft_status st = FT_ERR_NOMEM;

    if (sets == NULL || dir == NULL || log == NULL)
        goto out;
    for (size_t i = 0; sets[i] != NULL; i++) {
        args[n++] = (char *)"--set";
        args[n++] = sets[i];
    }
    (void)snprintf(threads, sizeof threads, "%u", w->o->threads);
    args[n++] = (char *)"--threads";
    args[n++] = threads;
    args[n++] = (char *)"--out";
    args[n++] = dir;
    args[n++] = w->o->force ? (char *)"--force" : (char *)"--resume";
    st = FT_OK;
    job->pid = fork();
    if (job->pid == 0)
        become_run(w->o->program, args, log, me);
    if (job->pid < 0) {
        job->pid = 0;
        st = ft_fail(w->err, FT_ERR_INTERNAL, "no process for cell %s: %s", s->cells[cell].name,
                     strerror(errno));
        goto out;
    }
    job->cell = cell;
    s->cells[cell].state = SIM_CELL_RUNNING;
    w->running++;
out:
    sim_grid_sets_free(sets);
    ft_free(dir);
    ft_free(log);
    return st;
}

/* The last line of a run's log, without the program's name. */
static char *
last_words(const struct sim_sweep *s, uint32_t cell, int status)
{
    char *path = path_in(s, cell, ".log"), *text = NULL;
    struct ft_buf log = { 0 };
    if (path != NULL && ft_file_read(path, (size_t)1 << 24, &log, NULL) == FT_OK && log.size > 0) {
        size_t end = log.size, begin;
        while (end > 0 && (log.data[end - 1] == '\n' || log.data[end - 1] == '\r'))
            end--;
        for (begin = end; begin > 0 && log.data[begin - 1] != '\n' && end - begin < LOG_TAIL; begin--)
            ;
        const char *line = (const char *)log.data + begin;
        const size_t program = strlen("fedtill-simulate: ");
        if (end - begin > program && memcmp(line, "fedtill-simulate: ", program) == 0)
            begin += program;
        if (end > begin)
            text = ft_asprintf("%.*s", (int)(end - begin), (const char *)log.data + begin);
    }
    if (text == NULL && WIFSIGNALED(status))
        text = ft_asprintf("ended by signal %d", WTERMSIG(status));
    if (text == NULL)
        text = ft_asprintf("ended with %d", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    ft_buf_clear(&log);
    ft_free(path);
    return text;
}

static enum ft_status
ended(struct work *w, struct job *job, int status)
{
    struct sim_sweep *s = w->sweep;
    struct sim_cell *c = &s->cells[job->cell];
    const bool good = WIFEXITED(status) && WEXITSTATUS(status) == FT_EXIT_OK;
    enum ft_status st = FT_OK;

    job->pid = 0;
    w->running--;
    if (!good && w->o->stop != NULL && *w->o->stop != 0) {
        c->state = SIM_CELL_WAITING; /* it was stopped, and can go on */
        return FT_OK;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == FT_EXIT_LATER && c->tries++ < TRIES) {
        c->state = SIM_CELL_WAITING; /* a killed sweep's run is still saving its state there */
        c->not_before = now() + RETRY_S;
        return FT_OK;
    }
    c->state = good ? SIM_CELL_DONE : SIM_CELL_FAILED;
    s->done += good;
    s->failed += !good;
    if (!good) {
        c->exit = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
        c->error = last_words(s, job->cell, status);
        st = c->error != NULL ? FT_OK : FT_ERR_NOMEM;
    }
    return st;
}

/* The next cell to start; the count when there is none now. */
static uint32_t
next_cell(const struct sim_sweep *s, bool *waits)
{
    uint32_t i = 0;
    for (*waits = false; i < s->count; i++) {
        if (s->cells[i].state != SIM_CELL_WAITING)
            continue;
        *waits = true;
        if (s->cells[i].not_before <= now())
            break;
    }
    return i;
}

static void
tell(const struct work *w)
{
    if (w->o->progress != NULL)
        w->o->progress(w->o->ctx, w->sweep, w->running);
}

static enum ft_status
reap(struct work *w)
{
    const struct timespec tick = { 0, TICK_NS };
    bool some = false;
    enum ft_status st = FT_OK;
    for (unsigned j = 0; st == FT_OK && j < w->o->jobs; j++) {
        int status;
        if (w->jobs[j].pid > 0 && waitpid(w->jobs[j].pid, &status, WNOHANG) == w->jobs[j].pid) {
            st = ended(w, &w->jobs[j], status);
            some = true;
        }
    }
    if (!some)
        (void)nanosleep(&tick, NULL);
    tell(w);
    return st;
}

static void
signal_all(const struct work *w, int number)
{
    for (unsigned j = 0; j < w->o->jobs; j++)
        if (w->jobs[j].pid > 0)
            (void)kill(w->jobs[j].pid, number);
}

/* Runs that are asked to stop save their state; those that do not within the grace are ended. */
static void
stop_all(struct work *w)
{
    const double begin = now();
    signal_all(w, SIGTERM);
    for (bool killed = false; w->running > 0;) {
        if (reap(w) != FT_OK)
            break;
        if (!killed && now() - begin > GRACE_S) {
            signal_all(w, SIGKILL);
            killed = true;
        }
    }
}

static bool
is_complete(const struct sim_sweep *s, uint32_t cell)
{
    char *path = path_in(s, cell, "/summary.json"), *report = path_in(s, cell, "/report.html");
    const bool there = path != NULL && report != NULL && access(path, F_OK) == 0 && access(report, F_OK) == 0;
    ft_free(path);
    ft_free(report);
    return there;
}

/* A finished cell is no result of data that have changed since; where they are gone nothing can be told apart. */
static enum ft_status
same_data(struct work *w, uint32_t cell)
{
    const struct sim_grid *grid = w->sweep->grid;
    struct ft_findings *findings = ft_calloc(1, sizeof *findings);
    struct ft_sim_experiment e = { 0 };
    struct sim_files files = { 0 };
    struct ft_error ignored = { 0 };
    char **sets = sim_grid_sets(grid, cell), *dir = path_in(w->sweep, cell, "");
    enum ft_status st = FT_ERR_NOMEM;

    if (sets == NULL || dir == NULL || findings == NULL)
        goto out;
    FT_TRY(ft_sim_experiment_load(grid->experiment, (const char *const *)sets, grid->set_count + grid->axis_count, &e, findings,
                                  w->err));
    st = sim_files_find(&e.data, e.clients.availability, &files, &ignored);
    if (st == FT_OK)
        st = sim_files_hash(&files, &w->files, &ignored);
    if (st == FT_OK) {
        st = ft_sim_same_files(dir, &files, &ignored);
        if (st == FT_ERR_NOTFOUND) /* an older program's */
            st = FT_OK;
        *w->err = st != FT_OK ? ignored : *w->err;
    } else if (st != FT_ERR_NOMEM) {
        st = FT_OK;
    }
out:
    sim_files_clear(&files);
    ft_sim_experiment_clear(&e);
    sim_grid_sets_free(sets);
    ft_free(findings);
    ft_free(dir);
    return st;
}

static enum ft_status
run_cells(struct work *w)
{
    struct sim_sweep *s = w->sweep;
    bool waits = true;
    enum ft_status st = FT_OK;

    for (uint32_t i = 0; i < s->count; i++)
        if (s->cells[i].state == SIM_CELL_WAITING && !w->o->force && is_complete(s, i)) {
            FT_TRY(same_data(w, i));
            s->cells[i].state = SIM_CELL_DONE;
            s->cells[i].before = true;
            s->done++;
        }
    tell(w);
    for (;;) {
        if (w->o->stop != NULL && *w->o->stop != 0) {
            stop_all(w);
            return ft_fail(w->err, FT_ERR_CANCELLED,
                           "stopped with %u of %u cells done; the same command goes on from there", s->done,
                           s->count);
        }
        for (unsigned j = 0; j < w->o->jobs; j++) {
            const uint32_t next = w->jobs[j].pid == 0 ? next_cell(s, &waits) : s->count;
            if (next < s->count)
                FT_TRY(start(w, &w->jobs[j], next));
        }
        if (w->running == 0 && !waits)
            break;
        FT_TRY(reap(w));
    }
out:
    if (st != FT_OK)
        stop_all(w);
    return st;
}

/* ---- results ---- */

static enum ft_status
read_cell(struct sim_sweep *s, uint32_t cell, struct ft_error *err)
{
    char *dir = path_in(s, cell, "");
    const enum ft_status st = dir != NULL ? sim_run_open(dir, &s->cells[cell].run, err) : FT_ERR_NOMEM;
    ft_free(dir);
    return st;
}

static enum ft_status
read_cells(struct sim_sweep *s, struct ft_error *err)
{
    enum ft_status st = FT_OK;
    for (uint32_t i = 0; i < s->count; i++)
        s->cells[i].rounds_to = NAN;
    for (uint32_t i = 0; st == FT_OK && i < s->count; i++)
        if (s->cells[i].state == SIM_CELL_DONE)
            st = read_cell(s, i, err);
    s->metric = s->grid->metric;
    for (uint32_t i = 0; st == FT_OK && i < s->count && s->metric == 0; i++)
        if (s->cells[i].state == SIM_CELL_DONE)
            s->metric = sim_run_metric(&s->cells[i].run);
    if (s->metric == 0)
        s->metric = SIM_LOSS;
    s->targets = !isnan(s->grid->target);
    for (uint32_t i = 0; st == FT_OK && i < s->count; i++) {
        const struct sim_run *run = &s->cells[i].run;
        if (s->cells[i].state != SIM_CELL_DONE)
            continue;
        if (!isnan(s->grid->target))
            s->cells[i].rounds_to = sim_run_rounds_to(run, s->metric, s->grid->target);
        else if (sim_run_key(run, "stop.at") != NULL) {
            s->cells[i].rounds_to = sim_run_number(run, "rounds_to_target");
            s->targets = true;
        }
    }
    return st;
}

enum ft_status
sim_sweep_run(const struct sim_grid *grid, const struct sim_sweep_options *options, struct sim_sweep *out,
              struct ft_findings *findings, struct ft_error *err)
{
    struct work w = { .sweep = out, .o = options, .err = err };
    int lock = -1;
    enum ft_status st;

    *out = (struct sim_sweep){ .grid = grid, .dir = options->dir };
    FT_TRY(sim_grid_check(grid, err));
    out->count = sim_grid_cells(grid);
    out->cells = ft_calloc(out->count, sizeof *out->cells);
    w.jobs = ft_calloc(options->jobs, sizeof *w.jobs);
    if (out->cells == NULL || w.jobs == NULL) {
        out->count = 0;
        st = FT_ERR_NOMEM;
        goto out;
    }
    FT_TRY(check_cells(out, findings, err));
    FT_TRY(enter(out, options->force, &lock, err));
    FT_TRY(run_cells(&w));
    FT_TRY(read_cells(out, err));
    st = sim_sweep_write(out, err);
out:
    if (lock >= 0)
        (void)close(lock);
    sim_files_clear(&w.files);
    ft_free(w.jobs);
    return st;
}

void
sim_sweep_close(struct sim_sweep *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        ft_free(s->cells[i].name);
        ft_free(s->cells[i].error);
        sim_run_close(&s->cells[i].run);
    }
    ft_free(s->cells);
    *s = (struct sim_sweep){ 0 };
}
