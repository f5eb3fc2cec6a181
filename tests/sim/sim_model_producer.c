/* SPDX-License-Identifier: MPL-2.0
 *
 * Publishes and producers of the checker.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "common/assert.h"
#include "tests/sim/sim_model.h"

static struct sequence_model *sequence_of(struct model *self, const struct sim_request *request)
{
    zsp_assert(request->producer > 0);
    return &self->producers[request->producer - 1].sequences[request->topic][request->partition];
}

/* Remember which messages carry which sequences. */
static void note_sequences(struct model *self, const struct sim_request *request)
{
    struct sequence_model *sequence = sequence_of(self, request);
    const uint64_t end = request->sequence + request->message_count - 1;
    while (end >= sequence->capacity) {
        sequence->capacity = sequence->capacity > 0 ? 2 * sequence->capacity : 256;
        sequence->messages =
            realloc(sequence->messages, sequence->capacity * sizeof *sequence->messages);
        zsp_assert(sequence->messages);
    }
    for (uint32_t i = 0; i < request->message_count; i++) {
        sequence->messages[request->sequence + i] = request->first_message + i;
    }
    sequence->entered = end > sequence->entered ? end : sequence->entered;
}

void model_publish_enter(struct model *self, const struct sim_request *request)
{
    for (uint32_t i = 0; i < request->message_count; i++) {
        struct message_fact *fact = &self->messages[request->first_message + i];
        fact->entered = true;
        fact->tries_out++;
    }
    if (request->producer > 0 && request->epoch >= self->producers[request->producer - 1].epoch) {
        note_sequences(self, request);
    }
}

static void end_tries(struct model *self, const struct sim_request *request, bool maybe)
{
    for (uint32_t i = 0; i < request->message_count; i++) {
        struct message_fact *fact = &self->messages[request->first_message + i];
        zsp_assert(fact->tries_out > 0);
        fact->tries_out--;
        fact->maybe = fact->maybe || maybe;
    }
}

void model_publish_cut(struct model *self, const struct sim_request *request)
{
    end_tries(self, request, true);
}

static bool confirm_row(struct model *self, const struct sim_request *request,
                        const struct sim_at *at)
{
    const struct sim_reply *reply = &request->reply;
    if (at->partition >= model_partition_count(request->topic)) {
        return model_fail(self, "PUBLISH: confirmed in partition %u of %s", at->partition,
                          sim_topic_name(request->topic));
    }
    if (at->duplicate && request->producer == 0) {
        return model_fail(self, "PUBLISH: a duplicate of message %u, which has no producer",
                          request->first_message + at->index);
    }
    if (!at->has_first && !at->duplicate) {
        return model_fail(self, "PUBLISH: confirmed without an address");
    }
    for (uint32_t i = 0; i < at->count; i++) {
        const uint32_t message = request->first_message + at->index + i;
        struct message_fact *fact = &self->messages[message];
        /* A duplicate's timestamp may be told as of the original or of the repeat. */
        const int64_t timestamp =
            at->duplicate && fact->is_placed ? fact->timestamp_ms : reply->timestamp_ms;
        if (at->has_first && !(at->duplicate && !fact->is_placed) &&
            !model_place(self, message, request->topic, at->partition, at->first + i,
                         reply->is_synced, timestamp)) {
            return false;
        }
        fact->must_exist = fact->must_exist || reply->is_synced;
        fact->synced_ms =
            fact->synced_step == 0 && reply->is_synced ? self->uptime_ms : fact->synced_ms;
        fact->synced_step =
            fact->synced_step == 0 && reply->is_synced ? self->step : fact->synced_step;
        fact->must_until_power = true;
        self->confirmed++;
    }
    return true;
}

