#include "common/task/task_internal.h"

#include <string.h>

static const char *const verbs[] = { "train", "score", "measure", "synthesise" };
static const char *const areas[] = { "segmentation", "propensity", "demand", "personalisation" };

bool
ft_purpose_valid(const char *purpose)
{
    const char *slash = strchr(purpose, '/');
    bool verb = false, area = false;

    if (slash == NULL)
        return false;
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        verb |= strlen(verbs[i]) == (size_t)(slash - purpose) &&
                memcmp(verbs[i], purpose, (size_t)(slash - purpose)) == 0;
    for (size_t i = 0; i < sizeof areas / sizeof areas[0]; i++)
        area |= strcmp(areas[i], slash + 1) == 0;
    return verb && area;
}

const char *
ft_config_is_purpose(const char *text)
{
    return ft_purpose_valid(text)
               ? NULL
               : "train, score, measure or synthesise, a slash, and segmentation, propensity, "
                 "demand or personalisation";
}
