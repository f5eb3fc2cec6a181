/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/publish.h"

#include <stdlib.h>
#include <string.h>

#include "broker/engine/agenda.h"
#include "broker/engine/producer.h"
#include "broker/engine/producer_log.h"
#include "broker/engine/publish_priv.h"
#include "broker/engine/topic_limit.h"
#include "common/assert.h"
#include "common/bytes.h"

/* --- the objects ------------------------------------------------------------------- */

void publish_init(struct engine *engine)
{
    pool_init(&engine->publishes, sizeof(struct publish));
    pool_init(&engine->publish_parts, sizeof(struct publish_part));
}

struct publish *publish_new(struct engine *engine)
{
    struct publish *const self = pool_get(&engine->publishes);
    if (!self) {
        return NULL;
    }
    self->next = engine->publish_first;
    if (self->next) {
        self->next->prev = self;
    }
    engine->publish_first = self;
    return self;
}

/* A part that neither a queue nor a publish holds goes back to the pool. */
static void release_part(struct engine *engine, struct publish_part *part)
{
    if (!part->is_queued && !part->publish) {
        pool_put(&engine->publish_parts, part);
    }
}

static void free_memory(struct publish *self)
{
    zsp_buf_put(&self->frame);
    free(self->stretches);
    if (self->parts != &self->only) {
        free(self->parts);
    }
}

void publish_free(struct engine *engine, struct publish *self)
{
    for (uint32_t i = 0; i < self->part_count; i++) {
        if (self->parts[i]) {
            self->parts[i]->publish = NULL;
            release_part(engine, self->parts[i]);
        }
    }
    free_memory(self);
    engine->sync_wait_count -= self->level == STORE_SYNCED_LEVEL ? 1u : 0u;
    *(self->prev ? &self->prev->next : &engine->publish_first) = self->next;
    if (self->next) {
        self->next->prev = self->prev;
    }
    pool_put(&engine->publishes, self);
}

void publish_free_all(struct engine *engine)
{
    for (struct publish *self = engine->publish_first; self; self = self->next) {
        free_memory(self);
    }
    engine->publish_first = NULL;
}

static void enqueue(struct publish_queue *queue, struct publish_part *part)
{
    part->queue_next = NULL;
    part->is_queued = true;
    *(queue->last ? &queue->last->queue_next : &queue->first) = part;
    queue->last = part;
}

static struct publish_part *dequeue(struct publish_queue *queue)
{
    struct publish_part *const part = queue->first;
    queue->first = part->queue_next;
    if (!queue->first) {
        queue->last = NULL;
    }
    part->queue_next = NULL;
    part->is_queued = false;
    return part;
}

/* --- the answer ----------------------------------------------------------------------- */

static void write_row(struct zsp_writer *out, uint32_t index, struct publish_part *part,
                      uint32_t count)
{
    wire_write_array(out, 5);
    wire_write_uint(out, index);
    wire_write_uint(out, count);
    wire_write_uint(out, part->partition->index);
    if (part->has_first) {
        wire_write_uint(out, part->first_offset + part->told);
    } else {
        wire_write_nil(out);
    }
    wire_write_bool(out, part->is_echo);
    part->told += count;
}

static void confirm(struct engine *engine, struct publish *self)
{
    struct zsp_writer *const out = reply_begin(engine, &self->to);
    wire_write_map(out, 3);
    wire_write_text(out, "at");
    if (self->stretches) {
        wire_write_array(out, self->stretch_count);
        for (uint32_t i = 0; i < self->stretch_count; i++) {
            const struct stretch *const stretch = &self->stretches[i];
            write_row(out, stretch->index, self->parts[stretch->target], stretch->count);
        }
    } else {
        wire_write_array(out, 1);
        write_row(out, 0, self->only, self->record_count);
    }
    wire_write_text(out, "timestamp_ms");
    wire_write_int(out, self->timestamp_ms);
    wire_write_text(out, "level");
    wire_write_text(out, self->level == STORE_WRITTEN ? "written" : "synced");
    reply_end(engine);
}

