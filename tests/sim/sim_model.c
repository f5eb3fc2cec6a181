/* SPDX-License-Identifier: MPL-2.0
 *
 * Logs and messages of the checker, and which file judges which answer.
 */
#include "tests/sim/sim_model.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/assert.h"
#include "tests/sim/sim_message.h"

uint32_t model_first_partitions(uint32_t topic)
{
    static const uint32_t counts[] = {1, 2, 3, 2, 2, 1, 1, 2, 1, 2, 2, 2, 1, 1};
    return counts[topic];
}

uint32_t model_partition_count(uint32_t topic)
{
    return topic < SIM_TOPICS    ? SIM_PARTS_MAX
           : topic == SIM_CLINIC ? model_first_partitions(topic) + 1
                                 : model_first_partitions(topic);
}

uint32_t model_sure_partitions(const struct model *self, uint32_t topic)
{
    const uint32_t first = model_first_partitions(topic);
    return topic < SIM_TOPICS && self->parts_sure[topic] > first ? self->parts_sure[topic] : first;
}

/* The most it can have now. */
static uint32_t asked_partitions(const struct model *self, uint32_t topic)
{
    const uint32_t sure = model_sure_partitions(self, topic);
    return topic < SIM_TOPICS && self->parts_asked[topic] > sure ? self->parts_asked[topic] : sure;
}

bool model_takes_topic(const struct sim_request *pull, uint32_t topic)
{
    return model_group_has_topic(pull->group, topic) &&
           (pull->only == 0 || pull->only == topic + 1);
}

bool model_group_has_topic(uint32_t group, uint32_t topic)
{
    /* audit, shelf: orders; billing: orders, bills; search: bills, events; ledger: orders, events;
     * accounts: orders, bills, events; scratch: scratch */
    if (topic > SIM_SCRATCH || group > SIM_SCRATCH_GROUP) {
        return (group == SIM_RELAY && topic == SIM_SOURCE) ||
               (group == SIM_WARD && topic == SIM_SICK) ||
               (group >= SIM_BUYERS && group <= SIM_SIDE && topic == SIM_PRICES) ||
               (group == SIM_CLINIC_GROUP && topic == SIM_CLINIC) ||
               (group >= SIM_TIDES && group < SIM_SHELF && topic == SIM_TIDE) ||
               (group == SIM_SHELF && topic == 0);
    }
    static const bool has[][SIM_SCRATCH + 1] = {
        {true, false, false, false}, {true, true, false, false}, {false, true, true, false},
        {true, false, true, false},  {true, true, true, false},  {false, false, false, true}};
    return has[group][topic];
}

bool model_fail(struct model *self, const char *format, ...)
{
    if (self->failed) {
        return false;
    }
    self->failed = true;
    va_list args;
    va_start(args, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): the line above starts it */
    (void)vsnprintf(self->failure, sizeof self->failure, format, args);
    va_end(args);
    return false;
}

void model_fini(struct model *self)
{
    for (uint32_t t = 0; t < SIM_TOPICS; t++) {
        for (uint32_t p = 0; p < SIM_PARTS_MAX; p++) {
            free(self->logs[t][p].slots);
            for (uint32_t g = 0; g < SIM_GROUPS; g++) {
                free(self->groups[g].ledgers[t][p].slots);
            }
            for (uint32_t i = 0; i < SIM_PRODUCERS; i++) {
                free(self->producers[i].sequences[t][p].messages);
            }
        }
    }
    for (uint32_t g = 0; g < SIM_GROUPS; g++) {
        saved_free(&self->groups[g].saved);
    }
    free(self->messages);
}

uint32_t model_new_messages(struct model *self, uint32_t count, uint32_t client, uint32_t topic,
                            int32_t partition)
{
    const size_t first = self->message_count;
    zsp_assert(first + count <= SIM_MESSAGES_MAX);
    while (first + count > self->message_capacity) {
        self->message_capacity = self->message_capacity > 0 ? 2 * self->message_capacity : 1024;
        self->messages = realloc(self->messages, self->message_capacity * sizeof *self->messages);
        zsp_assert(self->messages);
    }
    for (uint32_t i = 0; i < count; i++) {
        self->messages[self->message_count++] =
            (struct message_fact){.client = client,
                                  .topic = (uint8_t)topic,
                                  .parts_then = (uint8_t)model_sure_partitions(self, topic),
                                  .partition = partition,
                                  .crashes_then = self->crashes,
                                  .power_cuts_then = self->power_cuts};
    }
    return (uint32_t)first;
}

