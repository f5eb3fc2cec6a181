/* SPDX-License-Identifier: MPL-2.0
 *
 * Administration: one blocking call each, see client_call.h for what they are made of.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/src/admin/admin_priv.h"
#include "client/src/base/range_check.h"
#include "client/src/link/wire_out.h"
#include "client/src/result.h"
#include "common/limits.h"
#include "common/wire.h"

int zsp_admin_run(zspool_client_t *self, struct zsp_call_spec *spec, int timeout_ms,
                  zspool_error_t *err)
{
    struct zsp_err report = {0};
    const int rc = zsp_call(self, spec, timeout_ms, &report);
    zsp_writer_fini(spec->args);
    return rc == 0 ? 0 : zsp_err_export(&report, err);
}

int zsp_admin_ask(zspool_client_t *self, struct zsp_call_spec *spec, const char *name,
                  int timeout_ms, void **ret_result, zspool_error_t *err)
{
    struct zsp_result result = {.name = name};
    spec->arg = &result;
    const int rc = zsp_admin_run(self, spec, timeout_ms, err);
    if (rc == 0) {
        *ret_result = zsp_arena_result(result.arena);
    } else {
        zsp_arena_destroy(&result.arena);
    }
    return rc;
}

int zsp_admin_check_name(zspool_client_t *self, const char *what, const char *name,
                         zspool_error_t *err)
{
    struct zsp_err report = {0};
    if (!zsp_client_usable(self)) {
        return zsp_refuse(err, "no client given, or one made before fork()");
    }
    const int rc = zsp_name_check_text(what, name, &report);
    return rc == 0 ? 0 : zsp_err_export(&report, err);
}

void zspool_free(void *result)
{
    if (result) {
        struct zsp_arena *arena = zsp_arena_of(result);
        zsp_arena_destroy(&arena);
    }
}

int zspool_ping(zspool_client_t *self, int timeout_ms, uint64_t *ret_round_trip_us,
                zspool_error_t *err)
{
    if (!zsp_client_usable(self)) {
        return zsp_refuse(err, "no client given, or one made before fork()");
    }
    struct zsp_writer args = {0};
    wire_write_map(&args, 0);
    struct zsp_call_spec spec = {.verb = "PING", .args = &args, .repeatable = true};
    struct timespec before = {0};
    struct timespec after = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &before); /* cannot fail */
    const int rc = zsp_admin_run(self, &spec, timeout_ms, err);
    (void)clock_gettime(CLOCK_MONOTONIC, &after);
    if (rc == 0 && ret_round_trip_us) {
        *ret_round_trip_us = (uint64_t)((after.tv_sec - before.tv_sec) * 1000000 +
                                        (after.tv_nsec - before.tv_nsec) / 1000);
    }
    return rc;
}

int zspool_stats(zspool_client_t *self, int timeout_ms, zspool_figures_t **ret_stats,
                 zspool_error_t *err)
{
    if (!zsp_client_usable(self) || !ret_stats) {
        return zsp_refuse(err, "no place for the result, no client, or one made before fork()");
    }
    struct zsp_writer args = {0};
    wire_write_map(&args, 0);
    struct zsp_call_spec spec = {
        .verb = "STATS", .args = &args, .repeatable = true, .read_fn = zsp_read_stats};
    void *result = NULL;
    const int rc = zsp_admin_ask(self, &spec, NULL, timeout_ms, &result, err);
    if (rc == 0) {
        *ret_stats = result;
    }
    return rc;
}

/* --- Topics ------------------------------------------------------------------------- */

static int read_topic_spec(zspool_client_t *self, const zspool_topic_spec_t *given,
                           zspool_topic_spec_t *ret, zspool_error_t *err)
{
    struct zsp_err report = {0};
    int rc = given ? zsp_options_read(ret, sizeof *ret, given, "zspool_topic_spec_t", &report)
                   : zsp_err_set_about(&report, ZSP_EINVAL, "spec", "no topic given");
    if (rc == 0) {
        rc =
            zsp_count_check(ZSP_EINVAL, "partitions", ret->partitions, ZSP_PARTITIONS_MAX, &report);
    }
    if (rc == 0) {
        rc = zsp_settings_check(ret->settings, ret->setting_count, &report);
    }
    if (rc != 0) {
        return zsp_err_export(&report, err);
    }
    return zsp_admin_check_name(self, "topic", ret->topic, err);
}

