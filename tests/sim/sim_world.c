/* SPDX-License-Identifier: MPL-2.0
 *
 * The broker's host in the simulator: what zspoold's loop, executors and
 * machine are in life. Between two events of the outside world it lets the
 * engine and the store do what they want, as the server does.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/check/check.h"
#include "common/assert.h"
#include "common/hash.h"
#include "common/limits.h"
#include "tests/sim/sim.h"
#include "tests/support/crash_fs.h"

#define WAIT_LOOKS     6    /* looks at a pull that waits for nothing, */
#define WAIT_MS        4000 /* over so long a time, before we complain */
#define WAIT_JOBS      300  /* and that, when jobs are slow: so many of them one behind the other */
#define IDLE_PUMPS_MAX 2000 /* turns in one millisecond: it spins */

static uint64_t random_bits(void *arg)
{
    return prng_next(arg);
}

static void diag_line(void *arg, enum zsp_level level, const char *line)
{
    sim_trace(arg, "  broker %s: %s", zsp_level_name(level), line);
}

void world_init(struct sim *sim)
{
    struct world *world = &sim->world;
    world->disk = crash_fs_new();
    world->decoder = wire_decoder_new();
    zsp_assert(world->decoder);
    world->random.state = prng_next(&sim->prng);
    world->pump_at_ms = INT64_MAX;
    world->job_delay_ms = 3;
}

static void world_destroy_broker(struct world *world)
{
    engine_destroy(&world->engine);
    if (world->log) {
        struct store *store = log_store_base(world->log);
        store->ops->destroy(store);
        world->log = NULL;
    }
}

/* Jobs that are out come back undone: the process is dead, or about to be. A
 * start that failed has none. */
static void give_back_jobs(struct world *world)
{
    while (world->up) {
        struct job *job =
            world->job_count > 0 ? world->jobs[--world->job_count] : log_store_next_job(world->log);
        if (!job) {
            return;
        }
        memset(&job->error, 0, sizeof job->error);
        (void)zsp_err_set_errno(&job->error, ZSP_EIO, EIO, "the crash came first");
        job->done = 0;
        log_store_job_done(world->log, job);
    }
}

void world_fini(struct sim *sim)
{
    struct world *world = &sim->world;
    crash_fs_freeze_at(world->disk, 0);
    give_back_jobs(world);
    world_destroy_broker(world);
    wire_decoder_destroy(&world->decoder);
    crash_fs_destroy(&world->disk);
}

/* --- Crashes and restarts ------------------------------------------------------------------ */

/* The client of a request will hear nothing: it gives up after a while. */
static void lose(struct sim *sim, struct sim_request *request, int64_t after_ms)
{
    if (request->is_lost) {
        return;
    }
    request->is_lost = true;
    events_add(&sim->events, sim->now_ms + after_ms, EVENT_LOST, 0, request);
}

static bool clinic_has(const struct sim_request *request)
{
    return request->client->kind == CLIENT_KEEPER || request->client->kind == CLIENT_MEMBER;
}

/* Some clients judge their answers themselves. */
static bool is_judged(const struct sim_request *request)
{
    return request->client->kind != CLIENT_SCRATCH && request->client->kind != CLIENT_RELAY &&
           request->client->kind != CLIENT_WARD && request->client->kind != CLIENT_REPEAT &&
           request->client->kind != CLIENT_MARKET && request->client->kind != CLIENT_SIDE &&
           request->client->kind != CLIENT_SHELF && request->client->kind != CLIENT_TIDE &&
           !clinic_has(request);
}

