/* SPDX-License-Identifier: MPL-2.0
 *
 * GROUP.TRACE: how one message stands in a group, and where it comes from. It changes nothing. The
 * log is asked for its batch first; what the group says is as it is when that has come.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "broker/engine/group/group.h"
#include "broker/engine/group/mark_watch.h"
#include "broker/engine/group/why.h"
#include "broker/engine/ledger/levels.h"
#include "broker/engine/publish/producer.h"
#include "broker/engine/verb.h"
#include "common/assert.h"

struct trace {
    struct engine_op op; /* first: its address is the tag */
    struct reply_to to;
    LIST_ENTRY(trace) link;
    uint64_t group_id, topic_id, offset;
    uint32_t partition;
};

/* What is told. */
struct traced {
    const char *status;
    struct run run;
    const struct lease *lease; /* of a message that is out, while it lives */
    int64_t at_ms;             /* wall: the end of the lease, or when it is due; 0 = none */
    bool is_found, is_corrupt; /* in the log */
    struct store_batch batch;  /* of the log; `frame` and `body` are not used */
};

/* --- The object --------------------------------------------------------------------------------- */

static void end(struct trace *trace)
{
    LIST_REMOVE(trace, link);
    free(trace);
}

void traces_fini(struct groups *self)
{
    while (!LIST_EMPTY(&self->traces)) {
        end(LIST_FIRST(&self->traces));
    }
}

/* --- What is known ------------------------------------------------------------------------------- */

/* Does a message that was never handed out wait for its time? Pulls go by the agenda: what came due
 * once stays so when the clock is set back. What that does not know is judged when it is read again. */
static bool waits_for_time(const struct engine *engine, const struct ledger *ledger,
                           uint64_t offset, const struct store_batch *batch)
{
    const struct agenda *const agenda = ledger->partition->agenda;
    struct run_span span;
    if (!agenda || offset < agenda->from) {
        return batch->not_before_ms > engine->now.wall_ms;
    }
    return runmap_next(&agenda->map, offset, RUN_CLASS_WAITING, &span) && span.first <= offset;
}

/* It has no run: done, or never handed out. */
static void look_at_gap(const struct engine *engine, const struct ledger *ledger, uint64_t offset,
                        struct traced *ret)
{
    const bool waits = ret->is_found && offset >= ledger->high &&
                       waits_for_time(engine, ledger, offset, &ret->batch);
    ret->status = offset < ledger->high ? "done" : waits ? "waiting" : "ready";
    ret->at_ms = waits ? ret->batch.not_before_ms : 0;
}

static void look(const struct engine *engine, const struct ledger *ledger, uint64_t offset,
                 struct traced *ret)
{
    static const char *const words[RUN_STATES] = {
        [RUN_NONE] = "ready",      [RUN_READY] = "ready",   [RUN_RESERVED] = "ready",
        [RUN_WAITING] = "waiting", [RUN_LEASED] = "leased", [RUN_DEAD] = "dead",
        [RUN_DONE] = "done",       [RUN_PARKED] = "ready",
    };
    struct run_span span;
    if (!runmap_next(&ledger->runs, offset, RUN_CLASS_ANY, &span) || span.first > offset) {
        look_at_gap(engine, ledger, offset, ret);
        return;
    }
    ret->run = span.run;
    ret->status = words[span.run.state];
    if (span.run.state == RUN_WAITING) {
        ret->at_ms = why_wall_ms(engine, span.run.due_ms);
    }
    if (span.run.state == RUN_LEASED) {
        ret->lease = lease_find(&engine->groups->leases, span.run.lease);
        ret->at_ms = ret->lease ? why_wall_ms(engine, ret->lease->deadline_ms) : 0;
    }
}

/* --- The answer ----------------------------------------------------------------------------------- */

static void write_reasons(const struct groups *self, struct zsp_writer *out, uint32_t set)
{
    const uint32_t count = reasons_count(&self->reasons, set);
    wire_write_text(out, "reasons");
    wire_write_array(out, count);
    for (uint32_t i = 0; i < count; i++) {
        wire_write_str(out, reasons_text(&self->reasons, set, i));
    }
}

