/* SPDX-License-Identifier: MPL-2.0
 *
 * Side replays: one client has a range of a topic replayed after one of the groups, works it off, and
 * has another one, for as long as the history lasts. It judges the answers itself:
 *
 *   - nothing is delivered but what lies in the range, and it is what the log has there;
 *   - what was surely acked is not delivered again;
 *   - `finished` is told when each message was acked or rejected, or may have been, or was left out;
 *     from then on it stays so, whoever crashes when, until dead ones are redriven;
 *   - in the end a replay can be finished.
 *
 * Now and then it makes a group that starts at a message by its id instead, and looks at where that stands
 * until it removes it: at the message, and at the beginning of other partitions, whoever crashes when.
 *
 * The groups that it is made after are judged by the checker, which knows nothing of replays.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "tests/sim/sim.h"

#define RANGE_MAX 60 /* messages of a partition, about */
#define PULL_MAX  30

enum side_step { SIDE_IDLE, SIDE_WORK, SIDE_STARTED, SIDE_DELETE };

enum side_flag { SIDE_MAYBE_ACKED = 1, SIDE_ACKED = 2, SIDE_MAYBE_REJECTED = 4 };

struct side_range {
    uint64_t first, end;
    uint8_t *flags; /* of each offset from `first` on */
};

struct side {
    enum side_step step;
    uint32_t group, topic; /* that it is made after, and of */
    struct side_range ranges[SIM_PARTS_MAX];
    bool finished;            /* surely */
    uint32_t start_partition; /* STARTED: where the message is */
    uint64_t start_offset;
    bool ending;
};

void side_init(struct client *self)
{
    self->side = calloc(1, sizeof *self->side);
    zsp_assert(self->side);
}

static void forget_ranges(struct side *side)
{
    for (uint32_t p = 0; p < SIM_PARTS_MAX; p++) {
        free(side->ranges[p].flags);
        side->ranges[p] = (struct side_range){0};
    }
    side->finished = false;
}

void side_fini(struct client *self)
{
    if (self->side) {
        forget_ranges(self->side);
        free(self->side);
        self->side = NULL;
    }
}

static bool fail(struct client *self, uint32_t partition, uint64_t offset, const char *what)
{
    const struct side *side = self->side;
    return model_fail(&self->sim->model, "replay for %s: %s/%u/%" PRIu64 " %s",
                      sim_group_name(side->group), sim_topic_name(side->topic), partition, offset,
                      what);
}

/* The flags of an offset, NULL = it is not in the range. */
static uint8_t *flags_of(const struct side *side, uint32_t partition, uint64_t offset)
{
    const struct side_range *range = &side->ranges[partition];
    return offset >= range->first && offset < range->end ? &range->flags[offset - range->first]
                                                         : NULL;
}

/* --- Asking ------------------------------------------------------------------------------ */

static struct wire_position some_place(struct prng *prng, uint64_t from, uint64_t to)
{
    return (struct wire_position){.kind = WIRE_POSITION_OFFSET,
                                  .value = prng_between(prng, from, to)};
}

/* NULL = there is no group yet, or no message. */
static struct sim_request *ask_replay(struct client *self)
{
    struct side *side = self->side;
    struct sim *sim = self->sim;
    struct prng *prng = &sim->prng;
    side->group = (uint32_t)prng_below(prng, SIM_GROUPS);
    side->topic = (uint32_t)prng_below(prng, SIM_TOPICS);
    if (!model_group_has_topic(side->group, side->topic) ||
        !sim->model.groups[side->group].exists || !sim->model.topic_exists[side->topic]) {
        return NULL;
    }
    const uint32_t partition =
        (uint32_t)prng_below(prng, model_sure_partitions(&sim->model, side->topic));
    const uint64_t mark = sim->model.logs[side->topic][partition].mark;
    const uint64_t least = mark > RANGE_MAX ? mark - RANGE_MAX : 0;
    struct sim_request *request = client_request(self, SIM_GROUP_REPLAY);
    request->group = side->group;
    request->topic = side->topic;
    request->partition = (int32_t)partition;
    request->position = some_place(prng, least, mark);
    request->until = (struct wire_position){.kind = WIRE_POSITION_LATEST};
    if (prng_chance(prng, 300)) {
        request->partition = -1; /* of all, as far as offsets do not matter */
        request->position = (struct wire_position){.kind = WIRE_POSITION_LAST,
                                                   .value = prng_below(prng, RANGE_MAX)};
    } else if (prng_chance(prng, 300)) {
        request->position =
            (struct wire_position){.kind = WIRE_POSITION_AGO, .value = prng_below(prng, 10000)};
    } else if (prng_chance(prng, 700)) {
        request->until = some_place(prng, request->position.value, mark);
    }
    return request;
}

