/* SPDX-License-Identifier: MPL-2.0
 *
 * Side replays: the request, and what it answers.
 */
#include "client/src/admin/admin_priv.h"
#include "client/src/base/range_check.h"
#include "client/src/link/wire_out.h"
#include "client/src/result.h"
#include "common/limits.h"
#include "common/name.h"
#include "common/wire.h"

static int unreadable(struct zsp_err *err)
{
    return zsp_err_set(err, ZSP_EBAD_REQUEST, "the reply's partitions cannot be read");
}

static bool read_part(const msgpack_object *row, zspool_replay_part_t *ret)
{
    uint64_t numbers[4];
    if (row->type != MSGPACK_OBJECT_ARRAY || row->via.array.size < 4) {
        return false;
    }
    for (uint32_t i = 0; i < 4; i++) {
        if (wire_get_uint(&row->via.array.ptr[i], "number", UINT64_MAX, &numbers[i], NULL) != 0) {
            return false;
        }
    }
    *ret = (zspool_replay_part_t){.partition = (uint32_t)numbers[0],
                                  .from = numbers[1],
                                  .to = numbers[2],
                                  .lost = numbers[3]};
    return numbers[0] < ZSP_PARTITIONS_MAX;
}

static int read_replay(const struct zsp_answer *answer, void *arg, struct zsp_err *err)
{
    struct zsp_result *result = arg;
    const msgpack_object_array *rows = zsp_reply_array(answer->map, "partitions");
    if (!rows || rows->size > ZSP_PARTITIONS_MAX) {
        return unreadable(err);
    }
    result->arena = zsp_arena_new(sizeof(zspool_replay_result_t));
    if (!result->arena) {
        return zsp_err_set(err, ZSP_ENOMEM, "no memory for a reply");
    }
    zspool_replay_result_t *replay = zsp_arena_result(result->arena);
    const struct zsp_slice group = zsp_reply_text(answer->map, "group");
    replay->group = group.data ? zsp_arena_text(result->arena, group) : NULL;
    replay->message_count = zsp_reply_uint(answer->map, "messages", 0);
    zspool_replay_part_t *parts = zsp_arena_alloc(result->arena, rows->size, sizeof *parts);
    for (uint32_t i = 0; parts && i < rows->size; i++) {
        if (!read_part(&rows->ptr[i], &parts[i])) {
            return unreadable(err);
        }
        replay->count++;
    }
    replay->parts = parts;
    return zsp_arena_failed(result->arena) ? zsp_err_set(err, ZSP_ENOMEM, "no memory for a reply")
                                           : 0;
}

static int check_names(const zspool_replay_spec_t *spec, struct zsp_err *err)
{
    const struct {
        const char *what, *name;
    } names[] = {{"topic", spec->topic},
                 {"group", spec->name},
                 {"savepoint", spec->from_savepoint},
                 {"savepoint", spec->to_savepoint}};
    int rc = zsp_name_check_text("group", spec->group, err);
    for (size_t i = 0; i < sizeof names / sizeof names[0] && rc == 0; i++) {
        rc = names[i].name ? zsp_name_check_text(names[i].what, names[i].name, err) : 0;
    }
    return rc;
}

static int read_spec(const zspool_replay_spec_t *given, zspool_replay_spec_t *ret,
                     struct zsp_err *err)
{
    int rc = given ? zsp_options_read(ret, sizeof *ret, given, "zspool_replay_spec_t", err)
                   : zsp_err_set_about(err, ZSP_EINVAL, "spec", "no replay given");
    if (rc == 0) {
        rc = check_names(ret, err);
    }
    if (rc == 0) {
        rc = zsp_position_check(&ret->from, err);
    }
    if (rc == 0) {
        rc = zsp_position_check(&ret->to, err);
    }
    const bool has_from = ret->from.kind != ZSPOOL_POSITION_NONE;
    if (rc == 0 && has_from == (ret->from_savepoint != NULL)) {
        return zsp_err_set_about(err, ZSP_EINVAL, "from",
                                 "a replay wants `from` or `from_savepoint`");
    }
    if (rc == 0 && ret->to.kind != ZSPOOL_POSITION_NONE && ret->to_savepoint) {
        return zsp_err_set_about(err, ZSP_EINVAL, "to",
                                 "a replay wants one of `to` and `to_savepoint`");
    }
    if (rc == 0) {
        rc = zsp_range_check(ZSP_EINVAL, "expires_ms", ret->expires_ms, 0, INT64_MAX, err);
    }
    return rc == 0 ? zsp_partition_check(ret->partition, err) : rc;
}

static void write_name(struct zsp_writer *args, const char *key, const char *name)
{
    if (name) {
        wire_write_text_str(args, key, zsp_slice_str(name));
    }
}

static void write_place(struct zsp_writer *args, const char *key, const zspool_position_t *place)
{
    if (place->kind != ZSPOOL_POSITION_NONE) {
        wire_write_text(args, key);
        zsp_write_position(args, place);
    }
}

static void write_args(struct zsp_writer *args, const zspool_replay_spec_t *spec)
{
    const bool one_partition = spec->partition != ZSPOOL_PARTITION_ALL;
    wire_write_map(args, 1u + (spec->topic != NULL) + one_partition +
                             (spec->from.kind != ZSPOOL_POSITION_NONE) +
                             (spec->from_savepoint != NULL) +
                             (spec->to.kind != ZSPOOL_POSITION_NONE) +
                             (spec->to_savepoint != NULL) + (spec->name != NULL) +
                             (spec->expires_ms > 0) + (spec->setting_count > 0) + spec->dry_run);
    write_name(args, "group", spec->group);
    write_name(args, "topic", spec->topic);
    write_name(args, "name", spec->name);
    write_place(args, "from", &spec->from);
    write_name(args, "from_savepoint", spec->from_savepoint);
    write_place(args, "to", &spec->to);
    write_name(args, "to_savepoint", spec->to_savepoint);
    if (one_partition) {
        wire_write_text_uint(args, "partition", (uint64_t)spec->partition);
    }
    if (spec->expires_ms > 0) {
        wire_write_text_uint(args, "expires_ms", (uint64_t)spec->expires_ms);
    }
    if (spec->dry_run) {
        wire_write_text_bool(args, "dry_run", true);
    }
    zsp_write_settings(args, spec->settings, spec->setting_count);
}

int zspool_group_replay(zspool_client_t *self, const zspool_replay_spec_t *spec, int timeout_ms,
                        zspool_replay_result_t **ret_result, zspool_error_t *err)
{
    struct zsp_err report = {0};
    zspool_replay_spec_t replay = {0};
    if (!zsp_client_usable(self) || !ret_result) {
        return zsp_refuse(err, "no place for the result, no client, or one made before fork()");
    }
    if (read_spec(spec, &replay, &report) != 0) {
        return zsp_err_export(&report, err);
    }
    struct zsp_writer args = {0};
    write_args(&args, &replay);
    struct zsp_call_spec call = {.verb = "GROUP.REPLAY",
                                 .args = &args,
                                 .repeatable = replay.dry_run,
                                 .read_fn = read_replay};
    void *result = NULL;
    const int rc = zsp_admin_ask(self, &call, NULL, timeout_ms, &result, err);
    if (rc == 0) {
        *ret_result = result;
    }
    return rc;
}
