/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/engine/publish/publish_check.h"

#include <inttypes.h>

#include "broker/engine/engine_priv.h"
#include "broker/engine/topic/topic.h"
#include "common/limits.h"
#include "common/record.h"

/* `codec` and `raw_size` come together. */
static int check_codec(const struct publish_body *args, struct zsp_err *err)
{
    if (!args->codec.data && !args->raw_size.set) {
        return 0;
    }
    if (!args->codec.data || !args->raw_size.set) {
        const char *const missing = args->codec.data ? "raw_size" : "codec";
        zsp_err_set(err, ZSP_EBAD_VALUE, "a compressed publish needs the argument %s", missing);
        zsp_err_detail(err, missing, NULL, NULL);
        return ZSP_EBAD_VALUE;
    }
    if (!zsp_slice_equal_str(args->codec, ZSP_CODEC_ZSTD_NAME)) {
        zsp_err_set(err, ZSP_EUNSUPPORTED, "the only codec is zstd");
        zsp_err_detail(err, "codec", ZSP_CODEC_ZSTD_NAME, NULL);
        return ZSP_EUNSUPPORTED;
    }
    if (args->raw_size.value > ZSP_FRAME_MAX) {
        zsp_err_set(err, ZSP_ETOO_LARGE, "a body of %llu bytes uncompressed, the limit is %u",
                    (unsigned long long)args->raw_size.value, ZSP_FRAME_MAX);
        zsp_err_detail_range(err, "raw_size", 1, ZSP_FRAME_MAX, args->raw_size.value);
        return ZSP_ETOO_LARGE;
    }
    return 0;
}

int publish_check_times(const struct body_args *args, struct zsp_err *err)
{
    const uint64_t before_ms = args->not_before_ms.value;
    const uint64_t end_ms = args->expires_at_ms.value;
    if (!args->expires_at_ms.set || end_ms > before_ms) {
        return 0;
    }
    (void)zsp_err_set(err, ZSP_EBAD_VALUE,
                      "expires_at_ms %" PRIu64 " is not after not_before_ms %" PRIu64
                      ": nobody would ever get it",
                      end_ms, before_ms);
    zsp_err_detail(err, "expires_at_ms", "a time after not_before_ms", NULL);
    return ZSP_EBAD_VALUE;
}

int publish_check_body(struct engine *engine, const struct publish_body *args, uint32_t *ret_count,
                       struct zsp_err *err)
{
    const struct zsp_buf *const frame = args->frame;
    if (frame->len > ZSP_FRAME_MAX) {
        zsp_err_set(err, ZSP_ETOO_LARGE, "a body of %zu bytes, the limit is %u", frame->len,
                    ZSP_FRAME_MAX);
        zsp_err_detail_range(err, "body", 1, ZSP_FRAME_MAX, frame->len);
        return ZSP_ETOO_LARGE;
    }
    struct zsp_slice body = {frame->data, frame->len};
    int rc = check_codec(args, err);
    if (rc == 0 && args->codec.data) {
        rc = unpack_received(&engine->unpack, body, (uint32_t)args->raw_size.value, &body, err);
    }
    if (rc == 0) {
        rc = zsp_record_check(body, ZSP_RECORD_MAX, ret_count, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (args->count.set && args->count.value != *ret_count) {
        return zsp_err_set(err, ZSP_ECOUNT_MISMATCH, "count says %llu, the body holds %u records",
                           (unsigned long long)args->count.value, *ret_count);
    }
    return 0;
}

static int check_keys(const struct topic *topic, struct zsp_slice body, struct zsp_err *err)
{
    struct zsp_slice record, key;
    for (uint32_t i = 0; zsp_record_next(&body, &record) == 0; i++) {
        if (zsp_record_key(record, &key) < 0 || !key.data) {
            zsp_err_set(err, ZSP_EKEY_REQUIRED,
                        "%s is compacted by key: record %u has no key, every one must have one",
                        topic->object, i);
            zsp_err_detail(err, topic->object, "a key", NULL);
            return ZSP_EKEY_REQUIRED;
        }
    }
    return 0;
}

int publish_check_keys(struct engine *engine, const struct topic *topic, struct zsp_slice body,
                       uint32_t raw_bytes, struct zsp_err *err)
{
    if (topic_settings_of(topic)->cleanup != CLEANUP_COMPACT) {
        return 0;
    }
    const int rc =
        raw_bytes > 0 ? unpack_received(&engine->unpack, body, raw_bytes, &body, err) : 0;
    return rc != 0 ? rc : check_keys(topic, body, err);
}

int publish_check_place(const struct publish_place *place, uint32_t partition_count,
                        const char *object, struct zsp_err *err)
{
    if (place->partitions != 0 && place->partitions != partition_count) {
        zsp_err_set(err, ZSP_EWOULD_REORDER,
                    "%s: the client hashed over %llu partitions, it has %u", object,
                    (unsigned long long)place->partitions, partition_count);
        zsp_err_detail_range(err, object, partition_count, partition_count, place->partitions);
        return ZSP_EWOULD_REORDER;
    }
    if (place->is_given && place->index >= partition_count) {
        return topic_refuse_partition(object, place->index, partition_count, err);
    }
    return 0;
}

int publish_await_topic(struct engine *engine, struct zsp_slice name,
                        const struct publish_place *place, struct topic_waiter *waiter,
                        struct zsp_err *err)
{
    struct topic *const topic = topic_by_name(engine, name);
    const uint32_t partition_count = engine->options.default_partitions;
    if (topic && topic->state == TOPIC_CREATING) {
        topic_wait(topic, waiter);
        return 0;
    }
    if (topic || !engine->options.auto_create_topics) {
        struct topic *none = NULL;
        return topic_require(engine, name, &none, err);
    }
    const int rc = publish_check_place(place, partition_count, "a new topic", err);
    return rc != 0
               ? rc
               : topic_create(engine, name, partition_count, &topic_settings_default, waiter, err);
}
