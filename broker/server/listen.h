/* SPDX-License-Identifier: MPL-2.0
 *
 * The ROUTER socket: its options, which must be set before any bind, and
 * binding it to endpoints.
 */
#ifndef ZSP_SERVER_LISTEN_H
#define ZSP_SERVER_LISTEN_H

#include <czmq.h>

#include "broker/server/config.h"
#include "common/err.h"

/* Prepare czmq for this process: its own signal handlers off, its environment
 * variables without effect, libc's generator seeded from the kernel (libzmq draws
 * on it when a ROUTER is made). Once, before any socket and any thread.
 *
 * Errors: ZSP_EIO */
int listen_prepare(const struct config *config, struct zsp_err *err);

/* A ROUTER socket with all options set, not bound. NULL: ZSP_EIO */
zsock_t *listen_new(struct zsp_err *err);

/* Bind to a checked endpoint. A socket file that nobody listens on any more is
 * replaced; anything else at the path of an ipc endpoint is left alone.
 * `ret_endpoint` = where it listens, the port filled in.
 *
 * Errors: ZSP_EIO      the address is in use or not of this machine
 *         ZSP_EEXISTS  ipc: another process listens there, or it is no socket
 */
int listen_bind(zsock_t *router, const char *endpoint, uint64_t ipc_mode,
                char ret_endpoint[ENDPOINT_MAX], struct zsp_err *err);

#endif
