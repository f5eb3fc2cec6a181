/* SPDX-License-Identifier: MPL-2.0
 *
 * A handler for the fake broker that does what it is asked, without keeping
 * anything: publishes are confirmed, pulls and reads get messages out of
 * nowhere, everything else is answered with what its reply must hold. The test
 * may shut its mouth, make it slow, and look at how often it was asked.
 */
#ifndef ZSP_TESTS_OBLIGING_BROKER_H
#define ZSP_TESTS_OBLIGING_BROKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/support/fake_broker.h"

/* Zeroed, and set as the test likes before the fake starts; what is atomic at any time. */
struct obliging_broker {
    atomic_bool silent;    /* requests are not answered, ever */
    atomic_bool held;      /* requests are answered once this is false again */
    atomic_uint stock;     /* messages that pulls may still get; each reply uses up some */
    unsigned reply_max;    /* messages of one reply; 0 = as many as were asked for */
    unsigned excess;       /* messages of one reply beyond what was asked for */
    atomic_uint lease_ms;  /* 0 = 30 s */
    uint64_t log_end;      /* READ: the topic ends before this offset; it has one partition */
    atomic_uint log_start; /* READ: what is below has gone */
    unsigned broken_at;    /* the READ whose records are none; 0 = none */
    atomic_uint reads_let; /* READs behind so many wait until there may be more; 0 = any number */

    atomic_uint connections; /* that said HELLO, by the last request */
    atomic_uint requests, publishes, pulls, settles, reads;
    atomic_uint max_messages, max_bytes; /* of the last PULL */
    uint64_t next_offset;                /* the handler's: of what pulls get */
    uint64_t published;                  /* the handler's: records confirmed */
    uint64_t last_lease;                 /* the handler's */
};

/* The handler; `arg` is the struct. */
void obliging_handler(struct fake_broker *broker, const struct fake_request *request, void *arg);

#endif
