/* What fedtill-verify is handed: any bytes, as a release, a statement and a report. */
#include "aggregator/verify/verify.h"

#include <jansson.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int kind = FT_VERIFY_RELEASE; kind <= FT_VERIFY_REPORT; kind++) {
        struct ft_error err = { 0 };
        json_t *statement = NULL;
        const enum ft_status st = ft_verify(FT_BYTES(data, size), (enum ft_verify_kind)kind, NULL, &statement, &err);
        if ((st == FT_OK) != (statement != NULL))
            abort();
        json_decref(statement);
    }
    return 0;
}
