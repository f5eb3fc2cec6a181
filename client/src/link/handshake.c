/* SPDX-License-Identifier: MPL-2.0 */
#include "client/src/link/handshake.h"

#include <inttypes.h>
#include <string.h>
#include <zspool.h>

#include "common/codec.h"
#include "common/limits.h"
#include "common/wire.h"

#define SESSION_BYTES 16u

void zsp_hello_write(struct zsp_writer *out, const struct zsp_hello_wish *wish)
{
    const char *const name = wish->name;
    const bool resumes = wish->resume && !wish->is_plain;
    const bool beats = wish->heartbeat_ms > 0 && !wish->is_plain;
    const bool coalesces = !wish->is_plain;
    const bool offers = !wish->is_plain;
    wire_write_map(out, 2u + (name ? 1u : 0u) + (resumes ? 1u : 0u) + (beats ? 1u : 0u) +
                            (coalesces ? 1u : 0u) + (offers ? 1u : 0u));
    wire_write_text(out, "versions");
    wire_write_array(out, 1);
    wire_write_uint(out, ZSP_PROTOCOL_VERSION);
    wire_write_text_str(out, "client", zsp_slice_str("libzspool"));
    if (name) {
        wire_write_text_str(out, "name", zsp_slice_str(name));
    }
    if (resumes) {
        wire_write_text(out, "resume");
        wire_write_bin(out, (struct zsp_slice){wish->resume, SESSION_BYTES});
    }
    if (beats) {
        wire_write_text_uint(out, "heartbeat_ms", wish->heartbeat_ms);
    }
    if (coalesces) {
        wire_write_text_bool(out, "coalesce", true);
    }
    if (offers) {
        wire_write_text(out, "codecs");
        wire_write_array(out, 1);
        wire_write_text(out, ZSP_CODEC_ZSTD_NAME);
    }
}

static void copy_text(char *to, size_t size, struct zsp_slice text)
{
    const size_t len = text.len < size - 1 ? text.len : size - 1;
    if (len > 0) {
        memcpy(to, text.data, len);
    }
    to[len] = '\0';
}

static void read_features(const msgpack_object *list, char *to, size_t size)
{
    size_t used = 0;
    to[0] = '\0';
    if (!list || list->type != MSGPACK_OBJECT_ARRAY) {
        return;
    }
    for (uint32_t i = 0; i < list->via.array.size; i++) {
        struct zsp_slice name;
        if (wire_get_str(&list->via.array.ptr[i], "feature", &name, NULL) != 0 ||
            name.len + 2 > size - used) {
            continue;
        }
        if (used > 0) {
            to[used++] = ' ';
        }
        copy_text(to + used, size - used, name);
        used += name.len;
    }
}

/* A limit we can work with: never above what this library was built for. */
static uint64_t read_limit(const msgpack_object *limits, const char *key, uint64_t ours)
{
    const msgpack_object *value = limits ? wire_map_find(limits, key) : NULL;
    uint64_t told = 0;
    if (!value || wire_get_uint(value, key, UINT64_MAX, &told, NULL) != 0) {
        return ours;
    }
    return told == 0 || told > ours ? ours : told;
}

static void read_limits(const msgpack_object *limits, struct zsp_hello *ret)
{
    if (limits && limits->type != MSGPACK_OBJECT_MAP) {
        limits = NULL;
    }
    ret->max_requests = read_limit(limits, "max_requests", ZSP_REQUESTS_MAX);
    ret->max_request_bytes = read_limit(limits, "max_request_bytes", ZSP_REQUEST_BYTES_MAX);
    ret->max_header = read_limit(limits, "max_header", ZSP_HEADER_MAX);
    ret->max_frame = read_limit(limits, "max_frame", ZSP_FRAME_MAX);
    ret->max_record = read_limit(limits, "max_record", ZSP_RECORD_MAX);
    ret->max_reply = read_limit(limits, "max_reply", ZSP_REPLY_MAX);
    ret->max_runs = read_limit(limits, "max_runs", ZSP_RUNS_MAX);
    ret->max_wait_ms = read_limit(limits, "max_wait_ms", ZSP_WAIT_MS_MAX);
    ret->max_batches =
        zsp_hello_has(ret, "batches") ? read_limit(limits, "max_batches", ZSP_BATCHES_MAX) : 0;
}

static int read_uint(const msgpack_object *map, const char *key, uint64_t *ret, struct zsp_err *err)
{
    const msgpack_object *value = wire_map_find(map, key);
    if (!value) {
        return zsp_err_set(err, ZSP_EBAD_REQUEST, "reply to HELLO: no %s", key);
    }
    return wire_get_uint(value, key, UINT64_MAX, ret, err);
}

int zsp_hello_read(const msgpack_object *map, struct zsp_hello *ret, struct zsp_err *err)
{
    struct zsp_hello hello = {0};
    int rc = read_uint(map, "version", &hello.version, err);
    if (rc == 0) {
        rc = read_uint(map, "session_timeout_ms", &hello.session_timeout_ms, err);
    }
    if (rc == 0) {
        rc = read_uint(map, "now_ms", &hello.now_ms, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (hello.version != ZSP_PROTOCOL_VERSION) {
        return zsp_err_set(err, ZSP_EVERSION_MISMATCH,
                           "the broker chose protocol %" PRIu64 ", we speak %u", hello.version,
                           ZSP_PROTOCOL_VERSION);
    }
    const msgpack_object *instance = wire_map_find(map, "instance");
    if (!instance || instance->type != MSGPACK_OBJECT_BIN ||
        instance->via.bin.size != sizeof hello.instance) {
        return zsp_err_set(err, ZSP_EBAD_REQUEST, "reply to HELLO: instance is not 16 bytes");
    }
    memcpy(hello.instance, instance->via.bin.ptr, sizeof hello.instance);
    const msgpack_object *session = wire_map_find(map, "session");
    if (session && session->type == MSGPACK_OBJECT_BIN && session->via.bin.size == SESSION_BYTES) {
        memcpy(hello.session, session->via.bin.ptr, SESSION_BYTES);
    }
    const msgpack_object *resumed = wire_map_find(map, "resumed");
    hello.resumed = resumed && resumed->type == MSGPACK_OBJECT_BOOLEAN && resumed->via.boolean;
    const msgpack_object *broker = wire_map_find(map, "broker");
    struct zsp_slice text;
    if (broker && wire_get_str(broker, "broker", &text, NULL) == 0) {
        copy_text(hello.broker, sizeof hello.broker, text);
    }
    read_features(wire_map_find(map, "features"), hello.features, sizeof hello.features);
    read_limits(wire_map_find(map, "limits"), &hello);
    *ret = hello;
    return 0;
}

bool zsp_hello_has(const struct zsp_hello *self, const char *feature)
{
    const size_t len = strlen(feature);
    const char *at = self->features;
    while ((at = strstr(at, feature))) {
        if ((at == self->features || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0')) {
            return true;
        }
        at += len;
    }
    return false;
}
