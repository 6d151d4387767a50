/*
 * Phases: when each is left, and what is fixed on the way (section 7's table). A set is chosen once
 * (`chosen`), then stored, then acted on; a store or an allocation that fails leaves it chosen, and the next
 * try stores the same set.
 */
#include "common/base/alloc.h"
#include "common/base/plant.h"
#include "common/secure_sum/server_internal.h"

#include <string.h>

static uint64_t
later(uint64_t now, uint64_t by)
{
    return by > UINT64_MAX - now ? UINT64_MAX : now + by;
}

/* Time to send so many vectors, beside the step's own. */
static uint64_t
upload_ms(const struct ft_ss_server *s, const uint8_t *senders)
{
    const uint64_t bytes = s->codec.words * sizeof *s->sum * ft_ss_bitmap_count(senders, s->universe);
    return bytes / s->config.upload_bytes_per_ms;
}

void
server_enter(struct ft_ss_server *s, enum ft_ss_phase phase)
{
    const uint64_t now = server_now(s);

    s->phase = phase;
    s->chosen = false;
    s->version++;
    switch (phase) {
    case FT_SS_OPEN:
        s->phase_deadline = s->config.join_ms == 0 ? UINT64_MAX : later(now, s->config.join_ms);
        break;
    case FT_SS_COLLECTING:
        s->phase_deadline = later(now, s->config.step_ms + upload_ms(s, s->s));
        break;
    case FT_SS_CONFIRMING:
    case FT_SS_REVEALING:
    case FT_SS_REPAIRING: /* after a restart vectors have to come again */
        s->phase_deadline = later(now, s->config.step_ms + (server_all_counted(s) ? 0 : upload_ms(s, s->u3)));
        break;
    case FT_SS_DEALING:
        s->phase_deadline = later(now, s->config.step_ms);
        break;
    case FT_SS_UNMASKING:
        s->job.outcome = UNMASK_NOT_RUN;
        s->phase_deadline = UINT64_MAX;
        break;
    case FT_SS_DONE:
    case FT_SS_FAILED:
        s->phase_deadline = UINT64_MAX;
        break;
    }
}

enum ft_status
server_fail(struct ft_ss_server *s, enum ft_ss_end code)
{
    const uint8_t record[4] = { (uint8_t)code, 0, 0, 0 };
    enum ft_status st = server_store(s, FT_SS_RECORD_FAILED, FT_BYTES(record, sizeof record), true);
    if (st != FT_OK)
        return st;
    s->failure = code;
    server_enter(s, FT_SS_FAILED);
    server_slots_release(s);
    server_wipe_secrets(s);
    return FT_OK;
}

bool
server_may_join(const struct ft_ss_server *s, uint32_t id)
{
    return ft_ss_directory_has(s->config.directory, id) &&
           ft_ss_roster_active(s->config.directory->roster, id, s->config.env->wall_ms(s->config.env->ctx));
}

uint32_t
server_missing(const struct ft_ss_server *s, const uint8_t *all, const uint8_t *done)
{
    uint32_t missing = 0;
    SERVER_EACH(s, id, all)
    missing += !ft_ss_bitmap_has(done, id) && !ft_ss_bitmap_has(s->gone, id);
    return missing;
}

/* Of those who are missing, the ones that have not lost their connection. */
static uint32_t
awaited(const struct ft_ss_server *s, const uint8_t *all, const uint8_t *done)
{
    uint32_t count = 0;
    SERVER_EACH(s, id, all)
    count += !ft_ss_bitmap_has(done, id) && !ft_ss_bitmap_has(s->gone, id) && !ft_ss_bitmap_has(s->away, id);
    return count;
}

void
ft_ss_server_set_away(struct ft_ss_server *s, uint32_t client, bool away)
{
    if (client >= s->universe)
        return;
    if (away)
        ft_ss_bitmap_add(s->away, client);
    else
        ft_ss_bitmap_remove(s->away, client);
}

bool
server_all_counted(const struct ft_ss_server *s)
{
    return ft_ss_bitmap_subset(s->u3, s->counted, s->universe);
}

/* ---- OPEN ---- */

static uint32_t
join_target(const struct ft_ss_server *s)
{
    uint32_t target = s->descriptor.n_cap, able = 0;
    if (s->config.join_target != 0)
        return s->config.join_target < target ? s->config.join_target : target;
    for (uint32_t id = 0; id < s->universe; id++)
        able += server_may_join(s, id) && !ft_ss_bitmap_has(s->gone, id);
    return able < target ? able : target;
}

