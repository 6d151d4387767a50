#include "client/consent/consent.h"

#include <stdio.h>
#include <string.h>

static const char *const verbs[] = { "train", "score", "measure", "synthesise" };
static const char *const areas[] = { "segmentation", "propensity", "demand", "personalisation" };

bool
ft_purpose_known(const char *purpose)
{
    char name[48];
    for (size_t v = 0; v < sizeof verbs / sizeof verbs[0]; v++) {
        for (size_t a = 0; a < sizeof areas / sizeof areas[0]; a++) {
            snprintf(name, sizeof name, "%s/%s", verbs[v], areas[a]);
            if (strcmp(name, purpose) == 0)
                return true;
        }
    }
    return false;
}

bool
ft_purpose_at(size_t index, char out[32])
{
    const size_t areas_count = sizeof areas / sizeof areas[0];
    if (index >= areas_count * (sizeof verbs / sizeof verbs[0]))
        return false;
    snprintf(out, 32, "%s/%s", verbs[index / areas_count], areas[index % areas_count]);
    return true;
}

const char *
ft_consent_state_name(enum ft_consent_state state)
{
    switch (state) {
    case FT_CONSENT_GIVEN:
        return "given";
    case FT_CONSENT_REFUSED:
        return "refused";
    case FT_CONSENT_WITHDRAWN:
        return "withdrawn";
    case FT_CONSENT_EXPIRED:
        return "expired";
    case FT_CONSENT_UNKNOWN:
        break;
    }
    return "unknown";
}