static void lose_connections(struct sim *sim)
{
    for (size_t i = 0; i < sim->request_count; i++) {
        struct sim_request *request = sim->requests[i];
        if (request->state == REQUEST_ENTERED || request->state == REQUEST_FLYING) {
            if (request->state == REQUEST_ENTERED && is_judged(request)) {
                model_cut(&sim->model, request);
            } else if (request->state == REQUEST_ENTERED && clinic_has(request)) {
                clinic_cut(sim, request);
            }
            request->state = REQUEST_CUT;
            lose(sim, request, (int64_t)prng_between(&sim->prng, 1, 100));
        } else if (request->state == REQUEST_GONE) {
            request->state = REQUEST_CUT;
        }
    }
    for (size_t i = 0; i < sim->client_count; i++) {
        client_reconnect(&sim->clients[i]);
    }
}

static void break_on_damage(void *arg, const struct check_finding *finding)
{
    if (finding->severity == CHECK_DAMAGE) {
        struct sim *sim = arg;
        (void)model_fail(&sim->model, "fsck: %s: pos %" PRIu64 ": %s", finding->path, finding->pos,
                         finding->text);
    }
}

/* What a crash leaves is never damage. */
static void check_files(struct sim *sim)
{
    const struct check_options options = {
        .fs = sim->world.disk,
        .body_fn = check_body,
        .sequences = true,
        .unsynced_bytes_max = sim->weather.unsynced_bytes_max,
        .finding_fn = break_on_damage,
        .arg = sim,
    };
    struct check_summary summary;
    struct zsp_err err = {0};
    const int rc = check_store(&options, &summary, &err);
    if (rc != 0 && rc != ZSP_ENOT_FOUND) { /* not found: the crash came before there was one */
        (void)model_fail(&sim->model, "fsck: %s", err.msg);
    }
}

void world_crash(struct sim *sim, bool power_loss)
{
    struct world *world = &sim->world;
    sim_trace(sim, "%s", power_loss ? "POWER LOSS" : "PROCESS CRASH");
    crash_fs_freeze_at(world->disk, 0);
    give_back_jobs(world);
    world_destroy_broker(world);
    if (power_loss) {
        crash_fs_power_loss(world->disk, prng_next(&sim->prng));
        world->power_losses++;
    } else {
        crash_fs_process_crash(world->disk);
    }
    check_files(sim);
    world->crashes++;
    world->up = false;
    world->pump_at_ms = INT64_MAX;
    lose_connections(sim);
    /* A failed sync loses what was written even when only the process ends. */
    model_crash(&sim->model, power_loss || world->failing);
    clinic_crash(sim, power_loss || world->failing);
    events_add(&sim->events, sim->now_ms + (int64_t)prng_between(&sim->prng, 1, 3000),
               EVENT_RESTART, 0, NULL);
}

/* Open store and engine; the code of the first failure. */
static int try_start(struct sim *sim, struct zsp_err *err)
{
    struct world *world = &sim->world;
    const struct zsp_diag diag = {.sink_fn = diag_line, .arg = sim, .least = ZSP_INFO};
    static const struct zsp_diag *const silent = NULL;
    world->diag = diag;
    const struct log_store_options store_options = {
        .fs = world->disk,
        .diag = sim->options.verbose ? &world->diag : silent,
        .random_fn = random_bits,
        .random_arg = &world->random,
        .segment_bytes = sim->weather.segment_bytes,
        .compaction_keys_max = 7,
        .journal_file_bytes = sim->weather.journal_file_bytes,
        .journal_bytes_min = 3 * sim->weather.journal_file_bytes,
        .redo_bytes_max = sim->weather.journal_file_bytes,
        .redo_entries_max = 24,
        .unsynced_bytes_max = sim->weather.unsynced_bytes_max,
        .tail_bytes = sim->weather.tail_bytes,
        .fill_bytes = sim->weather.fill_bytes,
        .open_files_max = sim->weather.open_files_max,
        .sync_files_max = sim->weather.sync_files_max,
        .segment_ids_max = sim->weather.segment_ids_max,
        .create = true,
    };
    world->log = log_store_open(&store_options, err);
    if (!world->log) {
        return err->code;
    }
    const struct engine_options engine_options = {
        .store = log_store_base(world->log),
        .diag = sim->options.verbose ? &world->diag : silent,
        .random_fn = random_bits,
        .random_arg = &world->random,
        .auto_create_topics = true,
        .auto_create_groups = true,
        .default_partitions = model_first_partitions(0),
        .part_bytes = 1500,
        .seal_bytes = 500,
        .lease_end_work = 1 + (uint32_t)(sim->options.seed % 20),
        .join_partitions = 1 + (uint32_t)(sim->options.seed % 3),
        .retention_ms = sim->weather.retention_ms,
        .expiry_runs_max = sim->model.expiry_is_tight ? 12 : 0,
        .expiry_apart_max = sim->model.expiry_is_tight ? 3 : 0,
        .pump_work_bytes = 1, /* one costly read tires a pump */
    };
    world->engine = engine_new(&engine_options, err);
    if (!world->engine) {
        return err->code;
    }
    return engine_start(world->engine, sim_instant(sim), err);
}