/* NULL = no message is known well enough. */
static struct sim_request *ask_start(struct client *self)
{
    struct side *side = self->side;
    const struct model *model = &self->sim->model;
    for (int tries = 0; tries < 20 && model->message_count > 0; tries++) {
        const uint32_t number = (uint32_t)prng_below(&self->sim->prng, model->message_count);
        const struct message_fact *fact = &model->messages[number];
        if (fact->topic >= SIM_TOPICS || !fact->is_sure || !fact->must_exist) {
            continue;
        }
        struct sim_request *request = client_request(self, SIM_GROUP_CREATE);
        request->group = SIM_SIDE;
        request->topic = side->topic = fact->topic;
        request->id_message = number;
        side->start_partition = fact->at_partition;
        side->start_offset = fact->at_offset;
        return request;
    }
    return NULL;
}

static struct sim_request *ask_pull(struct client *self, uint64_t wait_ms)
{
    struct sim_request *request = client_request(self, SIM_PULL);
    request->group = SIM_SIDE;
    request->max_messages = prng_between(&self->sim->prng, 1, PULL_MAX);
    request->max_bytes = 100000;
    request->wait_ms = wait_ms;
    return request;
}

static struct sim_request *ask(struct client *self, enum sim_verb verb)
{
    struct sim_request *request = client_request(self, verb);
    request->group = SIM_SIDE;
    return request;
}

/* It is finished, or it is not wanted any more. */
static struct sim_request *end_or_begin_again(struct client *self)
{
    struct side *side = self->side;
    struct prng *prng = &self->sim->prng;
    if (side->finished && prng_chance(prng, 300)) {
        side->finished = false; /* it may be open again as soon as this is on its way */
        return ask(self, SIM_DEAD_REDRIVE);
    }
    side->step = SIDE_DELETE;
    return ask(self, SIM_GROUP_DELETE);
}

static struct sim_request *next_request(struct client *self)
{
    struct side *side = self->side;
    struct prng *prng = &self->sim->prng;
    switch (side->step) {
    case SIDE_IDLE:
        return prng_chance(prng, 300) ? ask_start(self) : ask_replay(self);
    case SIDE_STARTED:
        if (prng_chance(prng, 900)) {
            return ask(self, SIM_GROUP_INFO);
        }
        side->step = SIDE_DELETE;
        return ask(self, SIM_GROUP_DELETE);
    case SIDE_DELETE:
        return ask(self, SIM_GROUP_DELETE);
    case SIDE_WORK:
        break;
    }
    if (prng_chance(prng, side->finished ? 300 : 2)) {
        return end_or_begin_again(self);
    }
    return prng_chance(prng, 50) ? ask(self, SIM_GROUP_INFO)
                                 : ask_pull(self, prng_chance(prng, 300) ? 500 : 0);
}

void side_wake(struct client *self)
{
    if (self->side->ending) {
        return;
    }
    events_add(&self->sim->events, self->sim->now_ms + (int64_t)prng_below(&self->sim->prng, 60),
               EVENT_WAKE, 0, self);
    struct sim_request *request = self->out == 0 ? next_request(self) : NULL;
    if (request) {
        client_send(self, request);
    }
}

/* --- Judging ------------------------------------------------------------------------------- */

static void replay_made(struct side *side, const struct sim_reply *reply)
{
    forget_ranges(side);
    for (size_t i = 0; i < reply->part_count; i++) {
        const struct sim_part *part = &reply->parts[i];
        struct side_range *range = &side->ranges[part->partition];
        range->first = part->values[0];
        range->end = part->values[1];
        zsp_assert(range->first <= range->end);
        range->flags = calloc((size_t)(range->end - range->first) + 1, 1);
        zsp_assert(range->flags);
    }
    side->step = SIDE_WORK;
}

