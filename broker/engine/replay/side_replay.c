/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/replay/side_replay.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "broker/engine/dead/letters.h"
#include "broker/engine/dead/redrive.h"
#include "broker/engine/state.h"
#include "common/assert.h"
#include "common/container.h"
#include "common/diag.h"

/* A record behind the last outcome of a replay. */
struct side_end {
    struct engine_op op; /* first: its address is the tag */
    uint64_t group_id;
    LIST_ENTRY(side_end) link;
};

/* --- Life -------------------------------------------------------------------------------------- */

struct side_replay *side_replay_new(struct zsp_slice of, uint64_t topic_id, uint32_t count)
{
    struct side_replay *self = calloc(1, sizeof *self + count * sizeof self->parts[0]);
    if (!self) {
        return NULL;
    }
    self->of = zsp_buf_copy(of);
    self->topic_id = topic_id;
    self->count = count;
    if (!self->of) {
        side_replay_destroy(&self);
    }
    return self;
}

void side_replay_destroy(struct side_replay **self_p)
{
    if (*self_p) {
        zsp_buf_put(&(*self_p)->of);
        free(*self_p);
        *self_p = NULL;
    }
}

static void arm(struct engine *engine, struct side_replay *self)
{
    const int64_t since_ms =
        self->group->pulled_ms > self->made_ms ? self->group->pulled_ms : self->made_ms;
    engine_arm(engine, TIMER_WAIT, &self->idle, since_ms + (int64_t)self->expires_ms);
}

/* Is somebody, or something, at work in it? */
static bool is_used(const struct engine *engine, const struct group *group)
{
    return group->state != GROUP_LIVE || group_is_awaited(group) || group_first_working(group) ||
           group_first_lease(group) || redrive_find(engine->groups, group) ||
           letters_find(engine->groups, group);
}

static void idle_fired(struct engine *engine, struct timer *timer)
{
    struct side_replay *const self = CONTAINER_OF(timer, struct side_replay, idle);
    struct group *const group = self->group;
    struct zsp_err error = {0};
    if (group->pulled_ms + (int64_t)self->expires_ms > engine->clock.broker_ms) {
        arm(engine, self);
        return;
    }
    if (is_used(engine, group) || group_put_gone(engine, group, NULL, &error) < 0) {
        self->made_ms = engine->clock.broker_ms; /* later, then */
        arm(engine, self);
        return;
    }
    zsp_diag(engine->diag, ZSP_INFO,
             "%s: nobody has pulled from this replay for %" PRIu64 " ms, %s", group->object,
             self->expires_ms,
             self->state == SIDE_FINISHED ? "it was finished" : "it was not finished");
    group_destroy(engine, group);
}

void side_replay_join(struct engine *engine, struct group *group, struct side_replay *self)
{
    zsp_assert(!group->side);
    self->group = group;
    self->made_ms = engine->clock.broker_ms;
    self->idle.fire_fn = idle_fired;
    for (uint32_t i = 0; i < self->count; i++) {
        self->parts[i].is_open = self->parts[i].first < self->parts[i].end;
        self->open_count += self->parts[i].is_open ? 1 : 0;
    }
    group->side = self;
    arm(engine, self);
}

void side_replay_drop(struct engine *engine, struct group *group)
{
    if (group->side) {
        engine_cancel(engine, TIMER_WAIT, &group->side->idle);
        side_replay_destroy(&group->side);
    }
}

/* The binding to its topic, as long as that is there. */
static bool has_topic(const struct side_replay *self)
{
    const struct name_index *const bindings = &self->group->bindings;
    const struct binding *const binding = bindings->count > 0 ? bindings->slots[0].value : NULL;
    return binding && binding->topic && binding->topic->id == self->topic_id;
}

static bool is_done(const struct side_replay *self)
{
    return self->open_count == 0 || !has_topic(self);
}

void side_replay_start(struct engine *engine, struct group *group)
{
    struct side_replay *const self = group->side;
    self->made_ms = engine->clock.broker_ms;
    self->state = is_done(self) ? SIDE_FINISHED : SIDE_OPEN; /* what was read is durable */
    arm(engine, self);
}

