/* SPDX-License-Identifier: MPL-2.0
 *
 * Life of a topic. Making one takes three durable steps, each waiting for the
 * one before:
 *   1. its id is reserved (16 at a time, so that this is rare): an id must not
 *      be used again even if the broker dies between 2 and 3;
 *   2. the store makes its logs;
 *   3. its entry is put: from here on the topic exists.
 * A crash after 2 leaves logs that no entry speaks of; the store reports them.
 */
#include "broker/engine/topic/topic.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/engine/group/group_hooks.h"
#include "broker/engine/ledger/agenda.h"
#include "broker/engine/publish/dedup.h"
#include "broker/engine/publish/producer_log.h"
#include "broker/engine/publish/publish.h"
#include "broker/engine/replay/replay.h"
#include "broker/engine/state.h"
#include "broker/engine/topic/expiry.h"
#include "broker/engine/topic/retention.h"
#include "broker/engine/topic/topic_grow.h"
#include "broker/engine/topic/topic_priv.h"
#include "broker/engine/topic/topic_settings.h"
#include "common/assert.h"

/* Ids made durable at once. */
#define IDS_RESERVED 16u

/* A creation or deletion at work in the store. */
struct topic_job {
    struct engine_op op;
    struct topic *topic;
    struct topic_waiter *waiter; /* deletion: who asked */
    uint64_t reserved;           /* creation: ids below are durable after step 1 */
};

static struct zsp_slice id_key(const struct topic *self)
{
    return (struct zsp_slice){(const uint8_t *)&self->id, sizeof self->id};
}

void topic_init(struct engine *engine)
{
    pool_init(&engine->topic_jobs, sizeof(struct topic_job));
}

/* --- finding --------------------------------------------------------------------- */

struct topic *topic_by_name(const struct engine *engine, struct zsp_slice name)
{
    return name_index_find(&engine->catalog.topics, name);
}

struct topic *topic_find(const struct engine *engine, struct zsp_slice name)
{
    struct topic *const topic = topic_by_name(engine, name);
    return topic && topic->state == TOPIC_LIVE ? topic : NULL;
}

struct topic *topic_by_id(const struct engine *engine, uint64_t id)
{
    const struct zsp_slice key = {(const uint8_t *)&id, sizeof id};
    return zsp_table_find(&engine->catalog.topic_ids, key);
}

int topic_require(const struct engine *engine, struct zsp_slice name, struct topic **ret,
                  struct zsp_err *err)
{
    struct topic *const topic = topic_find(engine, name);
    if (!topic) {
        char object[ZSP_NAME_MAX + 8];
        (void)snprintf(object, sizeof object, "topic %.*s", (int)name.len, (const char *)name.data);
        zsp_err_set(err, ZSP_ENOT_FOUND, "%s: no such topic", object);
        zsp_err_detail(err, object, NULL, NULL);
        return ZSP_ENOT_FOUND;
    }
    *ret = topic;
    return 0;
}

int topic_refuse_partition(const char *object, uint64_t index, uint32_t count, struct zsp_err *err)
{
    zsp_err_set(err, ZSP_ENOT_FOUND, "%s: no partition %" PRIu64 ", it has %" PRIu32, object, index,
                count);
    zsp_err_detail_range(err, object, 0, count - 1, index);
    return ZSP_ENOT_FOUND;
}

int topic_partition(struct topic *self, uint64_t index, struct partition **ret, struct zsp_err *err)
{
    if (index >= self->partition_count) {
        return topic_refuse_partition(self->object, index, self->partition_count, err);
    }
    *ret = self->partitions[index];
    return 0;
}

/* --- making and freeing the object -------------------------------------------------- */

void topic_destroy(struct topic **self_p)
{
    struct topic *const self = *self_p;
    if (!self) {
        return;
    }
    topic_grow_fini(self);
    free(self->special);
    free(self);
    *self_p = NULL;
}

