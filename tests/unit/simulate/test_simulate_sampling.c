#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregator/simulate/engine/sampling.h"
#include "common/base/alloc.h"
#include "tests/support/approx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct ft_sim_experiment
experiment(void)
{
    return (struct ft_sim_experiment){ .seed = 11,
                                       .training = { .rounds = 100,
                                                     .local_epochs = 5,
                                                     .learning_rate = 0.2,
                                                     .schedule = FT_SIM_CONSTANT,
                                                     .decay = 1 },
                                       .clients = { .fraction = 0.1 } };
}

static void
opened(const struct ft_sim_experiment *e, uint32_t population, struct sim_sampling *s)
{
    struct ft_error err = { 0 };
    if (sim_sampling_open(e, population, s, &err) != FT_OK)
        fail_msg("%s", err.text);
}

/* max(C K, 1) clients as McMahan et al. have it, each once, ascending; other rounds draw others, the same
 * seed the same. */
static void
a_fraction_is_drawn_without_repetition(void **state)
{
    const struct ft_sim_experiment e = experiment();
    struct sim_sampling s, again;
    struct sim_asked a[10], b[10];
    uint32_t times[100] = { 0 };
    (void)state;
    opened(&e, 100, &s);
    opened(&e, 100, &again);
    assert_int_equal(sim_sampling_most(&s), 10);
    for (uint64_t round = 1; round <= 2000; round++) {
        assert_int_equal(sim_sample(&s, round, a), 10);
        for (int i = 0; i < 10; i++) {
            times[a[i].client]++;
            assert_true(i == 0 || a[i].client > a[i - 1].client);
            assert_false(a[i].dropped);
            assert_int_equal(a[i].epochs, 5);
        }
    }
    for (int k = 0; k < 100; k++) /* 200 expected, deviation sqrt(2000 * 0.1 * 0.9) = 13.4 */
        assert_in_range(times[k], 140, 260);
    assert_int_equal(sim_sample(&again, 1234, b), 10); /* whatever was drawn before */
    (void)sim_sample(&s, 1234, a);
    for (int i = 0; i < 10; i++)
        assert_int_equal(a[i].client, b[i].client);
    sim_sampling_close(&s);
    sim_sampling_close(&again);
}

/* 0.001 of 100 clients is still one; a count is taken as it is, and more than there are is refused. */
static void
at_least_one_and_at_most_all_are_asked(void **state)
{
    struct ft_sim_experiment e = experiment();
    struct sim_sampling s;
    struct sim_asked a[3];
    struct ft_error err = { 0 };
    (void)state;
    e.clients.fraction = 0.001;
    opened(&e, 100, &s);
    assert_int_equal(sim_sample(&s, 1, a), 1);
    sim_sampling_close(&s);
    e.clients.fraction = 0;
    e.clients.count = 3;
    opened(&e, 3, &s);
    assert_int_equal(sim_sample(&s, 1, a), 3);
    assert_int_equal(a[2].client, 2);
    sim_sampling_close(&s);
    assert_int_equal(sim_sampling_open(&e, 2, &s, &err), FT_ERR_CONFIG);
    assert_string_equal(err.text, "clients.count is 3 of 2 clients");
}

/* Of 20,000 draws 30 % drop out and 20 % do 1 to 4 of 5 epochs, evenly: within five deviations. */
static void
dropouts_and_stragglers_come_at_their_rates(void **state)
{
    struct ft_sim_experiment e = experiment();
    struct sim_sampling s;
    struct sim_asked a[100];
    uint32_t dropped = 0, of[6] = { 0 };
    (void)state;
    e.clients.fraction = 1;
    e.clients.dropout = 0.3;
    e.clients.stragglers = 0.2;
    opened(&e, 100, &s);
    for (uint64_t round = 1; round <= 200; round++) {
        assert_int_equal(sim_sample(&s, round, a), 100);
        for (int i = 0; i < 100; i++) {
            dropped += a[i].dropped;
            assert_in_range(a[i].epochs, 1, 5);
            of[a[i].epochs]++;
        }
    }
    assert_in_range(dropped, 6000 - 325, 6000 + 325);
    assert_in_range(of[5], 16000 - 283, 16000 + 283);
    for (int k = 1; k < 5; k++)
        assert_in_range(of[k], 1000 - 155, 1000 + 155);
    sim_sampling_close(&s);
}

