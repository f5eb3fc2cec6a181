/* SPDX-License-Identifier: MPL-2.0
 *
 * Pauses in the checker: once a PAUSE is confirmed nothing is handed out until a RESUME has reached
 * the broker, whatever crashes come between. What went out before may be told again.
 */
#include <inttypes.h>

#include "tests/sim/sim_model.h"

void model_pause_enter(struct model *self, const struct sim_request *request)
{
    struct group_model *group = &self->groups[request->group];
    if (request->verb == SIM_GROUP_PAUSE) {
        group->maybe_paused = true;
        group->pause_step = self->step;
    } else {
        group->paused = false;
        group->resume_step = self->step;
    }
}

void model_pause_answer(struct model *self, const struct sim_request *request)
{
    struct group_model *group = &self->groups[request->group];
    if (request->verb == SIM_GROUP_PAUSE) {
        group->paused = group->paused || request->entered_step > group->resume_step;
    } else if (request->entered_step > group->pause_step) {
        group->maybe_paused = false;
    }
}

bool model_judge_pause(struct model *self, const struct sim_request *pull)
{
    const struct sim_reply *reply = &pull->reply;
    if (!self->groups[pull->group].paused || reply->run_count == 0 || pull->repeats) {
        return true;
    }
    return model_fail(self, "group %s is paused, and PULL %" PRIu64 " got messages",
                      sim_group_name(pull->group), pull->ticket);
}