static int topic_change(zspool_client_t *self, const char *verb, const zspool_topic_spec_t *given,
                        int timeout_ms, zspool_error_t *err)
{
    zspool_topic_spec_t topic = {0};
    const int rc = read_topic_spec(self, given, &topic, err);
    if (rc != 0) {
        return rc;
    }
    struct zsp_writer args = {0};
    wire_write_map(&args,
                   1u + (topic.partitions > 0) + (topic.setting_count > 0) + (topic.force ? 1 : 0));
    wire_write_text_str(&args, "topic", zsp_slice_str(topic.topic));
    if (topic.partitions > 0) {
        wire_write_text_uint(&args, "partitions", topic.partitions);
    }
    if (topic.force) {
        wire_write_text_bool(&args, "force", true);
    }
    zsp_write_settings(&args, topic.settings, topic.setting_count);
    struct zsp_call_spec spec = {.verb = verb, .args = &args};
    return zsp_admin_run(self, &spec, timeout_ms, err);
}

int zspool_topic_create(zspool_client_t *self, const zspool_topic_spec_t *spec, int timeout_ms,
                        zspool_error_t *err)
{
    return topic_change(self, "TOPIC.CREATE", spec, timeout_ms, err);
}

int zspool_topic_set(zspool_client_t *self, const zspool_topic_spec_t *spec, int timeout_ms,
                     zspool_error_t *err)
{
    return topic_change(self, "TOPIC.SET", spec, timeout_ms, err);
}

/* VERB {key: name} */
struct about {
    const char *verb, *key, *name;
    zsp_call_read_fn *read_fn;
};

static int ask_by_name(zspool_client_t *self, const struct about *about, int timeout_ms,
                       void **ret_result, zspool_error_t *err)
{
    const int rc = zsp_admin_check_name(self, about->key, about->name, err);
    if (rc != 0) {
        return rc;
    }
    struct zsp_writer args = {0};
    wire_write_map(&args, 1);
    wire_write_text_str(&args, about->key, zsp_slice_str(about->name));
    struct zsp_call_spec spec = {
        .verb = about->verb, .args = &args, .repeatable = true, .read_fn = about->read_fn};
    return zsp_admin_ask(self, &spec, about->name, timeout_ms, ret_result, err);
}

int zspool_topic_info(zspool_client_t *self, const char *topic, int timeout_ms,
                      zspool_topic_info_t **ret_info, zspool_error_t *err)
{
    if (!ret_info) {
        return zsp_refuse(err, "no place for the result");
    }
    const struct about about = {"TOPIC.INFO", "topic", topic, zsp_read_topic_info};
    void *result = NULL;
    const int rc = ask_by_name(self, &about, timeout_ms, &result, err);
    if (rc == 0) {
        *ret_info = result;
    }
    return rc;
}

static int delete_by_name(zspool_client_t *self, const struct about *about, bool dry_run,
                          int timeout_ms, zspool_error_t *err)
{
    const int rc = zsp_admin_check_name(self, about->key, about->name, err);
    if (rc != 0) {
        return rc;
    }
    struct zsp_writer args = {0};
    wire_write_map(&args, dry_run ? 2 : 1);
    wire_write_text_str(&args, about->key, zsp_slice_str(about->name));
    if (dry_run) {
        wire_write_text_bool(&args, "dry_run", true);
    }
    struct zsp_call_spec spec = {.verb = about->verb, .args = &args, .repeatable = dry_run};
    return zsp_admin_run(self, &spec, timeout_ms, err);
}

int zspool_topic_delete(zspool_client_t *self, const char *topic, bool dry_run, int timeout_ms,
                        zspool_error_t *err)
{
    const struct about about = {.verb = "TOPIC.DELETE", .key = "topic", .name = topic};
    return delete_by_name(self, &about, dry_run, timeout_ms, err);
}

/* --- Lists ---------------------------------------------------------------------------- */

static int list_page(zspool_client_t *self, const char *verb, const char *match,
                     struct zsp_listing *list, int timeout_ms, zspool_error_t *err)
{
    const char *after = list->count > 0 ? list->items[list->count - 1] : NULL;
    struct zsp_writer args = {0};
    wire_write_map(&args, (match ? 1u : 0u) + (after ? 1u : 0u));
    if (match) {
        wire_write_text_str(&args, "match", zsp_slice_str(match));
    }
    if (after) {
        wire_write_text_str(&args, "after", zsp_slice_str(after));
    }
    struct zsp_call_spec spec = {
        .verb = verb, .args = &args, .repeatable = true, .read_fn = zsp_read_listing, .arg = list};
    return zsp_admin_run(self, &spec, timeout_ms, err);
}