void model_publish_answer(struct model *self, const struct sim_request *request)
{
    const struct sim_reply *reply = &request->reply;
    end_tries(self, request, !reply->is_error || reply->maybe);
    if (reply->is_error) {
        return;
    }
    if (request->is_synced && !reply->is_synced) {
        (void)model_fail(self, "PUBLISH: synced was asked for, written is told");
        return;
    }
    self->topic_exists[request->topic] = true;
    uint32_t index = 0;
    for (size_t i = 0; i < reply->at_count; i++) {
        const struct sim_at *at = &reply->at[i];
        if (at->index != index || at->count == 0 || at->count > request->message_count - index) {
            (void)model_fail(self, "PUBLISH: the rows of the reply do not cover the body");
            return;
        }
        if (!confirm_row(self, request, at)) {
            return;
        }
        index += at->count;
    }
    if (index != request->message_count) {
        (void)model_fail(self, "PUBLISH: %u of %u messages are confirmed", index,
                         request->message_count);
        return;
    }
    if (request->producer == 0) {
        return;
    }
    const struct producer_model *producer = &self->producers[request->producer - 1];
    if (request->epoch < producer->epoch && request->entered_step > producer->epoch_step) {
        (void)model_fail(self, "PUBLISH: epoch %" PRIu64 " was accepted after %" PRIu64,
                         request->epoch, producer->epoch);
        return;
    }
    struct sequence_model *sequence = sequence_of(self, request);
    const uint64_t end = request->sequence + request->message_count - 1;
    sequence->written = end > sequence->written ? end : sequence->written;
    if (reply->is_synced && end > sequence->synced) {
        sequence->synced = end;
    }
}

/* What a newly opened producer is told of one sequence. */
static bool judge_last(struct model *self, uint32_t producer, uint32_t topic, uint32_t partition,
                       uint64_t last)
{
    struct sequence_model *sequence = &self->producers[producer].sequences[topic][partition];
    if (last > sequence->entered) {
        return model_fail(self,
                          "PRODUCER.OPEN: %s/%u has sequence %" PRIu64 ", the highest ever sent "
                          "is %" PRIu64,
                          sim_topic_name(topic), partition, last, sequence->entered);
    }
    if (last < sequence->written) {
        return model_fail(
            self, "PRODUCER.OPEN: %s/%u has sequence %" PRIu64 ", %" PRIu64 " was confirmed",
            sim_topic_name(topic), partition, last, sequence->written);
    }
    for (uint64_t i = 1; i <= last; i++) {
        self->messages[sequence->messages[i]].must_exist = true;
        self->messages[sequence->messages[i]].maybe = true;
    }
    sequence->synced = last;
    sequence->written = last;
    sequence->entered = last;
    return true;
}

void model_open_answer(struct model *self, const struct sim_request *request)
{
    const struct sim_reply *reply = &request->reply;
    if (reply->is_error) {
        return;
    }
    struct producer_model *producer = &self->producers[request->producer - 1];
    if (reply->epoch <= producer->epoch) {
        (void)model_fail(self, "PRODUCER.OPEN: epoch %" PRIu64 " after %" PRIu64, reply->epoch,
                         producer->epoch);
        return;
    }
    producer->epoch = reply->epoch;
    producer->epoch_step = self->step;
    uint64_t last[SIM_TOPICS][SIM_PARTS_MAX] = {{0}};
    for (size_t i = 0; i < reply->part_count; i++) {
        last[reply->parts[i].topic][reply->parts[i].partition] = reply->parts[i].values[0];
    }
    for (uint32_t t = 0; t < SIM_TOPICS; t++) {
        for (uint32_t p = 0; p < model_partition_count(t); p++) {
            if (!judge_last(self, request->producer - 1, t, p, last[t][p])) {
                return;
            }
        }
    }
}

void model_producers_crash(struct model *self, bool power_loss)
{
    for (uint32_t i = 0; i < SIM_PRODUCERS && power_loss; i++) {
        for (uint32_t t = 0; t < SIM_TOPICS; t++) {
            for (uint32_t p = 0; p < SIM_PARTS_MAX; p++) {
                struct sequence_model *sequence = &self->producers[i].sequences[t][p];
                sequence->written = sequence->synced;
            }
        }
    }
}
