/* SPDX-License-Identifier: MPL-2.0
 *
 * A look inside, the only one of the simulator: does what the engine holds of its groups agree with
 * itself? Now and then, and in the end, when nothing is left to be done.
 *
 *   - what is out is out under a lease that lives, and a lease has so much out as it says
 *   - messages with a run above `high` are those that are counted; what is DONE below `journaled` is no run
 *   - a block with something durable is among those that are kept
 *   - in the end nobody has reserved anything; where all is committed only the dead have runs; when
 *     there are no runs, there is no node of a run
 */
#include <inttypes.h>
#include <string.h>

#include "broker/engine/engine_priv.h"
#include "broker/engine/group/group.h"
#include "broker/engine/ledger/ledger_codec.h"
#include "tests/sim/sim.h"

#define LEASES_MAX 1024u

struct out_count {
    uint64_t lease, messages;
};

struct look {
    struct sim *sim;
    struct groups *groups;
    const struct ledger *ledger; /* that is looked at */
    struct out_count out[LEASES_MAX];
    size_t out_count;
    uint64_t runs;
};

static void complain(const struct look *self, const char *what, uint64_t offset)
{
    const struct ledger *ledger = self->ledger;
    (void)model_fail(&self->sim->model, "inside: %s, %.*s/%u/%" PRIu64 ": %s",
                     ledger->group ? ledger->group->object : "no group",
                     ledger->partition ? (int)ledger->partition->topic->name.len : 0,
                     ledger->partition ? (const char *)ledger->partition->topic->name.data : "",
                     ledger_partition_index(ledger), offset, what);
}

static void add_out(struct look *self, uint64_t lease, uint64_t messages)
{
    size_t i = 0;
    while (i < self->out_count && self->out[i].lease != lease) {
        i++;
    }
    if (i == self->out_count && i < LEASES_MAX) {
        self->out[self->out_count++] = (struct out_count){.lease = lease};
    }
    if (i < LEASES_MAX) {
        self->out[i].messages += messages;
    }
}

static int look_at_run(void *arg, const struct run_span *span)
{
    struct look *self = arg;
    const struct ledger *ledger = self->ledger;
    self->runs++;
    if (span->run.state == RUN_LEASED) {
        const struct lease *lease = lease_find(&self->groups->leases, span->run.lease);
        add_out(self, span->run.lease, span->end - span->first);
        if (!lease || lease->group != ledger->group) {
            complain(self, "it is out, and under no lease of its group", span->first);
        }
    }
    if (span->run.state == RUN_DONE && span->first < ledger->journaled) {
        complain(self, "it is done, and still has a run", span->first);
    }
    return self->sim->model.failed ? 1 : 0;
}

/* Of all runs at or behind an offset. */
static uint64_t count_from(const struct ledger *ledger, uint64_t first)
{
    const struct run_counts counts = runmap_count_in(&ledger->runs, first, UINT64_MAX);
    uint64_t count = 0;
    for (int state = RUN_NONE + 1; state < RUN_STATES; state++) {
        count += counts.of[state];
    }
    return count;
}

static void look_at_blocks(const struct look *self)
{
    const struct ledger *ledger = self->ledger;
    for (uint64_t block = 0; ledger_next_block(ledger, &block); block++) {
        if (!block_set_has(&ledger->blocks, block)) {
            complain(self, "what is durable of it is not kept", block * ZSP_STATE_BLOCK);
        }
    }
}

static void look_at_ledger(struct look *self)
{
    const struct ledger *ledger = self->ledger;
    struct run_span span;
    (void)runmap_visit(&ledger->runs, 0, UINT64_MAX, look_at_run, self);
    if (count_from(ledger, ledger->high) != ledger->above) {
        complain(self, "the messages with a run from there on are not those that are counted",
                 ledger->high);
    }
    if (ledger->journaled > ledger->high || ledger->journaled > ledger->water) {
        complain(self, "what is durable, or was ever handed out, ends elsewhere", ledger->high);
    }
    if (runmap_next(&ledger->runs, ledger->high, RUN_CLASS_ANY, &span) &&
        span.first <= ledger->high) {
        complain(self, "a run lies where what is fresh should begin", ledger->high);
    }
    look_at_blocks(self);
}

static void look_at_leases(const struct look *self)
{
    struct groups *groups = self->groups;
    uint64_t leases = 0;
    for (size_t i = 0; i < self->out_count; i++) {
        const struct lease *lease = lease_find(&groups->leases, self->out[i].lease);
        leases++;
        if (lease && lease->outstanding != self->out[i].messages) {
            (void)model_fail(&self->sim->model,
                             "inside: %" PRIu64 " messages are out under lease %" PRIu64
                             ", which has %" PRIu64,
                             self->out[i].messages, lease->number, lease->outstanding);
        }
    }
    if (self->out_count < LEASES_MAX && groups->leases.count != leases) {
        (void)model_fail(&self->sim->model,
                         "inside: there are %zu leases, and messages are out under %" PRIu64,
                         groups->leases.count, leases);
    }
}

static bool begin(struct look *self, struct sim *sim)
{
    struct engine *engine = sim->world.engine;
    if (!sim->world.up || !engine || engine->failed || sim->model.failed) {
        return false;
    }
    *self = (struct look){.sim = sim, .groups = engine->groups};
    return true;
}

static bool next_ledger(struct look *self, size_t *cursor)
{
    self->ledger = self->sim->model.failed ? NULL : zsp_table_next(&self->groups->ledgers, cursor);
    return self->ledger != NULL;
}

void inside_look(struct sim *sim)
{
    static struct look self;
    size_t cursor = 0;
    if (!begin(&self, sim)) {
        return;
    }
    while (next_ledger(&self, &cursor)) {
        look_at_ledger(&self);
    }
    if (!sim->model.failed) {
        look_at_leases(&self);
    }
}

void inside_final(struct sim *sim)
{
    static struct look self;
    size_t cursor = 0;
    inside_look(sim);
    if (!begin(&self, sim)) {
        return;
    }
    while (next_ledger(&self, &cursor)) {
        const struct ledger *ledger = self.ledger;
        const unsigned over = RUN_CLASS_DEAD | RUN_CLASS_HOLDING | RUN_CLASS_OWING;
        if (runmap_count(&ledger->runs, RUN_RESERVED) > 0) {
            complain(&self, "it is reserved, and nobody pulls", 0);
        }
        if (ledger_committed(ledger) == ledger->mark &&
            (runmap_classes(&ledger->runs) & ~over) != 0) {
            complain(&self, "all is committed, and others than the dead have runs", ledger->mark);
        }
        self.runs += runmap_classes(&ledger->runs) != 0 ? 1 : 0;
    }
    while (run_slab_sweep(&self.groups->slab)) {
    }
    if (!sim->model.failed && self.runs == 0 && self.groups->slab.used > 1) {
        (void)model_fail(&sim->model, "inside: no ledger has a run, and %u nodes of runs are there",
                         self.groups->slab.used - 1);
    }
}
