/* SPDX-License-Identifier: MPL-2.0 */
#include "broker/server/hello.h"

#include <stddef.h>

#include "common/codec.h"
#include "common/limits.h"

#define VERSIONS_MAX 64u /* versions that a client may offer */

enum hello_verb hello_verb(struct zsp_slice verb)
{
    static const struct {
        const char *name;
        enum hello_verb verb;
    } verbs[] = {{"HELLO", HELLO_HELLO}, {"PING", HELLO_PING}, {"BYE", HELLO_BYE}};
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (zsp_slice_equal_str(verb, verbs[i].name)) {
            return verbs[i].verb;
        }
    }
    return HELLO_NONE;
}

/* What wire_args() fills. */
struct raw_args {
    const msgpack_object *versions, *codecs;
    struct zsp_slice client;
    struct zsp_slice name;
    struct zsp_slice resume;
    struct wire_uint heartbeat_ms, coalesce;
};

static const struct wire_arg hello_table[] = {
    {"versions", WIRE_ARRAY, offsetof(struct raw_args, versions), true, 1, VERSIONS_MAX},
    {"client", WIRE_STR, offsetof(struct raw_args, client), false, 0, ZSP_NAME_MAX},
    {"name", WIRE_NAME, offsetof(struct raw_args, name), false, 0, 0},
    {"codecs", WIRE_ARRAY, offsetof(struct raw_args, codecs), false, 0, ZSP_CODECS_MAX},
    {"resume", WIRE_BIN, offsetof(struct raw_args, resume), false, SESSION_ID_BYTES,
     SESSION_ID_BYTES},
    {"heartbeat_ms", WIRE_UINT, offsetof(struct raw_args, heartbeat_ms), false,
     ZSP_HEARTBEAT_MS_MIN, ZSP_HEARTBEAT_MS_MAX},
    {"coalesce", WIRE_BOOL, offsetof(struct raw_args, coalesce), false, 0, 0},
};

static int check_versions(const msgpack_object *versions, struct zsp_err *err)
{
    bool ours = false;
    for (uint32_t i = 0; i < versions->via.array.size; i++) {
        uint64_t version = 0;
        const int rc =
            wire_get_uint(&versions->via.array.ptr[i], "versions", UINT64_MAX, &version, err);
        if (rc < 0) {
            return rc;
        }
        ours = ours || version == ZSP_PROTOCOL_VERSION;
    }
    if (!ours) {
        const int rc = zsp_err_set(err, ZSP_EVERSION_MISMATCH, "this broker speaks version %u",
                                   ZSP_PROTOCOL_VERSION);
        zsp_err_detail(err, "versions", "1", NULL);
        return rc;
    }
    return ZSP_OK;
}

int hello_read(const msgpack_object *args, struct hello_args *ret, struct zsp_err *err)
{
    struct raw_args raw = {0};
    int rc = wire_args(args, hello_table, sizeof hello_table / sizeof hello_table[0], &raw, err);
    if (rc < 0) {
        return rc;
    }
    rc = check_versions(raw.versions, err);
    bool knows_zstd = false;
    if (rc == ZSP_OK && raw.codecs) {
        rc = wire_get_accept(raw.codecs, "codecs", &knows_zstd, err);
    }
    if (rc < 0) {
        return rc;
    }
    *ret = (struct hello_args){
        .client = raw.client,
        .name = raw.name,
        .resume = raw.resume,
        .knows_zstd = knows_zstd,
        .terms = {.heartbeat_ms = (int64_t)raw.heartbeat_ms.value,
                  .coalesce = raw.coalesce.value != 0},
    };
    return ZSP_OK;
}

