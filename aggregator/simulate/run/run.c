#include "aggregator/simulate/run/run.h"
#include "aggregator/simulate/engine/pool.h"
#include "aggregator/simulate/engine/ranks.h"
#include "aggregator/simulate/output/partition_file.h"
#include "aggregator/simulate/run/baselines.h"
#include "common/base/alloc.h"
#include "common/base/file.h"

#include <errno.h>
#include <math.h>
#include <sched.h>
#include <sodium.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define SAVE_LEAST 5.0 /* seconds between saved states, when nothing else is said ... */
#define SAVE_SHARE 20  /* ... and so many times what saving one takes */

struct run {
    const struct ft_sim_experiment *e;
    const struct ft_sim_run_options *o;
    struct ft_sim_data data;
    struct sim_files files; /* it was read from */
    struct ft_sim_clients clients;
    struct ft_model_spec spec;
    struct ft_sim_engine *engine;
    struct ft_sim_totals totals;
    struct ft_sim_result *out;
    enum ft_sim_held held;
    int lock;     /* of the folder; -1: none */
    FILE *rounds; /* rounds.csv; NULL: none */
    struct ft_sim_progress progress;
    double begun, saved, save_cost; /* clock, clock, seconds */
    struct ft_error *err;
};

static double
now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

unsigned
ft_sim_threads(void)
{
    cpu_set_t set;
    const int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count < 1 ? 1 : count > SIM_THREADS_MAX ? SIM_THREADS_MAX : (unsigned)count;
}

static void
tell(struct run *r)
{
    if (ft_sim_rank() == 0 && r->o->progress != NULL)
        r->o->progress(r->o->ctx, &r->progress);
}

/* Has anybody been told to stop? All processes see it after the same round. */
static bool
stopped(const struct run *r)
{
    uint64_t stop = r->o->stop != NULL && *r->o->stop != 0;
    sim_ranks_most_u64(&stop, 1);
    return stop != 0;
}

static bool
is_first(void)
{
    return ft_sim_rank() == 0;
}

/* ---- before the first round ---- */

static enum ft_status
find_files(struct run *r, struct ft_error *err)
{
    enum ft_status st;
    FT_TRY(sim_files_find(&r->e->data, r->e->clients.availability, &r->files, err));
    st = sim_files_hash(&r->files, NULL, err);
out:
    return st;
}

/* Every machine reads its own copy: all must be process 0's. */
static enum ft_status
same_on_all(struct run *r)
{
    struct ft_buf list = { 0 };
    char *origin = ft_asprintf("process %u beside process 0's data", ft_sim_rank());
    uint64_t size;
    enum ft_status st = origin != NULL ? sim_files_write(&r->files, &list) : FT_ERR_NOMEM;
    FT_TRY(sim_ranks_agree(st, r->err));
    size = list.size;
    sim_ranks_tell(&size, sizeof size);
    if (ft_sim_rank() > 0)
        list.size = 0;
    FT_TRY(sim_ranks_agree(ft_buf_reserve(&list, size), r->err));
    sim_ranks_tell(list.data, size);
    list.size = size;
    st = sim_ranks_agree(sim_files_same(&r->files, ft_buf_bytes(&list), origin, r->err), r->err);
out:
    ft_buf_clear(&list);
    ft_free(origin);
    return st;
}

static enum ft_status
open_all(struct run *r)
{
    enum ft_status st;
    FT_TRY(find_files(r, r->err)); /* before their rows: of a file replaced in between, --resume finds another hash */
    r->out->files = &r->files;
    tell(r);
    FT_TRY(ft_sim_data_open(&r->e->data, r->e->seed, &r->data, r->err));
    FT_TRY(ft_sim_partition(&r->e->partition, r->e->seed, &r->data, &r->clients, r->err));
    FT_TRY(ft_sim_experiment_model(r->e, &r->data, &r->spec, r->err));
    const struct ft_sim_input input = { r->e, &r->data, &r->clients, &r->spec,
                                        r->o->threads > 0 ? r->o->threads : ft_sim_threads() };
    FT_TRY(ft_sim_engine_open(&input, &r->engine, r->err));
    r->out->threads = input.threads;
    r->out->ranks = ft_sim_ranks();
    r->out->clients = r->clients.count;
    r->out->parameters = ft_sim_engine_parameters(r->engine);
    r->out->train_rows = r->data.train.rows;
    r->out->test_rows = r->data.test.rows;
    st = ft_sim_describe(&r->data, &r->clients, &r->out->spread);
out:
    return st;
}

