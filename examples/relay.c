/* SPDX-License-Identifier: MPL-2.0 */
#include "relay.h"

#include <stdio.h>
#include <stdlib.h>

bool relay_start(struct relay *self, const char *from, const char *to, const char *group)
{
    const char *server = getenv("ZSPOOL_SERVER");
    *self = (struct relay){.to = to};
    self->client = zspool_new(server ? server : ZSPOOL_DEFAULT_ENDPOINT, NULL, &self->error);
    if (!self->client) {
        return false;
    }
    zspool_producer_options_t out;
    zspool_producer_options_init(&out);
    out.reporting = ZSPOOL_REPORT_ALL;
    out.max_bytes = 256 * 1024; /* far less than usual, so that it is full now and then */
    self->producer = zspool_producer_new(self->client, &out, &self->error);
    zspool_consumer_options_t in;
    zspool_consumer_options_init(&in);
    in.topics = (const char *const[]){from};
    in.topic_count = 1;
    in.group = group;
    in.held_limit = RELAY_OPEN_MAX; /* so that there is always a place in `open` */
    in.end_when_empty = true;       /* leave out to go on for ever */
    self->consumer = zspool_consumer_new(self->client, &in, &self->error);
    return self->producer && self->consumer;
}

/* The fate of the copies with these tickets is that of their originals. */
static int settle_run(struct relay *self, const zspool_report_t *report)
{
    const zspool_outcome_t outcome = report->status == 0 ? ZSPOOL_ACK : ZSPOOL_RETRY;
    int code = ZSPOOL_OK;
    for (uint64_t n = 0; n < report->count && code == ZSPOOL_OK; n++) {
        const uint64_t place = (report->first_ticket + n) % RELAY_OPEN_MAX;
        code = zspool_settle(self->consumer, self->open[place], outcome, NULL, &self->error);
        self->open_count--;
        self->copied += outcome == ZSPOOL_ACK;
    }
    return code;
}

bool relay_take_reports(struct relay *self)
{
    zspool_report_t report;
    int code = ZSPOOL_OK;
    while (code == ZSPOOL_OK && zspool_reports(self->producer, &report, 1) == 1) {
        code = settle_run(self, &report);
    }
    return code == ZSPOOL_OK;
}

bool relay_take_messages(struct relay *self)
{
    int code = ZSPOOL_OK;
    while (code == ZSPOOL_OK) {
        const zspool_message_t *message = self->refused;
        if (!message) {
            code = zspool_next(self->consumer, &message, 0, &self->error);
            self->at_end = code == ZSPOOL_END;
        }
        if (code == ZSPOOL_OK) {
            zspool_out_t copy = zspool_out(self->to, message->payload.data, message->payload.len);
            copy.key = message->key;
            uint64_t ticket;
            code = zspool_send(self->producer, &copy, &ticket, &self->error);
            self->refused = code == ZSPOOL_EAGAIN ? message : NULL;
            /* Without room, messages that wait must not wake the loop; reports still do. */
            zspool_consumer_want(self->consumer, !self->refused);
            if (code == ZSPOOL_OK) {
                self->open[ticket % RELAY_OPEN_MAX] = message;
                self->open_count++;
            }
        }
    }
    return code == ZSPOOL_END || code == ZSPOOL_ETIMEOUT || code == ZSPOOL_EAGAIN;
}

bool relay_done(const struct relay *self)
{
    return self->at_end && self->open_count == 0 && !self->refused;
}

int relay_end(struct relay *self)
{
    const bool done = relay_done(self) && /* acks travel in batches: see that the last is kept */
                      zspool_settle_flush(self->consumer, 30000, &self->error) == ZSPOOL_OK;
    if (done) {
        printf("%lu messages copied to %s\n", self->copied, self->to);
    } else {
        fprintf(stderr, "relay: %s\n", self->error.message);
    }
    zspool_consumer_destroy(&self->consumer);
    zspool_producer_destroy(&self->producer);
    zspool_destroy(&self->client);
    return done ? 0 : 1;
}
