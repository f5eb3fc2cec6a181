/* SPDX-License-Identifier: MPL-2.0
 *
 * Work for a broker that is going to be killed, and the books about it: what was
 * sent, what was confirmed and at which offset, what was pulled, what was acked.
 * After any number of crashes load_verify() compares the books with what the
 * broker kept:
 *
 *   every confirmed message is there, once, at its offset, unchanged
 *   nothing is there that was not sent, and nothing twice
 *   nothing whose ack was confirmed is handed out again
 */
#ifndef ZSP_TESTS_LOAD_H
#define ZSP_TESTS_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/support/broker_process.h"
#include "tests/support/raw_client.h"

#define LOAD_MESSAGES_MAX 200000u

struct load_message {
    bool sent;
    bool confirmed;
    bool found;
    bool acked;      /* the ack was confirmed */
    uint64_t offset; /* when confirmed or found */
};

struct load {
    struct load_message *messages; /* by number, from 0 */
    uint32_t *at;                  /* message number + 1 by offset; 0 = not known */
    uint32_t sent_count;
    uint32_t confirmed_count;
    uint32_t acked_count;
    struct broker_process *broker; /* NULL = not connected */
    struct raw_client client;
    uint64_t last_id;
    uint32_t first_of[512]; /* first message of a publish, by id modulo 512 */
    uint32_t count_of[512];
    uint32_t in_flight;
    bool tolerant; /* refusals are no failure of the test, the message stays unconfirmed */
    uint32_t random;
};

void load_init(struct load *self, uint32_t seed);
void load_fini(struct load *self);

/* A new connection with a session; false when the broker has ended. `broker` is
 * lent until load_disconnect(). */
bool load_connect(struct load *self, struct broker_process *broker);
void load_disconnect(struct load *self);

/* Publish until `confirmations` more are there, with many in flight, and pull and
 * ack some now and then; false when the broker has ended or its storage failed.
 * Requests are left in flight. */
bool load_run(struct load *self, uint32_t confirmations);

/* Read everything and compare; pull the rest and ack it. */
void load_verify(struct load *self, struct broker_process *broker);

/* The broker is dead: what it left is as `zspool fsck` wants it. */
void load_check_files(const struct broker_process *broker);

/* A number below `end`, the same for the same seed. */
uint32_t load_random(struct load *self, uint32_t end);

#endif