/* rounds.csv as long as the state knows it: what a killed process wrote behind it is done again. */
static enum ft_status
open_rounds(struct run *r)
{
    char *path = ft_asprintf("%s/rounds.csv", r->o->dir);
    enum ft_status st = FT_OK;
    if (path == NULL)
        return FT_ERR_NOMEM;
    r->rounds = fopen(path, r->totals.rounds_size > 0 ? "r+e" : "we");
    if (r->rounds == NULL || ftruncate(fileno(r->rounds), (off_t)r->totals.rounds_size) != 0 ||
        fseeko(r->rounds, 0, SEEK_END) != 0 || (uint64_t)ftello(r->rounds) != r->totals.rounds_size)
        st = ft_fail(r->err, r->rounds == NULL ? ft_status_of_errno(errno) : FT_ERR_IO, "%s: %s", path,
                     strerror(errno));
    else if (r->totals.rounds_size == 0) {
        r->totals.rounds_size = strlen(ft_sim_rounds_header);
        if (fputs(ft_sim_rounds_header, r->rounds) == EOF || fflush(r->rounds) != 0)
            st = ft_fail(r->err, ft_status_of_errno(errno), "%s: %s", path, strerror(errno));
    }
    ft_free(path);
    return st;
}

/* Process 0 has the folder to itself. */
static enum ft_status
enter_folder(struct run *r)
{
    enum ft_status st = FT_OK;
    if (!is_first())
        return FT_OK;
    FT_TRY(ft_sim_folder_enter(r->o->dir, &r->lock, r->err));
    if (r->held == FT_SIM_UNFINISHED && !r->o->force)
        return ft_sim_same_files(r->o->dir, &r->files, r->err);
    FT_TRY(ft_sim_folder_empty(r->o->dir, r->err));
    FT_TRY(ft_sim_write_files(r->o->dir, &r->files, r->err)); /* first: the experiment says that a run began */
    FT_TRY(ft_sim_write_experiment(r->o->dir, r->e, r->err));
out:
    return st;
}

/* Begin in an empty folder, or go on from the last state. */
static enum ft_status
open_folder(struct run *r)
{
    enum ft_status st;
    FT_TRY(sim_ranks_agree(enter_folder(r), r->err));
    if (r->held == FT_SIM_UNFINISHED && !r->o->force) {
        st = ft_sim_state_load(r->o->dir, r->e, r->engine, &r->totals, r->err);
        if (st == FT_ERR_NOTFOUND) { /* cut off before the first state: from the beginning */
            memset(r->err, 0, sizeof *r->err);
            st = FT_OK;
        }
        if (st != FT_OK)
            goto out;
    }
    st = sim_ranks_agree(is_first() ? open_rounds(r) : FT_OK, r->err);
out:
    return st;
}

/* ---- rounds ---- */

static enum ft_status
save(struct run *r)
{
    const double begin = now();
    enum ft_status st = FT_OK;
    if (is_first() && (fflush(r->rounds) != 0 || fdatasync(fileno(r->rounds)) != 0))
        st = ft_fail(r->err, ft_status_of_errno(errno), "%s/rounds.csv: %s", r->o->dir, strerror(errno));
    FT_TRY(sim_ranks_agree(st, r->err)); /* the state stands behind rows that are there */
    st = ft_sim_state_save(r->o->dir, r->e, r->engine, &r->totals, r->err);
    r->saved = now();
    r->save_cost = r->saved - begin;
out:
    return st;
}

/* Has the newest score, or one before it, met the target at which the run ends? */
static bool
target_met(const struct run *r)
{
    return !isnan(r->totals.reach.rounds_to);
}

