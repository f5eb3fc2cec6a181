/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/commit/transaction.h"

#include <stdlib.h>
#include <string.h>

#include "broker/engine/group/group.h"
#include "broker/engine/ledger/agenda.h"
#include "broker/engine/publish/dedup.h"
#include "broker/engine/topic/expiry.h"
#include "broker/engine/topic/topic_limit.h"
#include "common/assert.h"
#include "common/container.h"

static void on_store(struct engine *engine, struct engine_op *op,
                     const struct store_completion *completion);
static void topic_is_ready(struct engine *engine, struct topic_waiter *waiter, struct topic *topic,
                           const struct zsp_err *error);

/* --- the object ---------------------------------------------------------------------- */

int transaction_init(struct transaction *self, struct engine *engine,
                     const struct transaction_hooks *hooks, uint32_t count)
{
    *self = (struct transaction){.op.done_fn = on_store, .waiter.ready_fn = topic_is_ready};
    self->hooks = hooks;
    self->publishes = calloc(count + 1, sizeof *self->publishes);
    if (!self->publishes) {
        return ZSP_ENOMEM;
    }
    self->publish_count = count;
    LIST_INSERT_HEAD(&engine->transaction_list, self, link);
    return 0;
}

static void free_memory(struct transaction *self)
{
    for (uint32_t i = 0; i < self->publish_count; i++) {
        publish_records_fini(&self->publishes[i].records);
    }
    for (uint32_t i = 0; i < self->part_count; i++) {
        zsp_buf_put(&self->parts[i].frame);
        dedup_batch_free(&self->parts[i].ids); /* at the end of the engine; else it is gone */
    }
    free(self->publishes);
    free(self->parts);
    self->publishes = NULL;
    self->parts = NULL;
    self->publish_count = self->part_count = 0;
}

void transaction_fini(struct transaction *self)
{
    if (!self->publishes) {
        return;
    }
    free_memory(self);
    LIST_REMOVE(self, link);
}

uint64_t transaction_bytes_open(const struct engine *engine, const struct topic *topic,
                                uint64_t batch_bytes)
{
    uint64_t bytes = 0;
    const struct transaction *self = NULL;
    LIST_FOREACH (self, &engine->transaction_list, link) {
        for (uint32_t i = 0; i < self->part_count; i++) {
            const struct transaction_part *const part = &self->parts[i];
            bytes += part->partition->topic != topic || !part->frame
                         ? 0
                         : part->frame->len + batch_bytes;
        }
    }
    return bytes;
}

void transaction_free_all(struct engine *engine)
{
    struct transaction *self = NULL;
    LIST_FOREACH (self, &engine->transaction_list, link) {
        free_memory(self);
    }
    LIST_INIT(&engine->transaction_list);
}

static void is_over(struct engine *engine, struct transaction *self, const struct zsp_err *error)
{
    dedup_release(engine, self);
    self->hooks->over_fn(engine, self, error);
}

/* --- parts ------------------------------------------------------------------------------ */

static int out_of_memory(struct zsp_err *err)
{
    return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
}

/* Room for `count` more parts. */
static int reserve_parts(struct transaction *self, uint32_t count, struct zsp_err *err)
{
    const uint32_t wanted = self->part_count + count;
    if (wanted > ZSP_COMMIT_PARTS_MAX) {
        return zsp_err_set_about(err, ZSP_ETOO_LARGE, "commit",
                                 "it goes to more than %u places in partitions",
                                 ZSP_COMMIT_PARTS_MAX);
    }
    struct transaction_part *const parts = realloc(self->parts, wanted * sizeof *parts);
    if (!parts) {
        return out_of_memory(err);
    }
    self->parts = parts;
    memset(parts + self->part_count, 0, count * sizeof *parts);
    self->part_count = wanted;
    return 0;
}

