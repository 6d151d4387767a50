#include "client/consent/import.h"
#include "client/consent/consent_internal.h"
#include "client/source/csv.h"
#include "client/source/values.h"
#include "common/base/alloc.h"

#include <stdio.h>
#include <string.h>

enum { CUSTOMER, DECISION, PURPOSE, TIME, NOTICE, OPT_OUT, COLUMNS };

static const struct ft_source_column standard[COLUMNS] = {
    { (char *)"customer_id", (char *)"customer_id" }, { (char *)"decision", (char *)"decision" },
    { (char *)"purpose", (char *)"purpose" },         { (char *)"time", (char *)"time" },
    { (char *)"notice", (char *)"notice" },           { (char *)"opt_out", (char *)"opt_out" },
};

#define DEFAULT_TIME "%Y-%m-%d %H:%M:%S"

struct import {
    struct ft_consent *consent;
    const struct ft_consent_import_config *config;
    struct ft_consent_import_summary *summary;
    uint64_t now_ms;
    struct ft_error *err;
    struct ft_buf ambiguous; /* struct doubt, looked at when every clear row is recorded */
};

/* A row that was not clear: whose, and for which purpose ("": every one). */
struct doubt {
    struct ft_pseudonym customer;
    char purpose[32];
};

static enum ft_status
on_bad(void *ctx, uint64_t line, const char *column, const char *expected)
{
    struct import *im = ctx;
    im->summary->rows++;
    ft_quarantine_add(&im->summary->quarantine, im->config->file, line, column, expected);
    return FT_OK;
}

/* The state a word stands for; UNKNOWN when it is none of the words. */
static enum ft_consent_state
decision_of(const char *word)
{
    static const struct {
        const char *word;
        enum ft_consent_state state;
    } words[] = {
        { "given", FT_CONSENT_GIVEN },
        { "grant", FT_CONSENT_GIVEN },
        { "granted", FT_CONSENT_GIVEN },
        { "yes", FT_CONSENT_GIVEN },
        { "y", FT_CONSENT_GIVEN },
        { "true", FT_CONSENT_GIVEN },
        { "1", FT_CONSENT_GIVEN },
        { "opt-in", FT_CONSENT_GIVEN },
        { "accepted", FT_CONSENT_GIVEN },
        { "refused", FT_CONSENT_REFUSED },
        { "refuse", FT_CONSENT_REFUSED },
        { "no", FT_CONSENT_REFUSED },
        { "n", FT_CONSENT_REFUSED },
        { "false", FT_CONSENT_REFUSED },
        { "0", FT_CONSENT_REFUSED },
        { "opt-out", FT_CONSENT_REFUSED },
        { "declined", FT_CONSENT_REFUSED },
        { "withdrawn", FT_CONSENT_WITHDRAWN },
        { "withdraw", FT_CONSENT_WITHDRAWN },
        { "revoked", FT_CONSENT_WITHDRAWN },
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(words[i].word, word) == 0)
            return words[i].state;
    return FT_CONSENT_UNKNOWN;
}

/* A global opt-out counts unless the field clearly says there is none. */
static bool
opted_out(const char *flag)
{
    return flag[0] != '\0' && strcasecmp(flag, "no") != 0 && strcasecmp(flag, "n") != 0 &&
           strcasecmp(flag, "false") != 0 && strcmp(flag, "0") != 0;
}

static bool
time_of(const struct import *im, const char *text, uint64_t *at_ms)
{
    char iso[20];
    int64_t ms = 0;
    const char *format = im->config->time_format != NULL ? im->config->time_format : DEFAULT_TIME;
    if (!ft_value_time(text, format, iso, &ms) &&
        !(im->config->time_format == NULL && ft_value_time(text, "%Y-%m-%d", iso, &ms)))
        return false;
    if (ms < 0 || (uint64_t)ms > im->now_ms)
        return false;
    *at_ms = (uint64_t)ms;
    return true;
}

static enum ft_status
record(struct import *im, const struct ft_consent_event *event)
{
    enum ft_status st;
    bool added = false;