void model_reach(struct model *self, enum reach_mode mode, const struct sim_run *run,
                 uint32_t message, size_t moved_count)
{
    const struct message_fact *fact = &self->messages[message];
    const struct reach_case met = {
        .mode = mode,
        .priority = run->priority,
        .is_delayed = fact->order.not_before_ms != 0,
        .how = run->failures > 0     ? REACH_FAILED
               : run->deliveries > 1 ? REACH_AGAIN
                                     : REACH_FIRST,
        .was_moved = message < moved_count,
        .crash = fact->power_cuts_then < self->power_cuts ? REACH_POWER
                 : fact->crashes_then < self->crashes     ? REACH_PROCESS
                                                          : REACH_ALIVE,
    };
    reach_note(&self->reach, &met);
}

struct log_slot *model_log_slot(struct model *self, uint32_t topic, uint32_t partition,
                                uint64_t offset)
{
    struct log_model *log = &self->logs[topic][partition];
    zsp_assert(offset < SIM_MESSAGES_MAX);
    while (offset >= log->capacity) {
        const size_t capacity = log->capacity > 0 ? 2 * log->capacity : 256;
        log->slots = realloc(log->slots, capacity * sizeof *log->slots);
        zsp_assert(log->slots);
        memset(log->slots + log->capacity, 0, (capacity - log->capacity) * sizeof *log->slots);
        log->capacity = capacity;
    }
    return &log->slots[offset];
}

void model_mark(struct model *self, uint32_t topic, uint32_t partition, uint64_t end)
{
    struct log_model *log = &self->logs[topic][partition];
    log->mark = end > log->mark ? end : log->mark;
}

/* Does the message's earlier address speak against this one? */
static bool check_address(struct model *self, uint32_t message, uint32_t partition, uint64_t offset)
{
    struct message_fact *fact = &self->messages[message];
    if (!fact->is_placed || (fact->at_partition == partition && fact->at_offset == offset)) {
        return true;
    }
    struct log_slot *before =
        model_log_slot(self, fact->topic, fact->at_partition, fact->at_offset);
    if (before->message == message + 1 && before->is_stale) {
        before->message = 0; /* that copy went with the power */
        before->is_stale = false;
        fact->is_placed = false;
        return true;
    }
    return model_fail(self,
                      "message %u is twice in the log: at %s/%u/%" PRIu64 " and at %s/%u/%" PRIu64,
                      message, sim_topic_name(fact->topic), fact->at_partition, fact->at_offset,
                      sim_topic_name(fact->topic), partition, offset);
}

/* Does the message's key lead there, with as many partitions as the topic may have had? */
static bool is_routed(const struct model *self, uint32_t message, const struct message_fact *fact,
                      uint32_t partition)
{
    uint32_t routed = partition;
    bool has_key = false;
    bool fits = false;
    for (uint32_t n = fact->parts_then; n <= asked_partitions(self, fact->topic); n++) {
        has_key = message_partition(message, n, &routed);
        fits = fits || routed == partition;
    }
    return !has_key || fits;
}

