/* SPDX-License-Identifier: MPL-2.0
 *
 * What goes wrong. Each history has its own weather: a few kinds of trouble are
 * on, the others off, so that rare combinations get their share.
 */
#include "common/limits.h"
#include "tests/sim/sim.h"
#include "tests/support/crash_fs.h"

/* What was begun while the disk was slow is over then. */
#define SLOW_AFTER_MS 10000

void fault_choose_weather(struct sim *sim)
{
    struct prng *prng = &sim->prng;
    struct sim_weather *weather = &sim->weather;
    weather->spares_power = prng_chance(prng, 250);
    weather->power_losses = prng_chance(prng, 600) && !weather->spares_power;
    weather->process_crashes = prng_chance(prng, 500) || weather->spares_power;
    weather->freezes = prng_chance(prng, 500);
    weather->stalls = prng_chance(prng, 400);
    weather->wall_jumps = prng_chance(prng, 400);
    weather->urgent = prng_chance(prng, 600);
    weather->full_disk = prng_chance(prng, 200);
    weather->sync_failures = prng_chance(prng, 150);
    weather->disconnects = prng_chance(prng, 600);
    weather->seeks = prng_chance(prng, 500);
    weather->savepoints = prng_chance(prng, 400);
    weather->pauses = prng_chance(prng, 300);
    weather->grows = sim->options.seed % 5 < 2;
    weather->cold_reads = prng_chance(prng, 500);
    weather->slow_disk = prng_chance(prng, 400);
    weather->tempo = INT64_C(1) << prng_below(prng, 5);
    weather->calm_ms = weather->tempo * (int64_t)prng_between(prng, 20, 2000);
    weather->dropped_per_mille = (unsigned)prng_below(prng, 100);
    weather->undelivered_per_mille = (unsigned)prng_below(prng, 50);
    weather->segment_bytes = UINT64_C(4096) << 2 * prng_below(prng, 3);
    weather->journal_file_bytes = UINT64_C(4096) << 2 * prng_below(prng, 3);
    weather->unsynced_bytes_max = UINT64_C(8192) << prng_below(prng, 5);
    weather->tail_bytes = UINT64_C(1) << prng_between(prng, 0, 18);
    weather->fill_bytes = (uint32_t)prng_below(prng, 3) * 4096;
    weather->open_files_max = (uint32_t)prng_between(prng, 2, 6);
    weather->sync_files_max = (uint32_t)prng_below(prng, 4);
    weather->segment_ids_max = (uint32_t)prng_between(prng, 5, 200);
    static const unsigned retentions_ms[] = {400, 1500, 100, 60};
    weather->retention_ms = retentions_ms[sim->options.seed % 4];
    weather->weighted = weather->urgent && prng_chance(prng, 500);
    sim->model.is_weighted = weather->weighted;
    sim->model.filters = sim->options.seed % 3 == 0;
    sim->model.expiry_is_tight = sim->options.seed % 5 == 0;
    sim->model.shelf_filters = sim->options.seed % 2 == 0;
    sim->model.shares_fairly = sim->options.seed % 4 == 1;
    sim->model.fair_by_key = sim->options.seed % 8 == 1;
    if (weather->cold_reads) {
        crash_fs_set_cold(sim->world.disk, 500, prng_next(prng));
    }
}

/* What the broker does in its own time may take longer from now on, or did so far. */
static void disturb(struct sim *sim)
{
    const bool lasts = sim->world.disk_is_limited || sim->world.job_delay_ms > 3;
    sim->model.quiet_ms = lasts ? INT64_MAX : sim->model.uptime_ms;
}

static void stall(struct sim *sim)
{
    const int64_t ms = (int64_t)prng_between(&sim->prng, ZSP_STALL_MS + 500, 40000);
    sim_trace(sim, "STALL of %lld ms", (long long)ms);
    sim->now_ms += ms;
    if (sim->world.up) {
        model_grace(&sim->model, ms); /* of what lives before it */
        clinic_grace(sim, ms);
        sim->model.uptime_ms += ms;
        disturb(sim);
        sim->world.stalled_ms = sim->model.uptime_ms;
        if (sim->model.slow_ms < sim->model.uptime_ms + SLOW_AFTER_MS) {
            sim->model.slow_ms = sim->model.uptime_ms + SLOW_AFTER_MS;
        }
    }
}

static void jump(struct sim *sim)
{
    const int64_t ms = (int64_t)prng_below(&sim->prng, 7200000) - 3600000;
    sim_trace(sim, "WALL CLOCK jumps by %lld ms", (long long)ms);
    sim->world.wall_offset_ms += ms;
    disturb(sim);
}