    FT_TRY(consent_insert(im->consent, event, im->now_ms, &added, im->err));
    if (!added)
        im->summary->unchanged++;
    else if (event->state == FT_CONSENT_GIVEN)
        im->summary->grants++;
    else if (event->state == FT_CONSENT_REFUSED)
        im->summary->refusals++;
    else
        im->summary->withdrawals++;
out:
    return st;
}

/* Call `f` for the event's purpose, or for every one when it is empty. */
static enum ft_status
each_purpose(struct import *im, struct ft_consent_event *event,
             enum ft_status (*f)(struct import *im, const struct ft_consent_event *event))
{
    enum ft_status st = FT_OK;
    if (event->purpose[0] != '\0')
        return f(im, event);
    for (size_t i = 0; st == FT_OK && ft_purpose_at(i, event->purpose); i++)
        st = f(im, event);
    return st;
}

/* What was in doubt has no time of its own: it counts from now, if there is a grant to refuse. */
static enum ft_status
refuse_doubt(struct import *im, const struct ft_consent_event *event)
{
    enum ft_status st;
    enum ft_consent_state state;

    FT_TRY(consent_state(im->consent, &event->customer, event->purpose, im->now_ms, &state, im->err));
    if (state == FT_CONSENT_GIVEN)
        st = record(im, event);
    else
        im->summary->unchanged++;
out:
    return st;
}

static enum ft_status
refuse_doubts(struct import *im)
{
    enum ft_status st = FT_OK;
    struct doubt doubt;
    for (size_t at = 0; st == FT_OK && at < im->ambiguous.size; at += sizeof doubt) {
        struct ft_consent_event event = { .state = FT_CONSENT_REFUSED,
                                          .method = "import",
                                          .at_ms = im->now_ms };
        memcpy(&doubt, im->ambiguous.data + at, sizeof doubt);
        event.customer = doubt.customer;
        memcpy(event.purpose, doubt.purpose, sizeof event.purpose);
        st = each_purpose(im, &event, refuse_doubt);
    }
    return st;
}

static enum ft_status
on_row(void *ctx, uint64_t line, const struct ft_csv_field *f)
{
    struct import *im = ctx;
    struct ft_consent_event event = { .state = decision_of(f[DECISION].text), .method = "import" };
    const char *purpose = im->config->purpose != NULL ? im->config->purpose : f[PURPOSE].text;
    const bool opt_out = opted_out(f[OPT_OUT].text);
    const bool everything = opt_out || strcmp(purpose, "*") == 0 || strcasecmp(purpose, "all") == 0;

    if (f[CUSTOMER].size == 0)
        return on_bad(im, line, "customer_id", "a customer");
    if (!everything && !ft_purpose_known(purpose))
        return on_bad(im, line, "purpose", "a known purpose");
    im->summary->rows++;
    ft_pseudonym_make(consent_key(im->consent), f[CUSTOMER].text, f[CUSTOMER].size, &event.customer);
    if (!everything)
        snprintf(event.purpose, sizeof event.purpose, "%s", purpose);
    if (opt_out && event.state == FT_CONSENT_GIVEN)
        event.state = FT_CONSENT_REFUSED;
    if (event.state == FT_CONSENT_UNKNOWN || f[NOTICE].size > FT_CONSENT_NOTICE_MAX ||
        !time_of(im, f[TIME].text, &event.at_ms) || (everything && event.state == FT_CONSENT_GIVEN)) {
        struct doubt doubt = { .customer = event.customer };
        memcpy(doubt.purpose, event.purpose, sizeof doubt.purpose);
        im->summary->ambiguous++;
        return ft_buf_append(&im->ambiguous, &doubt, sizeof doubt);
    }
    snprintf(event.notice, sizeof event.notice, "%s", f[NOTICE].text);
    return each_purpose(im, &event, record);
}