/* All records go to one partition. */
static int add_whole(struct transaction *self, struct transaction_publish *publish,
                     struct partition *partition, struct zsp_err *err)
{
    publish->first_part = self->part_count;
    const int rc = reserve_parts(self, 1, err);
    if (rc == 0) {
        self->parts[publish->first_part] = (struct transaction_part){
            .partition = partition,
            .frame = zsp_buf_get(publish->records.frame),
            .publish = publish,
            .count = publish->records.count,
            .len = publish_records_len(&publish->records),
        };
        self->row_count++;
    }
    return rc;
}

/* Copy the stretches of one target together. */
static int cut(struct transaction *self, const struct transaction_publish *publish,
               struct zsp_slice body, uint32_t target)
{
    struct transaction_part *const part = &self->parts[publish->first_part + target];
    part->frame = zsp_buf_new(part->len);
    if (!part->frame) {
        return ZSP_ENOMEM;
    }
    size_t pos = 0;
    for (uint32_t i = 0; i < publish->records.stretch_count; i++) {
        const struct stretch *const stretch = &publish->records.stretches[i];
        if (stretch->target == target) {
            memcpy(zsp_buf_bytes(part->frame) + pos, body.data + stretch->pos, stretch->len);
            pos += stretch->len;
        }
    }
    zsp_assert(pos == part->len);
    return 0;
}

/* What the engine's route says of the body becomes parts. */
static int add_cut(struct engine *engine, struct transaction *self,
                   struct transaction_publish *publish, struct topic *topic, struct zsp_slice body,
                   struct zsp_err *err)
{
    const struct route *const route = &engine->route;
    publish->first_part = self->part_count;
    if (publish_records_keep_route(engine, &publish->records) < 0) {
        return out_of_memory(err);
    }
    self->row_count += route->count;
    int rc = reserve_parts(self, route->target_count, err);
    for (uint32_t i = 0; i < route->count && rc == 0; i++) {
        const struct stretch *const stretch = &route->stretches[i];
        struct transaction_part *const part = &self->parts[publish->first_part + stretch->target];
        part->partition = topic->partitions[stretch->partition];
        part->publish = publish;
        part->count += stretch->count;
        part->len += stretch->len;
    }
    for (uint32_t i = 0; i < route->target_count && rc == 0; i++) {
        if (cut(self, publish, body, i) < 0) {
            rc = out_of_memory(err);
        }
    }
    return rc;
}

static int route_publish(struct engine *engine, struct transaction *self,
                         struct transaction_publish *publish, struct topic *topic,
                         struct zsp_err *err)
{
    int rc =
        publish_check_place(&publish->records.place, topic->partition_count, topic->object, err);
    if (rc != 0) {
        return rc;
    }
    if (publish->records.place.is_given || topic->partition_count == 1) {
        return add_whole(self, publish, topic->partitions[publish->records.place.index], err);
    }
    struct zsp_slice body;
    rc = publish_records_route(engine, &publish->records, topic, &body, err);
    if (rc != 0) {
        return rc;
    }
    if (engine->route.target_count > 1) {
        return add_cut(engine, self, publish, topic, body, err);
    }
    const uint32_t target = engine->route.stretches[0].partition;
    return add_whole(self, publish, topic->partitions[target], err);
}

/* --- holding ------------------------------------------------------------------------------- */

/* What is to be appended. Returns the number of batches. */
static uint32_t gather(const struct transaction *self, struct store_batch *batches,
                       struct store_append *appends)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < self->part_count; i++) {
        const struct transaction_part *const part = &self->parts[i];
        const bool is_packed = part->frame == part->publish->records.frame &&
                               part->publish->records.codec != ZSP_CODEC_NONE;
        if (part->count == 0) {
            continue;
        }
        batches[count] = publish_records_batch(
            &part->publish->records, part->frame,
            is_packed ? part->publish->records.codec : ZSP_CODEC_NONE, part->count);
        batches[count].timestamp_ms = self->timestamp_ms;
        appends[count] = (struct store_append){part->partition->part, &batches[count]};
        count++;
    }
    return count;
}

