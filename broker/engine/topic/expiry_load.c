/* SPDX-License-Identifier: MPL-2.0
 *
 * What is not known of when messages expire is read, from the headers of their batches; a few
 * partitions at a time.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "broker/engine/group/group.h"
#include "broker/engine/topic/expiry.h"
#include "common/diag.h"

#define LOADS_MAX 4u
/* The wait for one of these to end, and before a load that failed is tried again, doubled each time. */
#define LOAD_AGAIN_MS     1000
#define LOAD_AGAIN_MAX_MS 60000

struct expiry_load {
    struct engine_op op;          /* first: its address is the tag */
    struct expiry *expiry;        /* NULL = of no use any more */
    LIST_ENTRY(expiry_load) link; /* of those that the store has */
    uint64_t first, next, end;
    int64_t again_ms;  /* broker time, while it waits; INT64_MAX = it does not */
    unsigned failures; /* in a row */
    bool is_up;        /* from expiry->to on; else up to expiry->from */
};

int64_t expiry_load_again_ms(const struct expiry *self)
{
    return self->load ? self->load->again_ms : INT64_MAX;
}

static void enlist(struct engine *engine, struct expiry_load *load)
{
    LIST_INSERT_HEAD(&engine->expiries.load_list, load, link);
    engine->expiries.loads++;
}

static void delist(struct engine *engine, struct expiry_load *load)
{
    LIST_REMOVE(load, link);
    engine->expiries.loads--;
}

static void load_free(struct engine *engine, struct expiry_load *load)
{
    if (load->again_ms == INT64_MAX) {
        delist(engine, load);
    }
    free(load);
}

void expiry_loads_fini(struct engine *engine)
{
    while (!LIST_EMPTY(&engine->expiries.load_list)) {
        struct expiry_load *const load = LIST_FIRST(&engine->expiries.load_list);
        delist(engine, load);
        free(load);
    }
}

void expiry_load_void(struct engine *engine, struct expiry *self)
{
    struct expiry_load *const load = self->load;
    self->load = NULL;
    if (load && load->again_ms != INT64_MAX) {
        load_free(engine, load);
    } else if (load) {
        load->expiry = NULL;
    }
}

/* All that was wanted is known, or as much as there is room for. */
static void load_ends(struct engine *engine, struct expiry_load *load, bool is_full)
{
    struct expiry *const self = load->expiry;
    if (load->is_up) {
        self->to = is_full ? load->next : UINT64_MAX;
    } else {
        self->from = load->first;
        if (is_full) {
            expiry_clear(engine, self, load->next, UINT64_MAX);
            self->to = load->next;
        }
    }
    self->load = NULL;
    load_free(engine, load);
    expiry_want_pass(engine, self, 0);
    expiry_arm(engine, self);
}

static int load_found(struct engine *engine, struct expiry_load *load,
                      const struct store_completion *completion)
{
    int rc = 0;
    for (uint32_t i = 0; i < completion->terms_count && rc == 0; i++) {
        const struct store_terms *terms = &completion->terms[i];
        struct run_span span = {
            .first = terms->first_offset > load->next ? terms->first_offset : load->next,
            .end = terms->end_offset < load->end ? terms->end_offset : load->end,
            .run = {.urgency = (int8_t)((int)terms->priority - (int)ZSP_PRIORITY)}};
        if (span.first < span.end) {
            rc = expiry_note(engine, load->expiry, &span, terms->not_before_ms);
        }
    }
    return rc;
}