_Static_assert(sizeof(struct topic) % _Alignof(struct partition *) == 0 &&
                   sizeof(struct partition) % _Alignof(struct partition *) == 0 &&
                   sizeof(struct partition *) == sizeof(struct store_part *),
               "pointers begin where partitions end");

static void close_partitions(struct engine *engine, struct topic *self)
{
    for (uint32_t i = 0; i < self->partition_count; i++) {
        agenda_close(engine, self->partitions[i]);
        expiry_close(engine, self->partitions[i]);
    }
}

/* NULL in *ret: they are all at their defaults. */
static int special_new(const struct topic_settings *settings, struct topic_special **ret)
{
    struct topic_special *made = NULL;
    if (!topic_settings_are_default(settings)) {
        made = calloc(1, sizeof *made);
        if (!made) {
            return ZSP_ENOMEM;
        }
        made->settings = *settings;
    }
    *ret = made;
    return 0;
}

int topic_keep(struct topic *self, const struct topic_settings *settings)
{
    struct topic_special *special = NULL;
    const int rc = special_new(settings, &special);
    if (rc == 0) {
        free(self->special);
        self->special = special;
    }
    return rc;
}

struct topic *topic_new(uint64_t id, struct zsp_slice name, uint32_t partition_count,
                        const struct topic_settings *settings)
{
    zsp_assert(name.len <= ZSP_NAME_MAX);
    static const char kind[] = "topic ";
    const size_t each =
        sizeof(struct partition) + sizeof(struct partition *) + sizeof(struct store_part *);
    struct topic *self = calloc(1, sizeof *self + partition_count * each + sizeof kind + name.len);
    if (!self || topic_keep(self, settings) < 0) {
        free(self);
        return NULL;
    }
    self->id = id;
    self->marks = TOPIC_MARK_TOLD;
    self->partition_count = self->made_count = partition_count;
    self->partitions = (struct partition **)(void *)(self->first + partition_count);
    self->parts = (struct store_part **)(void *)(self->partitions + partition_count);
    char *const object = (char *)(self->parts + partition_count);
    memcpy(object, kind, sizeof kind - 1);
    memcpy(object + sizeof kind - 1, name.data, name.len);
    self->object = object;
    self->name = (struct zsp_slice){(const uint8_t *)object + sizeof kind - 1, name.len};
    for (uint32_t i = 0; i < partition_count; i++) {
        self->partitions[i] = &self->first[i];
        self->first[i].topic = self;
        self->first[i].index = i;
    }
    return self;
}

int topic_enlist(struct engine *engine, struct topic *self)
{
    if (name_index_add(&engine->catalog.topics, self->name, self)) {
        return ZSP_ENOMEM;
    }
    if (zsp_table_add(&engine->catalog.topic_ids, id_key(self), self)) {
        (void)name_index_remove(&engine->catalog.topics, self->name);
        return ZSP_ENOMEM;
    }
    engine->catalog.partition_count += topic_partitions_counted(self);
    return 0;
}

/* Out of the catalogue. Another topic may have the name already. */
static void topic_delist(struct engine *engine, struct topic *self)
{
    if (topic_by_name(engine, self->name) == self) {
        (void)name_index_remove(&engine->catalog.topics, self->name);
    }
    if (zsp_table_remove(&engine->catalog.topic_ids, id_key(self))) {
        engine->catalog.partition_count -= topic_partitions_counted(self);
    }
}

void topic_free(struct engine *engine, struct topic *self)
{
    close_partitions(engine, self);
    dedup_close(engine, self);
    topic_delist(engine, self);
    topic_destroy(&self);
}

void topic_free_all(struct engine *engine)
{
    size_t cursor = 0;
    struct topic *topic = NULL;
    while ((topic = zsp_table_next(&engine->catalog.topic_ids, &cursor))) {
        close_partitions(engine, topic);
        dedup_close(engine, topic);
        topic_destroy(&topic);
    }
}

