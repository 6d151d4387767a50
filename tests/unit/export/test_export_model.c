#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregator/export/export.h"
#include "common/base/alloc.h"
#include "common/base/file.h"
#include "tests/support/approx.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRIVACY "Each shop's update was \"hidden\" by a secure sum over at least 5 shops; no noise was added.\n\xc3\xa4"

static struct ft_task_feature features[3] = { { (char *)"log_lines", 0, 5 },
                                              { (char *)"share \"quoted\"", -1, 1 },
                                              { (char *)"bounded", 2, 3 } };
static const double means[3] = { 1.5, 0.1, 2.5 }, stds[3] = { 0.7, 1, 0.25 };
static const float raw[3] = { 2.25f, -3, 2.75f }; /* the second lies outside its bounds */
static const uint8_t hash[32] = { 0xab, 0xcd, 1 };
static float params[64];
static json_t *promise; /* a statement: the words are what is looked for */

static struct ft_task
task_of(enum ft_model_kind kind, uint32_t classes)
{
    return (struct ft_task){ .name = (char *)"cj_return", .purpose = (char *)"train/propensity", .label = (char *)"y",
                             .features = features, .feature_count = 3, .model = kind,
                             .classes = kind == FT_MODEL_KMEANS ? 0 : classes,
                             .clusters = kind == FT_MODEL_KMEANS ? classes : 0,
                             .hidden = { 4, 2 }, .hidden_count = kind == FT_MODEL_MLP ? 2 : 0,
                             .activation = classes > 2 ? FT_ACT_TANH : FT_ACT_RELU };
}

static void
state_of(const struct ft_task *task, struct ft_model_state *state)
{
    struct ft_model_spec spec;
    ft_export_spec(task, &spec);
    for (int i = 0; i < 64; i++)
        params[i] = (float)((i * 37) % 19 - 9) / 13;
    assert_true(ft_model_parameters(&spec) <= 64);
    assert_int_equal(ft_model_state_init(state, hash, FT_STAGE_EVALUATE, 12, means, stds, 3, params,
                                         ft_model_parameters(&spec)),
                     FT_OK);
}

/* What the model itself predicts for `raw`. Returns the number of outputs. */
static uint32_t
predict_here(const struct ft_task *task, const struct ft_model_state *state, float *out)
{
    const struct ft_bounds bounds[3] = { { 0, 5 }, { -1, 1 }, { 2, 3 } };
    struct ft_model_spec spec;
    struct ft_model *m = NULL;
    float x[3];

    ft_export_spec(task, &spec);
    assert_int_equal(ft_standardise(raw, 1, 3, bounds, means, stds, x, NULL), FT_OK);
    assert_int_equal(ft_model_open(&spec, &m, NULL), FT_OK);
    assert_int_equal(ft_model_scores(m, state->params, x, 1, out), FT_OK);
    ft_model_predict(m, out, 1);
    ft_model_close(m);
    return ft_model_outputs(&spec);
}

static void
write_file(const char *dir, size_t number, const char *ending, const struct ft_buf *bytes)
{
    char path[96];
    (void)snprintf(path, sizeof path, "%s/%02zu%s", dir, number, ending);
    assert_int_equal(ft_file_write(path, ft_buf_bytes(bytes), 0600, NULL), FT_OK);
}

/* What the reader prints for one file: hash, statement (two lines), predictions. */
static void
compare_file(FILE *reader, const float *want, uint32_t outputs)
{
    char line[256];
    assert_non_null(fgets(line, sizeof line, reader));
    assert_string_equal(line, "abcd010000000000000000000000000000000000000000000000000000000000\n");
    assert_non_null(fgets(line, sizeof line, reader));
    assert_memory_equal(line, PRIVACY, strcspn(PRIVACY, "\n"));
    assert_non_null(fgets(line, sizeof line, reader));
    assert_string_equal(line, "\xc3\xa4\n");
    for (uint32_t k = 0; k < outputs; k++) {
        assert_non_null(fgets(line, sizeof line, reader));
        assert_approx(atof(line), (double)want[k], 2e-6 * (1 + fabs((double)want[k])));
    }
}

/* Every kind of model, in both formats, predicts the same in an independent reader (Python's standard library) as
 * here. */