/* Every standard column with the source column it has here; columns that were not mapped read as empty. */
static enum ft_status
map_columns(const struct ft_consent_import_config *config, struct ft_source_column columns[COLUMNS],
            bool optional[COLUMNS], struct ft_error *err)
{
    for (int k = 0; k < COLUMNS; k++) {
        columns[k] = standard[k];
        optional[k] = k != CUSTOMER && k != DECISION;
    }
    if (config->columns == NULL)
        return FT_OK;
    for (int k = 0; k < COLUMNS; k++) {
        columns[k].source = (char *)""; /* in no header */
        for (size_t i = 0; i < config->column_count; i++)
            if (strcmp(config->columns[i].name, standard[k].name) == 0)
                columns[k].source = config->columns[i].source;
        if (columns[k].source[0] != '\0')
            optional[k] = false; /* who maps it means it */
        else if (!optional[k])
            return ft_fail(err, FT_ERR_CONFIG, "consent import: column %s must be mapped", standard[k].name);
    }
    for (size_t i = 0; i < config->column_count; i++) {
        bool known = false;
        for (int k = 0; k < COLUMNS; k++)
            known = known || strcmp(config->columns[i].name, standard[k].name) == 0;
        if (!known)
            return ft_fail(err, FT_ERR_CONFIG, "consent import: unknown column %.48s",
                           config->columns[i].name);
    }
    return FT_OK;
}

static enum ft_status
check_quarantine(const struct ft_consent_import_summary *summary, double ratio_max, struct ft_error *err)
{
    char first[300];
    const uint64_t bad = summary->quarantine.count;
    if (bad == 0 || (double)bad <= ratio_max * (double)summary->rows)
        return FT_OK;
    ft_quarantine_sentence(&summary->quarantine, 3, first, sizeof first);
    return ft_fail(err, FT_ERR_FORMAT,
                   "%llu of %llu rows rejected, at most %g %% allowed; nothing was imported. %s",
                   (unsigned long long)bad, (unsigned long long)summary->rows, ratio_max * 100, first);
}

enum ft_status
ft_consent_import(struct ft_consent *consent, const struct ft_consent_import_config *config, uint64_t now_ms,
                  bool (*confirm)(void *ctx, const struct ft_consent_import_summary *summary), void *ctx,
                  struct ft_consent_import_summary *summary, struct ft_error *err)
{
    enum ft_status st;
    struct ft_source_column columns[COLUMNS];
    bool optional[COLUMNS], writing = false;
    char *path = NULL;
    struct import im = { consent, config, summary, now_ms, err, { 0 } };
    const struct ft_csv_sink sink = { on_row, on_bad, &im };
    struct ft_csv_spec spec = { .delimiter = config->delimiter ? config->delimiter : ',',
                                .encoding = config->encoding,
                                .columns = columns,
                                .column_count = COLUMNS,
                                .optional = optional };

    *summary = (struct ft_consent_import_summary){ 0 };
    if (config->purpose != NULL && !ft_purpose_known(config->purpose)) {
        st = ft_fail(err, FT_ERR_CONFIG, "consent import: unknown purpose");
        goto out;
    }
    FT_TRY(map_columns(config, columns, optional, err));
    path = config->file[0] == '/' || config->base_dir == NULL
               ? ft_strdup(config->file)
               : ft_asprintf("%s/%s", config->base_dir, config->file);
    if (path == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    FT_TRY(consent_begin(consent, err));
    writing = true;
    FT_TRY(ft_csv_read(path, &spec, &sink, NULL, err));
    FT_TRY(refuse_doubts(&im));
    FT_TRY(check_quarantine(summary, config->max_reject_ratio, err));
    if (confirm != NULL && !confirm(ctx, summary)) {
        st = ft_fail(err, FT_ERR_CANCELLED, "nothing was imported");
        goto out;
    }
    writing = false;
    st = consent_commit(consent, err);
    if (st != FT_OK)
        consent_rollback(consent);
out:
    if (writing)
        consent_rollback(consent);
    ft_buf_clear(&im.ambiguous);
    ft_free(path);
    return st;
}