struct store_topic topic_store_topic(const struct topic *self)
{
    return (struct store_topic){
        .id = self->id,
        .name = self->name,
        .partition_count = self->made_count,
    };
}

/* --- creation ------------------------------------------------------------------------------ */

void topic_wait(struct topic *self, struct topic_waiter *waiter)
{
    zsp_assert(self->state != TOPIC_LIVE);
    waiter->next = NULL;
    *(self->waiter_last ? &self->waiter_last->next : &self->waiter_first) = waiter;
    self->waiter_last = waiter;
}

static void tell_waiters(struct engine *engine, struct topic *self, const struct zsp_err *error)
{
    while (self->waiter_first) {
        struct topic_waiter *const waiter = self->waiter_first;
        self->waiter_first = waiter->next;
        waiter->ready_fn(engine, waiter, self, error);
    }
    self->waiter_last = NULL;
}

/* What the waiters are told. A file that is not found, or is there, is no topic that is: such
 * a code would lie to the client, and people must hear of it. */
static struct zsp_err failure_of(const struct engine *engine, const struct topic *topic,
                                 const struct zsp_err *error)
{
    struct zsp_err told = *error;
    zsp_err_wrap(&told, "%s: it could not be created", topic->object);
    if (told.code != ZSP_ENO_SPACE && told.code != ZSP_ESTORAGE_FAILED) {
        told.code = ZSP_EINTERNAL;
        zsp_diag(engine->diag, ZSP_ERROR, "%s", told.msg);
    }
    return told;
}

/* The creation failed for good: nobody finds the topic from here on. */
static void creation_failed(struct engine *engine, struct topic_job *job,
                            const struct zsp_err *error)
{
    struct topic *const topic = job->topic;
    const struct zsp_err told = failure_of(engine, topic, error);
    pool_put(&engine->topic_jobs, job);
    topic_delist(engine, topic);
    tell_waiters(engine, topic, &told);
    topic_free(engine, topic);
}

static void logs_are_dropped(struct engine *engine, struct engine_op *op,
                             const struct store_completion *completion)
{
    struct topic_job *const job = (struct topic_job *)op;
    struct topic *const topic = job->topic;
    if (completion->error.code != 0) {
        zsp_diag(engine->diag, ZSP_WARNING, "%s: its files stay: %s", topic->object,
                 completion->error.msg);
    }
    pool_put(&engine->topic_jobs, job);
    topic_free(engine, topic);
}

/* Let the store forget the logs, then free the topic. */
static void topic_release(struct engine *engine, struct topic_job *job)
{
    struct topic *const topic = job->topic;
    const struct store_topic dropped = topic_store_topic(topic);
    struct zsp_err error = {0};
    job->op.done_fn = logs_are_dropped;
    const int rc = engine->store->ops->topic_drop(engine->store, &dropped, topic->parts,
                                                  engine_op_tag(&job->op), &error);
    if (rc != 0) {
        /* The logs stay on disk until the next start. The partitions may still be spoken of by
         * completions on their way, so the object stays, too. */
        zsp_diag(engine->diag, ZSP_WARNING, "%s: its files stay: %s", topic->object, error.msg);
        pool_put(&engine->topic_jobs, job);
    }
}

static void entry_is_put(struct engine *engine, struct engine_op *op,
                         const struct store_completion *completion)
{
    struct topic_job *const job = (struct topic_job *)op;
    struct topic *const topic = job->topic;
    if (completion->error.code != 0) {
        creation_failed(engine, job, &completion->error);
        return;
    }
    pool_put(&engine->topic_jobs, job);
    topic->state = TOPIC_LIVE;
    retention_apply(engine, topic);
    dedup_topic_set(engine, topic);
    group_topic_created(engine, topic);
    tell_waiters(engine, topic, NULL);
}