bool model_place(struct model *self, uint32_t message, uint32_t topic, uint32_t partition,
                 uint64_t offset, bool sure, int64_t timestamp_ms)
{
    const char *name = sim_topic_name(topic);
    if (message >= self->message_count || !self->messages[message].entered) {
        return model_fail(self, "%s/%u/%" PRIu64 ": message %u was never sent", name, partition,
                          offset, message);
    }
    struct message_fact *fact = &self->messages[message];
    if (fact->topic != topic || (fact->partition >= 0 && (uint32_t)fact->partition != partition)) {
        return model_fail(self, "message %u was sent to %s/%d and is in %s/%u", message,
                          sim_topic_name(fact->topic), fact->partition, name, partition);
    }
    if (fact->partition < 0 && !is_routed(self, message, fact, partition)) {
        return model_fail(self, "message %u: its key does not lead to partition %u of %s", message,
                          partition, name);
    }
    if (!check_address(self, message, partition, offset)) {
        return false;
    }
    struct log_slot *slot = model_log_slot(self, topic, partition, offset);
    if (slot->message != 0 && slot->message != message + 1 && !slot->is_stale) {
        return model_fail(self, "%s/%u/%" PRIu64 " was message %u and is message %u", name,
                          partition, offset, slot->message - 1, message);
    }
    if (fact->is_placed && fact->timestamp_ms != timestamp_ms && !slot->is_stale) {
        return model_fail(self, "%s/%u/%" PRIu64 ": its timestamp was %" PRId64 " and is %" PRId64,
                          name, partition, offset, fact->timestamp_ms, timestamp_ms);
    }
    if (slot->message != 0 && slot->message != message + 1) {
        self->messages[slot->message - 1].is_placed = false;
    }
    slot->message = message + 1;
    slot->is_stale = false;
    fact->is_placed = true;
    fact->is_sure = fact->is_sure || sure;
    fact->at_partition = partition;
    fact->at_offset = offset;
    fact->timestamp_ms = timestamp_ms;
    fact->found = true;
    if (sure) {
        model_mark(self, topic, partition, offset + 1);
    }
    return true;
}

/* --- READ, TOPIC.INFO --------------------------------------------------------------------- */

/* A READ that knows of fewer partitions than there are does not wait, and one that waits is told. */
static void read_partitions(struct model *self, const struct sim_request *request)
{
    const struct sim_reply *reply = &request->reply;
    const uint32_t topic = request->topic;
    const char *name = sim_topic_name(topic);
    if (reply->partitions < request->parts_then ||
        reply->partitions > asked_partitions(self, topic)) {
        (void)model_fail(self, "READ tells %" PRIu64 " partitions of %s, which has %u to %u",
                         reply->partitions, name, request->parts_then,
                         asked_partitions(self, topic));
    } else if (reply->partitions > model_sure_partitions(self, topic)) {
        self->parts_sure[topic] = (uint32_t)reply->partitions;
    }
    const bool is_told = strcmp(reply->reason, "grown") == 0;
    const bool has_more = request->parts_known > 0 && reply->partitions > request->parts_known;
    if ((is_told && (!has_more || reply->run_count > 0)) ||
        (has_more && strcmp(reply->reason, "timeout") == 0)) {
        (void)model_fail(self, "READ of %s that knows of %u partitions of %" PRIu64 " ended: %s",
                         name, request->parts_known, reply->partitions, reply->reason);
    }
}

static void read_answer(struct model *self, const struct sim_request *request)
{
    const struct sim_reply *reply = &request->reply;
    const uint32_t partition = (uint32_t)request->partition;
    const char *name = sim_topic_name(request->topic);
    uint64_t offset = request->from;
    for (size_t i = 0; i < reply->run_count; i++) {
        const struct sim_run *run = &reply->runs[i];
        if (run->topic != request->topic || run->partition != partition || run->lease != 0) {
            (void)model_fail(self, "READ of %s/%u: a run of another log, or leased", name,
                             partition);
            return;
        }
        if (run->first != offset) {
            (void)model_fail(self, "READ of %s/%u: a hole from %" PRIu64 " to %" PRIu64, name,
                             partition, offset, run->first);
            return;
        }
        for (uint64_t m = 0; m < run->count; m++) {
            if (!model_place(self, reply->messages[run->first_message + m], request->topic,
                             partition, offset + m, true, run->timestamp_ms)) {
                return;
            }
        }
        offset += run->count;
    }
    if (reply->next != offset || reply->start != 0 || reply->end < offset) {
        (void)model_fail(self,
                         "READ of %s/%u ended at %" PRIu64 ", it says next %" PRIu64
                         " start %" PRIu64 " end %" PRIu64 " (%s)",
                         name, partition, offset, reply->next, reply->start, reply->end,
                         reply->reason);
        return;
    }
    if (reply->end < request->mark_then) {
        (void)model_fail(self, "READ of %s/%u: the end %" PRIu64 " is below the synced %" PRIu64,
                         name, partition, reply->end, request->mark_then);
        return;
    }
    if (reply->run_count == 0 && request->from < request->mark_then) {
        (void)model_fail(self, "READ of %s/%u from %" PRIu64 " got nothing below %" PRIu64, name,
                         partition, request->from, request->mark_then);
        return;
    }
    model_mark(self, request->topic, partition, reply->end);
    read_partitions(self, request);
}

