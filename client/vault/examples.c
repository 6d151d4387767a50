#include "client/vault/examples.h"
#include "common/base/alloc.h"

#include <sodium.h>

static void
wipe_free(float *values, size_t count)
{
    if (values != NULL)
        sodium_memzero(values, count * sizeof *values);
    ft_free(values);
}

void
ft_examples_clear(struct ft_examples *examples)
{
    wipe_free(examples->x_train, examples->rows_train * examples->feature_count);
    wipe_free(examples->y_train, examples->rows_train);
    wipe_free(examples->x_test, examples->rows_test * examples->feature_count);
    wipe_free(examples->y_test, examples->rows_test);
    ft_free(examples->customer_train);
    ft_free(examples->customer_test);
    *examples = (struct ft_examples){ 0 };
}
