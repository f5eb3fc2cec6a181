/* SPDX-License-Identifier: MPL-2.0
 *
 * The engine's frame: events in, verbs to handlers, one turn after the other. What
 * the verbs mean is in the files beside this one.
 */
#include "broker/engine/engine.h"

#include <stdlib.h>
#include <string.h>

#include "broker/engine/arrivals.h"
#include "broker/engine/commit/commit_call.h"
#include "broker/engine/commit/transaction.h"
#include "broker/engine/engine_priv.h"
#include "broker/engine/group/group_hooks.h"
#include "broker/engine/ledger/agenda.h"
#include "broker/engine/publish/dedup.h"
#include "broker/engine/publish/producer.h"
#include "broker/engine/publish/producer_image.h"
#include "broker/engine/publish/producer_log.h"
#include "broker/engine/publish/publish.h"
#include "broker/engine/publish/publish_many.h"
#include "broker/engine/replay/replay.h"
#include "broker/engine/state.h"
#include "broker/engine/topic/expiry.h"
#include "broker/engine/topic/id_place.h"
#include "broker/engine/topic/retention.h"
#include "broker/engine/topic/topic.h"
#include "broker/engine/topic/topic_purge.h"
#include "broker/engine/topic/topic_verbs.h"
#include "broker/engine/verb.h"
#include "common/assert.h"
#include "common/limits.h"

/* Rounds of completions, timers and flush in one pump; what is left is for the next one. */
#define ROUNDS_MAX 64
/* What one pump works off of costly reads, unless the host tells: some 20 ms of work. */
#define PUMP_WORK_BYTES (16u * ZSP_MIB)

struct verb {
    const char *name;
    verb_fn *handler; /* NULL = known, but not supported */
    size_t body_count;
};

/* A jump of the clock from here on is looked after at once. */
#define JUMP_MS    500

#define ANY_BODIES SIZE_MAX /* the handler looks itself */

static const struct verb verbs[] = {
    {"PUBLISH", verb_publish, 1},
    {"PULL", verb_pull, 0},
    {"SETTLE", verb_settle, 0},
    {"READ", verb_read, 0},
    {"PRODUCER.OPEN", verb_producer_open, 0},
    {"PRODUCER.INFO", verb_producer_info, 0},
    {"SEEK", verb_seek, 0},
    {"DEAD.LIST", verb_dead_list, 0},
    {"DEAD.READ", verb_dead_read, 0},
    {"DEAD.REDRIVE", verb_dead_redrive, 0},
    {"DEAD.DROP", verb_dead_drop, 0},
    {"TOPIC.CREATE", verb_topic_create, 0},
    {"TOPIC.SET", verb_topic_set, 0},
    {"TOPIC.INFO", verb_topic_info, 0},
    {"TOPIC.LIST", verb_topic_list, 0},
    {"TOPIC.DELETE", verb_topic_delete, 0},
    {"TOPIC.PURGE", verb_topic_purge, 0},
    {"GROUP.CREATE", verb_group_create, 0},
    {"GROUP.SET", verb_group_set, 0},
    {"GROUP.INFO", verb_group_info, 0},
    {"GROUP.LIST", verb_group_list, 0},
    {"GROUP.TRACE", verb_group_trace, 0},
    {"GROUP.REPLAY", verb_group_replay, 0},
    {"GROUP.DELETE", verb_group_delete, 0},
    {"GROUP.PAUSE", verb_group_pause, 0},
    {"GROUP.RESUME", verb_group_resume, 0},
    {"SAVEPOINT.SAVE", verb_savepoint_save, 0},
    {"SAVEPOINT.LIST", verb_savepoint_list, 0},
    {"SAVEPOINT.DROP", verb_savepoint_drop, 0},
    {"SAVEPOINT.RESTORE", verb_savepoint_restore, 0},
    {"SAVEPOINT.UNDO", verb_savepoint_undo, 0},
    {"STATS", verb_stats, 0},
    {"BYE", verb_bye, 0},
    {"CANCEL", verb_cancel, 0},
    {"COMMIT", verb_commit, ANY_BODIES},
};

