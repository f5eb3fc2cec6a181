/* SPDX-License-Identifier: MPL-2.0
 *
 * Requests that were accepted and whose reply has not left yet: what the server
 * must know to answer one. The engine names a request by its ticket; tickets are
 * never used twice, so a late reply to a request that is gone finds nothing.
 */
#ifndef ZSP_SERVER_CALL_H
#define ZSP_SERVER_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/server/credit.h"
#include "broker/server/envelope.h"

struct connection;

struct call {
    uint64_t ticket;
    struct connection *connection; /* who asked */
    struct envelope envelope;      /* owned */
    uint64_t id;                   /* echoed in the reply */
    struct credit_share share;     /* held until the reply has left */
    uint64_t room;                 /* reserved for its reply, see reply_room.h */
    struct call *bundle_next;      /* answered by the same message */
    struct call *previous;         /* among those of the connection */
    struct call *next;             /* likewise; free requests: the next free one */
};

/* Slots are allocated one by one and never move; bounded by the connections'
 * credit. Zero-initialise. */
struct call_table {
    struct call **slots;
    size_t slot_count;
    size_t capacity;
    size_t used_count;
    struct call *free;
};

/* A fresh request with a new ticket and nothing else; NULL when out of memory. */
struct call *call_table_add(struct call_table *self);
/* The request of a ticket; NULL when it is gone. */
struct call *call_table_find(const struct call_table *self, uint64_t ticket);
/* Forget a request; its envelope is freed. */
void call_table_remove(struct call_table *self, struct call *call);
void call_table_fini(struct call_table *self);

#endif