static zspool_names_t *names_of(const struct zsp_listing *list)
{
    struct zsp_arena *arena = zsp_arena_new(sizeof(zspool_names_t));
    if (!arena) {
        return NULL;
    }
    zspool_names_t *names = zsp_arena_result(arena);
    const char **items = zsp_arena_alloc(arena, list->count, sizeof *items);
    for (size_t i = 0; items && i < list->count; i++) {
        items[i] = zsp_arena_text(arena, zsp_slice_str(list->items[i]));
    }
    names->count = list->count;
    names->items = items;
    if (zsp_arena_failed(arena)) {
        zsp_arena_destroy(&arena);
        return NULL;
    }
    return names;
}

static int list_names(zspool_client_t *self, const char *key, const char *match, int timeout_ms,
                      zspool_names_t **ret_names, zspool_error_t *err)
{
    if (!zsp_client_usable(self) || !ret_names) {
        return zsp_refuse(err, "no place for the result, no client, or one made before fork()");
    }
    struct zsp_err report = {0};
    if (match && zsp_text_check("match", match, ZSP_MATCH_LEN_MAX, &report) != 0) {
        return zsp_err_export(&report, err);
    }
    const char *verb = strcmp(key, "topic") == 0 ? "TOPIC.LIST" : "GROUP.LIST";
    const int64_t deadline_ms = zsp_deadline_ms(timeout_ms);
    struct zsp_listing list = {.key = key, .more = true};
    int rc = 0;
    while (rc == 0 && list.more) {
        rc = list_page(self, verb, match, &list, zsp_left_ms(deadline_ms), err);
    }
    zspool_names_t *names = rc == 0 ? names_of(&list) : NULL;
    zsp_listing_fini(&list);
    if (rc == 0 && !names) {
        (void)zsp_err_set(&report, ZSP_ENOMEM, "no memory for a list");
        rc = zsp_err_export(&report, err);
    }
    if (rc == 0) {
        *ret_names = names;
    }
    return rc;
}

int zspool_topic_list(zspool_client_t *self, const char *match, int timeout_ms,
                      zspool_names_t **ret_names, zspool_error_t *err)
{
    return list_names(self, "topic", match, timeout_ms, ret_names, err);
}

int zspool_group_list(zspool_client_t *self, const char *match, int timeout_ms,
                      zspool_names_t **ret_names, zspool_error_t *err)
{
    return list_names(self, "group", match, timeout_ms, ret_names, err);
}

/* --- Groups ------------------------------------------------------------------------------- */

static int check_topics(const char *const *topics, size_t count, struct zsp_err *err)
{
    int rc = zsp_list_check(ZSP_EINVAL, "topic_count", topics, count, ZSP_GROUP_TOPICS_MAX, err);
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = zsp_pattern_check_text("topic", topics[i], err);
    }
    return rc;
}

static int read_group_spec(zspool_client_t *self, const zspool_group_spec_t *given,
                           zspool_group_spec_t *ret, zspool_error_t *err)
{
    struct zsp_err report = {0};
    int rc = given ? zsp_options_read(ret, sizeof *ret, given, "zspool_group_spec_t", &report)
                   : zsp_err_set_about(&report, ZSP_EINVAL, "spec", "no group given");
    if (rc == 0) {
        rc = check_topics(ret->topics, ret->topic_count, &report);
    }
    if (rc == 0) {
        rc = zsp_position_check(&ret->start, &report);
    }
    if (rc == 0 && ret->mode) {
        rc = zsp_text_check("mode", ret->mode, ZSP_MODE_LEN_MAX, &report);
    }
    if (rc == 0) {
        rc = zsp_settings_check(ret->settings, ret->setting_count, &report);
    }
    if (rc != 0) {
        return zsp_err_export(&report, err);
    }
    return zsp_admin_check_name(self, "group", ret->group, err);
}

int zspool_group_create(zspool_client_t *self, const zspool_group_spec_t *spec, int timeout_ms,
                        zspool_error_t *err)
{
    zspool_group_spec_t group = {0};
    const int rc = read_group_spec(self, spec, &group, err);
    if (rc != 0) {
        return rc;
    }
    const bool has_start = group.start.kind != ZSPOOL_POSITION_NONE;
    struct zsp_writer args = {0};
    wire_write_map(&args, 2u + (group.mode != NULL) + has_start + (group.setting_count > 0));
    wire_write_text_str(&args, "group", zsp_slice_str(group.group));
    zsp_write_topics(&args, group.topics, group.topic_count); /* none = all */
    if (group.mode) {
        wire_write_text_str(&args, "mode", zsp_slice_str(group.mode));
    }
    if (has_start) {
        wire_write_text(&args, "start");
        zsp_write_position(&args, &group.start);
    }
    zsp_write_settings(&args, group.settings, group.setting_count);
    struct zsp_call_spec call = {.verb = "GROUP.CREATE", .args = &args};
    return zsp_admin_run(self, &call, timeout_ms, err);
}

