/* SPDX-License-Identifier: MPL-2.0
 *
 * The completion queue of a client: the objects that have something for the
 * host to take, and the level-triggered descriptor that says so. All of it is
 * used with the link locked.
 */
#ifndef ZSP_CLIENT_COMPLETION_H
#define ZSP_CLIENT_COMPLETION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

/* Embedded in a producer, a consumer, a reader. */
struct zsp_ready {
    bool ready;
    uint64_t visited; /* the dispatch that called it last */
    /* Calls the host's function; not locked. NULL = the host has none. */
    void (*call_fn)(struct zsp_ready *self);
    TAILQ_ENTRY(zsp_ready) link;
};

struct zsp_completion {
    TAILQ_HEAD(zsp_ready_list, zsp_ready) ready; /* the ready ones, longest ready first */
    int fd; /* eventfd, readable while there are any; -1 = none yet */
    uint64_t dispatch;
};

void zsp_completion_init(struct zsp_completion *self);
/* Is any object ready? */
bool zsp_completion_any(const struct zsp_completion *self);

/* The descriptor, made at the first call; -1 = cannot be made. */
int zsp_completion_fd(struct zsp_completion *self);
void zsp_completion_fini(struct zsp_completion *self);

/* Say whether an object has something. Returns true when it has now and had not before. */
bool zsp_completion_set(struct zsp_completion *self, struct zsp_ready *object, bool ready);

/* Begin to visit every ready object once. */
void zsp_completion_begin(struct zsp_completion *self);
/* The next ready object not visited since zsp_completion_begin(), NULL when there is none. */
struct zsp_ready *zsp_completion_next(struct zsp_completion *self);

#endif