void world_start(struct sim *sim)
{
    struct world *world = &sim->world;
    struct zsp_err err = {0};
    world->life++;
    world->mono_base_ms = sim->now_ms - (int64_t)prng_below(&sim->prng, 100000);
    const int rc = try_start(sim, &err);
    if (rc == 0 && !crash_fs_frozen(world->disk)) {
        sim_trace(sim, "the broker is up, life %u", world->life);
        world->up = true;
        world->failing = false;
        model_grace(&sim->model, 0);
        clinic_grace(sim, 0);
        world_pump_soon(sim);
        return;
    }
    if (crash_fs_frozen(world->disk)) {
        world_crash(sim, world->cut_power_when_frozen);
    } else if (rc == ZSP_ENO_SPACE) {
        sim_trace(sim, "no room to start: %s", err.msg);
        crash_fs_set_limit(world->disk, UINT64_MAX);
        world->disk_is_limited = false;
        world_crash(sim, false);
    } else {
        (void)model_fail(&sim->model, "the broker does not start: %s", err.msg);
    }
}

/* --- Effects --------------------------------------------------------------------------------- */

static void hash_bytes(struct sim *sim, const void *data, size_t len)
{
    sim->hash = zsp_hash_seeded((struct zsp_slice){.data = data, .len = len}, sim->hash);
}

static void hash_reply(struct sim *sim, const struct sim_request *request,
                       const struct engine_effect *effect, struct zsp_slice body)
{
    uint8_t place[24];
    zsp_put_u64(place, (uint64_t)sim->now_ms);
    zsp_put_u64(place + 8, request->ticket);
    zsp_put_u64(place + 16, effect->lease);
    hash_bytes(sim, place, sizeof place);
    hash_bytes(sim, effect->header->data, effect->header->len);
    hash_bytes(sim, body.data, body.len);
}

/* The answer goes back: it arrives, is dropped, or cannot be sent at all. */
static void send_back(struct sim *sim, struct sim_request *request, uint64_t lease)
{
    const bool gone = request->is_lost || request->state == REQUEST_GONE ||
                      (!sim->calm && prng_chance(&sim->prng, sim->weather.undelivered_per_mille));
    request->state = REQUEST_ANSWERED;
    if (gone && lease != 0) {
        engine_undelivered(sim->world.engine, sim_instant(sim), lease);
        if (is_judged(request)) {
            model_undelivered(&sim->model, request);
        } else if (clinic_has(request)) {
            clinic_undelivered(sim, request);
        }
        sim_trace(sim, "  undelivered");
    }
    if (gone || (!sim->calm && prng_chance(&sim->prng, sim->weather.dropped_per_mille))) {
        lose(sim, request, (int64_t)prng_between(&sim->prng, 10, 3000));
        return;
    }
    events_add(&sim->events, sim->now_ms + (int64_t)prng_below(&sim->prng, 4), EVENT_REPLY, 0,
               request);
}

