/* SPDX-License-Identifier: MPL-2.0
 *
 * The scan of a `keyed` group's ledger: what is unfinished is read ahead of the pulls, to learn its
 * keys. It goes on while somebody waits and little is READY, up to `look_ahead`; with priorities up
 * to that in any case, since what is most urgent may lie anywhere. Each message is read once by it, and
 * again by the pull that hands it out.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "broker/engine/group/group.h"
#include "broker/engine/ledger/levels.h"
#include "broker/engine/order/lanes.h"
#include "common/assert.h"
#include "common/container.h"
#include "common/diag.h"
#include "common/record.h"

#define SCAN_BYTES    (256u * ZSP_KIB) /* of one read */
#define SCAN_MESSAGES 16384u           /* likewise */
#define SCAN_LEARNED  (4u * ZSP_MIB)   /* of records that one read makes known, unpacked; about */
#define SCAN_COST     (64u * ZSP_KIB)  /* as so many bytes the smallest read counts */
#define AGAIN_MS      1000             /* a read that could not begin */

/* --- Lists ---------------------------------------------------------------------------------------- */

static struct lanes **list_of(const struct lanes *self)
{
    return self->place == LANES_WANTED ? &self->ledger->group->lanes_wanted
                                       : &self->groups->lanes_reading;
}

void lanes_list(struct lanes *self, enum lanes_place place)
{
    if (self->place == place) {
        return;
    }
    if (self->place != LANES_NOWHERE) {
        *(self->prev ? &self->prev->next : list_of(self)) = self->next;
        if (self->next) {
            self->next->prev = self->prev;
        }
    }
    self->next = self->prev = NULL;
    self->place = place;
    if (place != LANES_NOWHERE) {
        struct lanes **const first = list_of(self);
        self->next = *first;
        if (self->next) {
            self->next->prev = self;
        }
        *first = self;
    }
}

void lanes_free(struct lanes *self)
{
    self->groups->lanes_bytes -= self->counted_bytes;
    lane_table_fini(&self->table);
    free(self->unread);
    free(self->dirty.items);
    free(self->recalls.items);
    free(self);
}

void lanes_fini(struct groups *groups)
{
    while (groups->lanes_reading) {
        struct lanes *const self = groups->lanes_reading;
        lanes_list(self, LANES_NOWHERE);
        if (self->ledger) {
            self->ledger->group->lanes_reading--;
        } else {
            lanes_free(self);
        }
    }
}

/* --- What comes next ------------------------------------------------------------------------------ */

/* The first message from the cursor on that is unfinished, or fresh; the cursor moves there. */
static uint64_t find_next(struct lanes *self)
{
    const struct ledger *ledger = self->ledger;
    struct run_span span;
    uint64_t at = self->cursor;
    for (;;) {
        const bool below = at < ledger->journaled; /* what has no run there is done */
        if (!runmap_next(&ledger->runs, at,
                         below ? (unsigned)RUN_CLASS_UNFINISHED : (unsigned)RUN_CLASS_ANY, &span)) {
            at = at > ledger->journaled ? at : ledger->journaled;
            break;
        }
        if (below && span.first > ledger->journaled) {
            at = ledger->journaled;
            continue;
        }
        const enum run_state state = (enum run_state)span.run.state;
        if (span.first > at && !below) {
            break; /* fresh */
        }
        if (state != RUN_DONE && state != RUN_DEAD) {
            at = at > span.first ? at : span.first;
            break;
        }
        at = span.end;
    }
    self->cursor = at;
    return at;
}

uint64_t lanes_bound(const struct ledger *ledger)
{
    const uint64_t committed = ledger_committed(ledger);
    const uint64_t ahead = group_settings_of(ledger->group)->look_ahead;
    return committed < UINT64_MAX - ahead ? committed + ahead : UINT64_MAX;
}

static void count_bytes(struct lanes *self)
{
    if (self->recalls.count == 0) { /* they may name lanes that are gone */
        lane_table_trim(&self->table);
    }
    const size_t bytes = lane_table_bytes(&self->table);
    self->groups->lanes_bytes += bytes - self->counted_bytes;
    self->counted_bytes = bytes;
}

