/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/topic/expiry_sift.h"

#include <inttypes.h>
#include <stdlib.h>

#include "broker/engine/group/group.h"
#include "broker/engine/group/group_rules.h"
#include "common/diag.h"

/* Of one turn: stretches that are looked at. */
#define TURN_STRETCHES 128u
/* Reads for all partitions, and the wait for one of them to end. */
#define READS_MAX    4u
#define READ_WAIT_MS 10
/* The wait before a read that failed is tried again, doubled each time. */
#define AGAIN_MS     1000
#define AGAIN_MAX_MS 60000

struct expiry_read {
    struct engine_op op;          /* first: its address is the tag */
    struct expiry *expiry;        /* NULL = of no use any more */
    struct ledger *ledger;        /* NULL = it has gone meanwhile */
    LIST_ENTRY(expiry_read) link; /* of those that the store has */
};

/* May messages go from the midst of the log? */
static bool is_compacted(const struct ledger *ledger)
{
    return topic_settings_of(ledger->partition->topic)->cleanup == CLEANUP_COMPACT;
}

bool expiry_is_sifted(const struct ledger *ledger, const struct run *run)
{
    return (group_filter_of(ledger->group) && run->deliveries == 0) || is_compacted(ledger);
}

struct expiry_walk expiry_sift_walk(const struct expiry *self, const struct ledger *ledger,
                                    uint64_t pos, uint32_t stretches)
{
    return (struct expiry_walk){.expiry = self,
                                .ledger = ledger,
                                .over = (unsigned)RUN_CLASS_READY | RUN_CLASS_DONE,
                                .pos = pos,
                                .held = UINT64_MAX,
                                .stretches = stretches,
                                .messages = UINT64_MAX};
}

bool expiry_sift_next(struct expiry_walk *walk, uint64_t end, struct run_span *ret)
{
    while (expiry_walk_next(walk, end, ret)) {
        if (expiry_is_sifted(walk->ledger, &ret->run)) {
            return true;
        }
        walk->pos = ret->end; /* a pass takes it out */
    }
    return false;
}

/* --- What is noted -------------------------------------------------------------------------------- */

void expiry_sift_want(struct engine *engine, struct expiry *self, uint64_t first, uint64_t end,
                      int64_t wait_ms)
{
    struct expiry_sift *const sift = &self->sift;
    const int64_t at_ms = engine->clock.broker_ms + wait_ms;
    const bool is_empty = sift->from == sift->to;
    sift->from = is_empty || first < sift->from ? first : sift->from;
    sift->to = is_empty || end > sift->to ? end : sift->to;
    if (!sift->is_walking && at_ms < sift->next_ms) {
        sift->next_ms = at_ms;
        expiry_arm(engine, self);
    }
}

int64_t expiry_sift_due_ms(const struct expiry *self)
{
    return self->sift.read ? INT64_MAX : self->sift.next_ms;
}

static void forget_read(struct expiry_sift *self)
{
    if (self->read) {
        self->read->expiry = NULL;
        self->read = NULL;
    }
}

void expiry_sift_void(struct expiry *self)
{
    forget_read(&self->sift);
    self->sift = (struct expiry_sift){.next_ms = INT64_MAX};
}

void expiry_sift_leaves(struct expiry *self, const struct ledger *ledger)
{
    struct expiry_sift *const sift = &self->sift;
    if (sift->is_walking && sift->at == ledger) {
        if (sift->read) {
            sift->read->ledger = NULL;
        }
        sift->at = ledger->next;
        sift->pos = sift->first;
    }
}

static void read_free(struct engine *engine, struct expiry_read *read)
{
    LIST_REMOVE(read, link);
    engine->expiries.reads--;
    free(read);
}

void expiry_sift_fini(struct engine *engine)
{
    while (!LIST_EMPTY(&engine->expiries.read_list)) {
        read_free(engine, LIST_FIRST(&engine->expiries.read_list));
    }
}

/* --- Reading -------------------------------------------------------------------------------------- */

static void try_again(struct engine *engine, struct expiry *self)
{
    struct expiry_sift *const sift = &self->sift;
    const unsigned doubled = sift->failures < 6 ? sift->failures : 6;
    const int64_t wanted_ms = (int64_t)AGAIN_MS << doubled;
    sift->failures++;
    sift->next_ms = engine->clock.broker_ms + (wanted_ms < AGAIN_MAX_MS ? wanted_ms : AGAIN_MAX_MS);
}

static void read_failed(struct engine *engine, struct expiry *self, const struct zsp_err *error)
{
    const struct partition *const partition = self->partition;
    try_again(engine, self);
    zsp_diag(
        engine->diag, ZSP_WARNING,
        "%s: partition %" PRIu32
        ": what of its expired messages filters want cannot be read, again in %" PRId64 " ms: %s",
        partition->topic->object, partition->index, self->sift.next_ms - engine->clock.broker_ms,
        error->code != 0 ? error->msg : "the store read nothing");
}