static void topic_info_answer(struct model *self, const struct sim_request *request)
{
    const struct sim_reply *reply = &request->reply;
    const uint32_t told = (uint32_t)reply->part_count;
    if (told < request->parts_then || told > asked_partitions(self, request->topic)) {
        (void)model_fail(self, "TOPIC.INFO tells %u partitions of %s, which has %u to %u", told,
                         sim_topic_name(request->topic), request->parts_then,
                         asked_partitions(self, request->topic));
    }
    if (told > model_sure_partitions(self, request->topic)) {
        self->parts_sure[request->topic] = told;
    }
    for (size_t i = 0; i < reply->part_count; i++) {
        const struct sim_part *part = &reply->parts[i];
        if (part->values[0] != 0) {
            (void)model_fail(self, "TOPIC.INFO: %s/%u starts at %" PRIu64,
                             sim_topic_name(part->topic), part->partition, part->values[0]);
        }
        model_mark(self, part->topic, part->partition, part->values[1]);
    }
}

/* Durable before it is answered; never fewer; and not while a group keeps an order. */
static void topic_grow_answer(struct model *self, const struct sim_request *request)
{
    const struct sim_reply *reply = &request->reply;
    const uint32_t topic = request->topic;
    const bool has_order =
        self->groups[SIM_ORDERED].exists && model_group_has_topic(SIM_ORDERED, topic);
    if (reply->is_error) {
        const bool may =
            reply->code != ZSP_EBAD_VALUE || request->parts_wanted < asked_partitions(self, topic);
        if (!may) {
            (void)model_fail(self, "TOPIC.SET: %s has no more than %u partitions: %s",
                             sim_topic_name(topic), request->parts_wanted, reply->text);
        }
        return;
    }
    if (reply->end < request->parts_wanted || reply->end > asked_partitions(self, topic)) {
        (void)model_fail(self, "TOPIC.SET: %s got %" PRIu64 " partitions, asked were %u",
                         sim_topic_name(topic), reply->end, request->parts_wanted);
    }
    if (has_order && !request->force && request->parts_then < request->parts_wanted &&
        asked_partitions(self, topic) == request->parts_wanted && !request->order_may_be_young) {
        (void)model_fail(self, "TOPIC.SET: %s grew under a group that keeps its order",
                         sim_topic_name(topic));
    }
    if (request->parts_wanted > model_sure_partitions(self, topic)) {
        self->parts_sure[topic] = request->parts_wanted;
    }
}

/* --- What comes and goes --------------------------------------------------------------------- */

void model_enter(struct model *self, struct sim_request *request)
{
    if (request->verb == SIM_PUBLISH) {
        model_publish_enter(self, request);
    }
    if (request->verb == SIM_TOPIC_GROW || request->verb == SIM_TOPIC_INFO ||
        request->verb == SIM_READ) {
        request->parts_then = model_sure_partitions(self, request->topic);
    }
    if (request->verb == SIM_TOPIC_GROW) {
        request->order_may_be_young = !self->groups[SIM_ORDERED].exists;
        if (request->parts_wanted > asked_partitions(self, request->topic)) {
            self->parts_asked[request->topic] = request->parts_wanted;
        }
    }
    if (request->verb == SIM_READ) {
        request->mark_then = self->logs[request->topic][request->partition].mark;
    }
    model_group_enter(self, request);
}