static int hold(struct engine *engine, struct transaction *self, struct zsp_err *err)
{
    struct store_batch *const batches = calloc(self->part_count + 1, sizeof *batches);
    struct store_append *const appends = calloc(self->part_count + 1, sizeof *appends);
    int rc;
    if (batches && appends) {
        const uint32_t count = gather(self, batches, appends);
        rc = engine->store->ops->atomic_begin(engine->store, appends, count,
                                              engine_op_tag(&self->op), &self->atomic, err);
    } else {
        rc = out_of_memory(err);
    }
    free(batches);
    free(appends);
    return rc;
}

/* Parts of topics that look at ids wait until these are known. */
static int find_ids(struct engine *engine, struct transaction *self, struct zsp_err *err)
{
    int rc = 0;
    for (uint32_t i = 0; i < self->part_count && rc == 0; i++) {
        if (topic_settings_of(self->parts[i].partition->topic)->dedup_window_ms > 0) {
            rc = dedup_add_part(engine, self, i, err);
            self->ids_open += rc == 0 ? 1 : 0;
        }
    }
    if (rc != 0) {
        self->ids_open = 0;
        dedup_release(engine, self);
    }
    return rc;
}

/* All topics are there: route and hold. */
static int begin(struct engine *engine, struct transaction *self, struct zsp_err *err)
{
    self->timestamp_ms = engine->now.wall_ms;
    int rc = 0;
    for (uint32_t i = 0; i < self->publish_count && rc == 0; i++) {
        struct transaction_publish *const publish = &self->publishes[i];
        struct topic *const topic = topic_find(engine, zsp_slice_str(publish->topic));
        rc = publish_records_check_keys(engine, &publish->records, topic, err);
        if (rc == 0) {
            rc = topic_limit_admit(engine, topic, publish->records.frame->len, err);
        }
        if (rc == 0) {
            rc = route_publish(engine, self, publish, topic, err);
        }
    }
    if (rc == 0) {
        rc = find_ids(engine, self, err);
    }
    return rc != 0 || self->ids_open > 0 ? rc : hold(engine, self, err);
}

void transaction_ids_known(struct engine *engine, struct transaction *self)
{
    zsp_assert(self->ids_open > 0);
    struct zsp_err refusal = {0};
    if (--self->ids_open == 0 && hold(engine, self, &refusal) != 0) {
        is_over(engine, self, &refusal);
    }
}

void transaction_ids_failed(struct engine *engine, struct transaction *self,
                            const struct zsp_err *error)
{
    const bool is_refused = self->ids_open > 0;
    self->ids_open = 0;
    dedup_release(engine, self);
    if (is_refused) {
        is_over(engine, self, error);
    } /* else the store tells */
}

/* A topic that is deleted again and again is not waited for. */
static bool is_tired_of_waiting(struct transaction *self)
{
    self->searches++;
    return self->searches > 4 * self->publish_count;
}

int transaction_start(struct engine *engine, struct transaction *self, struct zsp_err *err)
{
    for (uint32_t i = 0; i < self->publish_count; i++) {
        const struct zsp_slice name = zsp_slice_str(self->publishes[i].topic);
        struct topic *const topic = topic_find(engine, name);
        if (!topic && is_tired_of_waiting(self)) {
            struct topic *none = NULL;
            return topic_require(engine, name, &none, err);
        }
        if (!topic) {
            return publish_await_topic(engine, name, &self->publishes[i].records.place,
                                       &self->waiter, err);
        }
        const unsigned marks = publish_records_marks(&self->publishes[i].records);
        if (topic_must_mark(topic, marks)) {
            return topic_mark(engine, topic, marks, &self->waiter, err);
        }
    }
    return begin(engine, self, err);
}

static void topic_is_ready(struct engine *engine, struct topic_waiter *waiter, struct topic *topic,
                           const struct zsp_err *error)
{
    struct transaction *const self = CONTAINER_OF(waiter, struct transaction, waiter);
    struct zsp_err refusal = {0};
    (void)topic;
    if (error) {
        refusal = *error;
    } else if (transaction_start(engine, self, &refusal) == 0) {
        return;
    }
    is_over(engine, self, &refusal);
}