static void retry_fired(struct engine *engine, struct timer *timer)
{
    struct lanes *const self = CONTAINER_OF(timer, struct lanes, retry);
    struct group *const group = self->ledger->group;
    lanes_look(engine->groups, self->ledger);
    group_wake(engine->groups, group);
}

static void look_again_later(struct lanes *self)
{
    struct engine *const engine = self->groups->engine;
    self->retry.fire_fn = retry_fired;
    engine_arm(engine, TIMER_WAIT, &self->retry, engine->clock.broker_ms + AGAIN_MS);
}

/* When others take the room, nobody tells that they give it back. */
static bool is_too_large(struct lanes *self)
{
    if (self->counted_bytes > LANES_BYTES_MAX) {
        return true;
    }
    self->awaits_room =
        self->groups->lanes_bytes > LANES_ALL_BYTES_MAX && self->counted_bytes > LANES_BYTES_LEAST;
    if (self->awaits_room) {
        look_again_later(self);
    }
    return self->awaits_room;
}

/* What this scan may look at. */
static uint64_t limit_of(struct lanes *self)
{
    const uint64_t bound = lanes_bound(self->ledger);
    const uint64_t limit = bound > self->must ? bound : self->must;
    self->reach = self->reach > limit ? self->reach : limit;
    return limit;
}

bool lanes_wants(struct lanes *self)
{
    const struct ledger *ledger = self->ledger;
    self->is_stalled = false;
    count_bytes(self);
    if (self->awaits_room) {
        engine_cancel(self->groups->engine, TIMER_WAIT, &self->retry);
        self->awaits_room = false;
    }
    if (timer_is_armed(&self->retry) || !levels_are_known(ledger)) {
        return false;
    }
    if (self->unread_count > 0) {
        return true;
    }
    const uint64_t next = find_next(self);
    const uint64_t end = ledger_visible_end(ledger);
    if (next >= end) {
        struct run_span out;
        if (!runmap_next(&ledger->runs, end, RUN_CLASS_LEASED, &out)) {
            self->must = self->must < end ? self->must : end; /* behind damage nothing is out */
        }
        return false;
    }
    if (next < self->must) {
        return true;
    }
    if (next >= limit_of(self) || is_too_large(self)) {
        self->is_stalled = true;
        return false;
    }
    return ledger_levels(ledger) || runmap_count(&ledger->runs, RUN_READY) < LANES_AHEAD;
}

/* --- Learning ------------------------------------------------------------------------------------- */

/* A read that has come. */
struct scan {
    struct lanes *lanes;
    struct ledger *ledger;
    uint64_t at, end;    /* what is left of it */
    size_t learned;      /* bytes of records, unpacked */
    struct run_span run; /* at or behind `at`; of state NONE = there is none */
    /* fresh messages that become one run */
    struct run_span made;
};

/* Give the fresh messages that were gathered their run. */
static int flush(struct scan *self)
{
    const struct run_span made = self->made;
    self->made = (struct run_span){0};
    if (made.first == made.end) {
        return 0;
    }
    zsp_assert(made.first >= self->ledger->high);
    int rc = runmap_set(&self->ledger->runs, made.first, made.end, &made.run);
    if (rc == 0) {
        self->ledger->above += made.end - made.first;
        ledger_pass(self->ledger);
    }
    return rc;
}

static int gather(struct scan *self, uint64_t first, uint64_t end, enum run_state state,
                  unsigned priority)
{
    const int8_t urgency = (int8_t)((int)priority - (int)ZSP_PRIORITY);
    struct run_span *made = &self->made;
    if (made->end == first && made->first < first && made->run.state == state &&
        made->run.urgency == urgency) {
        made->end = end;
        return 0;
    }
    int rc = flush(self);
    self->made = (struct run_span){
        .first = first, .end = end, .run = {.state = (uint8_t)state, .urgency = urgency}};
    return rc;
}