/* One part has reached the level, or failed: with the last one the publish is answered. */
static void part_is_settled(struct engine *engine, struct publish *self)
{
    zsp_assert(self->open_count > 0);
    self->open_count--;
    if (self->open_count > 0) {
        return;
    }
    if (self->error.code == 0) {
        confirm(engine, self);
    } else {
        self->error.maybe = self->error.maybe || self->applied;
        reply_error(engine, &self->to, &self->error);
    }
    publish_free(engine, self);
}

/* One part has reached the level of its publish. */
static void settle_part(struct engine *engine, struct publish *publish)
{
    publish->applied = true;
    part_is_settled(engine, publish);
}

/* Is the part unsettled until it is synced? (At level `written` it no longer is.) */
static bool awaits_sync(const struct publish_part *part)
{
    return part->publish && part->publish->level == STORE_SYNCED_LEVEL;
}

/* The part will not be applied, or nobody knows; the part is in no queue. */
static void fail_part(struct engine *engine, struct publish_part *part, const struct zsp_err *error)
{
    struct publish *const publish = part->publish;
    zsp_assert(!part->is_queued);
    if (publish) {
        if (publish->error.code == 0) {
            publish->error = *error;
            zsp_err_wrap(&publish->error, "%s: partition %u", part->partition->topic->object,
                         part->partition->index);
        }
        publish->error.maybe = publish->error.maybe || error->maybe;
        part_is_settled(engine, publish);
    } else {
        release_part(engine, part);
    }
}

/* --- synced ------------------------------------------------------------------------------ */

/* The batch has come to its end: its producer has one less in flight. */
static void uncount(struct engine *engine, struct publish_part *part)
{
    if (part->is_counted) {
        zsp_assert(part->log);
        part->is_counted = false;
        producer_batch_ends(engine, part->log->producer);
    }
}

void publish_advanced(struct engine *engine, struct partition *partition)
{
    struct publish_queue *const queue = &partition->syncing;
    while (queue->first && queue->first->end_offset <= partition->synced_offset) {
        struct publish_part *const part = dequeue(queue);
        uncount(engine, part);
        if (part->is_urgent) {
            agenda_add(engine, partition, part->first_offset, part->end_offset, part->priority,
                       part->not_before_ms);
        }
        if (awaits_sync(part)) {
            settle_part(engine, part->publish);
        } else {
            release_part(engine, part);
        }
    }
}

/* A written part waits for the mark; `written` is confirmed before that. */
static void await_sync(struct engine *engine, struct publish_part *part)
{
    struct partition *const partition = part->partition;
    enqueue(&partition->syncing, part);
    if (part->publish && !awaits_sync(part)) {
        settle_part(engine, part->publish);
    }
    publish_advanced(engine, partition);
}

/* --- written -------------------------------------------------------------------------------- */

static void echo_is_ready(struct engine *engine, struct publish_part *part)
{
    engine->stats.duplicate_messages += part->count;
    part->has_first = producer_log_locate(part->log, part->sequence, part->count,
                                          &part->first_offset, &part->end_offset);
    await_sync(engine, part);
}

/* Echoes whose originals have been written, or have failed, move on. */
static void move_echoes(struct engine *engine, struct partition *partition,
                        const struct zsp_err *error)
{
    struct publish_queue *const queue = &partition->appending;
    while (queue->first && queue->first->is_echo) {
        struct publish_part *const part = dequeue(queue);
        const bool is_written =
            part->log && part->sequence + part->count - 1 <= part->log->written_last;
        if (is_written) {
            echo_is_ready(engine, part);
        } else {
            fail_part(engine, part, error);
        }
    }
}

static void note_written(struct engine *engine, struct publish_part *part)
{
    part->partition->image_bytes += part->stored;
    engine->stats.published_messages += part->count;
    engine->stats.published_bytes += part->len;
    engine->stats.stored_bytes += part->stored;
    if (!part->log) {
        return;
    }
    const struct producer_batch batch = {
        .sequence = part->sequence,
        .offset = part->first_offset,
        .count = part->count,
    };
    if (producer_log_written(part->log, &batch)) {
        struct zsp_err error;
        zsp_err_set(&error, ZSP_ENOMEM, "out of memory for sequences");
        engine_fail(engine, &error);
    }
}

