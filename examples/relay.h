/* SPDX-License-Identifier: MPL-2.0
 *
 * The work of poll_loop.c, epoll_loop.c and zloop.c: each message of one topic is
 * published to another one, and acked once the broker has confirmed the copy.
 * Nothing here ever waits; the loops call it when zspool_fd() is readable. It is
 * at least once: a copy may be in the log when the ack is not.
 */
#ifndef RELAY_H
#define RELAY_H

#include <stdbool.h>
#include <zspool.h>

#define RELAY_OPEN_MAX 512 /* messages taken whose copies are not confirmed yet */

struct relay {
    const char *to;
    zspool_client_t *client;
    zspool_consumer_t *consumer;
    zspool_producer_t *producer;
    const zspool_message_t *open[RELAY_OPEN_MAX]; /* by ticket */
    const zspool_message_t *refused;              /* taken, and the producer had no room for it */
    unsigned open_count;
    unsigned long copied;
    bool at_end; /* the topic holds nothing more */
    zspool_error_t error;
};

/* Connect as a member of `group` that copies `from` to `to`; false: see `error`. */
bool relay_start(struct relay *self, const char *from, const char *to, const char *group);

/* Take what is there: reports, then messages. False: failed, see `error`. */
bool relay_take_reports(struct relay *self);
bool relay_take_messages(struct relay *self);

/* Is all of it copied and acked? */
bool relay_done(const struct relay *self);

/* Make the acks durable, tell how it went, free everything. Returns the exit code. */
int relay_end(struct relay *self);

#endif