static char *
trace(const char *text)
{
    char *path = ft_strdup("/tmp/test_simulate_sampling.XXXXXX");
    const int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
    return path;
}

/* Client 0 is there in rounds 1 and 2, client 2 always and in one spell too many, client 4 in round 5. */
static void
a_trace_says_who_is_there(void **state)
{
    struct ft_sim_experiment e = experiment();
    struct sim_sampling s;
    struct sim_asked a[5];
    char *path = trace("client,from,to\n2,1,9\n0,1,2\n4,5,5\n2,2,3\n");
    (void)state;
    e.clients.fraction = 1;
    e.clients.availability = path;
    opened(&e, 5, &s);
    assert_int_equal(sim_sampling_most(&s), 5);
    assert_int_equal(sim_sample(&s, 2, a), 2);
    assert_int_equal(a[0].client, 0);
    assert_int_equal(a[1].client, 2);
    assert_int_equal(sim_sample(&s, 5, a), 2);
    assert_int_equal(a[1].client, 4);
    assert_int_equal(sim_sample(&s, 10, a), 0);
    sim_sampling_close(&s);
    (void)unlink(path);
    ft_free(path);
}

static void
refuses(const char *text, const char *line)
{
    struct ft_sim_experiment e = experiment();
    struct sim_sampling s;
    struct ft_error err = { 0 };
    char *path = trace(text), *start = ft_asprintf("%s%s", path, line);
    e.clients.availability = path;
    assert_int_equal(sim_sampling_open(&e, 5, &s, &err), FT_ERR_FORMAT);
    if (strncmp(err.text, start, strlen(start)) != 0)
        fail_msg("%s does not begin with %s", err.text, start);
    (void)unlink(path);
    ft_free(path);
    ft_free(start);
}

/* Wrong traces name file and line. */
static void
a_wrong_trace_names_its_line(void **state)
{
    struct ft_sim_experiment e = experiment();
    struct sim_sampling s;
    struct ft_error err = { 0 };
    char missing[] = "/tmp/there-is-no-such-trace.csv";
    (void)state;
    refuses("", ": no client is ever there");
    refuses("client,from,to\n", ": no client is ever there");
    refuses("client;from;to\n", ":1: expected the header client,from,to");
    refuses("client,from,to\n1,2,3\n5,1,2\n", ":3: expected a client's number (from 0)");
    refuses("client,from,to\n1,3,2\n", ":2: expected");
    refuses("client,from,to\n1,3\n", ":2: expected");
    refuses("client,from,to\n1,3,4,5\n", ":2: expected");
    refuses("client,from,to\n-1,3,4\n", ":2: expected");
    e.clients.availability = missing;
    assert_int_equal(sim_sampling_open(&e, 5, &s, &err), FT_ERR_NOTFOUND);
    assert_string_equal(err.text, "/tmp/there-is-no-such-trace.csv: No such file or directory");
}

/* Rate 0.2: exponential 0.2 * 0.9^2 in round 3; cosine from 0.2 by way of 0.1 in round 51 of 100 to 0 behind
 * the last; inverse square root 0.1 in round 4. */
static void
schedules_are_what_their_names_say(void **state)
{
    struct ft_sim_experiment e = experiment();
    (void)state;
    assert_approx(sim_rate(&e, 77), 0.2, 0);
    e.training.schedule = FT_SIM_EXPONENTIAL;
    e.training.decay = 0.9;
    assert_approx(sim_rate(&e, 1), 0.2, 0);
    assert_approx(sim_rate(&e, 3), 0.162, 1e-15);
    e.training.schedule = FT_SIM_COSINE;
    assert_approx(sim_rate(&e, 1), 0.2, 0);
    assert_approx(sim_rate(&e, 51), 0.1, 1e-15);
    assert_approx(sim_rate(&e, 101), 0, 1e-15);
    e.training.schedule = FT_SIM_INVERSE_SQRT;
    assert_approx(sim_rate(&e, 4), 0.1, 1e-15);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fraction_is_drawn_without_repetition),
        cmocka_unit_test(at_least_one_and_at_most_all_are_asked),
        cmocka_unit_test(dropouts_and_stragglers_come_at_their_rates),
        cmocka_unit_test(a_trace_says_who_is_there),
        cmocka_unit_test(a_wrong_trace_names_its_line),
        cmocka_unit_test(schedules_are_what_their_names_say),
    };
    return cmocka_run_group_tests_name("simulate_sampling", tests, NULL, NULL);
}