/* --- Ranges ------------------------------------------------------------------------------------- */

static struct side_part *part_of(const struct ledger *ledger)
{
    struct side_replay *const self = ledger->group->side;
    const uint32_t index = ledger_partition_index(ledger);
    return ledger_topic_id(ledger) == self->topic_id && index < self->count ? &self->parts[index]
                                                                            : NULL;
}

uint64_t side_replay_mark(const struct ledger *ledger, uint64_t synced)
{
    const struct side_part *const part = part_of(ledger);
    const uint64_t start = ledger->partition->start_offset;
    const uint64_t end = part && part->end > start ? part->end : start;
    return end < synced ? end : synced;
}

uint64_t side_replay_end(const struct ledger *ledger)
{
    if (!ledger->group || !ledger->group->side) { /* at the start it has none yet */
        return UINT64_MAX;
    }
    const struct side_part *const part = part_of(ledger);
    return part ? part->end : 0;
}

uint64_t side_replay_first(const struct side_replay *self, uint32_t partition)
{
    return partition < self->count ? self->parts[partition].first : 0;
}

static bool is_open(const struct ledger *ledger, const struct side_part *part)
{
    return part && part->first < part->end && ledger_committed(ledger) < part->end;
}

bool side_replay_has_all(const struct ledger *ledger)
{
    return ledger->group && ledger->group->side && !is_open(ledger, part_of(ledger));
}

void side_replay_look(struct groups *groups, struct ledger *ledger)
{
    struct side_replay *const self = ledger->group->side;
    struct side_part *const part = part_of(ledger);
    const bool now = is_open(ledger, part);
    if (!part || part->is_open == now) {
        return;
    }
    part->is_open = now;
    self->open_count += now ? 1u : UINT32_MAX; /* unsigned: minus one */
    if (now && self->state == SIDE_FINISHED) {
        self->state = SIDE_OPEN;
    } else if (self->open_count == 0) {
        group_wake(groups, self->group);
    }
}

/* --- The end ------------------------------------------------------------------------------------- */

static void end_over(struct side_end *end)
{
    LIST_REMOVE(end, link);
    free(end);
}

void side_replays_fini(struct groups *groups)
{
    while (!LIST_EMPTY(&groups->side_ends)) {
        end_over(LIST_FIRST(&groups->side_ends));
    }
    side_calls_fini(groups);
}

static void is_durable(struct engine *engine, struct engine_op *op,
                       const struct store_completion *completion)
{
    struct side_end *const end = (struct side_end *)op;
    struct group *const group = group_by_id(engine->groups, end->group_id);
    if (group) {
        struct side_replay *const self = group->side;
        const bool is_over = completion->error.code == 0 && is_done(self);
        self->state = is_over ? SIDE_FINISHED : SIDE_OPEN;
        group_wake(engine->groups, group);
    }
    end_over(end);
}

void side_replay_serve(struct engine *engine, struct group *group)
{
    struct groups *const groups = engine->groups;
    struct side_replay *const self = group->side;
    if (self->state != SIDE_OPEN || group->state != GROUP_LIVE || !is_done(self)) {
        return;
    }
    struct side_end *const end = calloc(1, sizeof *end);
    if (!end) {
        group_out_of_memory(groups);
        return;
    }
    end->op.done_fn = is_durable;
    end->group_id = group->id;
    LIST_INSERT_HEAD(&groups->side_ends, end, link);
    if (state_put_time(engine, &end->op) < 0) {
        end_over(end); /* there is no room: the next pull tries again */
        return;
    }
    self->state = SIDE_ENDING;
}

bool side_replay_is_name(struct zsp_slice name)
{
    static const char mark[] = ".replay-";
    const size_t len = sizeof mark - 1;
    for (size_t i = 0; i + len <= name.len; i++) {
        if (memcmp(name.data + i, mark, len) == 0) {
            return true;
        }
    }
    return false;
}