static void write_holder(const struct engine *engine, struct zsp_writer *out,
                         const struct lease *lease)
{
    const struct zsp_slice name = session_names_find(&engine->groups->names, lease->session);
    wire_write_text(out, "holder");
    wire_write_map(out, 3u + (name.data ? 1u : 0u));
    wire_write_text_uint(out, "member", lease->session);
    if (name.data) {
        wire_write_text_str(out, "name", name);
    }
    wire_write_text_uint(out, "since_ms", (uint64_t)why_wall_ms(engine, lease->granted_ms));
    const int64_t left_ms = lease->deadline_ms - engine->clock.broker_ms;
    wire_write_text_uint(out, "left_ms", left_ms > 0 ? (uint64_t)left_ms : 0);
}

/* Where it comes from. */
static void write_origin(const struct engine *engine, struct zsp_writer *out,
                         const struct store_batch *batch, uint64_t offset)
{
    const struct producer *const producer =
        batch->producer_id != 0 ? producer_by_id(engine, batch->producer_id) : NULL;
    const bool has_sequence = batch->sequence != 0;
    wire_write_text(out, "message");
    wire_write_map(out, 2u + (producer ? 1u : 0u) + (has_sequence ? 2u : 0u) +
                            (batch->not_before_ms != 0 ? 1u : 0u) +
                            (batch->expires_at_ms != 0 ? 2u : 0u));
    wire_write_text_uint(out, "timestamp_ms", (uint64_t)batch->timestamp_ms);
    wire_write_text_uint(out, "priority", batch->priority);
    if (producer) {
        wire_write_text_str(out, "producer", producer->name);
    }
    if (has_sequence) {
        wire_write_text_uint(out, "epoch", batch->producer_epoch);
        wire_write_text_uint(out, "seq", batch->sequence + (offset - batch->first_offset));
    }
    if (batch->not_before_ms != 0) {
        wire_write_text_uint(out, "not_before_ms", (uint64_t)batch->not_before_ms);
    }
    if (batch->expires_at_ms != 0) {
        wire_write_text_uint(out, "expires_at_ms", (uint64_t)batch->expires_at_ms);
        wire_write_text_bool(out, "expired", batch->expires_at_ms <= engine->now.wall_ms);
    }
}

static void answer(struct engine *engine, const struct reply_to *to, const struct traced *traced,
                   uint64_t offset)
{
    struct zsp_writer *const out = reply_begin(engine, to);
    wire_write_map(out, 4u + (traced->lease ? 1u : 0u) + (traced->at_ms != 0 ? 1u : 0u) +
                            (traced->is_found || traced->is_corrupt ? 1u : 0u));
    wire_write_text(out, "status");
    wire_write_text(out, traced->status);
    wire_write_text_uint(out, "deliveries", traced->run.deliveries);
    wire_write_text_uint(out, "failures", traced->run.failures);
    write_reasons(engine->groups, out, traced->run.reasons);
    if (traced->lease) {
        write_holder(engine, out, traced->lease);
    }
    if (traced->at_ms != 0) {
        wire_write_text_uint(out, "at_ms", traced->at_ms > 0 ? (uint64_t)traced->at_ms : 0);
    }
    if (traced->is_found) {
        write_origin(engine, out, &traced->batch, offset);
    } else if (traced->is_corrupt) {
        wire_write_text_bool(out, "corrupt", true);
    }
    reply_end(engine);
}

/* --- The request ------------------------------------------------------------------------------------ */

/* NULL: ZSP_ENOT_FOUND */
static struct ledger *find_ledger(const struct engine *engine, const struct trace *trace,
                                  struct zsp_err *err)
{
    const struct group *const group = group_by_id(engine->groups, trace->group_id);
    for (size_t i = 0; group && i < group->bindings.count; i++) {
        const struct binding *const binding = group->bindings.slots[i].value;
        if (binding->topic && binding->topic->id == trace->topic_id &&
            trace->partition < binding->topic->partition_count) {
            return binding->ledgers[trace->partition];
        }
    }
    (void)catalog_went_meanwhile(err, "group", "the group or the topic");
    return NULL;
}

