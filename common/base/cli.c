#include "common/base/cli.h"

#include "common/base/alloc.h"
#include "common/base/nearest.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <popt.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OPTIONS_MAX  48 /* of one command, with --json and --help */
#define OPERANDS_MAX 1024

struct ft_cli {
    const struct ft_cli_program *program;
    const struct ft_cli_command *command; /* NULL until one is chosen */
    const struct ft_cli_option *options[OPTIONS_MAX];
    char *values[OPTIONS_MAX]; /* popt's copies; "" for a flag that was given; NULL when not given */
    char **lists[OPTIONS_MAX]; /* TEXTS: all of them, popt's copies; the last is in values too */
    size_t list_counts[OPTIONS_MAX];
    size_t option_count;
    const char *operands[OPERANDS_MAX]; /* borrowed from argv */
    size_t operand_count;
    bool json;
};

static const struct ft_cli_option common_options[] = {
    { .name = "json", .kind = FT_CLI_FLAG, .help = "print one JSON object" },
    { .name = "help", .letter = 'h', .kind = FT_CLI_FLAG, .help = "show this text" },
    FT_CLI_OPTIONS_END,
};

/* ---- telling ---- */

/* Text that JSON can hold: what is not UTF-8 (a cut character) becomes '?'. */
static json_t *
json_text(const char *text)
{
    json_t *value = json_string(text);
    char *copy;

    if (value != NULL || (copy = ft_strdup(text)) == NULL)
        return value;
    for (char *p = copy; *p != '\0'; p++)
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    value = json_string(copy);
    ft_free(copy);
    return value;
}