enum ft_status
server_enter_dealing(struct ft_ss_server *s)
{
    uint8_t(*leaves)[32] = ft_calloc(s->n, sizeof *leaves);
    uint32_t at = 0;
    uint8_t t1[32];
    enum ft_status st = FT_ERR_NOMEM;

    if (leaves == NULL)
        return st;
    SERVER_EACH(s, id, s->u1)
    ft_ss_derive_leaf(leaves[at++], id, s->clients[id].nu);
    ft_ss_merkle_clear(&s->tree);
    st = ft_ss_merkle_build((const uint8_t(*)[32])leaves, s->n, &s->tree);
    ft_free(leaves);
    if (st != FT_OK)
        return st;
    ft_ss_merkle_root(&s->tree, s->join_root);
    s->dropouts_max = ft_ss_dropouts_max(s->n, s->descriptor.drop_permille);
    ft_ss_derive_t1(t1, s->t[0], server_map(s, s->u1), s->join_root, &s->params);
    server_set_t(s, 1, t1);
    server_enter(s, FT_SS_DEALING);
    return FT_OK;
}

/* U1, join root, parameters: as T1 is taken over them. */
static enum ft_status
store_cohort(struct ft_ss_server *s)
{
    const struct ft_bytes map = server_map(s, s->u1);
    struct ft_buf record = { 0 };
    enum ft_status st;

    FT_TRY(ft_buf_append(&record, map.data, map.size));
    FT_TRY(ft_buf_u16(&record, s->params.k));
    FT_TRY(ft_buf_u16(&record, s->params.t));
    FT_TRY(ft_buf_u32(&record, s->params.q));
    FT_TRY(ft_buf_u64(&record, s->params.p));
    FT_TRY(ft_buf_u16(&record, s->params.e_max));
    st = server_store(s, FT_SS_RECORD_COHORT, ft_buf_bytes(&record), true);
out:
    ft_buf_clear(&record);
    return st;
}

/* Fix U1 from the joins. LATER when they do not make a cohort (yet). */
static enum ft_status
close_open(struct ft_ss_server *s)
{
    const struct ft_ss_rules rules = ft_ss_rules_of(&s->descriptor);
    enum ft_ss_profile profile = FT_SS_CLASSICAL;
    enum ft_status st;

    if (!s->chosen) {
        SERVER_EACH(s, id, s->gone)
        ft_ss_bitmap_remove(s->joined, id);
        s->n = ft_ss_bitmap_count(s->joined, s->universe);
        if (s->n < s->descriptor.n_min)
            return FT_ERR_LATER;
        if (s->config.graph_allowed && s->n > FT_SS_CLASSICAL_ONLY_UPTO && s->n > s->config.graph_min)
            profile = FT_SS_GRAPH;
        st = ft_ss_params_choose(&rules, s->n, profile, &s->params, NULL);
        if (st != FT_OK)
            return st == FT_ERR_COHORT ? FT_ERR_LATER : st;
        memcpy(s->u1, s->joined, ft_ss_bitmap_size(s->universe));
        s->chosen = true;
    }
    st = store_cohort(s);
    return st == FT_OK ? server_enter_dealing(s) : st;
}

static enum ft_status
advance_open(struct ft_ss_server *s, bool expired)
{
    enum ft_status st;
    const uint32_t waiting = ft_ss_bitmap_count(s->joined, s->universe);
    if (!expired && (waiting < s->descriptor.n_min || waiting < join_target(s)))
        return FT_ERR_LATER;
    st = close_open(s);
    if (st == FT_ERR_LATER && expired)
        return server_fail(s, FT_SS_END_FAILED_JOIN);
    return st;
}

enum ft_status
ft_ss_server_close_join(struct ft_ss_server *s)
{
    enum ft_status st;
    if (s->phase != FT_SS_OPEN)
        return FT_ERR_STATE;
    st = close_open(s);
    return st == FT_OK ? server_advance(s) : st;
}

/* ---- DEALING ---- */