/* The run of the message at hand; NONE = it has none. Offsets come in order. */
static struct run run_at(struct scan *self, uint64_t offset)
{
    struct run_span *run = &self->run;
    if (run->end <= offset && !runmap_next(&self->ledger->runs, offset, RUN_CLASS_ANY, run)) {
        *run = (struct run_span){.first = UINT64_MAX, .end = UINT64_MAX};
    }
    return run->first <= offset ? run->run : (struct run){.state = RUN_NONE};
}

static bool is_delayed(const struct ledger *ledger, uint64_t offset)
{
    struct run_span span;
    return levels_next_delayed(ledger, offset, &span) && span.first <= offset;
}

/* Without a key nothing keeps it back. */
static int unpark(struct scan *self, uint64_t first, uint64_t end)
{
    self->run = (struct run_span){0}; /* to be looked up again */
    return lanes_set_state(self->ledger, first, end, RUN_READY);
}

/* Must the message be known now? Beyond the cursor only what is dead, which holds its key wherever
 * it lies. */
static bool is_asked_for(const struct scan *self, uint64_t offset, const struct run *run)
{
    const struct lanes *lanes = self->lanes;
    if (run->state == RUN_NONE && offset < self->ledger->journaled) {
        return false;
    }
    return !lanes->reads_back || offset < lanes->cursor || run->state == RUN_DEAD;
}

/* `key` without data: it has none. */
static int learn(struct scan *self, uint64_t offset, struct zsp_slice key, unsigned priority)
{
    struct run run = run_at(self, offset);
    uint32_t lane = LANE_FREE;
    enum run_state fresh = RUN_READY;
    if (!is_asked_for(self, offset, &run) || lane_entry(&self->lanes->table, offset)) {
        return 0;
    }
    int rc = key.data ? lane_table_open(&self->lanes->table, key, &lane) : 0;
    if (run.state == RUN_NONE && is_delayed(self->ledger, offset)) {
        run.state = RUN_WAITING;
    }
    if (rc == 0) {
        rc = lanes_learn(self->lanes, offset, lane, &run, &fresh);
    }
    if (rc == 0 && run.state == RUN_NONE) {
        rc = gather(self, offset, offset + 1, fresh, priority);
    } else if (rc == 0 && !key.data && run.state == RUN_PARKED) {
        rc = unpark(self, offset, offset + 1);
    }
    return rc;
}

/* What the log does not hold any more: nobody waits for it, and a pull finds that it is gone. */
static int learn_absent(struct scan *self, uint64_t end)
{
    int rc = 0;
    while (rc == 0 && self->at < end) {
        const struct run run = run_at(self, self->at);
        uint64_t next = run.state != RUN_NONE ? self->run.end : self->run.first;
        next = next < end ? next : end;
        const uint64_t at = self->at;
        const uint64_t journaled = self->ledger->journaled;
        if (run.state == RUN_NONE && at < journaled && next > journaled) {
            next = journaled; /* what is behind is fresh */
        }
        self->at = next;
        if (run.state == RUN_NONE && at >= journaled && !self->lanes->reads_back) {
            rc = gather(self, at, next, RUN_READY, ZSP_PRIORITY);
        } else if (run.state == RUN_PARKED) {
            rc = unpark(self, at, next);
        }
    }
    return rc;
}

/* The records of a batch that are wanted. */
static int learn_batch(struct scan *self, struct engine *engine, const struct store_batch *batch,
                       struct zsp_err *err)
{
    const uint64_t batch_end = batch->first_offset + batch->record_count;
    const uint64_t end = batch_end < self->end ? batch_end : self->end;
    struct zsp_slice rest = batch->body;
    struct zsp_slice record = {0};
    struct zsp_buf *raw = NULL;
    size_t skipped = 0;
    int rc = 0;
    if (batch->codec != 0) {
        rc = unpack_stored(&engine->unpack, self->ledger->partition, batch, &raw, err);
        rest = raw ? (struct zsp_slice){raw->data, raw->len} : rest;
    }
    if (rc == 0) {
        rc = zsp_record_position(rest, (uint32_t)(self->at - batch->first_offset), &skipped);
    }
    rest = (struct zsp_slice){rest.data + skipped, rest.len - skipped};
    self->learned += rest.len;
    while (rc == 0 && self->at < end) {
        struct zsp_slice key = {0};
        rc = zsp_record_next(&rest, &record) == 0 ? zsp_record_key(record, &key) : ZSP_ECORRUPT;
        if (rc == 0) {
            rc = learn(self, self->at, key, batch->priority);
        }
        self->at += rc == 0 ? 1 : 0;
    }
    zsp_buf_put(&raw);
    return rc;
}