int
ft_cli_print_json(json_t *object)
{
    char *line;
    json_object_set_new(object, "version", json_integer(FT_CLI_JSON_VERSION));
    line = json_dumps(object, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(object);
    if (line == NULL)
        return FT_EXIT_INTERNAL;
    puts(line);
    free(line);
    return FT_EXIT_OK;
}

/* The JSON side of a failure; extra is stolen. */
static void
tell_json(enum ft_status st, int code, const char *message, const char *extra_name, json_t *extra)
{
    json_t *error = json_object();
    json_object_set_new(error, "status", json_string(ft_status_name(st)));
    json_object_set_new(error, "exit", json_integer(code));
    json_object_set_new(error, "message", json_text(message));
    if (extra != NULL)
        json_object_set_new(error, extra_name, extra);
    (void)ft_cli_print_json(json_pack("{s:o}", "error", error));
}

int
ft_cli_fail(const struct ft_cli *cli, enum ft_status st, const struct ft_error *err)
{
    const char *text = err != NULL && err->status != FT_OK ? err->text : ft_status_str(st);
    const int code = ft_status_exit(st);

    fprintf(stderr, "%s: %s\n", ft_cli_program_name(cli), text);
    if (ft_cli_json(cli))
        tell_json(st, code, text, NULL, NULL);
    return code;
}

int
ft_cli_fail_findings(const struct ft_cli *cli, const struct ft_findings *findings)
{
    ft_findings_print(findings, stderr);
    if (ft_cli_json(cli))
        tell_json(FT_ERR_CONFIG, FT_EXIT_CONFIG, ft_status_str(FT_ERR_CONFIG), "findings",
                  ft_findings_json(findings));
    return FT_EXIT_CONFIG;
}

int
ft_cli_fail_refusals(const struct ft_cli *cli, const struct ft_refusals *refusals)
{
    ft_refusals_print(refusals, stderr);
    if (ft_cli_json(cli))
        tell_json(FT_ERR_REFUSED, FT_EXIT_REFUSED, ft_status_str(FT_ERR_REFUSED), "refusals",
                  ft_refusals_json(refusals));
    return FT_EXIT_REFUSED;
}

int
ft_cli_usage(const struct ft_cli *cli, const char *fmt, ...)
{
    char text[480];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    fprintf(stderr, "%s: %s\n", cli->program->name, text);
    if (cli->command != NULL && cli->command->name[0] != '\0')
        fprintf(stderr, "See `%s %s --help`.\n", cli->program->name, cli->command->name);
    else
        fprintf(stderr, "See `%s --help`.\n", cli->program->name);
    if (cli->json)
        tell_json(FT_ERR_ARGUMENT, FT_EXIT_USAGE, text, NULL, NULL);
    return FT_EXIT_USAGE;
}

bool
ft_cli_lively(FILE *file)
{
    const char *no_color = getenv("NO_COLOR");
    return isatty(fileno(file)) == 1 && (no_color == NULL || no_color[0] == '\0');
}

enum ft_status
ft_cli_confirm(const struct ft_cli *cli, const char *question, struct ft_error *err)
{
    char answer[16];

    if (ft_cli_flag(cli, "yes"))
        return FT_OK;
    if (isatty(STDIN_FILENO) != 1)
        return ft_fail(err, FT_ERR_ARGUMENT, "%s needs --yes when there is no terminal to ask on",
                       cli->command->name);
    fprintf(stderr, "%s Type yes to go on: ", question);
    fflush(stderr);
    if (fgets(answer, sizeof answer, stdin) != NULL && strcmp(answer, "yes\n") == 0)
        return FT_OK;
    return ft_fail(err, FT_ERR_CANCELLED, "nothing was changed");
}

/* ---- help ---- */

static void
option_form(char out[64], const struct ft_cli_option *o)
{
    char letter[8] = "    ";
    if (o->letter != 0)
        snprintf(letter, sizeof letter, "-%c, ", o->letter);
    snprintf(out, 64, "%s--%s%s%s", letter, o->name, o->argument != NULL ? " " : "",
             o->argument != NULL ? o->argument : "");
}

static void
command_help(const struct ft_cli *cli, FILE *out)
{
    const struct ft_cli_command *c = cli->command;
    char form[64];
    int width = 0;

    fprintf(out, "Usage: %s%s%s%s", cli->program->name, c->name[0] != '\0' ? " " : "", c->name,
            cli->option_count > 2 ? " [options]" : "");
    fprintf(out, "%s%s\n\n%s.\n", c->operands != NULL ? " " : "", c->operands != NULL ? c->operands : "",
            c->help);
    if (c->details != NULL)
        fprintf(out, "\n%s\n", c->details);
    fprintf(out, "\nOptions:\n");
    for (size_t i = 0; i < cli->option_count; i++) {
        option_form(form, cli->options[i]);
        width = (int)strlen(form) > width ? (int)strlen(form) : width;
    }
    for (size_t i = 0; i < cli->option_count; i++) {
        const struct ft_cli_option *o = cli->options[i];
        option_form(form, o);
        fprintf(out, "  %-*s  %s%s", width, form, o->help, o->required ? " (required)" : "");
        if (o->fallback != NULL)
            fprintf(out, " (default %s)", o->fallback);
        fputc('\n', out);
    }
    if (c->example != NULL)
        fprintf(out, "\nExample:\n  %s\n", c->example);
}

/* Every command, or those that begin with `group` and a space. */
static void
program_help(const struct ft_cli_program *p, const char *group, FILE *out)
{
    const size_t group_size = group != NULL ? strlen(group) : 0;
    int width = 0;

    fprintf(out, "Usage: %s %s COMMAND [options]\n\n%s.\n\nCommands:\n", p->name, group != NULL ? group : "",
            p->help);
    for (const struct ft_cli_command *c = p->commands; c->name != NULL; c++)
        width = (int)strlen(c->name) > width ? (int)strlen(c->name) : width;
    for (const struct ft_cli_command *c = p->commands; c->name != NULL; c++)
        if (group == NULL || (strncmp(c->name, group, group_size) == 0 && c->name[group_size] == ' '))
            fprintf(out, "  %-*s  %s\n", width, c->name, c->help);
    fprintf(out, "\n`%s COMMAND --help` shows a command's options and an example; --version the version.\n",
            p->name);
}

/* ---- choosing the command ---- */

static const struct ft_cli_command *
find_command(const struct ft_cli_program *p, const char *first, const char *second)
{
    const size_t size = strlen(first);
    for (const struct ft_cli_command *c = p->commands; c->name != NULL; c++) {
        if (second == NULL ? strcmp(c->name, first) == 0
                           : strncmp(c->name, first, size) == 0 && c->name[size] == ' ' &&
                                 strcmp(c->name + size + 1, second) == 0)
            return c;
    }
    return NULL;
}

static bool
is_group(const struct ft_cli_program *p, const char *word)
{
    const size_t size = strlen(word);
    for (const struct ft_cli_command *c = p->commands; c->name != NULL; c++)
        if (strncmp(c->name, word, size) == 0 && c->name[size] == ' ')
            return true;
    return false;
}

static int
unknown_command(const struct ft_cli *cli, const char *first, const char *second)
{
    const struct ft_cli_program *p = cli->program;
    struct ft_nearest nearest = { 0 };
    char typed[128], group[64];

    snprintf(typed, sizeof typed, "%s%s%s", first, second != NULL ? " " : "", second != NULL ? second : "");
    for (const struct ft_cli_command *c = p->commands; c->name != NULL; c++) {
        const char *space = strchr(c->name, ' ');
        ft_nearest_offer(&nearest, typed, c->name);
        ft_nearest_offer(&nearest, first, c->name);
        if (space == NULL)
            continue;
        snprintf(group, sizeof group, "%.*s", (int)(space - c->name), c->name);
        if (nearest.word == NULL && ft_edit_distance(first, group) == 1)
            nearest = (struct ft_nearest){ .word = c->name, .distance = 1 };
    }
    if (nearest.word != NULL)
        return ft_cli_usage(cli, "unknown command '%s', did you mean '%s'?", typed, nearest.word);
    return ft_cli_usage(cli, "unknown command '%s'", typed);
}

/* ---- options ---- */

static void
collect_options(struct ft_cli *cli)
{
    const struct ft_cli_option *tables[] = { cli->command->options, common_options };
    for (size_t t = 0; t < 2; t++) {
        for (const struct ft_cli_option *o = tables[t]; o != NULL && o->name != NULL; o++) {
            assert(cli->option_count < OPTIONS_MAX);
            cli->options[cli->option_count++] = o;
        }
    }
}

static size_t
option_index(const struct ft_cli *cli, const char *name)
{
    size_t i = 0;
    while (i < cli->option_count && strcmp(cli->options[i]->name, name) != 0)
        i++;
    assert(i < cli->option_count); /* a command asks for its own options only */
    return i;
}

static bool
unsigned_text(const char *text, uint64_t *out)
{
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return *end == '\0' && errno == 0;
}

static bool
real_text(const char *text, double *out)
{
    char *end;
    if (text[strspn(text, "+-0123456789.eE")] != '\0' || text[0] == '\0') /* no hex, no inf, no nan */
        return false;
    errno = 0;
    *out = strtod(text, &end);
    return *end == '\0' && errno == 0;
}

/* Is the value what the option's kind takes? Otherwise the usage message and its exit code. */
static int
check_value(const struct ft_cli *cli, const struct ft_cli_option *o, const char *value)
{
    uint64_t u = 0;
    double d;
    if (o->kind == FT_CLI_UINT &&
        (!unsigned_text(value, &u) || (o->most > 0 && (u < o->least || u > o->most)))) {
        if (o->most > 0)
            return ft_cli_usage(cli, "--%s is '%s', expected a whole number from %llu to %llu", o->name,
                                value, (unsigned long long)o->least, (unsigned long long)o->most);
        return ft_cli_usage(cli, "--%s is '%s', expected a whole number", o->name, value);
    }
    if (o->kind == FT_CLI_REAL && !real_text(value, &d))
        return ft_cli_usage(cli, "--%s is '%s', expected a number", o->name, value);
    return FT_EXIT_OK;
}

static int
unknown_option(const struct ft_cli *cli, const char *typed, int why)
{
    struct ft_nearest nearest = { 0 };
    char word[64];
    const char *bare = typed + strspn(typed, "-");

    if (why != POPT_ERROR_BADOPT)
        return ft_cli_usage(cli, "%s: %s", typed, poptStrerror(why));
    snprintf(word, sizeof word, "%.*s", (int)strcspn(bare, "="), bare);
    for (size_t i = 0; i < cli->option_count; i++)
        ft_nearest_offer(&nearest, word, cli->options[i]->name);
    if (nearest.word != NULL)
        return ft_cli_usage(cli, "unknown option '%s', did you mean '--%s'?", typed, nearest.word);
    return ft_cli_usage(cli, "unknown option '%s'", typed);
}

/* Take one more text of an option that may be given often. */
static bool
add_text(struct ft_cli *cli, size_t i, char *value)
{
    char **list = ft_realloc(cli->lists[i], (cli->list_counts[i] + 1) * sizeof *list);
    if (list == NULL)
        return false;
    cli->lists[i] = list;
    list[cli->list_counts[i]] = strdup(value);
    return list[cli->list_counts[i]++] != NULL;
}

static int
parse_options(struct ft_cli *cli, poptContext popt)
{
    const char *operand;
    int rc, code;

    while ((rc = poptGetNextOpt(popt)) > 0) {
        const size_t i = (size_t)rc - 1;
        const struct ft_cli_option *o = cli->options[i];
        char *value = poptGetOptArg(popt);
        if (cli->values[i] != NULL && o->kind != FT_CLI_FLAG && o->kind != FT_CLI_TEXTS) {
            free(value);
            return ft_cli_usage(cli, "--%s is given twice", o->name);
        }
        free(cli->values[i]);
        cli->values[i] = value != NULL ? value : strdup("");
        if (cli->values[i] == NULL || (o->kind == FT_CLI_TEXTS && !add_text(cli, i, cli->values[i])))
            return ft_cli_fail(cli, FT_ERR_NOMEM, NULL);
        if (strcmp(o->name, "json") == 0)
            cli->json = true;
        if (o->kind != FT_CLI_FLAG && (code = check_value(cli, o, cli->values[i])) != FT_EXIT_OK)
            return code;
    }
    if (rc < -1)
        return unknown_option(cli, poptBadOption(popt, POPT_BADOPTION_NOALIAS), rc);
    while ((operand = poptGetArg(popt)) != NULL) {
        if (cli->operand_count == OPERANDS_MAX)
            return ft_cli_usage(cli, "too many operands");
        cli->operands[cli->operand_count++] = operand;
    }
    return FT_EXIT_OK;
}

static int
check_given(const struct ft_cli *cli)
{
    const struct ft_cli_command *c = cli->command;
    for (size_t i = 0; i < cli->option_count; i++)
        if (cli->options[i]->required && cli->values[i] == NULL)
            return ft_cli_usage(cli, "--%s %s is missing", cli->options[i]->name,
                                cli->options[i]->argument != NULL ? cli->options[i]->argument : "");
    if (cli->operand_count < c->operands_least)
        return ft_cli_usage(cli, "%s is missing", c->operands);
    if (cli->operand_count > c->operands_most)
        return ft_cli_usage(cli, "'%s' is too much, expected %s", cli->operands[c->operands_most],
                            c->operands != NULL ? c->operands : "options only");
    return FT_EXIT_OK;
}

/* Parse the words after the command (argv[0] is the program) and run it. */
static int
run_command(struct ft_cli *cli, int argc, const char **argv)
{
    struct poptOption table[OPTIONS_MAX + 1];
    poptContext popt;
    int code;

    memset(table, 0, sizeof table);
    collect_options(cli);
    for (size_t i = 0; i < cli->option_count; i++) {
        table[i].longName = cli->options[i]->name;
        table[i].shortName = cli->options[i]->letter;
        table[i].argInfo = cli->options[i]->kind == FT_CLI_FLAG ? POPT_ARG_NONE : POPT_ARG_STRING;
        table[i].val = (int)i + 1;
    }
    /* A usage error before --json is reached is told as JSON too. */
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        cli->json |= strcmp(argv[i], "--json") == 0;
    popt = poptGetContext(cli->program->name, argc, argv, table, 0);
    if (popt == NULL)
        return ft_cli_fail(cli, FT_ERR_NOMEM, NULL);
    code = parse_options(cli, popt);
    if (code == FT_EXIT_OK && cli->values[option_index(cli, "help")] != NULL) {
        command_help(cli, stdout);
        goto out;
    }
    if (code == FT_EXIT_OK)
        code = check_given(cli);
    if (code == FT_EXIT_OK)
        code = cli->command->run(cli);
    if (fflush(stdout) != 0 && code == FT_EXIT_OK) {
        fprintf(stderr, "%s: cannot write the output: %s\n", cli->program->name, strerror(errno));
        code = FT_EXIT_INTERNAL;
    }
out:
    poptFreeContext(popt);
    for (size_t i = 0; i < cli->option_count; i++) {
        free(cli->values[i]);
        for (size_t k = 0; k < cli->list_counts[i]; k++)
            free(cli->lists[i][k]);
        ft_free(cli->lists[i]);
    }
    return code;
}

int
ft_cli_main(const struct ft_cli_program *program, int argc, char **argv)
{
    struct ft_cli cli = { .program = program };
    const char *words[OPERANDS_MAX + OPTIONS_MAX + 2] = { program->name };
    const char *first = argc > 1 ? argv[1] : NULL;
    const char *second;
    int used = 2, count = 1;

    if (sodium_init() < 0)
        return ft_cli_fail(&cli, FT_ERR_INTERNAL, NULL);
    if (first != NULL && strcmp(first, "--version") == 0) {
        printf("%s %s\n", program->name, FT_VERSION);
        return FT_EXIT_OK;
    }
    if (program->commands[0].name != NULL && program->commands[0].name[0] == '\0') {
        cli.command = &program->commands[0]; /* a program without sub-commands */
        used = 1;
    } else if (first == NULL) {
        program_help(program, NULL, stderr);
        return FT_EXIT_USAGE;
    } else if (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0 || strcmp(first, "help") == 0) {
        program_help(program, NULL, stdout);
        return FT_EXIT_OK;
    } else if (first[0] == '-') {
        return ft_cli_usage(&cli, "'%s' comes before the command, expected %s COMMAND [options]", first,
                            program->name);
    } else {
        second = argc > 2 && argv[2][0] != '-' ? argv[2] : NULL;
        if (second != NULL && (cli.command = find_command(program, first, second)) != NULL)
            used = 3;
        if (cli.command == NULL)
            cli.command = find_command(program, first, NULL);
        if (cli.command == NULL && second == NULL && is_group(program, first)) {
            const bool asked = argc > 2 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0);
            program_help(program, first, asked ? stdout : stderr);
            return asked ? FT_EXIT_OK : FT_EXIT_USAGE;
        }
        if (cli.command == NULL)
            return unknown_command(&cli, first, second);
    }
    for (int i = used; i < argc; i++) {
        if ((size_t)count == sizeof words / sizeof words[0] - 1)
            return ft_cli_usage(&cli, "too many words");
        words[count++] = argv[i];
    }
    return run_command(&cli, count, words);
}