/* Index of what each holder is to get: one pass to count, one to place. */
static enum ft_status
index_deliveries(struct ft_ss_server *s)
{
    uint32_t total = 0;
    uint32_t *next = ft_calloc(s->universe, sizeof *next);

    ft_free(s->delivery_first);
    ft_free(s->deliveries);
    s->deliveries = NULL;
    s->delivery_first = ft_calloc((size_t)s->universe + 1, sizeof *s->delivery_first);
    if (next == NULL || s->delivery_first == NULL) {
        ft_free(next);
        return FT_ERR_NOMEM;
    }
    SERVER_EACH(s, dealer, s->s)
    for (uint16_t at = 0; at < s->params.k; at++)
        next[ft_get_u32(s->clients[dealer].dealt->records.data + (size_t)at * FT_SS_SHARE_RECORD)]++;
    for (uint32_t id = 0; id < s->universe; id++) {
        const uint32_t count = next[id];
        s->delivery_first[id] = next[id] = total;
        total += count;
    }
    s->delivery_first[s->universe] = total;
    s->deliveries = ft_calloc(total, sizeof *s->deliveries);
    if (s->deliveries == NULL) {
        ft_free(next);
        return FT_ERR_NOMEM;
    }
    SERVER_EACH(s, dealer, s->s)
    for (uint16_t at = 0; at < s->params.k; at++) {
        const uint8_t *record = s->clients[dealer].dealt->records.data + (size_t)at * FT_SS_SHARE_RECORD;
        s->deliveries[next[ft_get_u32(record)]++] = (struct delivery){ dealer, at };
    }
    ft_free(next);
    return FT_OK;
}

enum ft_status
server_enter_collecting(struct ft_ss_server *s)
{
    uint8_t t2[32];
    enum ft_status st = index_deliveries(s);
    if (st != FT_OK)
        return st;
    ft_ss_derive_t2(t2, s->t[1], server_map(s, s->s));
    server_set_t(s, 2, t2);
    server_enter(s, FT_SS_COLLECTING);
    return FT_OK;
}

static enum ft_status
advance_dealing(struct ft_ss_server *s, bool expired)
{
    const uint32_t least = s->n - s->dropouts_max;
    const uint32_t missing = server_missing(s, s->u1, s->shared);
    uint32_t present;
    enum ft_status st;

    if (!s->chosen) {
        memset(s->s, 0, ft_ss_bitmap_size(s->universe));
        SERVER_EACH(s, id, s->shared)
        if (!ft_ss_bitmap_has(s->gone, id))
            ft_ss_bitmap_add(s->s, id);
        present = ft_ss_bitmap_count(s->s, s->universe);
        if (present + missing < least || (expired && present < least))
            return server_fail(s, FT_SS_END_FAILED_SHARES);
        if (!expired && missing > 0 && (present < least || awaited(s, s->u1, s->shared) > 0))
            return FT_ERR_LATER;
        s->chosen = true;
    }
    st = server_store(s, FT_SS_RECORD_SHARERS, server_map(s, s->s), true);
    return st == FT_OK ? server_enter_collecting(s) : st;
}

/* ---- COLLECTING ---- */

void
server_enter_confirming(struct ft_ss_server *s)
{
    uint8_t t3[32];
    ft_ss_derive_t3(t3, s->t[2], server_map(s, s->u3));
    server_set_t(s, 3, t3);
    server_enter(s, FT_SS_CONFIRMING);
    if (server_all_counted(s))
        server_slots_release(s);
}

static enum ft_status
advance_collecting(struct ft_ss_server *s, bool expired)
{
    const uint32_t by_rate = s->n - s->dropouts_max;
    const uint32_t least = FT_PLANT(BELOW_MINIMUM)         ? 2
                           : by_rate > s->descriptor.n_min ? by_rate
                                                           : s->descriptor.n_min;
    const uint32_t missing = server_missing(s, s->s, s->counted);
    const uint32_t present = ft_ss_bitmap_count(s->counted, s->universe);
    enum ft_status st;

    if (!s->chosen) {
        if (present + missing < least || (expired && present < least))
            return server_fail(s, FT_SS_END_FAILED_INPUTS);
        if (!expired && missing > 0 && (present < least || awaited(s, s->s, s->counted) > 0))
            return FT_ERR_LATER;
        memcpy(s->u3, s->counted, ft_ss_bitmap_size(s->universe));
        s->chosen = true; /* no upload is counted from here on */
    }
    st = server_store(s, FT_SS_RECORD_SURVIVORS, server_map(s, s->u3), true);
    if (st != FT_OK)
        return st;
    server_enter_confirming(s);
    return FT_OK;
}

/* A survivor's vector was lost in a restart, and the survivor has left since. */
static bool
resend_hopeless(const struct ft_ss_server *s)
{
    return !server_all_counted(s) && server_missing(s, s->u3, s->counted) == 0;
}

/* ---- CONFIRMING ---- */

