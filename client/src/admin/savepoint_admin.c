/* SPDX-License-Identifier: MPL-2.0
 *
 * Administration of savepoints.
 */
#include "client/src/admin/admin_priv.h"
#include "client/src/link/wire_out.h"
#include "client/src/result.h"
#include "common/wire.h"

/* What a request says; `name` may be NULL, `flag` is told when it is set. */
struct about {
    const char *verb, *group, *name, *flag;
};

static int check(zspool_client_t *self, const struct about *about, bool wants_name,
                 zspool_error_t *err)
{
    const int rc = zsp_admin_check_name(self, "group", about->group, err);
    return rc == 0 && wants_name ? zsp_admin_check_name(self, "savepoint", about->name, err) : rc;
}

static void write_args(struct zsp_writer *out, const struct about *about)
{
    wire_write_map(out, 1u + (about->name != NULL) + (about->flag != NULL));
    wire_write_text_str(out, "group", zsp_slice_str(about->group));
    if (about->name) {
        wire_write_text_str(out, "name", zsp_slice_str(about->name));
    }
    if (about->flag) {
        wire_write_text_bool(out, about->flag, true);
    }
}

static int change(zspool_client_t *self, const struct about *about, bool repeatable, int timeout_ms,
                  zspool_error_t *err)
{
    const int rc = check(self, about, true, err);
    if (rc != 0) {
        return rc;
    }
    struct zsp_writer args = {0};
    write_args(&args, about);
    struct zsp_call_spec spec = {.verb = about->verb, .args = &args, .repeatable = repeatable};
    return zsp_admin_run(self, &spec, timeout_ms, err);
}

int zspool_savepoint_save(zspool_client_t *self, const char *group, const char *name, bool replace,
                          int timeout_ms, zspool_error_t *err)
{
    const struct about about = {"SAVEPOINT.SAVE", group, name, replace ? "replace" : NULL};
    return change(self, &about, false, timeout_ms, err);
}

int zspool_savepoint_drop(zspool_client_t *self, const char *group, const char *name, bool dry_run,
                          int timeout_ms, zspool_error_t *err)
{
    const struct about about = {"SAVEPOINT.DROP", group, name, dry_run ? "dry_run" : NULL};
    return change(self, &about, dry_run, timeout_ms, err);
}

int zspool_savepoint_list(zspool_client_t *self, const char *group, int timeout_ms,
                          zspool_savepoint_list_t **ret_list, zspool_error_t *err)
{
    const struct about about = {.verb = "SAVEPOINT.LIST", .group = group};
    if (!ret_list) {
        return zsp_refuse(err, "no place for the result");
    }
    int rc = check(self, &about, false, err);
    if (rc != 0) {
        return rc;
    }
    struct zsp_writer args = {0};
    void *result = NULL;
    write_args(&args, &about);
    struct zsp_call_spec spec = {
        .verb = about.verb, .args = &args, .repeatable = true, .read_fn = zsp_read_savepoints};
    rc = zsp_admin_ask(self, &spec, NULL, timeout_ms, &result, err);
    if (rc == 0) {
        *ret_list = result;
    }
    return rc;
}

static int restore(zspool_client_t *self, const struct about *about, int timeout_ms,
                   zspool_restore_result_t **ret_result, zspool_error_t *err)
{
    struct zsp_writer args = {0};
    void *result = NULL;
    write_args(&args, about);
    struct zsp_call_spec spec = {.verb = about->verb,
                                 .args = &args,
                                 .repeatable = about->flag != NULL,
                                 .read_fn = zsp_read_restore};
    const int rc = zsp_admin_ask(self, &spec, NULL, timeout_ms, &result, err);
    if (rc == 0) {
        *ret_result = result;
    }
    return rc;
}

int zspool_savepoint_restore(zspool_client_t *self, const char *group, const char *name,
                             bool dry_run, int timeout_ms, zspool_restore_result_t **ret_result,
                             zspool_error_t *err)
{
    const struct about about = {"SAVEPOINT.RESTORE", group, name, dry_run ? "dry_run" : NULL};
    if (!ret_result) {
        return zsp_refuse(err, "no place for the result");
    }
    const int rc = check(self, &about, true, err);
    return rc == 0 ? restore(self, &about, timeout_ms, ret_result, err) : rc;
}

int zspool_savepoint_undo(zspool_client_t *self, const char *group, bool dry_run, int timeout_ms,
                          zspool_restore_result_t **ret_result, zspool_error_t *err)
{
    const struct about about = {"SAVEPOINT.UNDO", group, NULL, dry_run ? "dry_run" : NULL};
    if (!ret_result) {
        return zsp_refuse(err, "no place for the result");
    }
    const int rc = check(self, &about, false, err);
    return rc == 0 ? restore(self, &about, timeout_ms, ret_result, err) : rc;
}
