#include "tests/bench/round/federation.h"

#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WAIT_S  240
#define WARM_UP 2u /* training rounds before the measured ones */

static struct bench_federation *open_one;

static void
die(const char *what, const char *detail)
{
    fprintf(stderr, "bench_round: %s%s%s\n", what, detail != NULL ? ": " : "", detail != NULL ? detail : "");
    if (open_one != NULL)
        bench_federation_close(open_one);
    exit(1);
}

/* A command line of sh in the federation's folder; $A and $C are the programs. */
static int __attribute__((format(printf, 2, 3)))
sh(const struct bench_federation *f, const char *format, ...)
{
    char command[8192];
    va_list args;
    const int lead = snprintf(command, sizeof command, "cd %s; A=" BENCH_PROGRAMS "/fedtill-aggregator C=" BENCH_PROGRAMS
                              "/fedtill-client; ", f->dir);

    va_start(args, format);
    vsnprintf(command + lead, sizeof command - (size_t)lead, format, args);
    va_end(args);
    const int status = system(command); // NOLINT: a fixed folder name, nothing from outside
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static pid_t
start(const struct bench_federation *f, const char *program, const char *log, char *const arguments[])
{
    const pid_t pid = fork();
    if (pid < 0)
        die("fork", NULL);
    if (pid == 0) {
        if (chdir(f->dir) != 0 || freopen("/dev/null", "w", stdout) == NULL || freopen(log, "a", stderr) == NULL)
            _exit(127);
        execv(program, arguments);
        _exit(127);
    }
    return pid;
}

static void
pause_ms(long ms)
{
    const struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    nanosleep(&t, NULL);
}

static void
start_aggregator(struct bench_federation *f)
{
    for (unsigned attempt = 0; attempt < 8; attempt++) {
        const unsigned port = 10000 + ((unsigned)getpid() * 7 + attempt * 13) % 20000;
        char *const serve[] = { "fedtill-aggregator", "serve", "--home", "agg", "--progress-json", "rounds.jsonl", NULL };
        if (sh(f, "rm -rf agg; $A init --home agg --listen 127.0.0.1:%u >init.log 2>&1 && echo %u >port", port, port) != 0)
            die("the aggregator's folder cannot be made", NULL);
        f->aggregator = start(f, BENCH_PROGRAMS "/fedtill-aggregator", "aggregator.log", serve);
        for (unsigned look = 0; look < 600; look++) {
            if (sh(f, "$A status --home agg --json 2>/dev/null | grep -q '\"serving\":true'") == 0)
                return;
            if (waitpid(f->aggregator, NULL, WNOHANG) == f->aggregator)
                break;
            pause_ms(50);
        }
    }
    die("the aggregator does not start", NULL);
}

/* Sixteen records a shop; the task's query turns each into one example. */
static void
make_shop(const struct bench_federation *f, unsigned n)
{
    const int code = sh(
        f,
        "mkdir -m 700 shop-%u && cd shop-%u && mkdir data && "
        "awk 'BEGIN { srand(%u); print \"product_id,week,quantity,amount\"; for (i = 0; i < 32; i++) "
        "printf \"%%d,%%d,%%d,%%.2f\\n\", i, i %% 2 ? 10 : 40, 1 + int(9 * rand()), 100 * rand() }' >data/a.csv && "
        "cat >client.yaml <<E\n"
        "version: 1\nshop: shop-%u\naggregator: 127.0.0.1:$(cat ../port)\nstate: state\npolicy: policy.yaml\n"
        "source:\n  type: csv\n  transactions:\n    files: data/*.csv\n"
        "    columns: {product_id: product_id, week: week, quantity: quantity, amount: amount}\n"
        "consent: {basis: records}\nE\n"
        "cat >policy.yaml <<E\n"
        "version: 1\nowner: self\nreview_by: 2037-12-31\ngrace_days: 30\npurposes: [train/demand]\n"
        "auto_approve: {purposes: [train/demand], rounds_max: 100000}\ncolumns:\n"
        "  train/demand: [transactions.product_id, transactions.week, transactions.quantity, transactions.amount]\n"
        "training_basis: records\nunnoised: allow\nmin_customers: 5\n"
        "cohort: {n_min: 5, h_min: 3, corrupted: 2, drop_permille_max: 300, sigma_min: 40}\n"
        "limits: {clip_max: 10, parameters_max: 10000000, rounds_max: 100000, session_ms_max: 600000, query_ms: 20000, "
        "query_rows: 500000, query_memory_mib: 64}\ngraph_profile: {allow: false, cohort_min: 512}\nexclude: []\n"
        "participation: {window: \"00:00-24:00\", days: [mon, tue, wed, thu, fri, sat, sun], min_gap_s: 0, "
        "rounds_per_month: 100000}\nE\n"
        "chmod 600 policy.yaml; cd ..; $A store invite shop-%u --home agg --out %u.token >/dev/null 2>>setup.log && "
        "$C enrol --home shop-%u --token-file %u.token >/dev/null 2>>setup.log </dev/null",
        n, n, n, n, n, n, n, n);
    if (code != 0)
        die("a shop cannot be enrolled; see setup.log in", f->dir);
}

static void
publish(const struct bench_federation *f)
{
    const int code = sh(
        f,
        "cat >task.yaml <<E\n"
        "version: 1\ntask: bench\ntitle: a round of the benchmark\npurpose: train/demand\nowner: bench\n"
        "expires: 2037-12-31\nreview: 2037-06-30\nunit: record\nexamples:\n  sql: |\n"
        "    SELECT product_id AS customer_id, CASE WHEN week < 26 THEN 'train' ELSE 'test' END AS split,\n"
        "      amount > 50 AS y, quantity, amount FROM transactions\n"
        "  label: {column: y, min: 0, max: 1}\n  features:\n    - {name: quantity, min: 0, max: 10}\n"
        "    - {name: amount, min: 0, max: 100}\n  rows_per_customer: 1\n  rows_max: 1000\n"
        "model: {kind: mlp, hidden: [%u, %u], activation: relu}\n"
        "training:\n  rounds: %u\n  local_epochs: 1\n  batch_size: 0\n  learning_rate: 0.05\n  momentum: 0\n"
        "  weight_decay: 1.0e-4\n  clip: 5\n  weight_cap: 100\n  server: {optimizer: fedavg, learning_rate: 1}\n  seed: 1\n"
        "privacy: {noise: none}\n"
        "cohort: {n_min: %u, n_cap: 16, h_min: 3, corrupted: 2, drop_permille: 250, sigma: 40, eta: 30, suite: aes-256-ctr, "
        "lane_bits: 32}\nschedule: {join: 10s, step: 20s, session: 120s, pause: 0s}\n"
        "evaluation: {bins: 16, calibration_bins: 4}\nE\n"
        "exec >/dev/null 2>>setup.log; $A registrar request --home agg --out r.req && $A registrar sign --folder "
        "agg/registrar --corrupted 2 --request r.req --out r.signed && $A registrar import r.signed --home agg && "
        "$A task sign task.yaml --home agg --key agg/task-signing.key --out task.signed && "
        "$A task publish task.signed --home agg",
        f->width, f->width, f->rounds + WARM_UP, f->shops);
    if (code != 0)
        die("the task cannot be published; see setup.log in", f->dir);
}

void
bench_federation_open(struct bench_federation *f)
{
    const uint64_t w = f->width;

    f->parameters = 2 * w + w + w * w + w + w + 1;
    strcpy(f->dir, "/tmp/fedtill-bench.XXXXXX");
    if (mkdtemp(f->dir) == NULL)
        die("no folder under /tmp", NULL);
    open_one = f;
    start_aggregator(f);
    for (unsigned n = 1; n <= f->shops; n++)
        make_shop(f, n);
    publish(f);
    for (unsigned n = 1; n <= f->shops; n++) {
        char home[32], log[32];
        snprintf(home, sizeof home, "shop-%u", n);
        snprintf(log, sizeof log, "shop-%u.log", n);
        char *const run[] = { "fedtill-client", "run", "--home", home, NULL };
        f->vault[n - 1] = start(f, BENCH_PROGRAMS "/fedtill-client", log, run);
    }
}

/* ---- what the processes use ---- */

static pid_t
courier_of(pid_t vault)
{
    char path[96];
    int pid = 0;

    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)vault, (int)vault);
    FILE *file = fopen(path, "re");
    if (file == NULL || fscanf(file, "%d", &pid) != 1)
        pid = 0;
    if (file != NULL)
        fclose(file);
    return pid;
}

