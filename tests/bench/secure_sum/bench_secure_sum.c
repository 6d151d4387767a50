/* What the secure sum costs, beside the least it could cost on the same machine in the same run. See --help.
 */
#include "common/base/alloc.h"
#include "common/base/cli.h"
#include "common/secure_sum/prg.h"
#include "tests/bench/secure_sum/bench_case.h"
#include "tests/bench/secure_sum/measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIST_MAX   16
#define REPEAT_MAX 15

static const char details[] =
    "Every case is a whole session of real clients and a real aggregator (the production state machines), "
    "the\n"
    "aggregator in a process of its own, started anew; messages go over a socket pair instead of the "
    "network, and\n"
    "neither side's journal goes to disk. The sum is checked. Up to 512 clients use the classical profile "
    "(every\n"
    "pair shares a mask), more the graph profile. Dropouts fall silent after ShareKeys, the costly moment.\n"
    "\n"
    "All clients mask and upload for real, 1000 as well as 16; the time of ft_ss_client_mask is the median "
    "of the\n"
    "first eight. An accepted upload's pages are given back, which a client would keep until the result.\n"
    "Times are processor seconds of one core, the median over --repeat sessions (one where clients exceed "
    "128).\n"
    "\n"
    "client_mask_s   self mask, pairwise masks, SHA-256 and signature of one client's vector\n"
    "unmask_s        secrets rebuilt, escrows opened, all masks taken out, the sum checked and hashed\n"
    "publish         (table only) its end recorded\n"
    "..._floor_s     as many bytes of raw keystream, by the fastest generator here, each buffer then added "
    "to a\n"
    "                vector. Masks are added as they are made, so a figure can lie below its floor.\n"
    "upload_bytes    all that a client sends in the session\n"
    "upload ratio    that, over the same vector as float32 (24 bits of precision; the sum's coordinates have "
    "32\n"
    "                bits, of which a client of 128 uses 25)\n"
    "aggregator_peak_bytes   most resident memory of the aggregator's process, libraries and all, with "
    "eight\n"
    "                uploads in flight\n";

static const struct ft_cli_option options[] = {
    { .name = "clients",
      .kind = FT_CLI_TEXT,
      .argument = "N,...",
      .help = "cohort sizes",
      .fallback = "16,64,128,1000" },
    { .name = "dim",
      .kind = FT_CLI_TEXT,
      .argument = "N,...",
      .help = "coordinates",
      .fallback = "100000,1000000" },
    { .name = "dropout",
      .kind = FT_CLI_TEXT,
      .argument = "F,...",
      .help = "fractions lost, up to 0.1",
      .fallback = "0,0.1" },
    { .name = "suite",
      .kind = FT_CLI_UINT,
      .argument = "N",
      .least = 1,
      .most = 2,
      .help = "1 ChaCha20, 2 AES-256-CTR; default: 2 where the processor has AES instructions" },
    { .name = "lane-bits",
      .kind = FT_CLI_UINT,
      .argument = "N",
      .least = 12,
      .most = 64,
      .help = "bits of one coordinate's lane",
      .fallback = "32" },
    { .name = "repeat",
      .kind = FT_CLI_UINT,
      .argument = "N",
      .least = 1,
      .most = REPEAT_MAX,
      .help = "sessions a case",
      .fallback = "5" },
    FT_CLI_OPTIONS_END,
};

/* "16,64" to numbers in least .. most. Returns how many, 0 when the text is no such list. */
static size_t
parse_list(const char *text, double least, double most, double out[LIST_MAX])
{
    size_t count = 0;
    while (count < LIST_MAX) {
        char *end;
        out[count] = strtod(text, &end);
        if (end == text || !(out[count] >= least && out[count] <= most))
            return 0;
        count++;
        if (*end == 0)
            return count;
        if (*end != ',')
            return 0;
        text = end + 1;
    }
    return 0;
}

static void
run_case(struct bench_shops *shops, const struct bench_case *what, size_t repeat, struct bench_result *out)
{
    struct bench_result all[REPEAT_MAX];
    double column[REPEAT_MAX];
#define MEDIAN_OF(field)                                                                                     \
    do {                                                                                                     \
        for (size_t i = 0; i < repeat; i++)                                                                  \
            column[i] = all[i].field;                                                                        \
        out->field = bench_median(column, repeat);                                                           \
    } while (0)

    for (size_t i = 0; i < repeat; i++)
        bench_session(shops, what, &all[i]);
    *out = all[0];
    MEDIAN_OF(client_mask_s);
    MEDIAN_OF(client_floor_s);
    MEDIAN_OF(unmask_s);
    MEDIAN_OF(unmask_floor_s);
    MEDIAN_OF(publish_s);
#undef MEDIAN_OF
    for (size_t i = 1; i < repeat; i++)
        if (all[i].aggregator_peak_bytes > out->aggregator_peak_bytes)
            out->aggregator_peak_bytes = all[i].aggregator_peak_bytes;
}

