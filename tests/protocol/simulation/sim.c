/* The event loop: virtual time, the network and its faults, kills and restarts. */
#include "sim.h"

#include "common/base/alloc.h"
#include "common/secure_sum/roster.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SAFETY_MS     120000u /* faults stop after this much virtual time */
#define EVENTS_MAX    400000u
#define CHUNK         96u     /* bytes of an upload or download in one event */
#define RETRY_MS      700u
#define EPOCH_WALL_MS 1767225600000u /* wall clock at time 0 */
#define MASK_WORDS    4       /* of a masked input: enough to know a mask by */
#define LINES_MAX     64      /* calls of shops that the centre still holds */

static const char *const fault_names[] = {
#define X(name) #name,
    SIM_FAULTS(X)
#undef X
};

const char *
sim_fault_name(enum sim_fault f)
{
    return fault_names[f];
}

enum event_kind {
    STEP,      /* a shop's courier asks for the next action */
    ARRIVE,    /* a request reaches the centre */
    REPLY,     /* a reply reaches the shop */
    AGAIN,     /* the courier tries its action again */
    REST,      /* a rest is over */
    PIECE,     /* the next piece of an upload */
    TIME_UP,   /* a parked call's time is up */
    TICK,      /* the centre's clock */
    RISE,      /* a shop starts again */
    RISE_CENTRE,
    KILL,      /* something dies */
    FALL_CENTRE, /* the centre dies now */
};

struct event {
    uint64_t at, order;
    enum event_kind kind;
    uint32_t shop;
    uint64_t life; /* of the shop's process; an event of an earlier one is void */
    uint64_t id;   /* of the action */
    uint64_t line; /* TIME_UP */
    struct ft_buf bytes;
};

/* A call that the centre holds. */
struct line {
    bool used;
    uint64_t number;
    uint32_t shop;
    uint64_t life, id;
    void *call;
};

struct courier {
    uint64_t life;
    bool waiting; /* an action is under way */
    struct sim_request request;
    void *upload; /* at the centre */
    uint64_t upload_at;
    bool link_down;
    struct ft_buf sent;  /* masked bytes seen of one round, for invariant 6 */
    struct ft_buf masks; /* the first MASK_WORDS of each round's masks, for invariant 7 */
    uint64_t sent_round;
};

struct sim {
    struct sim_report *report;
    struct ft_env_seeded dice;
    uint64_t now;
    bool healed;
    uint32_t odds[SIM_FAULT_COUNT]; /* one in so many; 0: never in this run */
    struct sim_world world;
    struct sim_shop *shops[SIM_SHOPS_MAX];
    struct courier couriers[SIM_SHOPS_MAX];
    struct sim_centre *centre;
    struct line lines[LINES_MAX];
    uint64_t line_number, order, tick_at;
    struct event *heap;
    size_t count, capacity;
    crypto_generichash_state trace;
};

/* ---- dice, time, trace ---- */

uint64_t
sim_draw(struct sim *s, uint64_t bound)
{
    return bound == UINT64_MAX ? ft_random_u64(&s->dice.env) : ft_random_below(&s->dice.env, bound);
}

bool
sim_strikes(struct sim *s, enum sim_fault fault)
{
    if (s->healed || s->odds[fault] == 0 || sim_draw(s, s->odds[fault]) != 0)
        return false;
    s->report->faults[fault]++;
    return true;
}

uint64_t
sim_faults(const struct sim *s, enum sim_fault fault)
{
    return s->report->faults[fault];
}

uint64_t
sim_now(const struct sim *s)
{
    return s->now;
}

void
sim_violated(struct sim *s, const char *fmt, ...)
{
    va_list args;
    if (s->report->violation[0] != '\0')
        return;
    const int n = snprintf(s->report->violation, sizeof s->report->violation, "at %llu ms: ", (unsigned long long)s->now);
    va_start(args, fmt);
    vsnprintf(s->report->violation + n, sizeof s->report->violation - (size_t)n, fmt, args);
    va_end(args);
}

void
sim_trace(struct sim *s, const char *what, uint64_t a, uint64_t b, struct ft_bytes bytes)
{
    uint8_t head[24];
    ft_put_u64(head, s->now);
    ft_put_u64(head + 8, a);
    ft_put_u64(head + 16, b);
    crypto_generichash_update(&s->trace, (const uint8_t *)what, strlen(what) + 1);
    crypto_generichash_update(&s->trace, head, sizeof head);
    if (bytes.size > 0)
        crypto_generichash_update(&s->trace, bytes.data, bytes.size);
}