static double
cpu_of(pid_t pid)
{
    char path[64], line[1024];
    unsigned long user = 0, system_time = 0;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file != NULL && fgets(line, sizeof line, file) != NULL) {
        const char *after = strrchr(line, ')');
        if (after != NULL)
            (void)!sscanf(after, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system_time);
    }
    if (file != NULL)
        fclose(file);
    return (double)(user + system_time) / (double)sysconf(_SC_CLK_TCK);
}

static double
peak_mib(pid_t pid)
{
    char path[64], line[256];
    unsigned long kib = 0;

    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "VmHWM: %lu kB", &kib) == 1)
            break;
    if (file != NULL)
        fclose(file);
    return (double)kib / 1024;
}

struct usage {
    double aggregator, vaults, couriers;
};

static struct usage
usage(const struct bench_federation *f)
{
    struct usage u = { .aggregator = cpu_of(f->aggregator) };
    for (unsigned n = 0; n < f->shops; n++) {
        u.vaults += cpu_of(f->vault[n]);
        u.couriers += cpu_of(courier_of(f->vault[n]));
    }
    return u;
}

static void
peaks(const struct bench_federation *f, double *vault, double *courier)
{
    *vault = *courier = 0;
    for (unsigned n = 0; n < f->shops; n++) {
        const double v = peak_mib(f->vault[n]), c = peak_mib(courier_of(f->vault[n]));
        *vault = v > *vault ? v : *vault;
        *courier = c > *courier ? c : *courier;
    }
}