/* Which errors a correct broker may give to these clients. */
static bool is_expected(const struct model *self, const struct sim_request *request)
{
    switch (request->reply.code) {
    case ZSP_ESTORAGE_FAILED:
    case ZSP_ESHUTTING_DOWN:
    case ZSP_ENO_SPACE:
        return true;
    case ZSP_EWOULD_REORDER:
        return request->verb == SIM_TOPIC_GROW && !request->force &&
               (model_group_has_topic(SIM_ORDERED, request->topic) ||
                model_group_has_topic(SIM_KEYED, request->topic));
    case ZSP_EBAD_VALUE:
        return request->verb == SIM_TOPIC_GROW; /* judged with the answer */
    case ZSP_EEXISTS:
        return request->verb == SIM_TOPIC_CREATE || request->verb == SIM_GROUP_CREATE;
    case ZSP_ENOT_FOUND:
        switch (request->verb) {
        case SIM_GROUP_INFO:
        case SIM_GROUP_TRACE:
        case SIM_GROUP_PAUSE:
        case SIM_GROUP_RESUME:
        case SIM_SAVEPOINT_SAVE:
        case SIM_SETTLE:
        case SIM_SEEK:
            return !self->groups[request->group].exists ||
                   (request->verb == SIM_SEEK && !self->topic_exists[request->topic]);
        case SIM_SAVEPOINT_RESTORE: /* judged with the answer */
        case SIM_SAVEPOINT_UNDO:
            return true;
        case SIM_READ:
        case SIM_TOPIC_GROW:
        case SIM_TOPIC_INFO:
        case SIM_PUBLISH: /* topics are made by hand before they are used */
            return !self->topic_exists[request->topic];
        case SIM_OPEN:
        case SIM_COMMIT: /* judged by its client */
        case SIM_PULL:
        case SIM_TOPIC_CREATE:
        case SIM_GROUP_CREATE:
        case SIM_GROUP_REPLAY:
        case SIM_STATS:
        case SIM_DEAD_LIST:
        case SIM_DEAD_REDRIVE:
        case SIM_DEAD_DROP:
        case SIM_BYE:
        case SIM_CANCEL:
        case SIM_TOPIC_DELETE:
        case SIM_TOPIC_PURGE:
        case SIM_GROUP_DELETE:
        case SIM_GROUP_SET:
            return false;
        }
        return false;
    case ZSP_EFENCED_PRODUCER:
    case ZSP_ESEQUENCE_GAP:
        return request->verb == SIM_PUBLISH && request->producer > 0;
    case ZSP_EOUT_OF_RANGE:
        return request->verb == SIM_SEEK ||
               (request->verb == SIM_READ && request->from > request->mark_then);
    default:
        return false;
    }
}

/* Those of which only success tells something. */
static void model_worked(struct model *self, struct sim_request *request)
{
    if (request->verb == SIM_READ) {
        read_answer(self, request);
    } else if (request->verb == SIM_TOPIC_INFO) {
        topic_info_answer(self, request);
    } else if (request->verb == SIM_GROUP_INFO) {
        model_group_info_answer(self, request);
    } else if (request->verb == SIM_GROUP_TRACE) {
        model_trace_answer(self, request);
    } else {
        model_pause_answer(self, request);
    }
}

void model_answer(struct model *self, struct sim_request *request)
{
    if (request->reply.is_error && !is_expected(self, request)) {
        (void)model_fail(self, "%s was answered: %s", sim_verb_name(request->verb),
                         request->reply.text);
        return;
    }
    const bool exists = !request->reply.is_error || request->reply.code == ZSP_EEXISTS;
    switch (request->verb) {
    case SIM_PUBLISH:
        model_publish_answer(self, request);
        break;
    case SIM_OPEN:
        model_open_answer(self, request);
        break;
    case SIM_PULL:
        if (request->srun_count > 0) {
            model_settle_answer(self, request);
        }
        model_pull_answer(self, request);
        break;
    case SIM_SETTLE:
        model_settle_answer(self, request);
        break;
    case SIM_SEEK:
        model_seek_answer(self, request);
        break;
    case SIM_TOPIC_CREATE:
        self->topic_exists[request->topic] = self->topic_exists[request->topic] || exists;
        break;
    case SIM_TOPIC_GROW:
        topic_grow_answer(self, request);
        break;
    case SIM_GROUP_CREATE:
        self->groups[request->group].exists = self->groups[request->group].exists || exists;
        break;
    case SIM_SAVEPOINT_SAVE:
        model_save_answer(self, request);
        break;
    case SIM_SAVEPOINT_RESTORE:
    case SIM_SAVEPOINT_UNDO:
        model_restore_answer(self, request);
        break;
    case SIM_BYE:
        model_bye_answer(self, request);
        break;
    case SIM_CANCEL:
        model_cancel_answer(self, request);
        break;
    case SIM_STATS:
    case SIM_GROUP_REPLAY:
    case SIM_DEAD_LIST:
    case SIM_DEAD_REDRIVE:
    case SIM_DEAD_DROP:
    case SIM_COMMIT:
    case SIM_TOPIC_DELETE:
    case SIM_TOPIC_PURGE:
    case SIM_GROUP_DELETE:
    case SIM_GROUP_SET:
        break;
    case SIM_READ:
    case SIM_TOPIC_INFO:
    case SIM_GROUP_INFO:
    case SIM_GROUP_TRACE:
    case SIM_GROUP_PAUSE:
    case SIM_GROUP_RESUME:
        if (!request->reply.is_error) {
            model_worked(self, request);
        }
        break;
    }
}

