#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "client/vault/evidence.h"
#include "common/base/alloc.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64];

static int
set_up(void **ctx)
{
    (void)ctx;
    strcpy(folder, "/tmp/fedtill-evidence.XXXXXX");
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int
tear_down(void **ctx)
{
    char command[100];
    (void)ctx;
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static unsigned
files(void)
{
    unsigned n = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (const struct dirent *e; (e = readdir(d)) != NULL;)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static bool
kept(unsigned wall_ms, int part)
{
    char path[120];
    snprintf(path, sizeof path, "%s/evidence.%u.%d.bin", folder, wall_ms, part);
    return access(path, R_OK) == 0;
}

/* An aggregator that tells two stories all day long leaves as many files as are kept, the first of them among
 * them. */
static void
evidence_is_kept_up_to_a_limit_and_the_first_stays(void **ctx)
{
    (void)ctx;
    for (unsigned i = 1; i <= 100; i++)
        assert_int_equal(ft_evidence_keep(folder, i, FT_BYTES("one", 3), FT_BYTES("two", 3)),
                         2 * i <= FT_EVIDENCE_FILES_MAX ? FT_OK : FT_ERR_LIMIT);
    assert_int_equal(files(), FT_EVIDENCE_FILES_MAX);
    assert_true(kept(1, 1) && kept(1, 2));
}

/* Large messages use the limit up sooner. */
static void
evidence_is_limited_in_bytes_too(void **ctx)
{
    const size_t size = (size_t)FT_EVIDENCE_BYTES_MAX / 4;
    uint8_t *bytes = ft_calloc(1, size + 1);
    (void)ctx;
    assert_non_null(bytes);
    assert_int_equal(ft_evidence_keep(folder, 1, FT_BYTES(bytes, size), FT_BYTES(bytes, size)), FT_OK);
    assert_int_equal(ft_evidence_keep(folder, 2, FT_BYTES(bytes, size), FT_BYTES(bytes, size + 1)),
                     FT_ERR_LIMIT);
    assert_int_equal(files(), 2);
    assert_int_equal(ft_evidence_keep(folder, 3, FT_BYTES(bytes, size), FT_BYTES(bytes, size)), FT_OK);
    assert_int_equal(ft_evidence_keep(folder, 4, FT_BYTES("1", 1), FT_BYTES("", 0)), FT_ERR_LIMIT);
    ft_free(bytes);
}

/* Half a pair is none: nothing of it stays. A folder that is not there is an error, not a crash. */
static void
evidence_is_kept_in_pairs(void **ctx)
{
    char path[120];
    (void)ctx;
    snprintf(path, sizeof path, "%s/evidence.7.2.bin", folder);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
    assert_int_not_equal(ft_evidence_keep(folder, 7, FT_BYTES("one", 3), FT_BYTES("two", 3)), FT_OK);
    assert_false(kept(7, 1));
    assert_int_equal(ft_evidence_keep("/nonexistent/fedtill", 7, FT_BYTES("1", 1), FT_BYTES("2", 1)),
                     FT_ERR_NOTFOUND);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(evidence_is_kept_up_to_a_limit_and_the_first_stays, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(evidence_is_limited_in_bytes_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(evidence_is_kept_in_pairs, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