static void
an_independent_reader_predicts_the_same(void **state)
{
    const struct {
        enum ft_model_kind kind;
        uint32_t classes;
    } cases[] = { { FT_MODEL_LINEAR, 0 }, { FT_MODEL_LOGISTIC, 0 }, { FT_MODEL_SOFTMAX, 3 },
                  { FT_MODEL_POISSON, 0 }, { FT_MODEL_MLP, 2 },     { FT_MODEL_MLP, 3 },
                  { FT_MODEL_KMEANS, 4 } };
    enum { CASES = sizeof cases / sizeof cases[0] };
    char dir[] = "/tmp/fedtill-export-XXXXXX", command[256], rest[8];
    float want[CASES][4];
    uint32_t outputs[CASES];
    FILE *reader;

    (void)state;
    assert_non_null(mkdtemp(dir));
    for (size_t k = 0; k < CASES; k++) {
        const struct ft_task task = task_of(cases[k].kind, cases[k].classes);
        struct ft_model_state s;
        const struct ft_export model = { &task, &s, promise };
        struct ft_buf bytes = { 0 };

        state_of(&task, &s);
        outputs[k] = predict_here(&task, &s, want[k]);
        assert_int_equal(ft_export_safetensors(&model, &bytes, NULL), FT_OK);
        write_file(dir, 2 * k, ".safetensors", &bytes);
        ft_buf_clear(&bytes);
        assert_int_equal(ft_export_json(&model, &bytes, NULL), FT_OK);
        write_file(dir, 2 * k + 1, ".json", &bytes);
        ft_buf_clear(&bytes);
        ft_model_state_clear(&s);
    }
    (void)snprintf(command, sizeof command, "python3 tests/unit/export/read_model.py %s/* -- %.9g %.9g %.9g", dir,
                   (double)raw[0], (double)raw[1], (double)raw[2]);
    reader = popen(command, "r");
    assert_non_null(reader);
    for (size_t k = 0; k < CASES; k++) {
        compare_file(reader, want[k], outputs[k]); /* safetensors */
        compare_file(reader, want[k], outputs[k]); /* JSON */
    }
    assert_null(fgets(rest, sizeof rest, reader));
    assert_int_equal(pclose(reader), 0);
    (void)snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

/* JSON holds every number so that it comes back bit by bit. */
static void
json_comes_back_bit_for_bit(void **state)
{
    const struct ft_task task = task_of(FT_MODEL_MLP, 2);
    struct ft_model_state s;
    struct ft_exported_model back;
    const struct ft_export model = { &task, &s, promise };
    struct ft_buf bytes = { 0 };

    (void)state;
    state_of(&task, &s);
    s.params[3] = 1e-42f; /* subnormal */
    s.params[4] = 3.4e38f;
    assert_int_equal(ft_export_json(&model, &bytes, NULL), FT_OK);
    assert_int_equal(ft_export_read_json(ft_buf_bytes(&bytes), &back, NULL), FT_OK);
    assert_int_equal(back.spec.kind, FT_MODEL_MLP);
    assert_int_equal(back.spec.hidden_count, 2);
    assert_int_equal(back.state.parameters, s.parameters);
    assert_memory_equal(back.state.params, s.params, s.parameters * sizeof *s.params);
    assert_memory_equal(back.state.means, means, sizeof means);
    assert_memory_equal(back.state.stds, stds, sizeof stds);
    assert_memory_equal(back.state.task_hash, hash, 32);
    assert_int_equal(back.state.version, 12);
    assert_string_equal(back.names[1], "share \"quoted\"");
    assert_approx(back.bounds[2].max, 3, 0);
    ft_exported_model_clear(&back);
    ft_model_state_clear(&s);
    ft_buf_clear(&bytes);
}

/* Centroids too, in both formats; a list of other than 2 to 256 of them is refused. */
static void
centroids_come_back_bit_for_bit(void **state)
{
    const struct ft_task task = task_of(FT_MODEL_KMEANS, 3);
    struct ft_model_state s;
    struct ft_exported_model back;
    const struct ft_export model = { &task, &s, promise };
    struct ft_buf bytes = { 0 };
    json_t *root;
    char *text;

    (void)state;
    state_of(&task, &s);
    assert_int_equal(ft_export_safetensors(&model, &bytes, NULL), FT_OK);
    assert_int_equal(ft_export_read_safetensors(ft_buf_bytes(&bytes), &back, NULL), FT_OK);
    assert_int_equal(back.state.parameters, 9);
    assert_memory_equal(back.state.params, s.params, 9 * sizeof *s.params);
    ft_exported_model_clear(&back);
    ft_buf_clear(&bytes);
    assert_int_equal(ft_export_json(&model, &bytes, NULL), FT_OK);
    assert_int_equal(ft_export_read_json(ft_buf_bytes(&bytes), &back, NULL), FT_OK);
    assert_int_equal(back.spec.kind, FT_MODEL_KMEANS);
    assert_int_equal(back.spec.classes, 3);
    assert_memory_equal(back.state.params, s.params, 9 * sizeof *s.params);
    ft_exported_model_clear(&back);
    root = json_loadb((const char *)bytes.data, bytes.size, 0, NULL);
    for (int left = 2; left >= 0; left--) {
        json_array_remove(json_object_get(root, "centroids"), 0);
        text = json_dumps(root, 0);
        assert_int_equal(ft_export_read_json(FT_BYTES(text, strlen(text)), &back, NULL),
                         left >= 2 ? FT_OK : FT_ERR_FORMAT);
        ft_exported_model_clear(&back);
        free(text);
    }
    json_decref(root);
    ft_model_state_clear(&s);
    ft_buf_clear(&bytes);
}

/* Cut anywhere, or with any byte replaced by an x, a JSON export is refused or still a whole model: never a crash. */
static void
damaged_json_is_refused(void **state)
{
    const struct ft_task task = task_of(FT_MODEL_LOGISTIC, 0);
    struct ft_model_state s;
    struct ft_exported_model back;
    const struct ft_export model = { &task, &s, promise };
    struct ft_buf bytes = { 0 };
    size_t refused = 0;

    (void)state;
    state_of(&task, &s);
    assert_int_equal(ft_export_json(&model, &bytes, NULL), FT_OK);
    for (size_t size = 0; size + 2 < bytes.size; size++)
        assert_int_equal(ft_export_read_json(FT_BYTES(bytes.data, size), &back, NULL), FT_ERR_FORMAT);
    for (size_t i = 0; i < bytes.size; i++) {
        const uint8_t keep = bytes.data[i];
        bytes.data[i] = 'x';
        if (ft_export_read_json(ft_buf_bytes(&bytes), &back, NULL) == FT_OK)
            assert_int_equal(back.state.parameters, 4);
        else
            refused++;
        ft_exported_model_clear(&back);
        bytes.data[i] = keep;
    }
    assert_true(refused > bytes.size / 3);
    ft_model_state_clear(&s);
    ft_buf_clear(&bytes);
}

/* A state of another shape than the task's, or no privacy statement: no file. */
static void
what_does_not_fit_the_task_is_not_exported(void **state)
{
    const struct ft_task task = task_of(FT_MODEL_LOGISTIC, 0), other = task_of(FT_MODEL_MLP, 2);
    struct ft_model_state s;
    struct ft_export model = { &other, &s, promise };
    struct ft_buf bytes = { 0 };
    struct ft_error err = { 0 };

    (void)state;
    state_of(&task, &s);
    assert_int_equal(ft_export_json(&model, &bytes, &err), FT_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "4 parameters"));
    assert_int_equal(ft_export_safetensors(&model, &bytes, NULL), FT_ERR_ARGUMENT);
    model = (struct ft_export){ &task, &s, NULL };
    assert_int_equal(ft_export_json(&model, &bytes, NULL), FT_ERR_ARGUMENT);
    assert_int_equal(bytes.size, 0);
    ft_model_state_clear(&s);
    ft_buf_clear(&bytes);
}

int
main(void)
{
    promise = json_pack("{s:s, s:{s:i}}", "text", PRIVACY, "rounds", "train", 12);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_independent_reader_predicts_the_same),
        cmocka_unit_test(json_comes_back_bit_for_bit),
        cmocka_unit_test(centroids_come_back_bit_for_bit),
        cmocka_unit_test(damaged_json_is_refused),
        cmocka_unit_test(what_does_not_fit_the_task_is_not_exported),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    json_decref(promise);
    return failed;
}