/* The logs were made, but the entry cannot be put: undo. */
static void undo_logs(struct engine *engine, struct topic_job *job, const struct zsp_err *error)
{
    struct topic *const topic = job->topic;
    const struct zsp_err told = failure_of(engine, topic, error);
    (void)name_index_remove(&engine->catalog.topics, topic->name);
    tell_waiters(engine, topic, &told);
    topic_release(engine, job);
}

static void logs_are_made(struct engine *engine, struct engine_op *op,
                          const struct store_completion *completion)
{
    struct topic_job *const job = (struct topic_job *)op;
    struct topic *const topic = job->topic;
    if (completion->error.code != 0) {
        creation_failed(engine, job, &completion->error);
        return;
    }
    struct zsp_err error = {0};
    job->op.done_fn = entry_is_put;
    if (topic_put_image(engine, topic, topic_settings_of(topic), STORE_SYNCED_LEVEL, &job->op,
                        &error)) {
        undo_logs(engine, job, &error);
    }
}

static int make_logs(struct engine *engine, struct topic_job *job, struct zsp_err *err)
{
    struct topic *const topic = job->topic;
    const struct store_topic wanted = topic_store_topic(topic);
    void **const owners = calloc(topic->partition_count, sizeof *owners);
    if (!owners) {
        return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        owners[i] = topic->partitions[i];
    }
    job->op.done_fn = logs_are_made;
    const int rc = engine->store->ops->topic_create(engine->store, &wanted, 0, owners, topic->parts,
                                                    engine_op_tag(&job->op), err);
    free(owners);
    for (uint32_t i = 0; rc == 0 && i < topic->partition_count; i++) {
        topic->partitions[i]->part = topic->parts[i];
    }
    return rc;
}

static void id_is_reserved(struct engine *engine, struct engine_op *op,
                           const struct store_completion *completion)
{
    struct topic_job *const job = (struct topic_job *)op;
    struct zsp_err error = completion->error;
    if (error.code == 0) {
        engine->catalog.topic_ids_durable = job->reserved > engine->catalog.topic_ids_durable
                                                ? job->reserved
                                                : engine->catalog.topic_ids_durable;
        (void)make_logs(engine, job, &error);
    }
    if (error.code != 0) {
        creation_failed(engine, job, &error);
    }
}

/* Reserve the topic's id, unless that was done with an earlier one. */
static int reserve_id(struct engine *engine, struct topic_job *job, struct zsp_err *err)
{
    struct catalog *const catalog = &engine->catalog;
    if (job->topic->id < catalog->topic_ids_durable) {
        return make_logs(engine, job, err);
    }
    if (job->topic->id >= catalog->topic_ids_reserved) {
        catalog->topic_ids_reserved = job->topic->id + IDS_RESERVED;
    }
    job->reserved = catalog->topic_ids_reserved;
    job->op.done_fn = id_is_reserved;
    const struct store_entry entry = catalog_counters_entry(catalog);
    return state_put(engine, &entry, 1, STORE_SYNCED_LEVEL, &job->op, err);
}

int topic_check_partitions(const struct engine *engine, uint32_t more, struct zsp_err *err)
{
    const uint64_t there = engine->catalog.partition_count;
    const uint32_t most = engine->options.partitions_max;
    if (most == 0 || (there <= most && more <= most - there)) {
        return 0;
    }
    char wanted[64];
    char got[64];
    (void)snprintf(wanted, sizeof wanted, "at most %" PRIu32 " in all topics together", most);
    (void)snprintf(got, sizeof got, "%" PRIu64 ", and %" PRIu32 " more", there, more);
    zsp_err_set(err, ZSP_ELIMIT_REACHED,
                "there are %" PRIu64 " partitions: with %" PRIu32
                " more they would be over %" PRIu32
                ", the most that all topics may have (topics.max_partitions)",
                there, more, most);
    zsp_err_detail(err, "partitions", wanted, got);
    return ZSP_ELIMIT_REACHED;
}

