/* SPDX-License-Identifier: MPL-2.0
 *
 * What the classes of the library share: the client's inside, the way in and
 * out for errors and options. Included by client/src only.
 */
#ifndef ZSP_CLIENT_CLIENT_PRIV_H
#define ZSP_CLIENT_CLIENT_PRIV_H

#include <zspool.h>

#include "client/src/base/completion.h"
#include "client/src/base/fork_mark.h"
#include "client/src/link/link.h"
#include "common/err.h"

struct zspool_client {
    struct zsp_link *link;
    struct zsp_completion completion;
    struct zsp_fork_mark made_in; /* the process; set once */
    int64_t linger_ms;
    size_t objects;   /* producers, consumers, readers and commits that live; locked */
    bool dispatching; /* locked */
};

/* May it be used? Not when there is none, and not in a child of fork(), where nothing of it works
 * and its lock may be held for ever. Async-signal-safe. */
bool zsp_client_usable(const struct zspool_client *self);

/* Hand a report to the host; `to` may be NULL. Returns from->code. */
int zsp_err_export(const struct zsp_err *from, zspool_error_t *to);
/* Tell the host that it used us wrongly. Returns ZSP_EINVAL. */
int zsp_refuse(zspool_error_t *err, const char *why);

/* Fill `to`, an options struct of ours of `to_size` bytes that begins with its size, from the host's:
 * fields that an older host does not have stay zero. `from` NULL = all zero. `what`
 * names the struct in errors.
 * Errors: ZSP_EINVAL  the size cannot be one, or fields we do not know are set */
int zsp_options_read(void *to, size_t to_size, const void *from, const char *what,
                     struct zsp_err *err);
/* The opposite for structs the library fills: as much as the host has room for. */
int zsp_options_write(void *to, const void *from, size_t from_size, const char *what,
                      struct zsp_err *err);

/* A value, or `fallback` when it is 0; ZSP_EINVAL when it is not within min..max. */
int zsp_option_ms(const char *name, int64_t given, int64_t fallback, int64_t max, int64_t *ret,
                  struct zsp_err *err);

/* A legal name given as a C string. Errors: ZSP_EBAD_NAME (also for NULL) */
int zsp_name_check_text(const char *what, const char *name, struct zsp_err *err);
/* The same for a name or a pattern. */
int zsp_pattern_check_text(const char *what, const char *pattern, struct zsp_err *err);

/* Text that is no name (a mode, a glob, a setting) given as a C string: UTF-8 of at most `max` bytes,
 * since the broker could not even read the request else. Errors: ZSP_EINVAL (also for NULL) */
int zsp_text_check(const char *what, const char *text, size_t max, struct zsp_err *err);

/* An object of the client is made: it counts as one of its `objects`, and its port is pumped from now
 * on; NULL = it has none. Not locked. */
void zsp_client_join(struct zspool_client *self, struct zsp_port *port);

/* Mark an object ready or not, and wake zspool_dispatch(). Locked. */
void zsp_client_set_ready(struct zspool_client *self, struct zsp_ready *object, bool ready);

#endif