const struct sim_input *
sim_shop_input(const struct sim *s, uint32_t shop)
{
    return sim_shop_last_input(s->shops[shop]);
}

/* ---- the heap of events ---- */

static bool
earlier(const struct event *a, const struct event *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

/* Takes the bytes over. */
static void
post(struct sim *s, uint64_t after, struct event e)
{
    e.at = s->now + after;
    e.order = s->order++;
    if (s->count == s->capacity) {
        const size_t capacity = s->capacity ? 2 * s->capacity : 256;
        struct event *bigger = ft_realloc(s->heap, capacity * sizeof *bigger);
        if (bigger == NULL) {
            sim_violated(s, "out of memory");
            ft_buf_clear(&e.bytes);
            return;
        }
        s->heap = bigger;
        s->capacity = capacity;
    }
    size_t at = s->count++;
    while (at > 0 && earlier(&e, &s->heap[(at - 1) / 2])) {
        s->heap[at] = s->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    s->heap[at] = e;
}

static struct event
pop(struct sim *s)
{
    const struct event first = s->heap[0], last = s->heap[--s->count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= s->count)
            break;
        if (child + 1 < s->count && earlier(&s->heap[child + 1], &s->heap[child]))
            child++;
        if (!earlier(&s->heap[child], &last))
            break;
        s->heap[at] = s->heap[child];
        at = child;
    }
    if (s->count > 0)
        s->heap[at] = last;
    return first;
}

static struct event
of_shop(const struct sim *s, enum event_kind kind, uint32_t shop)
{
    return (struct event){ .kind = kind, .shop = shop, .life = s->couriers[shop].life, .id = s->couriers[shop].request.id };
}

static uint64_t
delay(struct sim *s)
{
    return sim_strikes(s, SIM_DELAY) ? 200 + sim_draw(s, 8000) : 1 + sim_draw(s, 4);
}

static void
alter(struct sim *s, enum sim_fault fault, struct ft_buf *bytes)
{
    if (bytes->size == 0 || !sim_strikes(s, fault))
        return;
    bytes->data[sim_draw(s, bytes->size)] ^= (uint8_t)(1u << sim_draw(s, 8));
    if (sim_draw(s, 4) == 0)
        bytes->size = sim_draw(s, bytes->size + 1);
}

static void kill_shop(struct sim *s, uint32_t shop);

/* ---- the centre's side ---- */

static void
centre_moved(struct sim *s)
{
    struct ft_buf reply = { 0 };

    for (size_t i = 0; i < LINES_MAX && sim_centre_alive(s->centre); i++) {
        struct line *l = &s->lines[i];
        if (!l->used || !sim_centre_poll(s->centre, l->call, false, &reply))
            continue;
        sim_centre_end(s->centre, l->call);
        l->used = false;
        struct event e = { .kind = REPLY, .shop = l->shop, .life = l->life, .id = l->id, .bytes = reply };
        reply = (struct ft_buf){ 0 };
        post(s, delay(s), e);
    }
    ft_buf_clear(&reply);
    if (!sim_centre_alive(s->centre))
        return;
    const uint64_t due = sim_centre_deadline(s->centre);
    if (due != UINT64_MAX && (s->tick_at <= s->now || due < s->tick_at)) {
        s->tick_at = due > s->now ? due : s->now + 1;
        post(s, s->tick_at - s->now, (struct event){ .kind = TICK });
    }
}

static void
drop_lines(struct sim *s)
{
    for (size_t i = 0; i < LINES_MAX; i++)
        if (s->lines[i].used) {
            sim_centre_end(s->centre, s->lines[i].call);
            s->lines[i].used = false;
        }
    for (uint32_t i = 0; i < s->world.shops; i++)
        if (s->couriers[i].upload != NULL) {
            sim_centre_upload_close(s->centre, s->couriers[i].upload);
            s->couriers[i].upload = NULL;
        }
}

static void
kill_centre(struct sim *s)
{
    if (!sim_centre_alive(s->centre))
        return;
    drop_lines(s);
    sim_centre_kill(s->centre);
    s->report->restarts++;
    post(s, 1 + sim_draw(s, 6000), (struct event){ .kind = RISE_CENTRE });
}

static void
park(struct sim *s, const struct event *e, void *call, uint32_t wait_ms)
{
    for (size_t i = 0; i < LINES_MAX; i++)
        if (!s->lines[i].used) {
            s->lines[i] = (struct line){ true, ++s->line_number, e->shop, e->life, e->id, call };
            post(s, wait_ms, (struct event){ .kind = TIME_UP, .line = s->line_number });
            return;
        }
    sim_centre_end(s->centre, call);
}

/* A shop that calls again has given its earlier call up; now and then the centre has not noticed yet. */
static void
hang_up(struct sim *s, uint32_t shop)
{
    for (size_t i = 0; i < LINES_MAX; i++)
        if (s->lines[i].used && s->lines[i].shop == shop && sim_draw(s, 4) != 0) {
            sim_centre_end(s->centre, s->lines[i].call);
            s->lines[i].used = false;
        }
}

static void
upload_arrives(struct sim *s, struct event *e)
{
    struct courier *c = &s->couriers[e->shop];
    struct ft_buf reply = { 0 };
    struct event next = of_shop(s, PIECE, e->shop);

    if (c->upload != NULL) {
        sim_centre_upload_close(s->centre, c->upload);
        c->upload = NULL;
    }
    switch (sim_centre_upload(s->centre, e->shop, ft_buf_bytes(&e->bytes), &c->upload, &c->upload_at, &reply)) {
    case SIM_UPLOAD_START:
        post(s, delay(s), next);
        break;
    case SIM_UPLOAD_BUSY:
        next.kind = AGAIN;
        post(s, 50, next);
        break;
    case SIM_UPLOAD_ANSWERED:
        next.kind = REPLY;
        next.bytes = reply;
        reply = (struct ft_buf){ 0 };
        post(s, delay(s), next);
        break;
    case SIM_UPLOAD_BROKEN:
        next.kind = AGAIN;
        post(s, RETRY_MS, next);
        break;
    }
    ft_buf_clear(&reply);
}

/* Invariant 7: what is left of masked bytes without the input they hide is new in every round, else the difference of two
 * rounds' bytes would be that of the inputs. */
static void
judge_mask(struct sim *s, uint32_t shop, uint64_t round)
{
    struct courier *c = &s->couriers[shop];
    const struct sim_input *input = sim_shop_last_input(s->shops[shop]);
    uint64_t mask[MASK_WORDS];

    if (input == NULL || !input->made || input->count < MASK_WORDS)
        return;
    for (size_t i = 0; i < MASK_WORDS; i++)
        mask[i] = ft_get_u64(c->sent.data + 8 * i) - input->words[i];
    for (size_t at = 0; at < c->masks.size; at += sizeof mask)
        if (memcmp(c->masks.data + at, mask, sizeof mask) == 0)
            sim_violated(s, "shop %u has masked round %llu as another one before", shop, (unsigned long long)round);
    if (ft_buf_append(&c->masks, mask, sizeof mask) != FT_OK)
        sim_violated(s, "out of memory");
}

/* Invariants 5 and 6: the round is durably spent before a masked byte is out, and a resend has the same bytes. */
static void
judge_masked(struct sim *s, uint32_t shop, uint64_t offset, struct ft_bytes data)
{
    struct courier *c = &s->couriers[shop];
    const uint64_t round = sim_shop_round(s->shops[shop]);

    if (round == 0)
        return;
    if (!sim_shop_spent(s->shops[shop], round))
        sim_violated(s, "shop %u sends masked bytes of round %llu before its journal says spent", shop,
                     (unsigned long long)round);
    if (c->sent_round != round) {
        c->sent_round = round;
        c->sent.size = 0;
    }
    for (size_t i = 0; i < data.size; i++) {
        const size_t at = (size_t)offset + i;
        if (at < c->sent.size && c->sent.data[at] != data.data[i]) {
            sim_violated(s, "shop %u sends two different masked inputs in round %llu", shop, (unsigned long long)round);
            return;
        }
        if (at == c->sent.size && ft_buf_u8(&c->sent, data.data[i]) != FT_OK)
            return;
        if (at + 1 == c->sent.size && c->sent.size == 8 * MASK_WORDS)
            judge_mask(s, shop, round);
    }
}

static void
upload_piece(struct sim *s, struct event *e)
{
    struct courier *c = &s->couriers[e->shop];
    struct ft_buf data = { 0 }, reply = { 0 };
    struct event next = of_shop(s, PIECE, e->shop);
    const uint64_t left = c->request.size - c->upload_at;
    const uint32_t size = left < CHUNK ? (uint32_t)left : CHUNK;

    if (c->upload == NULL) { /* the centre died meanwhile */
        next.kind = AGAIN;
        post(s, RETRY_MS, next);
        return;
    }
    if (c->upload_at > 0 && sim_strikes(s, SIM_KILL_IN_UPLOAD)) { /* dealt, and gone before its vector is whole */
        kill_shop(s, e->shop);
        return;
    }
    if (sim_strikes(s, SIM_CUT_UPLOAD)) {
        sim_centre_upload_close(s->centre, c->upload);
        c->upload = NULL;
        next.kind = AGAIN;
        post(s, RETRY_MS, next);
    } else if (left == 0) {
        struct ft_buf trailer = { 0 };
        if (ft_buf_append(&trailer, c->request.trailer.data, c->request.trailer.size) != FT_OK)
            sim_violated(s, "out of memory");
        sim_centre_upload_end(s->centre, e->shop, c->upload, ft_buf_bytes(&trailer), &reply);
        ft_buf_clear(&trailer);
        sim_centre_upload_close(s->centre, c->upload);
        c->upload = NULL;
        next.kind = REPLY;
        next.bytes = reply;
        reply = (struct ft_buf){ 0 };
        post(s, delay(s), next);
        centre_moved(s);
        if (sim_strikes(s, SIM_KILL_CENTRE_AFTER_UPLOAD)) /* while survivors are chosen, confirmed, unmasked */
            post(s, sim_draw(s, 25), (struct event){ .kind = FALL_CENTRE });
    } else {
        const bool over = sim_shop_want(s->shops[e->shop], e->id, c->upload_at, size, &data);
        if (over) { /* the shop has left the session */
            sim_centre_upload_close(s->centre, c->upload);
            c->upload = NULL;
            next.kind = STEP;
            c->waiting = false;
            post(s, 1, next);
        } else {
            judge_masked(s, e->shop, c->upload_at, ft_buf_bytes(&data));
            sim_trace(s, "masked", e->shop, c->upload_at, ft_buf_bytes(&data));
            if (sim_centre_upload_chunk(s->centre, c->upload, c->upload_at, ft_buf_bytes(&data))) {
                c->upload_at += data.size;
                post(s, 1, next);
            } else {
                sim_centre_upload_close(s->centre, c->upload);
                c->upload = NULL;
                next.kind = AGAIN;
                post(s, RETRY_MS, next);
            }
        }
    }
    ft_buf_clear(&data);
    ft_buf_clear(&reply);
}

static void
download_arrives(struct sim *s, struct event *e)
{
    struct courier *c = &s->couriers[e->shop];
    struct ft_buf blob = { 0 };
    struct event next = of_shop(s, STEP, e->shop);
    uint64_t at = c->request.offset;

    if (!sim_centre_blob(s->centre, c->request.hash, &blob)) {
        (void)sim_shop_failed(s->shops[e->shop], e->id);
        c->waiting = false;
        post(s, RETRY_MS, next);
        return;
    }
    while (at < blob.size) {
        const size_t size = blob.size - at < CHUNK ? blob.size - at : CHUNK;
        const bool over = sim_shop_chunk(s->shops[e->shop], e->id, at, blob.size, FT_BYTES(blob.data + at, size),
                                         at + size == blob.size);
        at += size;
        c->request.offset = at;
        if (over) {
            c->waiting = false;
            break;
        }
        if (sim_strikes(s, SIM_CUT_DOWNLOAD)) {
            next.kind = AGAIN;
            break;
        }
    }
    ft_buf_clear(&blob);
    if (c->waiting && next.kind == STEP) { /* all of it, and the shop is not satisfied */
        (void)sim_shop_failed(s->shops[e->shop], e->id);
        c->waiting = false;
    }
    post(s, next.kind == STEP ? 1 : RETRY_MS, next);
}

static void
arrive(struct sim *s, struct event *e)
{
    struct courier *c = &s->couriers[e->shop];
    if (!sim_centre_alive(s->centre)) {
        struct event again = *e;
        again.kind = AGAIN;
        again.bytes = (struct ft_buf){ 0 };
        post(s, RETRY_MS, again);
        return;
    }
    const bool current = e->life == c->life && c->waiting && e->id == c->request.id;
    if (current && c->request.action == SIM_UPLOAD) {
        upload_arrives(s, e);
    } else if (current && c->request.action == SIM_DOWNLOAD) {
        download_arrives(s, e);
    } else if (e->bytes.size > 0) { /* a SYNC, perhaps an old or a repeated one */
        hang_up(s, e->shop);
        sim_trace(s, "sync", e->shop, e->id, ft_buf_bytes(&e->bytes));
        void *call = sim_centre_sync(s->centre, e->shop, ft_buf_bytes(&e->bytes));
        if (call != NULL)
            park(s, e, call, 5000);
        else if (current)
            post(s, RETRY_MS, of_shop(s, AGAIN, e->shop));
    }
    centre_moved(s);
}

/* ---- the shop's side ---- */

static void
send_request(struct sim *s, uint32_t shop)
{
    struct courier *c = &s->couriers[shop];
    struct event e = of_shop(s, ARRIVE, shop);

    if (c->request.action == SIM_IDLE) {
        e.kind = REST;
        post(s, c->request.wait_ms, e);
        return;
    }
    if (c->request.action != SIM_DOWNLOAD && ft_buf_append(&e.bytes, c->request.bytes.data, c->request.bytes.size) != FT_OK)
        sim_violated(s, "out of memory");
    /* the courier's own deadline; a stalled upload is noticed sooner than an unanswered long poll */
    post(s, c->request.action == SIM_UPLOAD ? 1500 : 6000, of_shop(s, AGAIN, shop));
    if (c->link_down || sim_strikes(s, SIM_LOSE_REQUEST)) {
        ft_buf_clear(&e.bytes);
        return;
    }
    if (c->request.action == SIM_SYNC && sim_strikes(s, SIM_REPEAT_REQUEST)) {
        struct event twice = e;
        twice.bytes = (struct ft_buf){ 0 };
        if (ft_buf_append(&twice.bytes, e.bytes.data, e.bytes.size) == FT_OK)
            post(s, delay(s) + sim_draw(s, 3000), twice);
    }
    if (c->request.action == SIM_SYNC)
        alter(s, SIM_ALTER_REQUEST, &e.bytes);
    post(s, delay(s), e);
}

static void
step(struct sim *s, uint32_t shop)
{
    struct courier *c = &s->couriers[shop];
    sim_request_clear(&c->request);
    if (!sim_shop_next(s->shops[shop], &c->request))
        return;
    c->waiting = true;
    send_request(s, shop);
}

static void
reply_arrives(struct sim *s, struct event *e)
{
    struct courier *c = &s->couriers[e->shop];
    bool over;

    if (!c->waiting || e->id != c->request.id || c->link_down || sim_strikes(s, SIM_LOSE_REPLY))
        return; /* the courier's deadline brings the same request again */
    sim_trace(s, "reply", e->shop, e->id, ft_buf_bytes(&e->bytes));
    if (c->request.action == SIM_SYNC) {
        alter(s, SIM_ALTER_REPLY, &e->bytes);
        over = sim_shop_reply(s->shops[e->shop], e->id, ft_buf_bytes(&e->bytes));
    } else if (c->request.action == SIM_UPLOAD) {
        over = sim_shop_uploaded(s->shops[e->shop], e->id, ft_buf_bytes(&e->bytes));
    } else {
        return;
    }
    if (over) {
        c->waiting = false;
        post(s, 0, of_shop(s, STEP, e->shop));
    }
}

static void
kill_shop(struct sim *s, uint32_t shop)
{
    struct courier *c = &s->couriers[shop];
    if (!sim_shop_alive(s->shops[shop]))
        return;
    if (c->upload != NULL && sim_centre_alive(s->centre))
        sim_centre_upload_close(s->centre, c->upload);
    c->upload = NULL;
    sim_shop_kill(s->shops[shop]);
    c->life++;
    c->waiting = false;
    s->report->restarts++;
    post(s, 1 + sim_draw(s, 9000), (struct event){ .kind = RISE, .shop = shop, .life = c->life });
}

/* A named pattern: the links of a random subset go down one by one and come back in random order. */
static void
split_links(struct sim *s)
{
    for (uint32_t i = 0; i < s->world.shops; i++)
        s->couriers[i].link_down = !s->healed && sim_draw(s, 3) == 0;
}

static void
misfortune(struct sim *s)
{
    if (sim_strikes(s, SIM_KILL_SHOP))
        kill_shop(s, (uint32_t)sim_draw(s, s->world.shops));
    if (sim_strikes(s, SIM_KILL_CENTRE))
        kill_centre(s);
    if (sim_strikes(s, SIM_SPLIT_LINK))
        split_links(s);
    if (sim_strikes(s, SIM_CLOCK_JUMP)) {
        const uint32_t who = (uint32_t)sim_draw(s, s->world.shops + 1);
        struct ft_env_seeded *clock = who == s->world.shops ? sim_centre_clock(s->centre) : sim_shop_clock(s->shops[who]);
        clock->wall += sim_draw(s, 2) == 0 ? sim_draw(s, 7200000) : (uint64_t)0 - sim_draw(s, 7200000);
    }
    post(s, 20 + sim_draw(s, 100), (struct event){ .kind = KILL });
}

/* ---- one event ---- */

static void
handle(struct sim *s, struct event *e)
{
    struct courier *c = &s->couriers[e->shop];
    const bool mine = e->life == c->life && sim_shop_alive(s->shops[e->shop]);

    switch (e->kind) {
    case STEP:
        if (mine && !c->waiting)
            step(s, e->shop);
        break;
    case ARRIVE:
        arrive(s, e);
        break;
    case REPLY:
        if (mine)
            reply_arrives(s, e);
        break;
    case AGAIN:
        if (mine && c->waiting && e->id == c->request.id && c->upload == NULL)
            send_request(s, e->shop);
        break;
    case REST:
        if (mine && c->waiting && e->id == c->request.id && sim_shop_rested(s->shops[e->shop], e->id)) {
            c->waiting = false;
            post(s, 0, of_shop(s, STEP, e->shop));
        }
        break;
    case PIECE:
        if (mine && c->waiting && e->id == c->request.id)
            upload_piece(s, e);
        break;
    case TIME_UP:
        for (size_t i = 0; i < LINES_MAX; i++)
            if (s->lines[i].used && s->lines[i].number == e->line) {
                struct line *l = &s->lines[i];
                struct ft_buf reply = { 0 };
                const bool ready = sim_centre_poll(s->centre, l->call, true, &reply);
                sim_centre_end(s->centre, l->call);
                l->used = false;
                struct event back = { .kind = REPLY, .shop = l->shop, .life = l->life, .id = l->id, .bytes = reply };
                if (ready)
                    post(s, delay(s), back);
                else
                    ft_buf_clear(&reply);
            }
        break;
    case TICK:
        if (sim_centre_alive(s->centre) && s->tick_at <= s->now) {
            sim_centre_tick(s->centre);
            s->tick_at = 0;
            centre_moved(s);
        }
        break;
    case RISE:
        if (e->life == c->life && !sim_shop_alive(s->shops[e->shop])) {
            if (sim_shop_start(s->shops[e->shop]))
                post(s, 1, of_shop(s, STEP, e->shop));
        }
        break;
    case RISE_CENTRE:
        if (!sim_centre_alive(s->centre)) {
            if (sim_centre_start(s->centre))
                centre_moved(s);
            else
                post(s, 1000, (struct event){ .kind = RISE_CENTRE });
        }
        break;
    case KILL:
        if (!s->healed)
            misfortune(s);
        break;
    case FALL_CENTRE:
        if (!s->healed)
            kill_centre(s);
        break;
    }
    /* Unmasking needs no event of its own: whoever moved the engine lets it work. */
    if (sim_centre_alive(s->centre) && e->kind != TICK) {
        sim_centre_tick(s->centre);
        centre_moved(s);
    }
}

static void
heal(struct sim *s)
{
    s->healed = true;
    split_links(s);
    for (uint32_t i = 0; i < s->world.shops; i++) /* clocks are set right: who stays hours off is `doctor`'s to tell */
        sim_shop_clock(s->shops[i])->wall = EPOCH_WALL_MS + s->now;
    sim_centre_clock(s->centre)->wall = EPOCH_WALL_MS + s->now;
    /* A disk that was broken for good is replaced: the process on it starts again. */
    for (uint32_t i = 0; i < s->world.shops; i++)
        kill_shop(s, i);
    kill_centre(s);
}

static void
set_time(struct sim *s, uint64_t now)
{
    const uint64_t passed = now - s->now;
    s->now = now;
    for (uint32_t i = 0; i < s->world.shops; i++) {
        sim_shop_clock(s->shops[i])->now = now;
        sim_shop_clock(s->shops[i])->wall += passed;
    }
    sim_centre_clock(s->centre)->now = now;
    sim_centre_clock(s->centre)->wall += passed;
}

/* ---- set-up ---- */

static enum ft_status
make_task(struct sim *s, struct ft_task *t)
{
    static const char *const names[] = { "a", "b", "c" };
    *t = (struct ft_task){
        .name = ft_strdup("sim"), .purpose = ft_strdup("train/propensity"), .owner = ft_strdup("central"),
        .title = ft_strdup("simulated"), .expires = ft_strdup("2099-12-31"), .review = ft_strdup("2099-12-31"),
        .sql = ft_strdup("SELECT 1"), .label = ft_strdup("y"), .feature_count = 3, .rows_per_customer = 1, .rows_max = 1000,
        .label_min = 0, .label_max = 1, .model = FT_MODEL_LOGISTIC, .rounds = 3,
        .local_epochs = 1, .learning_rate = 0.5, .weight_decay = 1e-4, .clip = 5, .weight_cap = 1000,
        .server = FT_SERVER_FEDAVG, .server_learning_rate = 1,
        .server_momentum = 0.9, .server_beta2 = 0.99, .server_epsilon = 1e-3, .seed = 1, .unit = FT_UNIT_CUSTOMER, .n_cap = 16, .h_min = 2, .corrupted = 1, .drop_permille = 250,
        .sigma = 40, .eta = 30, .suite = 1, .lane_bits = 32, .join_ms = 2000, .step_ms = 4000, .session_ms = 30000, .pause_ms = 0,
        .bins = 4, .calibration_bins = 2,
    };
    t->n_min = 4;
    memcpy(t->deployment, s->world.deployment, 16);
    t->features = ft_calloc(3, sizeof *t->features);
    if (t->features == NULL)
        return FT_ERR_NOMEM;
    for (size_t i = 0; i < 3; i++)
        t->features[i] = (struct ft_task_feature){ .name = ft_strdup(names[i]), .min = 0, .max = 1 };
    return FT_OK;
}

static enum ft_status
make_world(struct sim *s)
{
    enum ft_status st;
    struct sim_world *w = &s->world;
    uint8_t seed[32], registrar_sk[64], task_sk[64];
    struct ft_ss_roster roster = { .serial = 1, .corrupted = 1 };
    struct ft_error err = { 0 };
    struct ft_buf canonical = { 0 };

    w->shops = 5 + (uint32_t)sim_draw(s, SIM_SHOPS_MAX - 4);
    memset(w->deployment, 0xd0, sizeof w->deployment);
    memcpy(roster.deployment, w->deployment, 16);
    s->dice.env.random(s->dice.env.ctx, seed, 32);
    crypto_sign_seed_keypair(w->registrar_pk, registrar_sk, seed);
    s->dice.env.random(s->dice.env.ctx, seed, 32);
    crypto_sign_seed_keypair(w->task_pk, task_sk, seed);
    s->dice.env.random(s->dice.env.ctx, seed, 32);
    crypto_sign_seed_keypair(w->aggregator_pk, w->aggregator_sk, seed);
    roster.count = w->shops;
    roster.members = ft_calloc(w->shops, sizeof *roster.members);
    if (roster.members == NULL)
        return FT_ERR_NOMEM;
    for (uint32_t i = 0; i < w->shops; i++) {
        s->dice.env.random(s->dice.env.ctx, seed, 32);
        crypto_sign_seed_keypair(w->identity_pk[i], w->identity_sk[i], seed);
        memcpy(roster.members[i].ed25519_pk, w->identity_pk[i], 32);
        roster.members[i].status = FT_SS_ACTIVE;
        roster.members[i].not_after_ms = FT_SS_NEVER;
    }
    w->roster_serial = 1;
    FT_TRY(ft_ss_roster_sign(&roster, registrar_sk, &w->signed_roster, &err));
    FT_TRY(make_task(s, &w->task));
    FT_TRY(ft_task_validate(&w->task, &err));
    FT_TRY(ft_task_sign(&w->task, task_sk, &w->signed_task));
    FT_TRY(ft_task_encode(&w->task, &canonical));
    ft_task_hash(ft_buf_bytes(&canonical), w->task_hash);
out:
    if (st != FT_OK)
        sim_violated(s, "the world cannot be made: %s %s", ft_status_name(st), err.text);
    ft_buf_clear(&canonical);
    ft_ss_roster_clear(&roster);
    return st;
}

/* Each seed draws its own mix: some runs have one kind of fault only, some have none. */
static void
draw_odds(struct sim *s)
{
    static const uint32_t usual[SIM_FAULT_COUNT] = {
        [SIM_LOSE_REQUEST] = 20, [SIM_LOSE_REPLY] = 20,   [SIM_REPEAT_REQUEST] = 12, [SIM_DELAY] = 15,
        [SIM_ALTER_REQUEST] = 60, [SIM_ALTER_REPLY] = 60, [SIM_CUT_UPLOAD] = 12,     [SIM_CUT_DOWNLOAD] = 6,
        [SIM_KILL_IN_UPLOAD] = 60, [SIM_KILL_CENTRE_AFTER_UPLOAD] = 30,
        [SIM_KILL_SHOP] = 60,    [SIM_KILL_CENTRE] = 80,  [SIM_SHOP_DISK] = 40,      [SIM_CENTRE_DISK] = 60,
        [SIM_SPLIT_LINK] = 120,  [SIM_CLOCK_JUMP] = 100,  [SIM_LOCAL_FAILURE] = 20,  [SIM_CONSENT_CHANGE] = 20,
    };
    const uint64_t mood = sim_draw(s, 10);
    const uint64_t only = sim_draw(s, SIM_FAULT_COUNT);
    for (size_t i = 0; i < SIM_FAULT_COUNT; i++) {
        if (mood == 0)
            s->odds[i] = 0;
        else if (mood <= 3)
            s->odds[i] = i == only ? 1 + usual[i] / 3 : 0;
        else
            s->odds[i] = sim_draw(s, 3) == 0 ? 0 : 1 + usual[i] / 2 + (uint32_t)sim_draw(s, usual[i] * 3);
    }
}

static void
clear(struct sim *s)
{
    if (s->centre != NULL && sim_centre_alive(s->centre))
        drop_lines(s);
    for (uint32_t i = 0; i < SIM_SHOPS_MAX; i++) {
        sim_shop_close(s->shops[i]);
        sim_request_clear(&s->couriers[i].request);
        ft_buf_clear(&s->couriers[i].sent);
        ft_buf_clear(&s->couriers[i].masks);
    }
    sim_centre_close(s->centre);
    for (size_t i = 0; i < s->count; i++)
        ft_buf_clear(&s->heap[i].bytes);
    ft_free(s->heap);
    ft_buf_clear(&s->world.signed_task);
    ft_buf_clear(&s->world.signed_roster);
    ft_task_clear(&s->world.task);
    ft_free(s);
}

void
sim_run(uint64_t seed, struct sim_report *report)
{
    const size_t live = ft_alloc_live();
    struct sim *s = ft_calloc(1, sizeof *s);
    uint64_t commits = 0;

    *report = (struct sim_report){ 0 };
    if (s == NULL)
        return;
    s->report = report;
    crypto_generichash_init(&s->trace, NULL, 0, 32);
    ft_env_seeded_init(&s->dice, seed, 0);
    draw_odds(s);
    if (make_world(s) != FT_OK)
        goto out;
    s->centre = sim_centre_open(s, &s->world);
    if (s->centre == NULL)
        goto out;
    for (uint32_t i = 0; i < s->world.shops; i++) {
        s->shops[i] = sim_shop_open(s, &s->world, i);
        if (s->shops[i] == NULL)
            goto out;
        sim_shop_clock(s->shops[i])->wall = sim_centre_clock(s->centre)->wall = EPOCH_WALL_MS;
        post(s, 1 + sim_draw(s, 500), of_shop(s, STEP, i));
    }
    post(s, 0, (struct event){ .kind = RISE_CENTRE });
    post(s, 50, (struct event){ .kind = KILL });
    while (s->count > 0 && report->violation[0] == '\0') {
        struct event e = pop(s);
        if (!s->healed && e.at >= SAFETY_MS) {
            set_time(s, SAFETY_MS);
            heal(s);
        }
        set_time(s, e.at > s->now ? e.at : s->now);
        handle(s, &e);
        ft_buf_clear(&e.bytes);
        sim_centre_check(s->centre);
        if (sim_centre_done(s->centre))
            break;
        if (s->now > SAFETY_MS + SIM_LIVENESS_MS)
            sim_violated(s, "healed for %u ms of virtual time, and the task is not done", SIM_LIVENESS_MS);
        if (++report->events > EVENTS_MAX)
            sim_violated(s, "%u events and no end", EVENTS_MAX);
    }
    sim_centre_counts(s->centre, &commits, &report->abandoned);
    report->commits = commits;
    if (report->violation[0] == '\0' && !sim_centre_done(s->centre))
        sim_violated(s, "nothing is left to happen, and the task is not done");
    if (report->violation[0] == '\0' && commits != s->world.task.rounds + 2u)
        sim_violated(s, "done after %llu committed rounds, expected %u", (unsigned long long)commits, s->world.task.rounds + 2u);
out:
    crypto_generichash_final(&s->trace, report->trace, 32);
    clear(s);
    if (report->violation[0] == '\0' && ft_alloc_live() != live)
        snprintf(report->violation, sizeof report->violation, "%zu allocations are left after close",
                 ft_alloc_live() - live);
    report->ok = report->violation[0] == '\0';
}