/* --- deciding --------------------------------------------------------------------------------- */

/* Its topics may have gone while it waited. */
static int check_topics(const struct transaction *self, struct zsp_err *err)
{
    for (uint32_t i = 0; i < self->part_count; i++) {
        const struct topic *const topic = self->parts[i].partition->topic;
        if (topic->state != TOPIC_LIVE) {
            zsp_err_set(err, ZSP_ENOT_FOUND, "%s: it was deleted", topic->object);
            zsp_err_detail(err, topic->object, NULL, NULL);
            return ZSP_ENOT_FOUND;
        }
    }
    return 0;
}

/* One record of it all. The hold has ended afterwards, whatever happens. */
static int put(struct engine *engine, struct transaction *self, struct zsp_err *err)
{
    struct step *const step = &engine->groups->step;
    struct store_atomic *const atomic = self->atomic;
    const struct store_entry *entries = NULL;
    size_t count = 0;
    self->atomic = NULL;
    step_begin(step);
    int rc = self->hooks->apply_fn(engine, self, step, err);
    if (rc == 0) {
        rc = step_seal(step, &entries, &count, err);
    }
    if (rc == 0) {
        rc = engine->store->ops->atomic_put(engine->store, atomic, entries, count, err);
    } else {
        engine->store->ops->atomic_cancel(engine->store, atomic);
    }
    if (rc != 0) {
        step_undo(step);
        return rc;
    }
    step_keep(step);
    return 0;
}

static void is_ready(struct engine *engine, struct transaction *self)
{
    const uint64_t *const offsets = engine->store->ops->atomic_offsets(self->atomic);
    uint32_t appended = 0;
    for (uint32_t i = 0; i < self->part_count; i++) {
        if (self->parts[i].count > 0) {
            self->parts[i].first_offset = offsets[appended++];
        }
    }
    struct zsp_err refusal = {0};
    int rc = check_topics(self, &refusal);
    if (rc != 0) {
        engine->store->ops->atomic_cancel(engine->store, self->atomic);
        self->atomic = NULL;
    } else {
        rc = put(engine, self, &refusal);
    }
    if (rc != 0) {
        is_over(engine, self, &refusal);
        return;
    }
    self->is_decided = true;
    self->hooks->decided_fn(engine, self);
}

/* All marks have moved in the store: they do so here before anybody looks at one of them. Who waits
 * for them hears by STORE_SYNCED, which comes next. */
static void is_done(struct engine *engine, struct transaction *self)
{
    for (uint32_t i = 0; i < self->part_count; i++) {
        const struct transaction_part *const part = &self->parts[i];
        struct partition *const partition = part->partition;
        const uint64_t end = part->first_offset + part->count;
        if (part->count == 0) {
            continue;
        }
        if (end > partition->synced_offset) {
            partition->synced_offset = end;
        }
        const struct publish_records *const records = &part->publish->records;
        if (publish_records_are_urgent(records)) {
            agenda_add(engine, partition, part->first_offset, end, records->priority,
                       records->not_before_ms);
        }
        if (records->expires_at_ms != 0) {
            expiry_add(engine, partition, part->first_offset, end, records->priority,
                       records->expires_at_ms);
        }
        partition->image_bytes += part->frame->len;
        engine->stats.published_messages += part->count;
        engine->stats.published_bytes += part->len;
        engine->stats.stored_bytes += part->frame->len;
    }
    is_over(engine, self, NULL);
}

static void on_store(struct engine *engine, struct engine_op *op,
                     const struct store_completion *completion)
{
    struct transaction *const self = (struct transaction *)op;
    if (completion->kind == STORE_ATOMIC_DONE) {
        zsp_assert(completion->error.code == 0); /* else the engine has failed */
        is_done(engine, self);
    } else if (completion->error.code != 0) {
        self->atomic = NULL;
        is_over(engine, self, &completion->error);
    } else {
        is_ready(engine, self);
    }
}

/* --- telling ------------------------------------------------------------------------------------ */