static void is_appended(struct engine *engine, struct engine_op *op,
                        const struct store_completion *completion)
{
    struct publish_part *const part = (struct publish_part *)op;
    struct partition *const partition = part->partition;
    zsp_assert(partition->appending.first == part);
    (void)dequeue(&partition->appending);
    if (completion->error.code == 0) {
        part->first_offset = completion->offset;
        part->end_offset = completion->offset + part->count;
        part->has_first = true;
        note_written(engine, part);
        await_sync(engine, part);
    } else {
        if (part->log) {
            producer_log_failed(part->log);
        }
        uncount(engine, part);
        fail_part(engine, part, &completion->error);
    }
    move_echoes(engine, partition, &completion->error);
}

/* --- gone ------------------------------------------------------------------------------------- */

void publish_partition_gone(struct engine *engine, struct partition *partition,
                            const struct zsp_err *error)
{
    struct zsp_err told = *error;
    told.maybe = true;
    for (struct publish_part *part = partition->appending.first; part; part = part->queue_next) {
        uncount(engine, part);
        part->log = NULL;
    }
    while (partition->syncing.first) {
        struct publish_part *const part = dequeue(&partition->syncing);
        uncount(engine, part);
        part->log = NULL;
        if (awaits_sync(part)) {
            fail_part(engine, part, &told);
        } else {
            release_part(engine, part);
        }
    }
    move_echoes(engine, partition, &told);
}

/* --- beginning --------------------------------------------------------------------------------- */

bool publish_is_urgent(const struct publish *self)
{
    return topic_is_urgent(self->priority, self->not_before_ms);
}

/* Give one part to the store. `frame` is borrowed: records, or (`codec`) the publish's own frame.
 * Errors: definite */
static int append(struct engine *engine, struct publish_part *part, struct zsp_buf *frame,
                  enum zsp_codec codec, struct zsp_err *err)
{
    const struct publish *const publish = part->publish;
    const bool is_packed = codec != ZSP_CODEC_NONE;
    const struct store_batch batch = {
        .frame = frame,
        .body = {frame->data, frame->len},
        .record_count = part->count,
        .timestamp_ms = publish->timestamp_ms,
        .raw_bytes = is_packed ? publish->raw_bytes : 0,
        .codec = (uint8_t)codec,
        .priority = publish->priority,
        .not_before_ms = publish->not_before_ms,
        .expires_at_ms = publish->expires_at_ms,
        .producer_id = publish->producer_id,
        .producer_epoch = (uint32_t)publish->epoch,
        .sequence = publish->sequence,
    };
    part->len = is_packed ? publish->raw_bytes : frame->len;
    part->stored = frame->len;
    part->is_urgent = publish_is_urgent(publish);
    part->priority = publish->priority;
    part->not_before_ms = publish->not_before_ms;
    part->op.done_fn = is_appended;
    const int rc = engine->store->ops->append(engine->store, part->partition->part, &batch,
                                              engine_op_tag(&part->op), err);
    if (rc == 0) {
        enqueue(&part->partition->appending, part);
        reply_may_apply(engine, &publish->to);
    }
    return rc;
}

static struct publish_part *part_new(struct engine *engine, struct publish *self,
                                     struct partition *partition, uint32_t count)
{
    struct publish_part *const part = pool_get(&engine->publish_parts);
    if (part) {
        part->publish = self;
        part->partition = partition;
        part->count = count;
    }
    return part;
}

/* A repetition: stand behind the original. */
static int begin_echo(struct engine *engine, struct publish *self)
{
    struct publish_part *const part = self->only;
    self->open_count = 1;
    part->is_echo = true;
    reply_may_apply(engine, &self->to);
    zsp_buf_put(&self->frame);
    if (part->partition->appending.first) {
        enqueue(&part->partition->appending, part);
    } else {
        echo_is_ready(engine, part);
    }
    return 0;
}

