/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/dead/dead_answers.h"

#include <stdlib.h>

struct dead_answers {
    uint32_t next; /* they are a ring */
    struct dead_answer kept[DEAD_ANSWERS_MAX];
};

void dead_answers_fini(struct groups *self)
{
    free(self->dead_answers);
    self->dead_answers = NULL;
}

void dead_answers_keep(struct groups *self, const struct reply_to *to,
                       const struct dead_answer *answer)
{
    if (to->session == 0) {
        return;
    }
    if (!self->dead_answers) {
        self->dead_answers = calloc(1, sizeof *self->dead_answers);
    }
    struct dead_answers *const answers = self->dead_answers;
    if (answers) {
        struct dead_answer *const kept = &answers->kept[answers->next++ % DEAD_ANSWERS_MAX];
        *kept = *answer;
        kept->session = to->session;
        kept->id = to->id;
    }
}

const struct dead_answer *dead_answers_find(const struct groups *self, const struct reply_to *to)
{
    const struct dead_answers *const answers = self->dead_answers;
    for (uint32_t i = 0; answers && to->session != 0 && i < DEAD_ANSWERS_MAX; i++) {
        if (answers->kept[i].session == to->session && answers->kept[i].id == to->id) {
            return &answers->kept[i];
        }
    }
    return NULL;
}