/* What is built beyond the bare protocol; a client looks here before it asks. */
static void write_features(struct zsp_writer *out)
{
    static const char *const features[] = {
        "shared",     "ordered",  "keyed",       "producers", "seek",    "pull_settle", "resume",
        "bye",        "cancel",   "heartbeat",   "coalesce",  "zstd",    "parts",       "pause",
        "savepoints", "priority", "delay",       "ttl",       "purge",   "commit",      "retention",
        "dead",       "dedup",    "grow",        "patterns",  "filter",  "fair_by",     "compact",
        "trace",      "replay",   "read_filter", "start_id",  "batches", "read_grown"};
    const uint32_t count = sizeof features / sizeof features[0];
    wire_write_text(out, "features");
    wire_write_array(out, count);
    for (uint32_t i = 0; i < count; i++) {
        wire_write_text(out, features[i]);
    }
}

static void write_limits(struct zsp_writer *out, const struct config *config)
{
    const struct {
        const char *name;
        uint64_t value;
    } limits[] = {
        {"max_requests", config->requests}, {"max_request_bytes", config->request_bytes},
        {"max_header", ZSP_HEADER_MAX},     {"max_frame", ZSP_FRAME_MAX},
        {"max_record", ZSP_RECORD_MAX},     {"max_reply", ZSP_REPLY_MAX},
        {"max_runs", ZSP_RUNS_MAX},         {"max_wait_ms", ZSP_WAIT_MS_MAX},
        {"max_batches", ZSP_BATCHES_MAX},
    };
    const uint32_t count = sizeof limits / sizeof limits[0];
    wire_write_text(out, "limits");
    wire_write_map(out, count);
    for (uint32_t i = 0; i < count; i++) {
        wire_write_text_uint(out, limits[i].name, limits[i].value);
    }
}

void hello_write(struct zsp_writer *out, const struct hello_reply *reply)
{
    wire_write_reply(out, WIRE_OK, true, reply->id);
    wire_write_map(out, 10);
    wire_write_text_uint(out, "version", ZSP_PROTOCOL_VERSION);
    wire_write_text_str(out, "broker", zsp_slice_str("zspoold " ZSP_VERSION_TEXT));
    wire_write_text(out, "instance");
    wire_write_bin(out, (struct zsp_slice){reply->instance, INSTANCE_BYTES});
    wire_write_text(out, "session");
    wire_write_bin(out, (struct zsp_slice){reply->session->id, SESSION_ID_BYTES});
    wire_write_text_bool(out, "resumed", reply->is_resumed);
    wire_write_text_uint(out, "session_timeout_ms", reply->config->session_timeout_ms);
    write_features(out);
    wire_write_text(out, "codecs");
    wire_write_array(out, reply->knows_zstd ? 1 : 0);
    if (reply->knows_zstd) {
        wire_write_text(out, ZSP_CODEC_ZSTD_NAME);
    }
    wire_write_text(out, "now_ms");
    wire_write_int(out, reply->now_ms);
    write_limits(out, reply->config);
}

int hello_ping(struct zsp_writer *out, uint64_t id, const msgpack_object *args, int64_t now_ms,
               struct zsp_err *err)
{
    const int rc = wire_args(args, NULL, 0, NULL, err);
    if (rc < 0) {
        return rc;
    }
    wire_write_reply(out, WIRE_OK, true, id);
    wire_write_map(out, 1);
    wire_write_text(out, "now_ms");
    wire_write_int(out, now_ms);
    return ZSP_OK;
}

int hello_bye(const msgpack_object *args, struct zsp_err *err)
{
    struct {
        struct wire_uint keep; /* the engine's business */
    } unused = {{0}};
    static const struct wire_arg table[] = {{"keep", WIRE_BOOL, 0, false, 0, 0}};
    return wire_args(args, table, sizeof table / sizeof table[0], &unused, err);
}

void hello_beat(struct zsp_writer *out, int64_t now_ms)
{
    wire_write_reply(out, WIRE_BEAT, false, 0);
    wire_write_map(out, 1);
    wire_write_text(out, "now_ms");
    wire_write_int(out, now_ms);
}
