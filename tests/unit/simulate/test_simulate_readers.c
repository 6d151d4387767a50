#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregator/simulate/data/readers.h"
#include "aggregator/simulate/partition/partition.h"
#include "common/base/alloc.h"
#include "common/base/file.h"
#include "tests/support/approx.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

static char folder[64];

static char *
put(const char *name, const void *data, size_t size)
{
    char *path = ft_asprintf("%s/%s", folder, name);
    assert_int_equal(ft_file_write(path, FT_BYTES(data, size), 0644, NULL), FT_OK);
    return path;
}

static char *
put_text(const char *name, const char *text)
{
    return put(name, text, strlen(text));
}

static int
make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/test_simulate_readers.XXXXXX");
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int
remove_folder(void **state)
{
    char command[128];
    (void)state;
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

/* Expects `status` and "FOLDER/message". */
static void
refuses(const struct ft_sim_data_config *c, enum ft_status status, const char *message)
{
    struct ft_sim_data data;
    struct ft_error err = { 0 };
    const size_t live = ft_alloc_live();
    const enum ft_status st = ft_sim_data_open(c, 1, &data, &err);
    const size_t head = strlen(folder);
    const char *text = strncmp(err.text, folder, head) == 0 ? err.text + head + 1 : err.text;
    if (strncmp(text, message, strlen(message)) != 0)
        fail_msg("\"%s\" does not begin with \"%s\"", text, message);
    assert_int_equal(st, status);
    assert_null(data.train.x);
    assert_int_equal(ft_alloc_live(), live);
}

static void
opens(const struct ft_sim_data_config *c, uint64_t seed, struct ft_sim_data *data)
{
    struct ft_error err = { 0 };
    if (ft_sim_data_open(c, seed, data, &err) != FT_OK)
        fail_msg("%s", err.text);
}

static void
has_row(const struct ft_sim_part *part, uint64_t row, uint32_t features, const float *x, float y)
{
    for (uint32_t k = 0; k < features; k++)
        assert_approx((double)part->x[row * features + k], (double)x[k], 1e-7);
    assert_approx((double)part->y[row], (double)y, 0);
}

/* ---- LIBSVM ---- */

/* Sparse rows, comments, empty lines, CRLF, exponents; labels -1 and 1; the widest index of either file
 * counts. */
static void
libsvm_rows_are_read(void **state)
{
    char *train = put_text("train.svm", "# a comment\n-1 1:0.5 3:-2e1\n\n+1 2:7\r\n1\n-1 3:1 # behind\n");
    char *test = put_text("test.svm", "1 4:1");
    const struct ft_sim_data_config c = { .source = FT_SIM_LIBSVM, .train = train, .test = test };
    struct ft_sim_data d;
    (void)state;
    opens(&c, 1, &d);
    assert_int_equal(d.features, 4);
    assert_int_equal(d.classes, 2);
    assert_int_equal(d.train.rows, 4);
    has_row(&d.train, 0, 4, (const float[]){ 0.5f, 0, -20, 0 }, 0);
    has_row(&d.train, 1, 4, (const float[]){ 0, 7, 0, 0 }, 1);
    has_row(&d.train, 2, 4, (const float[]){ 0, 0, 0, 0 }, 1);
    has_row(&d.train, 3, 4, (const float[]){ 0, 0, 1, 0 }, 0);
    assert_int_equal(d.test.rows, 1);
    has_row(&d.test, 0, 4, (const float[]){ 0, 0, 0, 1 }, 1);
    ft_sim_data_clear(&d);
    ft_free(train);
    ft_free(test);
}

/* Classes from 1 become classes from 0, in test rows that lack the first one too; classes from 0 stay. */
static void
libsvm_test_rows_number_classes_as_train_rows(void **state)
{
    char *from_one = put_text("a.svm", "1 1:1\n2 1:1\n3 1:1\n"),
         *from_zero = put_text("b.svm", "0 1:1\n1 1:1\n2 1:1\n");
    char *test = put_text("c.svm", "2 1:1\n1 1:1\n");
    struct ft_sim_data_config c = { .source = FT_SIM_LIBSVM, .train = from_one, .test = test, .classes = 3 };
    struct ft_sim_data d;
    (void)state;
    opens(&c, 1, &d);
    assert_approx((double)d.train.y[0], 0, 0);
    assert_approx((double)d.train.y[2], 2, 0);
    assert_approx((double)d.test.y[0], 1, 0);
    ft_sim_data_clear(&d);
    c.train = from_zero;
    opens(&c, 1, &d);
    assert_approx((double)d.train.y[2], 2, 0);
    assert_approx((double)d.test.y[0], 2, 0);
    assert_approx((double)d.test.y[1], 1, 0);
    ft_sim_data_clear(&d);
    ft_free(from_one);
    ft_free(from_zero);
    ft_free(test);
}

/* Each fault of a line is told with file, line, what was found and what was expected. */
static void
libsvm_faults_name_their_line(void **state)
{
    static const struct {
        const char *text, *message;
        uint32_t classes, features;
    } faults[] = {
        { "1 1:1\nx 1:2\n", "f.svm:2: a label that is no number, expected a number", 0, 0 },
        { "1 1:1\n\n2 1:2\n",
          "f.svm:3: a label out of range, expected -1, 0 or 1, or data.classes in the experiment", 0, 0 },
        { "0 1:1\n3 1:2\n", "f.svm:2: a label out of range, expected a class from 0 to 2", 3, 0 },
        { "1 1:1\n4 1:2\n", "f.svm:2: a label out of range, expected a class from 1 to 3", 3, 0 },
        { "0 1:1\n0.5 1:2\n", "f.svm:2: a label out of range, expected a class from 0 to 2", 3, 0 },
        { "1 1:1\n1 5\n", "f.svm:2: a value without its index, expected index:value", 0, 0 },
        { "1 1:1\n1 1:nan\n", "f.svm:2: a value that is no finite number, expected index:value", 0, 0 },
        { "1 1:1\n1 1:1e999\n", "f.svm:2: a value that is no finite number, expected index:value", 0, 0 },
        { "1 1:1\n1 1:1e39\n", "f.svm:2: a value that is no finite number, expected index:value", 0, 0 },
        { "1 1:1\n1 0:1\n", "f.svm:2: an index out of range, expected 1 to 16384", 0, 0 },
        { "1 1:1\n1 16385:1\n", "f.svm:2: an index out of range, expected 1 to 16384", 0, 0 },
        { "1 1:1\n1 3:1\n", "f.svm:2: an index out of range, expected 1 to data.features", 0, 2 },
        { "1 1:1\n1 2:1 2:1\n", "f.svm:2: indices that do not ascend, expected each index once, ascending", 0,
          0 },
        { "", "f.svm: no row has a feature", 0, 0 },
        { "# nothing\n", "f.svm: no row, expected `label index:value ...` lines", 0, 2 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        char *path = put_text("f.svm", faults[i].text);
        const struct ft_sim_data_config c = { .source = FT_SIM_LIBSVM,
                                              .train = path,
                                              .test_share = 0.5,
                                              .classes = faults[i].classes,
                                              .features = faults[i].features };
        refuses(&c, FT_ERR_FORMAT, faults[i].message);
        ft_free(path);
    }
}

/* A file that is not there is 66, by name. */
static void
missing_files_are_named(void **state)
{
    char none[] = "/tmp/there-is-no-such-file";
    const struct ft_sim_data_config libsvm = { .source = FT_SIM_LIBSVM, .train = none, .test_share = 0.5 };
    const struct ft_sim_data_config csv = {
        .source = FT_SIM_CSV, .train = none, .label = none, .test_share = 0.5
    };
    const struct ft_sim_data_config idx = { .source = FT_SIM_IDX, .folder = none };
    (void)state;
    refuses(&libsvm, FT_ERR_NOTFOUND, "/tmp/there-is-no-such-file");
    refuses(&csv, FT_ERR_NOTFOUND, "/tmp/there-is-no-such-file: No such file or directory");
    refuses(&idx, FT_ERR_NOTFOUND,
            "/tmp/there-is-no-such-file/train-images-idx3-ubyte: there is no such file, nor one with .gz "
            "behind it");
}

/* Half of 1,000 rows set aside: disjoint, complete, order kept, the seed decides which. */
static void
a_share_is_set_aside_by_the_seed(void **state)
{
    struct ft_buf text = { 0 };
    struct ft_sim_data a, b, other;
    size_t train = 0, test = 0, same = 0;
    char *path;
    (void)state;
    for (int i = 1; i <= 1000; i++) {
        char line[64];
        (void)snprintf(line, sizeof line, "1 1:%d\n", i);
        assert_int_equal(ft_buf_append(&text, line, strlen(line)), FT_OK);
    }
    path = put("share.svm", text.data, text.size);
    const struct ft_sim_data_config c = { .source = FT_SIM_LIBSVM, .train = path, .test_share = 0.5 };
    opens(&c, 1, &a);
    opens(&c, 1, &b);
    opens(&c, 2, &other);
    assert_int_equal(a.train.rows, 500);
    assert_int_equal(a.test.rows, 500);
    for (int i = 1; i <= 1000; i++) { /* each row is next in one of the two */
        if (train < 500 && a.train.x[train] == (float)i)
            train++;
        else if (test < 500 && a.test.x[test] == (float)i)
            test++;
    }
    assert_int_equal(train + test, 1000);
    assert_memory_equal(a.train.x, b.train.x, 500 * sizeof(float));
    for (size_t i = 0; i < 500; i++)
        same += a.train.x[i] == other.train.x[i];
    assert_true(same < 100);
    ft_sim_data_clear(&a);
    ft_sim_data_clear(&b);
    ft_sim_data_clear(&other);
    ft_buf_clear(&text);
    ft_free(path);
}

/* ---- IDX ---- */

static void
be32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

enum { IMAGES = 16 + 3 * 4, LABELS = 8 + 3 };

/* Three images of 2 x 2: values 0, 51, ..., and labels 0, 9, 4. */
static void
make_idx(uint8_t images[IMAGES], uint8_t labels[LABELS])
{
    static const uint8_t classes[3] = { 0, 9, 4 };
    be32(images, 0x803);
    be32(images + 4, 3);
    be32(images + 8, 2);
    be32(images + 12, 2);
    for (int i = 0; i < 12; i++)
        images[16 + i] = (uint8_t)(i * 51 % 256);
    be32(labels, 0x801);
    be32(labels + 4, 3);
    memcpy(labels + 8, classes, 3);
}

static void
put_gz(const char *name, const uint8_t *data, size_t size, size_t keep)
{
    char *path = ft_asprintf("%s/%s", folder, name);
    gzFile f = gzopen(path, "wb");
    assert_int_equal(gzwrite(f, data, (unsigned)size), size);
    assert_int_equal(gzclose(f), Z_OK);
    if (keep > 0)
        assert_int_equal(truncate(path, (off_t)keep), 0);
    ft_free(path);
}

static void
put_idx(const uint8_t *images, size_t image_size, const uint8_t *labels, size_t label_size)
{
    ft_free(put("train-images-idx3-ubyte", images, image_size));
    ft_free(put("train-labels-idx1-ubyte", labels, label_size));
}

/* Plain train files and compressed test files; values over 255, as many classes as the largest label says. */
static void
idx_files_are_read_plain_and_compressed(void **state)
{
    uint8_t images[IMAGES], labels[LABELS];
    const struct ft_sim_data_config c = { .source = FT_SIM_IDX, .folder = folder };
    struct ft_sim_data d;
    (void)state;
    make_idx(images, labels);
    put_idx(images, IMAGES, labels, LABELS);
    put_gz("t10k-images-idx3-ubyte.gz", images, IMAGES, 0);
    put_gz("t10k-labels-idx1-ubyte.gz", labels, LABELS, 0);
    opens(&c, 1, &d);
    assert_int_equal(d.features, 4);
    assert_int_equal(d.classes, 10);
    assert_int_equal(d.train.rows, 3);
    has_row(&d.train, 0, 4, (const float[]){ 0, 0.2f, 0.4f, 0.6f }, 0);
    has_row(&d.train, 1, 4, (const float[]){ 0.8f, 1, 50 / 255.0f, 101 / 255.0f }, 9);
    has_row(&d.test, 1, 4, (const float[]){ 0.8f, 1, 50 / 255.0f, 101 / 255.0f }, 9);
    assert_approx((double)d.test.y[2], 4, 0);
    ft_sim_data_clear(&d);
}

/* Wrong magic, sizes that do not add up, files that are cut, labels that the train rows do not have. */
static void
idx_faults_name_file_and_byte(void **state)
{
    uint8_t images[IMAGES], labels[LABELS];
    const struct ft_sim_data_config c = { .source = FT_SIM_IDX, .folder = folder };
    (void)state;
    make_idx(images, labels);
    put_idx(labels, LABELS, labels, LABELS);
    refuses(&c, FT_ERR_FORMAT, "train-images-idx3-ubyte: 11 bytes, expected at least a header of 16");
    put_idx(images, IMAGES, images, IMAGES);
    refuses(
        &c, FT_ERR_FORMAT,
        "train-labels-idx1-ubyte: at byte 0 the magic number is 0x00000803, expected 0x00000801 (labels)");
    put_idx(images, IMAGES - 1, labels, LABELS);
    refuses(&c, FT_ERR_FORMAT,
            "train-images-idx3-ubyte: 11 bytes behind the header, expected 12 (3 times 4)");
    be32(images + 8, 0);
    put_idx(images, IMAGES, labels, LABELS);
    refuses(&c, FT_ERR_FORMAT, "train-images-idx3-ubyte: 0 values an image, expected 1 to 16384");
    be32(images + 8, UINT32_MAX);
    put_idx(images, IMAGES, labels, LABELS);
    refuses(&c, FT_ERR_FORMAT, "train-images-idx3-ubyte: 8589934590 values an image, expected 1 to 16384");
    make_idx(images, labels);
    be32(labels + 4, 2);
    put_idx(images, IMAGES, labels, LABELS - 1);
    refuses(&c, FT_ERR_FORMAT, "train-labels-idx1-ubyte: 2 labels, expected 3 as there are images");
    make_idx(images, labels);
    put_idx(images, IMAGES, labels, LABELS);
    labels[9] = 10;
    put_gz("t10k-labels-idx1-ubyte.gz", labels, LABELS, 0);
    refuses(&c, FT_ERR_FORMAT,
            "t10k-labels-idx1-ubyte: at byte 9 the label 10, expected 0 to 9 as the train labels are");
    put_gz("t10k-labels-idx1-ubyte.gz", labels, LABELS, 20);
    refuses(&c, FT_ERR_FORMAT, "t10k-labels-idx1-ubyte.gz: the compressed file is damaged or cut after ");
}

/* ---- CSV ---- */

/* Numbers are features, texts one feature a value in byte order; blanks around values, quotes and an empty
 * number are read; Adult's full stop behind a test label; whose row each is. */
static void
csv_rows_are_read(void **state)
{
    char *train = put_text("train.csv", "\xef\xbb\xbf"
                                        "age,\"job, title\",shop,pay\n"
                                        "39, cook,b,<=50K\n\"1e1\",\"a \"\"b\"\"\",a,>50K\n,cook,b,>50K\n");
    char *test = put_text("test.csv", "shop,pay,age,\"job, title\"\na,>50K.,5,painter\n");
    char label[] = "pay", by[] = "shop", positive[] = ">50K";
    const struct ft_sim_data_config c = {
        .source = FT_SIM_CSV, .train = train, .test = test, .label = label, .by = by, .positive = positive
    };
    struct ft_sim_data d;
    (void)state;
    opens(&c, 1, &d);
    assert_int_equal(d.features, 3); /* age; a "b"; cook */
    assert_int_equal(d.classes, 2);
    has_row(&d.train, 0, 3, (const float[]){ 39, 0, 1 }, 0);
    has_row(&d.train, 1, 3, (const float[]){ 10, 1, 0 }, 1);
    has_row(&d.train, 2, 3, (const float[]){ 0, 0, 1 }, 1);
    has_row(&d.test, 0, 3, (const float[]){ 5, 0, 0 }, 1);
    assert_int_equal(d.owners, 2);
    assert_string_equal(d.owner_names[0], "a");
    assert_int_equal(d.owner[0], 1);
    assert_int_equal(d.owner[1], 0);
    ft_sim_data_clear(&d);
    ft_free(train);
    ft_free(test);
}

/* Every feature of the train rows to mean 0 and deviation 1, the test rows by the same numbers; a constant to
 * 0. */
static void
features_are_standardised_by_the_train_rows(void **state)
{
    char *train = put_text("s.csv", "x,c,y\n1,5,0\n3,5,1\n"), *test = put_text("t.csv", "x,c,y\n4,6,0\n");
    char label[] = "y";
    const struct ft_sim_data_config c = {
        .source = FT_SIM_CSV, .train = train, .test = test, .label = label, .standardise = true
    };
    struct ft_sim_data d;
    (void)state;
    opens(&c, 1, &d);
    assert_int_equal(d.classes, 0);
    has_row(&d.train, 0, 2, (const float[]){ -1, 0 }, 0);
    has_row(&d.train, 1, 2, (const float[]){ 1, 0 }, 1);
    has_row(&d.test, 0, 2, (const float[]){ 2, 0 }, 0);
    ft_sim_data_clear(&d);
    ft_free(train);
    ft_free(test);
}

/* As many clients as customers who are left after a share was set aside: each has one, with its rows; one client more is
 * refused. */
static void
csv_customers_set_aside_are_dealt_to_nobody(void **state)
{
    enum { PEOPLE = 40, LEFT = 32, EACH = 5 };
    struct ft_buf text = { 0 };
    char label[] = "y", customer[] = "who", *path;
    struct ft_sim_clients clients;
    struct ft_error err = { 0 };
    struct ft_sim_data d;
    (void)state;
    assert_int_equal(ft_buf_str(&text, "who,x,y\n"), FT_OK);
    for (uint32_t i = 0; i < EACH * PEOPLE; i++)
        assert_int_equal(ft_buf_printf(&text, "c%u,%u,%u\n", i % PEOPLE, i, i % 2), FT_OK);
    assert_int_equal(ft_buf_u8(&text, 0), FT_OK);
    path = put_text("aside.csv", (const char *)text.data);
    const struct ft_sim_data_config c = { .source = FT_SIM_CSV, .train = path, .label = label, .customer = customer,
                                          .test_share = 0.2, .classes = 2 };
    struct ft_sim_partition_config p = { .kind = FT_SIM_IID, .clients = LEFT };
    opens(&c, 5, &d);
    assert_int_equal(d.test.rows, EACH * (PEOPLE - LEFT));
    assert_int_equal(ft_sim_partition(&p, 1, &d, &clients, &err), FT_OK);
    for (uint32_t k = 0; k < LEFT; k++)
        assert_int_equal(clients.offsets[k + 1] - clients.offsets[k], EACH);
    ft_sim_clients_clear(&clients);
    ft_sim_data_clear(&d);
    opens(&c, 5, &d);
    p.clients = LEFT + 1;
    assert_int_equal(ft_sim_partition(&p, 1, &d, &clients, &err), FT_ERR_CONFIG);
    assert_string_equal(err.text, "partition: 33 clients of 32 customers, expected 1 to that number");
    ft_sim_data_clear(&d);
    ft_buf_clear(&text);
    ft_free(path);
}

/* Whose each row is: told by the name without blanks, whatever its length, and no feature; a share set aside takes customers
 * with all their rows, the rows that stay keep theirs, and the customers who stay are numbered from 0 on. */
static void
csv_customers_are_known_and_stay_whole(void **state)
{
    enum { PEOPLE = 40, ROWS = 400 };
    struct ft_buf text = { 0 };
    char label[] = "y", customer[] = "who", *path, *again;
    uint32_t numbers[PEOPLE], aside = 0, left = 0;
    struct ft_sim_data d;
    (void)state;
    memset(numbers, 0xff, sizeof numbers);
    assert_int_equal(ft_buf_str(&text, "who,x,y\n"), FT_OK);
    for (uint32_t i = 0; i < ROWS; i++) /* x says who */
        assert_int_equal(ft_buf_printf(&text, "%s%0300u ,%u,%u\n", i % 3 == 0 ? "  " : "", i * i % PEOPLE, i * i % PEOPLE, i % 2), FT_OK);
    assert_int_equal(ft_buf_u8(&text, 0), FT_OK);
    path = put_text("who.csv", (const char *)text.data);
    const struct ft_sim_data_config c = { .source = FT_SIM_CSV, .train = path, .label = label, .customer = customer,
                                          .test_share = 0.3, .classes = 2 };
    opens(&c, 5, &d);
    assert_int_equal(d.features, 1);
    assert_int_equal(d.train.rows + d.test.rows, ROWS);
    for (uint64_t i = 0; i < d.train.rows; i++) {
        uint32_t *number = &numbers[(uint32_t)d.train.x[i]];
        assert_true(*number == UINT32_MAX || *number == d.customer[i]);
        *number = d.customer[i];
        assert_true(d.customer[i] < d.customers);
    }
    for (uint32_t a = 0; a < PEOPLE; a++) {
        left += numbers[a] != UINT32_MAX;
        for (uint32_t b = 0; b < a; b++)
            assert_true(numbers[a] == UINT32_MAX || numbers[a] != numbers[b]);
    }
    assert_int_equal(d.customers, left);
    for (uint64_t i = 0; i < d.test.rows; i++) {
        assert_true(numbers[(uint32_t)d.test.x[i]] == UINT32_MAX);
        aside += d.test.x[i] != d.test.x[0];
    }
    assert_true(aside > 0);
    ft_sim_data_clear(&d);
    again = put_text("who.csv", "who,x,y\na,1,0\n ,2,1\n");
    refuses(&c, FT_ERR_FORMAT, "who.csv:3: column who, expected the name of a customer");
    ft_free(again);
    again = put_text("who.csv", "x,y\n1,0\n");
    refuses(&c, FT_ERR_FORMAT, "who.csv:1: no column who");
    const struct ft_sim_data_config same = { .source = FT_SIM_CSV, .train = path, .label = label, .customer = label };
    refuses(&same, FT_ERR_CONFIG, "who.csv:1: column y is the label, expected another one for data.customer");
    ft_buf_clear(&text);
    ft_free(again);
    ft_free(path);
}

static void
csv_faults_name_line_and_column(void **state)
{
    static const struct {
        const char *text, *message;
        uint32_t classes;
    } faults[] = {
        { "", "f.csv:1: no header", 0 },
        { "a,b\n1,2\n", "f.csv:1: no column y", 0 },
        { "a,y\n1,2\n", "f.csv:1: no column shop", 0 },
        { "a,a,y,shop\n", "f.csv:1: column a is there twice", 0 },
        { "a,,y,shop\n", "f.csv:1: column 2 has no name", 0 },
        { "a,y,shop\n", "f.csv: 0 rows of 1 features", 0 },
        { "y,shop\n1,2\n", "f.csv: 1 rows of 0 features", 0 },
        { "a,y,shop\n1,1,s\n1,yes,s\n",
          "f.csv:3: column y, expected a number, or data.positive in the experiment", 0 },
        { "a,y,shop\n1,1,s\n1,3,s\n", "f.csv:3: column y, expected a class from 0 to 2", 3 },
        { "a,y,shop\n1,1,s\n1,1.5,s\n", "f.csv:3: column y, expected a class from 0 to 2", 3 },
        { "a,y,shop\n1,1,s\n1,1e30,s\n", "f.csv:3: column y, expected a class from 0 to 2", 3 },
        { "a,y,shop\n1,1,s\n1,1\n", "f.csv:3: column (all), expected", 0 },
        { "a,y,shop\n1,1,s\n1e40,1,s\n", "f.csv:3: column a, expected a number that a float32 holds", 0 },
        { "a,y,shop\n1,1,s\n1,1e40,s\n", "f.csv:3: column y, expected a number that a float32 holds", 0 },
    };
    char label[] = "y", by[] = "shop";
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        char *path = put_text("f.csv", faults[i].text);
        const struct ft_sim_data_config c = { .source = FT_SIM_CSV,
                                              .train = path,
                                              .label = label,
                                              .by = by,
                                              .test_share = 0.5,
                                              .classes = faults[i].classes };
        refuses(&c, FT_ERR_FORMAT, faults[i].message);
        ft_free(path);
    }
}

/* A column that was all numbers in the train rows takes no text in the test rows. */
static void
csv_test_rows_are_like_the_train_rows(void **state)
{
    char *train = put_text("g.csv", "a,y\n1,1\n"), *test = put_text("h.csv", "a,y\nx,1\n");
    char label[] = "y";
    const struct ft_sim_data_config c = {
        .source = FT_SIM_CSV, .train = train, .test = test, .label = label
    };
    (void)state;
    refuses(&c, FT_ERR_FORMAT, "h.csv:2: column a, expected a number, as in the train rows");
    ft_free(train);
    ft_free(test);
}

/* ---- synthetic rows ---- */

/* The bytes are pinned: they are the same on every machine. Pixels lie in [0, 1], most are background. */
static void
synthetic_rows_are_the_same_everywhere(void **state)
{
    const struct ft_sim_data_config images = {
        .source = FT_SIM_SYNTHETIC, .classes = 10, .rows = 50, .test_rows = 5
    };
    const struct ft_sim_data_config lines = {
        .source = FT_SIM_SYNTHETIC, .classes = 2, .features = 7, .rows = 50, .test_rows = 5
    };
    uint8_t hash[32];
    char hex[65];
    struct ft_sim_data d;
    size_t ink = 0;
    (void)state;
    opens(&images, 1, &d);
    assert_int_equal(d.features, 784);
    for (size_t i = 0; i < 50 * 784; i++) {
        assert_true(d.train.x[i] >= 0 && d.train.x[i] <= 1);
        ink += d.train.x[i] > 0.5f;
    }
    assert_in_range(ink, 50 * 784 / 50, 50 * 784 / 4);
    (void)crypto_generichash(hash, 32, (const uint8_t *)d.train.x, 50 * 784 * sizeof(float), NULL, 0);
    assert_string_equal(ft_hex(hex, hash, 32),
                        "ec16afaa96cb80df09bd3883042f9885f4e97bdb37b1138ffec894d3f628866b");
    ft_sim_data_clear(&d);
    opens(&lines, 1, &d);
    (void)crypto_generichash(hash, 32, (const uint8_t *)d.train.x, 50 * 7 * sizeof(float), NULL, 0);
    assert_string_equal(ft_hex(hex, hash, 32),
                        "0583e7fef3260187069bed05048f4949641dc982bdff0306fe5796565316e39f");
    ft_sim_data_clear(&d);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(libsvm_rows_are_read),
        cmocka_unit_test(libsvm_test_rows_number_classes_as_train_rows),
        cmocka_unit_test(libsvm_faults_name_their_line),
        cmocka_unit_test(missing_files_are_named),
        cmocka_unit_test(a_share_is_set_aside_by_the_seed),
        cmocka_unit_test(idx_files_are_read_plain_and_compressed),
        cmocka_unit_test(idx_faults_name_file_and_byte),
        cmocka_unit_test(csv_rows_are_read),
        cmocka_unit_test(features_are_standardised_by_the_train_rows),
        cmocka_unit_test(csv_customers_are_known_and_stay_whole),
        cmocka_unit_test(csv_customers_set_aside_are_dealt_to_nobody),
        cmocka_unit_test(csv_faults_name_line_and_column),
        cmocka_unit_test(csv_test_rows_are_like_the_train_rows),
        cmocka_unit_test(synthetic_rows_are_the_same_everywhere),
    };
    return sodium_init() < 0
               ? 1
               : cmocka_run_group_tests_name("simulate_readers", tests, make_folder, remove_folder);
}