/* Outcomes for most of what was pulled; the rest comes back when its lease is over. */
static void settle_pulled(struct client *self, const struct sim_reply *reply, bool ack_all)
{
    struct side *side = self->side;
    struct prng *prng = &self->sim->prng;
    struct sim_request *request = ask(self, SIM_SETTLE);
    request->sruns = calloc(reply->run_count, sizeof *request->sruns);
    zsp_assert(request->sruns);
    for (size_t i = 0; i < reply->run_count; i++) {
        const struct sim_run *run = &reply->runs[i];
        const enum wire_outcome outcome = ack_all || prng_chance(prng, 800) ? WIRE_ACK
                                          : prng_chance(prng, 500)          ? WIRE_REJECT
                                                                            : WIRE_RELEASE;
        if (!ack_all && prng_chance(prng, 50)) {
            continue;
        }
        request->sruns[request->srun_count++] = (struct sim_srun){.topic = run->topic,
                                                                  .partition = run->partition,
                                                                  .first = run->first,
                                                                  .count = run->count,
                                                                  .lease = run->lease,
                                                                  .outcome = outcome};
        for (uint64_t o = run->first; o < run->first + run->count; o++) {
            uint8_t *flags = flags_of(side, run->partition, o);
            *flags |= outcome == WIRE_ACK      ? SIDE_MAYBE_ACKED
                      : outcome == WIRE_REJECT ? SIDE_MAYBE_REJECTED
                                               : 0;
        }
    }
    if (request->srun_count == 0) {
        request_destroy(&request);
    } else if (ack_all) {
        (void)sim_ask(self->sim, self, request);
    } else {
        client_send(self, request);
    }
}

static bool judge_delivery(struct client *self, const struct sim_reply *reply,
                           const struct sim_run *run, uint64_t m)
{
    struct model *model = &self->sim->model;
    const uint64_t offset = run->first + m;
    const uint8_t *flags =
        run->topic == self->side->topic ? flags_of(self->side, run->partition, offset) : NULL;
    const struct log_slot *slot = model_log_slot(model, run->topic, run->partition, offset);
    const uint32_t number = reply->messages[run->first_message + m];
    if (!flags) {
        return fail(self, run->partition, offset, "is not in the range");
    }
    if ((*flags & SIDE_ACKED) != 0) {
        return fail(self, run->partition, offset, "was delivered after its ack");
    }
    if (self->side->finished) {
        return fail(self, run->partition, offset, "was delivered, and it was finished");
    }
    if (slot->message != 0 && !slot->is_stale && slot->message != number + 1) {
        return fail(self, run->partition, offset, "is another message");
    }
    return true;
}

/* May nothing be left of it? */
static bool judge_finished(struct client *self)
{
    struct model *model = &self->sim->model;
    const struct side *side = self->side;
    for (uint32_t p = 0; p < SIM_PARTS_MAX; p++) {
        for (uint64_t o = side->ranges[p].first; o < side->ranges[p].end; o++) {
            const uint32_t message = model_log_slot(model, side->topic, p, o)->message;
            const bool may_be_left_out =
                message > 0 ? model_may_be_left_out(model, side->group, message - 1)
                            : model->any_expires || model->filters;
            if (*flags_of(side, p, o) == 0 && !may_be_left_out) {
                return fail(self, p, o, "was never settled, and it is finished");
            }
        }
    }
    return true;
}

static bool may_have_gone(struct client *self, uint32_t partition, uint64_t offset)
{
    struct model *model = &self->sim->model;
    const uint32_t message = model_log_slot(model, self->side->topic, partition, offset)->message;
    return message > 0 ? model_may_be_expired(model, message - 1) : model->any_expires;
}

/* Nobody has pulled from a group that starts at a message. */
static void judge_start(struct client *self, const struct sim_reply *reply)
{
    const struct side *side = self->side;
    for (size_t i = 0; i < reply->part_count; i++) {
        const struct sim_part *part = &reply->parts[i];
        uint64_t start = part->partition == side->start_partition ? side->start_offset : 0;
        while (start < part->values[0] && may_have_gone(self, part->partition, start)) {
            start++; /* what expires is done, whether anybody pulls or not */
        }
        if (part->topic != side->topic || part->values[0] != start) {
            (void)fail(self, part->partition, part->values[0], "is not where the group started");
            return;
        }
    }
}

static bool judge_pull(struct client *self, const struct sim_reply *reply)
{
    for (size_t i = 0; i < reply->run_count; i++) {
        for (uint64_t m = 0; m < reply->runs[i].count; m++) {
            if (!judge_delivery(self, reply, &reply->runs[i], m)) {
                return false;
            }
        }
    }
    if (strcmp(reply->reason, "finished") == 0) {
        self->side->finished = true;
        return judge_finished(self);
    }
    return !self->side->finished ||
           model_fail(&self->sim->model, "replay for %s: it was finished, and now it is \"%s\"",
                      sim_group_name(self->side->group), reply->reason);
}