int side_replay_refuse(const struct group *group, const char *what, struct zsp_err *err)
{
    const struct zsp_buf *const of = group->side->of;
    (void)zsp_err_set(err, ZSP_EBAD_VALUE, "%s is a replay for group %.*s: %s", group->object,
                      (int)of->len, (const char *)of->data, what);
    zsp_err_detail(err, group->object, NULL, NULL);
    return ZSP_EBAD_VALUE;
}

/* --- Told ----------------------------------------------------------------------------------------- */

void side_replay_answer(struct engine *engine, const struct side_replay *self,
                        const struct reply_to *to, struct zsp_slice group)
{
    struct zsp_writer *const out = reply_begin(engine, to);
    uint32_t rows = 0;
    uint64_t messages = 0;
    for (uint32_t i = 0; i < self->count; i++) {
        rows += self->parts[i].first < self->parts[i].end || self->parts[i].lost > 0 ? 1u : 0u;
        messages += self->parts[i].end - self->parts[i].first;
    }
    wire_write_map(out, group.len > 0 ? 3 : 2);
    if (group.len > 0) {
        wire_write_text_str(out, "group", group);
    }
    wire_write_text_uint(out, "messages", messages);
    wire_write_text(out, "partitions");
    wire_write_array(out, rows);
    for (uint32_t i = 0; i < self->count; i++) {
        const struct side_part *const part = &self->parts[i];
        if (part->first < part->end || part->lost > 0) {
            wire_write_array(out, 4);
            wire_write_uint(out, i);
            wire_write_uint(out, part->first);
            wire_write_uint(out, part->end);
            wire_write_uint(out, part->lost);
        }
    }
    reply_end(engine);
}

void side_replay_write(struct zsp_writer *out, const struct engine *engine,
                       const struct side_replay *self)
{
    const int64_t left_ms = self->idle.due_ms - engine->clock.broker_ms;
    wire_write_text(out, "replay");
    wire_write_map(out, 3);
    wire_write_text_str(out, "of", (struct zsp_slice){self->of->data, self->of->len});
    wire_write_text_bool(out, "finished", self->state == SIDE_FINISHED);
    wire_write_text_uint(out, "expires_in_ms", left_ms > 0 ? (uint64_t)left_ms : 0);
}

/* --- Durable form --------------------------------------------------------------------------------- */

void side_replay_encode(struct zsp_writer *out, const struct side_replay *self)
{
    zsp_write_u64(out, self->topic_id);
    zsp_write_u64(out, self->expires_ms);
    zsp_write_short(out, (struct zsp_slice){self->of->data, self->of->len});
    zsp_write_u32(out, self->count);
    for (uint32_t i = 0; i < self->count; i++) {
        zsp_write_u64(out, self->parts[i].first);
        zsp_write_u64(out, self->parts[i].end);
    }
}

int side_replay_decode(struct zsp_reader *in, struct side_replay **ret)
{
    const uint64_t topic_id = zsp_read_u64(in);
    const uint64_t expires_ms = zsp_read_u64(in);
    const struct zsp_slice of = zsp_read_short(in);
    const uint32_t count = zsp_read_u32(in);
    if (in->failed || count > ZSP_PARTITIONS_MAX || expires_ms > ZSP_REPLAY_EXPIRES_MS_MAX) {
        return ZSP_ECORRUPT;
    }
    struct side_replay *self = side_replay_new(of, topic_id, count);
    if (!self) {
        return ZSP_ENOMEM;
    }
    self->expires_ms = expires_ms;
    bool is_good = true;
    for (uint32_t i = 0; i < count; i++) {
        self->parts[i].first = zsp_read_u64(in);
        self->parts[i].end = zsp_read_u64(in);
        is_good = is_good && self->parts[i].first <= self->parts[i].end;
    }
    if (in->failed || !is_good) {
        side_replay_destroy(&self);
        return ZSP_ECORRUPT;
    }
    *ret = self;
    return 0;
}
