/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/group/group_work.h"

#include <stddef.h>
#include <stdlib.h>

#include "broker/engine/group/group.h"
#include "common/assert.h"

const struct group_work group_work_none = {0};
const struct binding_work binding_work_none = {0};

_Static_assert(offsetof(struct group_work, users) == 0, "see use()");
_Static_assert(offsetof(struct binding_work, users) == 0, "see use()");

/* Either of them, which begins with the number of its users. */
static void *use(void *work, size_t bytes)
{
    uint32_t *const users = work ? work : calloc(1, bytes);
    if (users) {
        *users += 1;
    }
    return users;
}

struct group_work *group_work_use(struct group *group)
{
    struct group_work *const work = use(group->work, sizeof *work);
    if (work && !group->work) {
        TAILQ_INIT(&work->parked);
        TAILQ_INIT(&work->working);
    }
    group->work = work;
    return work;
}

struct binding_work *binding_work_use(struct binding *binding)
{
    binding->work = use(binding->work, sizeof *binding->work);
    return binding->work;
}

void group_work_leave(struct group *group)
{
    struct group_work *const work = group->work;
    work->users--;
    if (work->users == 0) {
        zsp_assert(work->busy_ledgers == 0);
        zsp_assert(work->parked_count == 0);
        zsp_assert(TAILQ_EMPTY(&work->working));
        zsp_assert(!work->lease_first);
        free(work);
        group->work = NULL;
    }
}

void binding_work_leave(struct binding *binding)
{
    struct binding_work *const work = binding->work;
    work->users--;
    if (work->users == 0) {
        zsp_assert(work->ready == 0);
        zsp_assert(!work->ring);
        free(work);
        binding->work = NULL;
    }
}
