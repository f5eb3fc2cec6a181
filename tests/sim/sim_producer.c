/* SPDX-License-Identifier: MPL-2.0
 *
 * A sequenced producer, as the library is: several batches under way; when
 * one is in doubt it stops, waits or not for the rest, and sends all that is
 * unconfirmed again, in order, or opens its name anew and asks where it stands.
 */
#include <inttypes.h>
#include <string.h>

#include "common/assert.h"
#include "tests/sim/sim.h"

#define OUT_MAX   5
#define BATCH_MAX 6

static void send_batch(struct client *self, struct pending_batch *batch)
{
    struct sim_request *request = client_request(self, SIM_PUBLISH);
    request->topic = self->topic;
    request->partition = (int32_t)batch->partition;
    request->is_synced = batch->is_synced;
    request->first_message = batch->first_message;
    request->message_count = batch->count;
    request->producer = self->producer;
    request->epoch = self->epoch;
    request->sequence = batch->sequence;
    request->is_packed = batch->is_packed;
    urgent_fill(self->sim, request);
    batch->is_out = true;
    client_send(self, request);
}

static void open_name(struct client *self)
{
    struct sim_request *request = client_request(self, SIM_OPEN);
    request->producer = self->producer;
    self->opening = true;
    client_send(self, request);
}

static void make_batch(struct client *self)
{
    struct sim *sim = self->sim;
    struct prng *prng = &sim->prng;
    struct pending_batch *batch = &self->pending[self->pending_count++];
    *batch = (struct pending_batch){
        .partition = (uint32_t)prng_below(prng, model_sure_partitions(&sim->model, self->topic)),
        .count = (uint32_t)prng_between(prng, 1, BATCH_MAX),
        .is_synced = prng_chance(prng, 700),
        .is_packed = prng_chance(prng, 400),
    };
    batch->first_message = model_new_messages(&sim->model, batch->count, self->index, self->topic,
                                              (int32_t)batch->partition);
    urgent_choose(sim, batch->first_message, batch->count);
    batch->sequence = self->next_sequence[batch->partition];
    self->next_sequence[batch->partition] += batch->count;
}

/* Send again what is unconfirmed, or open anew first. */
static void recover(struct client *self)
{
    struct prng *prng = &self->sim->prng;
    if (self->out > 0 && !prng_chance(prng, 50)) {
        return;
    }
    if (self->must_open || self->out > 0 || prng_chance(prng, 300)) {
        if (self->out > 0) {
            self->life++; /* over a new connection: the old requests may come later */
            self->out = 0;
            client_reconnect(self);
        }
        self->epoch = 0;
        open_name(self);
        return;
    }
    self->recovering = false;
    for (size_t i = 0; i < self->pending_count; i++) {
        send_batch(self, &self->pending[i]);
    }
}

void sequenced_wake(struct client *self)
{
    struct prng *prng = &self->sim->prng;
    client_wake_in(self, (int64_t)prng_below(prng, 60));
    if (self->opening || !self->sim->model.topic_exists[self->topic]) {
        return;
    }
    if (self->epoch == 0) {
        open_name(self);
        return;
    }
    if (self->recovering) {
        recover(self);
        return;
    }
    if (self->out < OUT_MAX && self->pending_count < CLIENT_PENDING_MAX && !self->sim->calm) {
        make_batch(self);
        send_batch(self, &self->pending[self->pending_count - 1]);
    }
}

static struct pending_batch *find_batch(struct client *self, const struct sim_request *request)
{
    for (size_t i = 0; i < self->pending_count; i++) {
        if (self->pending[i].first_message == request->first_message) {
            return &self->pending[i];
        }
    }
    return NULL;
}

static void remove_batch(struct client *self, struct pending_batch *batch)
{
    const size_t index = (size_t)(batch - self->pending);
    self->pending_count--;
    memmove(batch, batch + 1, (self->pending_count - index) * sizeof *batch);
}

/* The broker says where each sequence stands: drop what is there, number the rest anew. */
static void go_on(struct client *self, const struct sim_request *request)
{
    uint64_t last[SIM_PARTS_MAX] = {0};
    for (size_t i = 0; i < request->reply.part_count; i++) {
        const struct sim_part *part = &request->reply.parts[i];
        if (part->topic == self->topic) {
            last[part->partition] = part->values[0];
        }
    }
    for (size_t i = 0; i < self->pending_count;) {
        struct pending_batch *batch = &self->pending[i];
        const uint64_t done = last[batch->partition];
        if (batch->sequence + batch->count - 1 <= done) {
            remove_batch(self, batch);
            continue;
        }
        if (batch->sequence <= done) {
            (void)model_fail(&self->sim->model,
                             "PRODUCER.OPEN: sequence %" PRIu64 " is inside a batch", done);
        }
        i++;
    }
    for (uint32_t p = 0; p < SIM_PARTS_MAX; p++) {
        self->next_sequence[p] = last[p] + 1;
    }
    self->epoch = request->reply.epoch;
    self->recovering = false;
    self->must_open = false;
    for (size_t i = 0; i < self->pending_count; i++) {
        struct pending_batch *batch = &self->pending[i];
        batch->sequence = self->next_sequence[batch->partition];
        self->next_sequence[batch->partition] += batch->count;
        send_batch(self, batch);
    }
}

void sequenced_answer(struct client *self, const struct sim_request *request)
{
    if (request->verb == SIM_OPEN) {
        self->opening = false;
        if (!request->reply.is_error) {
            go_on(self, request);
        }
        return;
    }
    struct pending_batch *batch = find_batch(self, request);
    if (!batch) {
        return;
    }
    if (!request->reply.is_error) {
        remove_batch(self, batch);
        return;
    }
    batch->is_out = false;
    self->recovering = true;
    self->must_open =
        self->must_open || request->reply.code == ZSP_ENOT_FOUND ||
        request->reply.code == ZSP_EFENCED_PRODUCER ||
        (request->reply.code == ZSP_ESEQUENCE_GAP && prng_chance(&self->sim->prng, 500));
}

void sequenced_lost(struct client *self, const struct sim_request *request)
{
    if (request->verb == SIM_OPEN) {
        self->opening = false;
        return;
    }
    struct pending_batch *batch = find_batch(self, request);
    if (batch) {
        batch->is_out = false;
        self->recovering = true;
    }
}