static int check_may_create(const struct engine *engine, struct zsp_slice name,
                            uint32_t partition_count, struct zsp_err *err)
{
    const struct topic *const there = topic_by_name(engine, name);
    if (there) {
        zsp_err_set(err, ZSP_EEXISTS, "%s: it exists already", there->object);
        zsp_err_detail(err, there->object, NULL, NULL);
        return ZSP_EEXISTS;
    }
    const uint32_t most = engine->options.topics_max;
    if (most > 0 && engine->catalog.topics.count >= most) {
        return zsp_err_set_about(err, ZSP_ELIMIT_REACHED, "topics",
                                 "there are %u topics, no more are allowed", most);
    }
    return topic_check_partitions(engine, partition_count, err);
}

int topic_create(struct engine *engine, struct zsp_slice name, uint32_t partition_count,
                 const struct topic_settings *settings, struct topic_waiter *waiter,
                 struct zsp_err *err)
{
    zsp_assert(partition_count >= 1 && partition_count <= ZSP_PARTITIONS_MAX);
    struct zsp_err error = {0};
    int rc = check_may_create(engine, name, partition_count, err);
    if (rc != 0) {
        return rc;
    }
    const uint64_t id = catalog_take_id(&engine->catalog, CATALOG_TOPIC_ID);
    struct topic *const topic = topic_new(id, name, partition_count, settings);
    struct topic_job *const job = topic ? pool_get(&engine->topic_jobs) : NULL;
    if (!job || topic_enlist(engine, topic)) {
        rc = zsp_err_set(err, ZSP_ENOMEM, "out of memory");
        goto fail;
    }
    topic->created_ms = engine->now.wall_ms;
    topic->state = TOPIC_CREATING;
    job->topic = topic;
    rc = reserve_id(engine, job, &error);
    if (rc != 0) {
        *err = failure_of(engine, topic, &error);
        rc = err->code;
        topic_delist(engine, topic);
        goto fail;
    }
    if (waiter) {
        topic_wait(topic, waiter);
    }
    return 0;

fail:
    if (job) {
        pool_put(&engine->topic_jobs, job);
    }
    struct topic *gone = topic;
    topic_destroy(&gone);
    return rc;
}

/* --- marks ------------------------------------------------------------------------------------- */

static void mark_is_durable(struct engine *engine, struct engine_op *op,
                            const struct store_completion *completion)
{
    struct topic_job *const job = (struct topic_job *)op;
    struct topic *const topic = job->topic;
    const struct zsp_err *const error = completion->error.code != 0 ? &completion->error : NULL;
    pool_put(&engine->topic_jobs, job);
    topic->marks |= error ? 0 : topic->marking;
    topic->marking = 0;
    struct topic_waiter *waiter = topic->marking_first;
    topic->marking_first = topic->marking_last = NULL;
    while (waiter) {
        struct topic_waiter *const next = waiter->next;
        if (topic->state == TOPIC_LIVE) {
            waiter->ready_fn(engine, waiter, topic, error);
        } else {
            topic_wait(topic, waiter);
        }
        waiter = next;
    }
}

