/* SPDX-License-Identifier: MPL-2.0
 *
 * Replies of one connection that travel together, for sessions that asked
 * (HELLO coalesce): a reply without body to a request without envelope is not
 * sent at once but put behind the ones before it, one header after the other in
 * one frame. The bundle leaves when all that is ready now is in it, before
 * anything else goes to that connection, and when it is full. So replies keep
 * their order, and none waits for another that is not ready.
 */
#include "broker/server/server_priv.h"
#include "common/limits.h"

static void join_list(struct server *self, struct connection *connection)
{
    connection->bundle_next = self->bundles;
    if (self->bundles) {
        self->bundles->bundle_link = &connection->bundle_next;
    }
    connection->bundle_link = &self->bundles;
    self->bundles = connection;
}

static void leave_list(struct connection *connection)
{
    if (!connection->bundle_link) {
        return;
    }
    *connection->bundle_link = connection->bundle_next;
    if (connection->bundle_next) {
        connection->bundle_next->bundle_link = connection->bundle_link;
    }
    connection->bundle_next = NULL;
    connection->bundle_link = NULL;
}

bool bundle_add(struct server *self, struct call *call, const struct engine_effect *effect)
{
    struct connection *const connection = call->connection;
    const bool fits = connection->session && connection->session->terms.coalesce && call->id > 0 &&
                      call->envelope.count == 0 && effect->part_count == 0 && effect->lease == 0 &&
                      !effect->more && effect->header->len <= ZSP_HEADER_MAX;
    if (!fits) {
        return false;
    }
    if (connection->bundle.len > ZSP_HEADER_MAX - effect->header->len) {
        if (!bundle_flush(self, connection)) {
            return true; /* the call is gone with its connection */
        }
    }
    zsp_write_bytes(&connection->bundle,
                    (struct zsp_slice){effect->header->data, effect->header->len});
    if (connection->bundle.failed) {
        return false; /* without memory for it: what was in it leaves now */
    }
    reply_room_release(&connection->room, &self->replies, &call->room);
    call->bundle_next = NULL;
    *(connection->bundled_last ? &connection->bundled_last->bundle_next : &connection->bundled) =
        call;
    connection->bundled_last = call;
    if (!connection->bundle_link) {
        join_list(self, connection);
    }
    return true;
}

void bundle_drop(struct connection *connection)
{
    leave_list(connection);
    zsp_writer_fini(&connection->bundle);
    connection->bundled = NULL;
    connection->bundled_last = NULL;
}

bool bundle_flush(struct server *self, struct connection *connection)
{
    const size_t connections = self->connections.count;
    struct call *const first = connection->bundled;
    struct zsp_writer bytes = connection->bundle;
    connection->bundle = (struct zsp_writer){0};
    bundle_drop(connection);
    if (first) {
        self->figures.bundles_sent += first->bundle_next ? 1u : 0u;
        deliver_header(self,
                       (struct deliver_to){
                           .connection = connection, .call = first, .envelope = &first->envelope},
                       zsp_writer_slice(&bytes));
    }
    zsp_writer_fini(&bytes);
    return self->connections.count == connections; /* what was sent could end this one only */
}

void bundle_flush_all(struct server *self)
{
    while (self->bundles) {
        (void)bundle_flush(self, self->bundles); /* alive or gone, it is out of the list */
    }
}
