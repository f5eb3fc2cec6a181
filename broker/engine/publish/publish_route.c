/* SPDX-License-Identifier: MPL-2.0
 *
 * A publish to a topic that is there: which partition, or which partitions its batch is cut over.
 */
#include <stdlib.h>
#include <string.h>

#include "broker/engine/publish/dedup.h"
#include "broker/engine/publish/publish_priv.h"
#include "broker/engine/topic/topic_limit.h"
#include "common/assert.h"

/* Make a part for each partition that was met and keep the stretches for the answer. */
static int make_parts(struct engine *engine, struct publish *self, struct topic *topic,
                      struct zsp_err *err)
{
    const struct route *const route = &engine->route;
    self->parts = calloc(route->target_count, sizeof(struct publish_part *));
    if (!self->parts || publish_records_keep_route(engine, &self->records) < 0) {
        return zsp_err_set(err, ZSP_ENOMEM, "out of memory");
    }
    self->part_count = route->target_count;
    for (uint32_t i = 0; i < route->count; i++) {
        const struct stretch *const stretch = &route->stretches[i];
        struct publish_part **const part = &self->parts[stretch->target];
        if (!*part) {
            *part = publish_part_new(engine, self, topic->partitions[stretch->partition], 0);
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
    for (uint32_t i = 0; i < self->records.stretch_count; i++) {
        const struct stretch *const stretch = &self->records.stretches[i];
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
    struct publish_part *const part = self->parts[target];
    const int rc = dedup_wants(part->partition)
                       ? dedup_add(engine, part, frame, ZSP_CODEC_NONE, err)
                       : publish_append(engine, part, frame, ZSP_CODEC_NONE, err);
    zsp_buf_put(&frame);
    return rc;
}

/* Cut the body and append each part. A refusal of the first part refuses all; later ones
 * make the answer an error with `maybe`. */
static int begin_cut(struct engine *engine, struct publish *self, struct topic *topic,
                     struct zsp_slice body, struct zsp_err *err)
{
    int rc = publish_check_keys(engine, topic, body, 0, err);
    if (rc == 0) {
        rc = make_parts(engine, self, topic, err);
    }
    if (rc == 0 &&
        topic_settings_of(topic)->dedup_window_ms == 0) { /* else for what is new, later */
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
            publish_part_failed(engine, self->parts[i], &error);
        }
    }
    zsp_buf_put(&self->records.frame);
    return 0;
}

int publish_begin(struct engine *engine, struct publish *self, struct topic *topic,
                  struct zsp_err *err)
{
    int rc = publish_check_place(&self->records.place, topic->partition_count, topic->object, err);
    if (rc != 0) {
        return rc;
    }
    uint32_t target = (uint32_t)self->records.place.index;
    if (!self->records.place.is_given && topic->partition_count > 1) {
        struct zsp_slice body;
        rc = publish_records_route(engine, &self->records, topic, &body, err);
        if (rc != 0) {
            return rc;
        }
        if (engine->route.target_count > 1) {
            return begin_cut(engine, self, topic, body, err);
        }
        target = engine->route.stretches[0].partition;
    }
    return publish_whole(engine, self, topic->partitions[target], err);
}