static int learn_all(struct scan *self, struct engine *engine,
                     const struct store_completion *completion, struct zsp_err *err)
{
    int rc = 0;
    for (uint32_t i = 0; i < completion->batch_count && rc == 0 && self->at < self->end; i++) {
        if (self->learned >= SCAN_LEARNED) {
            self->end = self->at; /* the rest is read again, in another turn */
            break;
        }
        const struct store_batch *batch = &completion->batches[i];
        if (batch->first_offset + batch->record_count <= self->at) {
            continue;
        }
        rc = learn_absent(self, batch->first_offset < self->end ? batch->first_offset : self->end);
        if (rc == 0 && self->at < self->end) {
            rc = learn_batch(self, engine, batch, err);
        }
    }
    return rc == 0 ? learn_absent(self, self->end) : rc;
}

/* --- Reading -------------------------------------------------------------------------------------- */

static void try_again_later(struct engine *engine, struct lanes *self, const struct zsp_err *why)
{
    const struct ledger *ledger = self->ledger;
    zsp_diag(engine->diag, ZSP_WARNING, "%s: the keys of topic %s partition %" PRIu32 ": %s",
             ledger->group->object, ledger->binding->followers->name_bytes,
             ledger_partition_index(ledger), why->msg);
    look_again_later(self);
}

/* What was not read of the stretch in hand is to be read again. */
static void put_back(struct lanes *self, uint64_t from)
{
    if (self->reads_back && from < self->to && lanes_push_unread(self, from, self->to) < 0) {
        group_out_of_memory(self->groups);
    }
    self->reads_back = false;
}

static void meet_damage(struct lanes *self, uint64_t first)
{
    struct ledger *ledger = self->ledger;
    if (self->reads_back || first >= ledger_rare_of(ledger)->blocked) {
        return; /* what key a dead message there has, nobody knows */
    }
    group_ledger_block(self->groups, ledger, first);
}

/* Up to where is it read? */
static uint64_t take_in(struct engine *engine, struct lanes *self,
                        const struct store_completion *completion, struct zsp_err *err)
{
    const uint64_t covered = completion->covered.end_offset;
    struct scan scan = {.lanes = self, .ledger = self->ledger, .at = self->from};
    scan.end = covered < self->to ? covered : self->to;
    int rc = learn_all(&scan, engine, completion, err);
    const uint64_t end = scan.at;
    if (!self->reads_back) {
        self->cursor = self->cursor > end ? self->cursor : end;
    }
    if (rc == ZSP_ECORRUPT) {
        meet_damage(self, end);
    } else if (rc == 0 && end == self->from) {
        (void)zsp_err_set(err, ZSP_EINTERNAL, "the store read nothing at %" PRIu64, end);
        try_again_later(engine, self, err);
    }
    const bool is_damaged = rc == ZSP_ECORRUPT;
    rc = is_damaged ? 0 : rc;
    rc = flush(&scan) < 0 ? ZSP_ENOMEM : rc;
    if (rc < 0 || lanes_learned(self, self->from, end) < 0) {
        group_out_of_memory(self->groups);
    }
    return is_damaged ? end + 1 : end;
}

/* What the log does not hold any more has no run either: nobody waits for its key. Up to where is it
 * read? */
static uint64_t pass_gone(struct lanes *self)
{
    const struct partition *partition = self->ledger->partition;
    const uint64_t kept = self->reads_back ? partition->island_offset : partition->start_offset;
    if (!self->reads_back) {
        self->cursor = self->cursor > kept ? self->cursor : kept;
    }
    return self->from > kept ? self->from : kept;
}

