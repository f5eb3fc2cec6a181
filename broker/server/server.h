/* SPDX-License-Identifier: MPL-2.0
 *
 * The server: one ROUTER socket, the connections and sessions behind it, and
 * the loop that carries requests to the engine and its replies back. The only
 * owner of the socket; everything happens on the thread that calls
 * server_run(). Each turn of the loop:
 *
 *     receive a bounded number of requests      intake.c, attach.c
 *     step the driver, send the replies         deliver.c
 *     until both are quiet; then wait
 */
#ifndef ZSP_SERVER_SERVER_H
#define ZSP_SERVER_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include "broker/engine/engine.h"
#include "broker/server/config.h"
#include "broker/server/driver.h"
#include "common/diag.h"

struct server;

struct server_options {
    void *context;               /* lent: the libzmq context of the socket */
    const struct config *config; /* lent */
    const struct zsp_diag *diag; /* lent; NULL = silent */
    struct engine *engine;       /* lent, started */
    struct driver *driver;       /* lent */
    int jobs_fd;                 /* readable when a job has finished */
    /* A descriptor of the host that the loop watches as well, and what to call
     * when it is readable; -1 = none. */
    int host_fd;
    void (*host_fn)(void *arg, struct server *server);
    void *host_arg;
    /* Gives free memory of the process back to the system; called after very many connections
     * went, since their memory lies scattered over the heap. NULL = left to the host. */
    void (*trim_fn)(void);
};

/* Make the socket and listen on every endpoint of the configuration.
 * NULL: ZSP_EIO, ZSP_EEXISTS (see listen.h), ZSP_ENOMEM */
struct server *server_new(const struct server_options *options, struct zsp_err *err);
/* Closes the socket, see listen_close(); replies that libzmq holds get a second to
 * leave. */
void server_destroy(struct server **self_p);

/* Where it listens, real ports; `index` < server_endpoint_count(). Lent. */
size_t server_endpoint_count(const struct server *self);
const char *server_endpoint(const struct server *self, size_t index);

/* The engine's room_fn (engine.h). */
enum engine_room server_reply_room(struct server *self, uint64_t ticket, uint32_t bytes);

/* The engine's figures_fn (engine.h): connections, sessions and credit. */
size_t server_figures(const struct server *self, struct engine_figure *ret, size_t max);

/* Is a request waiting at the socket? */
bool server_ready(const struct server *self);

/* Serve until drained. 0 = all that was accepted is decided and durable, and
 * answered as far as peers took the answers.
 *
 * Errors: ZSP_ESTORAGE_FAILED  fail-stop: what could be answered was
 *         ZSP_EINTERRUPTED     stopped before everything was done
 *         ZSP_EIO              the socket failed
 */
int server_run(struct server *self, struct zsp_err *err);

/* Stop soon: new requests are refused, parked ones answered, the rest gets `ms`
 * (>= 0) milliseconds. Again: the earlier end counts. From host_fn. */
void server_drain(struct server *self, int64_t ms);
/* What zspoold gives them. */
#define SERVER_DRAIN_MS 3500

#endif