static enum ft_status
advance_confirming(struct ft_ss_server *s, bool expired)
{
    const uint32_t missing = server_missing(s, s->u3, s->confirmed);
    const uint32_t present = ft_ss_bitmap_count(s->confirmed, s->universe);
    enum ft_status st;

    if (resend_hopeless(s))
        return server_fail(s, FT_SS_END_FAILED_RESEND);
    if (!s->chosen) {
        if (present + missing < s->params.q || (expired && present < s->params.q))
            return server_fail(s, FT_SS_END_FAILED_CONFIRM);
        if (!expired && missing > 0 && (present < s->params.q || awaited(s, s->u3, s->confirmed) > 0))
            return FT_ERR_LATER;
        memcpy(s->certificate, s->confirmed, ft_ss_bitmap_size(s->universe));
        s->chosen = true;
    }
    st = server_store(s, FT_SS_RECORD_CERTIFICATE, server_map(s, s->certificate), true);
    if (st != FT_OK)
        return st;
    server_enter(s, FT_SS_REVEALING);
    return FT_OK;
}

/* ---- REVEALING ---- */

/* Can every self mask be had? */
static bool
self_masks_reachable(const struct ft_ss_server *s)
{
    SERVER_EACH(s, d, s->u3)
    if (!ft_ss_bitmap_has(s->unmasked, d) && server_shares_at_hand(s, d) < s->params.t)
        return false;
    return true;
}

/* And every dropout's kappa? Without one, the survivors have to repair the sum. */
static bool
dropouts_reachable(const struct ft_ss_server *s)
{
    SERVER_EACH(s, d, s->s)
    if (!ft_ss_bitmap_has(s->u3, d) && server_shares_at_hand(s, d) < s->params.t)
        return false;
    return true;
}

static enum ft_status
advance_revealing(struct ft_ss_server *s, bool expired)
{
    const bool complete =
        server_missing(s, s->u3, s->unmasked) == 0 ||
        (awaited(s, s->u3, s->unmasked) == 0 && self_masks_reachable(s) && dropouts_reachable(s));

    if (resend_hopeless(s))
        return server_fail(s, FT_SS_END_FAILED_RESEND);
    if (!complete && !expired)
        return FT_ERR_LATER;
    if (!self_masks_reachable(s))
        return server_fail(s, FT_SS_END_FAILED_UNMASK);
    if (!server_all_counted(s))
        return expired ? server_fail(s, FT_SS_END_FAILED_RESEND) : FT_ERR_LATER;
    server_slots_release(s);
    server_enter(s, FT_SS_UNMASKING);
    return FT_OK;
}

/* ---- REPAIRING ---- */

static enum ft_status
advance_repairing(struct ft_ss_server *s, bool expired)
{
    if (resend_hopeless(s))
        return server_fail(s, FT_SS_END_FAILED_RESEND);
    if (server_missing(s, s->u3, s->repaired) > 0 && !expired)
        return FT_ERR_LATER;
    if (!server_all_counted(s))
        return expired ? server_fail(s, FT_SS_END_FAILED_RESEND) : FT_ERR_LATER;
    server_slots_release(s);
    server_enter(s, FT_SS_UNMASKING);
    return FT_OK;
}

/* One try to leave the current phase: FT_OK when it was left, LATER when not yet. */
static enum ft_status
advance_once(struct ft_ss_server *s)
{
    const uint64_t now = server_now(s);
    const bool expired = now >= s->phase_deadline;

    if (server_over(s) || s->phase == FT_SS_UNMASKING)
        return FT_ERR_LATER;
    if (now >= s->session_deadline)
        return server_fail(s, FT_SS_END_FAILED_DEADLINE);
    switch (s->phase) {
    case FT_SS_OPEN:
        return advance_open(s, expired);
    case FT_SS_DEALING:
        return advance_dealing(s, expired);
    case FT_SS_COLLECTING:
        return advance_collecting(s, expired);
    case FT_SS_CONFIRMING:
        return advance_confirming(s, expired);
    case FT_SS_REVEALING:
        return advance_revealing(s, expired);
    case FT_SS_REPAIRING:
        return advance_repairing(s, expired);
    case FT_SS_UNMASKING:
    case FT_SS_DONE:
    case FT_SS_FAILED:
        break;
    }
    return FT_ERR_LATER;
}

enum ft_status
server_advance(struct ft_ss_server *s)
{
    enum ft_status st;
    if (s->restoring) /* the log says which phases were left, not we */
        return FT_OK;
    do
        st = advance_once(s);
    while (st == FT_OK);
    return st == FT_ERR_LATER ? FT_OK : st;
}

enum ft_status
ft_ss_server_tick(struct ft_ss_server *s)
{
    server_slots_expire(s);
    return server_advance(s);
}

uint64_t
ft_ss_server_next_deadline(const struct ft_ss_server *s)
{
    uint64_t next = s->phase_deadline < s->session_deadline ? s->phase_deadline : s->session_deadline;
    const uint64_t slots = server_slots_deadline(s);
    if (server_over(s) || s->phase == FT_SS_UNMASKING)
        return UINT64_MAX;
    return slots < next ? slots : next;
}
