/* SPDX-License-Identifier: MPL-2.0
 *
 * The ROUTER socket: its options, which must be set before any bind, binding it
 * to endpoints, and letting them go again. A plain libzmq socket in the context
 * that it is given; nothing of the process is touched, see docs/decisions/0301.
 */
#ifndef ZSP_SERVER_LISTEN_H
#define ZSP_SERVER_LISTEN_H

#include <stddef.h>

#include "broker/server/config.h"
#include "common/err.h"

/* A ROUTER socket with all options set, not bound. libc's generator, on which
 * libzmq draws when it makes one, goes on afterwards as if nothing had been.
 * *ret_fd = its ZMQ_FD. NULL: ZSP_EIO */
void *listen_new(void *context, int *ret_fd, struct zsp_err *err);

/* Bind to a checked endpoint. A socket file that nobody listens on any more is
 * replaced; anything else at the path of an ipc endpoint is left alone.
 * `ret_endpoint` = where it listens, the port filled in.
 *
 * Errors: ZSP_EIO      the address is in use or not of this machine
 *         ZSP_EEXISTS  ipc: another process listens there, or it is no socket
 */
int listen_bind(void *router, const char *endpoint, uint64_t ipc_mode,
                char ret_endpoint[ENDPOINT_MAX], struct zsp_err *err);

/* Close the socket. When it returns its endpoints are free to be bound again,
 * unless libzmq takes more than a second; replies that it holds leave behind it. */
void listen_close(void *context, void *router, char (*endpoints)[ENDPOINT_MAX], size_t count);

#endif