void model_cut(struct model *self, struct sim_request *request)
{
    if (request->verb == SIM_PUBLISH) {
        model_publish_cut(self, request);
    } else if (request->verb == SIM_SEEK) {
        model_seek_cut(self, request);
    } else if (request->verb == SIM_SAVEPOINT_RESTORE || request->verb == SIM_SAVEPOINT_UNDO) {
        model_restore_cut(self, request);
    } else if (request->verb == SIM_SAVEPOINT_SAVE) {
        self->groups[request->group].saved.known = false;
    } else if (request->verb == SIM_PULL) {
        model_pull_gone(self, request);
    }
}

void model_crash(struct model *self, bool power_loss)
{
    for (size_t i = 0; i < self->message_count && power_loss; i++) {
        struct message_fact *fact = &self->messages[i];
        fact->must_until_power = false;
        if (fact->is_placed && !fact->is_sure) {
            model_log_slot(self, fact->topic, fact->at_partition, fact->at_offset)->is_stale = true;
        }
    }
    self->crashes += power_loss ? 0 : 1;
    self->power_cuts += power_loss ? 1 : 0;
    self->quiet_ms = self->quiet_ms > self->uptime_ms ? self->quiet_ms : self->uptime_ms;
    model_groups_crash(self, power_loss);
    model_producers_crash(self, power_loss);
}

/* --- Ends ------------------------------------------------------------------------------------- */

void model_final_begin(struct model *self)
{
    for (size_t i = 0; i < self->message_count; i++) {
        self->messages[i].found = false;
    }
}

/* One client's messages are in the order in which it sent them. */
static void check_order(struct model *self, uint32_t topic, uint32_t partition)
{
    uint32_t last[64] = {0}; /* 1 + the last message of each client */
    struct log_model *log = &self->logs[topic][partition];
    for (uint64_t offset = 0; offset < log->mark; offset++) {
        const uint32_t message = model_log_slot(self, topic, partition, offset)->message;
        if (message == 0) {
            (void)model_fail(self, "%s/%u/%" PRIu64 " is below the mark and was never read",
                             sim_topic_name(topic), partition, offset);
            return;
        }
        const uint32_t client = self->messages[message - 1].client;
        zsp_assert(client < 64);
        if (message <= last[client]) {
            (void)model_fail(self, "%s/%u/%" PRIu64 ": message %u of client %u comes behind %u",
                             sim_topic_name(topic), partition, offset, message - 1, client,
                             last[client] - 1);
            return;
        }
        last[client] = message;
    }
}

void model_final_logs(struct model *self)
{
    for (uint32_t i = 0; i < self->message_count && !self->failed; i++) {
        const struct message_fact *fact = &self->messages[i];
        const bool refused = fact->entered && !fact->maybe && fact->tries_out == 0 &&
                             !fact->must_exist && !fact->must_until_power;
        const bool must = fact->must_exist || fact->must_until_power || fact->is_sure;
        if (must && !fact->found) {
            (void)model_fail(self,
                             "message %u of client %u is lost: %s, it was at %s/%u/%" PRIu64 "%s",
                             i, fact->client, fact->must_exist ? "confirmed synced" : "seen",
                             sim_topic_name(fact->topic), fact->at_partition, fact->at_offset,
                             fact->is_placed ? "" : " (address unknown)");
        }
        if (fact->found && (!fact->entered || refused)) {
            (void)model_fail(self, "message %u was refused and is in the log", i);
        }
    }
    for (uint32_t t = 0; t < SIM_TOPICS && !self->failed; t++) {
        for (uint32_t p = 0; p < model_partition_count(t) && !self->failed; p++) {
            check_order(self, t, p);
        }
    }
}
