/* SPDX-License-Identifier: MPL-2.0
 *
 * A group that nobody pulls for. One client makes it, in some histories late, and looks at it now and
 * then, for as long as the history lasts. It judges the answers itself: what expires is counted there
 *
 *   - never before its time, by the highest that the clock ever was;
 *   - at the latest SWEPT_MS after it, while nothing happens to the broker, the disk or the clock;
 *   - and nothing else is done, or dead.
 *
 * In some histories it has a filter: what that does not want is done when it has expired, and not counted.
 */
#include <inttypes.h>

#include "tests/sim/sim.h"
#include "tests/sim/sim_message.h"

#define SWEPT_MS 5000
/* Longer than any message lives. */
#define ALONE_MS 30000

static struct sim_request *ask(struct client *self, enum sim_verb verb)
{
    struct sim_request *request = client_request(self, verb);
    request->group = SIM_SHELF;
    request->entered_ms = self->sim->model.uptime_ms; /* or later */
    request->entered_wall_ms = self->sim->model.wall_ms;
    request->has_filter = self->sim->model.shelf_filters;
    self->shelf_is_asked = self->shelf_is_asked || verb == SIM_GROUP_CREATE;
    return request;
}

void shelf_wake(struct client *self)
{
    struct sim *sim = self->sim;
    client_wake_in(self, (int64_t)prng_below(&sim->prng, 400));
    if (self->out > 0 || (!self->shelf_is_made && prng_chance(&sim->prng, 700))) {
        return;
    }
    client_send(self, ask(self, self->shelf_is_made ? SIM_GROUP_INFO : SIM_GROUP_CREATE));
}

/* Must it be counted by now? */
static bool is_late(const struct client *self, const struct sim_request *info, uint32_t message)
{
    const struct model *model = &self->sim->model;
    const struct message_fact *fact = &model->messages[message - 1];
    const int64_t since_ms = info->entered_ms - SWEPT_MS;
    return !model->expiry_is_tight && fact->order.expires_at_ms != 0 && fact->synced_step != 0 &&
           fact->is_sure && fact->synced_ms <= since_ms && self->shelf_made_ms <= since_ms &&
           model->quiet_ms <= since_ms && (!model->shelf_filters || model->slow_ms <= since_ms) &&
           fact->order.expires_at_ms <= info->entered_wall_ms - SWEPT_MS;
}

static bool judge_part(struct client *self, const struct sim_request *info,
                       const struct sim_part *part)
{
    struct model *model = &self->sim->model;
    uint64_t least = 0;
    uint64_t most = 0;
    uint64_t committed_most = UINT64_MAX;
    for (uint64_t o = 0; o < part->values[1]; o++) {
        const uint32_t message = model_log_slot(model, part->topic, part->partition, o)->message;
        /* Before that is sure another one may have taken its place, after a power cut. */
        const bool is_known = message > 0 && model->messages[message - 1].is_sure;
        const bool may = is_known ? model_may_be_expired(model, message - 1) : model->any_expires;
        const bool is_wanted = !model->shelf_filters || !is_known || message_is_wanted(message - 1);
        most += may && is_wanted;
        committed_most = !may && o < committed_most ? o : committed_most;
        least += message > 0 && is_wanted && is_late(self, info, message);
    }
    committed_most = committed_most < part->values[1] ? committed_most : part->values[1];
    const uint64_t *told = part->values;
    model->swept += least;
    return (told[7] >= least && told[7] <= most && told[0] <= committed_most && told[3] == 0 &&
            told[5] == 0) ||
           model_fail(model,
                      "group shelf: %s/%u: %" PRIu64 " expired, committed %" PRIu64
                      ", leased %" PRIu64 ", dead %" PRIu64 ", want %" PRIu64 " to %" PRIu64
                      " expired, committed up to %" PRIu64 ", nothing else",
                      sim_topic_name(part->topic), part->partition, told[7], told[0], told[3],
                      told[5], least, most, committed_most);
}

static void judge(struct client *self, const struct sim_request *info)
{
    for (size_t i = 0; i < info->reply.part_count; i++) {
        if (!judge_part(self, info, &info->reply.parts[i])) {
            return;
        }
    }
}

void shelf_answer(struct client *self, struct sim_request *request)
{
    struct sim *sim = self->sim;
    if (request->verb == SIM_GROUP_CREATE &&
        (!request->reply.is_error || request->reply.code == ZSP_EEXISTS)) {
        self->shelf_is_made = true;
        self->shelf_made_ms = sim->model.uptime_ms;
    } else if (request->verb == SIM_GROUP_INFO && !request->reply.is_error) {
        judge(self, request);
    }
}

void shelf_final(struct client *self)
{
    struct sim *sim = self->sim;
    if (!sim->model.topic_exists[0] || (self->shelf_is_asked && !self->shelf_is_made)) {
        return;
    }
    if (!self->shelf_is_made) {
        (void)sim_ask(sim, self, ask(self, SIM_GROUP_CREATE));
    }
    struct sim_request *request = client_request(self, SIM_READ); /* time passes */
    request->partition = 0;
    request->from = sim->model.logs[0][0].mark;
    request->max_messages = 1;
    request->max_bytes = ZSP_MIB;
    request->wait_ms = ALONE_MS;
    (void)sim_ask(sim, self, request);
    if (!sim->model.failed) {
        (void)sim_ask(sim, self, ask(self, SIM_GROUP_INFO));
    }
}
