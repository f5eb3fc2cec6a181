/* SPDX-License-Identifier: MPL-2.0
 *
 * Producers that publish messages of all priorities, for later, or for a short time only.
 */
#include "tests/sim/sim.h"

#define DELAY_MAX_MS 4000
#define TTL_MAX_MS   20000

void urgent_choose(struct sim *sim, uint32_t first, uint32_t count)
{
    struct prng *prng = &sim->prng;
    struct sim_order order = {.priority = ZSP_PRIORITY};
    if (sim->weather.urgent && prng_chance(prng, 500)) {
        const int64_t now_ms = sim_instant(sim).wall_ms;
        if (prng_chance(prng, 600)) {
            order.priority = (uint8_t)prng_below(prng, ZSP_PRIORITY_MAX + 1);
        }
        if (prng_chance(prng, 450)) {
            order.not_before_ms = now_ms + (int64_t)prng_below(prng, DELAY_MAX_MS);
        }
        if (prng_chance(prng, 200)) {
            sim->model.any_expires = true;
            order.expires_at_ms = now_ms + 1 + (int64_t)prng_below(prng, TTL_MAX_MS);
            order.expires_at_ms += order.expires_at_ms <= order.not_before_ms ? DELAY_MAX_MS : 0;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        sim->model.messages[first + i].order = order;
    }
}

void urgent_fill(const struct sim *sim, struct sim_request *publish)
{
    publish->order = sim->model.messages[publish->first_message].order;
}

/* In the end everything is due, whatever the clock did. */
void urgent_end(struct sim *sim)
{
    const int64_t last_ms = sim->model.wall_max_ms + DELAY_MAX_MS;
    const int64_t now_ms = sim_instant(sim).wall_ms;
    sim->world.wall_offset_ms += last_ms > now_ms ? last_ms - now_ms : 0;
}