static bool is_told(const struct sim_reply *reply, const struct sim_srun *srun, uint64_t offset)
{
    for (size_t i = 0; i < reply->not_applied_count; i++) {
        const struct sim_not_applied *entry = &reply->not_applied[i];
        if (entry->partition == srun->partition && offset >= entry->first &&
            offset - entry->first < entry->count) {
            return true;
        }
    }
    return false;
}

static void settled(struct side *side, const struct sim_request *request)
{
    for (size_t i = 0; i < request->srun_count; i++) {
        const struct sim_srun *srun = &request->sruns[i];
        for (uint64_t o = srun->first; o < srun->first + srun->count; o++) {
            if (srun->outcome == WIRE_ACK && !is_told(&request->reply, srun, o)) {
                *flags_of(side, srun->partition, o) |= SIDE_ACKED;
            }
        }
    }
}

/* What was dead is to be delivered again. */
static void redriven(struct side *side)
{
    for (uint32_t p = 0; p < SIM_PARTS_MAX; p++) {
        for (uint64_t o = side->ranges[p].first; o < side->ranges[p].end; o++) {
            uint8_t *flags = flags_of(side, p, o);
            *flags &= (uint8_t)~SIDE_MAYBE_REJECTED;
        }
    }
}

static void answered(struct client *self, const struct sim_request *request)
{
    struct side *side = self->side;
    const struct sim_reply *reply = &request->reply;
    if (request->verb == SIM_GROUP_REPLAY) {
        replay_made(side, reply);
    } else if (request->verb == SIM_GROUP_CREATE) {
        side->step = SIDE_STARTED;
    } else if (request->verb == SIM_GROUP_INFO && side->step == SIDE_STARTED) {
        judge_start(self, reply);
    } else if (request->verb == SIM_GROUP_DELETE) {
        forget_ranges(side);
        side->step = SIDE_IDLE;
    } else if (request->verb == SIM_PULL && judge_pull(self, reply) && reply->message_count > 0) {
        settle_pulled(self, reply, false);
    } else if (request->verb == SIM_SETTLE) {
        settled(side, request);
    } else if (request->verb == SIM_DEAD_REDRIVE) {
        redriven(side);
    }
}

static void refused(struct client *self, const struct sim_request *request)
{
    struct side *side = self->side;
    const int code = request->reply.code;
    const bool makes = request->verb == SIM_GROUP_REPLAY || request->verb == SIM_GROUP_CREATE;
    /* Its topic does not know of ids. */
    const bool is_unmade = request->verb == SIM_GROUP_CREATE && code == ZSP_EUNSUPPORTED;
    if (makes && (code == ZSP_EEXISTS || request->reply.maybe)) {
        side->step = SIDE_DELETE; /* there is one that is not known */
    } else if (is_unmade || (request->verb == SIM_GROUP_DELETE && code == ZSP_ENOT_FOUND)) {
        side->step = SIDE_IDLE;
    } else if (code != ZSP_ENO_SPACE && code != ZSP_ESTORAGE_FAILED && code != ZSP_ESHUTTING_DOWN) {
        (void)model_fail(&self->sim->model, "replay: %s was answered: %s",
                         sim_verb_name(request->verb), request->reply.text);
    }
}

void side_answer(struct client *self, const struct sim_request *request)
{
    if (self->side->ending) {
        return;
    }
    if (request->reply.is_error) {
        refused(self, request);
    } else {
        answered(self, request);
    }
}

void side_lost(struct client *self, const struct sim_request *request)
{
    if (request->verb == SIM_GROUP_REPLAY || request->verb == SIM_GROUP_CREATE) {
        self->side->step = SIDE_DELETE;
    }
}

/* --- The end ---------------------------------------------------------------------------------- */

void side_final(struct client *self)
{
    struct side *side = self->side;
    struct sim *sim = self->sim;
    side->ending = true;
    for (int i = 0; side->step == SIDE_WORK && !sim->model.failed; i++) {
        const struct sim_reply *reply = sim_ask(sim, self, ask_pull(self, 60000));
        if (!reply || !judge_pull(self, reply) || side->finished) {
            return;
        }
        if (reply->message_count > 0) {
            settle_pulled(self, reply, true);
        } else if (i > 10 * RANGE_MAX) {
            (void)model_fail(&sim->model, "replay for %s: it cannot be finished",
                             sim_group_name(side->group));
        }
    }
}