/* How far was read for who waits to be given more. */
static void count_scanned(struct group_work *work, const struct store_completion *completion)
{
    size_t bytes = 0;
    uint64_t messages = 0;
    for (uint32_t i = 0; i < completion->batch_count; i++) {
        bytes += completion->batches[i].body.len;
        messages += completion->batches[i].record_count;
    }
    if (work) {
        work->scanned_messages += messages;
        work->scanned_bytes += bytes > SCAN_COST ? bytes : SCAN_COST;
    }
}

static void scan_done(struct engine *engine, struct engine_op *op,
                      const struct store_completion *completion)
{
    struct lanes *const self = (struct lanes *)op;
    struct ledger *const ledger = self->ledger;
    struct zsp_err error = completion->error;
    uint64_t end;
    lanes_list(self, LANES_NOWHERE);
    if (!ledger) {
        lanes_free(self);
        return;
    }
    struct group *const group = ledger->group;
    group->lanes_reading--;
    count_scanned(group->work, completion);
    switch (error.code) {
    case 0:
        end = take_in(engine, self, completion, &error);
        break;
    case ZSP_ECORRUPT:
        meet_damage(self, completion->covered.first_offset > self->from
                              ? completion->covered.first_offset
                              : self->from);
        end = completion->covered.end_offset;
        break;
    case ZSP_EOUT_OF_RANGE: /* retention was faster */
    case ZSP_ENOT_FOUND:    /* the topic is going */
        end = pass_gone(self);
        if (end == self->from) {
            try_again_later(engine, self, &error);
        }
        break;
    default:
        end = self->from;
        try_again_later(engine, self, &error);
        break;
    }
    put_back(self, end);
    group_ledger_changed(engine->groups, ledger);
    if (group_is_awaited(group)) {
        group_wake(engine->groups, group);
    }
}

/* The next stretch to be read: one that was passed by, or from the cursor on. */
static void choose(struct lanes *self)
{
    const uint64_t end = ledger_visible_end(self->ledger);
    self->reads_back = self->unread_count > 0;
    if (!self->reads_back) {
        const uint64_t limit = limit_of(self);
        self->from = find_next(self);
        self->to = end < limit ? end : limit;
        self->to = self->to - self->from < SCAN_MESSAGES ? self->to : self->from + SCAN_MESSAGES;
        return;
    }
    const struct run_span *last = &self->unread[--self->unread_count];
    self->from = last->first;
    self->to = last->end;
    while (self->unread_count > 0) { /* those right before it as well */
        last = &self->unread[self->unread_count - 1];
        if (last->first > self->from || last->end + LANE_CHUNK < self->from ||
            self->to - last->first > SCAN_MESSAGES) {
            break;
        }
        self->from = last->first;
        self->to = self->to > last->end ? self->to : last->end;
        self->unread_count--;
    }
}

static void read_some(struct engine *engine, struct lanes *self)
{
    struct zsp_err error = {0};
    choose(self);
    const struct store_read read = {
        .part = self->ledger->partition->part,
        .from_offset = self->from,
        .to_offset = self->to,
        .max_bytes = SCAN_BYTES,
        .tag = engine_op_tag(&self->op),
    };
    self->op.done_fn = scan_done;
    lanes_list(self, LANES_READING);
    self->ledger->group->lanes_reading++;
    if (engine->store->ops->read(engine->store, &read, &error) == 0) {
        return;
    }
    lanes_list(self, LANES_NOWHERE);
    self->ledger->group->lanes_reading--;
    put_back(self, self->from);
    try_again_later(engine, self, &error);
}

void lanes_serve(struct engine *engine, struct group *group)
{
    while (group->lanes_wanted && group_is_awaited(group) && !engine->failed) {
        struct lanes *const self = group->lanes_wanted;
        if (lanes_wants(self)) {
            read_some(engine, self);
        } else {
            lanes_list(self, LANES_NOWHERE);
        }
    }
}