static void is_read(struct engine *engine, struct engine_op *op,
                    const struct store_completion *completion)
{
    struct trace *const trace = (struct trace *)op;
    struct zsp_err error = {0};
    struct traced traced = {.is_corrupt = completion->error.code == ZSP_ECORRUPT};
    const struct ledger *const ledger = find_ledger(engine, trace, &error);
    const bool is_gone = completion->error.code == ZSP_EOUT_OF_RANGE; /* retention was faster */
    if (ledger && completion->error.code != 0 && !is_gone && !traced.is_corrupt) {
        error = completion->error;
    }
    for (uint32_t i = 0; i < completion->batch_count && error.code == 0; i++) {
        const struct store_batch *const batch = &completion->batches[i];
        if (batch->first_offset <= trace->offset &&
            trace->offset - batch->first_offset < batch->record_count) {
            traced.is_found = true;
            traced.batch = *batch;
        }
    }
    if (error.code != 0) {
        reply_error(engine, &trace->to, &error);
    } else {
        zsp_assert(ledger);
        look(engine, ledger, trace->offset, &traced);
        answer(engine, &trace->to, &traced, trace->offset);
    }
    end(trace);
}

struct trace_args {
    struct zsp_slice group, topic;
    struct wire_uint partition, offset;
};

#define PLACE(field) offsetof(struct trace_args, field)
static const struct wire_arg trace_table[] = {
    {"group", WIRE_NAME, PLACE(group), true, 0, 0},
    {"topic", WIRE_NAME, PLACE(topic), true, 0, 0},
    {"partition", WIRE_UINT, PLACE(partition), false, 0, ZSP_PARTITIONS_MAX - 1},
    {"offset", WIRE_UINT, PLACE(offset), true, 0, UINT64_MAX},
};
#undef PLACE

/* The ledger that is asked for. Errors: ZSP_ENOT_FOUND, ZSP_EOUT_OF_RANGE */
static int check(struct engine *engine, const struct trace_args *args, struct ledger **ret,
                 struct zsp_err *err)
{
    const struct wire_uint partition = {.set = true, .value = args->partition.value};
    struct group *group = NULL;
    struct binding *binding = NULL;
    int rc = group_require(engine, args->group, &group, err);
    if (rc == 0) {
        rc = group_find_binding(group, args->topic, &partition, &binding, err);
    }
    if (rc < 0) {
        return rc;
    }
    zsp_assert(group);
    zsp_assert(binding);
    mark_watch_refresh(engine->groups, group);
    struct ledger *const ledger = binding->ledgers[partition.value];
    if (args->offset.value >= ledger->mark) {
        const char *const topic = binding->topic->object;
        char wanted[32];
        char got[24];
        zsp_err_set(err, ZSP_EOUT_OF_RANGE,
                    "%s: partition %" PRIu64 ": there is no offset %" PRIu64
                    ", the end is %" PRIu64,
                    topic, partition.value, args->offset.value, ledger->mark);
        (void)snprintf(wanted, sizeof wanted, "below %" PRIu64, ledger->mark);
        (void)snprintf(got, sizeof got, "%" PRIu64, args->offset.value);
        zsp_err_detail(err, topic, wanted, got);
        return ZSP_EOUT_OF_RANGE;
    }
    *ret = ledger;
    return 0;
}

int verb_group_trace(struct engine *engine, const struct request *request, struct zsp_err *err)
{
    struct trace_args args = {0};
    struct ledger *ledger = NULL;
    int rc = wire_args(request->args, trace_table, sizeof trace_table / sizeof trace_table[0],
                       &args, err);
    if (rc == 0) {
        rc = check(engine, &args, &ledger, err);
    }
    if (rc < 0) {
        return rc;
    }
    zsp_assert(ledger);
    if (args.offset.value < ledger->partition->island_offset) {
        struct traced gone = {0};
        look(engine, ledger, args.offset.value, &gone);
        answer(engine, &request->to, &gone, args.offset.value);
        return 0;
    }
    struct trace *const self = calloc(1, sizeof *self);
    if (!self) {
        return zsp_err_set(err, ZSP_ENOMEM, "trace: out of memory");
    }
    self->op.done_fn = is_read;
    self->to = request->to;
    self->group_id = ledger_group_id(ledger);
    self->topic_id = ledger_topic_id(ledger);
    self->partition = ledger_partition_index(ledger);
    self->offset = args.offset.value;
    LIST_INSERT_HEAD(&engine->groups->traces, self, link);
    const struct store_read read = {
        .part = ledger->partition->part,
        .from_offset = self->offset,
        .to_offset = self->offset + 1,
        .max_bytes = 1, /* a first batch comes whole */
        .tag = engine_op_tag(&self->op),
    };
    rc = engine->store->ops->read(engine->store, &read, err);
    if (rc < 0) {
        end(self);
    }
    return rc;
}