/* Process 0's clock decides. */
static bool
save_is_due(const struct run *r, uint64_t round)
{
    uint8_t due = now() - r->saved > fmax(SAVE_LEAST, SAVE_SHARE * r->save_cost);
    if (r->o->save_every > 0)
        due = round % r->o->save_every == 0;
    sim_ranks_tell(&due, 1);
    return due || round == r->e->training.rounds || target_met(r);
}

static void
note_target(struct run *r, const struct ft_sim_round *round)
{
    const enum sim_metric metric = r->e->stop.metric;
    const struct ft_sim_score *s = &round->score;
    if (metric != 0)
        (void)sim_reach_add(&r->totals.reach, metric, r->e->stop.at, (double)round->round,
                            metric == SIM_ACCURACY ? s->accuracy
                            : metric == SIM_AUC    ? s->auc
                                                   : s->loss);
}

static enum ft_status
note_round(struct run *r, const struct ft_sim_round *round)
{
    struct ft_buf row = { 0 };
    enum ft_status st = FT_OK;
    r->totals.round_seconds += round->seconds;
    r->totals.mask_seconds += round->mask_seconds;
    r->totals.bytes_up += round->bytes_up;
    if (round->scored) {
        r->totals.score = round->score;
        note_target(r, round);
    }
    if (r->rounds == NULL)
        return FT_OK;
    FT_TRY(ft_sim_rounds_row(round, &row));
    if (fwrite(row.data, 1, row.size, r->rounds) != row.size || fflush(r->rounds) != 0)
        st = ft_fail(r->err, ft_status_of_errno(errno), "%s/rounds.csv: %s", r->o->dir, strerror(errno));
    r->totals.rounds_size += row.size;
out:
    ft_buf_clear(&row);
    return st;
}

static enum ft_status
all_rounds(struct run *r, struct ft_sim_engine *engine, uint64_t rounds, bool main_run)
{
    const uint64_t before = ft_sim_engine_turns(engine);
    struct ft_sim_round round;
    enum ft_status st = FT_OK;

    r->begun = r->saved = now();
    r->progress.all = rounds;
    r->progress.done_before = ft_sim_engine_rounds(engine);
    while (ft_sim_engine_rounds(engine) < rounds && !(main_run && target_met(r))) {
        const double begin = now();
        if (stopped(r)) {
            if (main_run && r->o->dir != NULL)
                FT_TRY(save(r));
            st = ft_fail(r->err, FT_ERR_CANCELLED, "stopped after round %llu of %llu%s",
                         (unsigned long long)ft_sim_engine_rounds(engine), (unsigned long long)rounds,
                         r->o->dir != NULL ? "; --resume goes on from there" : "");
            break;
        }
        FT_TRY(ft_sim_engine_round(engine, &round, r->err));
        if (main_run) {
            r->totals.seconds += now() - begin;
            FT_TRY(sim_ranks_agree(note_round(r, &round), r->err));
        }
        r->progress.done = round.round;
        r->progress.clients = ft_sim_engine_turns(engine) - before;
        r->progress.seconds = now() - r->begun;
        r->progress.round = &round;
        tell(r);
        r->progress.round = NULL;
        if (main_run && r->o->dir != NULL && save_is_due(r, round.round))
            FT_TRY(save(r));
    }
out:
    return st;
}

/* ---- baselines and results ---- */

static bool
baseline_done(void *ctx, uint64_t done, uint64_t all)
{
    struct run *r = ctx;
    r->progress.done = done;
    r->progress.all = all;
    r->progress.seconds = now() - r->begun;
    tell(r);
    return r->o->stop == NULL || *r->o->stop == 0; /* process 0's own: the others wait for it */
}

/* As many rounds in another way, and what they come to. */
static enum ft_status
run_variant(struct run *r, const struct ft_sim_experiment *variant, enum ft_sim_stage stage, struct ft_sim_score *score,
            double *agreement)
{
    struct ft_sim_experiment own = *variant; /* its texts stay the experiment's */
    const struct ft_sim_input input = { &own, &r->data, &r->clients, &r->spec, r->out->threads };
    struct ft_sim_engine *engine = NULL;
    enum ft_status st;

    own.evaluation.every = own.training.rounds;
    FT_TRY(ft_sim_engine_open(&input, &engine, r->err));
    r->progress.stage = stage;
    FT_TRY(all_rounds(r, engine, ft_sim_engine_rounds(r->engine), false));
    FT_TRY(ft_sim_engine_score(engine, ft_sim_engine_params(engine), score));
    st = ft_sim_engine_agreement(engine, ft_sim_engine_params(engine), ft_sim_engine_params(r->engine), agreement);
out:
    ft_sim_engine_close(engine);
    return st;
}