int zspool_group_set(zspool_client_t *self, const zspool_group_spec_t *spec, int timeout_ms,
                     zspool_error_t *err)
{
    zspool_group_spec_t group = {0};
    const int rc = read_group_spec(self, spec, &group, err);
    if (rc != 0) {
        return rc;
    }
    struct zsp_writer args = {0};
    wire_write_map(&args, 1u + (group.setting_count > 0));
    wire_write_text_str(&args, "group", zsp_slice_str(group.group));
    zsp_write_settings(&args, group.settings, group.setting_count);
    struct zsp_call_spec call = {.verb = "GROUP.SET", .args = &args};
    return zsp_admin_run(self, &call, timeout_ms, err);
}

int zspool_group_info(zspool_client_t *self, const char *group, int timeout_ms,
                      zspool_group_info_t **ret_info, zspool_error_t *err)
{
    if (!ret_info) {
        return zsp_refuse(err, "no place for the result");
    }
    const struct about about = {"GROUP.INFO", "group", group, zsp_read_group_info};
    void *result = NULL;
    const int rc = ask_by_name(self, &about, timeout_ms, &result, err);
    if (rc == 0) {
        *ret_info = result;
    }
    return rc;
}

int zspool_group_delete(zspool_client_t *self, const char *group, bool dry_run, int timeout_ms,
                        zspool_error_t *err)
{
    const struct about about = {.verb = "GROUP.DELETE", .key = "group", .name = group};
    return delete_by_name(self, &about, dry_run, timeout_ms, err);
}

static int change_by_name(zspool_client_t *self, const char *verb, const char *group,
                          int timeout_ms, zspool_error_t *err)
{
    const int rc = zsp_admin_check_name(self, "group", group, err);
    if (rc != 0) {
        return rc;
    }
    struct zsp_writer args = {0};
    wire_write_map(&args, 1);
    wire_write_text_str(&args, "group", zsp_slice_str(group));
    struct zsp_call_spec spec = {.verb = verb, .args = &args};
    return zsp_admin_run(self, &spec, timeout_ms, err);
}

int zspool_group_pause(zspool_client_t *self, const char *group, int timeout_ms,
                       zspool_error_t *err)
{
    return change_by_name(self, "GROUP.PAUSE", group, timeout_ms, err);
}

int zspool_group_resume(zspool_client_t *self, const char *group, int timeout_ms,
                        zspool_error_t *err)
{
    return change_by_name(self, "GROUP.RESUME", group, timeout_ms, err);
}

static int read_seek_spec(const zspool_seek_spec_t *given, zspool_seek_spec_t *ret,
                          struct zsp_err *err)
{
    int rc = given ? zsp_options_read(ret, sizeof *ret, given, "zspool_seek_spec_t", err)
                   : zsp_err_set_about(err, ZSP_EINVAL, "spec", "no seek given");
    if (rc == 0) {
        rc = zsp_name_check_text("group", ret->group, err);
    }
    if (rc == 0) {
        rc = zsp_name_check_text("topic", ret->topic, err);
    }
    if (rc == 0) {
        rc = zsp_position_check(&ret->to, err);
    }
    if (rc == 0 && ret->to.kind == ZSPOOL_POSITION_NONE) {
        rc = zsp_err_set_about(err, ZSP_EINVAL, "to", "no position to seek to is given");
    }
    return rc == 0 ? zsp_partition_check(ret->partition, err) : rc;
}

int zspool_group_seek(zspool_client_t *self, const zspool_seek_spec_t *spec, int timeout_ms,
                      zspool_seek_result_t **ret_result, zspool_error_t *err)
{
    struct zsp_err report = {0};
    zspool_seek_spec_t seek = {0};
    if (!zsp_client_usable(self) || !ret_result) {
        return zsp_refuse(err, "no place for the result, no client, or one made before fork()");
    }
    if (read_seek_spec(spec, &seek, &report) != 0) {
        return zsp_err_export(&report, err);
    }
    const bool one_partition = seek.partition != ZSPOOL_PARTITION_ALL;
    struct zsp_writer args = {0};
    wire_write_map(&args, 3u + one_partition + seek.dead + seek.dry_run);
    wire_write_text_str(&args, "group", zsp_slice_str(seek.group));
    wire_write_text_str(&args, "topic", zsp_slice_str(seek.topic));
    wire_write_text(&args, "to");
    zsp_write_position(&args, &seek.to);
    if (one_partition) {
        wire_write_text_uint(&args, "partition", (uint64_t)seek.partition);
    }
    if (seek.dead) {
        wire_write_text_bool(&args, "dead", true);
    }
    if (seek.dry_run) {
        wire_write_text_bool(&args, "dry_run", true);
    }
    struct zsp_call_spec call = {
        .verb = "SEEK", .args = &args, .repeatable = seek.dry_run, .read_fn = zsp_read_seek};
    void *result = NULL;
    const int rc = zsp_admin_ask(self, &call, NULL, timeout_ms, &result, err);
    if (rc == 0) {
        *ret_result = result;
    }
    return rc;
}