static void load_failed(struct engine *engine, struct expiry_load *load,
                        const struct zsp_err *error)
{
    const struct partition *const partition = load->expiry->partition;
    const unsigned doubled = load->failures < 6 ? load->failures : 6;
    const int64_t wanted_ms = (int64_t)LOAD_AGAIN_MS << doubled;
    const int64_t wait_ms = wanted_ms < LOAD_AGAIN_MAX_MS ? wanted_ms : LOAD_AGAIN_MAX_MS;
    zsp_diag(engine->diag, ZSP_WARNING,
             "%s: partition %" PRIu32 ": when its messages expire cannot be read, again in %" PRId64
             " ms: %s",
             partition->topic->object, partition->index, wait_ms,
             error->code != 0 ? error->msg : "the store read nothing");
    load->failures++;
    load->again_ms = engine->clock.broker_ms + wait_ms;
    delist(engine, load);
    expiry_arm(engine, load->expiry);
}

static void load_read(struct engine *engine, struct expiry_load *load)
{
    const struct store_read_terms read = {
        .part = load->expiry->partition->part,
        .from_offset = load->next,
        .to_offset = load->end,
        .expiry_grain_ms = EXPIRY_GRAIN_MS,
        .tag = engine_op_tag(&load->op),
    };
    struct zsp_err error = {0};
    if (engine->store->ops->read_terms(engine->store, &read, &error) < 0) {
        load_failed(engine, load, &error);
    }
}

static void load_done(struct engine *engine, struct engine_op *op,
                      const struct store_completion *completion)
{
    struct expiry_load *load = (struct expiry_load *)op;
    const uint64_t before = load->next;
    if (!load->expiry) {
        load_free(engine, load);
        return;
    }
    switch (completion->error.code) {
    case 0:
        if (load_found(engine, load, completion) < 0) {
            group_out_of_memory(engine->groups);
            return;
        }
        load->next = completion->covered.end_offset;
        break;
    case ZSP_EOUT_OF_RANGE: /* retention was faster */
        load->next = load->expiry->partition->start_offset;
        break;
    case ZSP_ENOT_FOUND: /* the topic is going, and this with it */
        load->expiry->load = NULL;
        load_free(engine, load);
        return;
    default:
        break;
    }
    load->end = load->is_up ? load->expiry->partition->synced_offset : load->end;
    if (load->next >= load->end) {
        load_ends(engine, load, false);
    } else if (load->next > before && expiry_is_full(engine)) {
        load_ends(engine, load, true);
    } else if (load->next > before) {
        load->failures = 0;
        load_read(engine, load);
    } else {
        load->next = before;
        load_failed(engine, load, &completion->error);
    }
}

static void begin(struct engine *engine, struct expiry *self, uint64_t first, uint64_t end,
                  bool is_up)
{
    if (engine->expiries.loads >= LOADS_MAX) {
        expiry_want_pass(engine, self, LOAD_AGAIN_MS);
        return;
    }
    struct expiry_load *load = calloc(1, sizeof *load);
    if (!load) {
        group_out_of_memory(engine->groups);
        return;
    }
    *load = (struct expiry_load){.op.done_fn = load_done,
                                 .expiry = self,
                                 .first = first,
                                 .next = first,
                                 .end = end,
                                 .again_ms = INT64_MAX,
                                 .is_up = is_up};
    self->load = load;
    enlist(engine, load);
    load_read(engine, load);
}

void expiry_want_load(struct engine *engine, struct expiry *self, uint64_t first)
{
    const struct partition *const partition = self->partition;
    first = first > partition->start_offset ? first : partition->start_offset;
    if (self->load) {
        return;
    }
    if (first < self->from) {
        begin(engine, self, first, self->from, false);
        return;
    }
    if (self->to == UINT64_MAX) {
        return;
    }
    self->to = self->to > first ? self->to : first;
    if (self->to >= partition->synced_offset) {
        self->to = UINT64_MAX;
    } else if (engine->expiries.slab.used < engine->options.expiry_runs_max / 2) {
        begin(engine, self, self->to, partition->synced_offset, true);
    } else {
        expiry_want_pass(engine, self, LOAD_AGAIN_MAX_MS);
    }
}

void expiry_load_again(struct engine *engine, struct expiry *self)
{
    self->load->again_ms = INT64_MAX;
    enlist(engine, self->load);
    load_read(engine, self->load);
}