/* With nothing but plain sums. */
static enum ft_status
run_without_privacy(struct run *r)
{
    struct ft_sim_experiment plain = *r->e;
    plain.secure.kind = FT_SIM_SECURE_NONE;
    plain.privacy.unit = FT_SIM_UNIT_NONE;
    r->out->baselines.has_without_privacy = true;
    return run_variant(r, &plain, FT_SIM_WITHOUT_PRIVACY, &r->out->baselines.without_privacy,
                       &r->out->baselines.agreement_without_privacy);
}

/* With all rows in one place, and the same noise multiplier. */
static enum ft_status
run_central(struct run *r)
{
    struct ft_sim_experiment central = *r->e;
    central.privacy.central = true;
    r->out->baselines.has_central = true;
    double unused;
    return run_variant(r, &central, FT_SIM_CENTRAL, &r->out->baselines.central, &unused);
}

static enum ft_status
all_baselines(struct run *r)
{
    const struct sim_baselines_job job = { .e = r->e,
                                           .data = &r->data,
                                           .clients = &r->clients,
                                           .spec = &r->spec,
                                           .engine = r->engine,
                                           .threads = r->out->threads,
                                           .done = baseline_done,
                                           .ctx = r };
    enum ft_status st;
    r->begun = now();
    r->progress = (struct ft_sim_progress){ .stage = FT_SIM_BASELINES };
    ft_sim_engine_alone(r->engine, true); /* process 0 trains them; the others wait */
    st = is_first() ? sim_baselines_run(&job, &r->out->baselines, r->err) : FT_OK;
    ft_sim_engine_alone(r->engine, false);
    sim_ranks_wait();
    FT_TRY(sim_ranks_agree(st, r->err));
    if (r->e->algorithm.kind == FT_SIM_DITTO) {
        FT_TRY(ft_sim_engine_personal(r->engine, &r->out->baselines.personal_accuracy, r->err));
        r->out->baselines.has_personal = true;
    }
    const bool private = r->e->privacy.unit != FT_SIM_UNIT_NONE;
    if (private && r->e->evaluation.central)
        FT_TRY(run_central(r));
    if ((private || r->e->secure.kind != FT_SIM_SECURE_NONE) && r->e->evaluation.without_privacy)
        FT_TRY(run_without_privacy(r));
    st = ft_sim_engine_privacy(r->engine, &r->out->privacy);
out:
    return st;
}

static void
sum_up(struct run *r)
{
    struct rusage usage;
    struct ft_sim_result *out = r->out;
    (void)getrusage(RUSAGE_SELF, &usage);
    out->rounds = ft_sim_engine_rounds(r->engine);
    out->clients_trained = ft_sim_engine_turns(r->engine);
    out->seconds = r->totals.seconds;
    out->round_seconds = r->totals.round_seconds;
    out->score = r->totals.score;
    out->rounds_to_target = r->totals.reach.rounds_to;
    out->bytes_up = r->totals.bytes_up;
    out->mask_seconds = out->rounds > 0 ? r->totals.mask_seconds / (double)out->rounds : 0;
    out->peak_bytes = (uint64_t)usage.ru_maxrss * 1024;
    sim_ranks_most_u64(&out->peak_bytes, 1);
    (void)crypto_hash_sha256(out->model_sha256, (const uint8_t *)ft_sim_engine_params(r->engine),
                             out->parameters * sizeof(float));
}

static enum ft_status
write_report(const char *dir, struct ft_error *err)
{
    char *path = ft_asprintf("%s/report.html", dir);
    const enum ft_status st = path != NULL ? ft_sim_report(&dir, 1, path, err) : FT_ERR_NOMEM;
    ft_free(path);
    return st;
}