/* A read has ended, and its ledger is still there. */
static void take_read(struct engine *engine, struct expiry *self, struct ledger *ledger,
                      const struct store_completion *completion)
{
    struct expiry_sift *const sift = &self->sift;
    const uint64_t covered_end = completion->covered.end_offset;
    sift->next_ms = engine->clock.broker_ms + 1;
    switch (completion->error.code) {
    case 0:
        if (covered_end <= sift->pos) {
            read_failed(engine, self, &completion->error);
        } else if (engine->now.wall_ms < self->over_ms) {
            break; /* the clock went back meanwhile: the timer looks after it */
        } else if (expiry_takes_part(ledger) &&
                   !expiry_sift_take(engine, self, ledger, completion)) {
            try_again(engine, self);
        } else {
            sift->failures = 0;
        }
        break;
    case ZSP_ECORRUPT: /* a pull tells; what lies behind it goes on */
        sift->pos = covered_end > sift->pos ? covered_end : sift->pos + 1;
        break;
    case ZSP_EOUT_OF_RANGE: /* retention was faster */
        if (self->partition->start_offset > sift->pos) {
            sift->pos = self->partition->start_offset;
        } else {
            read_failed(engine, self, &completion->error);
        }
        break;
    case ZSP_ENOT_FOUND: /* the topic is going, and this with it */
        expiry_sift_void(self);
        break;
    default:
        read_failed(engine, self, &completion->error);
        break;
    }
}

static void read_done(struct engine *engine, struct engine_op *op,
                      const struct store_completion *completion)
{
    struct expiry_read *const read = (struct expiry_read *)op;
    struct expiry *const self = read->expiry;
    struct ledger *const ledger = read->ledger;
    read_free(engine, read);
    if (!self || engine->draining) {
        return;
    }
    self->sift.read = NULL;
    if (ledger) {
        take_read(engine, self, ledger, completion);
    } else {
        self->sift.next_ms = engine->clock.broker_ms + 1;
    }
    expiry_arm(engine, self);
}

static void begin_read(struct engine *engine, struct expiry *self)
{
    struct expiry_sift *const sift = &self->sift;
    const uint64_t visible_end = ledger_visible_end(sift->at);
    if (engine->expiries.reads >= READS_MAX) {
        sift->next_ms = engine->clock.broker_ms + READ_WAIT_MS;
        return;
    }
    struct expiry_read *const made = calloc(1, sizeof *made);
    if (!made) {
        group_out_of_memory(engine->groups);
        return;
    }
    *made = (struct expiry_read){.op.done_fn = read_done, .expiry = self, .ledger = sift->at};
    LIST_INSERT_HEAD(&engine->expiries.read_list, made, link);
    engine->expiries.reads++;
    sift->read = made;
    const struct store_read read = {
        .part = self->partition->part,
        .from_offset = sift->pos,
        .to_offset = sift->end < visible_end ? sift->end : visible_end,
        .max_bytes = EXPIRY_SIFT_BYTES,
        .tag = engine_op_tag(&made->op),
    };
    struct zsp_err error = {0};
    if (engine->store->ops->read(engine->store, &read, &error) < 0) {
        sift->read = NULL;
        read_free(engine, made);
        read_failed(engine, self, &error);
    }
}

/* --- Turns ---------------------------------------------------------------------------------------- */

static void begin_walk(struct expiry *self)
{
    struct expiry_sift *const sift = &self->sift;
    sift->is_walking = true;
    sift->first = sift->from;
    sift->end = sift->to;
    sift->from = sift->to = 0;
    sift->at = self->partition->ledger_first;
    sift->pos = sift->first;
    sift->held = UINT64_MAX;
    sift->turns = 0;
}

static void end_walk(struct engine *engine, struct expiry *self)
{
    struct expiry_sift *const sift = &self->sift;
    sift->is_walking = false;
    if (sift->from < sift->to) {
        sift->next_ms = engine->clock.broker_ms + 1;
    }
    if (sift->held < sift->end) {
        expiry_sift_want(engine, self, sift->held, sift->end, expiry_rest_of(sift->turns));
    }
}

void expiry_sift_turn(struct engine *engine, struct expiry *self)
{
    struct expiry_sift *const sift = &self->sift;
    uint32_t stretches = TURN_STRETCHES;
    sift->next_ms = INT64_MAX;
    if (!sift->is_walking) {
        begin_walk(self);
    }
    sift->turns++;
    while (sift->at) {
        struct ledger *const ledger = sift->at;
        struct expiry_walk walk = expiry_sift_walk(self, ledger, sift->pos, stretches);
        struct run_span span;
        if (expiry_takes_part(ledger) && (group_filter_of(ledger->group) || is_compacted(ledger))) {
            const bool found = expiry_sift_next(&walk, sift->end, &span);
            const bool is_too_far = found && !expiry_has_room(engine, ledger, &span);
            sift->pos = is_too_far ? UINT64_MAX : walk.pos;
            walk.held = is_too_far && span.first < walk.held ? span.first : walk.held;
            sift->held = sift->held < walk.held ? sift->held : walk.held;
            if (found && !is_too_far) {
                begin_read(engine, self);
                return;
            }
        } else {
            sift->pos = UINT64_MAX;
        }
        stretches = walk.stretches > 0 ? walk.stretches - 1 : 0;
        if (sift->pos == UINT64_MAX) {
            sift->at = ledger->next;
            sift->pos = sift->first;
        }
        if (stretches == 0) {
            sift->next_ms = engine->clock.broker_ms + 1;
            return;
        }
    }
    end_walk(engine, self);
}
