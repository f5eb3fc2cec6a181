/* SPDX-License-Identifier: MPL-2.0
 *
 * Administration of dead letters.
 */
#include "client/src/admin/admin_priv.h"
#include "client/src/base/range_check.h"
#include "client/src/dead_result.h"
#include "client/src/link/wire_out.h"
#include "common/limits.h"
#include "common/wire.h"

static int check_runs(const zspool_dead_choice_t *choice, struct zsp_err *err)
{
    int rc =
        zsp_list_check(ZSP_EINVAL, "run_count", choice->runs, choice->run_count, ZSP_RUNS_MAX, err);
    for (size_t i = 0; i < choice->run_count && rc == 0; i++) {
        rc = zsp_name_check_text("topic", choice->runs[i].topic, err);
        if (rc == 0 && choice->runs[i].count == 0) {
            rc = zsp_err_set_about(err, ZSP_EINVAL, "runs", "run %zu: no messages", i);
        }
    }
    return rc;
}

static int read_choice(const zspool_dead_choice_t *given, zspool_dead_choice_t *ret,
                       struct zsp_err *err)
{
    int rc = given ? zsp_options_read(ret, sizeof *ret, given, "zspool_dead_choice_t", err)
                   : zsp_err_set_about(err, ZSP_EINVAL, "choice", "no choice given");
    if (rc == 0) {
        rc = zsp_name_check_text("group", ret->group, err);
    }
    if (rc == 0 && ret->topic) {
        rc = zsp_name_check_text("topic", ret->topic, err);
    }
    if (rc == 0 && ret->reason) {
        rc = zsp_text_check("reason", ret->reason, ZSP_REASON_MAX, err);
    }
    if (rc == 0) {
        rc = zsp_partition_check(ret->partition, err);
    }
    if (rc == 0 && ret->from) {
        rc = zsp_name_check_text("topic", ret->from->topic, err);
    }
    return rc == 0 ? check_runs(ret, err) : rc;
}

/* --- Arguments ---------------------------------------------------------------------------- */

static void write_runs(struct zsp_writer *out, const zspool_dead_choice_t *choice)
{
    wire_write_text(out, "runs");
    wire_write_array(out, (uint32_t)choice->run_count);
    for (size_t i = 0; i < choice->run_count; i++) {
        const zspool_dead_run_t *run = &choice->runs[i];
        wire_write_array(out, 4);
        wire_write_text(out, run->topic);
        wire_write_uint(out, run->partition);
        wire_write_uint(out, run->first_offset);
        wire_write_uint(out, run->count);
    }
}

/* How many pairs write_choice() writes. */
static uint32_t choice_pairs(const zspool_dead_choice_t *choice)
{
    return 1u + (choice->topic != NULL) + (choice->partition != ZSPOOL_PARTITION_ALL) +
           (choice->reason != NULL) + (choice->older_than_ms > 0) + (choice->newer_than_ms > 0) +
           (choice->from != NULL) + (choice->run_count > 0);
}

static void write_choice(struct zsp_writer *out, const zspool_dead_choice_t *choice)
{
    wire_write_text_str(out, "group", zsp_slice_str(choice->group));
    if (choice->topic) {
        wire_write_text_str(out, "topic", zsp_slice_str(choice->topic));
    }
    if (choice->partition != ZSPOOL_PARTITION_ALL) {
        wire_write_text_uint(out, "partition", (uint64_t)choice->partition);
    }
    if (choice->reason) {
        wire_write_text_str(out, "reason", zsp_slice_str(choice->reason));
    }
    if (choice->older_than_ms > 0) {
        wire_write_text_uint(out, "older_than_ms", (uint64_t)choice->older_than_ms);
    }
    if (choice->newer_than_ms > 0) {
        wire_write_text_uint(out, "newer_than_ms", (uint64_t)choice->newer_than_ms);
    }
    if (choice->from) {
        wire_write_text(out, "from");
        wire_write_array(out, 3);
        wire_write_text(out, choice->from->topic);
        wire_write_uint(out, choice->from->partition);
        wire_write_uint(out, choice->from->offset);
    }
    if (choice->run_count > 0) {
        write_runs(out, choice);
    }
}

/* Check what all of them need; the host is told. */
static int begin(zspool_client_t *self, const zspool_dead_choice_t *given, const void *place,
                 zspool_dead_choice_t *ret, zspool_error_t *err)
{
    struct zsp_err report = {0};
    if (!zsp_client_usable(self) || !place) {
        return zsp_refuse(err, "no place for the result, no client, or one made before fork()");
    }
    return read_choice(given, ret, &report) != 0 ? zsp_err_export(&report, err) : 0;
}

/* --- The requests --------------------------------------------------------------------------- */

