/* What a round costs over real gRPC with TLS on loopback, beside the least it could cost. See --help. */
#include "common/base/cli.h"
#include "tests/bench/round/federation.h"
#include "tests/bench/round/floor.h"

#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

#define GOAL_S     0.06
#define MEMORY_MIB 64.0

static const char details[] =
    "The shipped programs as processes: one aggregator, one vault and one courier a shop. Each shop has 16 rows to train\n"
    "and 16 to test, so that training costs next to nothing; the model is an MLP with two hidden layers of --width (446:\n"
    "201,147 parameters), lane_bits 32, aes-256-ctr, every pair of shops masked. A round's time runs from one commit to\n"
    "the next: telling the shops, downloading the model, training, the whole secure sum, unmasking, the server's step and\n"
    "the commit to disk. Two rounds go before the measured ones.\n"
    "\n"
    "floor: wire       the same bytes up and down, all shops at once, through gRPC with mutual TLS; nothing else\n"
    "floor: keystream  processor time of all masks of a round\n"
    "floor: sync       one 4 KiB write with fdatasync; a shop journals before it speaks, so several are in a row\n"
    "quoted            figures of other systems on the same kind of machine, not measured here\n";

static const struct ft_cli_option options[] = {
    { .name = "shops", .kind = FT_CLI_UINT, .argument = "N", .help = "shops", .fallback = "10", .least = 6, .most = 16 },
    { .name = "rounds", .kind = FT_CLI_UINT, .argument = "R", .help = "measured rounds", .fallback = "30", .least = 1,
      .most = 2000 },
    { .name = "width", .kind = FT_CLI_UINT, .argument = "W", .help = "of the hidden layers", .fallback = "446", .least = 1,
      .most = 1000 },
    FT_CLI_OPTIONS_END,
};

struct floors {
    double wire, keystream, sync;
};

static int
show_json(const struct bench_federation *f, const struct bench_figures *g, const struct floors *least)
{
    return ft_cli_print_json(json_pack(
        "{s:i, s:I, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:{s:f, s:f, s:f, s:f, s:f}, s:{s:f, s:f, s:f},"
        " s:{s:f, s:f}, s:f, s:b}",
        "shops", (int)f->shops, "parameters", (json_int_t)f->parameters, "rounds", (int)g->rounds, "seconds", g->seconds,
        "fastest_s", g->fastest, "slowest_s", g->slowest, "cpu_aggregator_s", g->cpu_aggregator, "cpu_vaults_s",
        g->cpu_vaults, "cpu_couriers_s", g->cpu_couriers, "bytes_up_per_shop", g->bytes_in, "bytes_down_per_shop",
        g->bytes_out, "rss_mib", "vault", g->rss_vault, "vault_idle", g->rss_vault_idle, "courier", g->rss_courier,
        "courier_idle", g->rss_courier_idle, "aggregator", g->rss_aggregator, "floor", "wire_s", least->wire,
        "keystream_cpu_s", least->keystream, "sync_s", least->sync, "quoted", "flower_plain_s", 0.08, "nvflare_s", 2.5,
        "goal_s", GOAL_S, "memory_within_bounds", g->rss_vault < MEMORY_MIB && g->rss_courier < MEMORY_MIB));
}

static void
show(const struct bench_federation *f, const struct bench_figures *g, const struct floors *least)
{
    printf("%u shops, %llu parameters, %u rounds, %ld processors\n\n", f->shops, (unsigned long long)f->parameters,
           g->rounds, sysconf(_SC_NPROCESSORS_ONLN));
    printf("seconds a round                %10.4f   fastest %.4f, slowest %.4f\n", g->seconds, g->fastest, g->slowest);
    printf("  goal                         %10.4f\n", GOAL_S);
    printf("  floor: wire                  %10.4f\n", least->wire);
    printf("  floor: keystream             %10.4f   processor seconds\n", least->keystream);
    printf("  floor: sync                  %10.4f   each\n", least->sync);
    printf("  quoted: Flower               %10.4f   no secure sum, no TLS; not measured here\n", 0.08);
    printf("  quoted: NVFlare              %10.4f   not measured here\n", 2.5);
    printf("processor seconds a round      %10.4f   aggregator %.4f, all vaults %.4f, all couriers %.4f\n",
           g->cpu_aggregator + g->cpu_vaults + g->cpu_couriers, g->cpu_aggregator, g->cpu_vaults, g->cpu_couriers);
    printf("bytes a shop and round         %10.0f   up\n                               %10.0f   down\n", g->bytes_in,
           g->bytes_out);
    printf("memory, highest, MiB           %10.1f   vault, the largest (%.1f before the first round)\n", g->rss_vault,
           g->rss_vault_idle);
    printf("                               %10.1f   courier, the largest (%.1f before the first round)\n", g->rss_courier,
           g->rss_courier_idle);
    printf("                               %10.1f   aggregator\n", g->rss_aggregator);
}

static int
run(struct ft_cli *cli)
{
    struct bench_federation f = { .shops = (unsigned)ft_cli_uint(cli, "shops", 10),
                                  .rounds = (unsigned)ft_cli_uint(cli, "rounds", 30),
                                  .width = (unsigned)ft_cli_uint(cli, "width", 446) };
    struct bench_figures figures;
    struct floors least;

    bench_federation_open(&f);
    bench_federation_run(&f, &figures);
    bench_federation_close(&f);
    least.wire = bench_floor_wire(f.shops, (uint64_t)figures.bytes_in, (uint64_t)figures.bytes_out, 10);
    least.keystream = bench_floor_keystream(f.shops, (f.parameters * 4 + 7) / 8);
    least.sync = bench_floor_sync();
    if (ft_cli_json(cli))
        return show_json(&f, &figures, &least);
    show(&f, &figures, &least);
    return FT_EXIT_OK;
}

int
main(int argc, char **argv)
{
    static const struct ft_cli_command commands[] = { { .name = "",
                                                        .help = "seconds, bytes and memory of a round",
                                                        .options = options,
                                                        .example = "bench_round --shops 10 --rounds 30",
                                                        .details = details,
                                                        .run = run },
                                                      { 0 } };
    static const struct ft_cli_program program = { "bench_round", "what a round costs over gRPC with TLS on loopback",
                                                   commands };
    return ft_cli_main(&program, argc, argv);
}
