/* One shop's consent file: a line for each decision of its customers with a card, by number. */
#include "aggregator/simulate/retail/retail_internal.h"
#include "common/base/alloc.h"
#include "common/base/date.h"
#include "common/base/file.h"

#include <stdlib.h>

#define PURPOSE "train/propensity"
#define NOTICE  "1"

struct decision {
    uint32_t id;
    uint8_t decision;
};

static int
by_id(const void *a, const void *b)
{
    const uint32_t x = ((const struct decision *)a)->id, y = ((const struct decision *)b)->id;
    return x < y ? -1 : x > y;
}

static void
add(const struct retail_world *w, uint32_t customer, struct decision *list, size_t *count)
{
    const struct retail_customer *c = &w->customers[customer];
    if (c->card && c->decision != RETAIL_UNASKED)
        list[(*count)++] = (struct decision){ retail_customer_id(w, customer), c->decision };
}

enum ft_status
retail_consent_write(const struct retail_world *w, uint32_t store, const char *dir, struct ft_error *err)
{
    const struct retail_store *s = &w->stores[store];
    const uint32_t first_guest = w->guest_first[store], guests = w->guest_first[store + 1] - first_guest;
    struct decision *list = ft_calloc((size_t)s->customers + guests, sizeof *list);
    char *path = ft_asprintf("%s/consent/store-%04u.csv", dir, store + 1), first[11], middle[11];
    struct ft_buf file = { 0 };
    size_t count = 0;
    enum ft_status st = FT_ERR_NOMEM;

    if (list == NULL || path == NULL)
        goto out;
    for (uint32_t i = 0; i < s->customers; i++)
        add(w, s->first + i, list, &count);
    for (uint32_t i = 0; i < guests; i++)
        add(w, w->guests[first_guest + i], list, &count);
    qsort(list, count, sizeof *list, by_id);
    (void)ft_date_format(first, w->s->start);
    (void)ft_date_format(middle, w->s->start + 7 * (int64_t)w->s->weeks / 2);
    FT_TRY(ft_buf_str(&file, "customer_id,purpose,decision,time,notice\n"));
    for (size_t i = 0; i < count; i++) {
        const bool refused = list[i].decision == RETAIL_REFUSED;
        FT_TRY(ft_buf_printf(&file, "%u," PURPOSE ",%s,%s 00:00:00," NOTICE "\n", list[i].id,
                             refused ? "refused" : "given", first));
        if (list[i].decision == RETAIL_WITHDRAWN)
            FT_TRY(ft_buf_printf(&file, "%u," PURPOSE ",withdrawn,%s 00:00:00," NOTICE "\n", list[i].id,
                                 middle));
    }
    st = ft_file_write(path, ft_buf_bytes(&file), 0644, err);
out:
    ft_buf_clear(&file);
    ft_free(list);
    ft_free(path);
    return st;
}