/* A pull that waits while messages are ready is forgotten: whenever GROUP.INFO
 * tells of some, time and again for seconds, somebody should have got them. */
static void watch_waiting_pulls(struct sim *sim, const struct sim_request *info)
{
    const int64_t patience_ms = WAIT_MS + WAIT_JOBS * sim->world.job_delay_ms;
    uint64_t ready = 0;
    if (model_has_order(info->group)) {
        return; /* what is ready may lie behind what is out */
    }
    for (size_t i = 0; i < info->reply.part_count; i++) {
        ready += info->reply.parts[i].values[2];
    }
    for (size_t i = 0; i < sim->request_count; i++) {
        struct sim_request *pull = sim->requests[i];
        if (pull->verb != SIM_PULL || pull->state != REQUEST_ENTERED ||
            pull->group != info->group) {
            continue;
        }
        /* On a full disk no hand-out can be kept, and in a stall no file is written. */
        if (ready == 0 || pull->ready_count == 0 || sim->world.disk_is_limited ||
            sim->model.groups[info->group].maybe_paused ||
            pull->ready_since_ms < sim->world.stalled_ms) {
            pull->ready_since_ms = sim->model.uptime_ms;
            pull->ready_count = 0;
        }
        pull->ready_count += ready > 0;
        if (pull->ready_count >= WAIT_LOOKS &&
            sim->model.uptime_ms - pull->ready_since_ms > patience_ms) {
            (void)model_fail(&sim->model,
                             "PULL %" PRIu64 " of group %s waits, though %" PRIu64
                             " messages are ready",
                             pull->ticket, sim_group_name(pull->group), ready);
        }
    }
}

static void take_reply(struct sim *sim, struct engine_effect *effect)
{
    struct zsp_writer body = {0};
    for (size_t i = 0; i < effect->part_count; i++) {
        const struct engine_part *part = &effect->parts[i];
        zsp_assert(part->len > 0);
        zsp_assert(part->pos <= part->buf->len);
        zsp_assert(part->len <= part->buf->len - part->pos);
        zsp_write_bytes(&body, (struct zsp_slice){part->buf->data + part->pos, part->len});
    }
    zsp_assert(!body.failed);
    const struct zsp_slice bytes = zsp_writer_slice(&body);
    zsp_assert(effect->ticket > 0);
    zsp_assert(effect->ticket <= sim->request_count);
    struct sim_request *request = sim->requests[effect->ticket - 1];
    hash_reply(sim, request, effect, bytes);
    struct sim_complaint why;
    if (request->state != REQUEST_ENTERED && request->state != REQUEST_GONE) {
        (void)model_fail(&sim->model, "%s is answered a second time, or after it was abandoned",
                         sim_verb_name(request->verb));
    } else if (!request_decode(request, effect, &why)) {
        (void)model_fail(&sim->model, "%s: %s", sim_verb_name(request->verb), why.text);
    } else if (!effect->more) {
        sim_tell_reply(sim, request);
        if (is_judged(request)) {
            model_answer(&sim->model, request);
        } else if (clinic_has(request)) {
            clinic_answer(sim, request);
        }
        if (request->verb == SIM_GROUP_INFO && !request->reply.is_error && !clinic_has(request)) {
            watch_waiting_pulls(sim, request);
        }
    }
    const uint64_t lease = effect->lease;
    const bool more = effect->more;
    engine_effect_release(effect);
    zsp_writer_fini(&body);
    if (!sim->model.failed && !more) {
        send_back(sim, request, lease);
    }
}

/* True when the broker wants to end. */
static bool take_effects(struct sim *sim)
{
    bool stopped = false;
    struct engine_effect effect;
    while (!sim->model.failed && engine_next_effect(sim->world.engine, &effect)) {
        if (effect.kind == EFFECT_REPLY) {
            take_reply(sim, &effect);
            continue;
        }
        sim_trace(sim, "  fail-stop: %s", effect.error.msg);
        stopped = true;
        if (!sim->world.failing) {
            (void)model_fail(&sim->model, "the broker stops without a cause: %s", effect.error.msg);
        }
        engine_effect_release(&effect);
    }
    return stopped;
}