/* The producer may have been fenced, or have expired, while the publish waited for its topic. */
static int require_producer(const struct engine *engine, const struct publish *self,
                            struct producer **ret, struct zsp_err *err)
{
    struct producer *const producer = producer_by_id(engine, self->producer_id);
    if (!producer) {
        return zsp_err_set(err, ZSP_ENOT_FOUND, "the producer expired: open it");
    }
    return producer_check(engine, producer->name, self->epoch, ret, err);
}

/* Errors: ZSP_ELIMIT_REACHED, ZSP_ENOMEM */
static int open_log(struct engine *engine, struct producer *producer, struct publish_part *part,
                    struct zsp_err *err)
{
    part->log = producer_log_find(engine, producer, part->partition);
    if (part->log) {
        return 0;
    }
    if (engine->producer_log_keys.count >= ZSP_PRODUCER_LOGS_MAX) {
        return zsp_err_set(err, ZSP_ELIMIT_REACHED,
                           "producers have sequences in %u partitions, no more are allowed until "
                           "some expire",
                           ZSP_PRODUCER_LOGS_MAX);
    }
    part->log = producer_log_open(engine, producer, part->partition);
    return part->log ? 0 : zsp_err_set(err, ZSP_ENOMEM, "out of memory");
}

static int begin_sequenced(struct engine *engine, struct publish *self, struct zsp_err *err)
{
    struct publish_part *const part = self->only;
    struct producer *producer = NULL;
    int rc = require_producer(engine, self, &producer, err);
    if (rc != 0) {
        return rc;
    }
    producer_touch(engine, producer);
    bool is_old = false;
    rc = producer_log_check(producer_log_find(engine, producer, part->partition), self->sequence,
                            part->count, &is_old, err);
    if (rc != 0) {
        zsp_err_wrap(err, "%s: partition %u: %s", part->partition->topic->object,
                     part->partition->index, producer->object);
        return rc;
    }
    rc = open_log(engine, producer, part, err);
    if (rc != 0) {
        return rc;
    }
    part->sequence = self->sequence;
    if (is_old) {
        return begin_echo(engine, self);
    }
    rc = topic_limit_admit(engine, part->partition->topic, self->frame->len, err);
    if (rc == 0) {
        rc = append(engine, part, self->frame, self->codec, err);
    }
    if (rc == 0) {
        producer_log_given(part->log, part->sequence, part->count);
        producer_batch_begins(producer);
        part->is_counted = true;
        zsp_buf_put(&self->frame);
    }
    return rc;
}

