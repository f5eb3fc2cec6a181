/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/publish/publish_records.h"

#include <stdlib.h>
#include <string.h>

#include "broker/engine/engine_priv.h"
#include "broker/engine/route.h"
#include "broker/engine/topic/topic.h"
#include "broker/engine/unpack.h"

int publish_records_read(struct engine *engine, const struct body_args *args, struct zsp_buf *frame,
                         struct publish_records *ret, struct zsp_err *err)
{
    const struct publish_body body = {
        .frame = frame, .codec = args->codec, .raw_size = args->raw_size, .count = args->count};
    uint32_t count = 0;
    int rc = publish_check_times(args, err);
    if (rc == 0) {
        rc = publish_check_body(engine, &body, &count, err);
    }
    if (rc != 0) {
        return rc;
    }
    *ret = (struct publish_records){
        .frame = zsp_buf_get(frame),
        .codec = args->codec.data ? ZSP_CODEC_ZSTD : ZSP_CODEC_NONE,
        .raw_bytes = (uint32_t)args->raw_size.value,
        .count = count,
        .place = {.is_given = args->partition.set,
                  .index = args->partition.value,
                  .partitions = args->partitions.value},
        .not_before_ms = (int64_t)args->not_before_ms.value,
        .expires_at_ms = (int64_t)args->expires_at_ms.value,
        .priority = args->priority.set ? (uint8_t)args->priority.value : ZSP_PRIORITY,
    };
    return 0;
}

void publish_records_fini(struct publish_records *self)
{
    zsp_buf_put(&self->frame);
    free(self->stretches);
    self->stretches = NULL;
}

bool publish_records_are_urgent(const struct publish_records *self)
{
    return topic_is_urgent(self->priority, self->not_before_ms);
}

unsigned publish_records_marks(const struct publish_records *self)
{
    return (publish_records_are_urgent(self) ? TOPIC_MARK_AGENDA : 0u) |
           (self->expires_at_ms != 0 ? TOPIC_MARK_EXPIRY : 0u);
}

size_t publish_records_len(const struct publish_records *self)
{
    return self->codec != ZSP_CODEC_NONE ? self->raw_bytes : self->frame->len;
}

int publish_records_check_keys(struct engine *engine, const struct publish_records *self,
                               const struct topic *topic, struct zsp_err *err)
{
    const struct zsp_slice body = {self->frame->data, self->frame->len};
    const uint32_t raw_bytes = self->codec != ZSP_CODEC_NONE ? self->raw_bytes : 0;
    return publish_check_keys(engine, topic, body, raw_bytes, err);
}

int publish_records_route(struct engine *engine, const struct publish_records *self,
                          struct topic *topic, struct zsp_slice *ret_body, struct zsp_err *err)
{
    struct zsp_slice body = {self->frame->data, self->frame->len};
    int rc = 0;
    if (self->codec != ZSP_CODEC_NONE) {
        rc = unpack_received(&engine->unpack, body, self->raw_bytes, &body, err);
    }
    if (rc == 0) {
        engine->route.by_id = topic_settings_of(topic)->dedup_window_ms > 0;
        rc = route_body(&engine->route, body, topic->partition_count, topic->next_partition, err);
    }
    if (rc == 0 && engine->route.took_turn) {
        topic->next_partition = (topic->next_partition + 1) % topic->partition_count;
    }
    *ret_body = body;
    return rc;
}

int publish_records_keep_route(const struct engine *engine, struct publish_records *self)
{
    const struct route *const route = &engine->route;
    struct stretch *const stretches = malloc(route->count * sizeof *stretches);
    if (!stretches) {
        return ZSP_ENOMEM;
    }
    memcpy(stretches, route->stretches, route->count * sizeof *stretches);
    self->stretches = stretches;
    self->stretch_count = route->count;
    return 0;
}

struct store_batch publish_records_batch(const struct publish_records *self, struct zsp_buf *frame,
                                         enum zsp_codec codec, uint32_t count)
{
    return (struct store_batch){
        .frame = frame,
        .body = {frame->data, frame->len},
        .record_count = count,
        .raw_bytes = codec != ZSP_CODEC_NONE ? self->raw_bytes : 0,
        .codec = (uint8_t)codec,
        .priority = self->priority,
        .not_before_ms = self->not_before_ms,
        .expires_at_ms = self->expires_at_ms,
    };
}