/* --- Turns ------------------------------------------------------------------------------------- */

/* Hand out the store's jobs. True when one was done at once. */
static bool hand_out_jobs(struct sim *sim)
{
    struct world *world = &sim->world;
    bool again = false;
    struct job *job = NULL;
    while (!crash_fs_frozen(world->disk) && (job = log_store_next_job(world->log)) != NULL) {
        bool done = job_try(job, world->disk);
        if (!done && prng_chance(&sim->prng, 200)) {
            job_run(job, world->disk);
            done = true;
        }
        if (done) {
            log_store_job_done(world->log, job);
            again = true;
            continue;
        }
        zsp_assert(world->job_count < SIM_JOBS_MAX);
        world->jobs[world->job_count++] = job;
        const int64_t delay = (int64_t)prng_below(&sim->prng, (uint64_t)world->job_delay_ms + 1);
        events_add(&sim->events, sim->now_ms + delay, EVENT_JOB_RUN, world->life, job);
    }
    return again;
}

static void plan_pump(struct sim *sim, int64_t at_ms)
{
    struct world *world = &sim->world;
    if (at_ms < world->pump_at_ms) {
        world->pump_at_ms = at_ms;
        events_add(&sim->events, at_ms, EVENT_PUMP, world->life, NULL);
    }
}

void world_pump_soon(struct sim *sim)
{
    plan_pump(sim, sim->now_ms + (prng_chance(&sim->prng, 200) ? SIM_TURN_MS : 0));
}

void world_pump(struct sim *sim)
{
    struct world *world = &sim->world;
    bool again = true;
    bool stopped = false;
    world->pump_at_ms = INT64_MAX;
    for (int i = 0; again && !stopped && !sim->model.failed; i++) {
        zsp_assert(i < 10000);
        engine_pump(world->engine, sim_instant(sim));
        again = hand_out_jobs(sim);
        stopped = take_effects(sim);
        if (crash_fs_frozen(world->disk)) {
            world_crash(sim, world->cut_power_when_frozen);
            return;
        }
    }
    if (stopped && !sim->model.failed) {
        world_crash(sim, prng_chance(&sim->prng, 500) && !sim->weather.spares_power);
        return;
    }
    const int64_t deadline = engine_deadline_ms(world->engine);
    if (deadline != INT64_MAX) {
        const int64_t at = deadline + world->mono_base_ms;
        world->idle_pumps = at <= sim->now_ms ? world->idle_pumps + 1 : 0;
        plan_pump(sim, at > sim->now_ms ? at : sim->now_ms);
    }
    if (world->idle_pumps > IDLE_PUMPS_MAX) {
        (void)model_fail(&sim->model,
                         "the engine's deadline %" PRId64 " stays in the past: it spins", deadline);
    }
}

void world_job_run(struct sim *sim, struct job *job)
{
    struct world *world = &sim->world;
    job_run(job, world->disk);
    if (crash_fs_frozen(world->disk)) {
        world_crash(sim, world->cut_power_when_frozen);
        return;
    }
    const int64_t delay = (int64_t)prng_below(&sim->prng, (uint64_t)world->job_delay_ms / 2 + 1);
    events_add(&sim->events, sim->now_ms + delay, EVENT_JOB_DONE, world->life, job);
}

void world_job_done(struct sim *sim, struct job *job)
{
    struct world *world = &sim->world;
    size_t index = 0;
    while (world->jobs[index] != job) {
        index++;
        zsp_assert(index < world->job_count);
    }
    world->jobs[index] = world->jobs[--world->job_count];
    log_store_job_done(world->log, job);
    world_pump_soon(sim);
}

/* --- Requests ------------------------------------------------------------------------------------ */