/* All records go to one partition: the frame is appended as it is. */
static int begin_whole(struct engine *engine, struct publish *self, struct partition *partition,
                       struct zsp_err *err)
{
    self->only = part_new(engine, self, partition, self->record_count);
    if (!self->only) {
        return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    self->parts = &self->only;
    self->part_count = 1;
    self->open_count = 1;
    if (self->producer_id > 0) {
        return begin_sequenced(engine, self, err);
    }
    int rc = topic_limit_admit(engine, partition->topic, self->frame->len, err);
    if (rc == 0) {
        rc = append(engine, self->only, self->frame, self->codec, err);
    }
    if (rc == 0) {
        zsp_buf_put(&self->frame);
    }
    return rc;
}

/* --- cutting ------------------------------------------------------------------------------------ */

/* Make a part for each partition that was met and keep the stretches for the answer. */
static int make_parts(struct engine *engine, struct publish *self, struct topic *topic,
                      struct zsp_err *err)
{
    const struct route *const route = &engine->route;
    self->stretches = malloc(route->count * sizeof *self->stretches);
    self->parts = calloc(route->target_count, sizeof(struct publish_part *));
    if (!self->stretches || !self->parts) {
        return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    memcpy(self->stretches, route->stretches, route->count * sizeof *self->stretches);
    self->stretch_count = route->count;
    self->part_count = route->target_count;
    for (uint32_t i = 0; i < route->count; i++) {
        const struct stretch *const stretch = &route->stretches[i];
        struct publish_part **const part = &self->parts[stretch->target];
        if (!*part) {
            *part = part_new(engine, self, &topic->partitions[stretch->partition], 0);
        }
        if (!*part) {
            return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
        }
        (*part)->count += stretch->count;
        (*part)->len += stretch->len;
    }
    return 0;
}

/* Copy the stretches of one target together. NULL: out of memory. */
static struct zsp_buf *cut_body(const struct publish *self, struct zsp_slice body, uint32_t target)
{
    zsp_assert(self->parts[target]);
    struct zsp_buf *const frame = zsp_buf_new(self->parts[target]->len);
    if (!frame) {
        return NULL;
    }
    size_t pos = 0;
    for (uint32_t i = 0; i < self->stretch_count; i++) {
        const struct stretch *const stretch = &self->stretches[i];
        if (stretch->target == target) {
            memcpy(zsp_buf_bytes(frame) + pos, body.data + stretch->pos, stretch->len);
            pos += stretch->len;
        }
    }
    zsp_assert(pos == frame->len);
    return frame;
}

static int append_cut(struct engine *engine, struct publish *self, struct zsp_slice body,
                      uint32_t target, struct zsp_err *err)
{
    struct zsp_buf *frame = cut_body(self, body, target);
    if (!frame) {
        return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    const int rc = append(engine, self->parts[target], frame, ZSP_CODEC_NONE, err);
    zsp_buf_put(&frame);
    return rc;
}

/* Cut the body and append each part. A refusal of the first part refuses all; later ones
 * make the answer an error with `maybe`. */
static int begin_cut(struct engine *engine, struct publish *self, struct topic *topic,
                     struct zsp_slice body, struct zsp_err *err)
{
    int rc = make_parts(engine, self, topic, err);
    if (rc == 0) {
        rc = topic_limit_admit(engine, topic, body.len, err);
    }
    if (rc != 0) {
        return rc;
    }
    rc = append_cut(engine, self, body, 0, err);
    if (rc != 0) {
        return rc;
    }
    self->open_count = self->part_count;
    for (uint32_t i = 1; i < self->part_count; i++) {
        struct zsp_err error = {0};
        if (append_cut(engine, self, body, i, &error)) {
            error.maybe = true;
            fail_part(engine, self->parts[i], &error);
        }
    }
    zsp_buf_put(&self->frame);
    return 0;
}

/* Which partition each record belongs to; *ret_body holds the records then. A compressed body is
 * unpacked for that, once more if the publish waited for its topic: what waits is small. */
static int route(struct engine *engine, const struct publish *self, struct topic *topic,
                 struct zsp_slice *ret_body, struct zsp_err *err)
{
    struct zsp_slice body = {self->frame->data, self->frame->len};
    int rc = 0;
    if (self->codec != ZSP_CODEC_NONE) {
        rc = unpack_received(&engine->unpack, body, self->raw_bytes, &body, err);
    }
    if (rc == 0) {
        rc = route_body(&engine->route, body, topic->partition_count, topic->next_partition, err);
    }
    if (rc == 0 && engine->route.took_turn) {
        topic->next_partition = (topic->next_partition + 1) % topic->partition_count;
    }
    *ret_body = body;
    return rc;
}

int publish_begin(struct engine *engine, struct publish *self, struct topic *topic,
                  struct zsp_err *err)
{
    int rc = publish_check_place(&self->place, topic->partition_count, topic->object, err);
    if (rc != 0) {
        return rc;
    }
    uint32_t target = (uint32_t)self->place.index;
    if (!self->place.is_given && topic->partition_count > 1) {
        struct zsp_slice body;
        rc = route(engine, self, topic, &body, err);
        if (rc != 0) {
            return rc;
        }
        if (engine->route.target_count > 1) {
            return begin_cut(engine, self, topic, body, err);
        }
        target = engine->route.stretches[0].partition;
    }
    return begin_whole(engine, self, &topic->partitions[target], err);
}