/* --- Producers and raw requests --------------------------------------------------------------- */

int zspool_producer_info(zspool_client_t *self, const char *producer, int timeout_ms,
                         zspool_producer_info_t **ret_info, zspool_error_t *err)
{
    if (!ret_info) {
        return zsp_refuse(err, "no place for the result");
    }
    const struct about about = {"PRODUCER.INFO", "producer", producer, zsp_read_producer_info};
    void *result = NULL;
    const int rc = ask_by_name(self, &about, timeout_ms, &result, err);
    if (rc == 0) {
        *ret_info = result;
    }
    return rc;
}

/* Read it as the broker will: to a request that it cannot read it could only answer by giving up the
 * connection, and with it what others have under way. */
static int check_request(const zspool_request_spec_t *request, const struct zsp_writer *args,
                         struct zsp_err *err)
{
    if (zsp_text_check("verb", request->verb, ZSP_VERB_LEN_MAX, err) != 0) {
        return ZSP_EINVAL;
    }
    if (request->verb[0] == '\0' || (request->body.data && request->body.len == 0)) {
        return zsp_err_set_about(err, ZSP_EINVAL, "verb", "no verb, or an empty body frame");
    }
    if (args->len > ZSP_HEADER_MAX) {
        return zsp_err_set(err, ZSP_ETOO_LARGE, "%s: arguments of %zu bytes, want up to %u",
                           request->verb, args->len, ZSP_HEADER_MAX);
    }
    struct zsp_writer header = {0};
    struct wire_request decoded;
    struct wire_decoder *decoder = wire_decoder_new();
    wire_write_request(&header, zsp_slice_str(request->verb), 1);
    zsp_write_bytes(&header, zsp_writer_slice(args));
    int rc = ZSP_ENOMEM;
    if (decoder && !header.failed && !args->failed) {
        rc = wire_request_decode(decoder, zsp_writer_slice(&header), &decoded, err);
    }
    if (rc == ZSP_ENOMEM) {
        zsp_err_set(err, ZSP_ENOMEM, "no memory for a request");
    } else if (rc != 0) {
        rc = ZSP_EINVAL;
        err->code = rc;
        zsp_err_wrap(err, "%s: arguments", request->verb);
    }
    wire_decoder_destroy(&decoder);
    zsp_writer_fini(&header);
    return rc;
}

int zspool_request(zspool_client_t *self, const zspool_request_spec_t *spec, int timeout_ms,
                   zspool_reply_t **ret_reply, zspool_error_t *err)
{
    struct zsp_err report = {0};
    zspool_request_spec_t request = {0};
    if (!zsp_client_usable(self) || !ret_reply || !spec) {
        return zsp_refuse(
            err, "no request, no place for the result, no client, or one made before fork()");
    }
    if (zsp_options_read(&request, sizeof request, spec, "zspool_request_spec_t", &report) != 0) {
        return zsp_err_export(&report, err);
    }
    struct zsp_writer args = {0};
    if (request.args.data) {
        zsp_write_bytes(&args, (struct zsp_slice){request.args.data, request.args.len});
    } else {
        wire_write_map(&args, 0);
    }
    if (check_request(&request, &args, &report) != 0) {
        zsp_writer_fini(&args);
        return zsp_err_export(&report, err);
    }
    struct zsp_call_spec call = {.verb = request.verb,
                                 .args = &args,
                                 .body = {request.body.data, request.body.len},
                                 .repeatable = request.repeatable,
                                 .wait_ms = ZSP_WAIT_MS_MAX,
                                 .read_fn = zsp_read_reply};
    void *result = NULL;
    const int rc = zsp_admin_ask(self, &call, NULL, timeout_ms, &result, err);
    if (rc == 0) {
        *ret_reply = result;
    }
    return rc;
}
