/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/group/group_work.h"

#include <stdlib.h>

#include "broker/engine/group/group.h"
#include "common/assert.h"

const struct group_work group_work_none = {0};
const struct binding_work binding_work_none = {0};

struct group_work *group_work_use(struct group *group)
{
    if (!group->work) {
        group->work = calloc(1, sizeof *group->work);
    }
    if (group->work) {
        group->work->users++;
    }
    return group->work;
}

void group_work_leave(struct group *group)
{
    struct group_work *const work = group->work;
    work->users--;
    if (work->users == 0) {
        zsp_assert(work->busy_ledgers == 0);
        zsp_assert(work->parked_count == 0);
        zsp_assert(!work->working.first);
        zsp_assert(!work->lease_first);
        free(work);
        group->work = NULL;
    }
}

struct binding_work *binding_work_use(struct binding *binding)
{
    if (!binding->work) {
        binding->work = calloc(1, sizeof *binding->work);
    }
    if (binding->work) {
        binding->work->users++;
    }
    return binding->work;
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
