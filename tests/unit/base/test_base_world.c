#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/alloc.h"

#include "common/base/env.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/refusal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <jansson.h>

static char folder[] = "/tmp/ft_base_XXXXXX";

static int
make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int
drop_folder(void **state)
{
    char command[64];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) != 0;
}

static char *
path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* A written file comes back whole, with the mode asked for. */
static void
a_file_is_written_whole_and_read_back(void **state)
{
    struct ft_buf back = { 0 };
    struct stat info;
    (void)state;
    assert_int_equal(ft_file_write(path_of("a"), FT_BYTES("hello", 5), 0600, NULL), FT_OK);
    assert_int_equal(ft_file_write(path_of("a"), FT_BYTES("again!", 6), 0600, NULL), FT_OK);
    assert_int_equal(ft_file_read(path_of("a"), 100, &back, NULL), FT_OK);
    assert_int_equal(back.size, 6);
    assert_string_equal((char *)back.data, "again!");
    assert_int_equal(stat(path_of("a"), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    ft_buf_clear(&back);
}

/* write_new never replaces what is there, and leaves nothing beside it. */
static void
a_new_file_never_replaces_one(void **state)
{
    struct ft_error err = { 0 };
    struct ft_buf back = { 0 };
    (void)state;
    assert_int_equal(ft_file_write_new(path_of("n"), FT_BYTES("one", 3), 0600, NULL), FT_OK);
    assert_int_equal(ft_file_write_new(path_of("n"), FT_BYTES("two", 3), 0600, &err), FT_ERR_DUPLICATE);
    assert_non_null(strstr(err.text, "/n: "));
    assert_int_equal(ft_file_read(path_of("n"), 3, &back, NULL), FT_OK);
    assert_memory_equal(back.data, "one", 3);
    ft_buf_clear(&back);
}

/* A file over the limit, a missing one and a folder each have their own status, with the path in the text. */
static void
reading_names_the_path_and_what_was_wrong(void **state)
{
    struct ft_buf back = { 0 };
    struct ft_error err = { 0 };
    (void)state;
    assert_int_equal(ft_file_write(path_of("big"), FT_BYTES("12345", 5), 0600, NULL), FT_OK);
    assert_int_equal(ft_file_read(path_of("big"), 4, &back, &err), FT_ERR_LIMIT);
    assert_non_null(strstr(err.text, "big"));
    assert_int_equal(ft_file_read(path_of("missing"), 4, &back, NULL), FT_ERR_NOTFOUND);
    assert_int_equal(ft_file_read(folder, 4, &back, NULL), FT_ERR_FORMAT);
    assert_null(back.data);
}

/* The same seed and stream draw the same bytes; another stream draws others. */
static void
a_seeded_environment_repeats_itself(void **state)
{
    struct ft_env_seeded a, b, c;
    (void)state;
    ft_env_seeded_init(&a, 7, 1);
    ft_env_seeded_init(&b, 7, 1);
    ft_env_seeded_init(&c, 7, 2);
    for (int i = 0; i < 10; i++) {
        uint64_t v = ft_random_u64(&a.env);
        assert_true(v == ft_random_u64(&b.env));
        assert_true(v != ft_random_u64(&c.env));
    }
}

/* Every value below the bound occurs, none at or above it. */
static void
random_below_stays_below_and_reaches_all(void **state)
{
    struct ft_env_seeded e;
    unsigned seen[7] = { 0 };
    (void)state;
    ft_env_seeded_init(&e, 1, 1);
    for (int i = 0; i < 7000; i++) {
        uint64_t v = ft_random_below(&e.env, 7);
        assert_true(v < 7);
        seen[v]++;
    }
    for (int i = 0; i < 7; i++)
        assert_in_range(seen[i], 800, 1200); /* 1000 expected, deviation 29: 200 is 6.8 deviations */
}

/* A log line is one JSON object; numbers are numbers and values may hold spaces and quotes. */
static void
a_log_line_is_one_json_object(void **state)
{
    int ends[2];
    char line[512];
    ssize_t got;
    json_t *object;
    (void)state;
    assert_int_equal(pipe(ends), 0);
    ft_log_open("test", FT_LOG_INFO, ends[1]);
    ft_log(FT_LOG_DEBUG, "hidden", "x=%d", 1);
    ft_log(FT_LOG_WARN, "secsum.duplicate", "client=%u why=%s ratio=%g", 3u, "said \"twice\" already", 0.25);
    close(ends[1]);
    got = read(ends[0], line, sizeof line - 1);
    assert_true(got > 0);
    line[got] = '\0';
    close(ends[0]);
    ft_log_open("test", FT_LOG_INFO, STDERR_FILENO);
    object = json_loads(line, 0, NULL);
    assert_non_null(object);
    assert_string_equal(json_string_value(json_object_get(object, "event")), "secsum.duplicate");
    assert_int_equal(json_integer_value(json_object_get(object, "client")), 3);
    assert_string_equal(json_string_value(json_object_get(object, "why")), "said \"twice\" already");
    assert_true(json_real_value(json_object_get(object, "ratio")) == 0.25);
    json_decref(object);
}

/* Every refusal is kept with its code, and more than the limit do not overflow. */
static void
refusals_keep_every_reason_up_to_the_limit(void **state)
{
    static struct ft_refusals r;
    json_t *array;
    (void)state;
    for (int i = 0; i < FT_REFUSALS_MAX + 5; i++)
        ft_refuse(&r, "BUDGET", "ask", "reason %d", i);
    assert_int_equal(r.count, FT_REFUSALS_MAX);
    array = ft_refusals_json(&r);
    assert_string_equal(json_string_value(json_object_get(json_array_get(array, 1), "reason")), "reason 1");
    json_decref(array);
}

/* The first failure keeps its sentence; a later one doesn't replace it. */
static void
the_first_failure_keeps_its_sentence(void **state)
{
    struct ft_error err = { 0 };
    (void)state;
    assert_int_equal(ft_fail(&err, FT_ERR_CONFIG, "a:%d", 1), FT_ERR_CONFIG);
    assert_int_equal(ft_fail(&err, FT_ERR_IO, "b"), FT_ERR_IO);
    assert_string_equal(err.text, "a:1");
    assert_int_equal(err.status, FT_ERR_CONFIG);
    assert_int_equal(ft_status_exit(FT_ERR_CONFIG), 78);
    assert_string_equal(ft_status_name(FT_ERR_LIMIT), "ERR_LIMIT");
}

/* A pool hands a block out again, and frees what it has when another size is wanted. */
static void
a_pool_hands_blocks_out_again(void **state)
{
    struct ft_big_pool pool = { 0 };
    const size_t live = ft_alloc_live();
    void *first = ft_big_pool_take(&pool, 10000), *other;

    (void)state;
    assert_non_null(first);
    ft_big_pool_give(&pool, first, 10000);
    assert_int_equal(ft_alloc_live(), live + 1);
    assert_ptr_equal(ft_big_pool_take(&pool, 10000), first);
    other = ft_big_pool_take(&pool, 20000);
    assert_non_null(other);
    ft_big_pool_give(&pool, first, 10000); /* of a size that is no longer wanted */
    assert_int_equal(ft_alloc_live(), live + 1);
    ft_big_pool_give(&pool, other, 20000);
    ft_big_pool_clear(&pool);
    assert_int_equal(ft_alloc_live(), live);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_written_whole_and_read_back),
        cmocka_unit_test(a_new_file_never_replaces_one),
        cmocka_unit_test(reading_names_the_path_and_what_was_wrong),
        cmocka_unit_test(a_seeded_environment_repeats_itself),
        cmocka_unit_test(random_below_stays_below_and_reaches_all),
        cmocka_unit_test(a_pool_hands_blocks_out_again),
        cmocka_unit_test(a_log_line_is_one_json_object),
        cmocka_unit_test(refusals_keep_every_reason_up_to_the_limit),
        cmocka_unit_test(the_first_failure_keeps_its_sentence),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
