/* SPDX-License-Identifier: MPL-2.0
 *
 * Administration: how one message stands in a group.
 */
#include "client/src/admin/admin_priv.h"
#include "client/src/why_result.h"
#include "common/limits.h"
#include "common/wire.h"

int zspool_group_trace(zspool_client_t *self, const char *group, const char *topic,
                       uint32_t partition, uint64_t offset, int timeout_ms,
                       zspool_trace_t **ret_trace, zspool_error_t *err)
{
    if (!ret_trace || partition >= ZSP_PARTITIONS_MAX) {
        return zsp_refuse(err, "no place for the result, or no such partition");
    }
    int rc = zsp_admin_check_name(self, "group", group, err);
    if (rc == 0) {
        rc = zsp_admin_check_name(self, "topic", topic, err);
    }
    if (rc != 0) {
        return rc;
    }
    struct zsp_writer args = {0};
    wire_write_map(&args, 4);
    wire_write_text_str(&args, "group", zsp_slice_str(group));
    wire_write_text_str(&args, "topic", zsp_slice_str(topic));
    wire_write_text_uint(&args, "partition", partition);
    wire_write_text_uint(&args, "offset", offset);
    struct zsp_call_spec call = {
        .verb = "GROUP.TRACE", .args = &args, .repeatable = true, .read_fn = zsp_read_trace};
    void *result = NULL;
    rc = zsp_admin_ask(self, &call, NULL, timeout_ms, &result, err);
    if (rc == 0) {
        *ret_trace = result;
    }
    return rc;
}