static const struct verb *find_verb(struct zsp_slice name)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (zsp_slice_equal_str(name, verbs[i].name)) {
            return &verbs[i];
        }
    }
    return NULL;
}

bool engine_has_verb(struct zsp_slice verb)
{
    return find_verb(verb) != NULL;
}

/* --- making and ending --------------------------------------------------------------- */

static int check_options(const struct engine_options *options, struct zsp_err *err)
{
    if (!options->store || !options->random_fn) {
        return zsp_err_set(err, ZSP_EINVAL, "an engine needs a store and random bits");
    }
    if (options->default_partitions < 1 || options->default_partitions > ZSP_PARTITIONS_MAX) {
        return zsp_err_set(err, ZSP_EINVAL, "default_partitions: %u is not in 1..%u",
                           options->default_partitions, ZSP_PARTITIONS_MAX);
    }
    return 0;
}

struct engine *engine_new(const struct engine_options *options, struct zsp_err *err)
{
    if (check_options(options, err)) {
        return NULL;
    }
    struct engine *self = calloc(1, sizeof *self);
    if (!self) {
        zsp_err_set(err, ZSP_ENOMEM, "out of memory");
        return NULL;
    }
    self->options = *options;
    self->options.seal_bytes =
        options->seal_bytes > 0 ? options->seal_bytes : ZSP_COMPACTION_SEAL_BYTES;
    self->options.join_partitions =
        options->join_partitions > 0 ? options->join_partitions : ZSP_JOIN_PARTITIONS;
    self->options.lease_end_work =
        options->lease_end_work > 0 ? options->lease_end_work : ZSP_LEASE_END_WORK;
    self->options.expiry_runs_max =
        options->expiry_runs_max > 0 ? options->expiry_runs_max : EXPIRY_RUNS_MAX;
    self->options.expiry_apart_max =
        options->expiry_apart_max > 0 ? options->expiry_apart_max : EXPIRY_APART_MAX;
    self->options.retention_ms =
        options->retention_ms > 0 ? options->retention_ms : ZSP_RETENTION_MS;
    self->options.part_bytes = options->part_bytes > 0 ? options->part_bytes : ZSP_PART_BYTES;
    if (options->pump_work_bytes == 0) {
        self->options.pump_work_bytes = PUMP_WORK_BYTES;
    }
    self->store = options->store;
    self->diag = options->diag;
    const uint64_t seed = options->random_fn(options->random_arg);
    catalog_init(&self->catalog, seed);
    zsp_table_init(&self->producer_log_keys, seed);
    zsp_table_init(&self->commit_logs, seed);
    parked_set_init(&self->parked, seed);
    pending_init(&self->pending);
    state_init(self);
    topic_init(self);
    agenda_init(self);
    expiry_init(self);
    topic_verbs_init(self);
    producer_init(self);
    publish_init(self);
    read_init(self);
    if (group_init(self, err)) {
        engine_destroy(&self);
    }
    return self;
}

static void free_pools(struct engine *self)
{
    pool_fini(&self->publishes);
    pool_fini(&self->publish_parts);
    pool_fini(&self->readers);
    pool_fini(&self->topic_jobs);
    pool_fini(&self->topic_calls);
    pool_fini(&self->producer_opens);
    pool_fini(&self->producer_logs);
}

/* While all that has a timer is still there: whoever is freed first leaves none in a heap. */
static void disarm_all(struct engine *self)
{
    for (size_t i = 0; i < sizeof self->timers / sizeof self->timers[0]; i++) {
        while (timers_pop(&self->timers[i], INT64_MAX)) {
        }
    }
}

void engine_destroy(struct engine **self_p)
{
    struct engine *const self = *self_p;
    if (!self) {
        return;
    }
    *self_p = NULL;
    disarm_all(self);
    retention_fini(self);
    purge_fini(self);
    group_fini(self);
    read_free_all(self);
    publish_free_all(self);
    id_place_free_all(self);
    transaction_free_all(self);
    commit_call_free_all(self);
    commit_log_free_all(self);
    producer_log_free_all(self);
    producer_free_all(self);
    topic_free_all(self);
    agenda_fini(self);
    expiry_fini(self);
    producer_image_forget(self);
    catalog_fini(&self->catalog);
    parked_set_fini(&self->parked);
    pending_fini(&self->pending);
    set_aside_fini(&self->set_aside);
    effects_fini(&self->effects);
    route_fini(&self->route);
    unpack_fini(&self->unpack);
    free_pools(self);
    zsp_writer_fini(&self->draft.header);
    zsp_writer_fini(&self->images_owed);
    zsp_writer_fini(&self->scratch);
    free(self);
}

