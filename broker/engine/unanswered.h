/* SPDX-License-Identifier: MPL-2.0
 *
 * The table of unanswered requests. A slot is found by the number that its
 * reply_to carries, so nothing is hashed or searched; arrival order is kept for
 * the fail-stop.
 */
#ifndef ZSP_ENGINE_UNANSWERED_H
#define ZSP_ENGINE_UNANSWERED_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/engine/reply.h"

#define PENDING_NONE UINT32_MAX

struct pending {
    uint64_t ticket;
    bool used;
    bool may_apply;      /* reply_may_apply() */
    uint32_t next, prev; /* slots in order of arrival; PENDING_NONE ends */
    struct reply_to to;
};

struct pending_set {
    struct pending *slots;
    uint32_t capacity;
    uint32_t count;
    uint32_t first, last; /* in order of arrival */
    uint32_t free_first;  /* linked through next */
};

void pending_init(struct pending_set *self);
void pending_fini(struct pending_set *self);
/* Take a slot for to->ticket; fills to->slot. Errors: ZSP_ENOMEM */
int pending_open(struct pending_set *self, struct reply_to *to);
/* The slot of `to`, NULL when it was answered or abandoned. */
struct pending *pending_find(const struct pending_set *self, const struct reply_to *to);
/* Give the slot back: answered or abandoned. */
void pending_close(struct pending_set *self, const struct reply_to *to);
/* The oldest unanswered, NULL = none. */
const struct reply_to *pending_oldest(const struct pending_set *self);

#endif
