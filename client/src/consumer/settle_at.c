/* SPDX-License-Identifier: MPL-2.0
 *
 * zspool_settle_at(): outcomes by address and lease, without a consumer.
 */
#include <string.h>

#include "client/src/base/range_check.h"
#include "client/src/client_call.h"
#include "client/src/consumer/consumer_priv.h"
#include "client/src/result.h"

struct settle_at {
    zspool_settle_run_t *runs;
    size_t first, end; /* those in the request that is out */
};

/* Do [a, a + a_count) and [b, b + b_count) have an offset in common? */
static bool meet(uint64_t a, uint64_t a_count, uint64_t b, uint64_t b_count)
{
    return a >= b ? a - b < b_count : b - a < a_count;
}

/* Does a row tell of the run? It may be about several: what adjoins was sent, and is told, as one. */
static bool is_about(const struct zsp_not_applied *row, const zspool_settle_run_t *run)
{
    return meet(row->first, row->count, run->first_offset, run->count) &&
           run->partition == row->partition && zsp_slice_equal_str(row->topic, run->topic);
}

static int read_settled(const struct zsp_answer *answer, void *arg, struct zsp_err *err)
{
    (void)err;
    const struct settle_at *at = arg;
    const msgpack_object_array *rows = zsp_reply_array(answer->map, "not_applied");
    for (uint32_t r = 0; rows && r < rows->size; r++) {
        struct zsp_not_applied row;
        if (!zsp_not_applied_read(&rows->ptr[r], &row)) {
            continue;
        }
        for (size_t i = at->first; i < at->end; i++) {
            zspool_settle_run_t *run = &at->runs[i];
            if (is_about(&row, run) && row.settled > run->ret_settled) {
                run->ret_settled = row.settled;
            }
        }
    }
    return 0;
}

static int add_runs(struct zsp_outcomes *list, const zspool_settle_run_t *runs, size_t count,
                    struct zsp_err *err)
{
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++) {
        const zspool_settle_run_t *given = &runs[i];
        struct zsp_outcome_run run = {.topic = given->topic,
                                      .partition = given->partition,
                                      .first = given->first_offset,
                                      .count = given->count,
                                      .lease = given->lease};
        rc = zsp_name_check_text("topic", given->topic, err);
        if (rc == 0 && (given->count == 0 || given->lease == 0)) {
            rc = zsp_err_set_about(err, ZSP_EINVAL, "runs",
                                   "run %zu: count and lease are at least 1", i);
        }
        if (rc == 0) {
            rc = zsp_outcome_read(given->outcome, &given->arg, &run, err);
        }
        if (rc == 0 && zsp_outcomes_add(list, &run) != 0) {
            rc = zsp_err_set(err, ZSP_ENOMEM, "no memory for runs");
        }
    }
    return rc;
}

/* Of the first `count`, those before the first that has a message in common with an earlier one. The
 * broker's rows name messages and no lease, so each request has a message once. */
static size_t apart(const struct zsp_outcomes *list, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        const struct zsp_outcome_run *run = &list->items[i];
        for (size_t k = 0; k < i; k++) {
            const struct zsp_outcome_run *other = &list->items[k];
            if (meet(run->first, run->count, other->first, other->count) &&
                run->partition == other->partition && strcmp(run->topic, other->topic) == 0) {
                return i;
            }
        }
    }
    return count;
}

/* The runs that were given and are now in `part`; adjoining ones were joined. */
static void find_given(struct settle_at *at, const struct zsp_outcomes *part)
{
    at->first = at->end;
    for (size_t i = 0; i < part->count; i++) {
        uint64_t left = part->items[i].count;
        while (left > 0) {
            left -= at->runs[at->end++].count;
        }
    }
}

/* As many requests as the broker's limits, and messages that come again, make of it. */
static int settle_runs(zspool_client_t *self, const char *group, struct zsp_outcomes *list,
                       struct settle_at *at, int64_t deadline_ms, struct zsp_err *err)
{
    zsp_link_lock(self->link);
    const uint64_t told = zsp_link_hello(self->link)->max_header;
    zsp_link_unlock(self->link);
    struct zsp_outcomes part = {0};
    struct zsp_writer args = {0};
    int rc = 0;
    while (rc == 0 && list->count > 0) {
        const size_t fit = zsp_outcomes_fit(list, told ? told : ZSP_HEADER_MAX, ZSP_RUNS_MAX);
        zsp_outcomes_reset(&part);
        if (zsp_outcomes_move(list, apart(list, fit), &part) != 0) {
            rc = zsp_err_set(err, ZSP_ENOMEM, "no memory for runs");
            break;
        }
        find_given(at, &part);
        zsp_outcomes_write(&part, group, &args);
        const struct zsp_call_spec spec = {.verb = "SETTLE",
                                           .args = &args,
                                           .repeatable = true,
                                           .read_fn = read_settled,
                                           .arg = at};
        rc = zsp_call(self, &spec, zsp_left_ms(deadline_ms), err);
    }
    zsp_outcomes_fini(&part);
    zsp_writer_fini(&args);
    return rc;
}

int zspool_settle_at(zspool_client_t *self, const char *group, zspool_settle_run_t *runs,
                     size_t run_count, int timeout_ms, zspool_error_t *err)
{
    if (!zsp_client_usable(self) || !runs || run_count == 0) {
        return zsp_refuse(err, "no client, one made before fork(), or no runs");
    }
    struct zsp_err report = {0};
    if (zsp_count_check(ZSP_EINVAL, "run_count", run_count, ZSP_RUNS_MAX, &report) != 0) {
        return zsp_err_export(&report, err);
    }
    struct settle_at at = {.runs = runs};
    struct zsp_outcomes list = {0};
    const int64_t deadline_ms = zsp_deadline_ms(timeout_ms);
    int rc = zsp_name_check_text("group", group, &report);
    if (rc == 0) {
        rc = add_runs(&list, runs, run_count, &report);
    }
    if (rc == 0) {
        for (size_t i = 0; i < run_count; i++) {
            runs[i].ret_settled = ZSPOOL_SETTLED;
        }
        rc = settle_runs(self, group, &list, &at, deadline_ms, &report);
    }
    zsp_outcomes_fini(&list);
    return rc == 0 ? 0 : zsp_err_export(&report, err);
}