/* --- timers and the fail-stop ------------------------------------------------------------ */

void engine_arm(struct engine *self, enum timer_kind kind, struct timer *timer, int64_t due_ms)
{
    timers_arm(&self->timers[kind], timer, due_ms);
    if (kind != TIMER_WAIT && !timer_is_armed(&self->time_record)) {
        timers_arm(&self->timers[TIMER_WAIT], &self->time_record,
                   self->clock.broker_ms + (int64_t)ZSP_TIME_RECORD_MS);
    }
}

void engine_fail(struct engine *self, const struct zsp_err *error)
{
    if (self->failed) {
        return;
    }
    self->failed = true;
    self->effects.error = *error;
    self->effects.fail_stop = true;
    zsp_diag(self->diag, ZSP_ERROR, "stopping: %s", error->msg);
}

/* After the fail-stop: everybody who waits is told, oldest first. */
static void sweep(struct engine *self)
{
    self->swept = true;
    const struct reply_to *oldest = NULL;
    while ((oldest = pending_oldest(&self->pending))) {
        const struct reply_to to = *oldest;
        struct zsp_err error;
        zsp_err_set(&error, ZSP_ESTORAGE_FAILED, "the broker stops: %s", self->effects.error.msg);
        error.maybe = pending_find(&self->pending, &to)->may_apply;
        reply_error(self, &to, &error);
        pending_close(&self->pending, &to);
    }
    parked_fail_all(self);
}

/* Every entry point begins with enter() and ends with leave(). */
static void enter(struct engine *self, struct instant now)
{
    const bool watched = self->timers[TIMER_LEASE].count > 0;
    self->now = now;
    self->again = true; /* whatever the event left to do, the next pump does it */
    clock_advance(&self->clock, now, watched);
    self->store->ops->set_broker_time(self->store, self->clock.broker_ms);
}

static void leave(struct engine *self)
{
    if (self->failed && !self->swept) {
        sweep(self);
    }
}

bool engine_is_tired(const struct engine *self)
{
    return engine_work_bytes(self) - self->work_before > self->options.pump_work_bytes;
}

/* --- start ------------------------------------------------------------------------------------ */

static int replay_entry(void *arg, const struct store_entry *entry, struct zsp_err *err)
{
    return state_entry(arg, entry, err);
}

static int replay_batch(void *arg, void *owner, const struct store_batch *batch,
                        struct zsp_err *err)
{
    return producer_log_replay(arg, owner, batch, err);
}

static int open_all(struct engine *self, struct instant now, struct zsp_err *err)
{
    producer_image_sort(self);
    clock_start(&self->clock, now, self->store->ops->broker_time(self->store));
    int rc = topic_open_all(self, err);
    producer_image_forget(self);
    if (rc == 0) {
        rc = self->store->ops->ready(self->store, err);
    }
    if (rc == 0) {
        rc = group_start(self, err);
    }
    if (rc == 0) {
        expiry_start(self);
    }
    return rc;
}

int engine_start(struct engine *self, struct instant now, struct zsp_err *err)
{
    zsp_assert(!self->started);
    const struct store_hooks hooks = {
        .arg = self,
        .entry_fn = replay_entry,
        .batch_fn = replay_batch,
    };
    self->now = now;
    int rc = self->store->ops->start(self->store, &hooks, now, err);
    if (rc == 0) {
        rc = open_all(self, now, err);
    }
    if (rc != 0) {
        return rc;
    }
    commit_log_start(self);
    producer_start(self);
    retention_start(self);
    purge_resume(self);
    self->started = true;
    return 0;
}

/* --- events ------------------------------------------------------------------------------------ */