/* A complete run stands for the data it was made of; where they are no longer there, nothing is left to be told apart. */
static enum ft_status
complete_of_these_data(struct run *r)
{
    struct ft_error ignored = { 0 };
    enum ft_status st = find_files(r, &ignored);
    if (st != FT_OK)
        return st == FT_ERR_NOMEM ? st : FT_OK;
    st = ft_sim_same_files(r->o->dir, &r->files, &ignored);
    if (st == FT_ERR_NOTFOUND) /* an older program's */
        return FT_OK;
    *r->err = st != FT_OK ? ignored : *r->err;
    return st;
}

static bool
has_report(const char *dir)
{
    char *path = ft_asprintf("%s/report.html", dir);
    const bool there = path != NULL && access(path, F_OK) == 0;
    ft_free(path);
    return there;
}

static enum ft_status
write_all(struct run *r)
{
    enum ft_status st;
    char *state = ft_asprintf("%s/state.bin", r->o->dir);
    r->progress = (struct ft_sim_progress){ .stage = FT_SIM_WRITING };
    tell(r);
    FT_TRY(ft_sim_write_model(r->o->dir, r->e, ft_sim_engine_params(r->engine), r->out->parameters, r->err));
    FT_TRY(ft_sim_write_partition(r->o->dir, &r->data, &r->clients, r->e->partition.kind == FT_SIM_COLUMN, r->err));
    FT_TRY(ft_sim_write_summary(r->o->dir, r->e, r->out, r->err)); /* last: with it the run is complete */
    FT_TRY(write_report(r->o->dir, r->err));                       /* from the files; made later if a kill comes between */
    if (state == NULL)
        st = FT_ERR_NOMEM;
    else if (unlink(state) != 0 && errno != ENOENT)
        st = ft_fail(r->err, ft_status_of_errno(errno), "%s: %s", state, strerror(errno));
out:
    ft_free(state);
    return st;
}

enum ft_status
ft_sim_run(const struct ft_sim_experiment *e, const struct ft_sim_run_options *options,
           struct ft_sim_result *out, struct ft_error *err)
{
    struct ft_error own = { 0 };
    struct run r = { .e = e,
                     .o = options,
                     .out = out,
                     .lock = -1,
                     .err = err != NULL ? err : &own,
                     .totals.score = { NAN, NAN, NAN } };
    enum ft_status st;

    *out = (struct ft_sim_result){ 0 };
    sim_reach_begin(&r.totals.reach);
    st = options->dir != NULL && is_first()
             ? ft_sim_folder_look(options->dir, e, options->resume, options->force, &r.held, r.err)
             : FT_OK;
    FT_TRY(sim_ranks_agree(st, r.err));
    sim_ranks_tell(&r.held, sizeof r.held);
    if (r.held == FT_SIM_COMPLETE && !options->force) {
        out->complete_before = true;
        if (is_first())
            st = complete_of_these_data(&r);
        if (st == FT_OK && is_first() && !has_report(options->dir))
            st = write_report(options->dir, r.err);
        st = sim_ranks_agree(st, r.err);
        goto out;
    }
    FT_TRY(sim_ranks_agree(open_all(&r), r.err));
    FT_TRY(same_on_all(&r)); /* before the folder is touched: bad data leaves it as it was */
    if (options->dir != NULL)
        FT_TRY(open_folder(&r));
    r.progress.stage = FT_SIM_ROUNDS;
    FT_TRY(all_rounds(&r, r.engine, e->training.rounds, true));
    FT_TRY(all_baselines(&r));
    sum_up(&r);
    if (options->dir != NULL)
        st = sim_ranks_agree(is_first() ? write_all(&r) : FT_OK, r.err);
out:
    if (r.rounds != NULL)
        (void)fclose(r.rounds);
    if (r.lock >= 0)
        (void)close(r.lock);
    ft_sim_engine_close(r.engine);
    out->files = NULL;
    sim_files_clear(&r.files);
    ft_sim_clients_clear(&r.clients);
    ft_sim_data_clear(&r.data);
    return st;
}
