/* SPDX-License-Identifier: MPL-2.0
 *
 * What DEAD.REDRIVE and DEAD.DROP were answered, for a request that its session sends again because the
 * answer got lost: what it asks for was done, and would not be found. Memory only, as sessions are;
 * the last DEAD_ANSWERS_MAX of all sessions.
 */
#ifndef ZSP_ENGINE_DEAD_ANSWERS_H
#define ZSP_ENGINE_DEAD_ANSWERS_H

#include "broker/engine/dead/dead.h"

#define DEAD_ANSWERS_MAX 256u

struct dead_answer {
    uint64_t session, id; /* of the request */
    uint64_t messages;
    bool more;
    struct dead_place place; /* with `more` */
};

void dead_answers_fini(struct groups *self);
/* Remember it. Without memory for that, or a session, it is not. */
void dead_answers_keep(struct groups *self, const struct reply_to *to,
                       const struct dead_answer *answer);
/* NULL = the request was not answered before, or long ago. */
const struct dead_answer *dead_answers_find(const struct groups *self, const struct reply_to *to);

#endif