static int refuse_bodies(const struct verb *verb, size_t body_count, struct zsp_err *err)
{
    return zsp_err_set_about(err, ZSP_EBAD_REQUEST, verb->name,
                             "%s takes %zu body frames, there are %zu", verb->name,
                             verb->body_count, body_count);
}

static int handle(struct engine *self, const struct engine_request *input,
                  const struct request *request, struct zsp_err *err)
{
    const struct verb *const verb = find_verb(input->verb);
    if (!verb) {
        return zsp_err_set(err, ZSP_EUNKNOWN_VERB, "no such verb: %.*s", (int)input->verb.len,
                           (const char *)input->verb.data);
    }
    if (!verb->handler) {
        zsp_err_set(err, ZSP_EUNSUPPORTED, "%s is not supported", verb->name);
        zsp_err_detail(err, verb->name, NULL, NULL);
        return ZSP_EUNSUPPORTED;
    }
    if (self->failed) {
        return zsp_err_set(err, ZSP_ESTORAGE_FAILED, "the broker stops: %s",
                           self->effects.error.msg);
    }
    if (self->draining) {
        return zsp_err_set(err, ZSP_ESHUTTING_DOWN, "the broker is stopping");
    }
    if (input->body_count != verb->body_count && verb->body_count != ANY_BODIES) {
        return refuse_bodies(verb, input->body_count, err);
    }
    return verb->handler(self, request, err);
}

void engine_request(struct engine *self, struct instant now, const struct engine_request *request)
{
    zsp_assert(self->started);
    enter(self, now);
    /* What the store has failed must be known before more is given to it: a batch whose
     * predecessor is lost must not get in. Reads tell nothing of that. */
    (void)arrivals_take(self, true);
    struct request inner = {
        .to = {.ticket = request->ticket, .session = request->session, .id = request->id},
        .args = request->args,
        .bodies = request->bodies,
        .body_count = request->body_count,
    };
    struct zsp_err error = {0};
    if (pending_open(&self->pending, &inner.to)) {
        zsp_err_set(&error, ZSP_ENOMEM, "out of memory for requests");
        engine_fail(self, &error);
    } else if (handle(self, request, &inner, &error)) {
        reply_error(self, &inner.to, &error);
    }
    leave(self);
}

uint32_t engine_request_batches(struct zsp_slice verb, const msgpack_object *args)
{
    return zsp_slice_equal_str(verb, "PUBLISH") ? publish_many_count(args) : 0;
}

void engine_session_end(struct engine *self, struct instant now, uint64_t session,
                        enum engine_session_end why)
{
    enter(self, now);
    parked_abandon_session(self, session);
    if (!self->failed) {
        group_session_end(self, session, why);
    }
    leave(self);
}

void engine_session_name(struct engine *self, uint64_t session, struct zsp_slice name)
{
    group_session_name(self, session, name);
}

void engine_undelivered(struct engine *self, struct instant now, uint64_t lease)
{
    enter(self, now);
    if (!self->failed) {
        group_undelivered(self, lease);
    }
    leave(self);
}

void engine_abandon(struct engine *self, struct instant now, uint64_t ticket)
{
    enter(self, now);
    parked_abandon_ticket(self, ticket);
    leave(self);
}

void engine_drain(struct engine *self, struct instant now)
{
    enter(self, now);
    self->draining = true;
    parked_drain(self);
    leave(self);
}

bool engine_awaits_sync(const struct engine *self)
{
    return self->sync_wait_count > 0 || self->parked.first;
}

bool engine_busy(const struct engine *self)
{
    return self->pending.count > 0 ||
           (!self->failed && (self->set_aside.count > 0 || self->store->ops->busy(self->store)));
}

static void fire_timers(struct engine *self)
{
    for (int kind = 0; kind < TIMER_KINDS && !self->failed; kind++) {
        if (kind == TIMER_LEASE && self->clock.broker_ms < self->clock.grace_until_ms) {
            continue;
        }
        struct timer *timer = NULL;
        while (!self->failed && (timer = timers_pop(&self->timers[kind], self->clock.broker_ms))) {
            timer->fire_fn(self, timer);
        }
    }
}

/* Does a request wait until others have been answered? */
static bool wants_room(const struct engine *self)
{
    return self->room_first || self->pulls_want_room;
}