void world_arrive(struct sim *sim, struct sim_request *request)
{
    if (request->state != REQUEST_FLYING) {
        return; /* its connection broke on the way */
    }
    if (!sim->world.up) {
        request->state = REQUEST_CUT;
        lose(sim, request, (int64_t)prng_between(&sim->prng, 50, 300));
        return;
    }
    struct wire_request decoded;
    struct zsp_err err = {0};
    const int rc = wire_request_decode(
        sim->world.decoder, (struct zsp_slice){request->header->data, request->header->len},
        &decoded, &err);
    zsp_assert(rc == 0);
    sim_tell_request(sim, request);
    request->state = REQUEST_ENTERED;
    request->entered_step = sim->step;
    request->entered_ms = sim->model.uptime_ms;
    request->entered_wall_ms = sim->model.wall_ms;
    for (size_t i = 0; request->verb == SIM_BYE && i < sim->request_count; i++) {
        struct sim_request *other = sim->requests[i];
        other->session_is_over = other->session_is_over || other->session == request->session;
    }
    if (is_judged(request)) {
        model_enter(&sim->model, request);
    } else if (clinic_has(request)) {
        clinic_enter(sim, request);
    }
    struct zsp_buf *const bodies[] = {request->body, request->second_body};
    const struct engine_request entering = {
        .ticket = request->ticket,
        .session = request->session,
        .id = decoded.id,
        .verb = decoded.verb,
        .args = decoded.args,
        .bodies = bodies,
        .body_count = (request->body ? 1u : 0u) + (request->second_body ? 1u : 0u),
    };
    engine_request(sim->world.engine, sim_instant(sim), &entering);
    zsp_buf_put(&request->header);
    zsp_buf_put(&request->body);
    zsp_buf_put(&request->second_body);
    world_pump_soon(sim);
}

/* The answer to a request goes nowhere. A PULL that waits is given up. */
static void cut_off(struct sim *sim, struct sim_request *request, bool is_abandoned)
{
    if (request->state == REQUEST_FLYING) {
        request->state = REQUEST_CUT;
    } else if (request->verb == SIM_PULL) {
        if (is_judged(request)) {
            model_pull_gone(&sim->model, request);
        } else if (clinic_has(request)) {
            clinic_pull_gone(sim, request);
        }
        request->state = REQUEST_GONE;
        if (is_abandoned) {
            engine_abandon(sim->world.engine, sim_instant(sim), request->ticket);
        }
    }
    lose(sim, request, (int64_t)prng_between(&sim->prng, 1, 200));
}

void world_disconnect(struct sim *sim, struct client *client, enum farewell how)
{
    sim_trace(sim, "client %u loses its connection%s", client->index,
              how == FAREWELL_RESUMES  ? ", and will resume"
              : how == FAREWELL_SILENT ? ", and is silent"
                                       : "");
    for (size_t i = 0; i < sim->request_count; i++) {
        struct sim_request *request = sim->requests[i];
        if (request->client == client &&
            (request->state == REQUEST_FLYING || request->state == REQUEST_ENTERED)) {
            cut_off(sim, request, request->session == 0 || how == FAREWELL_RESUMES);
        }
    }
    if (client->session != 0 && sim->world.up && how != FAREWELL_RESUMES) {
        const bool is_silent = how == FAREWELL_SILENT;
        engine_session_end(sim->world.engine, sim_instant(sim), client->session,
                           is_silent ? ENGINE_SESSION_SILENT : ENGINE_SESSION_OVER);
        if (is_silent) {
            model_silent(&sim->model, client->session);
            clinic_silent(sim, client->session);
            if (client->kind == CLIENT_SCRATCH) {
                scratch_silent(client);
            }
        }
    }
    if (how != FAREWELL_RESUMES) {
        client_reconnect(client);
    }
    if (sim->world.up) {
        world_pump_soon(sim);
    }
}
