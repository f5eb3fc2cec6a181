/* SPDX-License-Identifier: MPL-2.0
 *
 * The libzmq context of an embedded broker that was given none. Its host connects
 * sockets in it, and may forget to close them; zmq_ctx_term() would then wait for
 * ever, and cannot be told not to.
 */
#ifndef ZSP_EMBED_EMBEDDED_CONTEXT_H
#define ZSP_EMBED_EMBEDDED_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

/* Make one; its threads run, with all signals blocked. NULL: ZSP_EIO */
void *embedded_context_new(uint64_t io_threads, struct zsp_err *err);

/* Have every call on a socket in it answer ETERM, and wait up to `wait_ms` until all
 * of them are closed. False: some are still open; the context ends by itself behind
 * the last one. Nobody may use `context` afterwards. */
bool embedded_context_end(void *context, int64_t wait_ms);

#endif
