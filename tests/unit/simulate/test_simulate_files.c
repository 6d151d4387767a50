/* The list of an experiment's files and what is said when it has changed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregator/simulate/data/files.h"
#include "common/base/alloc.h"
#include "common/base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OF_ABC   "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" /* FIPS 180-4, "abc" */
#define OF_EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static char folder[] = "/tmp/fedtill-files.XXXXXX";

static char *
put(const char *name, const char *text)
{
    char *path = ft_asprintf("%s/%s", folder, name);
    struct ft_error err = { 0 };
    if (ft_file_write(path, FT_BYTES(text, strlen(text)), 0600, &err) != FT_OK)
        fail_msg("%s", err.text);
    return path;
}

static void
drop(char *path)
{
    (void)unlink(path);
    ft_free(path);
}

/* The list as it stands in data.sha256. */
static char *
listed(const struct ft_sim_data_config *c, struct sim_files *files)
{
    struct ft_buf text = { 0 };
    struct ft_error err = { 0 };
    char *copy;
    assert_int_equal(sim_files_find(c, NULL, files, &err), FT_OK);
    assert_int_equal(sim_files_hash(files, NULL, &err), FT_OK);
    assert_int_equal(sim_files_write(files, &text), FT_OK);
    assert_int_equal(ft_buf_u8(&text, 0), FT_OK);
    copy = ft_strdup((const char *)text.data);
    ft_buf_clear(&text);
    return copy;
}

/* Known hashes, the form of sha256sum, a name with a backslash included; and a cache is asked before the
 * disk. */
static void
files_are_listed_as_sha256sum_does(void **state)
{
    char *train = put("a.csv", "abc"), *test = put("b\\c.csv", "");
    const struct ft_sim_data_config c = { .source = FT_SIM_CSV, .train = train, .test = test };
    struct sim_files files, again, known = { 0 };
    struct ft_error err = { 0 };
    char *text = listed(&c, &files),
         *expected = ft_asprintf("%s  %s\n\\%s  %s/b\\\\c.csv\n", OF_ABC, train, OF_EMPTY, folder);
    (void)state;
    assert_string_equal(text, expected);
    assert_int_equal(files.list[0].bytes, 3);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sim_files_find(&c, NULL, &again, &err), FT_OK);
        assert_int_equal(sim_files_hash(&again, &known, &err), FT_OK);
        assert_string_equal(again.list[0].sha256, OF_ABC);
        assert_int_equal(known.count, 2);
        sim_files_clear(&again);
        (void)unlink(train); /* the second time it is known */
    }
    sim_files_clear(&known);
    sim_files_clear(&files);
    ft_free(text);
    ft_free(expected);
    drop(train);
    drop(test);
}

/* Another byte, a file more, a file less, another order: each is told with the file's name; hashes where both
 * are. */
static void
changed_data_are_told_by_file(void **state)
{
    char *train = put("train.csv", "abc"), *test = put("test.csv", "");
    const struct ft_sim_data_config both = { .source = FT_SIM_CSV, .train = train, .test = test },
                                    one = { .source = FT_SIM_CSV, .train = train };
    struct sim_files files, fewer;
    char *text = listed(&both, &files), *short_text = listed(&one, &fewer), *changed = ft_strdup(text);
    const struct {
        const struct sim_files *files;
        const char *text, *says[2];
    } cases[] = {
        { &files, text, { NULL } },
        { &files, changed, { "train.csv had SHA-256 0a7816bf", "and now it is ba7816bf" } },
        { &fewer,
          text,
          { "list:2: the data have changed: the run read ", "test.csv, which is not among them now" } },
        { &files, short_text, { "test.csv is among them now, and the run had not read it", "--force" } },
        { &files, text + strlen(short_text), { "the run read ", "here, and now it is " } },
        { &files, "", { "list:1", "train.csv is among them now" } },
        { &files, "\n\\\nx", { "list:1", "train.csv" } }
    };
    (void)state;
    changed[0] = '0';
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ft_error err = { 0 };
        const enum ft_status st =
            sim_files_same(cases[i].files, FT_BYTES(cases[i].text, strlen(cases[i].text)), "list", &err);
        assert_int_equal(st, cases[i].says[0] == NULL ? FT_OK : FT_ERR_CONFIG);
        for (int k = 0; k < 2; k++)
            if (cases[i].says[k] != NULL && strstr(err.text, cases[i].says[k]) == NULL)
                fail_msg("case %zu: \"%s\" does not say \"%s\"", i, err.text, cases[i].says[k]);
    }
    sim_files_clear(&files);
    sim_files_clear(&fewer);
    ft_free(text);
    ft_free(short_text);
    ft_free(changed);
    drop(train);
    drop(test);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_listed_as_sha256sum_does),
        cmocka_unit_test(changed_data_are_told_by_file),
    };
    int failed;
    if (mkdtemp(folder) == NULL)
        return 1;
    failed = cmocka_run_group_tests_name("simulate_files", tests, NULL, NULL);
    (void)rmdir(folder);
    return failed;
}