/* Give back some of what is over; true = there is more. */
static bool give_back(struct engine *self)
{
    const bool more = group_sweep(self);
    return run_slab_sweep(&self->agenda_slab) || more;
}

/* Has the clock jumped? What waits for a time of the clock looks anew then. */
static void look_at_clock(struct engine *self)
{
    const int64_t apart_ms = self->now.wall_ms - self->clock.broker_ms;
    const int64_t jump_ms = apart_ms - self->wall_apart_ms;
    if (jump_ms >= JUMP_MS || jump_ms <= -JUMP_MS) {
        self->wall_apart_ms = apart_ms;
        expiry_clock_jumped(self);
        agenda_clock_jumped(self);
    }
}

void engine_pump(struct engine *self, struct instant now)
{
    enter(self, now);
    int rounds = 0;
    bool more = true;
    self->room_freed = false;
    self->work_before = engine_work_bytes(self);
    if (!self->failed) {
        read_room_again(self);
        pull_room_again(self);
        look_at_clock(self);
    }
    while (more && rounds < ROUNDS_MAX && !engine_is_tired(self)) {
        (void)arrivals_take(self, false);
        if (!self->failed) {
            fire_timers(self);
        }
        if (self->dedup_first) {
            dedup_pump(self);
        }
        if (!self->failed) {
            group_pump(self);
        }
        self->store->ops->flush(self->store, now);
        more = arrivals_take(self, false);
        rounds++;
    }
    publish_many_tell(self);
    self->again = give_back(self) || more || engine_is_tired(self) || self->set_aside.count > 0 ||
                  (self->room_freed && wants_room(self));
    leave(self);
}

int64_t engine_deadline_ms(const struct engine *self)
{
    if (self->failed) {
        return INT64_MAX;
    }
    if (self->again) {
        return self->clock.last_mono_ms;
    }
    int64_t due_ms = timers_next_ms(&self->timers[TIMER_WAIT]);
    const int64_t durable_ms = timers_next_ms(&self->timers[TIMER_DURABLE]);
    due_ms = durable_ms < due_ms ? durable_ms : due_ms;
    if (self->timers[TIMER_LEASE].count > 0) {
        int64_t lease_ms = timers_next_ms(&self->timers[TIMER_LEASE]);
        const int64_t watch_ms = self->clock.broker_ms + (int64_t)ZSP_STALL_MS / 2;
        lease_ms = lease_ms < self->clock.grace_until_ms ? self->clock.grace_until_ms : lease_ms;
        lease_ms = lease_ms < watch_ms ? lease_ms : watch_ms;
        due_ms = lease_ms < due_ms ? lease_ms : due_ms;
    }
    const int64_t mono_ms = clock_to_mono_ms(&self->clock, due_ms);
    const int64_t store_ms = self->store->ops->deadline_ms(self->store);
    return store_ms < mono_ms ? store_ms : mono_ms;
}

bool engine_next_effect(struct engine *self, struct engine_effect *ret)
{
    if (!effects_next(&self->effects, ret)) {
        return false;
    }
    self->again = self->again || wants_room(self);
    return true;
}

uint64_t engine_unpacked_bytes(const struct engine *self)
{
    return self->unpack.done_bytes;
}

uint64_t engine_work_bytes(const struct engine *self)
{
    return self->unpack.done_bytes + self->unpack.walked_bytes;
}

size_t engine_run_bytes(const struct engine *self)
{
    return run_slab_bytes(&self->agenda_slab) + run_slab_bytes(&self->expiries.slab) +
           group_run_bytes(self);
}

void engine_stats(const struct engine *self, struct engine_stats *ret)
{
    *ret = self->stats;
    ret->topic_count = self->catalog.topics.count;
    ret->producer_count = self->catalog.producers.count;
    ret->group_count = self->catalog.groups.count;
    ret->parked_count = self->parked.count;
    ret->partition_count = 0;
    for (size_t i = 0; i < self->catalog.topics.count; i++) {
        const struct topic *const topic = self->catalog.topics.slots[i].value;
        ret->partition_count += topic->partition_count;
    }
    group_stats(self, ret);
}
