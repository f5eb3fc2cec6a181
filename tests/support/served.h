/* SPDX-License-Identifier: MPL-2.0
 *
 * A real zspoold and a client of it, for tests of the library, and the steps that
 * most of them begin with. A step that does not work ends the test.
 *
 *     struct served served;
 *     served_start(&served);
 *     served_topic(served.client, "t", 3);
 *     ...
 *     served_end(&served);
 */
#ifndef ZSP_TESTS_SERVED_H
#define ZSP_TESTS_SERVED_H

#include <stdint.h>
#include <zspool.h>

#include "tests/support/broker_process.h"

struct served {
    struct broker_process broker;
    zspool_client_t *client;
};

void served_start(struct served *self);
void served_end(struct served *self);

/* --- Steps of any client --------------------------------------------------------------------- */

/* `partitions`: 0 = as many as the broker likes. */
void served_topic(zspool_client_t *client, const char *topic, uint32_t partitions);
/* A group of topic "t", with leases of so many ms. */
void served_group(zspool_client_t *client, const char *group, int64_t lease_ms);
/* A consumer of a group of topic "t", which it makes if need be. */
zspool_consumer_t *served_consumer(zspool_client_t *client, const char *group);

/* Publish "x" to topic "t", so many times. */
void served_publish(zspool_client_t *client, int count);
/* Send a number to topic "t", not waited for. */
void served_send_number(zspool_producer_t *producer, int number);
/* The number that a payload is. */
int served_number(const zspool_message_t *message);

/* One of the broker's figures, see STATS in docs/PROTOCOL.md. */
int64_t served_figure(zspool_client_t *client, const char *name);

#endif