static void write_row(struct zsp_writer *out, uint32_t index, uint32_t count,
                      const struct transaction_part *part, uint64_t first)
{
    wire_write_array(out, 5);
    wire_write_uint(out, index);
    wire_write_uint(out, count);
    wire_write_uint(out, part->partition->index);
    wire_write_uint(out, first);
    wire_write_bool(out, false);
}

/* The place of a stretch: behind those of its target before it. */
static uint64_t first_of(const struct transaction_publish *publish, uint32_t index,
                         const struct transaction_part *part)
{
    uint64_t first = part->first_offset;
    for (uint32_t i = 0; i < index; i++) {
        const bool is_same =
            publish->records.stretches[i].target == publish->records.stretches[index].target;
        first += is_same ? publish->records.stretches[i].count : 0;
    }
    return first;
}

/* A row for each partition: where the first of its records is, the others follow it. */
static void write_targets(struct zsp_writer *out, const struct transaction *self,
                          const struct transaction_publish *publish)
{
    uint32_t targets = 0;
    for (uint32_t i = 0; i < publish->records.stretch_count; i++) {
        targets += publish->records.stretches[i].target == targets ? 1u : 0u;
    }
    wire_write_array(out, targets);
    uint32_t next = 0; /* targets are numbered as they appear */
    for (uint32_t i = 0; i < publish->records.stretch_count; i++) {
        const struct stretch *const stretch = &publish->records.stretches[i];
        if (stretch->target == next) {
            const struct transaction_part *const part = &self->parts[publish->first_part + next];
            write_row(out, stretch->index, part->count, part, part->first_offset);
            next++;
        }
    }
}

/* Rows of a publish some of whose parts were looked at for ids; with `out` NULL they are counted. */
static uint32_t rows_of(struct zsp_writer *out, const struct transaction *self,
                        const struct transaction_publish *publish, uint32_t *rows_left)
{
    const struct transaction_part *const parts = &self->parts[publish->first_part];
    if (!publish->records.stretches) {
        dedup_part_rewind(parts);
        return dedup_part_rows(out, parts, 0, publish->records.count, rows_left);
    }
    uint32_t rows = 0;
    for (uint32_t i = 0; i < publish->records.stretch_count; i++) {
        dedup_part_rewind(&parts[publish->records.stretches[i].target]);
    }
    for (uint32_t i = 0; i < publish->records.stretch_count; i++) {
        const struct stretch *const stretch = &publish->records.stretches[i];
        rows += dedup_part_rows(out, &parts[stretch->target], stretch->index, stretch->count,
                                rows_left);
    }
    return rows;
}

void transaction_write_rows(struct zsp_writer *out, const struct transaction *self)
{
    const bool is_short = self->row_count <= ZSP_COMMIT_ROWS_MAX;
    wire_write_array(out, self->publish_count);
    for (uint32_t p = 0; p < self->publish_count; p++) {
        const struct transaction_publish *const publish = &self->publishes[p];
        const struct transaction_part *const parts = &self->parts[publish->first_part];
        if (parts->ids) {
            uint32_t counted_left = ZSP_COMMIT_ROWS_MAX;
            uint32_t rows_left = ZSP_COMMIT_ROWS_MAX;
            wire_write_array(out, rows_of(NULL, self, publish, &counted_left));
            (void)rows_of(out, self, publish, &rows_left);
            continue;
        }
        if (!publish->records.stretches) {
            wire_write_array(out, 1);
            write_row(out, 0, publish->records.count, parts, parts->first_offset);
            continue;
        }
        if (!is_short) {
            write_targets(out, self, publish);
            continue;
        }
        wire_write_array(out, publish->records.stretch_count);
        for (uint32_t i = 0; i < publish->records.stretch_count; i++) {
            const struct stretch *const stretch = &publish->records.stretches[i];
            const struct transaction_part *const part = &parts[stretch->target];
            write_row(out, stretch->index, stretch->count, part, first_of(publish, i, part));
        }
    }
}
