/* SPDX-License-Identifier: MPL-2.0
 *
 * Tells whether this is still the process that made a client. A child of fork()
 * has a copy of all memory, but not the link's thread, and maybe a mutex that
 * nobody will unlock: it must be found out before anything is touched, and
 * cheaply, as it is asked with every message.
 */
#ifndef ZSP_CLIENT_FORK_MARK_H
#define ZSP_CLIENT_FORK_MARK_H

#include <stdbool.h>
#include <sys/types.h>

struct zsp_fork_mark {
    unsigned char *page; /* its first byte is 1, and 0 in a child: the kernel wipes it;
                                * NULL = such pages are not to be had, `pid` is compared */
    pid_t pid;
};

void zsp_fork_mark_init(struct zsp_fork_mark *self);
void zsp_fork_mark_fini(struct zsp_fork_mark *self);

/* Is this the process that called zsp_fork_mark_init()? Async-signal-safe. */
bool zsp_fork_mark_same(const struct zsp_fork_mark *self);

#endif