static void
print_json(const struct bench_case *what, const struct bench_result *r)
{
    printf(
        "{\"clients\": %u, \"dim\": %u, \"dropout\": %g, \"client_mask_s\": %.6g, \"client_floor_s\": %.6g, "
        "\"unmask_s\": %.6g, \"unmask_floor_s\": %.6g, \"upload_bytes\": %llu, \"aggregator_peak_bytes\": "
        "%llu}\n",
        what->clients, what->dim, what->dropout, r->client_mask_s, r->client_floor_s, r->unmask_s,
        r->unmask_floor_s, (unsigned long long)r->upload_bytes, (unsigned long long)r->aggregator_peak_bytes);
    fflush(stdout);
}

static void
print_row(const struct bench_case *what, const struct bench_result *r)
{
    printf("%7u %8u %5g %% %10.2f %10.2f %6.2f %10.2f %10.2f %6.2f %8.2f %11llu %7.3f %9.1f\n", what->clients,
           what->dim, what->dropout * 100, r->client_mask_s * 1e3, r->client_floor_s * 1e3,
           r->client_mask_s / r->client_floor_s, r->unmask_s * 1e3, r->unmask_floor_s * 1e3,
           r->unmask_s / r->unmask_floor_s, r->publish_s * 1e3, (unsigned long long)r->upload_bytes,
           r->upload_ratio, (double)r->aggregator_peak_bytes / (1 << 20));
    fflush(stdout);
}

static int
run(struct ft_cli *cli)
{
    const uint16_t suite = (uint16_t)ft_cli_uint(
        cli, "suite",
        ft_ss_suite_fast_here(FT_SS_SUITE_AES256CTR) ? FT_SS_SUITE_AES256CTR : FT_SS_SUITE_CHACHA20);
    const size_t repeat = (size_t)ft_cli_uint(cli, "repeat", 5);
    double clients[LIST_MAX], dims[LIST_MAX], dropouts[LIST_MAX];
    const size_t client_count = parse_list(ft_cli_text(cli, "clients"), 3, 4096, clients);
    const size_t dim_count = parse_list(ft_cli_text(cli, "dim"), 1, 1e8, dims);
    const size_t dropout_count = parse_list(ft_cli_text(cli, "dropout"), 0, 0.1, dropouts);

    if (client_count == 0)
        return ft_cli_usage(cli, "--clients takes numbers from 3 to 4096 with commas between");
    if (dim_count == 0)
        return ft_cli_usage(cli, "--dim takes numbers from 1 to 100000000 with commas between");
    if (dropout_count == 0)
        return ft_cli_usage(cli, "--dropout takes fractions from 0 to 0.1 with commas between");
    if (!ft_cli_json(cli)) {
        printf("suite %u (%s), generator %s; times in ms of one core\n", suite,
               suite == FT_SS_SUITE_CHACHA20 ? "ChaCha20" : "AES-256-CTR",
               ft_ss_backend_name(ft_ss_backend_best(suite)));
        printf("%7s %8s %7s %10s %10s %6s %10s %10s %6s %8s %11s %7s %9s\n", "clients", "dim", "dropout",
               "mask", "floor", "ratio", "unmask", "floor", "ratio", "publish", "upload B", "ratio",
               "peak MiB");
    }
    for (size_t c = 0; c < client_count; c++) {
        struct bench_shops *shops = bench_shops_open((uint32_t)clients[c]);
        for (size_t d = 0; d < dim_count; d++)
            for (size_t l = 0; l < dropout_count; l++) {
                const struct bench_case what = { .clients = (uint32_t)clients[c],
                                                 .dim = (uint32_t)dims[d],
                                                 .dropout = dropouts[l],
                                                 .suite = suite,
                                                 .lane_bits = (uint8_t)ft_cli_uint(cli, "lane-bits", 32) };
                struct bench_result r;
                run_case(shops, &what, what.clients > 128 ? 1 : repeat, &r);
                if (ft_cli_json(cli))
                    print_json(&what, &r);
                else
                    print_row(&what, &r);
            }
        bench_shops_close(shops);
    }
    return FT_EXIT_OK;
}

int
main(int argc, char **argv)
{
    static const struct ft_cli_command commands[] = {
        { .name = "",
          .help = "measure the secure sum beside its floor",
          .options = options,
          .example = "bench_secure_sum --clients 16,64 --dim 1000000 --json",
          .details = details,
          .run = run },
        { .name = NULL },
    };
    static const struct ft_cli_program program = { .name = "bench_secure_sum",
                                                   .help = "what the secure sum costs",
                                                   .commands = commands };
    if (argc == 3 && strcmp(argv[1], "--aggregator-on") == 0) /* this program's own second process */
        return bench_aggregator(atoi(argv[2]));
    return ft_cli_main(&program, argc, argv);
}
