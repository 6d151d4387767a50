/*
 * A command line with sub-commands, over popt.
 *
 *   fedtill-client task list --home DIR --json
 *   program        command   options
 *
 * The command comes first (one or two words), then options and operands in any order. Every command has
 * --help (with its example) and --json without asking. An unknown command or option ends with 64 and the
 * nearest match. Data goes to stdout, messages to stderr. With --json a failure is also one JSON object on
 * stdout:
 * {"version":1,"error":{"status","exit","message"[,"findings"][,"refusals"]}}.
 *
 *   static int run_list(struct ft_cli *cli) { ...; return FT_EXIT_OK; }
 *   static const struct ft_cli_option list_options[] = { FT_CLI_HOME, FT_CLI_OPTIONS_END };
 *   static const struct ft_cli_command commands[] = {
 *       { .name = "task list", .help = "list the tasks this shop was offered", .options = list_options,
 *         .example = "fedtill-client task list --home shop", .run = run_list },
 *       { 0 } };
 *   int main(int argc, char **argv) { return ft_cli_main(&program, argc, argv); }
 */
#ifndef FT_BASE_CLI_H
#define FT_BASE_CLI_H

#include "common/base/findings.h"
#include "common/base/refusal.h"
#include "common/base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FT_CLI_JSON_VERSION 1

enum ft_cli_kind { FT_CLI_FLAG, FT_CLI_TEXT, FT_CLI_UINT, FT_CLI_REAL, FT_CLI_TEXTS /* may be given again and again */ };

struct ft_cli_option {
    const char *name; /* "home"; NULL ends the table */
    char letter;      /* 'h', or 0 */
    enum ft_cli_kind kind;
    bool required;
    const char *argument; /* "DIR"; NULL for a flag */
    const char *help;
    const char *fallback; /* value when the option is not given, or NULL */
    uint64_t least, most; /* UINT: range when most > 0 */
};
#define FT_CLI_OPTIONS_END                                                                                   \
    {                                                                                                        \
        .name = NULL                                                                                         \
    }
#define FT_CLI_HOME                                                                                          \
    {                                                                                                        \
        .name = "home", .kind = FT_CLI_TEXT, .argument = "DIR", .help = "home folder", .fallback = "."       \
    }
#define FT_CLI_YES                                                                                           \
    {                                                                                                        \
        .name = "yes", .kind = FT_CLI_FLAG, .help = "do not ask"                                             \
    }
#define FT_CLI_DRY_RUN                                                                                       \
    {                                                                                                        \
        .name = "dry-run", .kind = FT_CLI_FLAG, .help = "say what would happen, change nothing"              \
    }

struct ft_cli;

struct ft_cli_command {
    const char *name; /* "serve" or "task list"; NULL ends the table; "" is a program without sub-commands */
    const char *help; /* one line, no full stop */
    const char *operands; /* "FILE", "SHOP..."; NULL for none */
    size_t operands_least, operands_most;
    const struct ft_cli_option *options; /* NULL for none */
    const char *example;                 /* a whole command line */
    const char *details;                 /* more lines for --help, or NULL */
    int (*run)(struct ft_cli *cli);      /* returns an exit code */
};

struct ft_cli_program {
    const char *name; /* "fedtill-client" */
    const char *help; /* one line */
    const struct ft_cli_command *commands;
};

/* Parse and run. Returns the process's exit code; initialises libsodium first. */
int ft_cli_main(const struct ft_cli_program *program, int argc, char **argv);

/* For a command's run function. Names must be in its table (asserted). */
bool ft_cli_given(const struct ft_cli *cli, const char *name); /* on the command line, not by fallback */
bool ft_cli_flag(const struct ft_cli *cli, const char *name);
const char *ft_cli_text(const struct ft_cli *cli, const char *name); /* NULL when absent; TEXTS: the last one */
/* TEXTS, in the order they were given; *count of them. Borrowed. */
const char *const *ft_cli_texts(const struct ft_cli *cli, const char *name, size_t *count);
uint64_t ft_cli_uint(const struct ft_cli *cli, const char *name, uint64_t otherwise);
double ft_cli_real(const struct ft_cli *cli, const char *name, double otherwise);
size_t ft_cli_operand_count(const struct ft_cli *cli);
const char *ft_cli_operand(const struct ft_cli *cli, size_t index); /* NULL past the end */
bool ft_cli_json(const struct ft_cli *cli);                         /* --json was given */
const char *ft_cli_program_name(const struct ft_cli *cli);

/* Tell a failure and return its exit code. `err` may be NULL or unset: then the status' own text is used. */
int ft_cli_fail(const struct ft_cli *cli, enum ft_status st, const struct ft_error *err);
/* The same for a file with findings (exit 78, or `st`'s own code) and for refusals (77). */
int ft_cli_fail_findings(const struct ft_cli *cli, const struct ft_findings *findings);
int ft_cli_fail_refusals(const struct ft_cli *cli, const struct ft_refusals *refusals);
/* Wrong usage found by the command itself: the sentence, a pointer to --help, 64. */
int ft_cli_usage(const struct ft_cli *cli, const char *fmt, ...) FT_PRINTF(2, 3);

/* Print `object` (stolen reference, "version" is added) as one line of JSON on stdout. Returns FT_EXIT_OK. */
typedef struct json_t json_t;
int ft_cli_print_json(json_t *object);

/* Destructive commands: FT_OK with --yes or a typed "yes" on a terminal; without a terminal ARGUMENT. The
 * command's table must hold FT_CLI_YES. Errors: ARGUMENT, CANCELLED. */
FT_NODISCARD enum ft_status ft_cli_confirm(const struct ft_cli *cli, const char *question,
                                           struct ft_error *err);

/* True when `file` is a terminal and NO_COLOR is unset or empty: only then colour and progress lines. */
bool ft_cli_lively(FILE *file);

#endif
