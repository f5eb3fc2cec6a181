/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/server/connection.h"

#include <stdlib.h>
#include <string.h>

#include "common/assert.h"

void connection_table_init(struct connection_table *self, uint64_t seed,
                           const struct reply_pool *pool)
{
    *self = (struct connection_table){.pool = pool};
    self->stuck_end = &self->stuck;
    zsp_table_init(&self->by_id, seed);
}

void connection_table_fini(struct connection_table *self)
{
    while (self->oldest) {
        connection_table_remove(self, self->oldest);
    }
    zsp_table_fini(&self->by_id);
}

static void link_newest(struct connection_table *self, struct connection *connection)
{
    connection->older = self->newest;
    connection->newer = NULL;
    if (self->newest) {
        self->newest->newer = connection;
    } else {
        self->oldest = connection;
    }
    self->newest = connection;
}

static void unlink_age(struct connection_table *self, struct connection *connection)
{
    if (connection->older) {
        connection->older->newer = connection->newer;
    } else {
        self->oldest = connection->newer;
    }
    if (connection->newer) {
        connection->newer->older = connection->older;
    } else {
        self->newest = connection->older;
    }
}

static void connection_free(struct connection *self)
{
    reply_room_fini(&self->room);
    free(self);
}

static struct connection *connection_new(struct zsp_slice routing_id, const struct reply_pool *pool)
{
    struct connection *const self = calloc(1, sizeof *self + routing_id.len);
    if (!self) {
        return NULL;
    }
    if (reply_room_init(&self->room, pool) < 0) {
        free(self);
        return NULL;
    }
    uint8_t *const bytes = (uint8_t *)(self + 1);
    memcpy(bytes, routing_id.data, routing_id.len);
    self->routing_id = (struct zsp_slice){bytes, routing_id.len};
    self->queue_end = &self->queue;
    self->fd = -1;
    return self;
}

struct connection *connection_table_get(struct connection_table *self, struct zsp_slice routing_id,
                                        int64_t now_ms)
{
    struct connection *connection = zsp_table_find(&self->by_id, routing_id);
    if (connection) {
        return connection;
    }
    connection = connection_new(routing_id, self->pool);
    if (!connection) {
        return NULL;
    }
    if (zsp_table_add(&self->by_id, connection->routing_id, connection) < 0) {
        connection_free(connection);
        return NULL;
    }
    self->last_number++;
    connection->number = self->last_number;
    connection->heard_ms = now_ms;
    connection->sent_ms = now_ms;
    self->count++;
    link_newest(self, connection);
    return connection;
}

void connection_table_remove(struct connection_table *self, struct connection *connection)
{
    zsp_assert(!connection->calls);
    zsp_assert(!connection->queue);
    zsp_assert(!connection->session);
    zsp_assert(!connection->bundled);
    connection_unstick(self, connection);
    unlink_age(self, connection);
    const void *const removed = zsp_table_remove(&self->by_id, connection->routing_id);
    zsp_assert(removed == connection);
    self->count--;
    connection_free(connection);
}

void connection_table_touch(struct connection_table *self, struct connection *connection,
                            int64_t now_ms)
{
    connection->heard_ms = now_ms;
    if (self->newest != connection) {
        unlink_age(self, connection);
        link_newest(self, connection);
    }
}

void connection_add_call(struct connection *self, struct call *call)
{
    call->connection = self;
    call->previous = NULL;
    call->next = self->calls;
    if (self->calls) {
        self->calls->previous = call;
    }
    self->calls = call;
}

void connection_remove_call(struct connection *self, struct call *call)
{
    if (call->previous) {
        call->previous->next = call->next;
    } else {
        zsp_assert(self->calls == call);
        self->calls = call->next;
    }
    if (call->next) {
        call->next->previous = call->previous;
    }
}

void connection_queue(struct connection_table *table, struct connection *self,
                      struct outgoing *outgoing)
{
    outgoing->next = NULL;
    *self->queue_end = outgoing;
    self->queue_end = &outgoing->next;
    self->queue_count++;
    if (!self->stuck_link) {
        connection_stick(table, self);
    }
}

struct outgoing *connection_unqueue(struct connection *self)
{
    struct outgoing *const outgoing = self->queue;
    if (outgoing) {
        self->queue = outgoing->next;
        outgoing->next = NULL;
        self->queue_count--;
        if (!self->queue) {
            self->queue_end = &self->queue;
        }
    }
    return outgoing;
}

void connection_stick(struct connection_table *table, struct connection *self)
{
    connection_unstick(table, self);
    self->stuck_link = table->stuck_end;
    *table->stuck_end = self;
    table->stuck_end = &self->stuck_next;
    table->stuck_count++;
}

void connection_unstick(struct connection_table *table, struct connection *self)
{
    if (!self->stuck_link) {
        return;
    }
    *self->stuck_link = self->stuck_next;
    if (self->stuck_next) {
        self->stuck_next->stuck_link = self->stuck_link;
    } else {
        table->stuck_end = self->stuck_link;
    }
    self->stuck_next = NULL;
    self->stuck_link = NULL;
    table->stuck_count--;
}
