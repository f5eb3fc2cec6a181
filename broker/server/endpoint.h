/* SPDX-License-Identifier: MPL-2.0
 *
 * Addresses to listen on: what is legal, and what only this machine can reach.
 * tcp://HOST:PORT (PORT a number, or * for a free one), ipc://PATH and
 * inproc://NAME.
 */
#ifndef ZSP_SERVER_ENDPOINT_H
#define ZSP_SERVER_ENDPOINT_H

#include <stdbool.h>

#include "common/err.h"

#define ENDPOINT_MAX     256u
#define ENDPOINT_IPC_MAX 107u /* sun_path less its NUL */

/* Check the form; inproc only where `inproc` says that somebody in this process may
 * connect. Errors: ZSP_EBAD_VALUE, naming what is wrong. */
int endpoint_check(const char *endpoint, bool inproc, struct zsp_err *err);

/* Of a checked endpoint: can only processes of this machine connect to it? True
 * for ipc, inproc and for tcp on 127.x.y.z, ::1 and localhost; names and wildcards are not
 * looked up and count as public. */
bool endpoint_local(const char *endpoint);

/* The path of an ipc endpoint, NULL for others. */
const char *endpoint_ipc_path(const char *endpoint);

bool endpoint_inproc(const char *endpoint);

/* Does the endpoint hold an IPv6 address? */
bool endpoint_ipv6(const char *endpoint);

#endif
