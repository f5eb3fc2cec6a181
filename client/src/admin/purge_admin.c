/* SPDX-License-Identifier: MPL-2.0
 *
 * Administration: to drop messages of a topic.
 */
#include "client/src/admin/admin_priv.h"
#include "client/src/base/range_check.h"
#include "client/src/link/wire_out.h"
#include "client/src/result.h"
#include "common/limits.h"
#include "common/wire.h"

static int read_spec(const zspool_purge_spec_t *given, zspool_purge_spec_t *ret,
                     struct zsp_err *err)
{
    int rc = given ? zsp_options_read(ret, sizeof *ret, given, "zspool_purge_spec_t", err)
                   : zsp_err_set_about(err, ZSP_EINVAL, "spec", "no purge given");
    if (rc == 0) {
        rc = zsp_name_check_text("topic", ret->topic, err);
    }
    if (rc == 0) {
        rc = zsp_position_check(&ret->before, err);
    }
    if (rc == 0) {
        rc = zsp_partition_check(ret->partition, err);
    }
    if (rc == 0 && ret->before.kind == ZSPOOL_POSITION_NONE) {
        rc = zsp_err_set_about(err, ZSP_EINVAL, "before", "no position to purge up to is given");
    }
    return rc;
}

int zspool_topic_purge(zspool_client_t *self, const zspool_purge_spec_t *spec, int timeout_ms,
                       zspool_purge_result_t **ret_result, zspool_error_t *err)
{
    struct zsp_err report = {0};
    zspool_purge_spec_t purge = {0};
    if (!zsp_client_usable(self) || !ret_result) {
        return zsp_refuse(err, "no place for the result, no client, or one made before fork()");
    }
    if (read_spec(spec, &purge, &report) != 0) {
        return zsp_err_export(&report, err);
    }
    const bool one_partition = purge.partition != ZSPOOL_PARTITION_ALL;
    struct zsp_writer args = {0};
    wire_write_map(&args, 2u + one_partition + purge.dry_run);
    wire_write_text_str(&args, "topic", zsp_slice_str(purge.topic));
    wire_write_text(&args, "before");
    zsp_write_position(&args, &purge.before);
    if (one_partition) {
        wire_write_text_uint(&args, "partition", (uint64_t)purge.partition);
    }
    if (purge.dry_run) {
        wire_write_text_bool(&args, "dry_run", true);
    }
    struct zsp_call_spec call = {.verb = "TOPIC.PURGE",
                                 .args = &args,
                                 .repeatable = purge.dry_run,
                                 .read_fn = zsp_read_purge};
    void *result = NULL;
    const int rc = zsp_admin_ask(self, &call, NULL, timeout_ms, &result, err);
    if (rc == 0) {
        *ret_result = result;
    }
    return rc;
}