/* ---- for the commands ---- */

bool
ft_cli_given(const struct ft_cli *cli, const char *name)
{
    return cli->values[option_index(cli, name)] != NULL;
}

bool
ft_cli_flag(const struct ft_cli *cli, const char *name)
{
    return ft_cli_given(cli, name);
}

const char *
ft_cli_text(const struct ft_cli *cli, const char *name)
{
    const size_t i = option_index(cli, name);
    return cli->values[i] != NULL ? cli->values[i] : cli->options[i]->fallback;
}

const char *const *
ft_cli_texts(const struct ft_cli *cli, const char *name, size_t *count)
{
    const size_t i = option_index(cli, name);
    *count = cli->list_counts[i];
    return (const char *const *)cli->lists[i];
}

uint64_t
ft_cli_uint(const struct ft_cli *cli, const char *name, uint64_t otherwise)
{
    const char *text = ft_cli_text(cli, name);
    uint64_t value;
    return text != NULL && unsigned_text(text, &value) ? value : otherwise;
}

double
ft_cli_real(const struct ft_cli *cli, const char *name, double otherwise)
{
    const char *text = ft_cli_text(cli, name);
    double value;
    return text != NULL && real_text(text, &value) ? value : otherwise;
}

size_t
ft_cli_operand_count(const struct ft_cli *cli)
{
    return cli->operand_count;
}

const char *
ft_cli_operand(const struct ft_cli *cli, size_t index)
{
    return index < cli->operand_count ? cli->operands[index] : NULL;
}

bool
ft_cli_json(const struct ft_cli *cli)
{
    return cli->json;
}

const char *
ft_cli_program_name(const struct ft_cli *cli)
{
    return cli->program->name;
}