int zspool_dead_list(zspool_client_t *self, const zspool_dead_choice_t *choice, uint32_t limit,
                     int timeout_ms, zspool_dead_list_t **ret_list, zspool_error_t *err)
{
    zspool_dead_choice_t wanted = {0};
    int rc = begin(self, choice, ret_list, &wanted, err);
    if (rc != 0) {
        return rc;
    }
    if (wanted.run_count > 0) {
        return zsp_refuse(err, "a list is not chosen by addresses");
    }
    struct zsp_writer args = {0};
    void *result = NULL;
    wire_write_map(&args, choice_pairs(&wanted) + (limit > 0));
    write_choice(&args, &wanted);
    if (limit > 0) {
        wire_write_text_uint(&args, "limit", limit < ZSP_LIST_MAX ? limit : ZSP_LIST_MAX);
    }
    struct zsp_call_spec call = {
        .verb = "DEAD.LIST", .args = &args, .repeatable = true, .read_fn = zsp_read_dead_list};
    rc = zsp_admin_ask(self, &call, NULL, timeout_ms, &result, err);
    if (rc == 0) {
        *ret_list = result;
    }
    return rc;
}

int zspool_dead_read(zspool_client_t *self, const zspool_dead_choice_t *choice, int timeout_ms,
                     zspool_dead_messages_t **ret_messages, zspool_error_t *err)
{
    zspool_dead_choice_t wanted = {0};
    int rc = begin(self, choice, ret_messages, &wanted, err);
    if (rc != 0) {
        return rc;
    }
    if (choice_pairs(&wanted) != 2 || wanted.run_count == 0) {
        return zsp_refuse(err, "dead messages are read by runs alone");
    }
    struct zsp_writer args = {0};
    void *result = NULL;
    wire_write_map(&args, choice_pairs(&wanted));
    write_choice(&args, &wanted);
    struct zsp_call_spec call = {
        .verb = "DEAD.READ", .args = &args, .repeatable = true, .read_fn = zsp_read_dead_messages};
    rc = zsp_admin_ask(self, &call, NULL, timeout_ms, &result, err);
    if (rc == 0) {
        *ret_messages = result;
    }
    return rc;
}

struct flag {
    const char *name;
    bool is_set;
};

static int change(zspool_client_t *self, const char *verb, const zspool_dead_choice_t *wanted,
                  int timeout_ms, zspool_dead_result_t **ret_result, zspool_error_t *err)
{
    const struct flag flags[] = {
        {"all", wanted->all}, {"dry_run", wanted->dry_run}, {"keep_counts", wanted->keep_counts}};
    struct zsp_writer args = {0};
    void *result = NULL;
    uint32_t pairs = choice_pairs(wanted) + (wanted->rate > 0);
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        pairs += flags[i].is_set ? 1u : 0u;
    }
    wire_write_map(&args, pairs);
    write_choice(&args, wanted);
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if (flags[i].is_set) {
            wire_write_text_bool(&args, flags[i].name, true);
        }
    }
    if (wanted->rate > 0) {
        wire_write_text_uint(&args, "rate", wanted->rate);
    }
    struct zsp_call_spec call = {.verb = verb,
                                 .args = &args,
                                 .repeatable = wanted->dry_run,
                                 .in_session = !wanted->dry_run,
                                 .read_fn = zsp_read_dead_result};
    const int rc = zsp_admin_ask(self, &call, NULL, timeout_ms, &result, err);
    if (rc == 0) {
        *ret_result = result;
    }
    return rc;
}

int zspool_dead_redrive(zspool_client_t *self, const zspool_dead_choice_t *choice, int timeout_ms,
                        zspool_dead_result_t **ret_result, zspool_error_t *err)
{
    zspool_dead_choice_t wanted = {0};
    const int rc = begin(self, choice, ret_result, &wanted, err);
    return rc == 0 ? change(self, "DEAD.REDRIVE", &wanted, timeout_ms, ret_result, err) : rc;
}

int zspool_dead_stop(zspool_client_t *self, const char *group, int timeout_ms,
                     zspool_dead_result_t **ret_result, zspool_error_t *err)
{
    if (!ret_result) {
        return zsp_refuse(err, "no place for the result");
    }
    int rc = zsp_admin_check_name(self, "group", group, err);
    if (rc != 0) {
        return rc;
    }
    struct zsp_writer args = {0};
    void *result = NULL;
    wire_write_map(&args, 2);
    wire_write_text_str(&args, "group", zsp_slice_str(group));
    wire_write_text_bool(&args, "stop", true);
    struct zsp_call_spec call = {
        .verb = "DEAD.REDRIVE", .args = &args, .read_fn = zsp_read_dead_result};
    rc = zsp_admin_ask(self, &call, NULL, timeout_ms, &result, err);
    if (rc == 0) {
        *ret_result = result;
    }
    return rc;
}

int zspool_dead_drop(zspool_client_t *self, const zspool_dead_choice_t *choice, int timeout_ms,
                     zspool_dead_result_t **ret_result, zspool_error_t *err)
{
    zspool_dead_choice_t wanted = {0};
    const int rc = begin(self, choice, ret_result, &wanted, err);
    if (rc == 0 && (wanted.keep_counts || wanted.rate > 0)) {
        return zsp_refuse(err, "what is dropped keeps no counts and has no rate");
    }
    return rc == 0 ? change(self, "DEAD.DROP", &wanted, timeout_ms, ret_result, err) : rc;
}