static int put_marks(struct engine *engine, struct topic *self, unsigned marks, struct zsp_err *err)
{
    struct topic_job *const job = pool_get(&engine->topic_jobs);
    if (!job) {
        return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    job->topic = self;
    job->op.done_fn = mark_is_durable;
    self->marking = (uint8_t)marks;
    const int rc =
        topic_put_image(engine, self, topic_settings_of(self), STORE_SYNCED_LEVEL, &job->op, err);
    if (rc != 0) {
        self->marking = 0;
        pool_put(&engine->topic_jobs, job);
    }
    return rc;
}

bool topic_is_urgent(unsigned priority, int64_t not_before_ms)
{
    return priority != ZSP_PRIORITY || not_before_ms != 0;
}

bool topic_must_mark(const struct topic *self, unsigned marks)
{
    return self->marking != 0 || (marks & ~(unsigned)self->marks) != 0;
}

int topic_mark(struct engine *engine, struct topic *self, unsigned marks,
               struct topic_waiter *waiter, struct zsp_err *err)
{
    zsp_assert(self->state == TOPIC_LIVE);
    if (self->marking == 0) {
        const int rc = put_marks(engine, self, marks, err);
        if (rc != 0) {
            return rc;
        }
    }
    waiter->next = NULL;
    *(self->marking_last ? &self->marking_last->next : &self->marking_first) = waiter;
    self->marking_last = waiter;
    return 0;
}

/* --- change and deletion ------------------------------------------------------------------ */

int topic_set(struct engine *engine, struct topic *self, const struct topic_settings *settings,
              struct engine_op *op, struct zsp_err *err)
{
    struct topic_special *special = NULL;
    if (special_new(settings, &special) < 0) {
        return zsp_err_set(err, ZSP_ENOMEM, "%s: out of memory", self->object);
    }
    const int rc = topic_put_image(engine, self, settings, STORE_SYNCED_LEVEL, op, err);
    if (rc != 0) {
        free(special);
        return rc;
    }
    free(self->special);
    self->special = special;
    retention_apply(engine, self);
    dedup_topic_set(engine, self);
    return 0;
}

int topic_put_purge(struct engine *engine, struct topic *self, struct engine_op *op,
                    struct zsp_err *err)
{
    return topic_put_image(engine, self, topic_settings_of(self), STORE_SYNCED_LEVEL, op, err);
}

/* Everything that waits on a partition of a topic that is gone hears of it. */
static void end_partition(struct engine *engine, struct partition *partition,
                          const struct zsp_err *error)
{
    id_lookup_partition_gone(engine, partition, error);
    publish_partition_gone(engine, partition, error);
    read_partition_gone(engine, partition, error);
    producer_log_partition_gone(engine, partition);
}

static void deletion_is_durable(struct engine *engine, struct engine_op *op,
                                const struct store_completion *completion)
{
    struct topic_job *const job = (struct topic_job *)op;
    struct topic *const topic = job->topic;
    struct topic_waiter *const waiter = job->waiter;
    if (completion->error.code != 0) {
        topic->state = TOPIC_LIVE;
        pool_put(&engine->topic_jobs, job);
        waiter->ready_fn(engine, waiter, topic, &completion->error);
        tell_waiters(engine, topic, NULL);
        return;
    }
    struct zsp_err error;
    zsp_err_set(&error, ZSP_ENOT_FOUND, "%s: it was deleted", topic->object);
    zsp_err_detail(&error, topic->object, NULL, NULL);
    topic->is_gone = true;
    (void)name_index_remove(&engine->catalog.topics, topic->name);
    for (uint32_t i = 0; i < topic->partition_count; i++) {
        end_partition(engine, topic->partitions[i], &error);
    }
    group_topic_deleted(engine, topic);
    waiter->ready_fn(engine, waiter, topic, NULL);
    tell_waiters(engine, topic, &error);
    topic_release(engine, job);
}

int topic_delete(struct engine *engine, struct topic *self, struct topic_waiter *waiter,
                 struct zsp_err *err)
{
    zsp_assert(self->state == TOPIC_LIVE && !self->growth);
    struct topic_job *const job = pool_get(&engine->topic_jobs);
    if (!job) {
        return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    job->topic = self;
    job->waiter = waiter;
    job->op.done_fn = deletion_is_durable;
    const struct state_key key = state_key_object('T', self->id);
    const struct store_entry entry = {.key = state_key_slice(&key), .kind = STORE_GONE};
    const int rc = engine->store->ops->topic_end(engine->store, self->id, &entry,
                                                 engine_op_tag(&job->op), err);
    if (rc != 0) {
        pool_put(&engine->topic_jobs, job);
        return rc;
    }
    self->state = TOPIC_DELETING;
    return 0;
}