/* ---- the rounds, from the aggregator's own log ---- */

/* "2026-01-02T03:04:05.678Z" as seconds; only differences are used. */
static double
seconds_of(const char *text)
{
    struct tm t = { 0 };
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &t);
    return rest == NULL ? 0 : (double)timegm(&t) + atof(rest);
}

/* Ends of the committed training rounds so far. */
static unsigned
committed(const struct bench_federation *f, double *at, unsigned most)
{
    char path[96], line[4096];
    unsigned count = 0;

    snprintf(path, sizeof path, "%s/aggregator.log", f->dir);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        json_t *o = json_loads(line, 0, NULL);
        const char *event = json_string_value(json_object_get(o, "event"));
        if (event != NULL && strcmp(event, "round.committed") == 0 &&
            json_integer_value(json_object_get(o, "stage")) == 2 && count < most)
            at[count++] = seconds_of(json_string_value(json_object_get(o, "time")));
        json_decref(o);
    }
    if (file != NULL)
        fclose(file);
    return count;
}

static void
bytes(const struct bench_federation *f, struct bench_figures *out)
{
    char path[96], line[16384];
    unsigned seen = 0;

    snprintf(path, sizeof path, "%s/rounds.jsonl", f->dir);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        json_t *o = json_loads(line, 0, NULL);
        const char *stage = json_string_value(json_object_get(o, "stage"));
        const char *state = json_string_value(json_object_get(o, "state"));
        if (stage != NULL && state != NULL && strcmp(stage, "train") == 0 && strcmp(state, "committed") == 0) {
            out->bytes_in += (double)json_integer_value(json_object_get(o, "bytes_in")) / f->shops;
            out->bytes_out += (double)json_integer_value(json_object_get(o, "bytes_out")) / f->shops;
            seen++;
        }
        json_decref(o);
    }
    if (file != NULL)
        fclose(file);
    if (seen > 0) {
        out->bytes_in /= seen;
        out->bytes_out /= seen;
    }
}

void
bench_federation_run(struct bench_federation *f, struct bench_figures *out)
{
    const unsigned all = f->rounds + WARM_UP;
    double *at = calloc(all, sizeof *at); // NOLINT
    unsigned count = 0, from = 0;
    struct usage first = { 0 }, last;
    const time_t until = time(NULL) + WAIT_S + (time_t)f->rounds;

    *out = (struct bench_figures){ 0 };
    if (at == NULL)
        die("no memory", NULL);
    pause_ms(2000); /* the shops read their data and fetch the task */
    peaks(f, &out->rss_vault_idle, &out->rss_courier_idle);
    if (sh(f, "$A task start bench --home agg >/dev/null") != 0)
        die("the task cannot be started", NULL);
    while (count < all && time(NULL) < until) {
        pause_ms(20);
        count = committed(f, at, all);
        if (from == 0 && count >= WARM_UP) {
            first = usage(f);
            from = count;
        }
    }
    if (count < all) {
        sh(f, "tail -n 20 aggregator.log shop-1.log >&2");
        die("the rounds did not come to an end", NULL);
    }
    last = usage(f);
    out->rounds = f->rounds;
    out->seconds = (at[all - 1] - at[WARM_UP - 1]) / f->rounds;
    out->fastest = 1e9;
    for (unsigned i = WARM_UP; i < all; i++) {
        const double took = at[i] - at[i - 1];
        out->fastest = took < out->fastest ? took : out->fastest;
        out->slowest = took > out->slowest ? took : out->slowest;
    }
    const double measured = all > from ? all - from : 1;
    out->cpu_aggregator = (last.aggregator - first.aggregator) / measured;
    out->cpu_vaults = (last.vaults - first.vaults) / measured;
    out->cpu_couriers = (last.couriers - first.couriers) / measured;
    bytes(f, out);
    peaks(f, &out->rss_vault, &out->rss_courier);
    out->rss_aggregator = peak_mib(f->aggregator);
    free(at); // NOLINT
}

void
bench_federation_close(struct bench_federation *f)
{
    open_one = NULL;
    for (unsigned n = 0; n < f->shops; n++)
        if (f->vault[n] > 0)
            kill(f->vault[n], SIGTERM);
    if (f->aggregator > 0)
        kill(f->aggregator, SIGTERM);
    for (unsigned n = 0; n < f->shops; n++)
        if (f->vault[n] > 0)
            waitpid(f->vault[n], NULL, 0);
    if (f->aggregator > 0)
        waitpid(f->aggregator, NULL, 0);
    if (getenv("FT_BENCH_KEEP") == NULL)
        sh(f, "rm -rf %s", f->dir);
}