static void toggle_full_disk(struct sim *sim)
{
    uint64_t room = 0;
    struct fs *disk = sim->world.disk;
    (void)disk->ops->free_bytes(disk->self, &room, NULL);
    if (room < ZSP_MIB || prng_chance(&sim->prng, 300)) {
        sim_trace(sim, "DISK has room again");
        crash_fs_set_limit(disk, UINT64_MAX);
        sim->world.disk_is_limited = false;
        sim->world.room_ms = sim->model.uptime_ms;
        disturb(sim);
        return;
    }
    const uint64_t left = prng_below(&sim->prng, 256 * ZSP_KIB);
    sim_trace(sim, "DISK has %llu bytes left", (unsigned long long)left);
    crash_fs_set_limit(disk, crash_fs_used(disk) + left);
    sim->world.disk_is_limited = true;
    disturb(sim);
}

static void fail_sync(struct sim *sim)
{
    sim_trace(sim, "A SYNC will fail");
    crash_fs_fail_sync(sim->world.disk, prng_below(&sim->prng, 3), prng_next(&sim->prng));
    sim->world.failing = true;
}

static void freeze(struct sim *sim)
{
    const uint64_t calls = prng_below(&sim->prng, 60);
    sim_trace(sim, "CRASH in %llu file calls", (unsigned long long)calls);
    sim->world.cut_power_when_frozen = prng_chance(&sim->prng, 700) && !sim->weather.spares_power;
    crash_fs_freeze_at(sim->world.disk, calls);
}

/* A disk that takes long for everything, or is as fast as usual again. */
static void toggle_slow_disk(struct sim *sim)
{
    sim->world.job_delay_ms = prng_chance(&sim->prng, 500) ? 303 : 3;
    sim->world.stalled_ms = sim->model.uptime_ms; /* who waited so far, waited for the disk */
    sim->model.slow_ms =
        sim->world.job_delay_ms > 3 ? INT64_MAX : sim->model.uptime_ms + SLOW_AFTER_MS;
    disturb(sim);
}

static void disconnect(struct sim *sim)
{
    world_disconnect(sim, &sim->clients[prng_below(&sim->prng, sim->client_count)],
                     (enum farewell)prng_below(&sim->prng, 3));
}

static void cut_power(struct sim *sim)
{
    world_crash(sim, true);
}

static void kill_process(struct sim *sim)
{
    world_crash(sim, false);
}

void fault_strike(struct sim *sim)
{
    const struct sim_weather *weather = &sim->weather;
    const bool up = sim->world.up;
    if (sim->calm) {
        return;
    }
    events_add(&sim->events,
               sim->now_ms + (int64_t)prng_below(&sim->prng, 2 * (uint64_t)weather->calm_ms),
               EVENT_FAULT, 0, NULL);
    const struct {
        bool is_on;
        void (*strike_fn)(struct sim *sim);
    } kinds[] = {
        {weather->power_losses && up, cut_power},
        {weather->process_crashes && up, kill_process},
        {weather->freezes, freeze},
        {weather->stalls, stall},
        {weather->wall_jumps, jump},
        {weather->full_disk, toggle_full_disk},
        {weather->sync_failures && up, fail_sync},
        {weather->disconnects, disconnect},
        {weather->slow_disk, toggle_slow_disk},
    };
    const size_t count = sizeof kinds / sizeof kinds[0];
    const size_t first = prng_below(&sim->prng, count);
    for (size_t i = 0; i < count; i++) {
        if (kinds[(first + i) % count].is_on) {
            kinds[(first + i) % count].strike_fn(sim);
            return;
        }
    }
}

void fault_end_all(struct sim *sim)
{
    struct world *world = &sim->world;
    sim->calm = true;
    crash_fs_set_limit(world->disk, UINT64_MAX);
    world->room_ms = world->disk_is_limited ? sim->model.uptime_ms : world->room_ms;
    world->disk_is_limited = false;
    if (!crash_fs_frozen(world->disk)) {
        crash_fs_freeze_at(world->disk, UINT64_MAX / 2);
    }
    crash_fs_fail_sync(world->disk, UINT64_MAX, 0);
    world->job_delay_ms = 3;
    world->stalled_ms = sim->model.uptime_ms; /* who waited so far, waited for the disk */
    sim->model.slow_ms = sim->model.uptime_ms + SLOW_AFTER_MS;
    disturb(sim);
    urgent_end(sim);
}
